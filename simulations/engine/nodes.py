"""Simulated nodes: the Flower context of each, and running a ClientApp for one of them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from federated.messages.sendable import check_sendable

SERVER_NODE_ID = 1
CLIENT_APP_RAISED = 2  # Flower's code for a ClientApp that raised
_FIRST_NODE_ID = 1000


def node_contexts(
    num_clients: int, node_configs: Mapping[int, Mapping[str, str | int]] | None = None
) -> dict[int, Context]:
    """The context of each node, by node id.

    Parameters
    ----------
    node_configs : mapping of int to dict, optional
        Additional node config by client id, such as ``site``.
    """
    set_task_identity()
    return {
        _FIRST_NODE_ID + index: Context(
            run_id=1,
            node_id=_FIRST_NODE_ID + index,
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


def set_task_identity() -> None:
    """Set the task identity that Flower's Message reads from its runtime."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SERVER_NODE_ID, 1


def run_client_app(client_app: ClientApp, message: Message, context: Context) -> Message:
    """Run a ClientApp for a node; an exception, or a reply that cannot be sent, becomes an error, as in Flower.

    Parameters
    ----------
    context : Context
        Of the node; its state may change.
    """
    try:
        reply = client_app(message=message, context=context)
        assert isinstance(reply, Message), f"a ClientApp returned {type(reply).__name__}"
        if reply.has_content():
            check_sendable(reply.content)
        return reply
    except Exception as error:
        return error_reply(message, "".join(traceback.format_exception_only(error)))


def error_reply(message: Message, reason: str) -> Message:
    """An error reply."""
    return Message(Error(CLIENT_APP_RAISED, reason), reply_to=message)
