"""`Report`: the report of a comparison as one self-contained HTML file without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from shared.data.summary import DataSummary
from shared.metrics.catalogue import spec_of
from shared.metrics.gap import GapRow
from shared.metrics.headline import counted, headline, summary_sentence, why_no_interval
from shared.metrics.spec import MetricSpec
from shared.runtime.files import replacing
from simulations.report.dark_figures import dark_css
from simulations.report.html import figure_html, gap_html, table_html
from simulations.report.tables import DataTable, client_summary_table, flatten

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_UNFOLDED = 12  # rows; longer tables start folded


@dataclass(frozen=True)
class ReportFigure:
    """A figure with what it shows in words and in numbers."""

    title: str
    caption: str
    figure: Figure
    table: DataTable


@dataclass(frozen=True)
class CostRow:
    """Cost of one mode of training.

    Attributes
    ----------
    examples : int
        Training examples that went through the model, repeats counted.
    bytes_down, bytes_up : int or None
        To and from the clients; None where nothing is sent.
    """

    mode: str
    seconds: float
    examples: int
    bytes_down: int | None = None
    bytes_up: int | None = None


@dataclass(frozen=True)
class Report:
    """Everything that a report shows.

    Attributes
    ----------
    created : datetime
        Aware.
    rows : sequence of GapRow
        Not empty.
    metrics : sequence of MetricSpec
        Of the task, as they are explained.
    num_clients, num_test : int
        Clients, test examples.
    runs : mapping of str to sequence of int
        Run ids by what they are, such as ``pooled``.
    clients : mapping of str to mapping of str to float
        By metric, then by the client's name.
    values : sequence of DataTable
        What the clients train on, one table a variable.
    config : mapping
        Nested settings.
    twins : DataTable
        From `simulations.report.tables.twin_table`.
    command : str
        Command that reproduces the comparison.
    tested : str
        After which epochs and rounds, in a sentence.
    warnings : sequence of str
        What is to be doubted.
    data : DataSummary, optional
        What was read.
    metric : str, optional
        The headline.
    gains, cross, classes : DataTable, optional
        What joining brings each site; each model on each site's test rows; each class by itself.
    gains_text, gains_note : str
        What the first of these says, and how it is to be read.
    """

    title: str
    created: datetime
    rows: Sequence[GapRow]
    metrics: Sequence[MetricSpec]
    num_clients: int
    num_test: int
    seeds: Sequence[int]
    runs: Mapping[str, Sequence[int]]
    costs: Sequence[CostRow]
    clients: Mapping[str, Mapping[str, float]]
    values: Sequence[DataTable]
    figures: Sequence[ReportFigure]
    config: Mapping[str, Any]
    twins: DataTable
    command: str
    tested: str = ""
    warnings: Sequence[str] = ()
    data: DataSummary | None = None
    metric: str | None = None
    gains: DataTable | None = None
    gains_text: str = ""
    gains_note: str = ""
    cross: DataTable | None = None
    classes: DataTable | None = None

    def __post_init__(self) -> None:
        assert self.created.tzinfo is not None
        assert self.rows


def write_report(path: Path, report: Report) -> Path:
    """Write the report, all of it or nothing.

    Parameters
    ----------
    path : Path
        Its folder exists; a file that is there is replaced.

    Returns
    -------
    Path
        The same.
    """
    with replacing(path) as file:
        file.write(render(report).encode())
    return path


def render(report: Report) -> str:
    """The report as HTML, with style and figures inline; all text is escaped."""
    sections = [
        ("gap", "The gap", gap_html(report.rows)),
        ("sites", "What joining brings each site", _gains(report)),
        ("figures", "Figures", _figures(report.figures)),
        ("classes", "Classes", table_html(report.classes) if report.classes else ""),
        ("clients", "Clients", _clients_section(report)),
        ("data", "Data", _data(report.data) if report.data else ""),
        ("cost", "Cost", table_html(_cost_table(report.costs)) if report.costs else ""),
        ("method", "Methods: intervals", _method(report)),
        ("settings", "Settings", _settings(report)),
        ("again", "Reproduce", f"<pre><code>{escape(report.command)}</code></pre>"),
    ]
    chosen = headline(report.rows, metric=report.metric)
    facts = {
        "Test set": f"{report.num_test:,} examples, the same for all models",
        "Seed" if len(report.seeds) == 1 else "Seeds": _ids(report.seeds),
        **{f"Runs, {name}": _ids(ids) for name, ids in report.runs.items()},
    }
    return document(
        report.title,
        answer=summary_sentence(chosen, num_clients=report.num_clients, tested=report.tested, rows=report.rows),
        facts=facts,
        sections=[(key, heading, body) for key, heading, body in sections if body],
        created=report.created,
        warnings=report.warnings,
    )


def document(
    title: str,
    *,
    answer: str,
    facts: Mapping[str, str],
    sections: Sequence[tuple[str, str, str]],
    created: datetime,
    warnings: Sequence[str] = (),
) -> str:
    """A page of its own, with its style inline and without scripts.

    Parameters
    ----------
    answer : str
        What it found, in a sentence.
    facts : mapping of str to str
        Listed at the top.
    sections : sequence of (key, heading, body)
        Keys are unique in the page; bodies are HTML, whose text is escaped.
    created : datetime
        Aware.
    """
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8") + dark_css()
    links = "".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading, _ in sections)
    bodies = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(heading)}</h2>'
        f'<div class="{key}">{body}</div></section>\n'
        for key, heading, body in sections
    )
    at = created.astimezone(UTC)
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in facts.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="answer">{escape(answer)}</p>
{_warnings(warnings)}
<dl>
<dt>Created</dt><dd><time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M} UTC</time></dd>
{listed}</dl>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{bodies}</main>
</body>
</html>
"""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="warnings" role="note"><strong>Warnings</strong><ul>{items}</ul></div>'


def _gains(report: Report) -> str:
    if report.gains is None:
        return ""
    own = any(name.startswith("own rows") for name in report.gains.columns)
    more = " Own rows: the site's own validation rows, of which there may be few." if own else ""
    cross = (
        f'{table_html(report.cross)}<p class="quiet">Mean of the seeds. A site\'s model on the rows of another '
        "site says how alike the two are.</p>"
        if report.cross
        else ""
    )
    return (
        f"<p>{escape(report.gains_text)}</p>{table_html(report.gains)}"
        f'<p class="quiet">{escape(report.gains_note)}{more} Not corrected for multiple comparisons.</p>{cross}'
    )


def _data(summary: DataSummary) -> str:
    facts = [("Read from", summary.origin), ("Layout", summary.layout), *summary.facts.items()]
    if summary.positive is not None:
        facts.insert(2, ("Positive class", summary.positive))
    if summary.groups is not None:
        counts = ", ".join(f"{side} {count:,}" for side, count in summary.groups.items())
        facts.append((f"{summary.group_noun}s", counts))
    rows: list[list[Any]] = [
        [f"{variable} {value}", *counts]
        for variable in summary.counts
        for value, counts in summary.table(variable)
    ]
    rows.append(["all", *(summary.rows[side] for side in summary.sides), sum(summary.rows.values())])
    table = table_html(DataTable("Rows by side", ["rows", *summary.sides, "all"], rows))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts if text)
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary.notes)
    return f"<dl>{listed}</dl>{table}" + (f"<ul>{notes}</ul>" if notes else "")


def _figures(figures: Sequence[ReportFigure]) -> str:
    return "".join(
        figure_html(item.figure, title=item.title, caption=item.caption, table=item.table, number=number)
        for number, item in enumerate(figures, start=1)
    )


def _clients_section(report: Report) -> str:
    directions = {row.metric: row.better for row in report.rows}
    table = client_summary_table(report.clients, directions=directions)
    parts = [table_html(table)] if report.clients else []
    for values in report.values:
        counts = table_html(values)
        summary = f"<summary>{escape(values.caption)}</summary>"
        folded = f"<details>{summary}{counts}</details>"
        parts.append(counts if len(values.rows) <= _UNFOLDED else folded)
    return "".join(parts)


def _cost_table(costs: Sequence[CostRow]) -> DataTable:
    rows = [
        [cost.mode, _duration(cost.seconds), cost.examples, _size(cost.bytes_down), _size(cost.bytes_up)]
        for cost in costs
    ]
    columns = ["mode", "time", "examples seen", "to clients", "from clients"]
    return DataTable("Cost of one run", columns, rows)


def _method(report: Report) -> str:
    seeds = len(report.seeds)
    first = next((row for row in report.rows if not row.per_run), report.rows[0])
    own = {spec.name: spec for spec in report.metrics}
    definitions = "".join(
        f"<li>{escape(spec.label)}: {escape(spec.description)}</li>"
        for spec in (own.get(row.metric, spec_of(row.metric)) for row in report.rows)
        if spec.description
    )
    several = (
        f"The variance between the {seeds} seeds is added, with {seeds - 1} degrees of freedom of its own; of "
        "the gap it is that of the paired differences."
        if seeds > 1
        else "With one seed, the intervals do not cover variation between seeds."
    )
    of_rows = (
        f"<p>Student's t intervals from a jackknife over {escape(counted(first) or 'the test rows')}: each "
        f"metric is computed once more without each {escape(first.noun)}, of both models alike, so that shared "
        f"variation cancels in the gap. {several} Intervals of one model are made on the scale without bounds "
        "(logit or logarithm). Groups that contribute unequally count as fewer."
        + (
            " A block begins at every time (moving blocks, Kuensch 1989)."
            if first.noun.endswith("block")
            else ""
        )
        + "</p>"
    )
    of_runs = [row.title for row in report.rows if row.per_run]
    student = (
        f"<p>{escape(', '.join(of_runs))}: one number a run, so the interval is Student's t interval of the "
        f"mean over the seeds{', and one seed has none' if seeds == 1 else ''}.</p>"
    )
    without = [
        f"{row.title}: {why_no_interval(row)}" for row in report.rows if row.has_value and not row.is_sure
    ]
    missing = f"<p>No interval. {escape('; '.join(without))}.</p>" if without else ""
    shown = [of_rows] * (len(of_runs) < len(report.rows)) + [student] * bool(of_runs)
    return f"{''.join(shown)}<ul>{definitions}</ul>{missing}"


def _settings(report: Report) -> str:
    rows = [[name, value] for name, value in flatten(report.config).items()]
    everything = table_html(DataTable("All settings", ["setting", "value"], rows))
    seed = f" (of seed {report.seeds[0]})" if len(report.seeds) > 1 else ""
    note = (
        "<p>All other settings are the same. trainer.max_epochs is that of the pooled twin: as many epochs as "
        f"come closest to the examples that the federated one sees{seed}.</p>"
    )
    folded = f"<details><summary>All settings</summary>{everything}</details>"
    return f"{table_html(report.twins)}{note}{folded}"


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(str(number) for number in ids)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: int | None) -> str | None:
    if count is None:
        return None
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
