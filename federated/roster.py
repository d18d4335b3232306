"""Who takes part: `connect` waits for Flower's nodes and asks each which client it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from federated.records import CONFIG, ClientInfo, TrainOrder
from shared.config import Config
from shared.errors import FederationError, PartitionError, ReplyRefused, bullet_list


@dataclass(frozen=True)
class Roster:
    """The clients of a run.

    Attributes
    ----------
    clients : dict of int to ClientInfo
        By client id, ascending.
    nodes : dict of int to int
        Flower's node id to client id.
    """

    clients: dict[int, ClientInfo]
    nodes: dict[int, int]

    def node_of(self, client_id: int) -> int:
        """Flower's id of a client.

        Parameters
        ----------
        client_id : int

        Returns
        -------
        int
        """
        return next(node for node, client in self.nodes.items() if client == client_id)

    def label_counts(self) -> list[int]:
        """Training rows of each class, over all clients.

        Returns
        -------
        list of int
        """
        return [sum(counts) for counts in zip(*(c.label_counts for c in self.clients.values()), strict=True)]


def connect(grid: Grid, cfg: Config, *, snapshot: str, say: Callable[[str], None]) -> Roster:
    """Wait for ``federation.num_clients`` nodes, and ask each for its partition and its label counts.

    Parameters
    ----------
    grid : Grid
        Flower's.
    cfg : Config
    snapshot : str
        Sent along, so that the clients can load and partition their data.
    say : callable
        Takes a line of progress.

    Returns
    -------
    Roster

    Raises
    ------
    FederationError
        Too few nodes came in time, one could not load its data, or two claim the same partition.
    """
    expected = cfg.federation.num_clients
    nodes = _wait_for_nodes(grid, expected, timeout=cfg.federation.connect_timeout_s, say=say)
    order = RecordDict({CONFIG: TrainOrder(snapshot=snapshot).to_record()})
    sent = {}
    for node in nodes:
        ids = list(grid.push_messages([Message(order, dst_node_id=node, message_type=MessageType.QUERY)]))
        if ids and ids[0]:
            sent[ids[0]] = node
    replies = _collect(grid, sent, timeout=cfg.federation.connect_timeout_s)
    infos: dict[int, ClientInfo] = {}
    by_node: dict[int, int] = {}
    problems = [f"node {node} did not answer" for node in nodes if node not in replies]
    for node, reply in replies.items():
        if reply.has_error():
            problems.append(f"node {node}: {_last_line(reply.error.reason)}")
            continue
        try:
            info = ClientInfo.from_message(reply)
        except ReplyRefused as refusal:
            problems.append(f"node {node}: {refusal}")
            continue
        if info.client_id in infos:
            problems.append(f"node {node} says that it is client {info.client_id}, and so does another node")
        elif info.num_examples == 0:
            problems.append(f"{info.name} has no training rows")
        infos[info.client_id], by_node[node] = info, info.client_id
    if problems:
        error = PartitionError if any("PartitionError" in problem for problem in problems) else FederationError
        raise error("the clients are not ready:\n" + bullet_list(sorted(set(problems)), limit=20))
    return Roster(clients=dict(sorted(infos.items())), nodes=by_node)


def _wait_for_nodes(grid: Grid, expected: int, *, timeout: float, say: Callable[[str], None]) -> list[int]:
    deadline = time.monotonic() + timeout
    told = -1
    while len(nodes := sorted(grid.get_node_ids())) < expected:
        if len(nodes) != told:
            say(f"{len(nodes)} of {expected} clients are there")
            told = len(nodes)
        if time.monotonic() > deadline:
            raise FederationError(
                f"expected {expected} clients (federation.num_clients), {len(nodes)} came within {timeout:g} s; in a "
                f"simulation start as many nodes: --federation-config 'num-supernodes={expected}'"
            )
        time.sleep(0.2)
    return nodes


def _collect(grid: Grid, sent: dict[str, int], *, timeout: float) -> dict[int, Message]:
    deadline = time.monotonic() + timeout
    waiting, replies = dict(sent), {}
    while waiting and time.monotonic() < deadline:
        for reply in grid.pull_messages(list(waiting)):
            replies[waiting.pop(reply.metadata.reply_to_message_id)] = reply
        time.sleep(0.02)
    return replies


def _last_line(reason: str | None) -> str:
    lines = [line.strip() for line in (reason or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
