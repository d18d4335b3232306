"""``fedtwin follow``: sends all runs of this home to an external tracker, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import Namespace
from types import FrameType

from service.integrations.follower import Follower
from service.integrations.mlflow import MLflow
from service.integrations.tensorboard import TensorBoard
from service.integrations.tracker import Tracker, TrackerRefused
from service.integrations.wandb import WandB
from shared.runtime.errors import ConfigError, bullet_list
from shared.runtime.home import open_home
from shared.tracking.store import Store


def run_command(options: Namespace) -> None:
    """Follow; exits with status 130, like the other commands that run until Ctrl-C.

    Raises
    ------
    FedtwinError
        Of ``--once`` also where the tracker is away or refuses a run.
    """
    tracker = _tracker(options)
    home = open_home()
    stop = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()

    with Store(home.database_url) as store:
        store.runs.settle(home.journals)  # also fails early if the database cannot be used
        follower = Follower(store, tracker, home=home, say=_say, after=options.after)
        if options.once:
            with store.follows.alone(tracker.target):
                refused = follower.catch_up()
            if refused:
                raise TrackerRefused("not all runs were sent:\n" + bullet_list(refused))
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        if options.with_parent:
            threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
        _say(f"{tracker.target}: following the runs of {home.root}")
        follower.follow(stop)
    print("stopped", file=sys.stderr)
    sys.exit(130)


def _tracker(options: Namespace) -> Tracker:
    experiment = options.experiment or "fedtwin"
    if options.tracker == "mlflow":
        uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if options.folder is not None:
            raise ConfigError("--folder is for tensorboard and wandb; mlflow has --tracking-uri")
        if not uri:
            raise ConfigError("where is the MLflow server? Pass --tracking-uri http://HOST:5000")
        return MLflow(uri, experiment=experiment)
    if options.tracking_uri is not None:
        raise ConfigError("--tracking-uri is for mlflow; tensorboard and wandb have --folder")
    if options.folder is None:
        reader = "wandb sync" if options.tracker == "wandb" else "tensorboard --logdir FOLDER"
        raise ConfigError(f"where to? Pass --folder FOLDER, which {reader} reads")
    if options.tracker == "wandb":
        return WandB(options.folder, project=experiment)
    if options.experiment is not None:
        raise ConfigError("--experiment is for mlflow and wandb; tensorboard has --folder")
    return TensorBoard(options.folder)


def _end_with_input(stop: threading.Event) -> None:
    # The server that started this process holds the other end, however it ends.
    os.read(0, 1)
    stop.set()


def _say(line: str) -> None:
    print(line, flush=True)
