"""`AnomalySpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.metrics.anomaly import AnomalyMetrics
from shared.tasks.anomaly.panels import scores_panel
from shared.tasks.plain_spec import PlainSpec
from shared.tasks.tables.spec import TableSpec

if TYPE_CHECKING:
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs
    from shared.tasks.panels import Panel


class _Alarms(AnomalyMetrics, PlainSpec):
    """Of the inputs nothing, which `TableSpec` adds."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()


class AnomalySpec(TableSpec, _Alarms):
    """What is measured, told and shown of rows that are normal or not."""

    def panels(self, outputs: Outputs) -> list[Panel]:
        """Scores over time, with events and alarms."""
        return [scores_panel(outputs)]
