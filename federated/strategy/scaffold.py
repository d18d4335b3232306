"""SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378): averaging, with corrected clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from flwr.app import ArrayRecord, Message, MetricRecord
from lightning.pytorch.callbacks import Callback
from pydantic import Field
from torch import Tensor, nn

from federated.messages.records import array_of, values_of
from federated.messages.wire import ArraySpec, WireSpec
from federated.strategy.aggregation import Averaging, as_type
from federated.strategy.base import Algorithm
from federated.strategy.client_half import ClientContext, ClientHalf, FitResult, Tensors, check_unscaled
from federated.strategy.server_half import ServerContext, ServerHalf

CONTROL = "control"


class Scaffold(Algorithm):
    """Each client's gradients are corrected by the difference between the server's control variate and its own.

    A client's new control variate is the mean of the gradients of its steps, which for plain SGD is the paper's
    Option II, and which holds for any optimiser and schedule. Where the paper counts clients, we weigh them by
    their training examples, in the models' mean and in that of the control variates.
    """

    class Config(Algorithm.Config):
        """``server_learning_rate=1`` takes the clients' average as it is."""

        server_learning_rate: Annotated[float, Field(gt=0.0)]

    config: Config
    wire = WireSpec(down=(ArraySpec(CONTROL, like="trained"),), up=(ArraySpec(CONTROL, like="trained"),))
    keeps_state: ClassVar[bool] = True

    def server(self, context: ServerContext) -> ServerHalf:
        """The server's control variate, and its step."""
        return ScaffoldServer(context, learning_rate=self.config.server_learning_rate)

    def client(self, context: ClientContext) -> ClientHalf:
        """Corrected steps."""
        return ScaffoldClient(
            context.network, server_control=context.received[CONTROL], own_control=context.state
        )


class ScaffoldServer(ServerHalf, Averaging):
    """``c += (sampled examples / all examples) * mean(c_i' - c_i)`` and ``x += lr * (mean(y_i) - x)``."""

    more: ClassVar[tuple[str, ...]] = (CONTROL,)

    def __init__(self, context: ServerContext, *, learning_rate: float, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        self.learning_rate = learning_rate
        self.control: dict[str, npt.NDArray[Any]] = {}

    def more_records(self, arrays: ArrayRecord) -> Mapping[str, ArrayRecord]:
        """The control variate, 0 at first."""
        if not self.control:
            trained = {key: array for key, array in arrays.items() if key in self.context.trained}
            self.control = {key: np.zeros(array.shape, array.dtype) for key, array in trained.items()}
        return {CONTROL: ArrayRecord({key: array_of(values) for key, values in self.control.items()})}

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Move the model and the control variate.

        Parameters
        ----------
        server_round : int
            Counted from this start.
        replies : iterable of Message
            Sorted by client.
        """
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None:
            return arrays, metrics
        share = self.weight / self.context.total_examples(server_round + self.context.round_offset)
        for key, change in self.averages[CONTROL].items():
            self.control[key] = (self.control[key] + share * values_of(change)).astype(change.dtype)
        if self.learning_rate != 1:
            for key in self.context.trained:
                old, new = values_of(self.sent[key]).astype(np.float64), values_of(arrays[key])
                arrays[key] = as_type(old + self.learning_rate * (new - old), arrays[key].dtype)
        return arrays, metrics

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """The control variate; empty before the first round."""
        return dict(self.control)

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Resume with a stored control variate.

        Parameters
        ----------
        state : mapping of str to ndarray
            From `state`.
        arrays : ArrayRecord
            The global model that it belongs to.
        """
        self.control = {key: state[key] for key in arrays if key in state}


class ScaffoldClient(ClientHalf):
    """Corrects the gradients of a fit.

    Parameters
    ----------
    server_control : mapping of str to Tensor
        By the network's keys.
    own_control : mapping of str to Tensor
        Of the last round in which this client trained; empty at first, which stands for 0.
    """

    def __init__(self, network: nn.Module, *, server_control: Tensors, own_control: Tensors) -> None:
        self.network = network
        self.server_control = server_control
        self.own_control = own_control or {key: torch.zeros_like(c) for key, c in server_control.items()}
        self._correction = _Correction()

    def callbacks(self) -> list[Callback]:
        """What changes each gradient."""
        return [self._correction]

    def before_fit(self, module: L.LightningModule) -> None:
        """Pair the parameters with their corrections."""
        parameters = dict(self.network.named_parameters())
        self._correction.begin(
            {key: (parameters[key], c - self.own_control[key]) for key, c in self.server_control.items()}
        )

    def after_fit(self, module: L.LightningModule) -> FitResult:
        """The new control variate stays, and its change is sent."""
        new = self._correction.mean_gradients() or self.own_control
        change = {key: value - self.own_control[key] for key, value in new.items()}
        return FitResult(arrays={CONTROL: change}, state=new)


class _Correction(Callback):
    """Adds a constant to each gradient, and keeps the mean of the gradients without it."""

    def begin(self, pairs: Mapping[str, tuple[nn.Parameter, Tensor]]) -> None:
        self._pairs = pairs
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # By now the module is on the device that it trains on.
        self._pairs = {key: (p, correction.to(p)) for key, (p, correction) in self._pairs.items()}
        self._sums = {key: torch.zeros_like(correction) for key, (_, correction) in self._pairs.items()}

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        check_unscaled(trainer, optimizer)
        if getattr(trainer, "scaler", None) and not _finite(p.grad for p, _ in self._pairs.values()):
            return  # gradients that were scaled beyond 16 bits: this step is skipped
        self._steps += 1
        for key, (parameter, correction) in self._pairs.items():
            if parameter.grad is not None:
                self._sums[key] += parameter.grad
                parameter.grad += correction

    def mean_gradients(self) -> dict[str, Tensor]:
        """Of the steps that were taken; empty if none was."""
        if not self._steps:
            return {}
        return {key: (total / self._steps).float().cpu() for key, total in self._sums.items()}


def _finite(gradients: Iterable[Tensor | None]) -> bool:
    return all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None)
