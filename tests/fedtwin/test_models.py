"""`fedtwin.load_model`, `fedtwin.predict` and ``fedtwin predict``: the model is the one that was tested."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import fedtwin
from fedtwin.cli.main import main
from shared.config.compose import compose
from shared.data.schema import Column, Schema
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, DataError, ImageDecodeError, TrackingError
from shared.tasks.base import FitContext
from shared.tasks.image_classification.predictions import ClassPredictions
from shared.tasks.image_classification.task import ImageClassification
from shared.tasks.image_multilabel.predictions import LabelPredictions
from shared.tasks.task import learner_of


@pytest.fixture(scope="session")
def images(two_classes):
    return np.load(two_classes)["test_images"]


@pytest.fixture
def pictures(images, tmp_path):
    """Three of the test images, as files in a folder and below it."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.bmp", "more/c.tif")):
        Image.fromarray(images[number]).save(folder / name)
    (folder / "metadata.csv").write_text("filename,label\n")
    return folder


@pytest.mark.parametrize("mode", ["pooled", "federated"])
def test_the_model_predicts_what_was_measured(mode, comparison, images):
    (run,) = getattr(comparison, mode)
    tested = Outputs.load(run.folder / OUTPUTS_FILE)
    done = fedtwin.predict(run, images)
    assert np.allclose(done.probabilities, tested.predictions, atol=1e-6)
    assert done.threshold == tested.threshold
    right = np.array(done.labels) == np.array(done.classes)[tested.targets]
    assert right.mean() == pytest.approx(run.test["accuracy"])


def test_a_client_alone_has_a_model_too(comparison, images):
    (run, _), *_ = comparison.local
    assert len(fedtwin.predict(run.id, images, store=run.home.root).labels) == 30


def test_it_is_a_plain_module(comparison, images):
    model = fedtwin.load_model(comparison.federated[0])
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    given = torch.from_numpy(images[:4, None])
    before = given.clone()
    probabilities = model(given)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(4))
    assert torch.equal(given, before), "images are not changed"
    assert np.array_equal(fedtwin.predict(model, images[:4]).probabilities, probabilities.detach().numpy())
    again = fedtwin.load_model(comparison.federated[0])
    again.load_state_dict(model.state_dict())
    with pytest.raises(DataError, match=r"uint8 and shape \[B, 1, 8, 8\], got torch.float32"):
        model(given.float())


def test_the_threshold_decides_between_two_classes():
    done = ClassPredictions(("a", "b"), ("no", "yes"), np.array([[0.6, 0.4], [0.8, 0.2]], np.float32), 0.3)
    assert done.labels == ["yes", "no"]
    many = ClassPredictions(("a",), ("x", "y", "z"), np.array([[0.2, 0.3, 0.5]], np.float32), 0.5)
    assert many.labels == ["z"]
    frame = done.frame()
    assert list(frame.columns) == ["prediction", "no", "yes"]
    assert frame.loc["a", "prediction"] == "yes"


def test_images_of_any_shape_and_kind(comparison, images, pictures):
    run = comparison.pooled[0]
    expected = fedtwin.predict(run, images[:3]).probabilities
    for same in (
        images[:3, None],
        images[:3, :, :, None],
        torch.from_numpy(images[:3]),
        np.repeat(images[:3, None], 3, axis=1),  # grey as RGB
        [Image.fromarray(image) for image in images[:3]],
        pictures,
        str(pictures),
        [pictures / "a.png", pictures / "b.bmp", pictures / "more" / "c.tif"],
    ):
        assert np.allclose(fedtwin.predict(run, same).probabilities, expected, atol=1e-6)
    larger = images[:3].repeat(2, axis=1).repeat(2, axis=2)
    assert fedtwin.predict(run, larger).probabilities.shape == (3, 2)
    assert len(fedtwin.predict(run, images[:0]).labels) == 0


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (np.zeros((2, 8, 8)), DataError, "does not state the range of its float64 values"),
        (np.zeros((2, 5), np.uint8), DataError, r"got uint8 and \[2, 5\]"),
        ("/nowhere", DataError, "there is no file or folder /nowhere"),
        (None, DataError, "expected images"),
        ([], DataError, "expected images"),
    ],
)
def test_what_is_no_image(comparison, wrong, error, says):
    with pytest.raises(error, match=says):
        fedtwin.predict(comparison.pooled[0], wrong)


def test_all_bad_files_are_named(comparison, pictures):
    for name in ("x.png", "y.png"):
        (pictures / name).write_bytes(b"no image")
    with pytest.raises(ImageDecodeError, match=r"(?s)2 of 5 images.*x.png.*y.png"):
        fedtwin.predict(comparison.pooled[0], pictures)


def test_a_comparison_has_no_model(comparison):
    pooled, federated = comparison.pooled[0].id, comparison.federated[0].id
    with pytest.raises(TrackingError, match=f"is a comparison .* its runs: {pooled}, {federated}"):
        fedtwin.load_model(comparison.run)


def test_several_labels_are_written_as_they_were_read():
    probabilities = np.array([[0.6, 0.7], [0.2, 0.9], [0.5, 0.1]], np.float32)
    done = LabelPredictions(("a", "b", "c"), ("Mass", "Nodule"), probabilities, "|", "No Finding")
    assert done.labels == [("Mass", "Nodule"), ("Nodule",), ()]
    assert list(done.frame()["prediction"]) == ["Mass|Nodule", "Nodule", "No Finding"]


class Unpredicting(ImageClassification):
    """A task of the user's own, whose learner only trains."""

    def learner(self, cfg):
        learner = super().learner(cfg)
        return SimpleNamespace(module=learner.module, network=learner.network)


def test_of_a_task_that_reads_no_new_rows_the_module_is_there(comparison, monkeypatch):
    monkeypatch.setenv("FEDTWIN_MAY_RUN", __name__)
    run = comparison.pooled[0]
    own = {"_target_": f"{__name__}.Unpredicting", "name": "own"}
    unpredicting = replace(run, row=replace(run.row, config={**run.config, "task": own}))
    module = fedtwin.load_model(unpredicting)
    assert not module.training
    mine, ours = module.network.state_dict(), fedtwin.load_model(run).network.state_dict()
    assert all(mine[key].equal(value) for key, value in ours.items())
    with pytest.raises(ConfigError, match=r"only its own code knows: call fedtwin.load_model\(run\)\(inputs\)"):
        fedtwin.predict(unpredicting, "images")


def test_a_regression_that_kept_no_span(settings):
    learner = learner_of(compose([*settings, "task=image_regression"]))
    schema = Schema(targets=(Column("age", "numeric"),))
    module = learner.module(schema, FitContext())
    with pytest.raises(TrackingError, match="without the span of its targets"):
        learner.trained_model(module, schema, threshold=0.5)


def test_a_run_without_a_model(comparison, folder, settings):
    with pytest.raises(fedtwin.FedtwinError):
        fedtwin.train([*settings, "trainer.monitor=val/nothing"], store=folder)
    failed = fedtwin.runs(status="failed", limit=1, store=folder).index[0]
    with pytest.raises(TrackingError, match=r"\(failed\) has no model"):
        fedtwin.load_model(int(failed), store=folder)


class TestCommand:
    @pytest.fixture
    def predict(self, monkeypatch, capsys, comparison, folder):
        monkeypatch.setenv("FEDTWIN_HOME", str(folder))

        def run(*arguments):
            monkeypatch.setattr(
                sys, "argv", ["fedtwin", "predict", str(comparison.pooled[0].id), *map(str, arguments)]
            )
            main()
            run.said, out = (printed := capsys.readouterr()).err, printed.out
            return out

        return run

    @pytest.fixture
    def expected(self, comparison, pictures):
        return fedtwin.predict(comparison.pooled[0], pictures)

    def test_csv(self, predict, pictures, expected):
        rows = list(csv.DictReader(io.StringIO(predict(pictures, "--format", "csv"))))
        assert [row["image"] for row in rows] == ["a.png", "b.bmp", "more/c.tif"]
        assert [row["prediction"] for row in rows] == expected.labels
        assert np.allclose([float(row["1"]) for row in rows], expected.probabilities[:, 1])

    def test_json_of_a_zip(self, predict, pictures, expected, tmp_path):
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            for path in sorted(pictures.rglob("*.*")):
                archive.write(path, path.relative_to(pictures))
        found = json.loads(predict(tmp_path / "p.zip", "--format", "json"))
        assert [one["prediction"] for one in found] == expected.labels
        assert np.allclose([one["probabilities"]["0"] for one in found], expected.probabilities[:, 0])

    def test_masks_are_named_and_left_out(self, predict, pictures):
        (pictures / "a_mask.png").write_bytes((pictures / "a.png").read_bytes())
        rows = list(csv.DictReader(io.StringIO(predict(pictures, "--format", "csv"))))
        assert [row["image"] for row in rows] == ["a.png", "b.bmp", "more/c.tif"]
        assert "no prediction for 'a_mask.png'" in predict.said
        assert "a_mask.png" in predict(pictures / "a_mask.png")

    def test_a_table_of_one_file(self, predict, pictures, expected):
        out = predict(pictures / "a.png")
        assert "a.png" in out
        assert "b.bmp" not in out
        assert f"{expected.probabilities[0].max():.3f}" in out or expected.labels[0] in out
