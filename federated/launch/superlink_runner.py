"""`SuperLinkRunner`: federates with ``flwr run``, in a simulation or on the SuperLink of a deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from federated.launch.deployed_superlink import DeployedSuperLink
from federated.launch.launch import launch
from federated.launch.local_superlink import LocalSuperLink
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.store import Store


@dataclass(frozen=True)
class SuperLinkRunner:
    """Federates on one kind of SuperLink; `simulations.runner.Runner` is its interface."""

    superlink: type[LocalSuperLink] | type[DeployedSuperLink]

    def federate(
        self,
        cfg: Config,
        *,
        store: Store,
        home: Home,
        resume: bool = False,
        on_poll: Callable[[int], None] = lambda run_id: None,
    ) -> int:
        """Train to the end; see `federated.launch.launch.launch`."""
        return launch(cfg, superlink=self.superlink, store=store, home=home, resume=resume, on_poll=on_poll)


SIMULATION = SuperLinkRunner(LocalSuperLink)
DEPLOYMENT = SuperLinkRunner(DeployedSuperLink)
