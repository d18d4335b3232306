"""`Run` and `Comparison`: what is stored of a run, as data frames and paths; `runs` lists all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedtwin.places import Place, find_home, open_store
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.rows import MODE_NAMES, STORED_MODES, Row, RunRow

if TYPE_CHECKING:
    import pandas as pd

    from shared.metrics.gap import GapRow


@dataclass(frozen=True)
class Run:
    """One run as it was stored when this object was made; `load_run` reads it again.

    Attributes
    ----------
    row : RunRow
        Everything that the database has in the run's own row.
    """

    row: RunRow = field(repr=False)
    home: Home = field(repr=False)

    def __repr__(self) -> str:
        return f"Run(id={self.id}, name={self.name!r}, mode={self.mode!r}, status={self.status!r})"

    @property
    def id(self) -> int:
        """Its number, as in ``fedtwin runs``."""
        return self.row.id

    @property
    def name(self) -> str:
        """Given by the setting ``name``."""
        return self.row.name

    @property
    def mode(self) -> str:
        """``pooled``, ``federated``, ``local`` or ``comparison``."""
        return MODE_NAMES[self.row.training_mode]

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``completed``, ``failed`` or ``stopped``."""
        return self.row.status

    @property
    def tags(self) -> list[str]:
        """Given by ``fedtwin tag``."""
        return self.row.tags

    @property
    def config(self) -> dict[str, Any]:
        """The resolved settings."""
        return self.row.config

    @property
    def test(self) -> dict[str, float]:
        """Metrics of the chosen model on the test rows; empty before the test."""
        return dict(self.row.summary.get("test") or {})

    @property
    def folder(self) -> Path:
        """Of checkpoints and predictions."""
        return self.home.run_dir(self.id)

    @property
    def metrics(self) -> pd.DataFrame:
        """Every stored value: ``client_id``, ``round``, ``epoch``, ``stage``, ``name``, ``value``."""
        with open_store(self.home) as store:
            return _frame(store.metrics.of_run(self.id), index="id")

    @property
    def rounds(self) -> pd.DataFrame:
        """The server rounds of a federated run."""
        with open_store(self.home) as store:
            return _frame(store.rounds.of_run(self.id), index="round")

    @property
    def clients(self) -> pd.DataFrame:
        """The participants of a federated run."""
        with open_store(self.home) as store:
            return _frame(store.clients.of_run(self.id), index="client_id")


@dataclass(frozen=True)
class Comparison:
    """A finished comparison of pooled and federated training.

    Attributes
    ----------
    gap : DataFrame
        One row a metric: ``pooled``, ``federated``, ``local`` (only if clients trained alone), ``gap`` (what
        federation costs: positive is worse, whichever direction the metric has), ``low`` and ``high`` (ends of
        the gap's confidence interval), ``groups`` and ``seeds`` (how many patients, or rows, and seeds the
        intervals are from), ``better`` (``higher`` or ``lower``) and ``verdict`` (what federation did:
        ``worse``, ``better``, ``equal``, ``unclear``, ``undefined``).
    table : DataFrame
        The same as text, as the terminal, the page and the report print it.
    labels : dict of str to str
        What people call each metric, such as ``recall (pneumonia)``.
    metric : str
        The headline, that the sentence is about; chosen by ``compare.metric``.
    sentence : str
        The result in one sentence.
    warnings : list of str
        What is to be doubted of the tested models, such as a class that is never predicted.
    pooled, federated : list of Run
        One a seed.
    local : list of list of Run
        The clients that trained alone, by seed and client.
    fine_tuned : list of list of Run
        The federated models that were trained on at each client, likewise.
    sites : DataFrame or None
        What joining brings each site, in the headline metric; one row a site: ``pooled``, ``federated``,
        ``alone`` and ``fine_tuned`` with ``_low`` and ``_high``; ``gain``, ``low`` and ``high`` (federated
        against alone, positive is better for the site), ``tuned_gain`` likewise, ``num_test``, ``note`` (why
        there are no numbers). None unless clients trained alone.
    cross : DataFrame or None
        Each model on the test rows of each site; None where these are not known.
    figures : dict of str to Path
        PNG files by name, such as ``gap`` and ``curve_loss``.
    report : Path
        HTML.
    """

    run: Run
    gap: pd.DataFrame = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    labels: dict[str, str] = field(repr=False)
    metric: str
    sentence: str
    warnings: list[str]
    pooled: list[Run]
    federated: list[Run]
    local: list[list[Run]]
    fine_tuned: list[list[Run]]
    sites: pd.DataFrame | None = field(repr=False)
    cross: pd.DataFrame | None = field(repr=False)
    figures: dict[str, Path] = field(repr=False)
    report: Path

    @classmethod
    def of(cls, run: Run) -> Comparison:
        """Read what a comparison has stored.

        Raises
        ------
        TrackingError
            It is not a finished comparison, or one of its runs was deleted.
        """
        from shared.metrics.gap import stored_gap
        from shared.tracking.twins import family, stored_report, warnings_of

        rows = stored_gap(run.row.summary)
        if not rows:
            raise TrackingError(f"run {run.id} is not a finished comparison ({run.mode}, {run.status})")
        twins, folder = run.row.summary["twins"], Path(run.row.summary["folder"])
        with open_store(run.home) as store:

            def load(ids: Sequence[int]) -> list[Run]:
                return [Run(store.runs.get(run_id), run.home) for run_id in ids]

            report = stored_report(store, run.id)
            assert report is not None
            return cls(
                run=run,
                gap=_gap_frame(rows),
                table=_text_frame(rows),
                labels={row["metric"]: row["label"] for row in report["rows"]},
                metric=report["metric"],
                sentence=report["sentence"],
                warnings=warnings_of(family(store, run.id)),
                pooled=load(twins["pooled"]),
                federated=load(twins["federated"]),
                local=[load(ids) for ids in twins["local"]],
                fine_tuned=[load(ids) for ids in twins.get("fine_tuned", ())],
                sites=_sites_frame(run.row.summary.get("site_gains")),
                cross=_cross_frame(run.row.summary.get("site_gains")),
                figures={path.stem: path for path in sorted(folder.glob("*.png"))},
                report=folder / "report.html",
            )

    def __str__(self) -> str:
        return "\n".join([self.table.rename(index=self.labels).to_string(), *self._told()])

    def _repr_html_(self) -> str:
        from html import escape

        told = "".join(f"<p>{escape(text)}</p>" for text in self._told())
        return self.table.rename(index=self.labels).to_html() + told

    def _told(self) -> list[str]:
        from shared.metrics.gap_record import NOTE

        return [NOTE, self.sentence, *(f"warning: {text}" for text in self.warnings)]


def runs(
    *, mode: str | None = None, status: str | None = None, limit: int | None = None, store: Place = None
) -> pd.DataFrame:
    """All runs, newest first, by id.

    Parameters
    ----------
    mode : {"pooled", "federated", "local", "comparison"}, optional
    status : {"pending", "running", "completed", "failed", "stopped"}, optional
    store : str or Path, optional
        See `fedtwin.compare`.

    Examples
    --------
    >>> fedtwin.runs(mode="federated", limit=10)[["name", "status", "seconds"]]
    """
    from shared.tracking.show import runs_json

    with open_store(find_home(store)) as opened:
        rows = opened.runs.search(mode=STORED_MODES.get(mode or "", mode), status=status, limit=limit)
        best = {row["id"]: row["best_metric"] or {} for row in runs_json(rows)}
    import pandas as pd

    columns = [
        "id",
        "name",
        "mode",
        "status",
        "started",
        "seconds",
        "seed",
        "parent_id",
        "best",
        "metric",
        "tags",
    ]
    values = [
        (
            row.id,
            row.name,
            MODE_NAMES[row.training_mode],
            row.status,
            row.started,
            row.seconds,
            row.seed,
            row.parent_id,
            best[row.id].get("value"),
            best[row.id].get("name"),
            row.tags,
        )
        for row in rows
    ]
    frame = pd.DataFrame(values, columns=columns).set_index("id")
    return frame.astype({"parent_id": "Int64"})


def load_run(run: int, *, store: Place = None) -> Run:
    """One run.

    Parameters
    ----------
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    home = find_home(store)
    with open_store(home) as opened:
        return Run(opened.runs.get(run), home)


def load_comparison(run: int | Run, *, store: Place = None) -> Comparison:
    """A comparison that has finished, such as one that ``fedtwin compare`` made.

    Parameters
    ----------
    store : str or Path, optional
        See `fedtwin.compare`; not needed for a `Run`.

    Raises
    ------
    TrackingError
        There is no such run, or it is not a finished comparison.
    """
    return Comparison.of(run if isinstance(run, Run) else load_run(run, store=store))


def id_and_home(run: int | Run, *, store: Place) -> tuple[int, Home]:
    """Which run an argument means."""
    return (run.id, run.home) if isinstance(run, Run) else (run, find_home(store))


def _frame(rows: Sequence[Row], *, index: str) -> pd.DataFrame:
    from dataclasses import fields

    import pandas as pd

    values = [{item.name: getattr(row, item.name) for item in fields(row)} for row in rows]  # type: ignore[arg-type]
    frame = pd.DataFrame(values)
    return frame.drop(columns="run_id").set_index(index) if len(frame) else frame


def _gap_frame(rows: Sequence[GapRow]) -> pd.DataFrame:
    import pandas as pd

    from shared.metrics.gap_record import gap_record

    local = ("local",) if any(row.local is not None for row in rows) else ()
    shown = ("pooled", "federated", *local, "gap", "low", "high", "groups", "seeds", "better", "verdict")
    records = [gap_record(row) for row in rows]
    frame = pd.DataFrame(records).set_index("metric")[list(shown)]
    frame = frame.astype(dict.fromkeys(("pooled", "federated", *local, "gap", "low", "high"), "float64"))
    frame = frame.astype({"groups": "Int64", "seeds": "Int64"})
    frame.attrs["confidence"] = rows[0].confidence
    return frame


def _sites_frame(gains: Mapping[str, Any] | None) -> pd.DataFrame | None:
    import pandas as pd

    return None if not gains else pd.DataFrame(gains["rows"]).set_index("name")


def _cross_frame(gains: Mapping[str, Any] | None) -> pd.DataFrame | None:
    import pandas as pd

    cross = (gains or {}).get("cross")
    return pd.DataFrame(cross["values"], cross["models"], cross["tests"]) if cross else None


def _text_frame(rows: Sequence[GapRow]) -> pd.DataFrame:
    import pandas as pd

    from shared.metrics.gap_record import gap_record

    texts = {row.metric: gap_record(row)["text"] for row in rows}
    local = ("local",) if any(row.local is not None for row in rows) else ()
    shown = ("pooled", "federated", *local, "gap", "interval", "verdict", "counted")
    frame = pd.DataFrame.from_dict(texts, orient="index")[list(shown)]
    return frame.rename_axis("metric").rename(columns={"counted": "from"})
