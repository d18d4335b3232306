"""Results as Markdown tables: figures, ratios to the bare loop, goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.speed.goals import Spread, judge, ratio, spread
from benchmarks.speed.sample import Sample
from benchmarks.speed.systems import SYSTEMS
from benchmarks.speed.workloads import Workload

COLUMNS = {
    "round_cpu": "CPU s per round",
    "round_wall": "wall s per round",
    "cpu": "CPU s, total",
    "wall": "wall s, total",
    "rest_cpu": "CPU s, start and end",
    "rest_wall": "wall s, start and end",
    "memory": "peak MB",
    "loss": "test loss",
    "auc": "test AUC",
}
BASE = "bare"
_MULTIPLES = ("round_cpu", "round_wall", "cpu", "wall", "rest_wall", "memory")


def markdown(samples: Sequence[Sample], *, workloads: Mapping[str, Workload], absent: Mapping[str, str]) -> str:
    """All tables.

    Parameters
    ----------
    absent : mapping of str to str
        Systems that could not be run, and why.
    """
    parts = []
    measured = [name for name in workloads if any(sample.workload == name for sample in samples)]
    for name in measured:
        workload = workloads[name]
        parts.append(f"### {name}: {workload.describe()}")
        parts.append(_table(_figures(samples, workload, absent)))
        if any(sample.counted and sample.system == BASE for sample in samples):
            parts.append(f"Relative to the {SYSTEMS[BASE].title}:")
            parts.append(_table(_multiples(samples, workload)))
    if judge(samples, workloads=measured):
        parts.append("### Goals")
        parts.append(_table(_goals(samples, measured)))
    return "\n\n".join(parts) + "\n"


def _figures(samples: Sequence[Sample], workload: Workload, absent: Mapping[str, str]) -> Iterator[list[str]]:
    yield ["median (least to most)", *COLUMNS.values(), "runs"]
    yield ["---"] * (len(COLUMNS) + 2)
    for name in _systems(samples, workload, absent):
        found = {
            figure: spread(samples, workload=workload.name, system=name, figure=figure) for figure in COLUMNS
        }
        whole = found["wall"]
        if whole is None:
            why = absent.get(name) or _error(samples, workload.name, name)
            yield [SYSTEMS[name].title, f"not available: {why}", *[""] * len(COLUMNS)]
            continue
        yield [SYSTEMS[name].title, *(_cell(found[figure], figure) for figure in COLUMNS), str(whole.count)]


def _multiples(samples: Sequence[Sample], workload: Workload) -> Iterator[list[str]]:
    yield ["median of the runs", *(COLUMNS[figure] for figure in _MULTIPLES)]
    yield ["---"] * (len(_MULTIPLES) + 1)
    for name in _systems(samples, workload, {}):
        cells = []
        for figure in _MULTIPLES:
            found = ratio(samples, workload=workload.name, system=name, against=BASE, figure=figure)
            cells.append("" if found is None else f"{found.median:.2f}")
        if any(cells):
            yield [SYSTEMS[name].title, *cells]


def _goals(samples: Sequence[Sample], workloads: Sequence[str]) -> Iterator[list[str]]:
    yield ["against", "system", "figure", "workload", "goal", "measured (least to most)", ""]
    yield ["---"] * 7
    for verdict in judge(samples, workloads=workloads):
        goal, found = verdict.goal, verdict.ratio
        shown = "" if found is None else f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})"
        yield [
            SYSTEMS[goal.against].title,
            SYSTEMS[goal.system].title,
            goal.title,
            verdict.workload,
            f"<= {verdict.limit:.2f}",
            shown,
            verdict.word,
        ]


def _systems(samples: Sequence[Sample], workload: Workload, absent: Mapping[str, str]) -> list[str]:
    tried = {sample.system for sample in samples if sample.workload == workload.name} | set(absent)
    return [name for name in SYSTEMS if name in tried and SYSTEMS[name].takes(workload)]


def _error(samples: Sequence[Sample], workload: str, system: str) -> str:
    errors = [s.error for s in samples if (s.workload, s.system) == (workload, system) and s.error]
    return errors[-1].splitlines()[0].rstrip(":") if errors else "no counted run"


def _cell(found: Spread | None, figure: str) -> str:
    if found is None:
        return ""
    digits = 0 if figure == "memory" else 4 if figure in ("loss", "auc") else 2 if found.median < 10 else 1
    text = f"{found.median:,.{digits}f}"
    ends = [f"{value:,.{digits}f}" for value in (found.least, found.most)]
    return text if ends == [text, text] else f"{text} ({ends[0]} to {ends[1]})"


def _table(rows: Iterator[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
