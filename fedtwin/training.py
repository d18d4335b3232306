"""`compare`, `train` and `federate`: what the commands of these names do, for scripts and notebooks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedtwin.places import Place, find_home, open_store
from fedtwin.records import Comparison, Run, id_and_home
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.components import allow_component
from shared.runtime.errors import ConfigError
from shared.runtime.home import open_home

if TYPE_CHECKING:
    from simulations.execute import Mode

Settings = Config | str | Sequence[str]


def compare(settings: Settings = (), *, store: Place = None) -> Comparison:
    """Train pooled and federated twins, and measure what federation costs.

    Parameters
    ----------
    settings : Config, str or sequence of str
        Hydra overrides as on the command line, a list or one string; or a configuration from `configure`.
    store : str or Path, optional
        Where the runs are kept: a folder, or a database's URL; by default as for the commands
        (``FEDTWIN_HOME``).

    Returns
    -------
    Comparison
        The gap as a data frame, the runs, the figures and the report.

    Raises
    ------
    FedtwinError
        Settings or data that cannot be used, a training that diverged ...; its subclass and its text say which.
        The run ends as failed.
    KeyboardInterrupt
        The run ends as stopped.

    Examples
    --------
    >>> result = fedtwin.compare(["partition.alpha=0.1", "federation.num_rounds=5"])
    >>> result.gap.loc["accuracy", ["pooled", "federated", "gap", "low", "high"]]
    """
    return Comparison.of(_execute(settings, "compare", store=store))


def train(settings: Settings = (), *, store: Place = None) -> Run:
    """Train on pooled data.

    Parameters
    ----------
    settings, store
        See `compare`.

    Returns
    -------
    Run
        It is completed; its ``test`` holds the metrics of the model on the test rows.

    Raises
    ------
    FedtwinError, KeyboardInterrupt
        As for `compare`.

    Examples
    --------
    >>> run = fedtwin.train("trainer.max_epochs=5 seed=1")
    >>> run.test["accuracy"]
    """
    return _execute(settings, "centralized", store=store)


def federate(settings: Settings = (), *, store: Place = None) -> Run:
    """Train federated: with processes of this machine, or as ``federation.engine`` and ``federation.kit`` say.

    Parameters
    ----------
    settings, store
        See `compare`.

    Returns
    -------
    Run
        It is completed; its ``rounds`` and ``clients`` are data frames.

    Raises
    ------
    FedtwinError, KeyboardInterrupt
        As for `compare`.

    Examples
    --------
    >>> run = fedtwin.federate(["federation.num_clients=10", "strategy=fedprox"])
    """
    return _execute(settings, "federated", store=store)


def resume(run: int | Run, *, store: Place = None) -> Run:
    """Resume an interrupted centralized or federated run from its last completed epoch or round.

    Parameters
    ----------
    store : str or Path, optional
        See `compare`; not needed for a `Run`.

    Raises
    ------
    TrackingError
        There is no such run, or it is complete, still running, or a comparison.
    FedtwinError, KeyboardInterrupt
        As for `compare`.
    """
    run_id, home = id_and_home(run, store=store)
    _import_plainly()
    from simulations import execute

    with open_store(home) as opened:
        return Run(opened.runs.get(execute.resume(run_id, store=opened, home=home)), home)


def configure(settings: Settings = ()) -> Config:
    """Compose and check a configuration, without training.

    Parameters
    ----------
    settings : Config, str or sequence of str
        See `compare`.

    Raises
    ------
    ConfigError
        Names every setting that is wrong.

    Examples
    --------
    >>> cfg = fedtwin.configure("model=resnet18 data.image_size=64")
    >>> cfg.replace("trainer", max_epochs=3).trainer.max_epochs
    3
    """
    if isinstance(settings, Config):
        return settings
    if not isinstance(settings, str):
        return compose(list(settings))
    try:
        return compose(shlex.split(settings))
    except ValueError as error:
        raise ConfigError(f"{settings!r} cannot be split into overrides: {error}") from None


def _execute(settings: Settings, mode: Mode, *, store: Place) -> Run:
    cfg = configure(settings)
    for target in cfg.targets:  # whoever calls us has named them
        allow_component(target)
    home = open_home(cfg.tracking) if store is None else find_home(store)
    cfg = cfg.replace("tracking", home=str(home.root), database_url=home.database_url)
    _import_plainly()
    from simulations.execute import execute

    command = f"fedtwin.{'train' if mode == 'centralized' else mode}"
    with open_store(home) as opened:
        return Run(opened.runs.get(execute(cfg, mode, store=opened, home=home, command=command)), home)


def _import_plainly() -> None:
    # Our fast way hides SciPy and Matplotlib from torchmetrics, which a notebook may also use for itself.
    import torchmetrics  # noqa: F401
