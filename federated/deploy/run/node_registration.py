"""Registers the sites' keys with a server's SuperLink, and takes back those that are no longer in its kit."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, UnregisterNodeRequest
from flwr.supercore.control import ControlHttpClient

from federated.kit.node_key import read_public_key
from federated.kit.server_kit import ServerKit
from shared.runtime.errors import DeployError


@dataclass(frozen=True)
class Changes:
    """What a registration changed: names of sites, and Flower's ids of the nodes that were removed."""

    added: list[str]
    removed: list[str]


def register(kit: ServerKit) -> Changes:
    """Make the SuperLink know the keys in ``nodes/``, and no others.

    Parameters
    ----------
    kit : ServerKit
        Its SuperLink runs on this machine.

    Raises
    ------
    DeployError
        A key cannot be read, or the SuperLink cannot be asked.
    """
    wanted = {read_public_key(path): path.stem for path in sorted(kit.nodes.glob("*.pub"))}
    try:
        client = ControlHttpClient.from_server_address(
            server_address=kit.control_address,
            insecure=False,
            root_certificates=kit.ca.read_bytes(),
            interceptors=[],
        )
        try:
            return _match(client, wanted)
        finally:
            client.close()
    except httpx.HTTPError as error:
        raise DeployError(
            f"the SuperLink at {kit.control_address} does not answer ({error}); "
            f"start it on this machine with {kit.folder / 'start.sh'}"
        ) from None
    except (OSError, ValueError) as error:
        raise DeployError(f"the SuperLink at {kit.control_address} does not answer: {error}") from None


def _match(client: ControlHttpClient, wanted: dict[bytes, str]) -> Changes:
    nodes = [node for node in client.ListNodes(ListNodesRequest()).nodes_info if node.status != "unregistered"]
    there = {node.public_key for node in nodes}
    added, removed = [], []
    for node in nodes:
        if node.public_key not in wanted:
            client.UnregisterNode(UnregisterNodeRequest(node_id=node.node_id))
            removed.append(node.name or str(node.node_id))
    for key, name in wanted.items():
        if key not in there:
            client.RegisterNode(RegisterNodeRequest(public_key=key, name=name))
            added.append(name)
    return Changes(added, removed)
