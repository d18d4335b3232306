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
from shared.tasks.settle import settle

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


def compare_runs(*runs: int | Run, settings: Sequence[str] = (), store: Place = None) -> Comparison:
    """Compare completed pooled and federated runs, without training; they are paired by their seed.

    Parameters
    ----------
    settings : sequence of str
        How they are compared: ``compare.confidence``, ``compare.resamples``, ``name``.
    store : str or Path, optional
        See `compare`; not needed for a `Run`.

    Raises
    ------
    TrackingError
        The runs are no twins: all reasons are named.
    FedtwinError

    Examples
    --------
    >>> pooled = fedtwin.train("seed=1")
    >>> for strategy in ("fedavg", "scaffold"):
    ...     print(fedtwin.compare_runs(pooled, fedtwin.federate(f"strategy={strategy} seed=1")))
    """
    if not runs:
        raise ConfigError("name the runs to compare: one pooled and one federated at least")
    found = [id_and_home(run, store=store) for run in runs]
    home = found[0][1]
    _import_plainly()
    from simulations.compare_stored import compare_stored

    with open_store(home) as opened:
        done = compare_stored(
            [run_id for run_id, _ in found],
            store=opened,
            home=home,
            settings=settings,
            command="fedtwin.compare_runs",
        )
        return Comparison.of(Run(opened.runs.get(done), home))


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


def resume(run: int | Run, settings: str | Sequence[str] = (), *, store: Place = None) -> Run:
    """Resume an interrupted run from its last completed epoch or round, or train a completed one for longer.

    Of a comparison or a sweep, what is finished stays, and what is missing is trained.

    Parameters
    ----------
    settings : str or sequence of str
        Changes such as ``federation.num_rounds=20`` (docs/reliability.md lists what may change).
    store : str or Path, optional
        See `compare`; not needed for a `Run`.

    Raises
    ------
    TrackingError
        There is no such run, or it is complete, still running, or a client of a comparison.
    ConfigError
        Other settings or rows than the run was begun with; the run stays as it was.
    FedtwinError, KeyboardInterrupt
        As for `compare`.
    """
    run_id, home = id_and_home(run, store=store)
    _import_plainly()
    from simulations import resuming

    changes = shlex.split(settings) if isinstance(settings, str) else list(settings)
    with open_store(home) as opened:
        if opened.runs.get(run_id).training_mode == "sweep":
            from simulations.sweeps.sweep import resume_sweep

            if changes:
                raise ConfigError(f"{changes[0]}: a sweep goes on with the settings of its plan")
            return Run(opened.runs.get(resume_sweep(run_id, store=opened, home=home)), home)
        done = resuming.resume(run_id, store=opened, home=home, settings=changes)
        return Run(opened.runs.get(done), home)


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
        return compose(settle(list(settings)))
    try:
        overrides = shlex.split(settings)
    except ValueError as error:
        raise ConfigError(f"{settings!r} cannot be split into overrides: {error}") from None
    return compose(settle(overrides))


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
