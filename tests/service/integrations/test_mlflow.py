"""The addresses of MLflow servers that are refused."""

from __future__ import annotations

import pytest

from fedtwin.cli.parser import parse
from service.integrations.mlflow import check_uri
from service.serve import run_command
from shared.runtime.errors import ConfigError


@pytest.mark.parametrize(
    "uri", ["mlruns", "sqlite:///m.db", "file:///m", "http://", "http://x:y", "databricks"]
)
def test_a_uri_of_no_server(uri):
    with pytest.raises(ConfigError, match="address of an MLflow server is expected"):
        check_uri(uri)


def test_a_uri_with_credentials():
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        check_uri("https://me:hunter2@mlflow.example")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["mlruns", "http://127.0.0.1:5000"])
def test_a_server_says_it_before_it_starts(uri, monkeypatch, tmp_path):
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path))
    monkeypatch.setattr("service.integrations.mlflow.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="is expected" if uri == "mlruns" else r"fedtwin\[mlflow\]"):
        run_command(parse(["serve", "--port", "0", "--mlflow", uri]))
