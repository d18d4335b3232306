"""`RayCluster`: a Ray cluster that runs already as the place where attempts of jobs run, by its Jobs API.

Plain HTTP to the cluster's dashboard, so that a worker needs no Ray. On the node, `service.jobs.leased` starts
the process group with its guard, and hears by the database whether the worker still has the job. What Ray shows
of a Ray job holds no secret: numbers of job and attempt, and limits of time.
"""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from service.jobs.attempt import died
from shared.runtime.errors import BackendAway, ConfigError
from shared.tracking.fence import Fence
from shared.tracking.job_errors import PROCESS_DIED, JobFailure, job_failure
from shared.tracking.job_rows import JobRow
from shared.tracking.workers import Cluster

TOKEN = "RAY_AUTH_TOKEN"  # Ray's own name for it
_DIED = -9  # what is made of an attempt whose end nobody saw: as if it had been killed
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_LOOK_S = 0.5
_ANSWER_S = 5.0
_SUBMIT_S = 15.0  # the head node first looks for its agent
_LEFT_S = 5.0  # for `leased` to end what it runs, before Ray kills both


class RayCluster:
    """The backend of jobs that are trained as Ray jobs.

    Parameters
    ----------
    address : str
        Of the dashboard, such as ``http://host:8265``.
    cpus, gpus : int
        What each job reserves. With none, Ray runs it on the head node.

    Raises
    ------
    ConfigError
        No Ray cluster answers.
    """

    name = "ray"

    def __init__(self, address: str, *, cpus: int, gpus: int) -> None:
        self.address = address.rstrip("/")
        self._reserved = {"entrypoint_num_cpus": cpus, "entrypoint_num_gpus": gpus}
        expected = "expected an address such as http://host:8265"
        try:
            url = httpx.URL(self.address)
        except httpx.InvalidURL as error:
            raise ConfigError(f"--ray {address[:200]!r}: {expected} ({error})") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"--ray {address[:200]!r}: {expected}, that of Ray's dashboard")
        if url.userinfo:
            raise ConfigError(f"--ray: the address is shown to others; a token of Ray's is given by {TOKEN}")
        token = os.environ.get(TOKEN)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        # Asked now and then, for days: no connection is kept.
        once = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, headers=headers, limits=once)
        try:
            self._ask("GET", "/api/version")
        except BackendAway as error:
            raise ConfigError(
                f"--ray {self.address!r}: {error}; {expected}, of a cluster with ray[default]"
            ) from None

    def cluster(self) -> Cluster:
        """Its nodes and their resources, as Ray's own scheduler counts them."""
        try:
            found = self._ask("GET", "/api/cluster_status") or {}
        except BackendAway as error:
            return Cluster(self.address, problem=str(error))
        status = (found.get("data") or {}).get("clusterStatus") or {}
        usage, report = (status.get("loadMetricsReport") or {}).get("usage"), status.get("autoscalerReport")
        if not usage or not report:
            return Cluster(self.address)  # in its first seconds
        cpus, gpus, memory = (usage.get(name, (0.0, 0.0)) for name in ("CPU", "GPU", "memory"))
        return Cluster(
            self.address,
            nodes=sum(sum((report.get(kind) or {}).values()) for kind in ("activeNodes", "idleNodes")),
            cpus=cpus[1],
            cpus_free=cpus[1] - cpus[0],
            gpus=gpus[1],
            gpus_free=gpus[1] - gpus[0],
            memory=int(memory[1]),
        )

    def start(self, row: JobRow, *, silence_s: float, grace_s: float, command: Sequence[str]) -> RayAttempt:
        """Submit the present attempt of a job; one that Ray has from before is stopped.

        Raises
        ------
        BackendAway
            The cluster does not answer, or refuses it.
        """
        # The time tells jobs of two databases apart whose workers share a cluster.
        job = f"fedtwin-{row.id}-{int(row.created.timestamp() * 1e6):x}-"
        submission = f"{job}{row.attempt}"
        if row.attempt > 1:
            for earlier in self._ask("GET", "/api/jobs/") or ():
                name = earlier.get("submission_id") or ""
                if name.startswith(job) and earlier["status"] not in _ENDED:
                    self.stop(name)  # its own look at the database ends it too; nobody waits for it
        here = ["python", "-P", "-m", "service.jobs.leased", str(Fence(row.id, row.attempt))]
        body = {
            "submission_id": submission,
            "entrypoint": shlex.join([*here, str(silence_s), str(grace_s), *command]),
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(grace_s + _LEFT_S))}},
            **self._reserved,
        }
        try:
            self._ask("POST", "/api/jobs/", body=body, timeout=_SUBMIT_S)
        except BackendAway:
            if self.find(submission) is None:  # else the answer alone was lost
                raise
        return RayAttempt(self, submission, grace_s=grace_s, away_s=silence_s)

    def find(self, submission: str) -> dict[str, Any] | None:
        """What Ray knows of a Ray job; None if nothing.

        Raises
        ------
        BackendAway
        """
        found: dict[str, Any] | None = self._ask("GET", f"/api/jobs/{submission}")
        return found

    def stop(self, submission: str) -> None:
        """Ask Ray to end a Ray job: SIGTERM to its processes, later SIGKILL.

        Raises
        ------
        BackendAway
        """
        self._ask("POST", f"/api/jobs/{submission}/stop")

    def _ask(self, method: str, path: str, *, body: Any = None, timeout: float = _ANSWER_S) -> Any:
        # The answer's JSON; None for what is not there. Errors become those of jobs, whose readers are not told
        # the address.
        try:
            response = self._http.request(method, path, json=body, timeout=timeout)
            if response.status_code == 404:
                return None
            if response.is_error:
                lines = response.text.strip().splitlines() or [""]
                raise BackendAway(f"the Ray cluster answers {response.status_code}: {lines[-1][:300]}")
            return response.json()
        except (httpx.HTTPError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise BackendAway(f"the Ray cluster does not answer: {why[:200]}") from None


class RayAttempt:
    """An attempt that is a Ray job; the same methods as `service.jobs.attempt.Attempt`.

    Parameters
    ----------
    submission : str
        Its id.
    grace_s : float, seconds
        Between SIGTERM and SIGKILL.
    away_s : float, seconds
        After so long without an answer of the cluster, it counts as lost.
    """

    def __init__(self, cluster: RayCluster, submission: str, *, grace_s: float, away_s: float) -> None:
        self._cluster, self.submission = cluster, submission
        self._grace_s, self._away_s = grace_s, away_s
        self._heard, self._looked = time.monotonic(), float("-inf")
        self._code: int | None = None
        self._failure: JobFailure | None = None

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it waits for a node, and while it runs."""
        now = time.monotonic()
        if self._code is None and now - self._looked >= _LOOK_S:
            self._look(now)
            self._looked = time.monotonic()
        return self._code

    def beat(self) -> None:
        """Nothing: the node reads the lease that the worker has just extended."""

    def terminate(self) -> None:
        """Ask the training to stop; it ends its run as stopped."""
        with suppress(BackendAway):
            self._cluster.stop(self.submission)

    def wait_or_kill(self) -> None:
        """Wait for the grace time, after which the node kills the group."""
        self._wait(self._grace_s + 2 * _LEFT_S)

    def kill(self) -> None:
        """End what is left: the node does so by itself, as it finds the job ended or overtaken; if not, Ray."""
        self._wait(_LEFT_S)
        if self.returncode is None:
            self.terminate()
            self._wait(_LEFT_S)

    def failure(self) -> JobFailure:
        """It ended without a word, or the cluster did."""
        return self._failure or died(self.returncode or 0)

    def _look(self, now: float) -> None:
        try:
            found = self._cluster.find(self.submission)
        except BackendAway as error:
            if now - self._heard > self._away_s:
                self._code, self._failure = _DIED, job_failure(error)
            return
        self._heard = now
        if found is None:
            gone = f"the Ray cluster does not know {self.submission} any more: was it started again?"
            self._code, self._failure = _DIED, job_failure(BackendAway(gone))
        elif found["status"] in _ENDED:
            code = found.get("driver_exit_code")
            self._code = code if code is not None else 0 if found["status"] == "SUCCEEDED" else _DIED
            lines = (found.get("message") or "").strip().splitlines() or [""]
            what = died(self._code).error if code is not None else "it ended"
            told = f"{what} (Ray job {self.submission}, {found['status']}: {lines[-1][:300]})"
            self._failure = JobFailure(PROCESS_DIED, told, True)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.returncode is None and time.monotonic() < until:
            time.sleep(0.05)
