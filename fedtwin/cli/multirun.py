"""`Sweep`: the jobs of a ``--multirun``; one that fails does not end the others, and a table has them all."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from shared.config.config import Config
from shared.metrics.catalogue import in_order, label
from shared.metrics.gap import stored_gap
from shared.metrics.headline import format_gap, format_value, headline, row_digits
from shared.runtime.errors import FedtwinError
from shared.runtime.home import open_home
from shared.tracking.rows import RunRow
from shared.tracking.show import COLOURS, plain
from shared.tracking.store import Store

_LONGEST = 60  # characters of a reason
_SETTINGS = 30  # characters of the settings that are on one line, however narrow the terminal is


@dataclass
class Job:
    """One job of a sweep.

    Attributes
    ----------
    overrides : tuple of str
        All of its command line.
    state : str
        ``completed``, ``failed`` or ``stopped``.
    """

    number: int
    overrides: tuple[str, ...]
    state: str = "completed"
    reason: str = ""
    run: RunRow | None = None


@dataclass
class Sweep:
    """The jobs that have begun, in their order."""

    jobs: list[Job] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether any job did not complete."""
        return any(job.state != "completed" for job in self.jobs)

    @contextmanager
    def job(self, number: int, overrides: Sequence[str]) -> Iterator[Job]:
        """Run the block as a job, whose error is printed and kept; Ctrl-C ends the sweep."""
        job = Job(number, tuple(overrides))
        self.jobs.append(job)
        print(f"job {number}: {' '.join(overrides)}", file=sys.stderr)
        try:
            yield job
        except KeyboardInterrupt:
            job.state, job.reason = "stopped", "interrupted by the user"
            raise
        except FedtwinError as error:
            job.state, job.reason = "failed", str(error)
            print(f"error: {error}", file=sys.stderr)
        except Exception as error:  # a bug, or code of the user's own: the other jobs can do without it
            job.state, job.reason = "failed", f"{type(error).__name__}: {error}"
            traceback.print_exc()

    def table(self) -> Table:
        """One line for each job: the settings in which it differs, its run, state, metric, gap and reason."""
        shown = Table(title=f"{len(self.jobs)} jobs", title_justify="left", title_style="bold")
        wanted = ["job", "settings", "run", "state", "metric", "value", "gap", "reason"]
        rows = [self._row(job) for job in self.jobs]
        kept = [place for place in range(len(wanted)) if place < 4 or any(row[place] for row in rows)]
        for place in kept:
            # A long reason gives way to the settings, and wraps.
            widest = max(len(row[place]) for row in rows)
            narrowest = min(widest, _SETTINGS) if wanted[place] == "settings" else None
            shown.add_column(wanted[place], overflow="fold", min_width=narrowest)
        for job, row in zip(self.jobs, rows, strict=True):
            cells = [plain(row[place]) for place in kept]
            cells[3].stylize(COLOURS[job.state])
            shown.add_row(*cells)
        return shown

    def _row(self, job: Job) -> list[str]:
        everywhere = set.intersection(*({*one.overrides} for one in self.jobs)) if len(self.jobs) > 1 else set()
        differ = " ".join(text for text in job.overrides if text not in everywhere)
        reason = job.reason.partition("\n")[0]
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
        number = "" if job.run is None else str(job.run.id)
        return [str(job.number), differ, number, job.state, *_result(job.run), reason]


def finish_job(job: Job, cfg: Config, run_id: int | None, *, since: int) -> None:
    """Keep the run that a job has made, also where it failed.

    Parameters
    ----------
    run_id : int or None
        Of a job that completed.
    since : int
        The last run before the job began, see `last_run`.
    """
    with Store(open_home(cfg.tracking).database_url) as store:
        if run_id is None:
            made = [run for run in store.runs.search(limit=200) if run.id > since and run.parent_id is None]
            run_id = made[-1].id if made else None
        job.run = None if run_id is None else store.runs.get(run_id)


def last_run(cfg: Config) -> int:
    """The id of the newest run; 0 without any."""
    with Store(open_home(cfg.tracking).database_url) as store:
        newest = store.runs.search(limit=1)
    return newest[0].id if newest else 0


def print_sweep(sweep: Sweep) -> None:
    """Print the table of a sweep."""
    if sweep.jobs:
        Console().print(sweep.table())


def _result(run: RunRow | None) -> tuple[str, str, str]:
    """Metric, its value (of a comparison: pooled and federated), and the gap."""
    if run is None:
        return "", "", ""
    rows = stored_gap(run.summary)
    if rows:
        row = headline(rows, metric=run.summary.get("metric"))
        digits = row_digits(row)
        values = (format_value(one.value, digits=digits) for one in (row.pooled, row.federated))
        return row.title, " / ".join(values), format_gap(row)
    test = run.summary.get("test") or {}
    names = [name for name in in_order(test) if test[name] is not None]
    return (label(names[0]), format_value(test[names[0]]), "") if names else ("", "", "")
