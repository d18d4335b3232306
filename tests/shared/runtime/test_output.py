"""Output survives any encoding: one character for one, and data for programs exactly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.runtime.output import plain

TEXT = "AUROC ↑ ▼ worse ─━│ 28 × 28 ± 0.1 Müller 北 …"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_tables_stay_aligned(encoding):
    assert len(plain(TEXT, encoding=encoding)) == len(TEXT)


def test_what_the_encoding_has_is_kept():
    assert plain(TEXT, encoding="utf-8") == TEXT
    assert "Müller" in plain(TEXT, encoding="latin-1")
    assert plain("é ü Å", encoding="ascii") == "? ? ?", "another letter would name another file"
    assert plain("↑↓", encoding="ascii") == "^v"


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_a_process_prints_whatever_its_locale(environment):
    code = (
        "from shared.runtime.output import *; survive_encoding()\n"
        f"import sys; print({TEXT!a}, '\\udcff'); print({TEXT!a}, file=sys.stderr)\n"
        f"exact_output(); print({'Müller ↑'!a})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.decode("ascii").startswith("AUROC ^ v worse")
    assert second.decode("utf-8") == "Müller ↑"
    assert b"AUROC ^" in done.stderr
