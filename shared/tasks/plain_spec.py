"""`PlainSpec`: what a `TaskSpec` says where its task has nothing to say of its own; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.metrics.spec import MetricSpec
from shared.runtime.errors import ReplyRejected
from shared.tasks.checks import check_trainer, reject_settings

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile
    from shared.metrics.outputs import Outputs
    from shared.metrics.statistics import Statistics
    from shared.tasks.panels import Panel


class PlainSpec:
    """A task without classes that tells nothing of its rows, needs nothing of all rows, and draws nothing.

    Stands behind a class of metrics, such as `shared.metrics.row_means.RowMeans`; override what differs.
    """

    metrics: tuple[MetricSpec, ...]

    @property
    def client_metric(self) -> str:
        """The first metric."""
        return self.metrics[0].name

    @property
    def monitor(self) -> str:
        """The first metric, on the validation rows."""
        return f"val/{self.metrics[0].name}"

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject what is for classes, and a monitor that is not measured.

        Raises
        ------
        ConfigError
        """
        neutral: dict[str, Any] = {"logit_adjustment": 0.0, "label_smoothing": 0.0, "class_weights": "none"}
        reject_settings(trainer, "this task", threshold=0.5, **neutral)
        check_trainer(trainer, monitor=self.monitor, names=[spec.name for spec in self.metrics])

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """Every metric is defined on any rows."""
        return None

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """Nothing but their number, which every client says."""
        from shared.data.profile import Profile

        return Profile()

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that a client says no more than it may.

        Raises
        ------
        ReplyRejected
        """
        if told := sorted({**profile.counts, **profile.spans, **profile.missing}):
            raise ReplyRejected(f"its profile is of {told}, expected an empty one")

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """Nothing."""
        return {}

    def best_threshold(self, statistics: Statistics) -> float:
        """Not without classes."""
        raise NotImplementedError

    def panels(self, outputs: Outputs) -> list[Panel]:
        """None."""
        return []
