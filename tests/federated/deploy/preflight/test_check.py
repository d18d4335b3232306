"""``fedtwin deploy check``: what is wrong at a site is found, with its fix; the server is a real nginx."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from federated.deploy.demo.testbed import free_ports
from federated.deploy.preflight.check import check_site
from federated.deploy.preflight.network import _clock
from federated.deploy.run.start import server_programs
from federated.deploy.run.supervisor import Supervisor
from federated.kit.authority import Authority
from federated.kit.deployment import Deployment
from federated.kit.federation_file import FederationFile
from federated.kit.server_kit import ServerKit
from shared.runtime.errors import DeployError
from shared.runtime.findings import Finding, show

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture
def site_data(tmp_path: Path) -> Path:
    """12 images of two labels."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["filename,label,patient_id"]
    for number in range(12):
        pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        lines.append(f"{number}.png,{('sick', 'well')[number % 2]},p{number}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def made(tmp_path: Path, site_data: Path) -> Callable[..., Deployment]:
    def make(**changes: Any) -> Deployment:
        port, superlink_port = free_ports(2)
        server = {"address": "127.0.0.1", "listen": "127.0.0.1", "port": port, "superlink_port": superlink_port}
        values: dict[str, Any] = {
            "name": "xrays",
            "server": server,
            "sites": [{"name": "ward-7", "data_path": str(site_data)}],
            "requires": {"disk_gb": 0, "memory_gb": 0},
        }
        plan = FederationFile.model_validate({**values, **changes})
        return Deployment.create(plan, folder=tmp_path / f"deployment-{port}")

    return make


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Deployment], None]]:
    """Run nginx alone, as the kit does: its SuperLink is not there."""
    if NGINX is None:
        assert not os.environ.get("CI"), "nginx is not installed"
        pytest.skip("nginx is not installed")
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path / "home"))
    running: list[Supervisor] = []

    def start(deployment: Deployment) -> None:
        nginx = server_programs(ServerKit(deployment.server_kit))[1]
        supervisor = Supervisor([nginx], say=lambda line: None)
        running.append(supervisor)
        supervisor.tick()
        port, deadline = deployment.plan.server.port, time.monotonic() + 30
        while time.monotonic() < deadline:
            probe = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if b"CONNECTED" in probe.stdout:
                return
            time.sleep(0.1)
        raise AssertionError(nginx.log.read_text())

    yield start
    for supervisor in running:
        supervisor.__exit__()


def look(deployment: Deployment, **options: Any) -> dict[str, Finding]:
    return {finding.what: finding for finding in check_site(deployment.site_kit("ward-7"), **options)}


def test_all_is_well_but_the_superlink(made: Callable[..., Deployment], serve: Callable[..., None]) -> None:
    deployment = made()
    serve(deployment)
    found = look(deployment, decode=True)
    assert {what for what, finding in found.items() if finding.state != "ok"} == {"way in"}
    assert "its SuperLink does not answer (status 502)" in found["way in"].found
    images, split = found["data"].found.split("; no column split")
    assert images == "12 images, 12 patients; sick: 6, well: 6"
    assert "the split is drawn" in split
    assert found["images"].found == "12 images read"
    assert "metrics: auroc, accuracy" in found["may leave"].found


def test_a_server_that_is_not_there(made: Callable[..., Deployment]) -> None:
    found = look(made())
    assert found["server"].state == "failed"
    assert "let this machine open connections to 127.0.0.1 port" in found["server"].fix
    assert [found[what].state for what in ("certificate", "clock", "way in")] == ["skipped"] * 3


def test_certificates_that_cannot_be_trusted(
    made: Callable[..., Deployment], serve: Callable[..., None]
) -> None:
    expired = made()
    authority = Authority.load(expired._authority().stored())
    expired._write_server(authority.issue(["127.0.0.1"], days=0))
    serve(expired)
    found = look(expired)["certificate"]
    assert (found.state, "expired" in found.found, "fedtwin deploy renew" in found.fix) == (
        "failed",
        True,
        True,
    )

    other = made()
    serve(other)
    ca = other.site_kit("ward-7") / "ca.crt"
    ca.write_bytes(Authority.create("other").stored().certificate)
    found = look(other)["certificate"]
    assert found.state == "failed"
    assert "TLS-inspecting" in found.fix

    named = made()
    named._write_server(named._authority().issue(["fl.example.org"], days=9))
    serve(named)
    found = look(named)["certificate"]
    assert found.state == "failed"
    assert "the certificate does not name 127.0.0.1" in found.fix

    soon = made(valid_days=10)
    serve(soon)
    found = look(soon)["certificate"]
    assert (found.state, "9 days" in found.found) == ("warning", True)


def test_what_is_wrong_with_the_kit(made: Callable[..., Deployment]) -> None:
    deployment = made(requires={"disk_gb": 1e6, "memory_gb": 1e6})
    kit = deployment.site_kit("ward-7")
    (kit / "node.key").chmod(0o644)
    facts = json.loads((kit / "kit.json").read_text())
    facts["versions"] |= {"flwr": "1.2.3", "torch": "0.4"}
    (kit / "kit.json").write_text(json.dumps(facts))
    found = look(deployment)
    assert found["key"].fix == f"chmod 600 {kit / 'node.key'}"
    assert "flwr is 1.42.0, the server's kit was made with 1.2.3; torch is" in found["versions"].found
    assert "flwr==1.2.3 torch==0.4" in found["versions"].fix
    assert {found[what].state for what in ("key", "versions", "disk", "memory")} == {"failed"}
    (kit / "node.key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (kit / "ca.crt").write_text("no certificate")
    found = look(deployment)
    assert "is not a private key" in found["key"].found
    assert "is no authority's certificate" in found["authority"].found
    (kit / "kit.json").write_text("{}")
    with pytest.raises(DeployError, match="is damaged"):
        look(deployment)
    with pytest.raises(DeployError, match="is not a site kit"):
        check_site(deployment.folder)


def test_what_is_wrong_with_the_data(made: Callable[..., Deployment], site_data: Path) -> None:
    deployment = made(classes=["sick", "healthy"])
    assert "label 'well' is none of 'sick', 'healthy'" in look(deployment)["data"].found
    deployment = made()
    (site_data / "images" / "3.png").unlink()
    assert "1 of 12 images that metadata.csv names are not there" in look(deployment)["data"].found
    (site_data / "metadata.csv").write_text("file,label\n1.png,sick\n")
    assert "there is no column 'filename'" in look(deployment)["data"].found
    (site_data / "metadata.csv").unlink()
    assert "is not a ZIP, an .npz, or a folder with metadata.csv" in look(deployment)["data"].found
    shutil.rmtree(site_data)
    assert "cannot be read: No such file" in look(deployment)["data"].found
    found = look(made(sites=[{"name": "ward-7"}]))["data"]
    assert (found.state, found.found) == ("failed", "data_path is not set")


def test_a_table_is_named_with_its_columns(made: Callable[..., Deployment], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    sites = [{"name": "ward-7", "data_path": str(path)}]
    path.write_text("age,sick\n63,yes\n")
    found = look(made(sites=sites))["data"]
    assert (found.state, found.found) == ("ok", "a table with 2 columns: age, sick")
    path.write_text("age,age\n63,yes\n")
    found = look(made(sites=sites))["data"]
    assert found.state == "failed"
    assert "column 'age' appears twice" in found.found


def test_a_query_is_named_with_its_columns(made: Callable[..., Deployment], tmp_path: Path) -> None:
    path = tmp_path / "plant.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE readings (age REAL, sick TEXT)")
        connection.execute("INSERT INTO readings VALUES (63, 'yes')")
        connection.commit()

    def found(table: str) -> Finding:
        deployment = made(sites=[{"name": "ward-7"}])
        file = deployment.site_kit("ward-7") / "site.yaml"
        text = file.read_text()
        assert "\ndatabase: null\n" in text
        own = f"database: {{url: 'sqlite:///{path}', table: {table}}}"
        file.write_text(text.replace("database: null", own))
        return look(deployment)["data"]

    assert (found("readings").state, found("readings").found) == ("ok", "a query with 2 columns: age, sick")
    assert found("reading").state == "failed"
    assert "has no table 'reading'" in found("reading").found


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, "ok"), (-1, "ok"), (3, "warning"), (-60, "warning"), (60, "failed"), (-600, "failed")],
)
def test_clocks(seconds: float, state: str) -> None:
    server = datetime.now(UTC) - timedelta(seconds=seconds)
    assert _clock(format_datetime(server, usegmt=True)).state == state


def test_findings_are_shown_with_their_fix(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("key", "ok", "there"), Finding("data", "failed", "not there", "[bold]buy[/bold] some")]
    show(findings, good="this site can take part", bad="to fix before this site can take part")
    text = capsys.readouterr().out
    assert "→ [bold]buy[/bold] some" in text
    assert "1 to fix before this site can take part" in text
    show(findings, good="", bad="", as_json=True)
    assert json.loads(capsys.readouterr().out)[1]["fix"] == "[bold]buy[/bold] some"
