"""The nodes of a local federation: each one's Flower context, and what a ClientApp answers for it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

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
        More node config by client id, such as ``site``.
    """
    identify()
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


def identify() -> None:
    """Tell Flower's Message, which asks its runtime for the task it works on, that it is this process."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SERVER_NODE_ID, 1


def answer(client_app: ClientApp, message: Message, context: Context) -> Message:
    """What a node's ClientApp replies; whatever it raises is an error reply, as in Flower.

    Parameters
    ----------
    context : Context
        Its state may be changed.
    """
    try:
        reply = client_app(message=message, context=context)
        assert isinstance(reply, Message), f"a ClientApp returned {type(reply).__name__}"
        return reply
    except Exception as error:
        return failed(message, "".join(traceback.format_exception_only(error)))


def failed(message: Message, reason: str) -> Message:
    """An error reply."""
    return Message(Error(CLIENT_APP_RAISED, reason), reply_to=message)
