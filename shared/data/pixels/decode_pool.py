"""Processes that decode images: `decode_files` feeds them rows, `main` is what each of them runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from shared.data.pixels.decode import decode_rows
from shared.data.progress import progress_bar
from shared.runtime.errors import DataError

_INLINE_BELOW = 64  # images; starting processes takes longer than decoding these
_SMALLEST_TASK, _LARGEST_TASK = 16, 512  # images: worth opening the ZIP for, and done soon after Ctrl-C

Worker = subprocess.Popen[str]


def decode_files(
    root: Path, *, names: Mapping[int, str], out: Path, workers: int | None = None, progress: bool = False
) -> dict[int, str]:
    """Decode files into the rows of a ``.npy`` file, in parallel.

    The processes are commands of their own and not `multiprocessing`'s: fork does not go with the threads of
    torch and gRPC, and spawn would run the caller's main module again in each of them.

    Parameters
    ----------
    root, names, out
        See `shared.data.pixels.decode.decode_rows`.
    workers : int, optional
        Processes; one a core if None. Few images, and all with 1, are decoded in this process.
    progress : bool
        Draw a bar on stderr.

    Returns
    -------
    dict of int to str
        Why a row could not be decoded; such a row is left as it was.

    Raises
    ------
    DataError
        A decoding process died.
    """
    workers = workers or available_cores()
    length = min(max(len(names) // (workers * 8), _SMALLEST_TASK), _LARGEST_TASK)
    items = list(names.items())
    tasks = [dict(items[start : start + length]) for start in range(0, len(items), length)]
    bad: dict[int, str] = {}
    with progress_bar("decoding images", total=len(items), show=progress) as advance:
        if workers == 1 or len(items) < _INLINE_BELOW:
            for task in tasks:
                bad.update(decode_rows(root, names=task, out=out))
                advance(len(task))
            return bad
        with ExitStack() as stack:
            started = [stack.enter_context(_start(root, out)) for _ in range(min(workers, len(tasks)))]
            queue: SimpleQueue[dict[int, str]] = SimpleQueue()
            for task in tasks:
                queue.put(task)
            threads = stack.enter_context(ThreadPoolExecutor(len(started)))
            try:
                for done in as_completed([threads.submit(_feed, worker, queue, advance) for worker in started]):
                    bad.update(done.result())
            except BaseException:
                for worker in started:  # which ends the threads that wait for an answer
                    worker.kill()
                raise
    return bad


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> None:
    """Decode what comes on stdin, a task a line, until it ends; it ends with the parent, however that dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the parent ends this one
    root, out = map(Path, sys.argv[1:])
    for line in sys.stdin:
        names = {int(row): name for row, name in json.loads(line).items()}
        print(json.dumps(decode_rows(root, names=names, out=out)), flush=True)


def _start(root: Path, out: Path) -> Worker:
    # -P: the working directory may hold another folder `shared`; what can be imported here can be there.
    command = [sys.executable, "-P", "-m", "shared.data.pixels.decode_pool", str(root), str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def _feed(worker: Worker, queue: SimpleQueue[dict[int, str]], advance: Callable[[int], None]) -> dict[int, str]:
    bad: dict[int, str] = {}
    with suppress(Empty):
        while True:
            task = queue.get_nowait()
            bad.update(_ask(worker, task))
            advance(len(task))
    return bad


def _ask(worker: Worker, task: dict[int, str]) -> dict[int, str]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(json.dumps(task) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
    except BrokenPipeError:
        answer = ""
        with suppress(BrokenPipeError):
            worker.stdin.close()  # else the bytes that are left raise once more when the process is tidied up
    if not answer:
        raise DataError(
            f"a process that decodes images ended with {worker.wait()}, perhaps for lack of memory; "
            "use fewer processes (data.decode_workers=1 decodes in the calling one)"
        )
    return {int(row): reason for row, reason in json.loads(answer).items()}


if __name__ == "__main__":
    main()
