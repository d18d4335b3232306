"""`statistics`: what sites tell of their training rows, of data with a partition or of a run's clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedtwin.places import Place, find_home, open_store
from fedtwin.reading import with_path
from fedtwin.records import Run, id_and_home
from fedtwin.training import Settings, configure
from shared.config.config import Config
from shared.data.profile import Profile
from shared.data.statistics import Statistics, federated_statistics
from shared.runtime.components import allow_component
from shared.runtime.errors import TrackingError
from shared.runtime.home import open_home

if TYPE_CHECKING:
    from shared.data.dataset import Dataset

MIN_COUNT = 5  # where the data has no setting for it


def statistics(
    what: int | Run | str | Path | None = None, settings: Settings = (), *, store: Place = None
) -> Statistics:
    """Federated statistics: rows, labels, and mean and deviation of numeric columns, by site and together.

    They come from sums that sites tell before training, never from rows: sites with fewer training rows than
    ``data.min_count`` are left out, and so are smaller counts.

    Parameters
    ----------
    what : int, Run, str or Path, optional
        A federated run, whose clients have told theirs (those of a deployment too); or a path of data, which is
        divided by ``partition``.
    settings : Config, str or sequence of str
        Of the data and its partition; see `fedtwin.compare`.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    TrackingError
        There is no such run, or it has no clients.
    DataError
    ConfigError
    """
    if isinstance(what, int | Run):
        return _of_run(what, store=store)
    return _of_data(configure(with_path(settings, what)), store=store)


def _of_run(run: int | Run, *, store: Place) -> Statistics:
    run_id, home = id_and_home(run, store=store)
    with open_store(home) as opened:
        row, clients = opened.runs.get(run_id), opened.clients.of_run(run_id)
    if not clients:
        raise TrackingError(
            f"run {run_id} has no clients that told of their rows; choose a federated run (fedtwin runs "
            "--mode federated)"
        )
    return federated_statistics(
        {client.name: Profile.from_dict(client.profile) for client in clients},
        sizes={client.name: client.num_examples for client in clients},
        min_count=(row.config.get("data") or {}).get("min_count", MIN_COUNT),
    )


def _of_data(cfg: Config, *, store: Place) -> Statistics:
    from shared.data.partition.partition import client_names, partition
    from shared.tasks.task import load_task

    for target in cfg.targets:  # whoever calls us has named them
        allow_component(target)
    home = open_home(cfg.tracking) if store is None else find_home(store)
    task = load_task(cfg.task)
    data = task.learner(cfg).dataset(cache=home.cache)
    spec, shares = task.spec(data.schema), cfg.shares
    clients = _sites(cfg, data)
    names = client_names(data, cfg=shares, num_partitions=clients)
    if shares.name == "natural":
        shares = shares.model_copy(update={"min_examples": 0})  # small sites tell nothing
    parts = partition(data, cfg=shares, num_partitions=clients)
    rows = {name: data.rows("train", own) for name, own in zip(names, parts, strict=True)}
    return federated_statistics(
        {name: spec.profile(data, own) for name, own in rows.items()},
        sizes={name: len(own) for name, own in rows.items()},
        min_count=getattr(cfg.data, "min_count", MIN_COUNT),
    )


def _sites(cfg: Config, data: Dataset) -> int:
    """As many as a natural partition has, whatever the default of the federation is."""
    values = data.columns.get(cfg.partition.column)
    if cfg.partition.name != "natural" or values is None:
        return cfg.federation.num_clients
    return len({*values[data.splits != "test"].tolist()})
