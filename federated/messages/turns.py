"""`Turns`: accepted training replies are handed on in the order in which their clients were asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from flwr.app import Message

from federated.messages.delivery import Delivery
from federated.messages.norm_bound import NormBound

# So many replies are held until they can be compared; later ones are compared with those before them.
HELD = 16


class Turns:
    """One round's order: a sum of the replies does not depend on who is fast.

    Parameters
    ----------
    order : iterable of int
        Client ids.
    bound : NormBound, optional
        Drops replies that are far longer than others; each is judged when it is its turn, so that the verdict
        does not depend on who is fast either.
    take : callable, optional
        Gets each reply that stays.
    """

    def __init__(
        self, order: Iterable[int], *, bound: NormBound | None, take: Callable[[Message], None] | None
    ) -> None:
        self.bound, self.take = bound, take
        self._order = deque(order)
        self._held: list[int] = []

    def arrived(self, client_id: int, reply: Message) -> None:
        """Do what need not wait for the reply's turn."""
        if self.bound is not None:
            self.bound.measure(client_id, reply.content)

    def advance(self, accepted: dict[int, Message], delivery: Delivery) -> None:
        """Hand on the replies whose turn has come: those before them are there, or dropped.

        Parameters
        ----------
        accepted : dict of int to Message
            By client id; what is over the bound is removed, and noted in ``delivery``.
        """
        while self._order and (self._order[0] in accepted or self._order[0] in delivery.failed):
            client_id = self._order.popleft()
            if client_id not in accepted:
                continue
            self._held.append(client_id)
            if self.bound is not None:
                self.bound.add(client_id, accepted[client_id].content)
                if self._order and len(self.bound) < HELD:
                    continue
            self._hand_on(accepted, delivery)
        if not self._order:
            self._hand_on(accepted, delivery)

    def _hand_on(self, accepted: dict[int, Message], delivery: Delivery) -> None:
        held, self._held = self._held, []
        for client_id in held:
            excess = self.bound.excess(client_id) if self.bound is not None else None
            if self.bound is not None and excess is not None:
                delivery.over_bound[client_id], _ = excess
                delivery.failed[client_id] = f"rejected: {self.bound.why(*excess)}"
                del accepted[client_id]
            elif self.take is not None:
                self.take(accepted[client_id])
