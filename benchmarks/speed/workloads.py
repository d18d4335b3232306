"""The workloads: model, number of clients, rounds and training settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

SEED = 1


@dataclass(frozen=True)
class Workload:
    """One training, the same for all systems.

    Attributes
    ----------
    model : {"cnn", "resnet18"}
    sampled : int
        Clients that train in a round.
    images : int or None
        Training images of each client, for which rows are repeated; None: all rows, shared out.
    batch, lr, momentum
        Of the clients' SGD. One local epoch a round.
    """

    name: str
    model: str
    clients: int
    sampled: int
    rounds: int
    images: int | None = None
    batch: int = 32
    lr: float = 0.01
    momentum: float = 0.9

    @property
    def pooled(self) -> bool:
        """Whether a round sees every row once, as an epoch of centralized training does."""
        return self.sampled == self.clients

    def describe(self) -> str:
        """One line for people."""
        who = "all in every round" if self.pooled else f"{self.sampled} per round"
        held = "" if self.images is None else f" of {self.images} images"
        model = {"cnn": "small CNN", "resnet18": "ResNet-18"}[self.model]
        return f"{model}, {self.clients:,} clients{held}, {who}, {self.rounds} rounds"

    def overrides(self, data: str) -> list[str]:
        """Our settings for the same training.

        Parameters
        ----------
        data : str
            The file of images.

        Returns
        -------
        list of str
            Hydra overrides of ``fedtwin federated``, ``simulate`` and ``centralized``.
        """
        return [
            "data=npz",
            f"data.path={data}",
            f"data.batch_size={self.batch}",
            f"model={self.model}",
            *(["model.stem=imagenet"] if self.model == "resnet18" else []),
            "partition=iid",
            f"seed={SEED}",
            f"federation.num_clients={self.clients}",
            f"federation.num_rounds={self.rounds}",
            "federation.local_epochs=1",
            f"strategy.fraction_train={self.sampled / self.clients:g}",
            "strategy.fraction_evaluate=0",
            f"trainer.max_epochs={self.rounds}",
            f"trainer.optimizer.lr={self.lr:g}",
            f"trainer.optimizer.momentum={self.momentum:g}",
            "trainer.optimizer.weight_decay=0",
            "trainer.early_stopping.enabled=false",
            "trainer.test_model=last",
            "trainer.accelerator=cpu",
        ]

    def with_rounds(self, rounds: int | None) -> Workload:
        """The same with another length.

        Parameters
        ----------
        rounds : int or None
            None: its own.
        """
        return self if rounds is None else replace(self, rounds=rounds)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W", model="cnn", clients=10, sampled=10, rounds=5),
        Workload("W2", model="resnet18", clients=10, sampled=10, rounds=2),
        Workload("W3", model="cnn", clients=100, sampled=10, rounds=20),
        Workload("W4", model="cnn", clients=1000, sampled=100, rounds=10, images=10),
    )
}
