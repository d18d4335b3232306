"""``fedtwin data [PATH] [SETTING=VALUE ...]``: what was read, as it would be trained on, and nothing else."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from fedtwin.reading import data
from shared.runtime.errors import ConfigError


def run_command(options: Namespace) -> None:
    """Print the summary of what lies at a path.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin.cli.parser`.

    Raises
    ------
    FedtwinError
    """
    path, settings = split_arguments(options.what, command="data")
    found = data(path, settings, quick=options.quick, progress=sys.stderr.isatty())
    print(json.dumps(found.as_dict(), indent=2) if options.format == "json" else found)


def split_arguments(arguments: list[str], *, command: str) -> tuple[str | None, list[str]]:
    """A path and settings, in whatever order they are typed.

    Raises
    ------
    ConfigError
        There are several paths, or nothing.
    """
    # A path may hold "=". What is neither there nor a setting is a path that is missing.
    paths = [text for text in arguments if "=" not in text or Path(text).expanduser().exists()]
    settings = [text for text in arguments if text not in paths]
    if len(paths) > 1:
        raise ConfigError(f"one path is expected, got {', '.join(paths)}; settings are written NAME=VALUE")
    if not paths and not settings:
        raise ConfigError(f"which data? fedtwin {command} PATH, or settings such as data=digits")
    return (paths[0] if paths else None), settings
