"""`healthy`: whether what a kit runs is up, asked on its own machine; the health check of containers."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from federated.kit.federation_file import host_port
from federated.kit.server_kit import LOOPBACK, SERVER_FILE, ServerKit, superlink_answers
from federated.kit.site_file import SITE_FILE, read_site


def healthy(kit: Path) -> tuple[bool, str]:
    """Ask what a kit runs.

    Returns
    -------
    tuple of bool and str
        And a sentence.

    Raises
    ------
    DeployError
        It is no kit.
    """
    if (kit / SERVER_FILE).is_file():
        server = ServerKit(kit)
        if not superlink_answers(server):
            return False, f"the SuperLink at {server.control_address} does not answer"
        if not _open(*server.way_in):
            return False, f"nginx does not listen on {host_port(*server.way_in)}"
        return True, "the SuperLink and nginx are up"
    port = read_site(kit / SITE_FILE).node_port
    return (True, "the SuperNode is up") if _open(LOOPBACK, port) else (False, f"no SuperNode on port {port}")


def _open(host: str, port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((host, port), timeout=5).close()
        return True
    return False
