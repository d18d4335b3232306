"""The ``fedtwin`` command line: what reaches the modules behind it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fedtwin.cli.parser import parse

TOKEN = "-VbDslwfDxHvf16w-WfjLnrp6SvfzJFK"  # one random token in 64 begins with a dash


@pytest.mark.parametrize("given", ["abc", "-1", "1.0", "1_0", "²"])
def test_a_run_that_is_no_number_is_refused_in_words(given, capsys):
    with pytest.raises(SystemExit):
        parse(["show", "--", given])
    told = capsys.readouterr().err
    assert f"expected a run's number (fedtwin runs lists them), got {given!r}" in told
    assert "int" not in told.replace("print", "")


@pytest.mark.parametrize("given", [["--token", TOKEN], [f"--token={TOKEN}"]])
@pytest.mark.parametrize("command", [["serve"], ["watch", "3"]])
def test_a_token_may_begin_with_a_dash(command, given):
    options = parse([*command, *given])
    assert options.token == TOKEN
    assert options.command == command[0]


@pytest.mark.parametrize(
    "given", [["a", "b=1", "--quick", "c=2"], ["--quick", "a", "b=1", "c=2"], ["a", "b=1", "c=2", "--quick"]]
)
def test_settings_of_data_may_stand_before_and_behind_options(given):
    options = parse(["data", *given])
    assert (options.what, options.quick) == (["a", "b=1", "c=2"], True)


@pytest.mark.parametrize("given", [["data", "a", "--quik"], ["runs", "more"]])
def test_what_is_no_argument_is_an_error(given, capsys):
    with pytest.raises(SystemExit):
        parse(given)
    assert given[-1] in capsys.readouterr().err


def test_a_missing_token_is_still_an_error(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["serve", "--token"])
    assert caught.value.code == 2
    assert "argument --token: expected one argument" in capsys.readouterr().err


def test_a_training_whose_output_nobody_reads_ends_well(tmp_path):
    command = [sys.executable, "-m", "fedtwin", "centralized", "trainer.max_epochs=1", "trainer.progress=false"]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(
        closed,
        env={**os.environ, "FEDTWIN_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
