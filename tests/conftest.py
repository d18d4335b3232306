"""What most tests need: a home, a store, small data of two classes, and settings of a short training."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache, reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pytest
import yaml

from shared.config.compose import CONF_DIR, compose
from shared.config.config import Config, validate
from shared.data.images.dataset import ImageData
from shared.runtime.gc_pause import uncollected
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.databases import open_new
from tests.images import load_images

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported, also by our subprocesses
# A script's background job ignores Ctrl-C, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.budgets", "tests.fuzzing", "tests.leftovers", "tests.scheduling"]

SMALL = [
    "data.batch_size=32",
    "model.widths=[2,4]",
    "model.hidden=8",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
]


def pytest_collection_finish() -> None:
    """Let the cycle collector never look again at what is imported by now: a tenth of a second each time."""
    with uncollected():
        pass


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded images, for all tests of this process."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own, also of subprocesses."""
    root = tmp_path / "home"
    root.mkdir()
    (root / "cache").symlink_to(cache_dir)
    monkeypatch.setenv("FEDTWIN_HOME", str(root))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_new(home.database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """97 training, 40 validation and 30 test images of 8 x 8, as MedMNIST's; bright ones tend to be class 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for side, count in (("train", 97), ("val", 40), ("test", 30)):
        labels = np.arange(count) % 2
        pixels = rng.normal(110 + 50 * labels[:, None, None], 60, size=(count, 8, 8))
        arrays[f"{side}_images"] = pixels.clip(0, 255).astype(np.uint8)
        arrays[f"{side}_labels"] = labels[:, None]
    path = tmp_path_factory.mktemp("two") / "two.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def make_config(two_classes: Path) -> Callable[..., Config]:
    """Settings of a small training on the two classes, changed by overrides in Hydra's form.

    Hydra takes a quarter of a second: it composes each choice of groups once, the other changes are made here.
    """

    @cache
    def of_groups(*groups: str) -> Config:
        given = any(text.startswith("data=") for text in groups)
        resnet = any(text.startswith("model=resnet") for text in groups)
        data = [] if given else ["data=npz", f"data.path={two_classes}", "data.image_size=8"]
        small = [text for text in SMALL if not (resnet and text.startswith("model."))]
        return compose([*data, *small, *groups])

    @cache
    def make(*overrides: str) -> Config:
        groups = [text for text in overrides if (CONF_DIR / text.partition("=")[0]).is_dir()]
        values = of_groups(*groups).model_dump()
        for text in overrides:
            if text not in groups:
                key, _, value = text.partition("=")
                *path, name = key.split(".")
                section = reduce(getitem, path, values)
                assert name in section, key
                section[name] = yaml.safe_load(value)
        return validate(values)

    return make


@pytest.fixture(scope="session")
def two_class_data(make_config: Callable[..., Config], cache_dir: Path) -> ImageData:
    return load_images(make_config().data, cache_dir=cache_dir)


@pytest.fixture(scope="session")
def digits(make_config: Callable[..., Config], cache_dir: Path) -> ImageData:
    """scikit-learn's digits: 1,797 images of 10 classes."""
    return load_images(make_config("data=digits").data, cache_dir=cache_dir)
