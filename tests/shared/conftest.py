"""A short fit of the model, without anything around it."""

from __future__ import annotations

import pytest

from shared.data.images.datamodule import ImageDataModule
from shared.training.trainer import build_trainer
from tests.images import classifier


@pytest.fixture
def fit(two_class_data):
    def run(cfg, *, epochs=2, callbacks=(), partition_id=0, epoch_offset=0, module=None, flags=None, **more):
        datamodule = ImageDataModule(
            two_class_data, cfg=cfg.data, seed=cfg.seed, partition_id=partition_id, epoch_offset=epoch_offset
        )
        module = module or classifier(
            cfg, num_classes=2, partition_id=partition_id, epoch_offset=epoch_offset, **more
        )
        trainer = build_trainer(
            cfg.trainer,
            max_epochs=epochs,
            callbacks=list(callbacks),
            **{"limit_val_batches": 0, **(flags or {})},
        )
        trainer.fit(module, datamodule=datamodule)
        return module

    return run
