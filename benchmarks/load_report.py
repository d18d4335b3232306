"""The report of the load test: its measurements as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def markdown(measured: dict[str, Any]) -> str:
    """The table of a run.

    Parameters
    ----------
    measured : dict
        Of `live_load.measure`.
    """
    rows = [("measured", "value"), ("---", "---"), *_rows(measured)]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _rows(measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    settings, viewers, stalled, server = (
        measured[name] for name in ("settings", "viewers", "stalled", "server")
    )
    machine, commit = measured["machine"], measured["writer"]["commit_ms"]
    yield "machine", f"{machine['cores']} cores, Python {machine['python']}, {machine['system']}"
    yield "database", settings["database"]
    yield "viewers", f"{settings['viewers']:,}, and {settings['stalled']} that stop reading"
    yield (
        "updates",
        f"{settings['rate']:g} a second of {settings['rows']} rows each, for {settings['seconds']:g} s",
    )
    if viewers["delay_ms"]:
        yield "delay to a viewer, p50 / p99 / max", _delay(viewers["delay_ms"])
    if measured["browser"]:
        yield "delay until the page has the row, p50 / p99 / max", _delay(measured["browser"]["known_ms"])
        yield "delay until the page has drawn it, p50 / p99 / max", _delay(measured["browser"]["drawn_ms"])
    yield "of that the commit, p50 / p99", f"{commit['p50']:.0f} / {commit['p99']:.0f} ms"
    yield "rows missed / repeated", f"{viewers['missed']} / {viewers['repeated']}"
    yield "viewers dropped", f"{viewers['dropped']} of {settings['viewers']:,}"
    if settings["stalled"]:
        after = stalled["dropped_after_s"]
        within = f", within {max(after):.1f} s" if after else ""
        yield "dropped of those that stop reading", f"{len(after)} of {settings['stalled']}{within}"
    yield "server's processor time", f"{server['cpu_s']:.1f} s, {server['cpu_share']:.0%} of one core"
    yield "server's memory", f"{server['memory_bytes'] / 1e6:.0f} MB"
    yield (
        "viewers' processor time",
        f"{viewers['cpu_s']:.1f} s, {viewers['cpu_s'] / measured['seconds']:.0%} of one core",
    )


def _delay(found: dict[str, float]) -> str:
    return f"{found['p50']:.0f} / {found['p99']:.0f} / {found['max']:.0f} ms"
