"""``fedtwin centralized``: the Hydra app of `centralized.train`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.runtime.terminal import report_errors


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(overrides: DictConfig) -> None:
    """Train on pooled data.

    Parameters
    ----------
    overrides : DictConfig
        Composed by Hydra from ``conf/`` and the command line.
    """
    with report_errors():
        cfg = from_hydra(overrides)
        from rich.console import Console  # imported late: not needed for --help, --cfg and invalid input

        from centralized.train import train
        from shared.runtime.home import open_home
        from shared.tracking.show import run_view
        from shared.tracking.store import Store

        home = open_home(cfg.tracking)
        with Store(home.database_url) as store:
            run_id = train(cfg, store=store, home=home)
            Console().print(run_view(store, run_id))


if __name__ == "__main__":
    main()
