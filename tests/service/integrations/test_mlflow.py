"""The addresses of MLflow servers that are refused."""

from __future__ import annotations

import pytest

from service.integrations.mlflow import check_uri
from shared.runtime.errors import ConfigError


@pytest.mark.parametrize(
    "uri", ["mlruns", "sqlite:///m.db", "file:///m", "http://", "http://x:y", "databricks"]
)
def test_a_uri_of_no_server(uri):
    with pytest.raises(ConfigError, match="address of an MLflow server"):
        check_uri(uri)


def test_a_uri_with_credentials():
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        check_uri("https://me:hunter2@mlflow.example")
    assert "hunter2" not in str(caught.value)
