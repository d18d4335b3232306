"""Processes that decode images: `decode_files` feeds them rows, `main` is what each of them runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from shared.data.pixels.decode import decode_rows
from shared.data.pixels.files import open_reader
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.work import Work, allowed_work, too_much
from shared.data.progress import progress_bar
from shared.runtime.errors import DataError

_INLINE_BELOW = 64  # images; starting processes takes longer than decoding these
_LOCK = "large.lock"  # beside the images, while they are decoded
_SMALLEST_TASK, _LARGEST_TASK = 16, 512  # images: worth opening the ZIP for, and done soon after Ctrl-C

Worker = subprocess.Popen[str]


def decode_files(
    root: Path,
    *,
    names: Mapping[int, str],
    out: Path,
    rules: PixelRules,
    workers: int | None = None,
    progress: bool = False,
) -> dict[int, str]:
    """Decode files into the rows of a ``.npy`` file, in parallel.

    The processes are commands of their own and not `multiprocessing`'s: fork does not go with the threads of
    torch and gRPC, and spawn would run the caller's main module again in each of them.

    Parameters
    ----------
    root, names, out, rules
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
        A decoding process died, or more is decoded than ``data.max_image_ratio`` allows.
    """
    workers = workers or available_cores()
    length = min(max(len(names) // (workers * 8), _SMALLEST_TASK), _LARGEST_TASK)
    items = list(names.items())
    tasks = [dict(items[start : start + length]) for start in range(0, len(items), length)]
    bad: dict[int, str] = {}
    total = _Total(root, allowed_work(root, names.values(), rules), rules)
    with progress_bar("decoding images", total=len(items), show=progress) as advance:
        if workers == 1 or len(items) < _INLINE_BELOW:
            with open_reader(root) as read:
                for task in tasks:
                    work = Work(total.left)
                    bad.update(decode_rows(read, names=task, out=out, rules=rules, work=work))
                    total.add(work.done)
                    advance(len(task))
            return bad
        with ExitStack() as stack:
            started = [stack.enter_context(_start(root, out, rules)) for _ in range(min(workers, len(tasks)))]
            queue: SimpleQueue[dict[int, str]] = SimpleQueue()
            for task in tasks:
                queue.put(task)
            threads = stack.enter_context(ThreadPoolExecutor(len(started)))
            try:
                for done in as_completed(
                    [threads.submit(_feed, worker, queue, advance, total) for worker in started]
                ):
                    bad.update(done.result())
            except BaseException:
                for worker in started:  # which ends the threads that wait for an answer
                    worker.kill()
                raise
    out.with_name(_LOCK).unlink(missing_ok=True)
    return bad


class _Total:
    # What all processes have decoded.
    def __init__(self, root: Path, allowance: int, rules: PixelRules) -> None:
        self.root, self.rules, self.allowance, self.left = root, rules, allowance, allowance
        self._lock = threading.Lock()

    def add(self, done: int) -> None:
        with self._lock:
            self.left -= done
        if self.left < 0:
            raise too_much(self.root, self.allowance, self.rules)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> None:
    """Decode what comes on stdin, a task a line, until it ends; it ends with the parent, however that dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the parent ends this one
    root, out = map(Path, sys.argv[1:3])
    rules = PixelRules.from_json(sys.argv[3])
    with open_reader(root) as read:  # once: the directory of a large ZIP takes seconds
        for line in sys.stdin:
            task = json.loads(line)
            names = {int(row): name for row, name in task["names"].items()}
            work = Work(task["allowance"], lock=out.with_name(_LOCK))
            bad = decode_rows(read, names=names, out=out, rules=rules, work=work)
            print(json.dumps({"bad": bad, "done": work.done}), flush=True)


def _start(root: Path, out: Path, rules: PixelRules) -> Worker:
    # -P: the working directory may hold another folder `shared`; what can be imported here can be there.
    command = [sys.executable, "-P", "-m", "shared.data.pixels.decode_pool", str(root), str(out)]
    command.append(rules.to_json())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def _feed(
    worker: Worker, queue: SimpleQueue[dict[int, str]], advance: Callable[[int], None], total: _Total
) -> dict[int, str]:
    bad: dict[int, str] = {}
    with suppress(Empty):
        while True:
            task = queue.get_nowait()
            bad.update(_ask(worker, task, total))
            advance(len(task))
    return bad


def _ask(worker: Worker, task: dict[int, str], total: _Total) -> dict[int, str]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(json.dumps({"names": task, "allowance": total.left}) + "\n")
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
    told = json.loads(answer)
    total.add(told["done"])
    return {int(row): reason for row, reason in told["bad"].items()}


if __name__ == "__main__":
    main()
