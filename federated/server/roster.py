"""`Roster`: the clients of a run; `connect` waits for Flower's nodes and asks each which client it is."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flwr.app import Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from federated.messages.delivery import NOT_CONNECTED, Delivery
from federated.messages.grid import RoundGrid
from federated.messages.parse import read_info
from federated.messages.records import CONFIG, ClientInfo, TrainOrder
from shared.config.config import Config
from shared.config.federation import FederationConfig
from shared.data.batches import part_size
from shared.data.schema import Schema
from shared.metrics.point import Stage
from shared.runtime import errors
from shared.runtime.errors import FederationError, FedtwinError, ReplyRejected, bullet_list
from shared.tasks.base import TaskSpec
from shared.tracking.rows import ClientRow, json_ready

# As `RoundGrid` words what Flower says in place of a node that is gone, and that it was not asked.
_GONE = (f"error {ErrorCode.NODE_UNAVAILABLE}:", NOT_CONNECTED)
_PAUSE_S = 0.5
_LARGE_SHARE = 0.5  # of all training rows
# Clients of Flower's simulation that are asked before the others. Ten times a second, Flower looks through all
# messages that wait, once for every node: with many, Ray's actors would hardly get on with their imports.
_FEW = 8


@dataclass(frozen=True)
class Roster:
    """The clients of a run.

    Attributes
    ----------
    clients : dict of int to ClientInfo
        By client id, ascending.
    nodes : dict of int to int
        Flower's node id to client id.
    rounds_per_epoch : int
        Rounds that share one pass over a client's training rows.
    """

    clients: dict[int, ClientInfo]
    nodes: dict[int, int]
    rounds_per_epoch: int = 1

    def node_of(self, client_id: int) -> int:
        """Flower's id of a client."""
        return next(node for node, client in self.nodes.items() if client == client_id)

    def check_same(self, before: Sequence[ClientRow]) -> None:
        """Make sure that clients of a run that is resumed have the training rows that they began with.

        Parameters
        ----------
        before : sequence of ClientRow
            As the run has stored them.

        Raises
        ------
        FederationError
            Names each that has others.
        """
        changed = []
        for then in before:
            now = self.clients.get(then.client_id)
            if now is None:
                changed.append(f"{then.name} (client {then.client_id}) is not there")
            elif then.num_examples != now.num_examples:
                changed.append(f"{now.name}: {then.num_examples} training rows then, {now.num_examples} now")
            elif then.profile != json_ready(now.profile.as_dict()):
                changed.append(f"{now.name}: {then.num_examples} training rows, but they are others than then")
        if changed:
            raise FederationError(
                "clients have other rows than the run was begun with; begin a new run, or give them back:\n"
                + bullet_list(changed)
            )

    def num_examples(self, client_id: int, *, stage: Stage, round: int) -> int:
        """The rows that a client's reply of a round is about, and so its weight.

        Parameters
        ----------
        round : int
            From 1.
        """
        info = self.clients[client_id]
        if stage == "val":
            return info.num_val
        return part_size(info.num_examples, epoch=round - 1, parts=self.rounds_per_epoch)


def connect(
    grid: Grid, cfg: Config, *, snapshot: str, schema: Schema, spec: TaskSpec, say: Callable[[str], None]
) -> Roster:
    """Wait for ``federation.num_clients`` nodes, and ask each for its partition and its profile.

    Parameters
    ----------
    grid : Grid
        Flower's.
    snapshot : str
        Sent along, so that the clients can load and partition their data.
    schema : Schema
        Of the server's rows; every client must have the same.
    spec : TaskSpec
        Checks what the clients say of their rows.
    say : callable
        Takes a line of progress.

    Raises
    ------
    FederationError
        Not as many nodes as expected came in time, or they do not fit together.
    FedtwinError
        The clients' own, if all that have one have the same kind, such as `PartitionError`.
    """
    deadline = time.monotonic() + cfg.federation.connect_timeout_s
    while True:
        nodes = _wait_for_nodes(grid, cfg.federation, deadline=deadline, say=say)
        reception = _ask(grid, cfg.federation, nodes, snapshot=snapshot, schema=schema, spec=spec)
        # A node that was killed counts as there until its heartbeats have been missed for a while.
        gone = all(text.startswith(_GONE) for text in reception.problems.values())
        if not reception.problems:
            break
        if not gone or time.monotonic() >= deadline:
            raise _not_ready(reception)
        say(f"{len(reception.problems)} of {len(nodes)} clients went away; waiting until they are back")
        time.sleep(_PAUSE_S)
    by_id = {info.client_id: info for info in reception.infos.values()}
    _check_shares(list(by_id.values()), most=cfg.federation.max_share, say=say)
    return Roster(
        clients=dict(sorted(by_id.items())),
        nodes={node: info.client_id for node, info in reception.infos.items()},
        rounds_per_epoch=cfg.federation.rounds_per_epoch,
    )


def _ask(
    grid: Grid, cfg: FederationConfig, nodes: Sequence[int], *, snapshot: str, schema: Schema, spec: TaskSpec
) -> _Reception:
    order = RecordDict({CONFIG: TrainOrder(snapshot=snapshot).to_record()})
    reception = _Reception(cfg, schema=schema, spec=spec)
    asking = RoundGrid(
        grid, clients={node: node for node in nodes}, handler=reception, ask_again_s=cfg.ask_again_s
    )
    simulated = cfg.engine == "flower" and cfg.kit is None
    few = max(_FEW, os.cpu_count() or 1) if simulated else len(nodes)
    left = cfg.connect_timeout_s
    deadline = time.monotonic() + left
    for some in (nodes[:few], nodes[few:]):
        if reception.problems and not reception.infos:
            break  # what ails all of the first ails the others
        questions = [Message(order, dst_node_id=node, message_type=MessageType.QUERY) for node in some]
        asking.send_and_receive(questions, timeout=left)
        left = max(1.0, deadline - time.monotonic())
    return reception


class _Reception:
    """Takes the nodes' descriptions of themselves; here a node's id stands for the client's."""

    def __init__(self, cfg: FederationConfig, *, schema: Schema, spec: TaskSpec) -> None:
        self.cfg, self.schema, self.spec = cfg, schema, spec
        self.infos: dict[int, ClientInfo] = {}
        self.problems: dict[int, str] = {}
        self.names: dict[int, str] = {}  # of nodes that have said what they are called

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        info, expected = read_info(reply), self.cfg.num_clients
        self.names[client_id] = info.name
        # A site with its own data is a share of nothing: its number only has to be its own.
        if info.num_partitions and (info.num_partitions != expected or info.client_id >= expected):
            raise ReplyRejected(
                f"it is partition {info.client_id} of {info.num_partitions}, expected one of {expected} "
                f"(federation.num_clients), counted from 0"
            )
        if twin := [node for node, other in self.infos.items() if other.client_id == info.client_id]:
            raise ReplyRejected(f"it is partition {info.client_id}, and so is node {twin[0]}")
        if differences := self.schema.differences(info.schema):
            raise ReplyRejected("; ".join(differences))
        parts = self.cfg.rounds_per_epoch
        fewest = 1 if parts == 1 else 2 * parts  # two for every round: BatchNorm cannot train on one
        if not fewest <= info.num_examples <= self.cfg.max_examples:
            raise ReplyRejected(
                f"it has {info.num_examples} training rows, expected {fewest} to {self.cfg.max_examples} "
                f"(federation.max_examples)"
                + (f", two for each of federation.rounds_per_epoch={parts}" if parts > 1 else "")
            )
        self.spec.check_profile(info.profile, num_examples=info.num_examples)
        self.infos[client_id] = info

    def idle(self) -> None:
        pass

    def finish(self, message_type: str, delivery: Delivery) -> None:
        self.problems |= delivery.failed | delivery.absent


def _wait_for_nodes(
    grid: Grid, cfg: FederationConfig, *, deadline: float, say: Callable[[str], None]
) -> list[int]:
    expected, timeout = cfg.num_clients, cfg.connect_timeout_s
    told = -1
    while len(nodes := sorted(grid.get_node_ids())) < expected and time.monotonic() < deadline:
        if len(nodes) != told:
            say(f"{len(nodes)} of {expected} clients are there")
            told = len(nodes)
        time.sleep(min(0.2, timeout))
    if len(nodes) != expected:
        raise FederationError(
            f"expected {expected} clients (federation.num_clients), {len(nodes)} came within {timeout:g} s; "
            f"in a simulation start as many nodes: --federation-config 'num-supernodes={expected}'; "
            f"at a site `fedtwin deploy check` says what keeps it away"
        )
    return nodes


def _check_shares(infos: Sequence[ClientInfo], *, most: float, say: Callable[[str], None]) -> None:
    """Nobody can check how many rows a site says that it has, and its updates weigh as much."""
    total = sum(info.num_examples for info in infos)
    for info in infos:
        share = info.num_examples / total
        said = f"{info.name} says that it has {info.num_examples:,} of {total:,} training rows ({share:.1%})"
        if share > most:
            raise FederationError(
                f"{said}, more than federation.max_share={most:g}: a false count would let one client decide "
                f"the model; if it is true, raise federation.max_share, else leave the client out"
            )
        if share > _LARGE_SHARE and len(infos) > 2 and not info.num_partitions:
            say(f"{said}: if that is false, it decides the model; federation.max_share can refuse it")


def _not_ready(reception: _Reception) -> FedtwinError:
    asked, expected = len(reception.infos) + len(reception.problems), reception.cfg.num_clients
    everyone = "every node" if asked == expected else f"each of the {asked} nodes that were asked"
    who: dict[str, list[str]] = defaultdict(list)
    for node, text in reception.problems.items():
        who[text].append(", ".join(filter(None, (reception.names.get(node), f"node {node}"))))
    kinds = {text.partition(":")[0] for text in who}
    kind = getattr(errors, kinds.pop(), FederationError) if len(kinds) == 1 else FederationError
    lines = [
        f"{everyone if len(those) == asked else ', '.join(those)}: {text.removeprefix(f'{kind.__name__}: ')}"
        for text, those in who.items()
    ]
    error: FedtwinError = kind("the clients are not ready:\n" + bullet_list(lines, limit=20))
    return error
