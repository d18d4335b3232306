"""``fedtwin compare``: the Hydra app of `simulations.compare`."""

from __future__ import annotations

import shlex

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.runtime.terminal import report_errors


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(settings: DictConfig) -> None:
    """Train the twins and print the federated gap.

    Parameters
    ----------
    settings : DictConfig
        Composed by Hydra from ``conf/`` and the command line.
    """
    with report_errors():
        from shared.runtime.home import open_home  # imported late: not needed for --help and --cfg
        from shared.tracking.store import Store
        from simulations.compare import compare
        from simulations.simulate import open_engine

        cfg = from_hydra(settings)
        home = open_home(cfg.tracking)
        command = shlex.join(["fedtwin", "compare", *HydraConfig.get().overrides.task])
        with open_engine(cfg) as engine, Store(home.database_url) as store:
            compare(cfg, engine=engine, store=store, home=home, command=command)


if __name__ == "__main__":
    main()
