"""``fedtwin deploy check``: looks at everything a site needs before it joins; each finding with its fix."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from federated.deploy.preflight.data import check_data
from federated.deploy.preflight.network import check_network, days_left
from federated.kit.files import open_to_others
from federated.kit.node_key import read_private_key
from federated.kit.server_kit import state_folder
from federated.kit.site_file import (
    CA_FILE,
    FACTS_FILE,
    KEY_FILE,
    SITE_FILE,
    KitFacts,
    SiteFile,
    installed_versions,
    read_facts,
    read_site,
)
from shared.runtime.errors import DeployError
from shared.runtime.findings import Finding

_GB = 1e9
_NEW_KIT = "unpack the kit anew, or ask the server's operator for a new one"


def check_site(kit: Path, *, decode: bool = False) -> list[Finding]:
    """Look at a site's kit, its machine, its way to the server, and its data.

    Parameters
    ----------
    decode : bool
        Also read every image, into the cache that training uses.

    Raises
    ------
    DeployError
        The folder is no site's kit, or its ``site.yaml`` or ``kit.json`` cannot be read.
    """
    kit = kit.absolute()
    if not (kit / SITE_FILE).is_file():
        raise DeployError(f"{kit} is not a site kit: it has no {SITE_FILE}; name the folder of the kit")
    site, facts = read_site(kit / SITE_FILE), read_facts(kit / FACTS_FILE)
    return [
        Finding("site", "ok", f"{site.name}, number {site.partition_id}, of {facts.deployment}"),
        _key(kit),
        _authority(kit),
        *check_network(site, ca=kit / CA_FILE),
        _versions(facts),
        _disk(kit, facts),
        _memory(facts),
        *check_data(site, facts, cache_dir=state_folder(kit) / "home" / "cache", decode=decode),
        _leaves(site),
    ]


def _key(kit: Path) -> Finding:
    path = kit / KEY_FILE
    try:
        read_private_key(path)
    except DeployError as error:
        return Finding("key", "failed", str(error), _NEW_KIT)
    if mode := open_to_others(path):
        return Finding("key", "failed", f"others may read {path} (mode {mode:o})", f"chmod 600 {path}")
    return Finding("key", "ok", "this site's key is there, and its owner alone may read it")


def _authority(kit: Path) -> Finding:
    try:
        certificate = x509.load_pem_x509_certificate((kit / CA_FILE).read_bytes())
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        return Finding(
            "authority", "failed", f"{kit / CA_FILE} is no authority's certificate: {error}", _NEW_KIT
        )
    if not constraints.ca:
        return Finding("authority", "failed", f"{kit / CA_FILE} is not an authority's certificate", _NEW_KIT)
    return days_left("authority", certificate, fix="ask the server's operator for a new deployment")


def _versions(facts: KitFacts) -> Finding:
    here = installed_versions()
    wanted = {name: text.partition("+")[0] for name, text in facts.versions.items()}
    differ = [
        f"{name} is {here.get(name, 'not installed')}, the server's kit was made with {version}"
        for name, version in wanted.items()
        if here.get(name, "").partition("+")[0] != version
    ]
    if not differ:
        return Finding("versions", "ok", ", ".join(f"{name} {here[name]}" for name in wanted))
    packages = " ".join(f"{name}=={version}" for name, version in wanted.items() if name != "python")
    # Messages are Flower's, and the code that reads them is fedtwin's: these two must be alike.
    grave = any(text.startswith(("flwr ", "fedtwin ")) for text in differ)
    return Finding("versions", "failed" if grave else "warning", "; ".join(differ), f"pip install {packages}")


def _disk(kit: Path, facts: KitFacts) -> Finding:
    place = next(path for path in (state_folder(kit), *state_folder(kit).parents) if path.exists())
    return _room(
        "disk", shutil.disk_usage(place).free, facts.requires.disk_gb, f"free space on the disk of {place}"
    )


def _memory(facts: KitFacts) -> Finding:
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # a container's own limit, where there is one
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return _room(
        "memory", free, facts.requires.memory_gb, "end other programs, or take a machine with more memory"
    )


def _room(what: str, free: float, wanted_gb: float, fix: str) -> Finding:
    found = f"{free / _GB:.1f} GB free, {wanted_gb:g} GB asked for"
    if free < wanted_gb * _GB:
        return Finding(what, "failed", found, fix)
    return Finding(what, "ok", found)


def _leaves(site: SiteFile) -> Finding:
    metrics, counts = ", ".join(site.may_leave.metrics) or "none", ", ".join(site.may_leave.counts)
    rows = "; training rows with which clusters start" if site.may_leave.rows else ""
    return Finding("may leave", "ok", f"the model's weights; metrics: {metrics}; counts: {counts}{rows}")
