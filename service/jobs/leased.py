"""``python -m service.jobs.leased JOB:ATTEMPT SILENCE_S GRACE_S COMMAND...``: an attempt on a cluster's node.

Its worker, on another machine, reaches it by the database alone: each time that the worker extends the lease of
the job, the guard hears a heartbeat. An attempt that was taken over is killed. SIGTERM is passed on; after the
grace time, the group is killed. The node's own ``FEDTWIN_HOME`` and ``FEDTWIN_DATABASE_URL`` are used.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

from service.jobs.attempt import LOG_FILE, Attempt
from shared.runtime.errors import FedtwinError, TrackingError
from shared.runtime.home import keep_private, open_home
from shared.runtime.secrets import without_secrets
from shared.tracking.fence import Fence, Overtaken
from shared.tracking.store import Store

_LOOK_S = 0.5
# With these a training's own Ray, in Flower's simulation, would become a part of the cluster.
_OF_CLUSTER = ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR")


def main(arguments: list[str]) -> int:
    """Run the attempt to its end.

    Returns
    -------
    int
        Its exit status; 1 where it could not begin.
    """
    fence = Fence.parse(arguments[0])
    silence_s, grace_s, command = float(arguments[1]), float(arguments[2]), arguments[3:]
    for name in _OF_CLUSTER:
        os.environ.pop(name, None)
    stopped: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.append(signum)

    signal.signal(signal.SIGTERM, stop)
    keep_private()
    try:
        home = open_home()
        with Store(home.database_url) as store:
            held = store.queue.lease_of(fence)  # one that waited for the cluster too long may not begin
            print(f"output: {home.job_dir(fence.job_id) / LOG_FILE}", flush=True)
            attempt = Attempt(fence, home=home, silence_s=silence_s, grace_s=grace_s, command=command)
            try:
                while attempt.returncode is None and not stopped:
                    time.sleep(_LOOK_S)
                    try:
                        lease = store.queue.lease_of(fence)
                    except Overtaken:
                        row = store.jobs.get(fence.job_id)
                        if not row.finished:
                            raise
                        attempt.wait_or_kill()  # it has written the job's end, and is about to exit
                        return int(row.status != "completed")
                    except TrackingError:
                        continue  # no heartbeat: the guard decides
                    if lease != held:
                        held = lease
                        attempt.beat()
                if stopped:
                    attempt.terminate()
                    attempt.wait_or_kill()
            finally:
                attempt.kill()
    except (FedtwinError, OSError) as error:
        print(f"error: {without_secrets(str(error))}", file=sys.stderr)  # whoever reaches Ray reads it
        return 1
    return attempt.returncode or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
