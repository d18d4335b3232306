"""Test images worth a look: which, in which order, and from which runs never."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service.api.run_file_schemas import Examples
from shared.config.config import Config
from shared.data.images.dataset import ImageData, load_images
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.home import Home
from shared.tasks.image_classification.data import read_classes
from shared.tracking.store import Store
from tests.service.rows_kit import asking, new_run


@pytest.fixture
def home(tmp_path: Path, cache_dir: Path) -> Home:
    (tmp_path / "cache").symlink_to(cache_dir)
    return Home(root=tmp_path, database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")


@pytest.fixture
def asked(home: Home) -> Iterator[tuple[Store, httpx.Client]]:
    with Store(home.database_url) as store, asking(store, home) as client:
        yield store, client


@pytest.fixture
def data(make_config: Callable[..., Config], home: Home) -> ImageData:
    return load_images(make_config().images, cache_dir=home.cache, read_targets=read_classes)


def add_tested(store: Store, home: Home, cfg: Config, outputs: Outputs, **changes: object) -> int:
    run_id = new_run(store, config=cfg.snapshot(), training_mode="centralized", **changes).id
    home.run_dir(run_id).mkdir(parents=True)
    outputs.save(home.run_dir(run_id) / OUTPUTS_FILE)
    return run_id


def outputs_of(data: ImageData) -> Outputs:
    """Right and sure, but for row 1 (wrong, sure), row 2 (wrong, in doubt) and row 3 (right, in doubt)."""
    targets = data.targets[data.indices("test")]
    sure = np.full(len(targets), 0.99)
    sure[1], sure[2], sure[3] = 0.05, 0.4, 0.55  # of the true class
    positive = np.where(targets == 1, sure, 1 - sure)
    return Outputs(np.stack([1 - positive, positive], axis=1).astype(np.float32), targets)


def test_the_surest_mistakes_and_the_closest_calls_come_first(asked, home, data, make_config) -> None:
    store, client = asked
    run_id = add_tested(store, home, make_config(), outputs_of(data))
    wrong = client.get(f"/api/runs/{run_id}/examples").json()
    Examples.model_validate(wrong)
    assert (wrong["total"], [one["row"] for one in wrong["examples"]]) == (2, [1, 2])
    first = wrong["examples"][0]
    assert first["true"] != first["predicted"]
    assert first["probabilities"][wrong["classes"].index(first["true"])] == pytest.approx(0.05)
    doubt = client.get(f"/api/runs/{run_id}/examples?kind=uncertain&limit=2").json()
    assert [one["row"] for one in doubt["examples"]] == [3, 2]
    head, _, content = first["image"].partition(",")
    assert head == "data:image/png;base64"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert np.array_equal(picture, data.images[data.indices("test")[1]].squeeze())


def test_images_of_a_deployment_are_never_shown(asked, home, data, make_config) -> None:
    store, client = asked
    cfg = make_config().replace("federation", kit="/kits/server", engine="flower")
    run_id = add_tested(store, home, cfg, outputs_of(data))
    answer = client.get(f"/api/runs/{run_id}/examples")
    assert answer.status_code == 403
    assert "deployment" in answer.json()["detail"]


def test_other_data_than_was_tested_and_none_are_refused_by_reason(asked, home, data, make_config) -> None:
    store, client = asked
    found = outputs_of(data)
    changed = add_tested(store, home, make_config(), Outputs(found.predictions, 1 - found.targets))
    assert "are not those" in refused(client, changed)
    untested = new_run(store, config=make_config().snapshot(), training_mode="centralized").id
    assert "no predictions" in refused(client, untested)
    other = make_config().replace("data", path="/nowhere/images.npz")
    assert "/nowhere/images.npz" in refused(client, add_tested(store, home, other, found))
    (home.root / "cache").unlink()  # never decodes for a page
    assert "not in the cache" in refused(client, add_tested(store, home, make_config(), found))


def refused(client: httpx.Client, run_id: int) -> str:
    answer = client.get(f"/api/runs/{run_id}/examples")
    assert answer.status_code == 404, answer.text
    detail: str = answer.json()["detail"]
    return detail
