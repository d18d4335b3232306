"""The rows of a user's own code: what is read, in which order it comes, and what is rejected by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.config.compose import compose
from shared.data.schema import Schema
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ConfigError, DataError
from shared.tasks.base import FitContext
from shared.tasks.custom.data import CustomData
from shared.tasks.custom.datamodule import CustomDataModule
from shared.tasks.task import learner_of
from tests.own_code import ROWS


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, "tests.own_code")


@pytest.fixture
def learner() -> Any:
    """Of a small custom task, changed by overrides."""

    def make(*overrides: str, data: str = "Data") -> Any:
        own = ["task=custom", f"data._target_=tests.own_code.{data}", "model._target_=tests.own_code.Plain"]
        return learner_of(compose([*own, "task.metrics={loss: lower}", *overrides]))

    return make


def batches(module: CustomDataModule, stage: str) -> list[torch.Tensor]:
    loader = module.train_dataloader() if stage == "train" else module.eval_loader(stage)
    return [inputs for inputs, _ in loader]


def test_sides_columns_strata_and_groups(learner: Any, tmp_path: Path) -> None:
    data = learner("data.strata=kind", "data.groups=patient").dataset(cache=tmp_path)
    assert [len(data.indices(side)) for side in ROWS] == list(ROWS.values())
    assert data.strata.names == ("even", "odd")
    assert data.strata.noun == "kind"
    assert list(data.columns) == ["site", "kind", "patient"]
    assert len(data.groups.names) == 30 + 16 + 12
    assert data.schema == Schema()


def test_only_what_is_needed_is_set_up(learner: Any, tmp_path: Path) -> None:
    data: CustomData = learner().dataset(cache=tmp_path, sides=("test",))
    assert list(data.loading) == ["test"]
    assert not len(data.indices("train"))


@pytest.mark.parametrize("how", ["shuffled", "in order"])
def test_every_row_of_a_client_comes_once_an_epoch(how: str, learner: Any, tmp_path: Path) -> None:
    made = learner(f"+data.how={how}", "data.batch_size=8")
    data = made.dataset(cache=tmp_path)
    own = np.arange(3, 28)  # 25 rows: the last batch would be of one
    first, again, other, later = (
        torch.cat(batches(made.datamodule(data, own, FitContext(client, epoch_offset=epoch)), "train"))
        for client, epoch in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert first.equal(again)
    source = data.loading["train"].dataset.tensors[0]
    assert len({tuple(row.tolist()) for row in first}) == len(first) == 25
    assert {tuple(row.tolist()) for row in first} <= {tuple(row.tolist()) for row in source[own]}
    assert other.equal(first) == later.equal(first) == (how == "in order")
    sizes = [len(batch) for batch in batches(made.datamodule(data, own, FitContext()), "train")]
    assert sizes == [8, 8, 9]


def test_evaluation_takes_every_row_in_order(learner: Any, tmp_path: Path) -> None:
    made = learner()
    data = made.dataset(cache=tmp_path)
    module = made.datamodule(data, None, FitContext())
    for side in ("val", "test"):
        assert torch.cat(batches(module, side)).equal(data.loading[side].dataset.tensors[0])
        assert module.num_examples(side) == ROWS[side]


def test_a_split_drawn_at_random_is_the_same_in_every_stage_and_process(learner: Any, tmp_path: Path) -> None:
    def indices(sides: tuple[str, ...]) -> dict[str, list[int]]:
        torch.manual_seed(len(sides))
        data = learner("+data.how=split").dataset(cache=tmp_path, sides=sides)
        return {side: list(loading.dataset.indices) for side, loading in data.loading.items() if side != "test"}

    both = indices(("train", "val", "test"))
    assert not set(both["train"]) & set(both["val"])
    assert indices(("train", "val")) == both
    other = learner("+data.how=split", "data.split_seed=1").dataset(cache=tmp_path)
    assert list(other.loading["train"].dataset.indices) != both["train"]


def test_the_users_generators_are_left_as_they_were(learner: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    learner("+data.how=split").dataset(cache=tmp_path)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("overrides", "data", "message"),
    [
        (["+data.how=dropping"], "Data", "has drop_last=True: clients would be weighed by rows"),
        (["+data.how=iterable"], "Data", "must have a length and items, .* got _Stream"),
        (["+data.how=weighted"], "Data", "takes its rows by WeightedRandomSampler"),
        (["+data.how=list"], "Data", "must give one torch DataLoader, got list"),
        (["+data.how=broken"], "Data", r"tests.own_code.Data cannot give its data: RuntimeError: no such file"),
        (["+data.how=mixed up", "data.groups=patient"], "Data", "are both among the test rows and among the"),
        (
            ["data.strata=label"],
            "Data",
            "strata=label: expected one of its columns, got kind, patient, site",
        ),
        (["+data.rows=3"], "Data", "unexpected keyword argument 'rows'"),
        (["data.eval_batch_size=3"], "Data", "unexpected keyword argument 'eval_batch_size'"),
        (
            ["partition=natural", "partition.column=client"],
            "no_mapping",
            "expected a mapping with the dataset 'train'",
        ),
    ],
)
def test_rows_that_cannot_be_shared_out(
    overrides: list[str], data: str, message: str, learner: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        learner(*overrides, data=data).dataset(cache=tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Plain", "must be a LightningDataModule, or a function"),
        ("nothing", "tests.own_code.nothing cannot be imported: AttributeError"),
        ("datasets", "gives each client rows of its own, .* set partition=natural partition.column=client"),
    ],
)
def test_what_gives_no_rows(data: str, message: str, learner: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        learner(data=data).dataset(cache=tmp_path)


def test_a_function_gives_a_site_its_own_rows_alone(learner: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.zeros((12, 5), np.float32))
    own = learner(f"data.path={tmp_path / 'own.npy'}", data="stored").dataset(
        cache=tmp_path, sides=("train", "val")
    )
    assert [len(own.indices(side)) for side in ("train", "val", "test")] == [7, 5, 0]
