"""`AutoResumer`: on a deployment's server, resumes runs that lost their ServerApp or their SuperLink."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from federated.kit.files import PRIVATE, make_folder
from federated.kit.server_kit import ServerKit, superlink_answers
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.rows import INTERRUPTED, RunRow
from shared.tracking.store import Store

LOOK_EVERY_S = 2.0
RECENT = timedelta(days=1)  # nobody waits for a run that was interrupted before
TRIES = 3  # without a new round
PATIENCE_S = 30.0  # until a database that could not be reached is asked again


class AutoResumer:
    """Looks for interrupted runs of this kit, and starts ``fedtwin resume`` for one at a time.

    Parameters
    ----------
    home : Home
        Whose database has the runs.
    say : callable
        Takes a line about what happens.
    """

    def __init__(
        self, kit: ServerKit, *, home: Home, say: Callable[[str], None] = lambda line: print(line, flush=True)
    ) -> None:
        self.kit, self.home, self.say = kit, home, say
        self.log = kit.state / "log" / "resume.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._due = 0.0
        self._tries: dict[int, tuple[int, int]] = {}  # run to the rounds it had and how often it was tried then

    def __enter__(self) -> AutoResumer:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None and self.process.poll() is None:
            # Not Ctrl-C, which would stop the run: it is resumed when the server is back.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tick(self) -> None:
        """Look, now and then; called a few times a second."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_EVERY_S
        if self.process is not None:
            if (status := self.process.poll()) is None:
                return
            self.say(f"`fedtwin resume` ended with status {status}: {self.log}")
            self.process = None
        try:
            with Store(self.home.database_url) as store:
                store.runs.settle(self.home.journals)
                lost = store.runs.search(mode="federated", status="failed", stop_reason=INTERRUPTED)
                waiting = [(run, len(store.rounds.of_run(run.id))) for run in lost if self._mine(run)]
        except (TrackingError, SQLAlchemyError) as error:  # the sites are to stay connected all the same
            self.say(f"cannot look for interrupted runs: {str(error).partition(chr(10))[0]}")
            self._due = time.monotonic() + PATIENCE_S
            return
        for run, rounds in waiting:
            before, tries = self._tries.get(run.id, (rounds, 0))
            tries = tries if before == rounds else 0
            if tries < TRIES and superlink_answers(self.kit):
                self._tries[run.id] = rounds, tries + 1
                self.say(
                    f"run {run.id} was interrupted after round {rounds} ({run.error}): "
                    f"resuming, attempt {tries + 1} of {TRIES}"
                )
                self.process = self._start(run)
                return

    def _mine(self, run: RunRow) -> bool:
        kit = run.config.get("federation", {}).get("kit")
        if kit is None or run.ended is None or datetime.now(UTC) - run.ended > RECENT:
            return False
        return Path(kit).expanduser().resolve() == self.kit.folder.resolve()

    def _start(self, run: RunRow) -> subprocess.Popen[bytes]:
        make_folder(self.log.parent)
        with self.log.open("ab") as log:
            self.log.chmod(PRIVATE)
            return subprocess.Popen(
                [sys.executable, "-m", "fedtwin", "resume", str(run.id)],
                cwd=make_folder(self.log.parent / "empty"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
