"""`print_help`: what ``fedtwin COMMAND --help`` says, from ``conf/`` and its comments."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from shared.config.continuing import within
from shared.config.hydra_session import composed
from shared.config.mistakes import check_overrides
from shared.config.no_effect import UNUSED
from shared.config.settings import Setting, about, groups, settings_of, top_settings
from shared.runtime.secrets import without_secrets

_NARROW = 70  # columns below which a comment stands under its setting


@dataclass(frozen=True)
class Help:
    """What a command's help says.

    Attributes
    ----------
    about : str
        What it does, in a sentence or two.
    examples : tuple of tuple of str
        A command line without ``fedtwin``, and what it does.
    without : tuple of str
        Groups and settings that have no effect on the command, besides those that it rejects.
    """

    about: str
    examples: tuple[tuple[str, str], ...]
    without: tuple[str, ...] = ()


COMMANDS = {
    "compare": Help(
        "Train the same model twice, on pooled data and federated, with the same rows, initial weights and "
        "number of training examples, and print what federation costs: the gap of every metric, with its "
        "confidence interval. Writes a report and figures.",
        examples=(
            ("compare", "on the built-in digits"),
            ("compare partition.alpha=0.1 federation.num_clients=8", "very different clients"),
            ("compare compare.seeds=[1,2,3]", "three pairs of twins: the interval covers the seeds too"),
            ("compare compare.local_only=true compare.fine_tune=2", "what joining brings each site"),
        ),
    ),
    "centralized": Help(
        "Train the pooled baseline: one model on all training rows.",
        examples=(
            ("centralized data=zip data.path=xrays.zip model=resnet18", "a ZIP of images"),
            ("centralized --multirun trainer.optimizer.lr=0.01,0.03 seed=1,2", "four runs"),
            ("centralized --cfg job", "print the settings, and train nothing"),
        ),
    ),
    "simulate": Help(
        "Train federated, with the clients in processes of this machine.",
        examples=(
            ("simulate federation.num_clients=10 federation.num_rounds=20", "ten clients"),
            ("simulate strategy=fedprox strategy.proximal_mu=0.1", "another algorithm"),
            ("simulate federation.workers=1", "one client at a time"),
        ),
    ),
    "federated": Help(
        "Train federated with Flower's own SuperLink: a simulation on this machine, started and stopped for "
        "you, or the real sites of a deployment.",
        examples=(
            ("federated federation.num_clients=10", "Flower's simulation, with Ray"),
            ("federated federation=deployment federation.kit=server", "real sites, see docs/deployment.md"),
        ),
    ),
    "partition": Help(
        "Show how the training rows are divided among the clients, as tables and figures, without training.",
        examples=(
            ("partition partition=iid", "equal shares, drawn at random"),
            ("partition partition.alpha=0.1 federation.num_clients=8", "very different clients"),
        ),
        without=("model", "trainer", "strategy", "compare"),
    ),
}


def print_help(command: str, *, overrides: Sequence[str]) -> None:
    """Print a command's description, examples, options, groups with their choices, and settings.

    Parameters
    ----------
    overrides : sequence of str
        The settings shown are those that there are with them.

    Raises
    ------
    ConfigError
        The overrides are not valid.
    """
    print("\n".join(_lines(command, overrides=overrides, width=shutil.get_terminal_size().columns)))


def _lines(command: str, *, overrides: Sequence[str], width: int) -> Iterator[str]:
    text = COMMANDS[command]
    check_overrides(overrides)
    cfg, chosen = composed(overrides)
    values = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(values, dict)
    yield f"usage: fedtwin {command} [OPTION] [GROUP=CHOICE ...] [KEY=VALUE ...]"
    yield ""
    yield from textwrap.wrap(text.about, width)
    yield ""
    yield "examples:"
    for example, what in text.examples:
        yield from _entry(f"fedtwin {example}", what, width=width)
    yield ""
    yield "options:"
    for option, what in (
        ("--help", "this; with GROUP=CHOICE, the settings of that choice"),
        ("--cfg job", "print the settings as YAML, and do nothing else"),
        ("--multirun", "one run for each combination of values: seed=1,2 trainer.optimizer.lr=0.01,0.03"),
        ("--hydra-help", "the other options, which are Hydra's"),
    ):
        yield from _entry(option, what, width=width)
    unused = (*UNUSED.get(f"fedtwin {command}", ()), *text.without)
    shown = {group: names for group, names in groups().items() if group not in unused}
    yield ""
    yield "groups and their choices (* is chosen):"
    for group, choices in shown.items():
        if len(choices) > 1 or group not in chosen:
            yield f"  {group}="
            for choice in choices:
                mark = "*" if chosen.get(group) == choice else " "
                yield from _entry(f" {mark} {choice}", about(group, choice), width=width)
    yield ""
    yield "settings, with their values:"
    known = top_settings()
    for group in shown:
        known.update(settings_of(group, str(chosen.get(group))))
    yield from _settings(
        {key: value for key, value in values.items() if key not in groups()}, known, width=width
    )
    for group in shown:
        if group in values:
            yield from _settings({group: values[group]}, known, width=width, unused=unused)


def _settings(
    values: dict[Any, Any], known: dict[str, Setting], *, width: int, unused: Sequence[str] = ()
) -> Iterator[str]:
    for key, value in _leaves(values):
        if within(key, unused):
            continue
        setting = known.get(key)
        yield from _entry(f"{key}={_text(value)}", setting.comment if setting else "", width=width)


def _leaves(values: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _entry(name: str, what: str, *, width: int) -> Iterator[str]:
    indent = min(40, width // 2)
    if width < _NARROW:
        yield f"  {name}"
        yield from textwrap.wrap(what, width, initial_indent="      ", subsequent_indent="      ")
        return
    lines = textwrap.wrap(what, width - indent)
    if len(name) + 4 > indent or not lines:
        yield f"  {name}"
    else:
        yield f"  {name:<{indent - 2}}{lines.pop(0)}"
    yield from (" " * indent + line for line in lines)


def _text(value: Any) -> str:
    value = without_secrets(value)
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False).replace(", ", ",")
