"""`Budget`: how many training examples the twins of a comparison see, counted before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from federated.strategy.server_half import train_sample
from shared.config.config import Config
from shared.config.strategy import sample_size
from shared.data.batches import part_size

TOLERANCE = 0.02  # of the larger number; whole epochs can rarely be exactly as many examples


@dataclass(frozen=True)
class Budget:
    """What both twins train on.

    Attributes
    ----------
    epochs : int
        Of the pooled twin.
    pooled, federated : int
        Training examples that go through the model, repeats counted.
    """

    epochs: int
    pooled: int
    federated: int

    @property
    def problem(self) -> str | None:
        """See `unequal`."""
        return unequal(self.pooled, self.federated)


def plan(cfg: Config, *, sizes: Sequence[int] | None, rows: int) -> Budget:
    """Count what the federation will train on, and find the pooled epochs that come closest.

    Parameters
    ----------
    cfg : Config
        Its seed decides which clients the server samples.
    sizes : sequence of int, or None
        Training rows of each client; None where only the sites know: equal ones are assumed.
    rows : int
        Training rows of the pooled twin.
    """
    federation, strategy = cfg.federation, cfg.strategy
    clients, parts = federation.num_clients, federation.rounds_per_epoch
    if sizes is None:
        sampled = sample_size(clients, strategy.fraction_train, at_least=strategy.min_train)
        passes = federation.num_rounds * federation.local_epochs / parts
        federated = round(rows * passes * sampled / clients)
    else:
        federated = sum(
            part_size(sizes[client], epoch=number - 1, parts=parts) * federation.local_epochs
            for number in range(1, federation.num_rounds + 1)
            for client in train_sample(
                range(clients),
                round=number,
                seed=cfg.seed,
                fraction=strategy.fraction_train,
                at_least=strategy.min_train,
            )
        )
    epochs = max(1, round(federated / rows))
    return Budget(epochs, pooled=epochs * rows, federated=federated)


def unequal(pooled: int, federated: int) -> str | None:
    """What is told of twins that do not see the same number of examples.

    Returns
    -------
    str or None
        None if they nearly do, and where one was not counted (0).
    """
    if not (pooled and federated) or abs(pooled - federated) <= TOLERANCE * max(pooled, federated):
        return None
    return (
        f"the twins do not see the same number of training examples: pooled {pooled:,} (in whole epochs), "
        f"federated {federated:,} ({100 * (federated - pooled) / pooled:+.0f} %), which is part of the gap"
    )
