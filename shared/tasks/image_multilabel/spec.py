"""`MultiLabelSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.metrics.multilabel import MultiLabelMetrics
from shared.runtime.errors import ReplyRejected
from shared.tasks.checks import check_trainer, reject_settings, require_counts
from shared.tasks.panels import Panel, label_table_panel

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs

LABEL_WEIGHTS = "label_weights"  # what is agreed on: the weight of a row that has the label


class MultiLabelSpec(MultiLabelMetrics):
    """What is measured, told and shown of rows with any number of labels.

    Attributes
    ----------
    labels : tuple of str
        By number.
    """

    variable, how_many = "label", "labels of an image"  # of the profile

    def __init__(self, schema: Schema) -> None:
        super().__init__(len(schema.classes))
        self.labels = schema.classes

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject what is for one class an image, and a monitor that is not measured.

        Raises
        ------
        ConfigError
        """
        reject_settings(
            trainer, "task=image_multilabel", threshold=0.5, logit_adjustment=0.0, label_smoothing=0.0
        )
        check_trainer(trainer, monitor=self.monitor, names=self.names)

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """Why a metric would be without a value: no label has rows with and without it."""
        size = sum(profile.counts[self.how_many].values())
        counts = profile.counts[self.variable].values()
        if name in ("label_accuracy", "loss") or any(0 < count < size for count in counts):
            return None
        return None if name != "auroc" and any(counts) else f"no label has {stage} rows with and without it"

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """How many of some rows have each label, and how many have so many labels."""
        from shared.data.profile import Profile

        own = data.targets[rows]
        each = dict(zip(self.labels, own.sum(axis=0).astype(np.int64).tolist(), strict=True))
        sizes = np.bincount(own.sum(axis=1).astype(np.int64)).tolist()
        return Profile(
            counts={self.variable: each, self.how_many: {str(size): count for size, count in enumerate(sizes)}}
        )

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the counts are of these labels, and that both ways of counting agree.

        Raises
        ------
        ReplyRejected
        """
        if not profile.counts:
            return
        each, sizes = (profile.counts.get(name, {}) for name in (self.variable, self.how_many))
        right = tuple(each) == self.labels and sum(sizes.values()) == num_examples
        right = right and all(size.isdecimal() and len(size) < 10 for size in sizes)
        if not right or sum(int(size) * count for size, count in sizes.items()) != sum(each.values()):
            raise ReplyRejected(
                f"its counts of labels {dict(each)} do not fit {num_examples} examples, by number of labels "
                f"{dict(sizes)}"
            )

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """Weights of the labels, if they are to be balanced: rows without a label to rows with it.

        Raises
        ------
        FederationError
            A site keeps its counts to itself.
        """
        if trainer.class_weights != "balanced":
            return {}
        require_counts(profiles)
        rows = sum(sum(profile.counts[self.how_many].values()) for profile in profiles.values())
        own = [profile.counts[self.variable].values() for profile in profiles.values()]
        totals = [sum(counts) for counts in zip(*own, strict=True)]
        return {LABEL_WEIGHTS: [(rows - total) / total if total else 1.0 for total in totals]}

    def panels(self, outputs: Outputs) -> list[Panel]:
        """AUROC, average precision, F1, precision and recall of each label."""
        by_label = self.by_label(outputs, np.ones((1, len(outputs))))
        positives = by_label.pop("positives")[0]
        values = {
            name: np.where(positives > 0, column[0], np.nan).tolist() for name, column in by_label.items()
        }
        return [label_table_panel(values, labels=self.labels, counts=positives.astype(np.int64).tolist())]
