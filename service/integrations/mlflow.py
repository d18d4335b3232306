"""`MLflow`: runs on an MLflow 3 server: nested, with parameters, metrics, artifacts and model versions."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from service.integrations.tracker import (
    Details,
    State,
    TrackerAway,
    TrackerRefused,
    metric_key,
    metric_step,
)
from shared.runtime.errors import ConfigError
from shared.tracking.model_rows import VersionRow
from shared.tracking.rows import MODE_NAMES, MetricRow, RunRow
from shared.tracking.tenants import DEFAULT

_STATUS = {"running": "RUNNING", "completed": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_LONGEST_VALUE, _LONGEST_KEY, _PARAMETERS_AT_ONCE = 6000, 250, 100
# Codes of errors after which the same may succeed; a connection that fails is an INTERNAL_ERROR too.
_AWAY = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}
# The client's own patience is short, as the follower tries again. MLflow's makers are told nothing.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MLflow:
    """An experiment of an MLflow server; opened at its first use.

    Parameters
    ----------
    uri : str
        ``http://HOST:PORT`` or ``https://...``. Credentials are in MLflow's own variables
        (``MLFLOW_TRACKING_USERNAME``, ``MLFLOW_TRACKING_PASSWORD``, ``MLFLOW_TRACKING_TOKEN``).
    experiment : str
        Made where it is missing.

    Raises
    ------
    ConfigError
        The URI is none of a server, or the package ``mlflow-skinny`` is not installed.
    """

    def __init__(self, uri: str, *, experiment: str) -> None:
        check_uri(uri)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        check_installed()
        from mlflow import entities, exceptions
        from mlflow.tracking import MlflowClient

        self._uri, self._experiment = uri.rstrip("/"), experiment
        self._entities, self._error = entities, exceptions.MlflowException
        self._client: Any = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        self._experiment_id: str | None = None

    @property
    def target(self) -> str:
        """The server and the experiment."""
        return f"MLflow at {self._uri}, experiment {self._experiment}"

    def begin(self, details: Details, *, key: str, parent: State | None) -> State:
        """Find or create the run, with its settings as parameters."""
        run, entities = details.run, self._entities
        with self._named_errors():
            known = self._client.search_runs(
                [self._experiments()],
                f"tags.`fedtwin.key` = '{key}'",
                run_view_type=entities.ViewType.ALL,
                max_results=1,
            )
            if known:
                run_id = known[0].info.run_id
            else:
                tags = {
                    "fedtwin.key": key,
                    "fedtwin.run": str(run.id),
                    "fedtwin.mode": MODE_NAMES[run.training_mode],
                    "fedtwin.seed": str(run.seed),
                    "mlflow.source.name": "fedtwin",
                    **({"mlflow.parentRunId": parent["run"]} if parent else {}),
                    **({"mlflow.note.content": run.description} if run.description else {}),
                }
                made = self._client.create_run(
                    self._experiments(), start_time=_ms(run.started), tags=tags, run_name=run.name
                )
                run_id = made.info.run_id
            parameters = [entities.Param(k, v) for k, v in _parameters(details.settings).items()]
            for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
                self._client.log_batch(run_id, params=parameters[start : start + _PARAMETERS_AT_ONCE])
        return {"run": run_id, "files": "", "version": None}

    def add(self, rows: Sequence[MetricRow], *, run: RunRow, state: State) -> State:
        """Log metrics: the server keeps one of equal values of a metric at one time and step."""
        metrics = [
            self._entities.Metric(_key(metric_key(row)), row.value, _ms(row.time), metric_step(row))
            for row in rows
        ]
        with self._named_errors():
            self._client.log_batch(state["run"], metrics=metrics)
        return state

    def update(self, details: Details, *, state: State) -> State:
        """Set name, status, tags and changed settings; log results and files; register the version."""
        run, run_id = details.run, state["run"]
        state = dict(state)
        with self._named_errors():
            there = self._client.get_run(run_id)
            changed = {
                f"fedtwin.setting.{key}": value
                for key, value in _parameters(details.settings).items()
                if there.data.params.get(key) != value  # of a run that was resumed: parameters cannot change
            }
            tags = {"fedtwin.tags": " ".join(run.tags), "fedtwin.error": run.error or "", **changed}
            entities = self._entities
            new = [entities.RunTag(k, v) for k, v in tags.items() if there.data.tags.get(k, "") != v]
            metrics = [
                entities.Metric(_key(key), value, _ms(run.ended), 0)
                for key, value in details.results.items()
                if run.ended is not None
            ]
            self._client.log_batch(run_id, metrics=metrics, tags=new)
            if details.files and (digest := details.files_digest()) != state["files"]:
                for path, folder in details.files:
                    self._client.log_artifact(run_id, str(path), folder or None)
                state["files"] = digest
            if details.version is not None:
                state["version"] = self._register(details.version, details.run, run_id=run_id)
            self._client.update_run(run_id, name=run.name, status=None if run.finished else "RUNNING")
            if run.finished:
                self._client.set_terminated(run_id, _STATUS[run.status], _ms(run.ended))
        return state

    def _register(self, version: VersionRow, run: RunRow, *, run_id: str) -> str:
        client, name = self._client, version.model
        if version.tenant != DEFAULT.name:
            name = f"{name} ({version.tenant})"  # no model of the default tenant has a space in its name
        try:
            client.get_registered_model(name)
        except self._error as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(name)
        mine = [one for one in client.search_model_versions(f"run_id = '{run_id}'") if one.name == name]
        found = next((one for one in mine if one.tags.get("fedtwin.version") == version.version), None)
        if found is None:
            source = f"{client.get_run(run_id).info.artifact_uri}/model"
            tags = {"fedtwin.version": version.version, "fedtwin.run": str(run.id)}
            options = {"run_id": run_id, "tags": tags, "description": version.reason}
            found = client.create_model_version(name, source, **options, await_creation_for=0)
        number = str(found.version)
        aliases = client.get_registered_model(name).aliases
        for alias in version.aliases:
            if str(aliases.get(alias)) != number:
                client.set_registered_model_alias(name, alias, number)
        for alias, other in aliases.items():
            if str(other) == number and alias not in version.aliases:
                client.delete_registered_model_alias(name, alias)
        return number

    def _experiments(self) -> str:
        """The id of the experiment."""
        if self._experiment_id is None:
            found = self._client.get_experiment_by_name(self._experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise TrackerRefused(
                    f"the experiment {self._experiment!r} was deleted at {self._uri}: restore it, or name "
                    "another one"
                )
            self._experiment_id = (
                self._client.create_experiment(self._experiment) if found is None else found.experiment_id
            )
        return str(self._experiment_id)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        import requests

        try:
            yield
        except (requests.RequestException, OSError) as error:
            raise TrackerAway(f"{self.target} cannot be reached: {type(error).__name__}") from None
        except self._error as error:
            text = str(error).split("\n")[0][:500]
            if error.error_code in _AWAY:
                raise TrackerAway(f"{self.target} cannot be used: {text}") from None
            raise TrackerRefused(f"{self.target} refuses it ({error.error_code}): {text}") from None


def check_uri(uri: str) -> None:
    """Make sure that a text is the address of an MLflow server, without a password.

    Raises
    ------
    ConfigError
    """
    try:
        parts = urlsplit(uri)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(
            "the address of an MLflow server is expected, such as http://127.0.0.1:5000; folders and "
            "databases are its own business: start `mlflow server` on them"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "the address of an MLflow server has no place for credentials: set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )


def check_installed() -> None:
    """Make sure that MLflow's client is there, without loading it.

    Raises
    ------
    ConfigError
    """
    if find_spec("mlflow") is None:
        raise ConfigError("MLflow needs the package mlflow-skinny: pip install 'fedtwin[mlflow]'")


def _parameters(settings: dict[str, str]) -> dict[str, str]:
    return {_key(key): value[:_LONGEST_VALUE] for key, value in settings.items()}


def _key(name: str) -> str:
    return re.sub(r"[^\w .:/-]", "_", name)[:_LONGEST_KEY]


def _ms(time: datetime | None) -> int:
    assert time is not None
    return math.floor(time.timestamp() * 1000)
