"""What a form for a training offers: choices of groups, the commonest settings, and allowed data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from shared.config.config import Config
from shared.config.continuing import within
from shared.config.expected import describe_expected, resolve, walk
from shared.config.no_effect import ONLY_WITH, UNUSED
from shared.config.section import TARGET
from shared.config.settings import (
    SHARED_PART,
    Setting,
    about,
    all_settings,
    chosen_by_default,
    groups,
    settings_of,
)
from shared.sweeps.checks import COMMANDS

MOST_DATASETS = 500
_GROUPS = ("experiment", "task", "model", "partition", "strategy")
# Settings of these depend on the choice, and are offered with it.
_WITH_SETTINGS = ("model", "strategy")
_COMMON = (
    "trainer.max_epochs",
    "federation.num_clients",
    "federation.num_rounds",
    "federation.local_epochs",
    "partition.alpha",
    "partition.classes_per_client",
    "partition.sigma",
    "partition.column",
    "partition.min_examples",
    "strategy.fraction_train",
    "trainer.optimizer.name",
    "trainer.optimizer.lr",
    "trainer.optimizer.momentum",
    "trainer.optimizer.weight_decay",
    "trainer.scheduler.name",
    "trainer.early_stopping.enabled",
    "trainer.class_weights",
    "trainer.monitor",
    "data.image_size",
    "data.batch_size",
    "data.val_fraction",
    "data.test_fraction",
    "compare.seeds",
    "compare.local_only",
    "seed",
)
_NOT_SET = ("name", "weights", TARGET)  # the choice decides on the first and the last, the server on the second


def experiment_form(folders: Sequence[Path], *, uploaded: Sequence[str] = ()) -> dict[str, Any]:
    """What a form for a training offers.

    Parameters
    ----------
    folders : sequence of Path
        Where the data of jobs may lie.
    uploaded : sequence of str
        Names of datasets that can be trained on.

    Returns
    -------
    dict
        See `service.api.form_schemas.ExperimentForm`.
    """
    return {**_of_config(), "datasets": list(dict.fromkeys([*uploaded, *datasets_below(folders)]))}


def datasets_below(folders: Sequence[Path]) -> list[str]:
    """Files and folders in the folders that the server allows for data, by the name that `dataset` takes."""
    found: dict[str, None] = {}
    for folder in folders:
        try:
            names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        except OSError:  # gone since the server was started: it has no data any more
            continue
        found.update(dict.fromkeys(names))
    return list(found)[:MOST_DATASETS]


@lru_cache(maxsize=1)
def _of_config() -> dict[str, Any]:
    schema = Config.model_json_schema()
    known = {key: settings[0] for key, settings in all_settings().items()}
    for group in groups():
        known.update(settings_of(group, str(chosen_by_default(group))))
    return {
        "groups": [_group(schema, name) for name in _GROUPS],
        "settings": [_setting(schema, known[key]) for key in _COMMON],
    }


def _group(schema: dict[str, Any], name: str) -> dict[str, Any]:
    base = settings_of(name, SHARED_PART)
    choices = []
    for choice in groups()[name]:
        own = settings_of(name, choice) if name in _WITH_SETTINGS else {}
        offered = (
            one
            for key, one in own.items()
            if key not in base and key.removeprefix(f"{name}.") not in _NOT_SET and key not in _COMMON
        )
        shown = [_setting(schema, one, choice=choice) for one in offered]
        choices.append({"name": choice, "help": about(name, choice), "settings": shown})
    modes = [mode for mode, command in COMMANDS.items() if not within(name, UNUSED[command])]
    return {"name": name, "default": chosen_by_default(name), "modes": modes, "choices": choices}


def _setting(schema: dict[str, Any], setting: Setting, *, choice: str | None = None) -> dict[str, Any]:
    key = setting.key
    node = _node(schema, key, choice=choice)
    options = [resolve(schema, one) for one in node.get("anyOf") or [node]] if node else []
    kinds = [one for one in options if one.get("type") != "null"]
    one = kinds[0] if len(kinds) == 1 else {}
    if not node:  # an algorithm's own: its code, which the server does not import, checks the range
        one = {"type": _type_of(setting.default)}
    choices = one.get("enum") or ([one["const"]] if "const" in one else None)
    other, values = ONLY_WITH.get(key, (None, ()))
    return {
        "key": key,
        "help": setting.comment,
        "default": setting.default,
        "kind": "choice" if choices else one.get("type", "other"),
        "choices": choices,
        "expected": describe_expected(schema, node) if node else None,
        "modes": [mode for mode, command in COMMANDS.items() if not within(key, UNUSED[command])],
        "only_with": {"key": other, "values": list(values)} if other else None,
    }


def _node(schema: dict[str, Any], key: str, *, choice: str | None) -> dict[str, Any]:
    """The setting's part of the schema; empty for what the configuration leaves to a component."""
    section, *rest = key.split(".")
    if section == "model" and choice is not None:
        variants = [resolve(schema, one) for one in schema["properties"]["model"]["oneOf"]]
        found = [one["properties"] for one in variants if _names(schema, one, choice)]
        return dict(resolve(schema, found[0].get(rest[0], {}))) if found else {}
    # Data has variants too, whose names `walk` passes over.
    return dict(walk(schema, [section, *([""] if section == "data" else []), *rest])[1])


def _names(schema: dict[str, Any], variant: Mapping[str, Any], choice: str) -> bool:
    name = resolve(schema, variant["properties"].get("name", {}))
    return choice in (name.get("enum") or [name.get("const")])


def _type_of(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            # A whole number in conf/ may stand for one with a fraction.
            return "number" if name == "integer" else name
    return "other"
