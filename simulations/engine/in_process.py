"""`InProcessGrid`: a Flower Grid that runs an unmodified ClientApp for each node in turn, in this process."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from simulations.engine.nodes import node_contexts, run_client_app


class InProcessGrid(Grid):
    """Runs all nodes in this process, without SuperLink, network or Ray.

    Parameters
    ----------
    node_configs : mapping of int to dict, optional
        Additional node config by client id, such as ``site``.
    """

    def __init__(
        self,
        client_app: ClientApp,
        *,
        num_clients: int,
        node_configs: Mapping[int, Mapping[str, str | int]] | None = None,
    ) -> None:
        self.client_app = client_app
        self.contexts = node_contexts(num_clients, node_configs)
        self._queue: dict[str, Message] = {}
        self._count = 0

    def get_node_ids(self) -> list[int]:
        """All nodes."""
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue messages.

        Returns
        -------
        list of str
            Their ids.
        """
        ids = []
        for message in messages:
            self._count += 1
            message_id = f"message-{self._count}"
            # A copy, as over a network: a strategy may send one RecordDict to many nodes.
            own = Message(_copied(message.content), message.metadata.dst_node_id, message.metadata.message_type)
            own.metadata.__dict__["_message_id"] = message_id
            self._queue[message_id] = own
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Run the ClientApp for the next queued message and return its reply.

        Returns
        -------
        list of Message
            One reply, or none if none of these messages is queued.
        """
        for message_id in message_ids:
            message = self._queue.pop(message_id, None)
            if message is not None:
                return [self._run(message)]
        return []

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Run all messages.

        Parameters
        ----------
        timeout : float, optional
            Ignored: messages are processed immediately.
        """
        ids = self.push_messages(messages)
        return [reply for message_id in ids for reply in self.pull_messages([message_id])]

    def _run(self, message: Message) -> Message:
        return run_client_app(self.client_app, message, self.contexts[message.metadata.dst_node_id])

    @property
    def run(self) -> Run:
        """There is no Flower run."""
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        """There is no Flower run."""

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Not supported: messages are created by their constructor, as Flower recommends."""
        raise NotImplementedError


def _copied(content: RecordDict) -> RecordDict:
    # Array bytes are immutable and may be large, so they are shared.
    return RecordDict(
        {
            name: ArrayRecord(dict(record)) if isinstance(record, ArrayRecord) else copy.deepcopy(record)
            for name, record in content.items()
        }
    )
