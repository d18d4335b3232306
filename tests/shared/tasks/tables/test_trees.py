"""Trees behind the pooled command: an epoch is a tree, resumed or not; its files predict what was tested."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

import fedtwin
from centralized.train import train
from fedtwin.cli.run_page import run_page
from shared.config.compose import compose
from shared.config.config import Config
from shared.config.no_effect import reject_unused
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tasks.tables.running_scores import RunningScores
from shared.tracking.store import Store
from shared.trees.model import BLOCK, TreeEnsemble
from shared.trees.objectives import objective_of
from shared.trees.settings import TreeSettings
from tests.shared.trees.trees_kit import table as generated
from tests.shared.trees.trees_kit import train as train_generated


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng, size = np.random.default_rng(0), 200
    age, pain = rng.normal(50, 12, size), rng.choice(["none", "some", "much"], size)
    frame = pd.DataFrame({"age": np.where(rng.random(size) < 0.1, np.nan, age), "pain": pain})
    frame["sick"] = np.where(age + 20 * (pain == "much") + rng.normal(0, 6, size) > 58, "yes", "no")
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def configured(table: Path, *overrides: str) -> Config:
    return compose(
        [
            *("task=tabular_classification", f"data.path={table}", "data.target=sick", "model=trees"),
            *("model.max_depth=3", "model.min_samples_leaf=5", "trainer.max_epochs=6"),
            *("trainer.progress=false", "trainer.accelerator=cpu", "trainer.test_model=last", *overrides),
        ]
    )


def last(home: Home, run_id: int) -> dict[str, Any]:
    path = home.run_dir(run_id) / "checkpoints" / "last.ckpt"
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def test_an_epoch_is_a_tree_and_what_is_stored_predicts_what_was_tested(
    table: Path, home: Home, store: Store
) -> None:
    run_id = train(configured(table), store=store, home=home)
    state = last(home, run_id)["state_dict"]
    assert len(state["network.nodes"]) == 6
    assert state["network.threshold"].dtype == torch.float64
    outputs = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE)
    model = fedtwin.load_model(run_id, store=home.root)
    assert sorted(model.classes) == ["no", "yes"]
    told = fedtwin.predict(run_id, str(table), store=home.root).frame()
    tested = {tuple(np.round(row, 5)) for row in outputs.predictions}
    found = {tuple(np.round(row, 5)) for row in told[["no", "yes"]].to_numpy()}
    assert tested <= found
    frame = fedtwin.predict(run_id, pd.read_csv(table), store=home.root).frame()
    assert np.array_equal(frame[["no", "yes"]].to_numpy(), told[["no", "yes"]].to_numpy())


def test_a_resumed_training_grows_the_trees_of_one_without_a_break(
    table: Path, home: Home, store: Store
) -> None:
    whole = train(configured(table), store=store, home=home)
    half = train(configured(table, "trainer.max_epochs=2"), store=store, home=home)
    path = home.run_dir(half) / "checkpoints" / "last.ckpt"
    resumed = train(configured(table).model_copy(update={"resume": str(path)}), store=store, home=home)
    expected, found = (last(home, run_id)["state_dict"] for run_id in (whole, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_an_early_stop_keeps_the_best_tree(table: Path, home: Home, store: Store) -> None:
    run_id = train(
        configured(
            table,
            *("trainer.max_epochs=60", "model.learning_rate=1.0", "model.min_samples_leaf=1"),
            *("trainer.early_stopping.enabled=true", "trainer.early_stopping.patience=3"),
            *("trainer.test_model=best", "trainer.monitor=val/loss"),
        ),
        store=store,
        home=home,
    )
    row = store.runs.get(run_id)
    assert row.stop_reason
    assert len(last(home, run_id)["state_dict"]["network.nodes"]) < 60


def test_scores_that_run_along_are_those_from_the_start() -> None:
    data = generated(BLOCK + 100)
    objective, settings = objective_of("softmax", 3), TreeSettings(rounds=4, max_depth=3)
    model = train_generated(data, "random", objective, settings).ensemble
    rows = np.arange(0, BLOCK + 100, 1)[::-1].copy()
    running = RunningScores(data.inputs, rows)
    for count in (1, 2, 4, 3, 0, 4):  # a best model may be an earlier one
        part = TreeEnsemble(model.features, objective, model.start, model.rounds[:count])
        assert np.array_equal(running.of(part), part.scores(data.inputs[rows]))


@pytest.mark.parametrize(
    "text",
    ["trainer.optimizer.lr=0.1", "data.batch_size=8", "data.missing=mean", "trainer.precision=bf16-true"],
)
def test_settings_without_an_effect_on_trees_are_refused(text: str, table: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no effect with model\.name=trees"):
        reject_unused([text], configured(table, text), command="fedtwin centralized")


def test_settings_that_trees_follow_are_not(table: Path) -> None:
    reject_unused(["data.missing=drop"], configured(table, "data.missing=drop"), command="fedtwin centralized")


def test_show_names_no_optimiser_where_there_is_none(table: Path, home: Home, store: Store) -> None:
    run_id = train(configured(table, "trainer.max_epochs=1"), store=store, home=home)
    console = Console(width=200, file=StringIO())
    console.print(run_page(store, run_id))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "model.name=trees" in shown
    assert "optimizer" not in shown
    assert "batch_size" not in shown


@pytest.mark.parametrize("model", ["trees", "forest"])
def test_a_category_of_too_many_levels_is_refused_where_it_is_read(model: str, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    rows = [f"w{number % 300},{'yes' if number % 7 else 'no'},{number % 11}" for number in range(900)]
    path.write_text("\n".join(["ward,sick,age", *rows]))
    own = ["task=tabular_classification", "data.target=sick", "data.max_levels=400"]
    with pytest.raises(ConfigError, match="input 'ward': expected at most 255 levels, got 300"):
        fedtwin.data(str(path), [*own, f"model={model}"])
    assert fedtwin.data(str(path), [*own, "model=linear"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.max_depth=20"], "model.max_depth: above 16 set max_leaves too"),
        (["model.weights=x.pt"], "model.weights: expected null"),
        (["trainer.ema_decay=0.9"], "trainer.ema_decay=0.9 has no effect on model=trees"),
    ],
)
def test_settings_that_cannot_be(
    overrides: list[str], message: str, table: Path, home: Home, store: Store
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configured(table, *overrides), store=store, home=home)
