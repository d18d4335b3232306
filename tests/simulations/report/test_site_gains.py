"""What joining brings each site, in a real comparison: a large one, a small one, one of one class."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from federated.client.app import app
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from simulations import twins
from simulations.compare import compare
from simulations.engine.in_process import InProcessGrid
from simulations.engine.local_runner import LocalRunner
from simulations.report.history import read_outputs
from simulations.report.terminal import print_comparison

TESTS = {"large": 30, "one class": 12, "small": 5}  # test rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    parts = []
    for site, count in TESTS.items():
        own = pd.DataFrame({"x": rng.normal(size=40 + count), "z": rng.normal(size=40 + count), "site": site})
        own["sick"] = np.where(own["x"] + 0.5 * rng.normal(size=len(own)) > 0, "sick", "well")
        own["split"] = ["train"] * 30 + ["val"] * 10 + ["test"] * count
        if site == "one class":
            own.loc[own["split"] == "test", "sick"] = "sick"
        parts.append(own)
    path = tmp_path / "rows.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def settings(path: Path, *more: str) -> Config:
    return compose(
        [
            *("task=tabular_classification", f"data.path={path}", "data.target=sick", "data.positive=sick"),
            *("partition=natural", "federation.num_clients=3", "federation.num_rounds=2", "model=linear"),
            *("federation.local_epochs=1", "trainer.progress=false", "trainer.accelerator=cpu"),
            *("compare.resamples=100", "compare.local_only=true", "trainer.test_model=last"),
            *more,
        ]
    )


def run(cfg: Config, *, store: Store, home: Home, resume: bool = False) -> RunRow:
    runner = LocalRunner(InProcessGrid(app, num_clients=3))
    return store.runs.get(compare(cfg, runner=runner, store=store, home=home, resume=resume))


def gains_of(done: RunRow) -> tuple[dict[str, Any], dict[str, Any]]:
    gains = done.summary["site_gains"]
    return gains, {row["name"]: row for row in gains["rows"]}


def test_each_site_on_its_own_test_rows(path: Path, store: Store, home: Home) -> None:
    done = run(settings(path, "compare.fine_tune=2", "compare.metric=accuracy"), store=store, home=home)
    gains, rows = gains_of(done)
    assert (gains["metric"], gains["tests"]) == ("accuracy", "own")
    assert {name: row["num_test"] for name, row in rows.items()} == TESTS
    assert rows["small"]["note"] == "5 test rows: too few, expected 6 or more"
    assert rows["one class"]["note"] == "all 12 test rows are of one class: sick"
    assert rows["small"]["gain"] is rows["one class"]["alone"] is None

    found = done.summary["twins"]
    ((federated,), (pooled,), (local,), (tuned,)) = (
        found[key] for key in ("federated", "pooled", "local", "fine_tuned")
    )
    own = np.arange(30)  # the first rows of the test are of the large site
    for key, one in (
        ("pooled", pooled),
        ("federated", federated),
        ("alone", local[0]),
        ("fine_tuned", tuned[0]),
    ):
        outputs = read_outputs(home, one).of_rows(own)
        right = (outputs.predictions[:, 1] > 0.5) == (outputs.targets == 1)
        assert rows["large"][key] == pytest.approx(right.mean()), key
        assert rows["large"][f"{key}_low"] <= rows["large"][key] <= rows["large"][f"{key}_high"]
    assert rows["large"]["gain"] == pytest.approx(rows["large"]["federated"] - rows["large"]["alone"])
    assert rows["large"]["tuned_gain"] == pytest.approx(rows["large"]["fine_tuned"] - rows["large"]["alone"])

    cross = gains["cross"]
    assert cross["models"] == ["pooled", "federated", "large alone", "one class alone", "small alone"]
    assert cross["tests"] == [*TESTS, "all"]
    assert [line[1:3] for line in cross["values"]] == [[None, None]] * 5
    by_model = dict(zip(cross["models"], cross["values"], strict=True))
    assert by_model["large alone"][0] == pytest.approx(rows["large"]["alone"])
    assert by_model["federated"][3] == pytest.approx(store.runs.get(federated).summary["test"]["accuracy"])

    begun = store.runs.get(tuned[1])
    assert begun.summary["client"] == {"id": 1, "name": "one class", "fine_tunes": federated}
    assert begun.config["trainer"]["max_epochs"] == 2
    report = (Path(done.summary["folder"]) / "report.html").read_text()
    for text in ("What joining brings each site", "5 test rows: too few", "one class alone", "fine-tuned"):
        assert text in report, text
    console = Console(width=80, record=True, file=StringIO())
    print_comparison(console, done.id, store=store, home=home)
    shown = console.export_text()
    assert "small: 5 test rows: too few, expected 6 or more." in " ".join(shown.split()), shown
    assert "Joining, in accuracy against training alone, is" in shown


def test_fine_tuning_begins_with_the_tested_federated_model_of_this_length(
    path: Path, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a learning rate of nearly 0 it stays that model; the strategy stores more than the model."""
    train = twins.train

    def at_rate_0(cfg: Config, **more: Any) -> int:
        if more["subset"] and more["subset"].begin_with:
            cfg = cfg.replace("trainer", optimizer={**cfg.trainer.optimizer.model_dump(), "lr": 1e-30})
        return train(cfg, **more)

    monkeypatch.setattr(twins, "train", at_rate_0)
    cfg = settings(path, "compare.fine_tune=1", "strategy=fedadam", "partition=iid")
    done, fine_tuned = None, []
    for rounds in (1, 2):
        cfg = cfg.replace("federation", num_rounds=rounds)
        if done is not None:
            cfg = cfg.replace("tracking", run_id=done.id)
        done = run(cfg, store=store, home=home, resume=done is not None)
        found = done.summary["twins"]
        expected = read_outputs(home, found["federated"][0]).predictions
        for one in found["fine_tuned"][0]:
            np.testing.assert_array_equal(read_outputs(home, one).predictions, expected)
        fine_tuned += found["fine_tuned"][0]
    assert len(set(fine_tuned)) == 6, "those of a shorter federation are not taken for those of a longer one"

    gains, rows = gains_of(done)
    assert (gains["tests"], gains["cross"]) == ("common", None)
    assert [row["num_test"] for row in rows.values()] == [47] * 3
    assert {row["federated"] for row in rows.values()} == {rows["client-0"]["fine_tuned"]}
    assert "All sites on the same test rows" in (Path(done.summary["folder"]) / "report.html").read_text()


def test_trees_are_not_fine_tuned(path: Path, store: Store, home: Home) -> None:
    cfg = settings(path, "compare.fine_tune=1", "model=trees", "strategy=boosting")
    with pytest.raises(ConfigError, match=r"that grows \(model.name=trees\) has none; set compare.fine"):
        run(cfg, store=store, home=home)
    assert [one.training_mode for one in store.runs.search()] == ["compare"]
