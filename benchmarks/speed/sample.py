"""`Sample`: the figures of one run of one system on one workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.speed.handover import Mark
from benchmarks.speed.meter import Measurement

_REASON = 1500  # characters of the output of a failed command


@dataclass(frozen=True)
class Sample:
    """What one run took.

    A round is the mean of all rounds but the first, which still loads and imports; the rest of a run, from the
    command's start to its end but for that many rounds, is its start-up and end.

    Attributes
    ----------
    run : int
        From 1; 0 is the warm-up, which is not counted.
    wall, cpu : float or None
        Seconds, of the whole command and all its processes.
    round_wall, round_cpu : float or None
        Seconds of a round.
    rest_wall, rest_cpu : float or None
        Seconds of start-up and end.
    memory : float or None
        Megabytes at the peak, of all processes together.
    loss, auc : float or None
        Of the last global model, on the test rows.
    error : str or None
        Why there are no figures.
    """

    workload: str
    system: str
    run: int
    wall: float | None = None
    cpu: float | None = None
    round_wall: float | None = None
    round_cpu: float | None = None
    rest_wall: float | None = None
    rest_cpu: float | None = None
    memory: float | None = None
    loss: float | None = None
    auc: float | None = None
    error: str | None = None

    @property
    def counted(self) -> bool:
        """Whether it enters medians."""
        return self.run > 0 and self.error is None

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)


def make_sample(
    workload: str, system: str, *, run: int, rounds: int, measured: Measurement, marks: Sequence[Mark]
) -> Sample:
    """Figures from what was measured and what the program noted.

    Parameters
    ----------
    rounds : int
        How many there must be.
    marks : sequence of Mark
        By round, with or without round 0.

    Returns
    -------
    Sample
        With an error if the command failed or did not do its rounds.
    """
    ends = {mark.round: mark for mark in marks}
    if measured.status != 0 or not set(range(1, rounds + 1)) <= set(ends):
        why = "took too long" if measured.status is None else f"ended with status {measured.status}"
        done = sum(number > 0 for number in ends)
        return Sample(
            workload,
            system,
            run,
            error=f"{why} after {done} of {rounds} rounds:\n{measured.output[-_REASON:]}",
        )
    first, last = ends[1], ends[rounds]
    steady = rounds - 1
    round_wall = (last.time - first.time) / steady
    round_cpu = (measured.cpu_at(last.time) - measured.cpu_at(first.time)) / steady
    return Sample(
        workload,
        system,
        run,
        wall=measured.wall_s,
        cpu=measured.cpu_s,
        round_wall=round_wall,
        round_cpu=round_cpu,
        rest_wall=measured.wall_s - rounds * round_wall,
        rest_cpu=measured.cpu_s - rounds * round_cpu,
        memory=measured.peak_bytes / 1e6,
        loss=last.loss,
        auc=last.auc,
    )
