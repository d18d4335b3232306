"""`SharedPooled`: pooled twins that several trials of a sweep have in common, each trained once."""

from __future__ import annotations

from collections.abc import Callable

from filelock import FileLock, Timeout

from shared.config.config import Config
from shared.metrics.outputs import OUTPUTS_FILE
from shared.runtime.home import Home
from shared.tracking.rows import TRIAL, RunRow
from shared.tracking.store import Store
from simulations.sweeps.trials import digest_of

SHARED = "shared"  # in the summary of such a run: the digest of what it computes


class SharedPooled:
    """Finds or trains the pooled twins of a sweep's comparisons, as children of the sweep itself.

    While one process trains a twin, it holds a lock that ends with it: another one trains its federated twin
    first, and then waits.
    """

    def __init__(self, sweep_id: int, *, store: Store, home: Home) -> None:
        self._sweep_id, self._store, self._home = sweep_id, store, home

    def run_of(self, cfg: Config, *, train: Callable[[Config, RunRow | None], int], wait: bool) -> int | None:
        """See `simulations.twins.PooledTwins.run_of`."""
        digest = digest_of("centralized", cfg.snapshot())
        folder = self._home.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"pooled-{self._sweep_id}-{digest[:32]}.lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return None
        try:
            return self._found(digest, tested=cfg.trainer.test) or self._trained(cfg, digest, train=train)
        finally:
            lock.release()

    def _found(self, digest: str, *, tested: bool) -> int | None:
        """A completed twin whose predictions, if it has any, are on this machine."""
        known = [run for run in self._runs(digest) if run.status == "completed"]
        here = (run.id for run in known if not tested or (self._home.run_dir(run.id) / OUTPUTS_FILE).is_file())
        return next(here, None)

    def _trained(self, cfg: Config, digest: str, *, train: Callable[[Config, RunRow | None], int]) -> int:
        self._store.runs.settle(self._home.journals)  # who trained it before, and died, has ended
        before = next((run for run in self._runs(digest) if run.status in ("failed", "stopped")), None)
        cfg = cfg.replace("tracking", parent_id=self._sweep_id)
        if before is None:
            run_id = self._store.runs.create(
                name=cfg.name,
                training_mode="centralized",
                config=cfg.snapshot(),
                seed=cfg.seed,
                description=cfg.description,
                parent_id=self._sweep_id,
                status="pending",
            )
            self._store.runs.update(
                run_id, summary={TRIAL: {"sweep": self._sweep_id, "number": None}, SHARED: digest}
            )
            cfg = cfg.replace("tracking", run_id=run_id)
        return train(cfg, before)

    def _runs(self, digest: str) -> list[RunRow]:
        runs = self._store.runs.search(parent_id=self._sweep_id, mode="centralized")
        return [run for run in runs if run.summary.get(SHARED) == digest]
