"""Exported models predict what the model does, in the runtime of the format; else nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fedtwin
from fedtwin import exporting
from fedtwin.cli.main import main
from shared.runtime.errors import ExportError

FEW = ["trainer.max_epochs=2", "trainer.progress=false", "trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Numbers with gaps, a category, truth values, and two sites."""
    random = np.random.default_rng(1)
    lines = ["size,kind,flag,site,label"]
    for number in range(120):
        size = random.normal()
        gap, kind, site = number % 17 == 0, "abc"[number % 3], "xy"[number % 5 > 2]
        lines.append(f"{'' if gap else f'{size:.3f}'},{kind},{number % 2},{site},{'hi' if size > 0 else 'lo'}")
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def train(folder: Path, table: Path, name: str, *settings: str):
    data = ["data=table", f"data.path={table}", "data.target=label", f"name={name}"]
    return fedtwin.train([*data, *settings, *FEW], store=folder)


@pytest.fixture(scope="module")
def network(folder, comparison, table):
    """A logistic regression whose rows are scaled by their site, with inputs that say where a gap is."""
    more = ["task=tabular_classification", "model=linear", "data.missing=indicator", "data.scaling=local"]
    return train(folder, table, "network", *more)


def test_a_pooled_cnn_in_torch_and_onnx(comparison, two_classes, tmp_path):
    import onnxruntime

    run = comparison.pooled[0]
    done = fedtwin.export_model(run, tmp_path / "deep" / "m.pt2", format="pt2")
    assert (done.rows, done.path.name, done.num_bytes) == (30, "m.pt2", done.path.stat().st_size)
    images = np.load(two_classes)["test_images"][:, None]
    expected = fedtwin.predict(run, images).probabilities
    loaded = torch.export.load(done.path).module()
    for rows in (images, images[:1], images[:7]):
        assert np.allclose(loaded(torch.from_numpy(rows)).detach().numpy(), expected[: len(rows)], atol=1e-6)
    done = fedtwin.export_model(run, tmp_path / "m.onnx", format="onnx")
    assert done.difference < 1e-5
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"rows": images[:5]})
    assert np.allclose(found, expected[:5], atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["fedtwin"])
    assert about["input"] == "uint8 [batch, 1, 8, 8]"
    assert about["classes"] == list(fedtwin.load_model(run).classes)


def test_a_table_is_prepared_inside_the_file(network, table, tmp_path):
    done = fedtwin.export_model(network, tmp_path / "m.pt2", format="pt2")
    assert done.difference < 1e-6
    model = fedtwin.load_model(network)
    rows = torch.tensor(np.array([row for _, row in model.read(table)]))
    assert rows.isnan().any()
    loaded = torch.export.load(done.path).module()
    with torch.no_grad():
        assert torch.allclose(loaded(rows), model(rows), atol=1e-6)
    weights = fedtwin.export_model(network, tmp_path / "m.safetensors", format="safetensors", rows=table)
    assert weights.rows == 120


@pytest.mark.parametrize("name", ["trees", "clusters"])
def test_trees_and_clusters_are_json(name, folder, comparison, table, tmp_path):
    settings = {
        "trees": ["task=tabular_classification", "model=trees"],
        "clusters": ["task=clustering", "model=kmeans"],
    }
    run = train(folder, table, name, *settings[name], "data.columns.site=null")
    done = fedtwin.export_model(name, tmp_path / "m.json", format="json", store=folder)
    assert done.difference == 0
    content = json.loads(done.path.read_text())
    assert content["format"] == {"trees": "fedtwin-trees", "clusters": "fedtwin-centroids"}[name]
    with pytest.raises(ExportError, match="cannot be exported as onnx; expected json"):
        fedtwin.export_model(run, tmp_path / "m.onnx", format="onnx")


def test_a_file_that_differs_is_refused_with_the_figure(network, tmp_path, monkeypatch):
    def worse(run, model, rows, path):
        path.write_bytes(b"x")
        return lambda given: exporting._predictions(exporting._Whole(model), given) + np.float32(2e-4)

    monkeypatch.setitem(exporting._WRITERS, "pt2", worse)
    with pytest.raises(ExportError, match=r"largest difference on 24 rows is 2\.00e-04, 1e-04 is allowed"):
        fedtwin.export_model(network, tmp_path / "m.pt2", format="pt2")
    assert not (tmp_path / "m.pt2").exists()


def test_what_cannot_be_exported(network, folder, tmp_path, monkeypatch, capsys, table):
    with pytest.raises(ExportError, match="expected one of the formats pt2, onnx"):
        fedtwin.export_model(network, tmp_path / "m", format="pickle")
    with pytest.raises(ExportError, match=r"executorch is not available: .*fedtwin\[executorch\]"):
        fedtwin.export_model(network, tmp_path / "m", format="executorch")
    monkeypatch.setenv("FEDTWIN_HOME", str(folder))
    command = ["models", "export", "network", "--format", "safetensors", "--output", str(tmp_path / "m")]
    monkeypatch.setattr(sys, "argv", ["fedtwin", *command])
    table.rename(table.with_suffix(".away"))
    try:
        with pytest.raises(SystemExit):
            main()
        assert "pass others with --rows FILE" in capsys.readouterr().err
    finally:
        table.with_suffix(".away").rename(table)
    monkeypatch.setattr(sys, "argv", ["fedtwin", *command, "--rows", str(table)])
    main()
    assert (
        "on 120 rows it differs from the model by 0.0e+00 at most (1e-04 is allowed)" in capsys.readouterr().out
    )
    for wrong in (["models", "list", "--format", "onnx"], ["models", "export", "network"]):
        monkeypatch.setattr(sys, "argv", ["fedtwin", *wrong])
        with pytest.raises(SystemExit):
            main()
    assert "needs --format {pt2,onnx" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["fedtwin", "models", "formats"])
    main()
    assert "pt2 is available" in capsys.readouterr().out
