"""`fedtwin COMMAND --help`: each command's own, complete, and within the terminal's width."""

from __future__ import annotations

import pytest

from fedtwin.cli.help import COMMANDS, print_help
from shared.config.compose import compose
from shared.config.no_effect import UNUSED
from shared.config.settings import about, groups, settings_of
from shared.runtime.errors import ConfigError

NAMES = sorted(COMMANDS)


def shown(capsys, command, *overrides):
    print_help(command, overrides=overrides)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", NAMES)
def test_its_examples_are_valid(command):
    for example, _ in COMMANDS[command].examples:
        name, *words = example.split()
        overrides = [word for word in words if not word.startswith("-") and "=" in word and "," not in word]
        assert name == command
        compose(overrides)


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize("width", [50, 80, 140])
def test_it_keeps_the_width(capsys, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", str(width))
    text = shown(capsys, command)
    too_long = [line for line in text.splitlines() if len(line) > width and " " in line.strip()]
    # A name and its value are one word, which a terminal wraps; so are commands to copy.
    assert [line for line in too_long if "=" not in line] == []


def test_every_setting_of_a_command_stands_there_with_its_comment(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    text = shown(capsys, "compare")
    for setting in settings_of("trainer", "default").values():
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{setting.key}="))
        assert setting.comment in line


def test_choices_stand_there_with_what_they_are(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    text = shown(capsys, "compare")
    for choice in groups()["strategy"]:
        assert about("strategy", choice) in text
    assert "base" not in [line.split()[0] for line in text.splitlines() if line.strip()]


def test_settings_that_a_command_rejects_are_left_out(capsys):
    text = shown(capsys, "centralized")
    assert "trainer.max_epochs=" in text
    assert "strategy.fraction_train" not in text
    assert "compare" in UNUSED["fedtwin simulate"]
    text = shown(capsys, "simulate")
    assert "strategy.fraction_train=" in text
    assert "compare.seeds" not in text
    assert "trainer.max_epochs" not in text


def test_the_settings_are_those_of_the_choices(capsys):
    text = shown(capsys, "simulate", "strategy=fedprox")
    assert "strategy.proximal_mu=0.01" in text
    assert "strategy.proximal_mu=0.01" not in shown(capsys, "simulate")


def test_a_mistake_beside_help_is_named():
    with pytest.raises(ConfigError, match="did you mean medmnist"):
        print_help("compare", overrides=["data=medmnst"])


def test_a_password_is_not_printed(capsys):
    text = shown(capsys, "compare", 'tracking.database_url="postgresql://me:geheim@host/db"')
    assert "geheim" not in text
