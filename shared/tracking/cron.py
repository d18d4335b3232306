"""`next_time`: when a cron expression is due next, in its time zone, also where clocks are set."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from shared.runtime.errors import ConfigError

_FIELDS = 5


def next_time(cron: str, *, time_zone: str, after: datetime) -> datetime:
    """The first time behind another one that an expression names.

    As of Debian's cron: a time that is left out when clocks are set forward is due right after the gap, one
    that comes twice is due once.

    Parameters
    ----------
    cron : str
        Minute, hour, day of month, month, day of week.
    time_zone : str
        Such as ``Europe/Berlin``.

    Returns
    -------
    datetime
        UTC.

    Raises
    ------
    ConfigError
        The expression or the time zone cannot be read, or no such time comes.
    """
    from cronsim import CronSim, CronSimError

    try:
        zone = ZoneInfo(time_zone)
    except (OSError, ValueError, KeyError):  # unknown, a folder, a path
        raise ConfigError(
            f"time_zone: expected a name such as Europe/Berlin or UTC, got {time_zone[:100]!r}"
        ) from None
    if len(cron.split()) != _FIELDS:
        raise ConfigError(
            "cron: expected five fields: minute, hour, day of month, month, day of week (30 2 * * MON), got "
            f"{cron[:100]!r}"
        )
    try:
        found: datetime = next(CronSim(cron, after.astimezone(zone)))
    except CronSimError as error:
        raise ConfigError(f"cron: {cron[:100]!r} cannot be read: {error}") from None
    except StopIteration:
        raise ConfigError(f"cron: {cron[:100]!r} names no day that comes") from None
    return found.astimezone(UTC)
