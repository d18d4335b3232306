"""Rows of the model registry as plain, frozen data, and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.runtime.errors import TrackingError
from shared.tracking.rows import Row

LATEST = "latest"  # stands for the newest version
PRODUCTION = "production"  # the alias that a quality threshold guards


class RegistryError(TrackingError):
    """Something of the model registry is not as it was asked for; ``code`` is stable, for programs."""

    code = "registry"


class NotRegistered(RegistryError):
    """There is no such model, version or alias."""

    code = "not_registered"


class BelowThreshold(RegistryError):
    """A version does not reach the quality threshold of its model."""

    code = "below_threshold"


class NoRollback(RegistryError):
    """An alias had no version before that is still there."""

    code = "no_rollback"


@dataclass(frozen=True, slots=True)
class ModelRow(Row):
    """A registered model: a name and what its versions must reach.

    Attributes
    ----------
    threshold : str
        What a version must reach to be promoted to `PRODUCTION`, such as ``f1>=0.7``; ``none``: nothing; empty:
        not set yet.
    latest : str or None
        Its newest version; None where all were deleted.
    versions : int
        How many there are.
    """

    id: int
    name: str
    threshold: str
    created: datetime
    latest: str | None
    versions: int


@dataclass(frozen=True, slots=True)
class VersionRow(Row):
    """One version of a model: what a completed run trained.

    Attributes
    ----------
    tenant : str
        Whose model it is.
    reason : str
        Why it has this number.
    aliases : tuple of str
        That name it now.
    """

    id: int
    tenant: str
    model: str
    major: int
    minor: int
    patch: int
    run_id: int
    reason: str
    created: datetime
    aliases: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Such as ``1.2.0``."""
        return f"{self.major}.{self.minor}.{self.patch}"

    def as_dict(self) -> dict[str, Any]:
        """The row in JSON's types, with the version in place of its parts."""
        values = Row.as_dict(self)
        return {
            "model": self.model,
            "version": self.version,
            **{name: values[name] for name in ("run_id", "reason", "created", "aliases")},
        }


@dataclass(frozen=True, slots=True)
class ModelEventRow(Row):
    """One change of an alias, or of the threshold.

    Attributes
    ----------
    kind : {"promoted", "rolled_back", "removed", "threshold"}
    version : str or None
        That the alias names from then on; None of the other kinds.
    """

    id: int
    kind: str
    alias: str | None
    version: str | None
    version_id: int | None
    detail: str
    time: datetime
