"""`model_card`: what is known of a version of a model, in JSON's types; `card_markdown` writes it out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from statistics import median
from typing import Any

from shared.metrics.catalogue import label, naming, spec_of
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.model_rows import VersionRow
from shared.tracking.rows import MODE_NAMES, RunRow, json_ready
from shared.tracking.store import Store
from shared.tracking.twins import positive_class, stored_report

NOT_A_DEVICE = (
    "Research software, not a medical device: it must not decide on diagnosis or treatment. It was tested on "
    "the rows named above alone; on other devices, sites or populations it may do worse."
)
_CLIENT_STAGE = "val"


def model_card(store: Store, version: VersionRow, *, home: Home) -> dict[str, Any]:
    """Everything that a version's run has stored that its users should know.

    Returns
    -------
    dict
        In JSON's types; see `service.api.model_schemas.ModelCard`.
    """
    run = store.runs.get(version.run_id)
    summary, config = run.summary, without_secrets(run.config)
    weights = weights_path(home, run)
    data = summary.get("data") or {}
    report = stored_report(store, run.comparison_id) if run.comparison_id else None
    with naming(positive_class([run])):
        labels = {name: label(name) for name in summary.get("test") or {}}
        clients = _per_client(store, run)
    found: dict[str, Any] = json_ready(
        {
            **version.as_dict(),
            "run": {
                "id": run.id,
                "name": run.name,
                "description": run.description,
                "mode": MODE_NAMES[run.training_mode],
                "seed": run.seed,
                "ended": run.ended,
                "seconds": run.seconds,
                "commands": without_secrets((summary.get("environment") or {}).get("commands") or []),
                "packages": (summary.get("environment") or {}).get("packages") or {},
            },
            "task": config.get("task", {}).get("name"),
            "schema": summary.get("schema") or {"classes": summary.get("classes") or []},
            "data": {
                key: data.get(key)
                for key in ("origin", "layout", "rows", "counts", "groups", "group_noun", "notes")
            },
            "metrics": {
                "test": summary.get("test") or {},
                "labels": labels,
                "threshold": summary.get("threshold"),
                "confusion": summary.get("confusion"),
                "rows": ((summary.get("row_keys") or {}).get("test") or {}).get("rows"),
            },
            "gap": None
            if report is None
            else {"comparison": run.comparison_id, "sentence": report["sentence"]},
            "clients": clients,
            "warnings": summary.get("warnings") or [],
            "limits": NOT_A_DEVICE,
            "weights_sha256": None if weights is None else _sha256(weights),
            "config": config,
        }
    )
    return found


def weights_path(home: Home, run: RunRow) -> Path | None:
    """The checkpoint of the model that a run chose; None where it is not on this machine."""
    kind = "safetensors" if run.training_mode == "federated" else "ckpt"
    chosen = (run.config.get("trainer") or {}).get("test_model")
    path = home.run_dir(run.id) / "checkpoints" / f"{chosen}.{kind}"
    return path if path.is_file() else None


def card_markdown(card: dict[str, Any]) -> str:
    """A card as Markdown."""
    run, data, metrics = card["run"], card["data"], card["metrics"]
    aliases = f" ({_text(', '.join(card['aliases']))})" if card["aliases"] else ""
    lines = [
        f"# {_text(card['model'])} {card['version']}{aliases}",
        "",
        f"{_text(card['limits'])}",
        "",
        f"- Task: {_text(card['task'])}",
        f"- Trained: {run['mode']}, run {run['id']} ({_text(run['name'])}), seed {run['seed']}",
        f"- Ended: {run['ended']}",
        f"- Number: {_text(card['reason'])}",
        f"- Weights, SHA-256: {card['weights_sha256'] or 'not on this machine'}",
    ]
    if run["description"]:
        lines.append(f"- Description: {_text(run['description'])}")
    schema = card["schema"]
    for name in ("inputs", "targets"):
        if columns := schema.get(name):
            listed = ", ".join(f"{column['name']} ({column['kind']})" for column in columns)
            lines.append(f"- {name.capitalize()}: {_text(listed)}")
    if schema.get("classes"):
        lines.append(f"- Classes: {_text(', '.join(schema['classes']))}")
    lines += ["", "## Data", "", f"- Origin: {_text(data['origin'])}", f"- Layout: {_text(data['layout'])}"]
    for side, count in (data["rows"] or {}).items():
        lines.append(f"- Rows to {side}: {count:,}")
    lines += [f"- Note: {_text(note)}" for note in data["notes"] or ()]
    lines += ["", f"## Metrics on {metrics['rows'] or 'the'} test rows", ""]
    lines += _table(
        ("metric", "value"),
        [(metrics["labels"][name], _number(value)) for name, value in metrics["test"].items()],
    )
    if metrics["threshold"] is not None and len(schema.get("classes") or ()) == 2:
        lines += [
            "",
            f"{_text(schema['classes'][1])} is predicted above a probability of {metrics['threshold']:g}.",
        ]
    if card["gap"]:
        lines += ["", "## Gap to pooled training", "", _text(card["gap"]["sentence"])]
    if card["clients"]:
        lines += ["", "## Spread over clients (their validation rows)", ""]
        columns = ("metric", "clients", "worst", "median", "best")
        lines += _table(columns, [_spread_row(one) for one in card["clients"]])
    if card["warnings"]:
        lines += ["", "## Warnings", "", *(f"- {_text(text)}" for text in card["warnings"])]
    lines += ["", "## Reproduce", ""]
    lines += [f"    {' '.join(command.split())}" for command in run["commands"]] or [
        "The command was not stored."
    ]
    packages = ", ".join(f"{name} {version}" for name, version in run["packages"].items())
    return "\n".join([*lines, "", f"Packages: {_text(packages) or 'not stored'}", ""])


def _per_client(store: Store, run: RunRow) -> list[dict[str, Any]]:
    """How each validation metric spreads over the clients of a federated run, in the last round of each."""
    if run.training_mode != "federated":
        return []
    names = {client.client_id: client.name for client in store.clients.of_run(run.id)}
    values: dict[str, dict[str, float]] = {}
    for row in store.metrics.latest(run.id):
        if row.client_id in names and row.stage == _CLIENT_STAGE and row.value == row.value:
            values.setdefault(row.name, {})[names[row.client_id]] = row.value
    found = []
    for name, of_client in values.items():
        spec = spec_of(name)
        if spec.source != "outputs" or spec.better is None:
            continue
        low, high = min(of_client, key=of_client.__getitem__), max(of_client, key=of_client.__getitem__)
        worst, best = (high, low) if spec.better == "lower" else (low, high)
        found.append(
            {
                "metric": name,
                "label": label(name),
                "clients": len(of_client),
                "worst": {"client": worst, "value": of_client[worst]},
                "median": median(of_client.values()),
                "best": {"client": best, "value": of_client[best]},
            }
        )
    return found


def _spread_row(one: dict[str, Any]) -> tuple[str, ...]:
    ends = [f"{_number(one[end]['value'])} ({one[end]['client']})" for end in ("worst", "best")]
    return one["label"], str(one["clients"]), ends[0], _number(one["median"]), ends[1]


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["Not measured."]
    written = [f"| {' | '.join(_text(cell) for cell in row)} |" for row in (columns, *rows)]
    return [written[0], f"|{' --- |' * len(columns)}", *written[1:]]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _text(value: object) -> str:
    """Text that is no markup, on one line: names and notes may come from anywhere."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|&!" else letter for letter in plain)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
