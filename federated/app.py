"""``fedtwin federated``: the Hydra app around `federated.launch.launch`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.runtime.terminal import report_errors


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(overrides: DictConfig) -> None:
    """Train federated, in a simulation on this machine.

    Parameters
    ----------
    overrides : DictConfig
        Composed by Hydra from ``conf/`` and the command line.
    """
    with report_errors():
        from rich.console import Console  # not needed for --help and --cfg

        from federated.launch.launch import launch
        from shared.runtime.home import open_home
        from shared.runtime.progress import Board
        from shared.tracking.show import run_view
        from shared.tracking.store import Store

        cfg = from_hydra(overrides).replace("federation", engine="flower")
        home = open_home(cfg.tracking)
        with Store(home.database_url) as store:
            with Board(enabled=cfg.trainer.progress) as board:
                follow = board.follow_rounds(store, "federated", total=cfg.federation.num_rounds)
                run_id = launch(cfg, store=store, home=home, on_poll=follow)
            Console().print(run_view(store, run_id))


if __name__ == "__main__":
    main()
