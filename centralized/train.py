"""`train`: the pooled baseline, from loading the data to the final test, recorded as one run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from lightning import LightningModule
from lightning.pytorch.callbacks import Callback

from centralized.callbacks import EpochProgress
from centralized.fit import CHECKPOINTS, Subset, Work, fit, load
from centralized.resume import ROW_KEYS
from shared.config.config import Config
from shared.model.weights import read_file
from shared.runtime.home import Home
from shared.tasks.chosen_model import ChosenModel
from shared.tasks.evaluation import begin_summary, record_test
from shared.tasks.reading import DATA
from shared.tasks.selection import Choice, Monitor
from shared.tasks.trained_model import kept_of
from shared.tracking.export import write_results
from shared.tracking.monitor import resumed_monitor
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run

__all__ = ["Subset", "train"]


def train(
    cfg: Config,
    *,
    store: Store,
    home: Home,
    subset: Subset | None = None,
    extra_callbacks: Sequence[Callback] = (),
    on_epoch: EpochProgress | None = None,
    resume: bool = False,
) -> int:
    """Train on all rows (or one client's), test the selected model, and record everything as one run.

    Parameters
    ----------
    cfg : Config
        ``resume`` may name a checkpoint to continue from.
    subset : Subset, optional
        Trains one client's rows only, as a ``local`` run.
    extra_callbacks : sequence of Callback
        Run after our own.
    on_epoch : callable, optional
        A progress display of the caller's, in place of our own: takes the epochs done, and a note.
    resume : bool
        Resume the run ``tracking.run_id``, from its last checkpoint if there is one.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        An error that the user can correct; the run is marked as failed.
    """
    mode = "local" if subset else "centralized"
    again = resume or cfg.resume is not None
    with tracked_run(
        store, cfg, mode=mode, folder=home.run_dir, journals=home.journals, resume=again
    ) as run_id:
        folder = home.run_dir(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        last = folder / CHECKPOINTS / "last.ckpt"
        if resume and last.is_file():
            cfg = cfg.replace("", resume=str(last))
        begun = resumed_monitor(store.runs.get(run_id)) if resume else None
        begun_with = begun and Monitor(*begun)
        work = load(cfg, home=home, subset=subset)
        summary = begin_summary(cfg, spec=work.spec, schema=work.data.schema, begun_with=begun_with)
        agreed, rows = dict(work.context.agreed), work.row_keys()
        store.runs.update(run_id, summary={**summary, "agreed": agreed, ROW_KEYS: rows})
        if subset is None:
            store.runs.update(run_id, summary={DATA: work.summary.as_dict()})
        else:
            client = {"id": subset.partition_id, "name": subset.name or f"client-{subset.partition_id}"}
            if subset.begin_with is not None:
                client["fine_tunes"] = subset.begin_with.run_id
            store.runs.update(run_id, summary={"client": client})
        choice = work.choose_monitor(cfg, begun_with=begun_with)
        if choice.note:
            print(f"warning: run {run_id} ({mode}): {choice.note}", file=sys.stderr)
        store.runs.update(run_id, summary={"monitor": choice.monitor._asdict()})
        module, stop_reason = fit(
            cfg,
            work=work,
            choice=choice,
            subset=subset,
            sink=store.metrics.sink(run_id),
            folder=folder,
            extra_callbacks=extra_callbacks,
            on_epoch=on_epoch,
        )
        if cfg.trainer.test:
            _test(cfg, module=module, work=work, choice=choice, store=store, run_id=run_id, folder=folder)
        store.runs.finish(run_id, "completed", stop_reason=stop_reason)
    write_results(store, run_id, home.results)
    return run_id


def _test(
    cfg: Config,
    *,
    module: LightningModule,
    work: Work,
    choice: Choice,
    store: Store,
    run_id: int,
    folder: Path,
) -> None:
    checkpoint = read_file(folder / CHECKPOINTS / f"{cfg.trainer.test_model}.ckpt")
    module.load_state_dict(checkpoint["state_dict"])
    learner, datamodule = work.learner, work.datamodule
    threshold = cfg.trainer.fixed_threshold
    if cfg.trainer.threshold == "val" and datamodule.num_examples("val"):
        statistics = work.spec.statistics(learner.predict(module, datamodule, "val"))
        threshold = work.spec.best_threshold(statistics)
    outputs = learner.predict(module, datamodule, "test")
    if kept := kept_of(learner, module, datamodule):
        store.runs.update(run_id, summary={"agreed": {**work.context.agreed, **kept}})
    record_test(
        store,
        run_id,
        outputs,
        spec=work.spec,
        tested=ChosenModel(
            "epoch",
            checkpoint["epoch"] + 1,
            of=cfg.trainer.max_epochs,
            chosen=cfg.trainer.test_model == "best",
            monitor=choice.monitor,
            measured=choice.measured,
        ),
        threshold=threshold,
        folder=folder,
        skipped_images=work.data.skipped,
    )
