"""`check_words`: whether an action of a command, such as ``models promote``, got the words that it takes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence

from shared.runtime.errors import ConfigError


def check_words(options: Namespace, *, takes: Mapping[str, Sequence[str]]) -> None:
    """Check the number of words behind an action.

    Parameters
    ----------
    options : Namespace
        With ``command``, ``action`` and the words, ``what``.
    takes : mapping
        What each action takes, as it is shown.

    Raises
    ------
    ConfigError
    """
    wanted = takes[options.action]
    if len(options.what) != len(wanted):
        raise ConfigError(
            f"fedtwin {options.command} {options.action} takes {' and '.join(wanted) or 'nothing more'}, got "
            f"{' '.join(options.what) or 'nothing'}"
        )
