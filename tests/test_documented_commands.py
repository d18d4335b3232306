"""The commands and settings that README and docs name are valid: composed, or parsed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fedtwin.cli.parser import APPS, parse
from shared.config.compose import compose
from shared.config.mistakes import check_overrides
from shared.config.no_effect import UNUSED, reject_unused
from shared.config.settings import all_settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NO_SETTINGS = {
    "python.md: model.network",  # an attribute in Python
    *(f"integrations.md: model.{name}" for name in ("registered", "promoted", "rolled_back")),  # events
}

OF_TABLES = (
    *("data=", "task=tabular", "task=clustering", "task=forecasting", "task=anomaly"),
    *("experiment=electricity", "experiment=skab"),
)  # what names the kind of its data, so that data.path needs not tell


def commands(page):
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition(" | ")[0] for line in lines if line.startswith("fedtwin ")]


EVERY = [(page.name, line) for page in PAGES for line in commands(page)]


def test_there_are_commands():
    assert sum(page == "README.md" for page, _ in EVERY) > 10


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_a_documented_command(page, line):
    name, *words = shlex.split(line, comments=True)[1:]
    if name == "deploy":
        return  # has tests of its own, with the files that it needs
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    if name not in APPS:
        parse([name, *words])
    elif "--config-dir" in words or "_target_" in line:
        pass  # code and settings of the reader's own
    elif "--multirun" in words:
        check_overrides(overrides, sweep=True)
    else:
        named = any(text.startswith(OF_TABLES) for text in overrides)
        cfg = compose(overrides if named else _without_path(overrides))
        if (command := f"fedtwin {name}") in UNUSED:
            reject_unused(overrides, cfg, command=command)


def _without_path(overrides):
    # What lies at a path is recognised; here nothing lies there.
    return ["data=zip" if text.startswith("data.path=") else text for text in overrides] + [
        "data.path=somewhere"
    ]


def test_settings_that_the_docs_name_exist():
    names = set(all_settings())
    names |= {key.rpartition(".")[0] for key in names}
    sections = "|".join(sorted({name.partition(".")[0] for name in names if "." in name}))
    named = re.compile(rf"`((?:{sections})\.[a-z_]+(?:\.[a-z_]+)*)(?:=[^`]*)?`")
    found = {f"{page.name}: {match[1]}" for page in PAGES for match in named.finditer(page.read_text())}
    assert {text for text in found if text.partition(": ")[2] not in names} == NO_SETTINGS
