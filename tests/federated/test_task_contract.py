"""What every task of ``conf/task/`` keeps: one client equals pooling, sums equal rows, specs need no torch."""

from __future__ import annotations

import html
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import fedtwin
from centralized.train import train
from fedtwin.cli.main import main
from shared.clusters.distances import squared_distances
from shared.config.compose import CONF_DIR, compose
from shared.config.config import Config
from shared.data.partition.partition import partition
from shared.data.profile import Profile
from shared.data.series.load import SeriesData
from shared.data.tables.load import TableData
from shared.metrics.headline import headline
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.metrics.statistics import Statistics
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.panels import KINDS
from shared.tasks.task import learner_of, spec_of_run
from shared.tracking.store import Store
from simulations.compare import measure_gap
from simulations.report.build import Comparison, write_results
from simulations.report.panels import DRAW
from simulations.twins import Twins, for_seed
from tests.federated.federation_kit import Federate, Run, digest
from tests.federated.test_laws import pooled_digest

TASKS = sorted(path.stem for path in (CONF_DIR / "task").glob("*.yaml"))
OURS = [task for task in TASKS if task != "custom"]  # whose laws are in test_custom.py
CUSTOM = "'task.metrics={loss: lower}', 'data._target_=mine.Data', 'model._target_=mine.Net'"
LAGS = "forecasting, trees"  # trees on a table of lags, which have a module and inputs of their own
ROWS, CLUSTERS = 120, 3
ON_IMAGES = ["data=zip", "data.image_size=8", "data.decode_workers=1", "model.widths=[2,4]", "model.hidden=8"]
ON_TABLES = ["data.target=target", "data.min_count=1", "data.missing=indicator"]
ON_SERIES = [
    *(
        "data.target=load",
        "data.min_count=1",
        "data.missing=indicator",
        "data.columns={time: when, series: ward}",
    ),
    *("task.window=6", "task.horizon=3", "task.season=4", "task.block=6", "task.known=[warmth]"),
]
BY_CLIENT = {
    "binned": {"auroc", "average_precision"},
    "own rows": {"silhouette"},
}  # what sums do not give exactly
SETTINGS = [
    "data.batch_size=16",
    "trainer.optimizer.momentum=0",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
    "trainer.max_epochs=2",
    "federation.num_rounds=2",
    "federation.num_clients=1",
    "federation.local_epochs=1",
    "partition=iid",
]


def is_table(task: str) -> bool:
    return task.startswith("tabular") or task in ("clustering", "anomaly")


def settings_of(task: str, model: str = "") -> list[str]:
    if task == "forecasting":
        return [*ON_SERIES, *([f"model={model}", "model.max_depth=2"] if model else ["model.hidden=[8]"])]
    of_model = ["model.hidden=[8]"] if task.startswith("tabular") else []
    return [*(ON_TABLES if is_table(task) else ON_IMAGES), *of_model]


def series_of(rng: np.random.Generator) -> str:
    """Hours of two wards, with a gap in a measurement here and there."""
    lines = ["when,ward,load,warmth"]
    for ward in "AB":
        for hour, noise in enumerate(rng.normal(0, 1, ROWS // 2)):
            load, warmth = 5 + 3 * np.sin(hour * np.pi / 2) + noise, f"{hour % 7}" if hour % 5 else ""
            lines.append(f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00,{ward},{load:.3f},{warmth}")
    return "\n".join(lines)


def labels_of(task: str, levels: np.ndarray) -> list[str]:
    """What the rows of a task say, of images with a grey level."""
    if task.endswith("_classification") or task == "clustering":
        return ["bright" if level > 128 else "dark" for level in levels]
    if task == "anomaly":
        return [str(int(level > 200)) for level in levels]
    if task == "image_multilabel":
        names = [(level > 80, "Mass") for level in levels], [(level > 170, "Nodule") for level in levels]
        pairs = zip(*names, strict=True)
        return ["|".join(name for has, name in pair if has) or "No Finding" for pair in pairs]
    assert task.endswith("_regression"), f"say what the rows of {task} look like"
    return [str(level / 10) for level in levels]


@pytest.fixture(scope="module")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A ZIP of images for each task, whose grey level says the target; or a table with such a column."""
    folder = tmp_path_factory.mktemp("tasks")

    def make(task: str) -> Path:
        path = folder / f"{task}.zip"
        rng = np.random.default_rng(0)
        levels = rng.integers(20, 236, ROWS)
        if task == "forecasting":
            path = path.with_suffix(".csv")
            path.write_text(series_of(rng))
            return path
        if is_table(task):
            path = path.with_suffix(".csv")
            lines = ["level,ward,smoker,noise,target" + (",split" if task == "anomaly" else "")]
            for row, (level, text) in enumerate(zip(levels, labels_of(task, levels), strict=True)):
                noise = f"{rng.normal(5e6, 3):.3f}" if row % 5 else ""
                measured = f"{rng.normal(level, 12):.2f}"
                lines.append(f"{measured},{'ABC'[row % 3]},{'yes' if row % 2 else 'no'},{noise},{text}")
                if task == "anomaly":  # which leaves anomalies out of the training rows, and so moves others
                    lines[-1] += f",{('val', 'test')[row % 2] if text == '1' or row < 30 else 'train'}"
            path.write_text("\n".join(lines))
            return path
        with zipfile.ZipFile(path, "w") as archive:
            lines = ["filename,label"]
            for row, (level, text) in enumerate(zip(levels, labels_of(task, levels), strict=True)):
                pixels = np.clip(rng.normal(level, 12, (8, 8)), 0, 255).astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                archive.writestr(f"images/{row}.png", buffer.getvalue())
                lines.append(f"{row}.png,{text}")
            archive.writestr("metadata.csv", "\n".join(lines))
        return path

    return make


@pytest.fixture(params=[*OURS, LAGS])
def cfg(request: pytest.FixtureRequest, data_of: Callable[[str], Path]) -> Config:
    task, _, model = request.param.partition(", ")
    return compose([f"task={task}", f"data.path={data_of(task)}", *settings_of(task, model), *SETTINGS])


def model_digest(run: Run) -> str:
    """SHA-256 of the model alone: that of a strategy's own state is in the same file."""
    return digest({key: value for key, value in run.weights().items() if not key.startswith("strategy/")})


ON_LAGS = {
    "two clients by sums": ("trees", "boosting", 2),
    "xgboost": ("xgboost", "bagging", 1),
    "lightgbm": ("lightgbm", "cyclic", 1),
}


@pytest.mark.parametrize(("model", "strategy", "clients"), ON_LAGS.values(), ids=ON_LAGS)
def test_trees_on_lags_are_those_of_pooled_training(
    model: str,
    strategy: str,
    clients: int,
    data_of: Callable[[str], Path],
    federate: Federate,
    home: Home,
    store: Store,
) -> None:
    by_ward = ["partition=natural", "partition.column=ward", "data.scaling=local"] if clients > 1 else []
    named = ["task=forecasting", f"data.path={data_of('forecasting')}", f"strategy={strategy}"]
    own = [*settings_of("forecasting", model), *SETTINGS, f"federation.num_clients={clients}", *by_ward]
    cfg = compose([*named, *own])
    assert model_digest(federate(cfg=cfg)) == pooled_digest(cfg, store=store, home=home)


def test_one_client_with_all_data_equals_pooled_training(
    cfg: Config, federate: Federate, home: Home, store: Store
) -> None:
    run = federate(cfg=cfg)
    assert model_digest(run) == pooled_digest(cfg, store=store, home=home)
    row = run.store.runs.get(run.id)
    spec, outputs = spec_of_run(row), Outputs.load(home.run_dir(run.id) / OUTPUTS_FILE)
    assert spec.values(outputs) == pytest.approx(row.summary["test"])
    assert row.summary["panels"] == [panel.as_dict() for panel in spec.panels(outputs)]


def test_a_comparison_is_reported_in_the_words_of_its_task(
    cfg: Config, federate: Federate, home: Home, store: Store
) -> None:
    cfg = cfg.replace("federation", num_clients=2).replace("compare", resamples=100)
    parent = store.runs.create(name="p", training_mode="compare", config={}, seed=cfg.seed)
    data = learner_of(cfg).dataset(cache=home.cache)
    own, _ = for_seed(cfg, seed=cfg.seed, parent_id=parent, data=data)
    pooled, run = train(own, store=store, home=home), federate(cfg=own)
    twins = Twins(seeds=[cfg.seed], pooled=[pooled], federated=[run.id])
    rows = measure_gap(cfg, twins, home=home)
    spec = spec_of_run(store.runs.get(run.id))
    assert [row.metric for row in rows] == list(spec.names)
    assert headline(rows).metric == spec.names[0]
    done = Comparison(run_id=1, cfg=cfg, twins=twins, rows=rows, command="fedtwin compare")
    folder = home.results / "compare_1"
    text = html.unescape(write_results(done, store=store, home=home, folder=folder).read_text())
    for metric in spec.metrics:
        assert f"<li>{metric.label}: {metric.description}</li>" in text
    assert f"reaches {spec.metrics[0].label} " in text
    profile = Profile.from_dict(store.clients.of_run(run.id)[0].profile)
    for variable in (*profile.counts, *profile.spans):
        assert f"{variable}</h3>" in text
    if not cfg.task.name.endswith("_classification"):
        words = re.sub(r"<style.*?</style>|<[^>]*>", " ", text.partition("All settings")[0], flags=re.DOTALL)
        assert not re.findall(r"\b(?:class|classes|threshold)\b", words)


def test_sums_of_clients_are_the_score_of_all_rows(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    spec = learner.spec(data.schema)
    rng = np.random.default_rng(1)
    outputs = _guesses(cfg.task.name, data.targets[:], rng)
    parts = np.array_split(rng.permutation(len(data)), 3)
    each = [spec.statistics(Outputs(outputs.predictions[rows], outputs.targets[rows])) for rows in parts]
    for statistics, rows in zip(each, parts, strict=True):
        spec.check(statistics, rows=len(rows))
        with pytest.raises(ValueError, match="expected"):
            spec.check(statistics, rows=len(rows) + 1)
    read = [Statistics.from_bytes(own.to_bytes(), layout=spec.layout) for own in each]
    pooled, exact = spec.pooled(reduce(add, read)), spec.values(outputs)
    assert list(pooled) == list(exact) == [name for name in spec.names if name in exact]
    for name in {*exact} - BY_CLIENT["own rows"]:
        binned = name in BY_CLIENT["binned"]
        assert pooled[name] == pytest.approx(exact[name], abs=2e-3 if binned else 0, rel=1e-9), name


def test_weights_count_rows(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    spec = learner.spec(data.schema)
    outputs = _guesses(cfg.task.name, data.targets[:], np.random.default_rng(1))
    rows = np.random.default_rng(2).integers(0, len(data), len(data))
    weights = np.bincount(rows, minlength=len(data))[None].astype(float)
    drawn = spec.score(Outputs(outputs.predictions[rows], outputs.targets[rows]))
    weighted = spec.score(outputs, weights)
    assert list(drawn) == list(weighted) == list(spec.names)
    for name in spec.names:
        np.testing.assert_allclose(weighted[name], drawn[name], rtol=1e-9, err_msg=name)


def test_profiles_and_panels_are_json_of_known_kinds(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    spec = learner.spec(data.schema)
    parts = partition(data, cfg=cfg.shares, num_partitions=2)
    profiles = {}
    for number, rows in enumerate(data.rows("train", part) for part in parts):
        profile = spec.profile(data, rows)
        assert Profile.from_json(profile.to_json()) == profile
        spec.check_profile(profile, num_examples=len(rows))
        spec.check_profile(Profile(), num_examples=len(rows))
        profiles[f"site {number}"] = profile
    agreed = spec.agree(profiles, trainer=cfg.trainer)
    assert json.loads(json.dumps(agreed)) == agreed
    whole = spec.profile(data, data.indices("train"))
    assert agreed == spec.agree({"all": whole}, trainer=cfg.trainer), "pooled and federated agree on the same"
    for panel in spec.panels(_guesses(cfg.task.name, data.targets[:], np.random.default_rng(1))):
        assert panel.kind in KINDS
        assert panel.kind in DRAW
        assert json.loads(json.dumps(panel.as_dict(), allow_nan=False)) == panel.as_dict()


def test_metrics_have_a_catalogue_entry_and_the_monitor_is_one(cfg: Config, home: Home) -> None:
    learner = learner_of(cfg)
    spec = learner.spec(learner.dataset(cache=home.cache).schema)
    assert spec.monitor.partition("/")[2] in spec.names
    assert spec.client_metric in spec.names
    assert all(metric.better for metric in spec.metrics)
    spec.check_settings(cfg.trainer)
    wrong = cfg.replace("trainer", monitor="val/nonsense").trainer
    with pytest.raises(ConfigError, match="val/nonsense is not measured"):
        spec.check_settings(wrong)


@pytest.mark.parametrize("mode", ["pooled", "federated"])
def test_a_stored_run_predicts_new_rows_as_it_predicted_its_test_rows(
    mode: str,
    cfg: Config,
    federate: Federate,
    home: Home,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id = federate(cfg=cfg).id if mode == "federated" else train(cfg, store=store, home=home)
    tested = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE)
    data = learner_of(cfg).dataset(cache=home.cache)
    if isinstance(data, SeriesData):
        agreed = FitContext(agreed=store.runs.get(run_id).summary["agreed"])
        inputs = learner_of(cfg).datamodule(data, None, agreed).inputs
    else:
        inputs = data.inputs if isinstance(data, TableData) else data.images
    images = inputs[data.indices("test")]
    model = fedtwin.load_model(run_id, store=home.root)
    values = model(torch.from_numpy(images)).detach().numpy()
    # Those of clusters hold the rows too, after the distances, and those of scores where a row stands.
    np.testing.assert_allclose(values, tested.predictions[:, : values.shape[1]], rtol=1e-5, atol=1e-6)
    if isinstance(data, SeriesData):
        return  # a file says more than its test windows; see test_forecasting.py
    done = fedtwin.predict(model, images)
    frame = done.frame()
    expected = _told(cfg.task.name, tested, data.schema.classes)
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected, check_dtype=False, rtol=1e-5)

    monkeypatch.setenv("FEDTWIN_HOME", str(home.root))
    monkeypatch.setattr(sys, "argv", ["fedtwin", "predict", str(run_id), str(cfg.data.path), "--format", "csv"])
    capsys.readouterr()
    main()
    noun, name = ("row", "line {}") if isinstance(data, TableData) else ("image", "images/{}.png")
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index(noun)
    rows = [name.format(row + 2 if noun == "row" else row) for row in data.indices("test")]
    pd.testing.assert_frame_equal(
        printed.loc[rows].reset_index(drop=True), expected, check_dtype=False, rtol=1e-5
    )
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "json"])
    main()
    found = {one[noun]: one for one in json.loads(capsys.readouterr().out)}
    assert [found[row]["prediction"] for row in rows] == pytest.approx(done.answers)
    assert all(list(one.get("probabilities", {})) == list(data.schema.classes) for one in found.values())
    monkeypatch.setattr(sys, "argv", sys.argv[:-2])
    main()
    assert str(done.answers[0])[:5] in capsys.readouterr().out


def _told(task: str, tested: Outputs, classes: tuple[str, ...]) -> pd.DataFrame:
    """The frame of the predictions that a run was tested by, second implementation."""
    if task == "anomaly":
        scores = pd.DataFrame(tested.predictions[:, :2], columns=["ratio", "score"])
        scores.insert(0, "prediction", np.where(scores["ratio"] > 1, "anomaly", "normal"))
        return scores
    if task == "clustering":
        distances = pd.DataFrame(tested.predictions[:, :CLUSTERS]).add_prefix("cluster ")
        distances.insert(0, "prediction", tested.predictions[:, :CLUSTERS].argmin(axis=1))
        return distances
    frame = pd.DataFrame(tested.predictions, columns=list(classes) or ["prediction"])
    if task.endswith("_regression"):
        return frame
    if task == "image_multilabel":
        texts = ["|".join(row[row > 0.5].index) or "No Finding" for _, row in frame.iterrows()]
    else:
        texts = [classes[int(value > np.float32(tested.threshold))] for value in tested.predictions[:, 1]]
    frame.insert(0, "prediction", texts)
    return frame


@pytest.mark.parametrize("task", TASKS)
def test_specs_import_no_torch(task: str) -> None:
    tabular = "'data.path=rows.csv', 'data.target=target'"
    settings = CUSTOM if task == "custom" else tabular if is_table(task) or task == "forecasting" else ""
    code = (
        "import sys; from shared.config.compose import compose; from shared.tasks.task import load_task\n"
        f"load_task(compose(['task={task}', {settings}]).task)\n"
        "print({'torch', 'lightning', 'torchmetrics'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"


def _guesses(task: str, targets: np.ndarray, rng: np.random.Generator) -> Outputs:
    """Predictions that are better than chance."""
    if task == "clustering":
        rows = (
            rng.normal(0, 1, (len(targets), 9)) + 2 * targets[:, None]
        )  # three numbers, gaps in them, three levels
        distances = squared_distances(rows, rows[:CLUSTERS])
        return Outputs(np.concatenate([distances, rows], axis=1), targets.astype(np.float64))
    if task == "anomaly":
        ratios = np.exp(rng.normal(targets, 0.7))
        places = np.arange(len(targets), dtype=float)
        return Outputs(np.stack([ratios, ratios / 3, places, places // 50], axis=1), targets)
    if task == "forecasting":
        return Outputs(targets[:, :3] + rng.normal(0, 2, (len(targets), 3)), targets)
    if task.endswith("_regression"):
        return Outputs(targets + rng.normal(0, 2, targets.shape), targets)
    if task == "image_multilabel":
        logits = 2 * targets - 1 + rng.normal(0, 1, targets.shape)
        return Outputs((1 / (1 + np.exp(-logits))).astype(np.float32), targets)
    logits = 2 * targets - 1 + rng.normal(0, 1, len(targets))
    positive = 1 / (1 + np.exp(-logits))
    return Outputs(np.stack([1 - positive, positive], axis=1).astype(np.float32), targets)
