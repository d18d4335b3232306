"""The files of ``docker/``, as far as they can be judged without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from federated.deploy.command import _parser
from federated.deploy.demo.data import SITES, prepare
from federated.kit.deployment import Deployment
from federated.kit.site_file import read_site
from fedtwin.cli.parser import parse
from shared.config.compose import compose
from shared.runtime.home import Home
from tests.images import load_images

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("compose.*.yaml"))
VARIABLES = {
    "FEDTWIN_KIT": "/kit",
    "FEDTWIN_DATA": "/data",
    "POSTGRES_PASSWORD": "x",
    "FEDTWIN_TOKEN": "y" * 32,
}


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["services"]
    return found


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_there_are_the_three_ways_of_use() -> None:
    assert [path.name for path in FILES] == ["compose.demo.yaml", "compose.server.yaml", "compose.site.yaml"]
    assert {*SITES, "server", "database", "web"} < set(services(DOCKER / "compose.demo.yaml"))


def test_the_image_is_pinned_has_two_stages_and_runs_as_nobody_special() -> None:
    steps = instructions()
    assert [text.split(" AS ")[1] for word, text in steps if word == "FROM"] == ["build", "runtime"]
    base = next(text for word, text in steps if word == "ARG" and text.startswith("BASE="))
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", base)
    runtime = steps[next(i for i, (_, text) in enumerate(steps) if text.endswith("AS runtime")) :]
    words = [word for word, _ in runtime]
    assert dict(runtime)["USER"] == "10001:10001"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert json.loads(dict(runtime)["ENTRYPOINT"]) == ["fedtwin"]
    assert "HEALTHCHECK" in words
    assert ("ARG", "TORCH_BACKEND=cpu") in steps
    for word, text in steps:
        if word == "RUN" and " pip install" in f" {text}":
            assert "constraints.txt" in text, "versions come from constraints.txt"


def test_everything_that_is_copied_is_there_and_reaches_the_builder() -> None:
    packages = re.search(r"only-include = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    copied = [
        part
        for word, text in instructions()
        if word == "COPY" and "--from" not in text
        for part in text.split()[:-1]
    ]
    assert all((ROOT / name).exists() for name in copied)
    assert set(re.findall(r'"([\w.]+)"', packages[1])) <= set(copied), "all of the wheel"
    allowed = {line.removeprefix("!") for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()}
    assert set(copied) <= allowed
    assert "*" in allowed, "and nothing else"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_services_are_pinned_watched_and_without_rights(path: Path) -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    for name, service in services(path).items():
        image, _, tag = service["image"].partition(":")
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']} is not pinned"
        if image != "fedtwin":
            continue
        assert tag == version[1], name
        assert "healthcheck" in service, name
        assert not service.get("privileged"), name
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:") or name == "server", "only the server is open to others"
        if name == "volume":  # gives a new volume to the others, and ends
            assert service["entrypoint"] == ["chown", "10001:10001", "/demo"]
            continue
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not str(service.get("user", "")).startswith("0"), name
        _parses(service["command"])
        if "test" in service["healthcheck"]:
            test = service["healthcheck"]["test"]
            assert test[0] == "CMD"
            if test[1] == "fedtwin":
                _parses(test[2:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_docker_itself_takes_the_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("the compose plugin of docker is not installed")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    command = [docker, "compose", "--file", str(path), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_variables_that_must_be_given_say_what_they_are() -> None:
    for path in FILES:
        for name, rest in re.findall(r"\$\{(\w+)(:[?-][^}]*)?\}", path.read_text()):
            assert rest or f"${{{name}:" in path.read_text(), f"{path.name}: {name}"


def test_the_demo_is_prepared_for_machines_that_others_start(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    prepare(folder, data=None, rounds=2, address="server")
    deployment = Deployment(folder / "deployment")
    run = json.loads((folder / "run.json").read_text())
    cfg = compose(["federation=deployment", *run])
    assert cfg.federation.kit == str(deployment.server_kit)
    assert (cfg.federation.num_rounds, cfg.federation.num_clients) == (2, 3)
    assert len(load_images(cfg.data, cache_dir=home.cache, sides=("test",)).images) == 359
    for name in SITES:
        site = read_site(deployment.site_kit(name) / "site.yaml")
        assert site.server == "server:9443"
        assert Path(site.data_path or "").exists()
    before = (folder / "deployment" / "ca" / "ca.key").read_bytes()
    prepare(folder, data=None, rounds=2, address="server")
    assert (folder / "deployment" / "ca" / "ca.key").read_bytes() == before, "a second start changes nothing"


def _parses(command: list[str]) -> None:
    if command[0] == "deploy":
        _parser().parse_args(command[1:])
    else:
        parse(command)
