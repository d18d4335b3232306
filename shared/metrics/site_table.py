"""`site_table`: what joining brings each site, as a table for the terminal, in a sentence, and as intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shared.metrics.catalogue import label
from shared.metrics.gap import Interval
from shared.metrics.headline import DIGITS, digits_for, format_value, interval_texts
from shared.runtime.tables import FittingTable

# The models of a site: the field of a row, and what readers call it.
MODELS = {"pooled": "pooled", "federated": "federated", "alone": "alone", "fine_tuned": "fine-tuned"}
_MOST_NAMES = 4  # of sites in a sentence
_STYLES = {"better": "bold green", "worse": "bold red"}
Gains = Mapping[str, Any]  # see `simulations.report.site_gains`


def models_of(gains: Gains) -> dict[str, str]:
    """The models that any site has a value of: field and name; earlier versions stored fewer."""
    found = {
        key: name for key, name in MODELS.items() if any(row.get(key) is not None for row in gains["rows"])
    }
    return found or {key: MODELS[key] for key in ("federated", "alone")}


def interval_of(row: Mapping[str, Any], name: str) -> Interval:
    """A model's value at one site with its ends; NaN where there is none."""
    return Interval(*(_number(row.get(key)) for key in (name, f"{name}_low", f"{name}_high")))


def gain_of(row: Mapping[str, Any], name: str = "federated") -> Interval:
    """What a model gains against the site's own.

    Parameters
    ----------
    name : {"federated", "fine_tuned"}
    """
    keys = ("gain", "low", "high") if name == "federated" else ("tuned_gain", "tuned_low", "tuned_high")
    return Interval(*(_number(row.get(key)) for key in keys))


def verdict_of(gain: Interval) -> str:
    """What a gain says: ``better``, ``worse``, ``unclear`` (it may be 0), ``undefined``."""
    if math.isnan(gain.low):
        return "undefined"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "unclear"


def digits_of(gains: Gains) -> int:
    """Decimals of all values of a table."""
    values = (row.get(key) for row in gains["rows"] for key in MODELS)
    return digits_for(value for value in values if value is not None)


def where_tested(gains: Gains) -> str:
    """Whose test rows the values are of, in a sentence."""
    if gains.get("tests") == "own":
        return "Each site on its own test rows."
    return "All sites on the same test rows: those of each site are not known (partition=natural knows them)."


def note_of(gains: Gains) -> str:
    """How the table is to be read."""
    tuned = (
        "Fine-tuned: the federated model, trained on at the site. " if "fine_tuned" in models_of(gains) else ""
    )
    return (
        f"Alone: the model that a site trains on its own rows only. {tuned}Gain: federated against alone; "
        "above 0, joining is better for the site."
    )


def site_sentence(gains: Gains) -> str:
    """For how many sites joining is better, in a sentence."""
    names: dict[str, list[str]] = {}
    for row in gains["rows"]:
        names.setdefault(verdict_of(gain_of(row)), []).append(_plain(row["name"]))
    words = {
        "better": "clearly better for",
        "worse": "clearly worse for",
        "unclear": "unclear for",
        "undefined": "not to be said for",
    }
    several = len(gains["rows"])
    parts = [
        f"{said} {len(names[verdict])} of {several} sites"
        + (f" ({', '.join(names[verdict])})" if len(names) > 1 and len(names[verdict]) <= _MOST_NAMES else "")
        for verdict, said in words.items()
        if verdict in names
    ]
    told = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"Joining, in {label(gains['metric'])} against training alone, is {told}."


def sites_told(summary: Mapping[str, Any]) -> list[RenderableType]:
    """What joining brings each site, from the summary of a comparison: tables and a sentence; none without."""
    gains = summary.get("site_gains")
    if not gains:
        return []
    cross = cross_table(gains)
    return [site_table(gains), *([] if cross is None else [cross]), Text(f"{site_sentence(gains)}\n")]


def site_table(gains: Gains) -> Table:
    """The sites and their models with intervals, two lines a site, readable at 80 columns."""
    models, digits = models_of(gains), digits_of(gains)
    table = FittingTable(
        title=Text(
            f"What joining brings each site: {label(gains['metric'])}, {100 * gains['confidence']:g} % CI",
            style="table.title",
        ),
        caption=Text(
            " ".join([where_tested(gains), note_of(gains), *_without_numbers(gains)]), style="table.caption"
        ),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0),
        pad_edge=False,
    )
    table.add_column("site", overflow="fold")
    columns = [[_cell(interval_of(row, key), digits=digits) for row in gains["rows"]] for key in models]
    columns.append(
        [
            _cell(gain, digits=digits, signed=True, style=_STYLES.get(verdict_of(gain), ""))
            for gain in map(gain_of, gains["rows"])
        ]
    )
    for name, cells in zip([*models.values(), "gain"], columns, strict=True):
        widest = max(len(line) for cell in cells for line in cell.plain.split("\n"))
        table.add_column(name, justify="right", min_width=max(widest, len(name)))
    for row, *values in zip(gains["rows"], *columns, strict=True):
        count = row.get("num_test")
        site = Text(_plain(row["name"])).append("" if count is None else f"\n{count:,} test rows", style="dim")
        table.add_row(site, *values)
    return table


def _without_numbers(gains: Gains) -> list[str]:
    notes = [f"{_plain(row['name'])}: {_plain(row['note'])}." for row in gains["rows"] if row.get("note")]
    return [f"No number. {' '.join(notes)}"] if notes else []


def cross_table(gains: Gains) -> Table | None:
    """Each site's model on each site's test rows; None where the test rows of sites are not known."""
    cross = gains.get("cross")
    if not cross:
        return None
    digits = digits_of(gains)
    table = FittingTable(
        title=Text(f"Each model on the test rows of each site: {label(gains['metric'])}", style="table.title"),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("model", overflow="fold")
    for name in cross["tests"]:
        table.add_column(Text(_plain(name)), justify="right", overflow="fold")
    for name, values in zip(cross["models"], cross["values"], strict=True):
        shown = ("-" if value is None else format_value(value, digits=digits) for value in values)
        table.add_row(Text(_plain(name)), *shown)
    return table


def ends_text(interval: Interval, *, digits: int = DIGITS, signed: bool = False) -> tuple[str, str]:
    """A value, and its ends in brackets with one decimal less; the latter is empty where there are none."""
    value, low, high = interval_texts(interval, signed=signed, digits=digits)
    if math.isnan(interval.low):
        return value, ""
    low, high = (format_value(end, signed=signed, digits=digits - 1) for end in (interval.low, interval.high))
    return value, f"[{low}, {high}]"


def _cell(interval: Interval, *, digits: int, signed: bool = False, style: str = "") -> Text:
    if math.isnan(interval.value):
        return Text("-")
    value, ends = ends_text(interval, digits=digits, signed=signed)
    return Text(value, style=style).append(f"\n{ends}" if ends else "", style="dim not bold")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
