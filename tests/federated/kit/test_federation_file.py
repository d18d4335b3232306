"""``federation.yaml``: what is right is read, and everything that is wrong is named at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from federated.kit.federation_file import COUNTS, read_federation_file
from shared.metrics.anomaly import AnomalyMetrics
from shared.metrics.catalogue import BY_CLIENTS
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.clustering import ClusterMetrics
from shared.metrics.forecasting import ForecastMetrics
from shared.metrics.multilabel import MultiLabelMetrics
from shared.metrics.regression import RegressionMetrics
from shared.runtime.errors import DeployError

GOOD = """
name: xrays
server: {address: FL.example.org}
sites:
  - name: north
  - {name: south, data_path: /data/x-rays 2025, node_port: 9195}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "federation.yaml"
    path.write_text(text)
    return path


def test_a_short_plan_has_safe_defaults(tmp_path: Path) -> None:
    plan = read_federation_file(write(tmp_path, GOOD))
    assert (plan.server.address, plan.server.port, plan.server.superlink_port) == ("fl.example.org", 9443, 9092)
    assert [(site.name, site.data_path, site.node_port) for site in plan.sites] == [
        ("north", None, 9094),
        ("south", "/data/x-rays 2025", 9195),
    ]
    assert plan.may_leave.counts == COUNTS


def test_the_metrics_that_may_leave_are_those_that_there_are() -> None:
    clusters = ClusterMetrics(clusters=3, width=2, labels=2)
    forecasts = ForecastMetrics(horizon=2, loss="absolute")
    plain = (ClassificationMetrics(2), MultiLabelMetrics(3), RegressionMetrics(), AnomalyMetrics())
    judges = (*plain, clusters, forecasts)
    assert {name for judge in judges for name in judge.names} | {"lr", "seconds"} == set(BY_CLIENTS)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
name: ../xrays
server: {address: "http://fl.example.org:80", port: 70000}
sites: [{name: "a b"}, {name: south, data_path: relative/path}, {name: east, data_path: '/da"ta'}]
supervisor: cron
may_leave: {counts: [label_counts], metrics: ["val loss"]}
valid_days: 9999
colour: red
"""
    with pytest.raises(DeployError) as caught:
        read_federation_file(write(tmp_path, text))
    for part in (
        "name: expected 1 to 63 letters",
        "server.address: expected a host name or an IP address without a port, got 'http://fl.example.org:80'",
        "server.port: Input should be less than or equal to 65535, got 70000",
        "sites.0.name: expected 1 to 63 letters",
        "sites.1.data_path: expected an absolute path without quotes and backslashes, got 'relative/path'",
        "sites.2.data_path: expected an absolute path",
        "supervisor: Input should be 'systemd', 'script' or 'compose', got 'cron'",
        "may_leave.metrics.0: expected a metric's name without its stage, such as loss, got 'val loss'",
        "valid_days: ",
        "colour: Extra inputs are not permitted, got 'red'",
    ):
        assert part in str(caught.value), part


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("name: south", "name: NORTH"), "sites must differ in their names, got twice (in any case): north"),
        (("org}", "org, port: 9092}"), "port and superlink_port must differ, both are 9092"),
        (("sites:", "may_leave: {counts: []}\nsites:"), "may_leave.counts must hold num_examples"),
        (("name: xrays", "name: xrays\nname: twice"), "found duplicate key name"),
        ((GOOD, "- a list"), "must hold settings, one `name: value` a line"),
        ((GOOD, "a: [1"), "is not YAML"),
        (("server: {address: FL.example.org}", ""), "server: Field required"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(DeployError) as caught:
        read_federation_file(write(tmp_path, GOOD.replace(*change)))
    assert says in str(caught.value)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="cannot be read: No such file"):
        read_federation_file(tmp_path / "no.yaml")
