"""`Delivery`: what happened to the messages of one send; `ReplyHandler`: who sees their replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import Message

NOT_CONNECTED = "is not connected"


@dataclass
class Delivery:
    """What happened to the messages of one send.

    Attributes
    ----------
    sent : list of int
        Client ids, ascending.
    replied : list of int
        Clients whose reply was accepted.
    failed : dict of int to str
        Client id to reason: an error, a rejection, or no reply in time.
    absent : dict of int to str
        Client id to why it was not even asked.
    asked_again : dict of int to int
        Client id to how often its message was repeated, because no answer came.
    late : dict of int to float
        Client id to the seconds from an earlier send to its reply, which came past the deadline: dropped.
    over_bound : dict of int to float
        Client id to the multiple of what was usual, of updates that were too long; they are in `failed` too.
    bytes_down, bytes_up : dict of int to int
        Client id to bytes.
    seconds : dict of int to float
        Client id to the time from sending to its reply.
    """

    sent: list[int] = field(default_factory=list)
    replied: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    absent: dict[int, str] = field(default_factory=dict)
    asked_again: dict[int, int] = field(default_factory=dict)
    late: dict[int, float] = field(default_factory=dict)
    over_bound: dict[int, float] = field(default_factory=dict)
    bytes_down: dict[int, int] = field(default_factory=dict)
    bytes_up: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def add(self, other: Delivery) -> None:
        """Count the traffic of another send to it, as one that came before in the same round."""
        for mine, own in (
            (self.bytes_down, other.bytes_down),
            (self.bytes_up, other.bytes_up),
            (self.asked_again, other.asked_again),
        ):
            for client_id, count in own.items():
                mine[client_id] = mine.get(client_id, 0) + count
        for client_id, seconds in other.seconds.items():
            self.seconds[client_id] = self.seconds.get(client_id, 0.0) + seconds


class ReplyHandler(Protocol):
    """Sees each reply as it arrives."""

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        """Check and record a reply.

        Raises
        ------
        ReplyRejected
            It is dropped, with this reason.
        """
        ...

    def idle(self) -> None:
        """Record what was put aside: nothing has come in the last poll."""
        ...

    def finish(self, message_type: str, delivery: Delivery) -> None:
        """Record what happened to all messages of one send."""
        ...
