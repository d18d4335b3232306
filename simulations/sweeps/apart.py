"""Trials whose workers have no database of the sweep's: their results come back through Dask, as data."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import get_args

import psutil

from shared.config.config import Config
from shared.runtime.errors import FedtwinError
from shared.runtime.files import replacing
from shared.runtime.home import Home, is_shared, open_home
from shared.tracking.model_card import weights_path
from shared.tracking.received import receive_trial
from shared.tracking.rows import RunRow
from shared.tracking.run_bundle import BundledRun, BundleError, pack_runs, read_runs
from shared.tracking.store import Store
from shared.tracking.twins import family
from simulations.sweeps.order import LOG_FILE, Outcome, OutcomeStatus, Results

_TRIALS = "trials"  # in a worker's home: a folder for each process that trains one
_MOST_LOG = 2**20  # bytes of the end of a log
_NAME = re.compile(r"([1-9][0-9]{0,9})/(trial\.log|checkpoints/[A-Za-z0-9_-]{1,40}\.(?:safetensors|ckpt))")


def reaches(database_url: str, sweep_id: int, started: str) -> bool:
    """Whether this process can write to the database of a sweep; a worker is asked.

    Parameters
    ----------
    started : str
        When the sweep's run was begun: another database may have a run of the same number.
    """
    if database_url.startswith("sqlite:///") and not Path(database_url.removeprefix("sqlite:///")).is_file():
        return False
    try:
        with Store(database_url) as store:
            run = store.runs.find(sweep_id)
            same = run is not None and run.started.isoformat() == started
            return same and store.database.read_only is None
    except FedtwinError:
        return False


@contextmanager
def own_home() -> Iterator[Home]:
    """A home of this process alone, with a database of its own and the worker's decoded data.

    It is removed with the block; what a process left that was killed, by the next.

    Raises
    ------
    ConfigError
        The worker's home cannot be created.
    """
    worker = open_home()
    worker.cache.mkdir(parents=True, exist_ok=True)
    trials = worker.root / _TRIALS
    root = trials / str(os.getpid())
    for left in [*trials.glob("*"), root]:
        if left == root or not (left.name.isdecimal() and psutil.pid_exists(int(left.name))):
            shutil.rmtree(left, ignore_errors=True)
    root.mkdir(parents=True)
    try:
        (root / worker.cache.name).symlink_to(worker.cache, target_is_directory=True)
        yield Home(root, f"sqlite:///{root / 'fedtwin.db'}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


class OwnTwins:
    """Each comparison trains its pooled twin itself: what other workers have trained is not here."""

    def run_of(self, cfg: Config, *, train: Callable[[Config, RunRow | None], int], wait: bool) -> int | None:
        """See `simulations.twins.PooledTwins.run_of`."""
        return train(cfg, None)


def pack_results(store: Store, run_id: int, *, home: Home, keep_models: bool) -> Results:
    """What a completed trial has written: its runs with their rows, the end of its log, and models if asked.

    Parameters
    ----------
    home : Home
        With the log in its folder.
    """
    files = {}
    with suppress(OSError):
        files[f"{run_id}/{LOG_FILE}"] = (home.root / LOG_FILE).read_bytes()[-_MOST_LOG:]
    for run in family(store, run_id) if keep_models else ():
        if (path := weights_path(home, run)) is not None:
            files[f"{run.id}/checkpoints/{path.name}"] = path.read_bytes()
    return Results(pack_runs(store, run_id), files)


def outcome_problem(outcome: object, *, number: int) -> str | None:
    """What is wrong with what a worker said of a trial; None if nothing is."""
    if not isinstance(outcome, Outcome) or outcome.number != number:
        return f"expected the outcome of trial {number}, got {type(outcome).__name__}"
    numbers = (outcome.seconds, outcome.processor_seconds)
    if not all(isinstance(one, float | int) and math.isfinite(one) and one >= 0 for one in numbers):
        return f"the outcome of trial {number} has no seconds: {numbers!r:.80}"
    if outcome.status not in get_args(OutcomeStatus) or not isinstance(outcome.error, str | None):
        return f"the outcome of trial {number} is not one of {', '.join(get_args(OutcomeStatus))}"
    return None


def keep_results(
    results: Results | None, *, sweep_id: int, number: int, mode: str, store: Store, home: Home
) -> dict[int, int] | None:
    """Write what a worker has sent, and that the trial is completed, once.

    Parameters
    ----------
    mode : str
        What the trial trains.

    Returns
    -------
    dict of int to int, or None
        See `shared.tracking.received.receive_trial`.

    Raises
    ------
    BundleError
        It is not what a trial of this sweep writes; nothing is written.
    """
    if not isinstance(results, Results) or not isinstance(results.files, Mapping):
        raise BundleError(f"expected the results of a trial, got {type(results).__name__}")
    runs = read_runs(results.runs)
    if runs[0].training_mode != mode:
        raise BundleError(f"trial {number} is a {mode} run, but {runs[0].training_mode} came back")
    _check_files(results.files, runs)

    def place(ids: Mapping[int, int]) -> None:
        for name, content in results.files.items():
            key, _, path = name.partition("/")
            file = home.run_dir(ids[int(key)]) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file, mode=0o666 if is_shared() else 0o600) as opened:
                opened.write(content)

    return receive_trial(store.database, sweep_id, number, runs, place=place)


def _check_files(files: Mapping[str, bytes], runs: Sequence[BundledRun]) -> None:
    keys = {str(one.key) for one in runs}
    for name, content in files.items():
        found = _NAME.fullmatch(name) if isinstance(name, str) else None
        if found is None or found[1] not in keys or not isinstance(content, bytes):
            raise BundleError(f"a trial sends its log and chosen models alone, got a file {name!r:.80}")
