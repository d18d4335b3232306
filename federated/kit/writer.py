"""Writes the kits, one for the server and one a site, from templates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from federated.kit.authority import Issued
from federated.kit.federation_file import FederationFile, SitePlan, host_port
from federated.kit.files import make_folder, write_private
from federated.kit.node_key import KeyPair
from federated.kit.server_kit import SERVER_FILE, ServerKit
from federated.kit.site_file import CA_FILE, FACTS_FILE, KEY_FILE, SITE_FILE, installed_versions

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # `FederationFile` has checked the names
)
_TEMPLATES.filters["yaml"] = json.dumps  # every JSON string is a YAML string


def write_site_kit(
    folder: Path,
    *,
    plan: FederationFile,
    site: SitePlan,
    partition_id: int,
    key: KeyPair,
    ca_certificate: bytes,
) -> None:
    """Write the kit of one site: its key, the authority's certificate, and how to start.

    Parameters
    ----------
    folder : Path
        Replaced.
    partition_id : int
        The site's number, which no other site has or had.
    ca_certificate : bytes
    """
    _clear(folder)
    versions = installed_versions()
    facts = {
        "deployment": plan.name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "requires": plan.requires.model_dump(),
        "classes": plan.classes,
    }
    known: dict[str, Any] = {
        "plan": plan,
        "site": site,
        "partition_id": partition_id,
        "server": host_port(plan.server.address, plan.server.port),
        "versions": versions,
        "made": facts["made"],
    }
    write_private(folder / KEY_FILE, key.private)
    write_private(folder / CA_FILE, ca_certificate)
    write_private(folder / FACTS_FILE, json.dumps(facts, indent=2) + "\n")
    for name, template in (
        (SITE_FILE, "site.yaml.j2"),
        ("README.md", "site_readme.md.j2"),
        (f"fedtwin-{site.name}.service", "site.service.j2"),
        ("compose.yaml", "site_compose.yaml.j2"),
    ):
        write_private(folder / name, render(template, **known))
    write_private(folder / "start.sh", render("start.sh.j2", who=f"site {site.name}"), runnable=True)


def write_server_kit(
    folder: Path, *, plan: FederationFile, certificate: Issued, ca_certificate: bytes, nodes: Sequence[Path]
) -> None:
    """Write the server's kit, or bring the one that is there up to date; its state and its runs stay.

    Parameters
    ----------
    plan : FederationFile
        Of the sites that there are now.
    ca_certificate : bytes
    nodes : sequence of Path
        The public keys of the sites, each ``NAME.pub``.
    """
    make_folder(folder)
    known = {
        "plan": plan,
        "server": host_port(plan.server.address, plan.server.port),
        "listen": host_port(plan.server.listen, plan.server.port),
    }
    write_private(folder / "tls" / "ca.crt", ca_certificate)
    write_private(folder / "tls" / "server.crt", certificate.certificate)
    write_private(folder / "tls" / "server.key", certificate.key)
    for name, template in (
        (SERVER_FILE, "server.yaml.j2"),
        ("README.md", "server_readme.md.j2"),
        ("fedtwin-server.service", "server.service.j2"),
        ("compose.yaml", "server_compose.yaml.j2"),
        ("nginx.conf", "nginx.conf.j2"),
    ):
        write_private(folder / name, render(template, **known))
    write_private(folder / "start.sh", render("start.sh.j2", who="the server"), runnable=True)
    _clear(folder / "nodes")
    for public in nodes:
        write_private(folder / "nodes" / public.name, public.read_bytes())
    kit = ServerKit(folder)
    write_private(kit.flower_home / "config.toml", kit.connection())


def render(template: str, **known: Any) -> str:
    """Fill in a template.

    Parameters
    ----------
    template : str
        File name.
    **known
        What it may name; anything else is an error.
    """
    return _TEMPLATES.get_template(template).render(**known)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
