"""`hydra_app`: makes a command with Hydra's overrides of a function that takes a `Config`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import hydra
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.config.config import Config
from shared.runtime.terminal import report_errors


def hydra_app(run: Callable[[Config], None]) -> Callable[[], None]:
    """A Hydra app: composes ``conf/`` with the command line, validates, and calls the function.

    Parameters
    ----------
    run : callable
        Imports what it needs itself: ``--help``, ``--cfg`` and invalid settings shall cost nothing.

    Returns
    -------
    callable
        Reads ``sys.argv``; prints an error that a user can mend, and exits with 2; Ctrl-C exits with 130.
    """

    @wraps(run, assigned=("__doc__", "__name__"))
    def validated(settings: DictConfig) -> None:
        with report_errors():
            run(from_hydra(settings))

    validated.__module__ = f"fedtwin {run.__name__}"  # what Hydra's --help calls the program
    app: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")(
        validated
    )
    return app
