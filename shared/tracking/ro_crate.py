"""`write_crate`: a run with its data, software, settings, metrics and files as an RO-Crate.

The crate follows RO-Crate 1.2 and the profile Process Run Crate 0.5
(https://www.researchobject.org/workflow-run-crate/profiles/process_run_crate/).
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.metrics.catalogue import label, naming
from shared.metrics.gap import stored_gap
from shared.metrics.gap_record import gap_record
from shared.runtime.errors import ConfigError, DiskError
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.kept_files import kept_files
from shared.tracking.rows import MODE_NAMES, RunRow, json_ready
from shared.tracking.store import Store
from shared.tracking.twins import family, positive_class, stored_report

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

VERSION = "1.2"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_STATUS = {
    "completed": "CompletedActionStatus",
    "failed": "FailedActionStatus",
    "stopped": "FailedActionStatus",
}


def write_crate(store: Store, run_id: int, *, home: Home, path: Path) -> Path:
    """Write a run that has ended, and the runs of a comparison.

    Parameters
    ----------
    path : Path
        A file that ends in ``.zip``, which is replaced, or a folder that is not there yet.

    Raises
    ------
    ConfigError
        The run has not ended, the folder is there, or the package ``rocrate`` is not installed.
    TrackingError
        There is no such run.
    DiskError
        It cannot be written.
    """
    runs = family(store, run_id)
    if not runs[0].finished:
        raise ConfigError(f"run {run_id} is {runs[0].status}: a crate is made of a run that has ended")
    zipped = path.suffix.lower() == ".zip"
    if not zipped and path.exists():
        raise ConfigError(f"{path} is there already: name a new folder, or a file that ends in .zip")
    crate = _crate(store, runs, home=home)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".crate-") as scratch:
            made = Path(scratch) / f"crate{'.zip' if zipped else ''}"
            (crate.write_zip if zipped else crate.write)(made)
            os.replace(made, path)  # noqa: PTH105
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}") from None
    return path


def _crate(store: Store, runs: list[RunRow], *, home: Home) -> ROCrate:
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ConfigError(
            f"a crate needs the package rocrate ({error}): pip install 'fedtwin[crate]'"
        ) from None
    first = runs[0]
    crate = ROCrate(version=VERSION)
    root = crate.root_dataset
    report = stored_report(store, first.id)
    crate.name = f"{first.name} (fedtwin run {first.id}, {MODE_NAMES[first.training_mode]})"
    crate.description = first.description or (report["sentence"] if report else crate.name)
    crate.datePublished = first.ended
    root["license"] = "not stated: whoever publishes this crate states one"
    root["conformsTo"] = _entity(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    actions = [_action(store, crate, run, home=home) for run in runs]
    root["mentions"] = actions
    return crate


def _action(store: Store, crate: ROCrate, run: RunRow, *, home: Home) -> Any:
    """A run as an action: by what, on what, with which settings, what came out."""
    known = run.summary.get("environment") or {}
    files = [
        crate.add_file(
            path, "/".join(filter(None, (f"run-{run.id}", folder, path.name))), properties=_facts(path)
        )
        for path, folder in kept_files(run, home=home)
    ]
    version = store.models.of_run(run.id)
    about = {
        "name": f"{MODE_NAMES[run.training_mode]} training {run.name}, run {run.id}",
        "description": run.description or None,
        "startTime": run.started.isoformat(),
        "endTime": run.ended.isoformat() if run.ended else None,
        "actionStatus": {"@id": f"http://schema.org/{_STATUS.get(run.status, 'ActiveActionStatus')}"},
        "error": run.error,
        "instrument": _software(crate, known.get("packages") or {}, commit=_commit(known)),
        "object": [*_data(crate, run), *_settings(crate, run)],
        "result": [*files, *_metrics(crate, run)],
        "identifier": f"{version.model}@{version.version}" if version else None,
        "keywords": run.tags or None,
    }
    return _entity(crate, f"#run-{run.id}", "CreateAction", **about)


def _software(crate: ROCrate, packages: dict[str, str], *, commit: str | None) -> Any:
    """The software of a run; runs with the same versions share it."""
    own = packages.get("fedtwin", "unknown")
    needs = [
        _entity(
            crate,
            f"pkg:pypi/{name}@{version}",
            "SoftwareApplication",
            name=name,
            softwareVersion=version,
        )
        for name, version in packages.items()
        if name != "fedtwin"
    ]
    return _entity(
        crate,
        f"#fedtwin-{own}{f'-{commit}' if commit else ''}",
        "SoftwareApplication",
        name="fedtwin",
        softwareVersion=f"{own} (commit {commit})" if commit else own,
        softwareRequirements=needs or None,
    )


def _commit(known: dict[str, Any]) -> str | None:
    commit: str | None = (known.get("commits") or {}).get("fedtwin")
    return commit


def _data(crate: ROCrate, run: RunRow) -> list[Any]:
    """What was trained on: its name, not its path, and none of its rows."""
    data, section = run.summary.get("data") or {}, run.config.get("data") or {}
    if not data and not section:
        return []
    name = Path(str(section.get("path") or section.get("name") or "data")).name
    facts = {key: data[key] for key in ("layout", "rows", "counts", "groups", "notes") if data.get(key)}
    # A dataset that is not in the crate, and has no address, is a thing of its context.
    found = {"name": name, "description": json.dumps(json_ready(facts)) if facts else None}
    return [_entity(crate, f"#data-of-run-{run.id}", "Dataset", **found)]


def _settings(crate: ROCrate, run: RunRow) -> list[Any]:
    return [
        _value(
            crate, f"#run-{run.id}/setting/{key}", key, value if isinstance(value, str) else json.dumps(value)
        )
        for key, value in _flat(without_secrets(json_ready(run.config)))
    ]


def _metrics(crate: ROCrate, run: RunRow) -> list[Any]:
    with naming(positive_class([run])):
        test = {f"test/{name}": (value, label(name)) for name, value in (run.summary.get("test") or {}).items()}
        gaps = {
            f"gap/{row['metric']}{suffix}": (row[key], f"federated gap of {row['label']}{words}")
            for row in map(gap_record, stored_gap(run.summary))
            for key, suffix, words in (("gap", "", ""), ("low", "_low", ", low"), ("high", "_high", ", high"))
        }
    return [
        _value(crate, f"#run-{run.id}/metric/{name}", name, value, description=words)
        for name, (value, words) in {**test, **gaps}.items()
        if value is not None and math.isfinite(value)
    ]


def _value(crate: ROCrate, identifier: str, name: str, value: Any, /, **more: Any) -> Any:
    return _entity(crate, identifier, "PropertyValue", name=name, value=value, **more)


def _entity(crate: ROCrate, identifier: str, kind: str, /, **properties: Any) -> Any:
    from rocrate.model import ContextEntity

    found = crate.dereference(identifier)
    if found is not None:
        return found
    entity = ContextEntity(crate, identifier, properties={"@type": kind})
    crate.add(entity)
    for name, value in properties.items():
        if value is not None:
            entity[name] = value
    return entity


def _facts(path: Path) -> dict[str, Any]:
    formats = {
        ".csv": "text/csv",
        ".json": "application/json",
        ".html": "text/html",
        ".png": "image/png",
        ".log": "text/plain",
    }
    kind = formats.get(path.suffix, "application/octet-stream")
    return {"contentSize": str(path.stat().st_size), "encodingFormat": kind}


def _flat(config: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in config.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
