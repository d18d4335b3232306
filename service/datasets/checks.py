"""`Checks`: reads what was uploaded in processes of its own, before anything can be trained on it."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from service.dataset_limits import DatasetLimits
from service.registry.model_host import HostError, ModelHost
from shared.data.cache import drop_entries_of
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.datasets import DatasetRow
from shared.tracking.store import Store, TenantStore

COMMAND = ("-P", "-m", "fedtwin.dataset_check")
MOST_CHECKS = 2  # at once
OVER_LIMIT, INTERRUPTED = "over_limit", "interrupted"
CODES = {
    "ArchiveError": "archive",
    "MetadataError": "metadata",
    "ImageDecodeError": "images",
    "DataError": "data",
    "FedtwinError": "data",
    "DiskError": "disk",
    "MemoryError": "memory",
    "timeout": "timeout",
    "died": "check_died",
}
_BEYOND = re.compile(r"\bdata\.max_\w+=\S+ (is|are) allowed")
_log = logging.getLogger("fedtwin")


class Checks:
    """Checks datasets in the background, a few at a time and of a tenant one: it holds up no other."""

    def __init__(self, store: Store, *, home: Home, limits: DatasetLimits) -> None:
        self._store, self._home, self._limits = store, home, limits
        self._pool = ThreadPoolExecutor(MOST_CHECKS, thread_name_prefix="dataset-check")
        self._lock, self._hosts, self._closed = threading.Lock(), set[ModelHost](), False
        self._waiting: list[tuple[DatasetRow, Future[None]]] = []
        self._checked: set[str] = set()  # tenants one of whose datasets is being checked

    def begin(self, row: DatasetRow) -> Future[None]:
        """Check a dataset that has come; the future ends when its row says what was found."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((row, future))
            self._start()
        return future

    def _start(self) -> None:
        """Begin what may begin now; called with the lock."""
        for one in list(self._waiting):
            row, future = one
            if self._closed or len(self._checked) >= MOST_CHECKS:
                return
            if row.tenant not in self._checked:
                self._waiting.remove(one)
                self._checked.add(row.tenant)
                self._pool.submit(self._run, row, future)

    def _run(self, row: DatasetRow, future: Future[None]) -> None:
        try:
            self._check(row)
        except BaseException as error:  # whoever waits for it is told
            future.set_exception(error)
        else:
            future.set_result(None)
        finally:
            with self._lock:
                self._checked.discard(row.tenant)
                self._start()

    def close(self) -> None:
        """End the checks; the next server says that they were interrupted."""
        with self._lock:
            self._closed = True
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            for host in self._hosts:
                host.close()
        self._pool.shutdown(cancel_futures=True)

    def _check(self, row: DatasetRow) -> None:
        limit_s = self._limits.check_s
        host = ModelHost(self._home, timeout_s=limit_s, command=COMMAND, name="the process that read it")
        with self._lock:
            if self._closed:
                return
            self._hosts.add(host)
        asked = {
            "path": str(self._home.dataset_dir(row.id) / row.file_name),
            "format": row.format,
            "limits": self._limits.read,
            "most_bytes": self._limits.check_bytes,
        }
        try:
            try:
                found = host.ask(asked)
            except HostError as error:
                if not self._closed:
                    code = CODES.get(error.kind, "internal")
                    self._reject(row, OVER_LIMIT if _BEYOND.search(str(error)) else code, str(error))
                return
            about = {"kind": found.pop("kind"), "labelled": found.pop("labelled")}
            self._store.datasets.accept(row.id, found=found, **about)
        except TrackingError as error:  # the row says that it is being checked until the server is restarted
            _log.error("what was found in dataset %s cannot be stored: %s", row.name, error)
        finally:
            with self._lock:
                self._hosts.discard(host)
            host.close()

    def _reject(self, row: DatasetRow, code: str, error: str) -> None:
        remove_files(self._home, row)
        self._store.datasets.reject(row.id, code=code, error=error)


def remove_files(home: Home, row: DatasetRow) -> None:
    """Remove what a dataset has on disk, with what trainings decoded of it; nothing if that is nothing."""
    folder = home.dataset_dir(row.id)
    drop_entries_of(home.cache, source=folder / row.file_name)
    shutil.rmtree(folder, ignore_errors=True)


def delete_dataset(store: TenantStore, name: str, *, home: Home) -> None:
    """Delete a dataset with its files.

    Raises
    ------
    NoDataset
    DatasetInUse
    """
    row = store.datasets.begin_delete(name)
    remove_files(home, row)
    store.datasets.drop(row.id)


def sweep_datasets(store: Store, *, home: Home) -> None:
    """Remove what servers that were killed have left: half of an upload, files whose deletion did not end."""
    try:
        left = store.datasets.left_behind()
        for row in left:
            remove_files(home, row)
            if row.state == "checking":
                error = "the server was stopped while it was checked; upload it again"
                store.datasets.reject(row.id, code=INTERRUPTED, error=error)
            else:
                store.datasets.drop(row.id)
    except TrackingError as error:
        _log.warning("cannot remove what is left of uploads: %s", error)
