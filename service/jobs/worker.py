"""`Worker`: claims jobs one after the other and runs each on its backend, where it keeps and ends it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from service.jobs.attempt import COMMAND, ThisMachine
from service.jobs.backend import Backend, Running
from shared.runtime.errors import BackendAway, TrackingError
from shared.runtime.home import Home
from shared.tracking.fence import Fence, Overtaken
from shared.tracking.job_errors import job_failure
from shared.tracking.job_queue import LEASE_S, JobQueue
from shared.tracking.job_rows import JobRow
from shared.tracking.store import Store

POLL_S = 1.0
GRACE_S = 15.0
_TICK_S = 0.2


class Worker:
    """Runs one job at a time, until it is stopped; any number of workers share a database.

    Parameters
    ----------
    say : callable
        Takes a line about what it does.
    lease_s : float, seconds
        How long the job of a worker that is silent stays its own.
    poll_s : float, seconds
        How often it looks for jobs, and whether the one that runs is to be cancelled.
    grace_s : float, seconds
        What a job that is stopped has for it, before it is killed; at most half the lease.
    command : sequence of str
        See `Attempt`.
    backend : Backend, optional
        Where attempts run; by default, in processes of this machine. While it does not answer, no job is
        claimed.
    """

    def __init__(
        self,
        store: Store,
        *,
        home: Home,
        say: Callable[[str], None],
        lease_s: float = LEASE_S,
        poll_s: float = POLL_S,
        grace_s: float = GRACE_S,
        command: Sequence[str] = COMMAND,
        backend: Backend | None = None,
    ) -> None:
        self._store, self._home, self._say = store, home, say
        self._queue = JobQueue(store.database, lease_s=lease_s)
        self._command, self._backend = command, backend or ThisMachine(home)
        self._poll_s, self._grace_s = poll_s, min(grace_s, lease_s / 2)
        self._stopped = threading.Event()
        self._host, self._beaten, self._new = socket.gethostname(), float("-inf"), True
        self._problem: str | None = None  # why the backend could start nothing when it was last asked
        self.name = f"{self._host} {os.getpid()}"

    def stop(self) -> None:
        """Let `run` end soon; a job that is under way is stopped, and returns to the queue."""
        self._stopped.set()

    def run(self) -> None:
        """Claim and run jobs until `stop` is called."""
        away = False
        while not self._stopped.is_set():
            try:
                self._say_alive(None)
                self._store.schedules.queue_due()
                claims = self._problem is None
                row = self._queue.claim(self.name, backend=self._backend.name) if claims else None
                away = False
            except TrackingError as error:
                if not away:
                    self._say(f"no jobs can be claimed: {error}")
                away, row = True, None
            if row is None:
                self._stopped.wait(self._poll_s)
            else:
                self._attempt(row)
                self._beaten = float("-inf")  # idle again, which is to be seen at once
        with suppress(TrackingError):
            self._store.workers.leave(self.name)

    def _say_alive(self, job_id: int | None) -> None:
        """For those who look, as often as heartbeats are due; what a job needs is its own lease."""
        now = time.monotonic()
        if now - self._beaten < self._queue.lease_s / 3:
            return
        cluster = self._backend.cluster()
        problem = None if cluster is None else cluster.problem
        if problem != self._problem:
            self._say(f"no jobs are claimed: {problem}" if problem else "jobs are claimed again")
            self._problem = problem
        self._store.workers.beat(
            self.name,
            host=self._host,
            pid=os.getpid(),
            backend=self._backend.name,
            lease_s=self._queue.lease_s,
            job_id=job_id,
            new=self._new,
            cluster=cluster,
        )
        self._beaten, self._new = now, False

    def _attempt(self, row: JobRow) -> None:
        fence = Fence(row.id, row.attempt)
        self._say(f"job {row.id} ({row.mode}, {row.name}): attempt {row.attempt}")
        silence_s = self._queue.lease_s * 0.8  # before anybody else can have it
        try:
            limits = {"silence_s": silence_s, "grace_s": self._grace_s}
            attempt = self._backend.start(row, **limits, command=self._command)
        except (OSError, BackendAway) as error:  # no room for the log, no more processes; no cluster
            self._say(f"job {row.id}: cannot be started: {error}")
            with suppress(TrackingError):  # then its lease runs out
                self._queue.fail(fence, job_failure(error))
            self._stopped.wait(self._poll_s)
            return
        try:
            if self._watch(attempt, fence):
                attempt.terminate()
                attempt.wait_or_kill()
        except Overtaken:
            pass  # it has ended, or is another worker's: `_end` says which
        finally:
            attempt.kill()
        self._end(fence, attempt)

    def _watch(self, attempt: Running, fence: Fence) -> bool:
        """Wait until it has ended (False), or is to be stopped (True)."""
        beat_s, lease_s = self._queue.lease_s / 3, self._queue.lease_s
        held, looked = time.monotonic(), 0.0  # when the lease was last extended, and the job last read
        beaten = held - beat_s
        while attempt.returncode is None:
            now = time.monotonic()
            try:
                if now - beaten >= beat_s:
                    beaten = now
                    self._queue.heartbeat(fence)
                    held = now
                    attempt.beat()
                    self._beaten = float("-inf")
                    self._say_alive(fence.job_id)
                if now - looked >= self._poll_s:
                    looked = now
                    if self._queue.cancel_requested(fence):
                        return True
            except Overtaken:
                raise
            except TrackingError as error:
                if now - held > lease_s:  # it may be another worker's by now
                    self._say(f"job {fence.job_id}: its lease could not be extended: {error}")
                    return True
            if self._stopped.wait(_TICK_S):
                return True
        return False

    def _end(self, fence: Fence, attempt: Running) -> None:
        """Write how an attempt ended whose process has not done so itself."""
        until = time.monotonic() + self._queue.lease_s
        while True:
            try:
                status = self._write_end(fence, attempt)
                break
            except TrackingError as error:
                if time.monotonic() > until:  # the job returns to the queue when its lease is over
                    status = str(error)
                    break
                time.sleep(self._poll_s)
        self._say(f"job {fence.job_id}: {status}")

    def _write_end(self, fence: Fence, attempt: Running) -> str:
        row = self._store.jobs.get(fence.job_id)
        if row.attempt != fence.attempt or row.status != "running":
            return row.status if row.attempt == fence.attempt else f"attempt {fence.attempt} was taken over"
        self._store.runs.settle(self._home.journals)
        try:
            if row.cancel_requested:
                if row.run_id is not None:
                    self._store.runs.finish(row.run_id, "stopped", stop_reason="its job was cancelled")
                self._queue.cancelled(fence)
                if row.mode == "sweep" and row.run_id is not None:  # where it was killed, trials are open
                    self._store.trials.reopen(row.run_id, failed=False)
            elif self._stopped.is_set():
                self._queue.release(fence)
            else:
                self._queue.fail(fence, attempt.failure())
        except Overtaken as error:
            return str(error)
        return self._store.jobs.get(fence.job_id).status
