"""The configuration: every file of ``conf/`` is composed and built from; what is wrong is named."""

from __future__ import annotations

import json
import threading
import zipfile
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from federated import strategy
from federated.strategy.base import Algorithm, load_algorithm
from shared.config.compose import CONF_DIR, compose
from shared.config.config import validate
from shared.config.settings import PLANS
from shared.config.stored import read_snapshot
from shared.data.images.datamodule import ImageDataModule
from shared.data.partition.partition import partition
from shared.runtime.errors import ConfigError
from shared.runtime.home import open_home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.training.trainer import build_trainer
from tests.idx_files import write_idx
from tests.images import classifier, load_images

GROUPS = (
    "data",
    "task",
    "model",
    "trainer",
    "partition",
    "strategy",
    "federation",
    "compare",
    "tracking",
    "experiment",
)


def options(group):
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml") if path.stem != "base")


TABLES = (
    *("table", "sql", "linear", "mlp", "lstm", "tcn", "trees", "xgboost", "lightgbm", "forest", "kmeans"),
    *("gmm", "pca", "isolation_forest", "autoencoder", "conv_autoencoder"),
)


def images_and_networks(group):
    """The files of a group that are for images."""
    return [name for name in options(group) if name not in ("custom", "own", "rows", *TABLES)]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory, two_classes: Path) -> dict[str, Path]:
    """A file or folder for each kind of data."""
    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    lines = ["filename,label,patient_id,site"]
    for number in range(60):
        label = ("sick", "well")[number % 2]
        name = f"{number}.png"
        lines.append(f"{name},{label},p{number % 2}-{number // 4},{'east' if number < 24 else 'west'}")
        for folder in (root / "folder" / "images", root / "classes" / label):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(folder / name)
    (root / "folder" / "metadata.csv").write_text("\n".join(lines))
    with zipfile.ZipFile(root / "data.zip", "w") as archive:
        for path in sorted((root / "folder").rglob("*.*")):
            archive.write(path, path.relative_to(root / "folder"))
    write_idx(root / "idx")
    return {
        "folder": root / "folder",
        "classes": root / "classes",
        "zip": root / "data.zip",
        "npz": two_classes,
        "idx": root / "idx",
        "medmnist": two_classes,
    }


def test_every_file_is_known_to_this_test():
    folders = {path.name for path in CONF_DIR.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {*GROUPS, PLANS}  # plans have a test of their own: tests/simulations/sweeps


def test_the_table_of_contents_alone():
    cfg = compose()
    assert (cfg.name, cfg.seed, cfg.data.name, cfg.model.name) == ("digits-cnn", 42, "digits", "cnn")
    assert (cfg.partition.seed, cfg.shares.seed) == (None, 42)
    assert compose(["seed=7"]).shares.seed == 7
    assert compose(["seed=7", "partition.seed=42"]).shares.seed == 42


@pytest.mark.parametrize("name", images_and_networks("data"))
def test_data(name, sources, cache_dir):
    path = [f"data.path={sources[name]}"] if name in sources else []
    cfg = compose([f"data={name}", *path, "data.image_size=8", "data.decode_workers=1"])
    assert cfg.data.source == name
    data = load_images(cfg.data, cache_dir=cache_dir)
    datamodule = ImageDataModule(data, cfg=cfg.data, seed=1)
    images, labels = next(iter(datamodule.train_dataloader()))
    assert datamodule.train_transform(images).shape == (len(labels), 1, 8, 8)
    assert all(datamodule.num_examples(stage) for stage in ("train", "val", "test"))


TABLE = ["task=tabular_classification", "data.path=x.csv", "data.target=y"]
CUSTOM = ["task=custom", "task.metrics={dice: higher}", "data._target_=mine.Data", "model._target_=mine.Net"]


def test_a_model_and_data_of_ones_own():
    cfg = compose([*CUSTOM, "+model.width=8", "+data.size=3", "data.path=somewhere"])
    assert cfg.name == "mine.Data-mine.Net"
    assert cfg.partition.name == "iid"
    assert (cfg.model.target, cfg.model.arguments) == ("mine.Net", {"width": 8})
    assert (cfg.data.target, cfg.data.arguments) == (
        "mine.Data",
        {"path": str(Path.cwd() / "somewhere"), "size": 3},
    )
    assert set(cfg.targets) == {"mine.Net", "mine.Data", cfg.task.target, cfg.strategy.target}
    assert read_snapshot(cfg.snapshot()).snapshot() == cfg.snapshot()
    assert compose([*CUSTOM, "partition=quantity"]).partition.name == "quantity"
    with pytest.raises(ConfigError, match=r"task=image_classification needs images, got data.source=custom"):
        _ = compose(["data=custom", "data._target_=mine.Data"]).images


def test_rows_of_a_task_of_ones_own():
    own = ["data=rows", "model=own", "data.path=somewhere.csv"]
    cfg = compose([*own, "data.val_fraction=0.1"])
    assert (cfg.name, cfg.rows.path) == ("rows-own", str(Path.cwd() / "somewhere.csv"))
    assert set(cfg.targets) == {cfg.task.target, cfg.strategy.target}
    assert read_snapshot(cfg.snapshot()).snapshot() == cfg.snapshot()
    with pytest.raises(ConfigError, match=r"task=image_classification needs images, got data.source=rows"):
        _ = cfg.images
    with pytest.raises(ConfigError, match=r"reads its rows itself, got data.source=digits; choose data=rows"):
        _ = compose().rows
    with pytest.raises(ConfigError, match=r"val_fraction \+ data.test_fraction must be below 1"):
        compose([*own, "data.val_fraction=0.8"])


@pytest.mark.parametrize("name", images_and_networks("model"))
def test_model(name):
    cfg = compose([f"model={name}"])
    assert cfg.model.name == name
    module = classifier(cfg, num_classes=3).eval()
    with torch.no_grad():
        assert module(torch.zeros(2, 1, cfg.data.image_size, cfg.data.image_size)).shape == (2, 3)


@pytest.mark.parametrize("name", options("partition"))
def test_partition(name, sources, cache_dir):
    path = f"data.path={sources['zip']}"
    small = [
        "data.image_size=8",
        "data.decode_workers=1",
        "federation.num_clients=2",
        "partition.min_examples=2",
    ]
    cfg = compose(["data=zip", path, f"partition={name}", *small])
    assert cfg.partition.name == name
    data = load_images(cfg.data, cache_dir=cache_dir)
    parts = partition(data, cfg=cfg.shares, num_partitions=2)
    rows = np.sort(np.concatenate(parts))
    np.testing.assert_array_equal(rows, np.flatnonzero(data.splits != "test"))


@pytest.mark.parametrize("name", options("strategy"))
def test_strategy(name):
    cfg = compose([f"strategy={name}"])
    algorithm = load_algorithm(cfg.strategy)
    assert algorithm.config.name == name
    assert type(algorithm).__name__.lower() == name


def test_every_algorithm_has_a_file():
    modules = [import_module(f"federated.strategy.{module.name}") for module in iter_modules(strategy.__path__)]
    ours = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Algorithm) and kind is not Algorithm
    }
    assert {kind.__name__.lower() for kind in ours} == set(options("strategy"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["strategy=fedprox", "strategy.proximal_mu=-1"], r"strategy.proximal_mu: .* got -1"),
        (["strategy=fedavgm", "strategy.server_momentum=1"], r"strategy.server_momentum: .* got 1"),
        (
            ["strategy=fedavgm", "strategy.server_momentum=1", "strategy.server_learning_rate=0"],
            r"(?s)learning.*got 0",
        ),
        (["+strategy.proximal_mu=0.1"], r"strategy.proximal_mu: only with strategy=fedprox"),
        (["strategy=fedtrimmedavg", "strategy.beta=half"], r'strategy.beta: .* got the text "half"'),
        (["strategy._target_=federated.strategy.fedavg.Fed"], "has no attribute 'Fed'"),
        (["strategy._target_=federated.strategy.fedbn.nn"], "must be a subclass"),
        (["strategy._target_=os.path.join"], "may not run here"),
    ],
)
def test_an_algorithm_checks_its_own_settings(overrides, says):
    with pytest.raises(ConfigError, match=says):
        load_algorithm(compose(overrides).strategy)


@pytest.mark.parametrize("name", options("trainer"))
@pytest.mark.parametrize("scheduler", ["none", "cosine", "one_cycle", "plateau"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_trainer(name, scheduler, optimizer, two_class_data, make_config):
    overrides = (
        f"trainer={name}",
        f"trainer.scheduler.name={scheduler}",
        f"trainer.optimizer.name={optimizer}",
    )
    cfg = make_config(*overrides)
    trainer = build_trainer(cfg.trainer, max_epochs=1, callbacks=[], limit_train_batches=1)
    trainer.fit(
        classifier(cfg, num_classes=2), datamodule=ImageDataModule(two_class_data, cfg=cfg.data, seed=1)
    )
    assert type(trainer.optimizers[0]).__name__.lower() == optimizer
    assert bool(trainer.lr_scheduler_configs) == (scheduler != "none")


@pytest.mark.parametrize("group", ["federation", "compare", "tracking"])
def test_plain_groups(group, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path))
    for name in options(group):
        cfg = compose([f"{group}={name}"])
        assert open_home(cfg.tracking).root == tmp_path


@pytest.mark.parametrize(
    "group",
    GROUPS,
)
def test_an_unknown_preset_is_an_error_that_lists_those_that_exist(group):
    with pytest.raises(ConfigError) as error:
        compose([f"{group}=TYPO"])
    assert f"{group}=TYPO: there is no 'TYPO'" in str(error.value)
    assert all(name in str(error.value) for name in options(group) if name != "base")


def test_the_experiment_on_a_table(tmp_path):
    rng = np.random.default_rng(0)
    numbers = ["age", "trestbps", "chol", "thalch", "oldpeak"]
    frame = pd.DataFrame({name: rng.integers(20, 200, 80).astype(float) for name in numbers})
    for column, levels in (("sex", ["Male", "Female"]), ("cp", ["a", "b", "c"]), ("restecg", ["x", "y"])):
        frame[column] = rng.choice(levels, 80)
    frame = frame.assign(fbs=rng.choice([True, False], 80), exang=rng.choice([True, False], 80))
    frame = frame.assign(dataset=list("abcd") * 20, num=rng.integers(0, 5, 80))
    frame.to_csv(tmp_path / "heart.csv", index=False)
    cfg = compose(["experiment=fed_heart_disease", f"data.path={tmp_path / 'heart.csv'}"])
    learner = learner_of(cfg)
    data = learner.dataset(cache=tmp_path)
    assert data.schema.classes == ("no disease", "disease")
    module = learner.module(data.schema, FitContext()).eval()
    inputs, labels = next(iter(learner.datamodule(data, None, FitContext()).train_dataloader()))
    assert inputs.shape == (4, 5 + 2 + 1 + 2 + 1)  # numbers, booleans, and a level less of each category
    with torch.no_grad():
        assert module(inputs).shape == (len(labels), 2)


def test_the_experiment_on_time_series(tmp_path):
    rng, hours = np.random.default_rng(0), pd.date_range("2016-08-01", periods=24 * 28, freq="h")
    parts = [
        pd.DataFrame(
            {"timestamp": hours, "home": home, "load_kwh": rng.gamma(2, 1, len(hours)), "humidity_pct": 50}
        )
        for home in "ab"
    ]
    pd.concat(parts).to_csv(tmp_path / "load.csv", index=False)
    cfg = compose(["experiment=electricity", f"data.path={tmp_path / 'load.csv'}"])
    learner = learner_of(cfg)
    data = learner.dataset(cache=tmp_path)
    assert (data.schema.horizon, data.blocks.noun) == (24, "7-d block")
    assert set(data.columns[cfg.partition.column]) == {"a", "b"}
    module = learner.module(data.schema, FitContext()).eval()
    windows, targets = next(iter(learner.datamodule(data, None, FitContext()).train_dataloader()))
    assert windows.shape[1:] == (48 + 24, 2 + 4 + 2)  # load and humidity; hour and weekday; the scale
    with torch.no_grad():
        assert module(windows).shape == (len(targets), 24)


ON_IMAGES = [name for name in options("experiment") if name not in ("fed_heart_disease", "electricity", "skab")]


@pytest.mark.parametrize("name", ON_IMAGES)
def test_experiment(name, two_classes, sources, cache_dir):
    path = sources["idx"] if name.startswith("mnist") else two_classes
    cfg = compose([f"experiment={name}", f"data.path={path}"])
    data = load_images(cfg.data, cache_dir=cache_dir)
    module = classifier(cfg, num_classes=len(data.schema.classes)).eval()
    images = ImageDataModule(data, cfg=cfg.data, seed=1).train_transform(torch.from_numpy(data.images[[0, 1]]))
    with torch.no_grad():
        assert module(images).shape == (2, len(data.schema.classes))
    assert load_algorithm(cfg.strategy).config.name == cfg.strategy.name
    assert cfg.snapshot() != compose([f"data={cfg.data.source}", f"data.path={path}"]).snapshot()


def test_the_preset_of_skab_takes_a_folder_of_its_experiments(tmp_path, cache_dir):
    for kind in ("valve1", "other"):
        (tmp_path / kind).mkdir()
        lines = [f"2020-03-09 10:14:{row:02};0.{row};2{row % 7};{int(row > 40)};0" for row in range(60)]
        splits = ["train" if row < 30 else "test" for row in range(60)]
        rows = [f"{line};{split}" for line, split in zip(lines, splits, strict=True)]
        header = "datetime;Pressure;Current;anomaly;changepoint;split"
        (tmp_path / kind / "1.csv").write_text("\n".join([header, *rows]))
    cfg = compose(["experiment=skab", f"data.path={tmp_path}"])
    learner = learner_of(cfg)
    data = learner.dataset(cache=cache_dir)
    assert [column.name for column in data.schema.inputs] == ["Pressure", "Current"]
    assert set(data.columns[cfg.partition.column]) == {"other/1", "valve1/1"}
    assert learner.module(data.schema, FitContext()).network.found["axes"].shape == (2, 2)
    assert load_algorithm(cfg.strategy).config.name == "sums"


def test_mcmahans_network_has_the_published_number_of_parameters():
    cfg = compose(["experiment=mnist_mcmahan", "data.path=somewhere"])
    network = classifier(cfg, num_classes=10).network
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_663_370


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["trainer.max_epoch=3"], "did you mean trainer.max_epochs?"),
        (["model=alexnet"], "model=alexnet: there is no 'alexnet'"),
        (["data=zip"], "data.source=zip needs data.path=..."),
        (["data=medmnist", "data.dataset=null", "data.name=x"], "data.source=medmnist needs data.dataset=NAME"),
        (["trainer.max_epochs=0"], "trainer.max_epochs: expected a whole number of at least 1, got 0"),
        # The bounds of the model that is chosen, of several that have the setting.
        (
            [*TABLE, "model=forest", "model.max_depth=65"],
            "expected a whole number from 1 to 64 or null, got 65",
        ),
        ([*TABLE, "model=xgboost", "model.max_depth=17"], "expected a whole number from 1 to 16, got 17"),
        (["trainer.max_epochs=many"], 'got the text "many"'),
        (["seed=-1"], "seed: "),
        (["seed=4294967296"], "seed: "),
        (["model=resnet18", "model.finetune_stages=5"], "  - model.finetune_stages: "),
        (["model.norm=layer"], 'model.norm: expected one of none, batch, group, got the text "layer"'),
        (["data.std=[0]"], "data.std must be above 0, got [0.0]"),
        (
            ["data.standardize=image", "data.augment.contrast=0.2"],
            "data.augment.contrast has no effect with data.standardize=image",
        ),
        (["data.mean=[0.1,0.2]"], "data.mean must have 1 or 1 values, got 2"),
        (["data.val_fraction=0.5", "data.test_fraction=0.5"], "must be below 1"),
        (
            ["federation.min_replies=5"],
            "federation.min_replies=5 can never be met: 4 of 4 clients train",
        ),
        (
            ["federation.rounds_per_epoch=2", "federation.local_epochs=3"],
            "federation.rounds_per_epoch=2 needs federation.local_epochs=1, got 3",
        ),
        (
            ["federation.rounds_per_epoch=4", "federation.local_epochs=1"],
            "federation.num_rounds=10 must be a multiple of federation.rounds_per_epoch=4",
        ),
        (["federation.engine=ray"], 'federation.engine: expected one of local, flower, got the text "ray"'),
        (["strategy.fraction_train=0"], "strategy.fraction_train: "),
        (["federation.ray_address=nonsense"], "federation.ray_address must be HOST:PORT"),
        (
            ["federation.ray_address=10.0.0.5:6379", "federation.workers=2"],
            "goes with neither federation.kit nor federation.workers",
        ),
        (["compare.seeds=[1,2,1]"], "compare.seeds must name at least one seed, each once"),
        (["compare.seeds=[]"], "compare.seeds must name at least one seed"),
        (["trainer.threshold=1"], "trainer.threshold"),
        (["a=b=c"], "a=b=c"),
    ],
)
def test_what_is_wrong_is_named(overrides, says):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    assert says in str(caught.value)


def test_everything_wrong_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        compose(["trainer.max_epochs=0", "data.batch_size=-3", "model.dropout=2"])
    text = str(caught.value)
    assert all(name in text for name in ("trainer.max_epochs", "data.batch_size", "model.dropout"))
    assert text.count("\n  - ") == 3


# --- snapshots ----------------------------------------------------------------------------------------


def test_a_snapshot_is_json_without_secrets_and_is_valid_again():
    cfg = compose(["tracking.database_url=postgresql://me:hunter2@db/x", "tracking.home=/nowhere", "seed=3"])
    snapshot = cfg.snapshot()
    text = json.dumps(snapshot)
    assert "hunter2" not in text
    assert "/nowhere" not in text
    again = validate(json.loads(text))
    assert again.snapshot() == snapshot
    assert again.tracking.database_url is None


def test_paths_are_those_of_the_folder_where_they_were_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    overrides = ["data=npz", "data.path=x.npz", "model.weights='~/w.safetensors'"]
    cfg = compose([*overrides, "federation=deployment", "federation.kit=kits/server"])
    assert cfg.data.path == str(tmp_path / "x.npz")
    assert cfg.model.weights == "/home/me/w.safetensors"
    assert cfg.federation.kit == str(tmp_path / "kits" / "server")
    assert (compose().data.path, compose().model.weights, compose().federation.kit) == (None, None, None)


def test_only_real_sites_are_bounded_as_no_client_that_is_simulated_is_mad():
    real = compose(["federation=deployment", "federation.kit=kits/server"])
    assert (compose().federation.max_update_norm, real.federation.max_update_norm) == (None, 5.0)


def test_a_snapshot_of_every_model_is_valid_again():
    for name in images_and_networks("model"):
        snapshot = compose([f"model={name}"]).snapshot()
        assert validate(json.loads(json.dumps(snapshot))).model.name == name


def test_replace_changes_one_section_and_is_checked():
    cfg = compose()
    changed = cfg.replace("trainer", max_epochs=3)
    assert changed.trainer.max_epochs == 3
    assert cfg.trainer.max_epochs == 10
    assert changed.replace("trainer", max_epochs=10) == cfg
    assert cfg.replace("", seed=7).seed == 7
    with pytest.raises(ConfigError, match=r"trainer.max_epochs: .* got 0"):
        cfg.replace("trainer", max_epochs=0)


def test_the_monitored_metric():
    trainer = compose().trainer
    assert trainer.monitored("val/recall") == ("val/recall", "max")
    assert trainer.monitored("val/mae") == ("val/mae", "min")
    for monitor, mode in (("val/loss", "min"), ("val/calibration_error", "min"), ("val/auroc", "max")):
        assert compose([f"trainer.monitor={monitor}"]).trainer.monitored("val/recall") == (monitor, mode)
    assert compose(["trainer.mode=min"]).trainer.monitored("val/recall") == ("val/recall", "min")


def test_several_threads_may_compose():
    results = {}

    def work(seed):
        results[seed] = compose([f"seed={seed}"]).seed

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {seed: seed for seed in range(4)}
