"""`ServerKit`: the server's kit: its addresses and ports, its files, and whether what it runs still does."""

from __future__ import annotations

import os
import ssl
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import Field

from federated.kit.federation_file import Address, Port, SiteName, host_port
from federated.kit.yaml_file import read_yaml
from shared.config.section import Section
from shared.tracking.process import Owner, is_gone, owner

SERVER_FILE, CONNECTION = "server.yaml", "fedtwin"
LOOPBACK, EVERY_ADDRESS = "127.0.0.1", "0.0.0.0"


def state_folder(kit: Path) -> Path:
    """Where a kit's processes write: beside its files, or where ``FEDTWIN_STATE`` says (as in a container)."""
    return Path(os.environ.get("FEDTWIN_STATE") or kit / "state").absolute()


class ServerFile(Section):
    """What the server's kit is started with."""

    name: SiteName
    address: Address
    listen: Address = EVERY_ADDRESS
    port: Port
    superlink_port: Port
    num_sites: Annotated[int, Field(ge=1)]


class ServerKit:
    """The files of a server's kit, and what is made from them at each start.

    Raises
    ------
    DeployError
        It is not a server's kit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.settings = read_yaml(self.folder / SERVER_FILE, model=ServerFile)
        self.ca = self.folder / "tls" / "ca.crt"
        self.nodes = self.folder / "nodes"
        self.flower_home = self.folder / "flower"
        self.state = state_folder(self.folder)

    @property
    def control_address(self) -> str:
        """Where `flwr run` finds the SuperLink: on this machine only."""
        return host_port(LOOPBACK, self.settings.superlink_port)

    @property
    def way_in(self) -> tuple[str, int]:
        """Address and port at which this machine reaches nginx."""
        own = {EVERY_ADDRESS: LOOPBACK, "::": "::1"}
        return own.get(self.settings.listen, self.settings.listen), self.settings.port

    def connection(self) -> str:
        """Flower's ``config.toml``, by which `flwr run` finds the SuperLink.

        Returns
        -------
        str
            With the absolute path of the authority's certificate, so that a kit that was moved still works.
        """
        return (
            f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
            f'address = "{self.control_address}"\nroot-certificates = "{self.ca}"\n'
        )


def superlink_answers(kit: ServerKit) -> bool:
    """Whether the SuperLink of a kit is up."""
    with suppress(OSError):
        context = ssl.create_default_context(cafile=str(kit.ca))
        urllib.request.urlopen(f"https://{kit.control_address}/health", timeout=5, context=context).close()
        return True
    return False


def parents() -> list[Owner]:
    """What Flower starts a ServerApp from: its SuperExec, and that one's SuperLink."""
    return [owner(process.pid) for process in psutil.Process().parents()[:2]]


def interruptions(kit: ServerKit, *, below: Sequence[Owner]) -> Callable[[BaseException], bool]:
    """How a ServerApp of a kit tells the end of its run from the end of what it stands on.

    Parameters
    ----------
    below : sequence of Owner
        Its `parents`, as they were when it began.

    Returns
    -------
    callable
        Whether an exception that ended the ServerApp says nothing about the run.
    """

    def interrupted(error: BaseException) -> bool:
        # SIGTERM is the machine's: who wants the run stopped tells the SuperLink. And a SuperLink that
        # answers may already be the next one.
        return isinstance(error, KeyboardInterrupt) or any(map(is_gone, below)) or not superlink_answers(kit)

    return interrupted
