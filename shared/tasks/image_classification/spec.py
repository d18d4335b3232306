"""`ClassificationSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.metrics.catalogue import label_of
from shared.metrics.classification import ClassificationMetrics
from shared.runtime.errors import ConfigError, ReplyRejected
from shared.tasks.checks import check_trainer, require_counts
from shared.tasks.panels import Panel, confusion_panel

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs

CLASS_WEIGHTS = "class_weights"  # what is agreed on


class ClassificationSpec(ClassificationMetrics):
    """What is measured, told and shown of rows with one of several classes each.

    Attributes
    ----------
    classes : tuple of str
        By number.
    """

    variable = "label"  # of the profile
    client_metric = "accuracy"

    def __init__(self, schema: Schema) -> None:
        super().__init__(len(schema.classes))
        self.classes = schema.classes
        self.metrics = tuple(replace(spec, label=label_of(spec, self.positive)) for spec in self.metrics)

    @property
    def positive(self) -> str | None:
        """The class that recall, precision and the like are of; None where they are means over all classes."""
        return self.classes[1] if self.num_classes == 2 else None

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject a threshold for other than 2 classes, and a monitor that is not measured.

        Raises
        ------
        ConfigError
        """
        if trainer.threshold != 0.5 and self.num_classes != 2:
            raise ConfigError(
                f"trainer.threshold={trainer.threshold} is for 2 classes, got {self.num_classes} classes; "
                "set it to 0.5"
            )
        check_trainer(trainer, monitor=self.monitor, names=self.names)

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """Which classes a metric would need rows of."""
        counts = profile.counts[self.variable]
        if name in self.defined_for(list(counts.values())):
            return None
        return f"no {stage} row is of class {', '.join(label for label, count in counts.items() if not count)}"

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """How many of some rows are of each class."""
        from shared.data.profile import Profile, count_values

        return Profile(counts={self.variable: count_values(data.targets[rows], self.classes)})

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the counts are of these classes, and add up.

        Raises
        ------
        ReplyRejected
        """
        counts = profile.counts.get(self.variable, {})
        right = tuple(counts) == self.classes and sum(counts.values()) == num_examples
        if profile.counts and not right:
            raise ReplyRejected(
                f"its label counts {dict(counts)} do not add up to {num_examples} examples of the classes "
                f"{list(self.classes)}"
            )

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """Weights of the classes, if they are to be balanced.

        Raises
        ------
        FederationError
            A site keeps its counts to itself.
        """
        if trainer.class_weights != "balanced":
            return {}
        require_counts(profiles)
        own = [profile.counts[self.variable].values() for profile in profiles.values()]
        return {CLASS_WEIGHTS: balanced_weights([sum(counts) for counts in zip(*own, strict=True)])}

    def panels(self, outputs: Outputs) -> list[Panel]:
        """The confusion matrix."""
        return [confusion_panel(self.confusion(outputs), classes=self.classes)]


def balanced_weights(label_counts: Sequence[int]) -> list[float]:
    """Weights by inverse frequency, whose mean over the rows is 1.

    Parameters
    ----------
    label_counts : sequence of int
        Training rows of each class.

    Returns
    -------
    list of float
        0 for a class that does not occur.
    """
    present = sum(count > 0 for count in label_counts)
    total = sum(label_counts)
    return [total / (present * count) if count else 0.0 for count in label_counts]
