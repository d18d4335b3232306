"""What a kit starts, and when it refuses to."""

from __future__ import annotations

import re

import pytest

from federated.deploy.run.start import site_programs
from federated.kit.deployment import Deployment
from federated.kit.site_file import KEY_FILE
from shared.runtime.errors import DeployError


def test_a_site_runs_its_node_and_a_zygote_that_the_node_finds_first(deployment: Deployment) -> None:
    kit = deployment.site_kit("south")
    node, parent = site_programs(kit)
    first = node.env["PATH"].split(":")[0]
    script = kit / "state" / "zygote" / "bin" / "flwr-clientapp"
    assert first == str(script.parent)
    assert script.stat().st_mode & 0o777 == 0o700
    assert first not in parent.env["PATH"]  # else the parent's cold start would call itself
    assert parent.command[-1] == str(kit / "state" / "zygote")


def test_a_key_that_others_may_read_is_not_started_with(deployment: Deployment) -> None:
    kit = deployment.site_kit("south")
    (kit / KEY_FILE).chmod(0o644)
    with pytest.raises(DeployError, match=re.escape(f"chmod 600 {kit / KEY_FILE}")):
        site_programs(kit)
