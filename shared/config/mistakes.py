"""What is wrong with overrides such as ``data=npz``, in words and with the nearest right ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config.problems import did_you_mean, unknown_setting
from shared.config.settings import CONF_DIR, PLANS, SHARED_PART, about, all_settings, groups
from shared.runtime.errors import ConfigError, bullet_list
from shared.runtime.secrets import without_secrets

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_HYDRAS_OWN = "hydra"  # its settings and groups are for Hydra to check


def check_overrides(
    overrides: Sequence[str], *, folders: Sequence[Path] = (CONF_DIR,), sweep: bool = False
) -> list[Override]:
    """Check the form of overrides and the choices of groups, before Hydra composes them.

    Parameters
    ----------
    overrides : sequence of str
        In Hydra's override grammar.
    folders : sequence of Path
        With the groups' folders: ours, and what the command line adds.
    sweep : bool
        Whether a setting may have several values, one for each run.

    Raises
    ------
    ConfigError
        Names every override that cannot be read, and every choice that a group does not have.
    """
    known, parsed, problems = groups(folders), [], []
    for text in overrides:
        try:
            parsed.append(parse_override(text))
        except ConfigError as error:
            problems.append(str(error))
    for text, override in zip(overrides, parsed, strict=False) if not problems else ():
        if override.is_sweep_override() and not sweep:
            problems.append(
                f"{text}: several values are for --multirun, one run each; a list is written "
                f"{override.key_or_group}=[1,2], and text with commas stands in quotes within quotes"
            )
            continue
        group = override.key_or_group
        if group == PLANS:  # a folder beside the groups, of which Hydra knows no better
            problems.append(f"{text}: a run has no such setting; plans of sweeps are for `fedtwin sweep`")
            continue
        # Of these Hydra raises a ValueError of its own.
        if not group or (group in known and override.is_delete() and not _is_name(override)):
            problems.append(
                f"{text}: expected SETTING=VALUE or GROUP=NAME, got no name of a setting or of a choice"
            )
            continue
        if group in known and not override.is_delete():
            problems += [
                _no_choice(group, choice, known[group])
                for choice in _choices(override)
                if choice not in known[group]
            ]
    if problems:
        text = bullet_list([without_secrets(problem) for problem in problems])
        raise ConfigError(f"the command line is not valid:\n{text}")
    return parsed


def _is_name(override: Override) -> bool:
    return override.value() is None or isinstance(override.value(), str)


def explain(
    error: Exception, overrides: Sequence[str], *, folders: Sequence[Path] = (CONF_DIR,)
) -> ConfigError:
    """The error of a user for one of Hydra or OmegaConf.

    Parameters
    ----------
    overrides : sequence of str
        That could not be composed.
    """
    from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

    key = str(getattr(error, "full_key", None) or "")
    if isinstance(error, MissingMandatoryValue):
        return _incomplete(key)
    if isinstance(error, InterpolationResolutionError):
        reason = str(error).splitlines()[0]
        return ConfigError(f"the configuration is not valid:\n  - {key}: {reason}; a $ of text is written \\$")
    parsed = check_overrides(overrides, folders=folders, sweep=True)
    names = composed_keys(overrides, parsed)
    problems = [
        _unknown(override.key_or_group, names=names)
        for override in parsed
        if _is_key(override, groups(folders)) and not _exists(override.key_or_group, names)
    ]
    if problems:
        return ConfigError(f"the configuration is not valid:\n{bullet_list(problems)}")
    reason = " ".join(str(error).split("\nConfig search path")[0].split())
    return ConfigError(f"{without_secrets(' '.join(overrides))}: cannot be composed: {reason}")


def composed_keys(overrides: Sequence[str], parsed: Sequence[Override]) -> list[str]:
    """Dotted names of the settings and sections that there are with the groups' choices alone."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from shared.config.hydra_session import OF_PROCESS

    known = groups()
    chosen = [
        text
        for text, override in zip(overrides, parsed, strict=True)
        if override.key_or_group in known and not override.is_sweep_override() and not override.is_delete()
    ]
    try:
        cfg, _ = OF_PROCESS.composed(chosen)
    except HydraException:
        return list(all_settings())
    return list(_keys(OmegaConf.to_container(cfg, resolve=False)))


def parse_override(text: str) -> Override:
    """Read one override in Hydra's grammar; whether there is such a setting is not looked at.

    Raises
    ------
    ConfigError
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = text.partition("=")
    if not equals and not text.startswith("~"):
        known = {*groups(), *all_settings()}
        hint = "" if key in known else did_you_mean(key, known)
        raise ConfigError(f"{text}: has no value; settings are written KEY=VALUE{hint}")
    if not key.strip("+~ "):
        raise ConfigError(f"{text}: has no name; settings are written KEY=VALUE")
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, ValueError):  # the latter: of a number of thousands of digits
        quoted = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
        raise ConfigError(
            f"{text}: the value cannot be read; a list is written [1,2], and text with brackets, commas, "
            f"colons, = or quotes stands in quotes within quotes: '{key}=\"{quoted}\"'"
        ) from None


def _choices(override: Override) -> list[str]:
    value: Any = override.value()
    if override.is_sweep_override():
        return [str(one) for one in override.sweep_string_iterator()] if override.is_choice_sweep() else []
    if value is None:
        return [] if override.is_delete() else ["null"]
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _no_choice(group: str, choice: str, known: Sequence[str]) -> str:
    if choice == SHARED_PART:
        reason = f"{choice!r} is what the choices have in common, not one of them"
    else:
        reason = f"there is no {choice!r}{did_you_mean(choice, known)}"
    listed = "\n".join(f"      {name:<22}{about(group, name)}" for name in known)
    return f"{group}={choice}: {reason}; {group} is one of\n{listed}"


def _is_key(override: Override, known: Iterable[str]) -> bool:
    key = override.key_or_group
    return not override.is_add() and key not in known and key.partition(".")[0].partition("/")[0] != _HYDRAS_OWN


def _exists(key: str, names: Sequence[str]) -> bool:
    return key in names


def _unknown(key: str, *, names: Sequence[str]) -> str:
    above = key.rpartition(".")[0]
    if above in names and not any(name.startswith(f"{above}.") for name in names):
        return f"{key}: {above} is one value, which has no settings below it"
    return unknown_setting(key, known=[*names, *groups()])


def _incomplete(key: str) -> ConfigError:
    comment = next((setting.comment for setting in all_settings().get(key, ()) if setting.comment), "")
    named = f" ({comment})" if comment else ""
    return ConfigError(f"the configuration is not complete:\n  - {key}: has no value{named}; set {key}=...")


def _keys(content: Any, prefix: str = "") -> Iterable[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")
