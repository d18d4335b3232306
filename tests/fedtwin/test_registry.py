"""The model registry from Python and from the command line, on the models of a real comparison."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fedtwin
from fedtwin.cli.main import main
from shared.runtime.errors import TrackingError, WeightsError
from shared.tracking.store import Store


@pytest.fixture(scope="module")
def name(comparison) -> str:
    """The model whose versions the comparison's twins are."""
    with Store(comparison.run.home.database_url) as store:
        return store.models.of_run(comparison.pooled[0].id).model


@pytest.fixture
def command(comparison, monkeypatch, capsys):
    """Run a command in the comparison's home; gives its output."""
    monkeypatch.setenv("FEDTWIN_HOME", str(comparison.run.home.root))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fedtwin", *arguments])
        main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(command, capsys):
    """Run a command that fails; gives its error."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            command(*arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


def test_twins_are_versions_of_one_model(comparison, name, folder):
    frame = fedtwin.registered_models(name, store=folder)
    pooled, federated = comparison.pooled[0], comparison.federated[0]
    assert list(frame["run"]) == [federated.id, pooled.id]
    assert list(frame.index) == [(name, "1.1.0"), (name, "1.0.0")], "clients alone are none"
    assert frame.loc[(name, "1.0.0"), "accuracy"] == pooled.test["accuracy"]
    assert "federated training, before pooled" in frame["reason"].iloc[0]
    assert {*frame.index} <= {*fedtwin.registered_models(store=folder).index}  # other tests train there too
    assert list(fedtwin.registered_models(store=folder.parent / "empty").columns)[:2] == ["run", "mode"]


def test_the_difference_is_the_gap_of_the_comparison(comparison, name, folder):
    """Pooled and federated were compared before: the same rows, the same jackknife, the same numbers."""
    found = fedtwin.compare_versions(f"{name}@1.1.0", f"{name}@1.0.0", store=folder)
    gap = comparison.gap
    for metric in ("accuracy", "loss"):
        row, sign = gap.loc[metric], 1 if gap.loc[metric, "better"] == "higher" else -1
        assert found.loc[metric, "difference"] == pytest.approx(sign * row["gap"])
        assert sorted([found.loc[metric, "low"], found.loc[metric, "high"]]) == pytest.approx(
            sorted([sign * row["low"], sign * row["high"]])
        )
    same = fedtwin.compare_versions(name, f"{name}@1.1.0", store=folder)
    assert set(same["verdict"]) == {"equal"}


def test_models_of_other_test_rows_are_not_compared(comparison, name, folder, settings):
    other = fedtwin.train([*settings, "name=other", "data.image_size=4", "trainer.max_epochs=1"], store=folder)
    try:
        with pytest.raises(TrackingError, match=r"cannot be compared:\n  - the test rows: 30 .* in run"):
            fedtwin.compare_versions(name, "other", store=folder)
    finally:
        with Store(other.home.database_url) as store:
            store.runs.delete(other.id)


def test_a_version_is_a_model(comparison, name, folder, two_classes):
    images = np.load(two_classes)["test_images"][:3]
    version = fedtwin.load_version(f"{name}@1.0.0", store=folder)
    assert version.run.id == comparison.pooled[0].id
    assert version.test == comparison.pooled[0].test
    mine = fedtwin.predict(f"{name}@1.0.0", images, store=folder)
    assert mine.answers == fedtwin.predict(comparison.pooled[0], images).answers
    with pytest.raises(TrackingError, match=r"expected latest, a number such as 1\.0\.0"):
        fedtwin.load_model(f"{name}@2.0.0", store=folder)


def test_the_card(comparison, name, folder, command):
    card = json.loads(command("models", "card", f"{name}@1.1.0", "--format", "json"))
    federated = comparison.federated[0]
    assert card["metrics"]["test"] == pytest.approx(federated.test)
    assert card["gap"]["sentence"] == comparison.sentence
    assert (card["data"]["rows"]["test"], card["metrics"]["rows"]) == (30, 30)
    assert card["config"]["federation"]["num_clients"] == 2
    assert len(card["weights_sha256"]) == 64
    accuracy = next(one for one in card["clients"] if one["metric"] == "accuracy")
    values = federated.metrics.query("client_id >= 0 and stage == 'val' and name == 'accuracy'")
    last = values[values["round"] == 2].set_index("client_id")["value"]
    assert (accuracy["clients"], accuracy["worst"]["value"], accuracy["best"]["value"]) == (
        2,
        last.min(),
        last.max(),
    )
    text = command("models", "card", f"{name}@1.1.0")
    assert text.startswith(f"# {name} 1.1.0\n")
    assert "not a medical device" in text
    assert "| accuracy | 2 |" in text
    assert fedtwin.load_version(f"{name}@1.1.0", store=folder).card_markdown() == text.rstrip("\n") + "\n"
    pooled = json.loads(command("models", "card", f"{name}@1.0.0", "--format", "json"))
    assert pooled["clients"] == []


def test_promotion_from_the_command_line(comparison, name, command, refused, folder):
    command("models", "threshold", name, "accuracy>=1.01")
    assert "does not reach its quality threshold: accuracy>=1.01" in refused("models", "promote", name)
    assert "threshold of model" in command("models", "threshold", name, "accuracy>=0")
    assert "is version 1.0.0" in command("models", "promote", f"{name}@1.0.0")
    assert "is version 1.1.0" in command("models", "promote", name)
    assert fedtwin.load_version(f"{name}@production", store=folder).version == "1.1.0"
    federated = comparison.federated[0].id
    parent = comparison.run.id
    error = refused("delete", str(parent), "--with-children", "--yes")
    assert "what production would be rolled back to" in error
    assert federated not in _deleted(folder)
    assert "is version 1.0.0 again" in command("models", "rollback", name)
    assert "named no version before 1.0.0" in refused("models", "rollback", name)
    shown = json.loads(command("models", "show", name, "--format", "json"))
    assert [one["kind"] for one in shown["history"]][:3] == ["rolled_back", "promoted", "promoted"]
    assert shown["versions"][1]["aliases"] == ["production"]
    table = command("models", "show", name)
    assert "rolled back" in table
    assert "threshold of production: accuracy>=0" in table
    listed = json.loads(command("models", "--format", "json"))
    assert {row["name"]: row["aliases"] for row in listed}[name] == {"production": "1.0.0"}
    assert name in command("models")
    assert "names no version now" in command("models", "remove-alias", name)
    command("predict", f"{name}@1.0.0", str(_one_image(comparison, Path(folder).parent)))


def _deleted(folder) -> set[int]:
    present = set(fedtwin.runs(store=folder).index)
    return set(range(1, max(present) + 1)) - present


def _one_image(comparison, folder: Path) -> Path:
    from PIL import Image

    path = folder / "one.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    return path


def test_comparison_on_the_command_line(name, command, refused):
    found = json.loads(command("models", "compare", f"{name}@1.0.0", name, "--format", "json"))
    assert found["metrics"][0]["verdict"] in ("better", "worse", "unclear", "equal")
    assert found["sentence"].startswith(found["metrics"][0]["label"])
    assert "second - first" in command("models", "compare", f"{name}@1.0.0", name)
    assert "takes FIRST and SECOND, got nothing" in refused("models", "compare")
    assert "there is no model 'x'" in refused("models", "show", "x")
    assert "expected a run's number" in refused("models", "register", "x")


@pytest.mark.parametrize("mode", ["train", "federate"])
@pytest.mark.parametrize("start", ["1.0.0", "run"])
def test_a_training_starts_from_a_version(mode, start, comparison, name, folder, settings, two_classes):
    """Where nothing is learned, the model is the one that it started from."""
    images = np.load(two_classes)["test_images"]
    ref = f"{name}@1.0.0" if start == "1.0.0" else str(comparison.federated[0].id)
    still = ["trainer.optimizer.lr=1e-12", "trainer.max_epochs=1", "federation.num_rounds=1", "name=started"]
    run = getattr(fedtwin, mode)([*settings, *still, f"model.weights=registry:{ref}"], store=folder)
    expected = fedtwin.predict(ref, images, store=folder).probabilities
    assert np.allclose(fedtwin.predict(run, images).probabilities, expected, atol=1e-5)


def test_a_start_from_another_problem_is_named(name, folder, settings):
    start = [f"model.weights=registry:{name}", "data.image_size=4"]
    with pytest.raises(WeightsError, match=r"of another problem .*\n  - data.image_size: 4 here, 8 there"):
        fedtwin.train([*settings, *start], store=folder)
    with pytest.raises(TrackingError, match="there is no model 'nobody'"):
        fedtwin.train([*settings, "model.weights=registry:nobody"], store=folder)
