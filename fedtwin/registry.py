"""The model registry as functions: versions of models, promotion, rollback, cards, comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedtwin.places import Place, find_home, open_store
from fedtwin.records import Run, load_run
from shared.tracking.model_rows import LATEST, PRODUCTION, VersionRow

if TYPE_CHECKING:
    import pandas as pd

    from shared.metrics.gap import GapRow


@dataclass(frozen=True)
class Version:
    """One version of a registered model, as it was stored when this object was made.

    Attributes
    ----------
    run : Run
        That trained it.
    """

    row: VersionRow = field(repr=False)
    run: Run

    def __repr__(self) -> str:
        return f"Version({self.model}@{self.version}, run={self.run.id}, aliases={list(self.aliases)})"

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.row.model

    @property
    def version(self) -> str:
        """Such as ``1.2.0``."""
        return self.row.version

    @property
    def aliases(self) -> tuple[str, ...]:
        """That name it."""
        return self.row.aliases

    @property
    def test(self) -> dict[str, float]:
        """Metrics on the test rows."""
        return self.run.test

    def card(self) -> dict[str, Any]:
        """Its model card, in JSON's types."""
        from shared.tracking.model_card import model_card

        with open_store(self.run.home) as store:
            return model_card(store, self.row, home=self.run.home)

    def card_markdown(self) -> str:
        """Its model card as Markdown."""
        from shared.tracking.model_card import card_markdown

        return card_markdown(self.card())


def split_ref(ref: str) -> tuple[str, str]:
    """``NAME`` or ``NAME@VERSION`` as a name and a version, an alias or ``latest``."""
    name, _, version = ref.partition("@")
    return name, version or LATEST


def load_version(ref: str, *, store: Place = None) -> Version:
    """One version of a registered model.

    Parameters
    ----------
    ref : str
        ``NAME`` (the latest), ``NAME@1.2.0``, or ``NAME@production`` and other aliases.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    TrackingError
        There is no such model or version.

    Examples
    --------
    >>> fedtwin.load_version("ward-7@production").test
    """
    home = find_home(store)
    with open_store(home) as opened:
        row = opened.models.resolve(*split_ref(ref))
        return Version(row, Run(opened.runs.get(row.run_id), home))


def find_run(run: int | str | Run, *, store: Place = None) -> Run:
    """The run that a number, a version of a model, or a `Run` means.

    Raises
    ------
    TrackingError
    """
    if isinstance(run, Run):
        return run
    text = str(run)
    if text.isascii() and text.isdecimal():
        return load_run(int(text), store=store)
    return load_version(text, store=store).run


def registered_models(name: str | None = None, *, store: Place = None) -> pd.DataFrame:
    """All versions of all registered models, or of one, newest first.

    Parameters
    ----------
    store : str or Path, optional
        See `fedtwin.compare`.

    Returns
    -------
    DataFrame
        By ``model`` and ``version``: ``run``, ``mode``, ``aliases``, ``reason``, ``created``, and a column for
        each test metric.
    """
    import pandas as pd

    from shared.tracking.rows import MODE_NAMES

    rows = []
    with open_store(find_home(store)) as opened:
        names = [name] if name is not None else [row.name for row in opened.models.search()]
        for one in names:
            for row in opened.models.versions(one):
                run = opened.runs.get(row.run_id)
                values = {"model": row.model, "version": row.version, "run": run.id}
                values |= {"mode": MODE_NAMES[run.training_mode], "aliases": list(row.aliases)}
                values |= {"reason": row.reason, "created": row.created}
                rows.append({**values, **(run.summary.get("test") or {})})
    columns = ["model", "version", "run", "mode", "aliases", "reason", "created"]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    return frame.set_index(["model", "version"])


def promote(ref: str, *, alias: str = PRODUCTION, store: Place = None) -> Version:
    """Let an alias name a version; ``production`` only one that reaches the model's quality threshold.

    Parameters
    ----------
    ref : str
        See `load_version`.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    TrackingError
        There is no such version, or it does not reach the threshold.
    """
    name, version = split_ref(ref)
    home = find_home(store)
    with open_store(home) as opened:
        row = opened.models.promote(name, version, alias=alias)
        return Version(row, Run(opened.runs.get(row.run_id), home))


def rollback(name: str, *, alias: str = PRODUCTION, store: Place = None) -> Version:
    """Let an alias name the version again that it named before.

    Parameters
    ----------
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    TrackingError
        There is no such model or alias, or no version before.
    """
    home = find_home(store)
    with open_store(home) as opened:
        row = opened.models.rollback(name, alias=alias)
        return Version(row, Run(opened.runs.get(row.run_id), home))


def compare_versions(
    first: str | int | Run, second: str | int | Run, *, confidence: float = 0.95, store: Place = None
) -> pd.DataFrame:
    """Compare two models on the test rows that both were tested on.

    Parameters
    ----------
    first, second : str, int or Run
        Versions (see `load_version`) or runs.
    store : str or Path, optional
        See `fedtwin.compare`.

    Returns
    -------
    DataFrame
        One row a metric: ``first``, ``second``, ``difference`` (second minus first), ``low`` and ``high`` (ends
        of its interval), ``better`` (which direction), ``verdict`` (of the second).

    Raises
    ------
    TrackingError
        They were not tested on the same rows, or their predictions are not on this machine.
    """
    import pandas as pd

    from shared.metrics.difference import difference_record

    records = [difference_record(row) for row in compared(first, second, confidence=confidence, store=store)]
    frame = pd.DataFrame(records).set_index("metric")
    return frame[["first", "second", "difference", "low", "high", "better", "verdict"]]


def compared(
    first: str | int | Run, second: str | int | Run, *, confidence: float = 0.95, store: Place = None
) -> list[GapRow]:
    """The same as rows of a gap, with the names of a positive class."""
    from simulations.compare_versions import compare_models

    runs = [find_run(one, store=store) for one in (first, second)]
    return compare_models(runs[0].row, runs[1].row, home=runs[0].home, confidence=confidence)
