"""`Finding`: the result of one check of a machine, and its fix; shown as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

State = Literal["ok", "warning", "failed", "skipped"]
_SIGNS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
        Such as ``clock``.
    state : {"ok", "warning", "failed", "skipped"}
    found : str
        One sentence.
    fix : str
        What to do; empty if nothing is to be done.
    """

    what: str
    state: State
    found: str
    fix: str = ""


def show(findings: Sequence[Finding], *, good: str, bad: str, as_json: bool = False) -> None:
    """Print findings.

    Parameters
    ----------
    good, bad : str
        The last line where nothing failed, and what follows the number of failed ones.
    """
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        sign, style = _SIGNS[finding.state]
        text = Text(finding.found)
        if finding.fix:
            text.append(f"\n→ {finding.fix}", style=style)
        table.add_row(Text(sign, style=style), Text(finding.what), text)
    console = Console()
    console.print(table)
    failed = sum(finding.state == "failed" for finding in findings)
    console.print(f"{failed} {bad}" if failed else good, highlight=False)
