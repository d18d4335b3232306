"""Requests for a training: what they compose to, and all that they may not reach."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from service.jobs.experiments import (
    Experiment,
    InvalidExperiment,
    _outside,
    checked_experiment,
    find_dataset,
)
from shared.config.compose import compose
from shared.runtime.components import MAY_RUN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of data with an .npz, beside a secret one; links lead out of it and back in."""
    allowed, secret = tmp_path / "data", tmp_path / "secret"
    for one in (allowed, secret):
        one.mkdir()
        images, labels = np.zeros((9, 8, 8), np.uint8), np.arange(9) % 2
        np.savez(
            one / "a.npz",
            **{
                f"{side}_{what}": array
                for side in ("train", "val", "test")
                for what, array in (("images", images), ("labels", labels))
            },
        )
    (allowed / "out").symlink_to(secret)
    (allowed / "out.npz").symlink_to(secret / "a.npz")
    (allowed / "again.npz").symlink_to(allowed / "a.npz")
    (allowed / "circle").symlink_to(allowed / "circle")
    return allowed


def check(
    folder: Path | None = None, dataset: str | None = None, mode: str = "compare", **settings
) -> Experiment:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    folders = [] if folder is None else [folder]
    return checked_experiment(named, dataset=dataset, run_name="one", mode=mode, folders=folders)


def refused(*args, **settings) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        check(*args, **settings)
    return caught.value.problems


def test_a_file_is_recognised(folder):
    found = check(folder, "a.npz", trainer__max_epochs=3, model="resnet18")
    assert (found.config.data.source, found.config.data.path) == ("npz", str(folder / "a.npz"))
    assert (found.config.name, found.config.trainer.max_epochs, found.config.model.name) == (
        "one",
        3,
        "resnet18",
    )


@pytest.mark.parametrize("name", ["a.npz", "again.npz", "./a.npz"])
def test_what_lies_in_the_folder_is_found(folder, name):
    assert find_dataset(name, [folder]) == folder / "a.npz"
    assert find_dataset(str(folder / "a.npz"), [folder.parent / "nowhere", folder]) == folder / "a.npz"


@pytest.mark.parametrize(
    "name",
    [
        "../secret/a.npz",
        "out/a.npz",
        "out.npz",
        "circle",
        "nothing",
        "a\0b",
        "~",
        "../data-2",
        "x" * 5000,
        "//etc",
    ],
)
def test_what_lies_elsewhere_is_not(folder, name):
    (folder.parent / "data-2").mkdir(exist_ok=True)
    assert find_dataset(name, [folder]) is None
    assert f"there is no {name[:200]!r} in the folders" in refused(folder, name)[0]
    for path in ("/etc/passwd", str(folder.parent / "secret" / "a.npz")):
        assert find_dataset(path, [folder]) is None
        assert find_dataset(path, []) is None


def test_all_problems_are_named_together(folder):
    problems = refused(folder, "nothing", data__path="/etc", federation__num_rounds=-1, seed="x")
    assert len(problems) == 4, problems
    assert "--data FOLDER" in refused(None, "nothing")[0]


def test_each_stage_tells_what_it_finds_though_another_has_refused_something(folder):
    """The grammar, a choice, a name, a value, and what no job may do: one request, all told."""
    problems = refused(
        folder,
        "a.npz",
        model="resnet99",
        model__depth=3,
        partition__alpha=[{"a": 1}],
        trainer__max_epoch=3,
        trainer__max_epochs=0,
        federation__engine="ray",
        federation="ray",
        task__monitor=7,
    )
    for key in (
        "model=resnet99",
        "trainer.max_epoch:",
        "trainer.max_epochs:",
        "federation.engine",
        "task.monitor",
    ):
        assert sum(one.startswith(key) for one in problems) == 1, (key, problems)
    assert not any("model.depth" in one for one in problems), "which may be a setting of what was meant"


def test_settings_are_judged_without_the_dataset_too(folder):
    settings = {"task": "tabular_classification", "data": "table", "data.target": "y", "trainer.max_epochs": 0}
    with pytest.raises(InvalidExperiment) as caught:
        checked_experiment(
            settings, dataset="x", run_name="one", mode="compare", folders=[], unusable="x is rejected"
        )
    problems = caught.value.problems
    assert problems[0] == "dataset: x is rejected"
    assert not any(one.startswith("data.") for one in problems), problems
    known = refused(folder, "nothing", trainer__max_epochs=0, seed="x")
    assert sorted(one.partition(":")[0] for one in known) == ["dataset", "seed", "trainer.max_epochs"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"federation": "deployment"}, "neither a SuperLink"),
        ({"federation": "ray"}, ""),
        (
            {
                "task": "tabular_classification",
                "data": "sql",
                "data.url": "env:X",
                "data.table": "x",
                "data.target": "y",
            },
            "data=sql: a job reads no database",
        ),
        ({"data": "medmnist", "data.dataset": "pneumoniamnist"}, "downloads nothing"),
        ({"experiment": "pneumoniamnist"}, "downloads nothing"),
        ({"data": "zip", "dataset": None}, "data.path"),
        ({"data": "custom"}, ""),
        ({"model": "own", "task": "custom"}, ""),
        ({"data": "../../etc/passwd"}, "there is no"),
        ({"task.monitor": 7}, "task.monitor"),
    ],
)
def test_no_choice_reaches_beyond_the_server(settings, says):
    settings = {key: value for key, value in settings.items() if value is not None}
    with pytest.raises(InvalidExperiment) as caught:
        checked_experiment(settings, dataset=None, run_name=None, mode="compare", folders=[])
    assert says in " ".join(caught.value.problems)


@pytest.mark.parametrize(
    ("task", "model", "says"),
    [
        ("image_classification", "mlp", "takes model=cnn or a ResNet, got model.name=mlp"),
        ("tabular_regression", "resnet18", "lightgbm or forest, got model.name=resnet18"),
        ("forecasting", "cnn", "lightgbm or forest, got model.name=cnn"),
        ("anomaly", "kmeans", "autoencoder or conv_autoencoder, got model.name=kmeans"),
        ("clustering", "pca", "takes model=kmeans or gmm, got model.name=pca"),
    ],
)
def test_a_model_of_another_task_is_refused(folder, task, model, says):
    (folder / "a.csv").write_text("time,site,y\n2026-01-01,a,1\n")
    data = {} if task.startswith("image") else {"data": "table", "data.target": "y"}
    data |= {"data.columns.time": "time"} if task == "forecasting" else {}
    assert says in " ".join(refused(folder, "a.csv" if data else "a.npz", task=task, model=model, **data))


def test_code_must_be_on_the_servers_list(monkeypatch):
    """No request can name code; were a choice to do so, it would still be asked for."""
    config = compose(["data=custom", "+data._target_=os.getcwd", "data.path=null"])
    assert "_target_=os.getcwd: this server does not allow it" in " ".join(_outside(config, path=None))
    monkeypatch.setenv(MAY_RUN, "os.getcwd")
    assert "os.getcwd" not in " ".join(_outside(config, path=None))


@pytest.mark.parametrize(
    "settings",
    [
        {"data.kinds": {"Größe (cm)": "numeric", "sex": "boolean"}},
        {"data.kinds.Größe (cm)": "numeric", "data.kinds.sex": "boolean"},
    ],
)
def test_columns_have_names_that_hydra_cannot_write(folder, settings):
    (folder / "a.csv").write_text("Größe (cm),sex,y\n1,0,a\n")
    settings = {"data": "table", "data.target": "y", "task": "tabular_classification", **settings}
    found = checked_experiment(settings, dataset="a.csv", run_name="x", mode="compare", folders=[folder])
    assert found.config.data.kinds == {"Größe (cm)": "numeric", "sex": "boolean"}
    assert any("Größe (cm)" in one for one in found.overrides)
    with pytest.raises(InvalidExperiment, match=r"data\.kinds"):
        checked_experiment(
            {**settings, "data.kinds.a b": "odd"},
            dataset="a.csv",
            run_name="x",
            mode="compare",
            folders=[folder],
        )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"data": "digits", "data.kinds.a b": "numeric"}, "is a setting of tables"),
        ({"data": "table", "data.kinds": {"${oc.env:HOME}": "numeric"}}, "interpolations"),
        ({"data": "table", "data.kinds": {"a b": "${oc.env:HOME}"}}, "interpolations"),
        ({"data": "table", "data.kinds": {"a\nb": "numeric"}}, "no name of a column"),
    ],
)
def test_names_of_columns_reach_nothing(settings, says):
    with pytest.raises(InvalidExperiment, match=re.escape(says)):
        checked_experiment(settings, dataset=None, run_name="x", mode="compare", folders=[])
