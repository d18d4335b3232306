"""``fedtwin data`` and `fedtwin.data`: what lies at a path, in words and as JSON, without training."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fedtwin
from fedtwin.cli.main import main
from shared.tracking.store import Store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of 12 images, in a folder whose name Hydra's grammar does not take."""
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path / "home"))
    root = tmp_path / "scans (new), a=b"
    for row in range(24):
        path = root / ("covid", "healthy")[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8), row, dtype=np.uint8)).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
    return root


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["fedtwin", "data", *arguments])
    main()


def test_as_json_with_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, str(folder), "data.positive=covid", "data.test_fraction=0.25", "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert (found["positive"], found["origin"]) == ("covid", str(folder))
    assert list(found["counts"]["label"]) == ["healthy", "covid"]
    assert found["rows"] == {"train": 14, "val": 4, "test": 6}
    assert "24" in found["facts"]["looked at"]


def test_quick_opens_no_image_and_knows_the_same_rows(folder: Path) -> None:
    (folder / "covid" / "0.png").write_bytes(b"no image")
    with pytest.raises(fedtwin.FedtwinError, match=r"0\.png"):
        fedtwin.data(folder)
    found = fedtwin.data(folder, quick=True)
    assert sum(found.rows.values()) == 24
    assert found.positive == "healthy"


def test_what_cannot_be_read_ends_with_status_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([str(folder / "nowhere")], [str(folder), str(folder)], []):
        with pytest.raises(SystemExit) as caught:
            run(monkeypatch, *arguments)
        assert caught.value.code == 2
    assert str(folder / "nowhere") in capsys.readouterr().err


def test_it_needs_no_torch(folder: Path) -> None:
    code = (
        f"import sys, fedtwin; fedtwin.data({str(folder)!r}); "
        "print([name for name in ('torch', 'lightning', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_training_keeps_what_it_read(folder: Path, tmp_path: Path) -> None:
    settings = [
        f"data.path={folder}",
        "data.positive=covid",
        "data.image_size=8",
        "model.widths=[2,4]",
        "trainer.max_epochs=1",
        "trainer.progress=false",
    ]
    done = fedtwin.train(settings, store=tmp_path / "place")
    assert done.config["data"]["source"] == "classes"
    assert done.row.summary["classes"] == ["healthy", "covid"]
    read = fedtwin.DataSummary.from_dict(done.row.summary["data"])
    alone = fedtwin.data(folder, settings[1:], store=tmp_path / "place")
    assert read.counts == alone.counts
    with Store(f"sqlite:///{tmp_path / 'place' / 'fedtwin.db'}") as store:
        assert store.runs.get(done.id).summary["data"]["positive"] == "covid"
