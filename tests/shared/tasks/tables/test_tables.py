"""Tables through the tasks: what clients tell, what is agreed on, what a model takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import fedtwin
from centralized.train import train
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.partition.partition import partition
from shared.data.profile import Moments, Profile
from shared.runtime.errors import ConfigError, DataError, FederationError, ReplyRejected
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store

ROWS = 200


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of four sites that differ, with gaps; the label follows from two inputs."""
    rng = np.random.default_rng(0)
    site = rng.integers(0, 4, ROWS)
    age = rng.normal(50 + 10 * site, 8).round(1)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(ROWS) < 0.1, np.nan, age),
            "smoker": np.where(rng.random(ROWS) < 0.5, "yes", "no"),
            "pain": rng.choice(["none", "some", "much"], ROWS),
            "site": [f"s{number}" for number in site],
        }
    )
    frame["sick"] = np.where(age + 20 * (frame["pain"] == "much") > 72, "sick", "well")
    path = tmp_path_factory.mktemp("tables") / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def cfg(path: Path) -> Config:
    return compose(
        [
            *("task=tabular_classification", f"data.path={path}", "data.target=sick", "data.positive=sick"),
            *(
                "partition=natural",
                "federation.num_clients=4",
                "trainer.max_epochs=2",
                "trainer.progress=false",
            ),
            *("trainer.accelerator=cpu", "model=linear", "data.min_count=1"),
        ]
    )


def test_clients_that_differ_agree_on_the_mean_and_deviation_of_all_rows(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    spec = learner.spec(data.schema)
    own = {
        str(number): spec.profile(data, data.rows("train", rows))
        for number, rows in enumerate(partition(data, cfg=cfg.shares, num_partitions=4))
    }
    agreed = spec.agree(own, trainer=cfg.trainer)
    train_rows = pd.read_csv(cfg.table.path).iloc[data.indices("train")]
    ages = train_rows["age"]
    smokers = train_rows["smoker"] == "yes"
    assert agreed["inputs"]["centers"] == pytest.approx([ages.mean(), smokers.mean()], abs=1e-5)
    assert agreed["inputs"]["scales"] == pytest.approx([ages.std(ddof=0), smokers.std(ddof=0)], abs=1e-5)
    assert sum(profile.missing["age"] for profile in own.values()) == ages.isna().sum()
    batches = learner.datamodule(data, None, FitContext(agreed=agreed))
    prepared = np.concatenate([inputs.numpy() for inputs, _ in batches.train_dataloader()])
    assert prepared.shape == (len(train_rows), 5)
    np.testing.assert_allclose(prepared[:, :2].mean(axis=0), 0, atol=1e-5)


def test_a_client_with_few_values_tells_nothing_of_them(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg.replace("data", min_count=50))
    data = learner.dataset(cache=home.cache)
    spec = learner.spec(data.schema)
    few = spec.profile(data, data.indices("train")[:49])
    assert few.moments == {}
    assert few.counts
    many = spec.profile(data, data.indices("train"))
    assert set(many.moments) == {"age", "smoker"}
    assert spec.agree({"a": few, "b": many}, trainer=cfg.trainer) == spec.agree(
        {"b": many}, trainer=cfg.trainer
    )
    with pytest.raises(
        FederationError, match=r"data.min_count.*may_leave.counts in site.yaml must hold moments"
    ):
        spec.agree({"a": few}, trainer=cfg.trainer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moments": {"nonsense": Moments(1, 0.0, 0.0)}}, "no numeric inputs"),
        ({"moments": {"pain": Moments(1, 0.0, 0.0)}}, "no numeric inputs"),
        ({"moments": {"age": Moments(11, 0.0, 0.0)}}, "it counts 11 values of age in 10 examples"),
        ({"moments": {"age": Moments(8, 0.0, 0.0)}, "missing": {"age": 3}}, "it counts 8 values of age"),
        ({"counts": {"label": {"well": 3}}}, "do not add up to 10"),
    ],
)
def test_a_profile_that_cannot_be_true_is_rejected(
    change: dict[str, object], message: str, cfg: Config, home: Home
) -> None:
    learner = learner_of(cfg)
    spec = learner.spec(learner.dataset(cache=home.cache).schema)
    with pytest.raises(ReplyRejected, match=message):
        spec.check_profile(replace(Profile(), **change), num_examples=10)


def test_images_need_another_model(cfg: Config, path: Path, home: Home) -> None:
    named = ["task=tabular_classification", f"data.path={path}", "data.target=sick", "model=cnn"]
    learner = learner_of(compose(named))
    data = learner.dataset(cache=home.cache)
    with pytest.raises(ConfigError, match=r"takes model=linear, mlp, .* or forest, got model\.name=cnn"):
        learner.module(data.schema, FitContext())
    with pytest.raises(ConfigError, match=r"task=image_classification needs images, got data\.source=table"):
        learner_of(compose(["data=table", f"data.path={path}", "data.target=sick"])).dataset(cache=home.cache)
    with pytest.raises(ConfigError, match=r"needs a table, got data\.source=digits; choose data=table"):
        learner_of(compose(["task=tabular_classification", "data=digits"])).dataset(cache=home.cache)


def test_a_model_takes_files_frames_and_arrays_alike(
    cfg: Config, path: Path, home: Home, store: Store, tmp_path: Path
) -> None:
    model = fedtwin.load_model(train(cfg, store=store, home=home), store=home.root)
    frame = pd.read_csv(path)
    told = fedtwin.predict(model, path)
    assert told.noun == "row"
    assert told.names[:2] == ("line 2", "line 3")
    other = frame[["sick", "pain", "smoker", "age"]].iloc[::-1]
    other.to_parquet(tmp_path / "rows.parquet")
    from_file = fedtwin.predict(model, tmp_path / "rows.parquet")
    from_frame = fedtwin.predict(model, other)
    codes = {"none": 1, "some": 2, "much": 0}
    plain = np.stack([frame["age"], frame["smoker"] == "yes", frame["pain"].map(codes)], axis=1).astype(float)
    np.testing.assert_array_equal(fedtwin.predict(model, plain).probabilities, told.probabilities)
    np.testing.assert_array_equal(from_file.probabilities[::-1], told.probabilities)
    np.testing.assert_array_equal(from_frame.probabilities[::-1], told.probabilities)
    assert from_frame.names[0] == "199"
    np.testing.assert_allclose(model(torch.from_numpy(plain)).detach().numpy(), told.probabilities, rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame({"age": [1], "pain": ["none"]}), "there is no column 'smoker', only 'age', 'pain'"),
        (
            pd.DataFrame({"age": [1], "pain": ["awful"], "smoker": ["no"]}),
            "column 'pain' holds 'awful' in 1 row, the first is row 1; the model was trained on 'much', 'none'",
        ),
        (pd.DataFrame({"age": ["old"], "pain": ["none"], "smoker": ["no"]}), "column 'age' holds"),
        (np.array([[1.0, 7, 0]]), "expected 0 or 1 for 'smoker', got 7"),
        (np.array([[1.0, 1, 3]]), "expected numbers of its levels, 0 to 2 for 'pain', got 3"),
        (np.array([[1.0, 1, 0.5]]), "expected numbers of its levels, 0 to 2 for 'pain', got 0.5"),
        (np.array([[np.inf, 1, 0]]), "expected finite numbers for 'age', got inf"),
        (
            pd.DataFrame([[1, 2, "no", "none"]], columns=["age", "age", "smoker", "pain"]),
            "the data frame has the column 'age' twice",
        ),
        (np.zeros((2, 2)), "expected rows [B, 3] of age, smoker, pain, got [2, 2]"),
        (3, "expected rows [N, 3], got an array []"),
        (["a", "b"], "expected a file, a data frame or numbers, got list"),
    ],
)
def test_rows_that_a_model_cannot_take_are_named(
    rows: object, message: str, cfg: Config, home: Home, store: Store
) -> None:
    model = fedtwin.load_model(train(cfg, store=store, home=home), store=home.root)
    with pytest.raises(DataError) as error:
        fedtwin.predict(model, rows)
    assert message in str(error.value)


def test_with_local_scaling_a_model_needs_the_site_of_a_row(
    cfg: Config, path: Path, home: Home, store: Store
) -> None:
    model = fedtwin.load_model(
        train(cfg.replace("data", scaling="local"), store=store, home=home), store=home.root
    )
    frame = pd.read_csv(path)
    told = fedtwin.predict(model, path)
    np.testing.assert_array_equal(
        fedtwin.predict(model, frame.iloc[::-1]).probabilities[::-1], told.probabilities
    )
    codes = {"none": 1, "some": 2, "much": 0}
    inputs = [
        frame["age"],
        frame["smoker"] == "yes",
        frame["pain"].map(codes),
        frame["site"].str[1].astype(int),
    ]
    plain = np.stack(inputs, axis=1).astype(float)
    np.testing.assert_array_equal(fedtwin.predict(model, plain).probabilities, told.probabilities)
    for rows, said in (
        (frame.drop(columns="site"), "there is no column 'site'"),
        (frame.assign(site="s9"), "column 'site' holds 's9' in 200 rows"),
        (frame.assign(site=["", *frame["site"][1:]]), "'site' is missing in a row"),
        (plain[:, :3], r"expected rows \[B, 4\] of age, smoker, pain, site"),
    ):
        with pytest.raises(DataError, match=f"(?s){said}.*so a row needs 'site', one of s0, s1, s2, s3;"):
            fedtwin.predict(model, rows)


def test_with_local_scaling_the_units_of_a_site_do_not_matter(
    cfg: Config, path: Path, home: Home, store: Store, tmp_path: Path
) -> None:
    """A site that measures in another unit, which divides it among the digits alike, trains the same model."""
    frame = pd.read_csv(path)
    frame["age"] = np.where(frame["site"] == "s1", frame["age"] * 8, frame["age"])
    frame.to_csv(tmp_path / "other.csv", index=False)
    found = []
    for file in (path, tmp_path / "other.csv"):
        own = cfg.replace("data", scaling="local", path=str(file))
        found.append(store.runs.get(train(own, store=store, home=home)).summary["test"])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_both_modes_scale_a_row_alike_by_its_site(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg.replace("data", scaling="local"))
    data = learner.dataset(cache=home.cache)
    pooled = learner.datamodule(data, None, FitContext(agreed=data.agreed))
    for rows in partition(data, cfg=cfg.shares, num_partitions=4):
        own = learner.datamodule(data, rows, FitContext())  # a client is told of no other's rows
        np.testing.assert_array_equal(own.inputs[rows], pooled.inputs[rows])
        train = own.inputs[data.rows("train", rows)][:, 0]
        assert (train.mean(), train.std()) == pytest.approx((0, 1), abs=0.1)  # gaps are at 0
