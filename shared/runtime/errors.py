"""Errors that a user can cause: each states what was expected, what was found, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

# An error is printed, stored with its run and sent to every viewer; what it quotes may be of any length.
LONGEST_LINE = 2_000
LONGEST_TEXT = 16_000


class FedtwinError(Exception):
    """Base of every error that a user can cause; commands print it without a traceback and exit with 2.

    Its text is `shortened`.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(shortened(part) if isinstance(part, str) else part for part in args))


class ConfigError(FedtwinError):
    """A setting is unknown, has the wrong type or is out of range."""


class DataError(FedtwinError):
    """Input data cannot be used; base of the errors below."""


class ArchiveError(DataError):
    """Not a ZIP file, or a ZIP with rejected entries (listed in the message)."""


class MetadataError(DataError):
    """``metadata.csv`` is missing, or its columns, labels or rows cannot be used."""


class ImageDecodeError(DataError):
    """Images are missing or cannot be decoded."""


class SplitError(DataError):
    """The rows cannot be split into train, validation and test as configured."""


class PartitionError(DataError):
    """The rows cannot be divided among the clients as configured."""


class WeightsError(FedtwinError):
    """A weights file cannot be loaded into the model."""


class ExportError(FedtwinError):
    """A model cannot be exported so, or the file does not predict what the model does."""


class TreesError(FedtwinError):
    """A file of trees cannot be read: it is no model, of another version, or damaged."""


class ClustersError(FedtwinError):
    """Rows cannot be put into so many clusters, or an answer to a question about them cannot be true."""


class FittingError(FedtwinError):
    """A model cannot be fitted to the rows, or an answer to a question about them cannot be true."""


class DivergedError(FedtwinError):
    """The loss is not finite."""


class DiskError(FedtwinError):
    """A file cannot be written: the disk is full, read-only or broken."""


class TrackingError(FedtwinError):
    """The tracking database cannot be opened, or a run is not in it."""


class DatabaseAway(TrackingError):
    """The tracking database is locked, on a full disk, or cannot be reached: later the same may succeed."""


class BackendAway(FedtwinError):
    """The cluster that jobs are trained on does not answer: later the same may succeed."""


class FederationError(FedtwinError):
    """A federated run could not be started or did not complete."""


class QuorumError(FederationError):
    """Fewer valid replies arrived in a round than ``federation.min_replies`` requires."""


class ReplyRejected(FederationError):
    """A client's reply breaks the contract (NaN, wrong shape, wrong key, bad count ...)."""


class TrialsFailed(FedtwinError):
    """Trials of a sweep have failed; the others are complete."""


class DeployError(FedtwinError):
    """A kit of a deployment cannot be created, read or started, or a site file is not valid."""


def bullet_list(problems: Sequence[str], *, limit: int = 50) -> str:
    """Join problems, one per line, and count those beyond ``limit``.

    Parameters
    ----------
    problems : sequence of str
        One sentence for each problem.
    limit : int
        Most problems to list.

    Returns
    -------
    str
        Lines that begin with ``  - ``.
    """
    lines = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  - ... and {len(problems) - limit} more")
    return "\n".join(lines)


class Alike:
    """Problems of one kind, of which there may be millions: the first are kept, the others counted.

    Parameters
    ----------
    limit : int
        Most problems to keep; few enough that those of other kinds are listed too.
    """

    def __init__(self, *, limit: int = 10) -> None:
        self._kept: list[str] = []
        self._limit, self._count = limit, 0

    def add(self, problem: str) -> None:
        """Take one more."""
        self._count += 1
        if self._count <= self._limit:
            self._kept.append(problem)

    def __iter__(self) -> Iterator[str]:
        yield from self._kept
        if more := self._count - len(self._kept):
            yield f"... and {more:,} more of this kind"


def first_of(problems: Iterable[str]) -> list[str]:
    """The first problems of a kind, and how many more there are; see `Alike`."""
    found = Alike()
    for problem in problems:
        found.add(problem)
    return list(found)


def shortened(text: str) -> str:
    """A text whose lines, and itself, are of bounded length; what is left out of the middle is counted."""
    lines = (_without_middle(line, LONGEST_LINE) for line in text.split("\n"))
    return _without_middle("\n".join(lines), LONGEST_TEXT)


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    return f"{text[:head]} ... ({len(text) - head - tail:,} more characters) ... {text[-tail:]}"
