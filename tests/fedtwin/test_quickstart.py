"""The notebook of the docs, executed as Jupyter would."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


@pytest.fixture
def jupyter(monkeypatch, tmp_path):
    """Nothing of the user's own Jupyter is read or written."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "FEDTWIN_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_cell_runs(jupyter, tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        "".join(output.get("data", {}).get("text/plain", output.get("text", "")) for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    *progress, result = (output["data"] for output in notebook.cells[1].outputs if "data" in output)
    assert "pooled  8/8" in progress[-1]["text/plain"]
    assert "federated  4/4" in progress[-1]["text/plain"]
    assert not [output for output in notebook.cells[1].outputs if output.get("name") == "stderr"]
    assert "ipywidgets" not in str(notebook)
    assert "Federated training with 4 clients reaches" in result["text/html"]
    assert "worse" in shown[1]
    assert "client-3" in shown[2]
    assert any("image/png" in output["data"] for output in notebook.cells[5].outputs)
    assert "prediction" in shown[4]
    assert "completed" in shown[5]
    assert "trainer.max_epochs: expected a whole number of at least 1, got 0" in shown[6]
    assert not (tmp_path / "fedtwin_home").exists(), "everything lies in the folder that the notebook names"
    assert (tmp_path / "quickstart" / "fedtwin.db").is_file()
