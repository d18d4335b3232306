"""HTML fragments of the report: data tables, the gap table and figures; all text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from shared.metrics.gap import GapRow, Interval
from shared.metrics.gap_record import NOTE, mark
from shared.metrics.headline import counted, digits_for, format_interval, format_value, row_digits
from simulations.report.dark_figures import with_variables
from simulations.report.figure_style import WIDTH, to_svg
from simulations.report.tables import Cell, DataTable, Shown


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
    digits = [
        digits_for(row[column] for row in table.rows if isinstance(row[column], float))  # type: ignore[misc]
        for column in range(len(table.columns))
    ]
    names = zip(table.columns, kinds, strict=True)
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in names)
    body = []
    for first, *others in table.rows:
        columns = zip(others, kinds[1:], digits[1:], strict=True)
        cells = "".join(f"<td{kind}>{_cell(cell, digits=places)}</td>" for cell, kind, places in columns)
        body.append(f'<tr><th scope="row"{kinds[0]}>{_cell(first, digits=digits[0])}</th>{cells}</tr>')
    return _scrolling(table.caption, head=head, body="".join(body))


def gap_html(rows: Sequence[GapRow]) -> str:
    """The gaps as a table, with a note on how to read it."""
    with_local = any(row.local is not None for row in rows)
    sample = next((counted(row) for row in rows if not row.per_run and counted(row)), "")
    names = ["pooled", "federated", *(["local"] if with_local else []), "gap"]
    numbers = "".join(f'<th scope="col" class="number">{name}</th>' for name in names)
    body = []
    for row in rows:
        values = [row.pooled, row.federated, *([row.local] if with_local else [])]
        digits = row_digits(row)
        arrow = {"higher": "↑", "lower": "↓"}.get(row.better or "", "")
        better = f'<span title="{row.better} is better">{arrow}</span>' if arrow else ""
        body.append(
            f'<tr><th scope="row" class="nowrap">{escape(row.title)}&nbsp;{better}</th>'
            f"{''.join(_interval(value, digits=digits) for value in values)}"
            f"{_interval(row.cost, digits=digits, signed=True)}"
            f'<td class="nowrap {row.verdict}">{mark(row)}</td></tr>'
        )
    return (
        _scrolling(
            f"Test metrics with {100 * rows[0].confidence:g} % CI{f' ({sample})' if sample else ''}",
            head=f'<th scope="col">metric</th>{numbers}<th scope="col">verdict</th>',
            body="".join(body),
        )
        + f'<p class="quiet">{escape(NOTE)} Unclear: the interval includes 0. '
        "↑ higher, ↓ lower is better. "
        f"Not corrected for multiple comparisons ({len(rows)} metrics).</p>"
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
    svg = with_variables(to_svg(figure, prefix=f"f{number}-"))
    return (
        f'<figure aria-labelledby="{key}"{broad}><h3 id="{key}">{escape(title)}</h3>'
        f'<div class="card" tabindex="0" role="region" aria-labelledby="{key}" style="{natural}">'
        f'<div role="img" aria-label="{escape(said)}">{svg}</div></div>'
        f"<figcaption>{escape(caption)}</figcaption>"
        f"<details><summary>Data</summary>{table_html(table)}</details></figure>\n"
    )


def _scrolling(caption: str, *, head: str, body: str) -> str:
    name = escape(caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, *, digits: int) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, Shown):
        ends = f'<span class="ends">{escape(cell.ends)}</span>' if cell.ends else ""
        return f"{escape(cell.text)}{ends}"
    return format_value(cell, digits=digits) if isinstance(cell, float) else escape(cell)


def _interval(interval: Interval | None, *, digits: int, signed: bool = False) -> str:
    kind = "number" if signed else "number level"
    if interval is None:
        return f'<td class="{kind}">–</td>'
    value, _, ends = format_interval(interval, signed=signed, digits=digits).partition(" ")
    below = f'<span class="ends">{ends}</span>' if ends else ""
    return f'<td class="{kind}">{value}{below}</td>'
