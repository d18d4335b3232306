"""An Airflow DAG that trains with fedtwin over HTTP: submits a job, waits for its end, and takes the result.

Airflow needs nothing of fedtwin's but the address of `fedtwin serve` and a token of the scope `train`, in the
environment variables FEDTWIN_URL and FEDTWIN_TRAIN_TOKEN of Airflow's workers.
"""

import json
import os
import urllib.request
from datetime import datetime, timedelta

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, get_current_context, task

EXPERIMENT = {
    "run_name": "ward-7",
    "dataset": "digits",
    "config_overrides": {"trainer.max_epochs": 15},
    "tags": ["nightly"],
}


def ask(method, path, body=None, **headers):
    """Ask the server; returns the answer's JSON and its headers."""
    headers["Authorization"] = f"Bearer {os.environ['FEDTWIN_TRAIN_TOKEN']}"
    headers["Content-Type"] = "application/json"
    content = None if body is None else json.dumps(body).encode()
    url = f"{os.environ['FEDTWIN_URL'].rstrip('/')}{path}"
    request = urllib.request.Request(url, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer), answer.headers


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False)
def train_ward_7():
    """Submit, wait, result."""

    @task(retries=5, retry_delay=timedelta(minutes=1))
    def submit():
        # The same key is the same job: a retry after a lost answer trains nothing twice.
        key = {"Idempotency-Key": f"airflow-{get_current_context()['run_id']}"}
        _, headers = ask("POST", "/api/experiments/centralized", EXPERIMENT, **key)
        return headers["Location"]

    @task.sensor(poke_interval=30, timeout=24 * 3600, mode="reschedule")
    def ended(job):
        found, _ = ask("GET", job)
        return found["ended"] is not None

    @task
    def result(job):
        found, _ = ask("GET", job)
        if found["status"] != "completed":
            raise AirflowFailException(f"{job}: {found['status']}: {found['error']}")
        run, _ = ask("GET", f"/api/runs/{found['run_id']}")
        return {"run": run["id"], "test": run["summary"]["test"]}

    job = submit()
    ended(job) >> result(job)


train_ward_7()
