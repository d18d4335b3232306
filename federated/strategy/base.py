"""`Algorithm`: a federated algorithm with both halves, and what it lets travel between them."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from pydantic import ConfigDict
from torch import nn

from federated.messages.questions import Arrays, Asked
from federated.messages.wire import Layout, WireSpec
from federated.strategy.client_half import AskedContext, ClientContext, ClientHalf
from federated.strategy.server_half import AveragingServer, ServerContext, ServerHalf
from shared.config.config import Config as RunConfig
from shared.config.model import (
    OF_LIBRARIES,
    ForestConfig,
    GmmConfig,
    IsolationForestConfig,
    KMeansConfig,
    PcaConfig,
    TreesConfig,
)
from shared.config.problems import check_settings
from shared.config.strategy import StrategyConfig
from shared.runtime.components import load_component
from shared.runtime.errors import ConfigError, FederationError


class Algorithm:
    """Federated averaging, of which a subclass changes what it does differently.

    A subclass is one file, and one YAML file that names it as ``_target_`` and holds its settings.

    Attributes
    ----------
    wire : WireSpec
        What travels beside the model.
    keeps_state : bool
        Whether its client half keeps state from round to round.
    """

    class Config(StrategyConfig):
        """The algorithm's settings; a subclass adds its own."""

        model_config = ConfigDict(extra="forbid")

    wire: ClassVar[WireSpec] = WireSpec()
    keeps_state: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def local_keys(self, network: nn.Module) -> frozenset[str]:
        """Keys of the state dict of which each client keeps its own values.

        Raises
        ------
        ConfigError
            The algorithm is not for this network.
        """
        return frozenset()

    def check(self, cfg: RunConfig) -> None:
        """Reject settings of a run that the algorithm cannot follow.

        Raises
        ------
        ConfigError
        """
        for kind, own, others in (
            (TreesConfig, "boosting", ""),
            (KMeansConfig, "clusters", ""),
            (ForestConfig, "bagging", ""),
            (OF_LIBRARIES, "bagging", " or cyclic"),
            (GmmConfig, "sums", ""),
            (PcaConfig, "sums", ""),
            (IsolationForestConfig, "sums", ""),
        ):
            if isinstance(cfg.model, kind):
                model = cfg.model.name
                raise ConfigError(
                    f"model={model} has no weights that strategy={self.config.name} could average; it is "
                    f"trained by strategy={own}{others}; model={model} chooses {own} where no other is named"
                )

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """A client's answer to a question of the server half, the same if it is asked again.

        Raises
        ------
        FederationError
            Nothing is asked by this algorithm.
        """
        raise FederationError(f"the server asked a question that strategy={self.config.name} does not have")

    def tells_rows(self, asked: Asked) -> bool:
        """Whether the answer to a question is a training row, for which a site must have given its leave."""
        return False

    def answers(self, asked: Asked) -> Layout:
        """The arrays of an answer; nothing else leaves a client.

        Raises
        ------
        FederationError
            It is no question of this algorithm.
        """
        return {}

    def server(self, context: ServerContext) -> ServerHalf:
        """Flower's strategy, with one method overridden."""
        return AveragingServer(context)

    def client(self, context: ClientContext) -> ClientHalf:
        """What happens around one client's fit."""
        return ClientHalf()


def keeps_state(cfg: RunConfig, algorithm: Algorithm) -> bool:
    """Whether clients keep what the algorithm needs, or their optimiser's state, from round to round."""
    return algorithm.keeps_state or cfg.federation.keep_optimizer


def load_algorithm(cfg: StrategyConfig, *, may_run: Collection[str] = ()) -> Algorithm:
    """The algorithm that a configuration names, with its settings checked.

    Parameters
    ----------
    may_run : collection of str
        See `load_component`.

    Raises
    ------
    ConfigError
        The algorithm may not run here, is none, or its settings are not valid.
    """
    kind = load_component(cfg.target, kind=Algorithm, may_run=may_run)
    return kind(check_settings(kind.Config, cfg.settings(), section="strategy"))
