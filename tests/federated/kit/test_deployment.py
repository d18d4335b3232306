"""A deployment on disk, judged by OpenSSL, sha256sum, tar and Flower's own readers of keys."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.cli.supernode.register import try_load_public_key
from flwr.common.config import parse_config_args

from federated.kit.deployment import Deployment
from federated.kit.federation_file import FederationFile, SitePlan
from federated.kit.node_key import read_private_key, read_public_key
from federated.kit.server_kit import ServerKit
from federated.kit.site_file import read_facts, read_site
from shared.runtime.errors import DeployError

SECRETS = ("node.key", "server.key", "ca.key")


def openssl(*arguments: str | Path) -> str:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def members(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_openssl_trusts_the_servers_certificate_for_its_names(deployment: Deployment) -> None:
    ca, tls = deployment.folder / "ca" / "ca.crt", deployment.server_kit / "tls"
    for name in (
        ("-verify_hostname", "fl.example.org"),
        ("-verify_hostname", "localhost"),
        ("-verify_ip", "192.0.2.7"),
        ("-verify_ip", "2001:db8::7"),
        ("-verify_ip", "127.0.0.1"),
    ):
        arguments = ("-x509_strict", "-purpose", "sslserver", *name, "-CAfile", ca, tls / "server.crt")
        assert openssl("verify", *arguments).strip().endswith("OK")
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-verify_hostname", "other.example.org", "-CAfile", ca, tls / "server.crt")
    with pytest.raises(subprocess.CalledProcessError):  # the authority's key signs only for servers
        openssl("verify", "-purpose", "sslclient", "-CAfile", ca, tls / "server.crt")
    assert "CA:TRUE, pathlen:0" in openssl("x509", "-in", ca, "-noout", "-text")
    of_key = openssl("pkey", "-in", tls / "server.key", "-pubout")
    assert of_key == openssl("x509", "-in", tls / "server.crt", "-noout", "-pubkey")


def test_flower_reads_the_keys_and_they_are_p_384(deployment: Deployment) -> None:
    for name in ("north", "south", "east"):
        key = read_private_key(deployment.site_kit(name) / "node.key")
        assert isinstance(key.curve, ec.SECP384R1)
        public = deployment.server_kit / "nodes" / f"{name}.pub"
        assert try_load_public_key(public) == read_public_key(public)
        assert public.read_text().endswith(f" {name}\n")
    lines = {path.read_bytes() for path in (deployment.server_kit / "nodes").iterdir()}
    assert len(lines) == 3


def test_only_the_owner_reads_anything(deployment: Deployment) -> None:
    for path in (deployment.folder, *deployment.folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() or path.name == "start.sh" else 0o600), path
    assert (deployment.folder / ".gitignore").read_text() == "*\n"


def test_a_site_gets_its_own_secret_and_no_other(deployment: Deployment) -> None:
    secrets = {path: path.read_text() for path in deployment.folder.rglob("*") if path.name in SECRETS}
    assert len(secrets) == 5
    for who, archive in deployment.archives().items():
        subprocess.run(["sha256sum", "--check", f"{archive.name}.sha256"], cwd=archive.parent, check=True)
        with tarfile.open(archive) as tar:
            assert {entry.mode & 0o077 for entry in tar.getmembers()} == {0}
            contents = {
                entry.name: tar.extractfile(entry).read().decode()  # type: ignore[union-attr]
                for entry in tar.getmembers()
                if entry.isfile()
            }
        own = "server/tls/server.key" if who == "server" else f"{who}/node.key"
        for path, secret in secrets.items():
            found = [name for name, text in contents.items() if secret in text]
            is_own = path == (deployment.folder if who == "server" else deployment.folder / "sites") / own
            assert found == ([own] if is_own else []), (who, path)


def test_archives_are_the_same_for_the_same_files_and_hold_no_state(deployment: Deployment) -> None:
    kit = deployment.server_kit
    before = deployment.archives()["server"].read_bytes()
    (kit / "state" / "log").mkdir(parents=True)
    (kit / "state" / "superlink.db").write_text("a run")
    deployment._write_server(deployment._certificate())
    assert deployment.archives()["server"].read_bytes() == before
    assert (kit / "state" / "superlink.db").exists()


def test_the_files_of_a_site_are_what_flower_and_people_need(deployment: Deployment) -> None:
    kit = deployment.site_kit("south")
    site, facts = read_site(kit / "site.yaml"), read_facts(kit / "kit.json")
    assert (site.name, site.server, site.partition_id) == ("south", "fl.example.org:9443", 1)
    assert parse_config_args([site.node_config(site_file=kit / "site.yaml")]) == {
        "partition-id": 1,
        "num-partitions": 2,
        "site": "south",
        "data-path": "/data/south",
        "site-file": str(kit / "site.yaml"),
    }
    assert facts.versions["flwr"].startswith("1.42")
    compose = yaml.safe_load((kit / "compose.yaml").read_text())["services"]["site"]
    assert compose["command"] == ["deploy", "start", "/kit"]
    assert "/data/south:/data/south:ro" in compose["volumes"]
    readme = (kit / "README.md").read_text()
    assert len(readme.splitlines()) < 60
    assert "fedtwin deploy check" in readme
    with pytest.raises(DeployError, match="data_path is not set"):
        read_site(deployment.site_kit("north") / "site.yaml").node_config(site_file=kit)


def test_systemd_takes_the_units(deployment: Deployment, tmp_path: Path) -> None:
    for path in deployment.folder.rglob("*.service"):
        unit = tmp_path / path.name
        # What the unit names is not on this machine.
        text = path.read_text().replace("/bin/sh /opt", "/bin/true /opt").replace("User=fedtwin", "User=root")
        unit.write_text(text)
        try:
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(unit)],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("systemd is not installed")
        complaints = [line for line in done.stderr.splitlines() if unit.name in line]
        assert not complaints


def test_scripts_are_sound_shell(deployment: Deployment) -> None:
    for path in deployment.folder.rglob("start.sh"):
        subprocess.run(["sh", "-n", str(path)], check=True)


def test_a_site_is_added_and_its_number_is_new_for_ever(deployment: Deployment) -> None:
    deployment.revoke("east")
    deployment.add(SitePlan(name="west"))
    again = Deployment(deployment.folder)
    assert [site.name for site in again.plan.sites] == ["north", "south", "west"]
    assert read_site(again.site_kit("west") / "site.yaml").partition_id == 3
    assert {path.stem for path in (again.server_kit / "nodes").iterdir()} == {"north", "south", "west"}
    assert ServerKit(again.server_kit).settings.num_sites == 3
    assert not again.site_kit("east").exists()
    assert not list(again.folder.glob("sites/east*"))
    assert not list(again.folder.glob("keys/east*"))
    with pytest.raises(DeployError, match="site east was revoked; give the new one another name"):
        again.add(SitePlan(name="east"))
    with pytest.raises(DeployError, match="site north is there already"):
        again.add(SitePlan(name="north"))
    with pytest.raises(DeployError, match="there is no site 'middle'; there are north, south, west"):
        again.revoke("middle")


def test_the_last_site_stays(deployment: Deployment) -> None:
    deployment.revoke("north")
    deployment.revoke("south")
    with pytest.raises(DeployError, match="east is the only one"):
        deployment.revoke("east")


def test_renewal_changes_what_it_should_and_nothing_else(deployment: Deployment) -> None:
    def state() -> dict[str, bytes]:
        kits = (deployment.server_kit, deployment.folder / "sites", deployment.folder / "ca")
        files = [path for kit in kits for path in kit.rglob("*") if path.suffix in (".key", ".crt", ".pub")]
        return {str(path.relative_to(deployment.folder)): path.read_bytes() for path in files}

    first = state()
    deployment.renew_server()
    second = state()
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"server/tls/server.crt", "server/tls/server.key"}
    openssl("verify", "-CAfile", deployment.folder / "ca/ca.crt", deployment.server_kit / "tls/server.crt")
    deployment.renew_site("south")
    third = state()
    changed = {name for name in second if second[name] != third[name]}
    assert changed == {"sites/south/node.key", "server/nodes/south.pub"}
    assert read_site(deployment.site_kit("south") / "site.yaml").partition_id == 1


def test_a_folder_that_is_in_use_is_not_overwritten(deployment: Deployment, plan: FederationFile) -> None:
    with pytest.raises(DeployError, match="is not empty; name a new folder with --output"):
        Deployment.create(plan, folder=deployment.folder)


def test_a_folder_that_is_no_deployment(tmp_path: Path, deployment: Deployment) -> None:
    with pytest.raises(DeployError, match="is no deployment"):
        Deployment(tmp_path)
    (deployment.folder / "deployment.json").write_text("{}")
    with pytest.raises(DeployError, match="is damaged"):
        Deployment(deployment.folder)


def test_another_authoritys_key_is_noticed(
    deployment: Deployment, plan: FederationFile, tmp_path: Path
) -> None:
    other = Deployment.create(plan, folder=tmp_path / "other")
    (deployment.folder / "ca" / "ca.key").write_bytes((other.folder / "ca" / "ca.key").read_bytes())
    with pytest.raises(DeployError, match="the authority's key is not the one of its certificate"):
        deployment.renew_server()


def test_the_command_shows_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from federated.deploy.command import main

    (tmp_path / "federation.yaml").write_text(
        "name: x\nserver: {address: 127.0.0.1}\nsites: [{name: a}, {name: b}]"
    )
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["init", "federation.yaml", "--output", "d"],
        ["add", "c", "--folder", "d", "--data-path", "/data"],
        ["renew", "--folder", "d"],
        ["renew", "a", "--folder", "d"],
        ["revoke", "b", "--folder", "d"],
    ):
        monkeypatch.setattr("sys.argv", ["fedtwin deploy", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    shown = capsys.readouterr()
    assert "PRIVATE" not in shown.out + shown.err
    assert "sha256 " in shown.out
    state = json.loads((tmp_path / "d" / "deployment.json").read_text())
    assert (state["revoked"], state["numbers"]) == (["b"], {"a": 0, "b": 1, "c": 2})


@pytest.mark.parametrize(
    ("listen", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.9.8.7", "10.9.8.7")]
)
def test_the_health_check_asks_where_nginx_listens(
    listen: str, asked: str, plan: FederationFile, tmp_path: Path
) -> None:
    server = plan.server.model_copy(update={"listen": listen})
    made = Deployment.create(plan.model_copy(update={"server": server}), folder=tmp_path / "made")
    assert ServerKit(made.server_kit).way_in == (asked, 9443)
