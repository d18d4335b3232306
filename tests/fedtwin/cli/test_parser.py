"""The ``fedtwin`` command line: what reaches the modules behind it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fedtwin.cli.parser import parse

TOKEN = "-VbDslwfDxHvf16w-WfjLnrp6SvfzJFK"  # one random token in 64 begins with a dash


@pytest.mark.parametrize("given", [["--token", TOKEN], [f"--token={TOKEN}"]])
@pytest.mark.parametrize("command", [["serve"], ["watch", "3"]])
def test_a_token_may_begin_with_a_dash(command, given):
    options = parse([*command, *given])
    assert options.token == TOKEN
    assert options.command == command[0]


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
