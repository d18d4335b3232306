"""Batches: their order, their rows, and which of them are augmented."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from shared.data.batches import EpochSampler, _even_bounds
from shared.data.images.datamodule import ImageDataModule
from shared.runtime.errors import ConfigError
from shared.training.trainer import build_trainer
from tests.images import classifier


class Watch(Callback):
    """Keeps the batches as the model gets them."""

    def __init__(self):
        self.train, self.val = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.train.append((trainer.current_epoch, *batch))

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.val.append((trainer.current_epoch, *batch))


def fit(cfg, datamodule, *, epochs=1):
    watch = Watch()
    module = classifier(cfg, num_classes=2)
    trainer = build_trainer(cfg.trainer, max_epochs=epochs, callbacks=[watch])
    trainer.fit(module, datamodule=datamodule)
    return watch


def rows_in_order(datamodule, epoch=0):
    loader = datamodule.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return loader.rows[loader.sampler.order()].tolist()


@pytest.fixture
def make_datamodule(make_config, two_class_data):
    def make(*overrides, seed=42, **more):
        return ImageDataModule(two_class_data, cfg=make_config(*overrides).data, seed=seed, **more)

    return make


def test_the_order_is_a_function_of_seed_partition_and_epoch(make_datamodule):
    orders = [
        rows_in_order(make_datamodule(seed=seed, partition_id=partition), epoch)
        for seed in (1, 2)
        for partition in (0, 1)
        for epoch in (0, 1)
    ]
    again = rows_in_order(make_datamodule(seed=1, partition_id=0), 1)
    assert len({tuple(order) for order in orders}) == 8
    assert again == orders[1]
    torch.manual_seed(7)
    np.random.seed(7)
    assert rows_in_order(make_datamodule(seed=1, partition_id=0), 1) == again


def test_a_later_round_goes_on_where_the_last_one_ended(make_datamodule):
    pooled = [rows_in_order(make_datamodule(), epoch) for epoch in range(4)]
    second_round = [rows_in_order(make_datamodule(epoch_offset=2), epoch) for epoch in range(2)]
    assert second_round == pooled[2:]


def test_each_training_row_once_an_epoch(make_datamodule, two_class_data):
    loader = make_datamodule().train_dataloader()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        order = loader.rows[loader.sampler.order()]
        assert sorted(order) == two_class_data.indices("train").tolist()
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        np.testing.assert_array_equal(images, two_class_data.images[order])
        np.testing.assert_array_equal(labels, two_class_data.targets[order])
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(32, [32, 32, 33]), (96, [97]), (97, [97]), (50, [50, 47]), (1, [1] * 97), (200, [97])],
)
def test_a_last_batch_of_one_row_joins_the_one_before(make_datamodule, batch_size, sizes):
    loader = make_datamodule(f"data.batch_size={batch_size}").train_dataloader()
    assert [len(labels) for _, labels in loader] == sizes
    assert len(loader) == len(sizes)


def test_evaluation_is_in_order_and_in_large_batches(make_datamodule, two_class_data):
    datamodule = make_datamodule("data.eval_batch_size=13")
    for stage in ("val", "test"):
        loader = datamodule.eval_loader(stage)
        labels = [labels for _, labels in loader]
        np.testing.assert_array_equal(torch.cat(labels), two_class_data.targets[two_class_data.indices(stage)])
        assert [len(part) for part in labels] == {"val": [13, 13, 13, 1], "test": [13, 13, 4]}[stage]
        assert len(loader) == len(labels)


def test_a_client_has_its_rows_and_the_server_s_test_rows(make_datamodule, two_class_data):
    train, val = two_class_data.indices("train"), two_class_data.indices("val")
    indices = np.concatenate([val[:7], train[10:30]])
    datamodule = make_datamodule(indices=indices, partition_id=3)
    assert datamodule.rows["train"].tolist() == train[10:30].tolist()
    assert datamodule.rows["val"].tolist() == val[:7].tolist()
    assert datamodule.rows["test"].tolist() == two_class_data.indices("test").tolist()
    assert [datamodule.num_examples(stage) for stage in ("train", "val", "test")] == [20, 7, 30]


def test_the_model_gets_augmented_training_rows_and_plain_validation_rows(make_config, make_datamodule):
    overrides = ("data.augment.rotate=20", "data.augment.hflip=0.5")
    datamodule = make_datamodule(*overrides)
    watch = fit(make_config(*overrides), datamodule, epochs=2)
    for epoch in range(2):
        loader = datamodule.train_dataloader()
        loader.sampler.set_epoch(epoch)
        seen = [(images, labels) for at, images, labels in watch.train if at == epoch]
        for (plain, labels), (images, same_labels) in zip(loader, seen, strict=True):
            assert torch.equal(labels, same_labels)
            assert not torch.equal(datamodule.eval_transform(plain), images)
        evaluated = [(images, labels) for at, images, labels in watch.val if at == epoch]
        for (plain, labels), (images, same_labels) in zip(datamodule.val_dataloader(), evaluated, strict=True):
            assert torch.equal(labels, same_labels)
            assert torch.equal(datamodule.eval_transform(plain), images)
    first, second = (torch.cat([images for at, images, _ in watch.train if at == e]) for e in range(2))
    assert first.shape == second.shape
    assert not torch.equal(first, second)


def test_lightning_moves_the_epoch_on(make_config, make_datamodule):
    datamodule = make_datamodule()
    watch = fit(make_config(), datamodule, epochs=3)
    for epoch in range(3):
        labels = torch.cat([labels for at, _, labels in watch.train if at == epoch])
        expected = datamodule.data.targets[rows_in_order(datamodule, epoch)]
        np.testing.assert_array_equal(labels, expected)


def test_the_epochs_of_earlier_rounds_count():
    sampler = EpochSampler(5, seed=1, partition_id=2, epoch_offset=3)
    whole = EpochSampler(5, seed=1, partition_id=2, epoch_offset=0)
    sampler.set_epoch(1)
    whole.set_epoch(4)
    assert sampler.order().tolist() == whole.order().tolist()
    assert sorted(sampler.order()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("size", [4, 5, 9, 16, 17, 100])
def test_several_devices_share_the_rows(size, batch_size, world):
    bounds = _even_bounds(size, batch_size=batch_size, world=world)
    shares = [bounds[rank::world] for rank in range(world)]
    assert len({len(share) for share in shares}) == 1  # or one device would wait for the others for ever
    assert list(chain.from_iterable(range(start, stop) for start, stop in bounds)) == list(range(size))
    sizes = [stop - start for start, stop in bounds]
    assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    assert max(sizes) <= batch_size + 1


def test_more_devices_than_rows():
    assert _even_bounds(0, batch_size=4, world=2) == []
    with pytest.raises(ConfigError, match=r"trainer.devices=4 cannot share 3 rows"):
        _even_bounds(3, batch_size=4, world=4)
