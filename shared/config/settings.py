"""Reads `conf/` as text: groups and their choices, settings with their comments and an example of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

CONF_DIR = Path(__file__).resolve().parents[2] / "conf"
PLANS = "sweep"  # the folder of plans of sweeps, which is no group: a run has no such settings
SHARED_PART = "base"  # what the choices of a group have in common; no choice itself
# Choices without a file: what lies at the path decides (`shared.tasks.settle`).
_RECOGNISED = {"data": {"auto": "Recognises what lies at data.path; the default where a path is given."}}
_COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a file of ``conf/`` holds it.

    Attributes
    ----------
    key : str
        Dotted, with its section: ``trainer.optimizer.lr``.
    default : object
        The value in the file; an interpolation such as ``${seed}`` is text.
    comment : str
        What stands behind it, on one line.
    """

    key: str
    default: Any
    comment: str


def groups(folders: Sequence[Path] = (CONF_DIR,)) -> dict[str, tuple[str, ...]]:
    """The choices of each group, sorted.

    Parameters
    ----------
    folders : sequence of Path
        With a folder for each group.
    """
    found: dict[str, set[str]] = {group: set(choices) for group, choices in _RECOGNISED.items()}
    for folder in folders:
        for path in folder.glob("*/*.yaml"):
            if path.stem != SHARED_PART and path.parent.name != PLANS:
                found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: tuple(sorted(found[group])) for group in sorted(found)}


def about(group: str, choice: str) -> str:
    """The first line of the comment at the top of a choice's file; empty if there is none."""
    if choice in _RECOGNISED.get(group, {}):
        return _RECOGNISED[group][choice]
    path = CONF_DIR / group / f"{choice}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    first = next((line for line in lines if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def settings_of(group: str, choice: str) -> dict[str, Setting]:
    """The settings of a choice by key, those that it has from its group's other files among them."""
    found: dict[str, Setting] = {}
    path = CONF_DIR / group / f"{choice}.yaml"
    if path.is_file():
        for other in _defaults(path):
            found.update(settings_of(group, other))
        own = (one for one in _read(path, section=group) if one.key.startswith(f"{group}."))
        for setting in own:  # a preset of other groups may be in the file too
            inherited = found.get(setting.key)
            if inherited is not None and not setting.comment:
                setting = replace(setting, comment=inherited.comment)
            found[setting.key] = setting
    return found


def chosen_by_default(group: str) -> str | None:
    """The choice of a group where the command line names none."""
    import yaml

    content = yaml.safe_load((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))
    chosen: str | None = next((entry[group] for entry in content["defaults"] if group in entry), None)
    return chosen


def top_settings() -> dict[str, Setting]:
    """The settings that are in no group, by key."""
    return {
        setting.key: setting
        for setting in _read(CONF_DIR / "config.yaml", section="")
        if not setting.key.startswith("hydra.")
    }


@lru_cache(maxsize=1)
def all_settings() -> dict[str, tuple[Setting, ...]]:
    """The settings of all files by key; of several choices, each choice's, those of its own group first."""
    found: dict[str, list[Setting]] = {key: [setting] for key, setting in top_settings().items()}
    presets: list[Setting] = []
    for path in sorted(CONF_DIR.glob("*/*.yaml")):
        if path.parent.name not in ("experiment", PLANS):  # of which the former holds differences
            for setting in _read(path, section=path.parent.name):
                if setting.key.startswith(f"{path.parent.name}."):
                    found.setdefault(setting.key, []).append(setting)
                else:
                    presets.append(setting)
    for setting in presets:
        found.setdefault(setting.key, []).append(setting)
    return {key: tuple(settings) for key, settings in found.items()}


def choices_with(key: str) -> tuple[str, ...]:
    """The choices of a key's group that have this setting, as ``group=choice``."""
    group = key.partition(".")[0]
    return tuple(f"{group}={choice}" for choice in groups().get(group, ()) if key in settings_of(group, choice))


def example(key: str) -> Any:
    """A value that ``conf/`` gives a setting somewhere; None if there is none."""
    for setting in all_settings().get(key, ()):
        value = setting.default
        if value is not None and not (isinstance(value, str) and (value == "???" or "${" in value)):
            return value
    return None


@lru_cache(maxsize=64)
def _read(path: Path, *, section: str) -> tuple[Setting, ...]:
    import yaml

    text = path.read_text(encoding="utf-8")
    if text.startswith("# @package _global_"):
        section = ""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = _walk(root, lines=text.splitlines(), prefix=section) if root is not None else ()
    return tuple(found)


def _walk(node: Any, *, lines: list[str], prefix: str) -> Iterator[Setting]:
    import yaml

    for key_node, value_node in node.value:
        key = f"{prefix}.{key_node.value}" if prefix else key_node.value
        if key_node.value == "defaults":
            continue
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            yield from _walk(value_node, lines=lines, prefix=key)
        else:
            value = yaml.safe_load(yaml.serialize(value_node))
            yield Setting(key, value, _comment(lines, value_node.end_mark.line))


def _comment(lines: list[str], line: int) -> str:
    behind = _COMMENT.search(lines[line]) if line < len(lines) else None
    if behind is None:
        return ""
    found = [behind[1].strip()]
    for more in lines[line + 1 :]:
        if not re.match(r"\s+#", more):
            break
        found.append(more.strip().removeprefix("#").strip())
    return " ".join(found)


def _defaults(path: Path) -> list[str]:
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return [entry for entry in content.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
