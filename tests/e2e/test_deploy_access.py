"""A real nginx before a real SuperLink: who is let in, and to what, from machines of their own if possible."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.runtime.runtime_http_client import RuntimeHttpClient
from flwr.supernode.fleet_http_client import FleetHttpClient

from federated.deploy.demo.testbed import SERVER, Testbed
from federated.kit.authority import Authority
from federated.kit.node_key import new_key_pair
from federated.kit.server_kit import ServerKit
from federated.kit.site_file import read_site
from tests.e2e.deploy_kit import SITES, open_bed, wait_for, write_sites

pytestmark = [pytest.mark.attack, pytest.mark.slow, pytest.mark.timeout(900)]
OUTSIDER = "outsider"
FLEET = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "push-object",
    "pull-object",
    "confirm-message-received",
)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    folder = tmp_path_factory.mktemp("access")
    data = write_sites(folder / "data", cache=folder / "cache")
    with open_bed(folder, data=data, extra_hosts=(OUTSIDER,)) as bed:
        bed.deployment.revoke(OUTSIDER)  # a machine of the network that is no site
        bed.start(SERVER)
        bed.wait_until_ready()
        yield bed


def ask(
    bed: Testbed,
    requests: list[str],
    *,
    who: str = OUTSIDER,
    port: int | None = None,
    tls: bool = True,
    ca: Any = "",
) -> list[str]:
    server = bed.deployment.plan.server
    order = {
        "host": server.address,
        "port": port or server.port,
        "requests": requests,
        "tls": tls,
        "ca": str(bed.folder / "deployment" / "ca" / "ca.crt") if ca == "" else ca,
    }
    command = bed.hosts.command(who, [sys.executable, str(Path(__file__).with_name("ask_port.py"))])
    done = subprocess.run(
        command, input=json.dumps(order), capture_output=True, text=True, timeout=300, check=True
    )
    answers: list[str] = json.loads(done.stdout)
    return answers


def post(path: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/protobuf\r\n"
        f"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )


def paths_of_superlink() -> set[str]:
    """Every path that Flower's own clients of its three interfaces know."""
    clients = (ControlHttpClient, FleetHttpClient, RuntimeHttpClient)
    return {path for client in clients for path in re.findall(r'"(/v1/[a-z/-]+)"', inspect.getsource(client))}


def test_from_outside_only_what_a_site_needs_is_there(bed: Testbed) -> None:
    paths = paths_of_superlink()
    open_to_sites = {f"/v1/fleet/{name}" for name in FLEET}
    assert open_to_sites < paths
    closed = [*sorted(paths - open_to_sites), "/", "/health", "/docs", "/openapi.json", "/v1/fleet/"]
    answers = dict(zip(closed, ask(bed, [post(path) for path in closed]), strict=True))
    assert set(answers.values()) == {"HTTP/1.1 404 Not Found"}, answers
    assert "/v1/control/register-node" in closed
    assert "/v1/control/start-run" in closed
    here = ask(bed, [post("/v1/control/list-nodes")], who=SERVER)
    assert here == ["HTTP/1.1 404 Not Found"], "not even from the server's own public address"
    # And what is open asks for a signature.
    answers = dict(zip(FLEET, ask(bed, [post(f"/v1/fleet/{name}") for name in FLEET]), strict=True))
    assert all(" 401 " in answer for answer in answers.values()), answers


@pytest.mark.parametrize(
    "path",
    [
        "/v1/fleet/../control/list-nodes",
        "/v1/fleet/%2e%2e/control/list-nodes",
        "/v1/fleet/..%2fcontrol/list-nodes",
        "/v1/fleet/%252e%252e/control/list-nodes",
        "/v1/fleet/pull-messages/../../control/list-nodes",
        "/v1/fleet/pull-messages/..;/..;/control/list-nodes",
        "//v1//control/list-nodes",
        "/v1/fleet/pull-messages?/../../control/list-nodes",
        "/v1/fleet/pull-messages%00/v1/control/list-nodes",
        "https://localhost/v1/control/list-nodes",
        "/v1/control/list-nodes#/v1/fleet/pull-messages",
    ],
)
def test_no_way_of_writing_a_path_leads_to_the_control_interface(bed: Testbed, path: str) -> None:
    (answer,) = ask(bed, [post(path)])
    assert answer.split(" ")[1] in ("400", "401", "404", "414"), answer


def test_a_second_request_hidden_in_the_first_does_not_reach_the_superlink(bed: Testbed) -> None:
    hidden = post("/v1/control/list-nodes")
    smuggled = (
        f"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(hidden)}\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    )
    (answer,) = ask(bed, [smuggled])
    assert answer.split(" ")[1] in ("400", "401", "404"), answer


def test_the_superlink_itself_listens_on_its_own_machine_alone(bed: Testbed) -> None:
    port = bed.deployment.plan.server.superlink_port
    if not bed.hosts.isolated:
        pytest.skip("without network namespaces all machines are one")
    assert ask(bed, [post("/v1/control/list-nodes")], port=port) == ["ConnectionRefusedError"]
    assert ask(bed, [post("/health")], who=SITES[0], port=port) == ["ConnectionRefusedError"]


def test_plaintext_and_strangers_certificates_are_refused(bed: Testbed, tmp_path: Path) -> None:
    (answer,) = ask(bed, [post("/v1/fleet/pull-messages")], tls=False)
    assert answer == "HTTP/1.1 400 Bad Request"
    other = tmp_path / "other.crt"
    other.write_bytes(Authority.create("other").stored().certificate)
    assert ask(bed, [post("/v1/fleet/pull-messages")], ca=str(other)) == ["SSLCertVerificationError"]


def test_half_open_requests_of_a_stranger_keep_no_site_out(bed: Testbed) -> None:
    server = bed.deployment.plan.server
    ca = str(bed.folder / "deployment" / "ca" / "ca.crt")
    order = {"host": server.address, "port": server.port, "number": 1500, "ca": ca}
    command = bed.hosts.command(OUTSIDER, [sys.executable, str(Path(__file__).with_name("hold_port.py"))])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdin is not None
        assert holding.stdout is not None
        holding.stdin.write(json.dumps(order) + "\n")
        holding.stdin.flush()
        assert int(holding.stdout.readline()) == order["number"]
        began = time.monotonic()
        answers = ask(bed, [post("/v1/fleet/pull-messages")] * 5, who=SITES[0])
        seconds = time.monotonic() - began
        holding.stdin.write("\n")
    print(f"five answers to a site in {seconds:.1f} s beside {order['number']} half-open requests")
    assert all(" 401 " in answer for answer in answers), answers


def test_a_body_that_is_no_piece_of_a_model_is_not_read(bed: Testbed) -> None:
    sizes = {4 * 2**20: " 401 ", 9 * 2**20: " 413 ", 64 * 2**20: " 413 "}
    requests = [
        f"POST /v1/fleet/push-object HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/protobuf\r\n"
        f"Content-Length: {size}\r\n\r\n"
        for size in sizes
    ]
    for request, size, status in zip(requests, sizes, sizes.values(), strict=True):
        (answer,) = ask(bed, [request + ("x" * size if size < 2**23 else "")])
        assert status in answer, (size, answer)


def flower_home(bed: Testbed, folder: Path) -> dict[str, str]:
    """Flower's configuration of somebody who has a site's kit, and so the authority's certificate."""
    server = bed.deployment.plan.server
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'[superlink]\ndefault = "fedtwin"\n[superlink.fedtwin]\naddress = "{server.address}:{server.port}"\n'
        f'root-certificates = "{bed.kit(SITES[0]) / "ca.crt"}"\n'
    )
    return {"FLWR_HOME": str(folder), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


def flwr(bed: Testbed, who: str, env: dict[str, str], *arguments: str) -> dict[str, Any]:
    command = bed.hosts.command(
        who, [str(Path(sys.executable).parent / "flwr"), *arguments, "--format", "json"]
    )
    done = subprocess.run(
        command, env={**bed.env(who), **env}, capture_output=True, text=True, timeout=240, check=False
    )
    start = done.stdout.find("{")
    found: dict[str, Any] = (
        json.loads(done.stdout[start:]) if start >= 0 else {"said": done.stdout + done.stderr}
    )
    return found


def test_flowers_own_commands_register_and_run_nothing_from_outside(bed: Testbed, tmp_path: Path) -> None:
    who = SITES[0]  # which has the authority's certificate, and an address that the server knows
    env = flower_home(bed, tmp_path / "flower")
    public = tmp_path / "mine.pub"
    public.write_bytes(new_key_pair("mine").public)
    app = Path(__file__).resolve().parents[2]
    for arguments in (
        ("supernode", "register", str(public), "fedtwin", "--name", "mine"),
        ("supernode", "list", "fedtwin"),
        ("run", str(app), "fedtwin"),
        ("list", "fedtwin"),
    ):
        answer = flwr(bed, who, env, *arguments)
        assert answer.get("success") is not True, (arguments, answer)
        assert "404" in json.dumps(answer) or "not" in json.dumps(answer).lower(), answer
    # On the server, the same command knows the sites, and nobody else.
    there = flwr(
        bed, SERVER, {"FLWR_HOME": str(ServerKit(bed.kit(SERVER)).flower_home)}, "supernode", "list", "fedtwin"
    )
    assert there.get("success") is True, there
    assert len(there["nodes"]) == len(SITES)


def supernode(bed: Testbed, who: str, *, ca: Path, key: Path, folder: Path) -> tuple[int, str]:
    """A SuperNode that is expected to give up at once: its exit status and what it said."""
    site = read_site(bed.kit(SITES[0]) / "site.yaml")
    command = [str(Path(sys.executable).parent / "flower-supernode"), "--root-certificates", str(ca)]
    command += ["--superlink", site.server, "--auth-supernode-private-key", str(key), "--port", "9396"]
    env = {"FLWR_HOME": str(folder), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    log = folder / "supernode.log"
    process = bed.hosts.start(who, command, env={**bed.env(who), **env}, log=log)
    status = process.wait(timeout=180)
    with suppress(ProcessLookupError):  # Flower leaves its SuperExec behind
        os.killpg(process.pid, signal.SIGKILL)
    return status, log.read_text(errors="replace")


def test_a_key_that_is_not_registered_is_refused(bed: Testbed, tmp_path: Path) -> None:
    key = tmp_path / "node.key"
    key.write_bytes(new_key_pair("stranger").private)
    status, said = supernode(
        bed, OUTSIDER, ca=bed.kit(SITES[0]) / "ca.crt", key=key, folder=tmp_path / "flower"
    )
    assert status != 0
    assert "305" in said


def test_a_site_does_not_talk_to_a_server_of_another_authority(bed: Testbed, tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority.create("other").stored().certificate)
    key = bed.kit(SITES[0]) / "node.key"
    status, said = supernode(bed, SITES[0], ca=ca, key=key, folder=tmp_path / "flower")
    assert status != 0
    assert "CERTIFICATE_VERIFY_FAILED" in said


def test_a_site_joins_is_checked_and_when_revoked_leaves_at_once(bed: Testbed) -> None:
    name = SITES[2]
    checked = bed.run(name, "deploy", "check", str(bed.kit(name)), "--format", "json", "--decode")
    findings = {finding["what"]: finding for finding in json.loads(checked.stdout)}
    states = {what: finding["state"] for what, finding in findings.items()}
    assert checked.returncode == 0, findings
    assert set(states.values()) == {"ok"}, findings
    assert {"key", "authority", "server", "certificate", "clock", "way in", "versions", "disk", "memory"} < set(
        states
    )
    assert "9: " in findings["data"]["found"]

    bed.start(name)
    nodes = {"FLWR_HOME": str(ServerKit(bed.kit(SERVER)).flower_home)}

    def online() -> int:
        listed = flwr(bed, SERVER, nodes, "supernode", "list", "fedtwin")["nodes"]
        return sum(node["status"] == "online" for node in listed)

    wait_for("the site is online", lambda: online() == 1, timeout=180, every=2)  # a process each time
    kept = bed.kit(name).with_name("kept")
    shutil.copytree(bed.kit(name), kept)  # the site still has its kit
    bed.deployment.revoke(name)
    wait_for("its key is removed", lambda: f"removed {name}" in bed.log(SERVER).read_text(), timeout=60)
    wait_for("its node has ended", lambda: "supernode ended" in bed.log(name).read_text(), timeout=180)
    assert online() == 0
