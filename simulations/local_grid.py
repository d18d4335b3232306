"""`LocalGrid`: Flower's Grid in one process, that runs an unmodified ClientApp for each node in turn."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

SERVER_NODE_ID = 1
CLIENT_APP_RAISED = 2  # Flower's code for a ClientApp that raised


class LocalGrid(Grid):
    """Nodes without SuperLink, network and Ray: for tests, and for runs that should start at once.

    Parameters
    ----------
    client_app : ClientApp
    num_clients : int
    node_configs : mapping of int to dict, optional
        More node config by client id, such as ``site``.
    """

    def __init__(
        self,
        client_app: ClientApp,
        *,
        num_clients: int,
        node_configs: Mapping[int, Mapping[str, str | int]] | None = None,
    ) -> None:
        # Flower's runtime says which task a process works on, and its Message asks; here it is this process.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SERVER_NODE_ID, 1
        self.client_app = client_app
        self.contexts = {
            1000 + index: Context(
                run_id=1,
                node_id=1000 + index,
                node_config={
                    "partition-id": index,
                    "num-partitions": num_clients,
                    **(node_configs or {}).get(index, {}),
                },
                state=RecordDict(),
                run_config={},
            )
            for index in range(num_clients)
        }
        self._queue: dict[str, Message] = {}
        self._count = 0

    def get_node_ids(self) -> list[int]:
        """All nodes.

        Returns
        -------
        list of int
        """
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue messages.

        Parameters
        ----------
        messages : iterable of Message

        Returns
        -------
        list of str
            Their ids.
        """
        ids = []
        for message in messages:
            self._count += 1
            message_id = f"message-{self._count}"
            # A copy, as on the wire: a strategy may send one RecordDict to many nodes.
            own = Message(
                copy.deepcopy(message.content), message.metadata.dst_node_id, message.metadata.message_type
            )
            own.metadata.__dict__["_message_id"] = message_id
            self._queue[message_id] = own
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Run the next queued message's ClientApp, and give its reply.

        Parameters
        ----------
        message_ids : iterable of str

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
        messages : iterable of Message
        timeout : float, optional
            Not used: nothing waits.

        Returns
        -------
        list of Message
        """
        ids = self.push_messages(messages)
        return [reply for message_id in ids for reply in self.pull_messages([message_id])]

    def _run(self, message: Message) -> Message:
        context = self.contexts[message.metadata.dst_node_id]
        try:
            reply = self.client_app(message=message, context=context)
            assert isinstance(reply, Message), f"a ClientApp returned {type(reply).__name__}"
            return reply
        except Exception as error:  # whatever a ClientApp raises becomes an error reply, as in Flower
            reason = "".join(traceback.format_exception_only(error))
            return Message(Error(CLIENT_APP_RAISED, reason), reply_to=message)

    @property
    def run(self) -> Run:
        """There is no Flower run."""
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        """There is no Flower run.

        Parameters
        ----------
        run : Run
        """

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Not used: messages are made by their constructor, as Flower advises."""
        raise NotImplementedError
