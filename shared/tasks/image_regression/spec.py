"""`RegressionSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.metrics.regression import RegressionMetrics
from shared.runtime.errors import FederationError, ReplyRejected
from shared.tasks.checks import check_trainer, reject_settings
from shared.tasks.panels import Panel, residuals_panel

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs

SPAN = "span"  # what is agreed on: the smallest and the largest target of all training rows


class RegressionSpec(RegressionMetrics):
    """What is measured, told and shown of one number a row.

    Attributes
    ----------
    target : str
        Its name.
    """

    def __init__(self, schema: Schema) -> None:
        (column,) = schema.targets
        self.target = column.name

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject what is for classes, and a monitor that is not measured.

        Raises
        ------
        ConfigError
        """
        reject_settings(
            trainer,
            "this task",
            threshold=0.5,
            logit_adjustment=0.0,
            label_smoothing=0.0,
            class_weights="none",
        )
        check_trainer(trainer, monitor=self.monitor, names=self.names)

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """R2 needs two different targets."""
        low, high = profile.spans.get(self.target, (0.0, 1.0))
        return f"all {stage} rows have the same target" if name == "r2" and low == high else None

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """The smallest and the largest target of some rows."""
        from shared.data.profile import Profile

        own = data.targets[rows]
        return Profile(spans={self.target: (float(own.min()), float(own.max()))} if len(own) else {})

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the span is of the target.

        Raises
        ------
        ReplyRejected
        """
        if profile.counts or not profile.spans.keys() <= {self.target}:
            raise ReplyRejected(
                f"its profile is of {sorted({**profile.counts, **profile.spans})}, not {self.target}"
            )

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """The span of all targets: training is on numbers from -1 to 1.

        Raises
        ------
        FederationError
            A site keeps its span to itself.
        """
        if silent := [name for name, profile in profiles.items() if not profile.spans]:
            raise FederationError(
                f"{', '.join(silent)} let no spans out, and regression needs the smallest and the "
                f"largest target of every site; ask them (may_leave.counts in site.yaml)"
            )
        spans = [profile.spans[self.target] for profile in profiles.values()]
        return {SPAN: [min(low for low, _ in spans), max(high for _, high in spans)]}

    def panels(self, outputs: Outputs) -> list[Panel]:
        """Predicted against true values."""
        return [
            residuals_panel(outputs.targets.reshape(-1), outputs.predictions.reshape(-1), target=self.target)
        ]
