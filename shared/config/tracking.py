"""Settings of the group ``tracking``: where the database and the results are."""

from __future__ import annotations

from shared.config.section import Positive, Section


class TrackingConfig(Section):
    """Where the database and the results lie; never part of a stored snapshot (a URL may hold a password)."""

    home: str | None
    database_url: str | None
    run_id: Positive | None
    parent_id: Positive | None
