"""A wheel built from the checkout holds everything: settings, migrations, the Flower app."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was unpacked, as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(REPOSITORY),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("fedtwin-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _run(site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(site), "FEDTWIN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    env.pop("FEDTWIN_DATABASE_URL", None)
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_wheel_holds_settings_migrations_and_the_flower_app(site: Path) -> None:
    for name in (
        "conf/config.yaml",
        "conf/data/digits.yaml",
        "shared/tracking/migrations/env.py",
        "federated/flower_app.toml",
        "simulations/report/report.css",
        "fedtwin/__init__.py",
        "service/static/index.html",
        "service/static/app.css",
        "service/static/js/main.js",
        "service/stream/stream.schema.json",
        "federated/kit/templates/nginx.conf.j2",
    ):
        assert (site / name).is_file(), name
    assert not (site / "tests").exists()


def test_the_page_is_served_from_the_wheel(site: Path, tmp_path: Path) -> None:
    code = "from service.web.assets import find_assets; print(find_assets().get('index.html').body.decode())"
    page = _run(site, tmp_path, "-c", code)
    assert page.returncode == 0, page.stderr
    assert page.stdout.strip() == (REPOSITORY / "service" / "static" / "index.html").read_text().strip()


def test_kits_are_made_from_the_wheel(site: Path, tmp_path: Path) -> None:
    plan = "name: x\nserver: {address: 127.0.0.1}\nsites: [{name: a}, {name: b}]\n"
    (tmp_path / "federation.yaml").write_text(plan)
    made = _run(site, tmp_path, "-m", "fedtwin", "deploy", "init", "federation.yaml")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "x" / "sites" / "b" / "start.sh").is_file()


def test_both_modes_run_from_the_wheel(site: Path, tmp_path: Path) -> None:
    where = _run(site, tmp_path, "-c", "import shared.config.config as module; print(module.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(site), "the test must not run the checkout"
    pooled = _run(site, tmp_path, "-m", "fedtwin", "centralized", "trainer.max_epochs=1")
    assert pooled.returncode == 0, pooled.stderr
    small = ("federation.num_rounds=1", "federation.num_clients=2", "federation.workers=1")
    federated = _run(site, tmp_path, "-m", "fedtwin", "federated", *small)
    assert federated.returncode == 0, federated.stderr
    assert not list(tmp_path.glob("flower-*")), "nothing of Flower's may be left"
