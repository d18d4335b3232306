"""What the tests of deployments share: a plan, and a deployment made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from federated.deploy.folder import Deployment
from federated.deploy.plan import FederationPlan

SITES = [{"name": "north"}, {"name": "south", "data_path": "/data/south"}, {"name": "east"}]


@pytest.fixture
def plan() -> FederationPlan:
    server = {"address": "fl.example.org", "more_addresses": ["192.0.2.7", "2001:db8::7"]}
    return FederationPlan.model_validate({"name": "xrays", "server": server, "sites": SITES})


@pytest.fixture
def deployment(plan: FederationPlan, tmp_path: Path) -> Deployment:
    return Deployment.create(plan, folder=tmp_path / "deployment")
