"""``flwr run`` with a copy of our packages: how a run is handed to a SuperLink."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from federated.kit.flower_cli import tool
from shared.runtime.errors import FederationError

PACKAGES = ("shared", "federated", "centralized", "conf")


@contextmanager
def app_folder() -> Iterator[Path]:
    """A folder for ``flwr run``: a copy of our packages and nothing else.

    Flower looks at every file below the folder that it is given, and a checkout may hold an environment.

    Yields
    ------
    Path
        Holds ``pyproject.toml`` and our packages; gone after the block.
    """
    source = Path(__file__).resolve().parents[2]
    checkout = source / "pyproject.toml"
    with tempfile.TemporaryDirectory(prefix="fedtwin-app-") as folder:
        app = Path(folder)
        for package in PACKAGES:
            shutil.copytree(source / package, app / package, ignore=shutil.ignore_patterns("__pycache__"))
        description = checkout if checkout.is_file() else source / "federated" / "flower_app.toml"
        shutil.copyfile(description, app / "pyproject.toml")
        yield app


def flwr_run(
    *,
    run_id: int,
    home: Path,
    resume: bool,
    more: Sequence[str] = (),
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> int:
    """Hand a run to the SuperLink that Flower's configuration calls ``fedtwin``.

    Parameters
    ----------
    run_id : int
        Of a row that was prepared.
    home : Path
        Whose database has the row; the SuperLink must have been started with the same.
    more : sequence of str
        Further options of ``flwr run``.
    env : mapping of str to str
        ``FLWR_HOME`` among it.
    timeout : float
        Seconds.

    Returns
    -------
    int
        Flower's own id of the run.

    Raises
    ------
    FederationError
    """
    # TOML, in whose plain strings nothing is escaped, but which must not hold their own quotes.
    quote = '"' if "'" in str(home) else "'"
    run_config = f"run-id={run_id} resume={'true' if resume else 'false'} home={quote}{home}{quote}"
    options = ["fedtwin", "--format", "json", "--run-config", run_config, *more]
    try:
        with app_folder() as app:
            command = [tool("flwr"), "run", str(app), *options]
            done = subprocess.run(
                command, env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
            )
    except subprocess.TimeoutExpired:
        raise FederationError(f"`flwr run` took more than {timeout:g} s (federation.start_timeout_s)") from None
    answer = _last_json(done.stdout)
    if not answer.get("success") or answer.get("run-id") is None:
        raise FederationError(
            f"`flwr run` did not start the run:\n{(done.stdout + done.stderr).strip()[-3000:]}"
        )
    return int(str(answer["run-id"]))


def _last_json(text: str) -> dict[str, object]:
    start = text.find("{")
    try:
        answer = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
