"""`SuperLinkRunner`: federates with ``flwr run``, in a simulation or on the SuperLink of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from federated.kit.server_kit import ServerKit
from federated.launch.deployed_superlink import DeployedSuperLink, check_superlink
from federated.launch.launch import launch
from federated.launch.local_superlink import LocalSuperLink, reach_ray
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.progress import NOBODY, Follower
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
        follow: Follower = NOBODY,
    ) -> int:
        """Train to the end; see `federated.launch.launch.launch`."""
        return launch(cfg, superlink=self.superlink, store=store, home=home, resume=resume, follow=follow)


def check_reachable(cfg: Config) -> None:
    """Make sure, before anything is trained, that what a run would be handed to is there.

    Raises
    ------
    DeployError
        The SuperLink of a deployment does not answer.
    FederationError
        No Ray cluster does.
    """
    if cfg.federation.kit is not None:
        check_superlink(ServerKit(Path(cfg.federation.kit).expanduser()))
    elif cfg.federation.ray_address is not None:
        reach_ray(cfg.federation.ray_address)


SIMULATION = SuperLinkRunner(LocalSuperLink)
DEPLOYMENT = SuperLinkRunner(DeployedSuperLink)
