"""`Declares`: an algorithm of the tests that declares everything that one can, and sends it."""

from __future__ import annotations

from typing import ClassVar

from flwr.app import ArrayRecord
from lightning import LightningModule
from torch import nn

from federated.messages.wire import ArraySpec, WireSpec
from federated.strategy.aggregation import Averaging
from federated.strategy.client_half import ClientContext, ClientHalf, FitResult
from federated.strategy.fedbn import FedBN
from federated.strategy.server_half import ServerContext, ServerHalf


class Declares(FedBN):
    """FedBN whose normalisation never leaves a client, with a record each way and a metric."""

    wire: ClassVar[WireSpec] = WireSpec(
        down=(ArraySpec("model-again"),),
        up=(ArraySpec("change", like="trained"),),
        metrics=("drift",),
        sends_local=False,
    )

    def server(self, context: ServerContext) -> ServerHalf:
        return _Server(context)

    def client(self, context: ClientContext) -> ClientHalf:
        return _Client(context.network)


class _Server(ServerHalf, Averaging):
    more = ("change",)

    def more_records(self, arrays: ArrayRecord) -> dict[str, ArrayRecord]:
        return {"model-again": arrays}


class _Client(ClientHalf):
    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def before_fit(self, module: LightningModule) -> None:
        self.start = {key: p.detach().clone() for key, p in self.network.named_parameters()}

    def after_fit(self, module: LightningModule) -> FitResult:
        change = {key: p.detach() - self.start[key] for key, p in self.network.named_parameters()}
        drift = sum(float(value.square().sum()) for value in change.values()) ** 0.5
        return FitResult(arrays={"change": change}, metrics={"drift": drift})
