"""HTML fragments of the report: data tables, the gap table and figures; all text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from shared.metrics.catalogue import label
from shared.metrics.gap import GapRow, Interval
from shared.metrics.headline import format_interval, format_value, row_digits
from simulations.gap.wording import mark
from simulations.report.figure_style import WIDTH, to_svg
from simulations.report.tables import Cell, DataTable


def table_html(table: DataTable) -> str:
    """A table that scrolls sideways where it is too wide.

    Returns
    -------
    str
        Columns with a number are aligned to the right.
    """
    kinds = [
        ' class="number"' if any(isinstance(row[column], int | float) for row in table.rows) else ""
        for column in range(len(table.columns))
    ]
    names = zip(table.columns, kinds, strict=True)
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in names)
    body = []
    for first, *others in table.rows:
        cells = "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(others, kinds[1:], strict=True))
        body.append(f'<tr><th scope="row"{kinds[0]}>{_cell(first)}</th>{cells}</tr>')
    return _scrolling(table.caption, head=head, body="".join(body))


def gap_html(rows: Sequence[GapRow]) -> str:
    """The gaps as a table, with a note on how to read it."""
    with_local = any(row.local is not None for row in rows)
    names = ["pooled", "federated", *(["local"] if with_local else []), "gap"]
    numbers = "".join(f'<th scope="col" class="number">{name}</th>' for name in names)
    body = []
    for row in rows:
        values = [row.pooled, row.federated, *([row.local] if with_local else [])]
        digits = row_digits(row)
        arrow = {"higher": "↑", "lower": "↓"}.get(row.better or "", "")
        better = f'<span title="{row.better} is better">{arrow}</span>' if arrow else ""
        body.append(
            f'<tr><th scope="row" class="nowrap">{escape(label(row.metric))}&nbsp;{better}</th>'
            f"{''.join(_interval(value, digits=digits) for value in values)}"
            f"{_interval(row.gap, digits=digits, signed=True)}"
            f'<td class="nowrap {row.verdict}">{mark(row)}</td></tr>'
        )
    return (
        _scrolling(
            f"Test metrics with {100 * rows[0].confidence:g} % CI; gap: pooled minus federated",
            head=f'<th scope="col">metric</th>{numbers}<th scope="col">verdict</th>',
            body="".join(body),
        )
        + '<p class="quiet">↑ higher is better, ↓ lower is better. Worse/better: effect of federation; '
        f"unclear: interval includes 0. Not corrected for multiple comparisons ({len(rows)} metrics).</p>"
    )


def figure_html(figure: Figure, *, title: str, caption: str, table: DataTable, number: int) -> str:
    """A figure with its caption, and its numbers folded away below.

    Parameters
    ----------
    table : DataTable
        The same numbers.
    number : int
        Unique in the page.
    """
    key = f"figure-{number}"
    natural = f"--natural:{figure.get_figwidth() * 72:.0f}pt"
    broad = ' class="broad"' if figure.get_figwidth() > 1.2 * WIDTH else ""
    said = f"{title}. {caption}".rstrip(". ")
    return (
        f'<figure aria-labelledby="{key}"{broad}><h3 id="{key}">{escape(title)}</h3>'
        f'<div class="card" tabindex="0" role="region" aria-labelledby="{key}" style="{natural}">'
        f'<div role="img" aria-label="{escape(said)}">{to_svg(figure, prefix=f"f{number}-")}</div></div>'
        f"<figcaption>{escape(caption)}</figcaption>"
        f"<details><summary>Data</summary>{table_html(table)}</details></figure>\n"
    )


def _scrolling(caption: str, *, head: str, body: str) -> str:
    name = escape(caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return format_value(cell, digits=4 if abs(cell) < 10 else 2) if isinstance(cell, float) else escape(cell)


def _interval(interval: Interval | None, *, digits: int, signed: bool = False) -> str:
    kind = "number" if signed else "number level"
    if interval is None:
        return f'<td class="{kind}">–</td>'
    value, _, ends = format_interval(interval, signed=signed, digits=digits).partition(" ")
    below = f'<span class="ends">{ends}</span>' if ends else ""
    return f'<td class="{kind}">{value}{below}</td>'
