"""Errors that a user can cause: each states what was expected, what was found, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence


class FedtwinError(Exception):
    """Base of every error that a user can cause; commands print it without a traceback and exit with 2."""


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


class DivergedError(FedtwinError):
    """The loss is not finite."""


class TrackingError(FedtwinError):
    """The tracking database cannot be opened, or a run is not in it."""


class FederationError(FedtwinError):
    """A federated run could not be started or did not complete."""


class QuorumError(FederationError):
    """Fewer valid replies arrived in a round than ``federation.min_replies`` requires."""


class ReplyRejected(FederationError):
    """A client's reply breaks the contract (NaN, wrong shape, wrong key, bad count ...)."""


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
