"""`absences`: the clients of a run that never took part in training, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from federated.server.roster import Roster
from federated.strategy.server_half import train_sample
from shared.config.config import Config
from shared.runtime.counts import count_of
from shared.tracking.rows import RoundRow

_NAMED = 10  # clients in one warning


def absences(roster: Roster, rounds: Sequence[RoundRow], *, cfg: Config) -> list[str]:
    """Name the clients none of whose training replies was used.

    Parameters
    ----------
    rounds : sequence of RoundRow
        All that were completed.

    Returns
    -------
    list of str
        One warning for each reason: never sampled (a function of seed and round), never connected when it was
        sampled, or sampled and dropped, with the last reason.
    """
    ids, strategy = list(roster.clients), cfg.strategy
    replied = {client for row in rounds for client in row.replied}
    missing = [client for client in ids if client not in replied]
    if not missing or not rounds:
        return []
    asked = {client for row in rounds for client in row.sampled}
    chosen = {
        client
        for row in rounds
        for client in train_sample(
            ids,
            round=row.round,
            seed=cfg.seed,
            fraction=strategy.fraction_train,
            at_least=strategy.min_train,
        )
    }
    reasons: dict[str, list[int]] = {}
    for client in missing:
        dropped = [text for row in rounds if (text := row.failed.get(client))]
        if client in asked:
            last = dropped[-1] if dropped else "no reply"
            why = f"dropped in every round that sampled it; the last time: {last}"
        elif client in chosen:
            why = "not connected in any round that sampled it"
        else:
            why = (
                f"never sampled in {count_of(len(rounds), 'round')} "
                f"(strategy.fraction_train={strategy.fraction_train:g}); more rounds or a larger share would "
                f"reach it"
            )
        reasons.setdefault(why, []).append(client)
    return [f"{_named(roster, clients)} never took part in training: {why}" for why, clients in reasons.items()]


def _named(roster: Roster, clients: Sequence[int]) -> str:
    names = [roster.clients[client].name for client in clients[:_NAMED]]
    more = len(clients) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
