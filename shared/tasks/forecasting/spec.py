"""`ForecastingSpec`: what is measured, told and shown of forecasts; imports no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from shared.metrics.averages import Floats
from shared.metrics.forecasting import ForecastMetrics, ForecastRows, Loss
from shared.tasks.forecasting.panels import forecast_panel, horizon_panel
from shared.tasks.panels import residuals_panel
from shared.tasks.plain_spec import PlainSpec
from shared.tasks.tables.spec import TableSpec

if TYPE_CHECKING:
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Moments, Profile
    from shared.data.schema import Schema
    from shared.data.series.load import SeriesData
    from shared.metrics.outputs import Outputs
    from shared.tasks.panels import Panel


class _Forecasts(ForecastMetrics, PlainSpec):
    """Of the inputs nothing, which `TableSpec` adds."""


class ForecastingSpec(TableSpec, _Forecasts):
    """What is measured, told and shown of the next steps of time series.

    Attributes
    ----------
    target : str
        Its name.
    inputs : tuple of Column
        What is scaled: the target, and the inputs beside it.
    step : str
        From one step to the next, such as ``1 h``.
    """

    def __init__(self, schema: Schema, *, window: int, loss: Loss) -> None:
        _Forecasts.__init__(self, horizon=schema.horizon, loss=loss)
        (column,) = schema.targets
        self.target, self.window = column.name, window
        self.inputs = (column, *(own for own in schema.inputs if own.kind != "timestamp"))
        self.step = next((own.levels[0] for own in schema.inputs if own.kind == "timestamp"), "1")

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """All are defined on series that change."""
        return None

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """Number, mean and spread of the target and of each numeric input, over the steps of some windows.

        A step counts in each window that it is part of, so that the numbers of clients add up however windows
        are divided among them. A column with fewer values than ``data.min_count`` is left out; a value is
        missing in a window where its last step that is looked at has none.
        """
        from shared.data.profile import Profile
        from shared.data.tables.prepare import are_numbers

        series = cast("SeriesData", data)
        often, seen = series.coverage(rows), series.starts[rows] + self.window - 1
        moments, missing = {}, {}
        for place in are_numbers(self.inputs):
            values, name = series.values[:, place], self.inputs[place].name
            there = ~np.isnan(values)
            if found := _moments(values[there], often[there], least=series.min_count):
                moments[name] = found
            if gaps := int((~there[seen]).sum()):
                missing[name] = gaps
        return Profile(moments=moments, missing=missing)

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the moments are of these columns, and of no more steps than the windows have.

        Raises
        ------
        ReplyRejected
        """
        super().check_profile(profile, num_examples=num_examples * (self.window + self.horizon))

    def panels(self, outputs: Outputs) -> list[Panel]:
        """Some forecasts, the error by step ahead, and predicted against true values."""
        rows = ForecastRows.of(outputs, horizon=self.horizon)
        told = {"target": self.target, "step": self.step}
        panel = residuals_panel(rows.true.reshape(-1), outputs.predictions.reshape(-1), target=self.target)
        panel = replace(panel, data={**panel.data, "noun": "step"})
        return [
            forecast_panel(rows, outputs.predictions, **told),
            horizon_panel(outputs, horizon=self.horizon, **told),
            panel,
        ]


def _moments(values: Floats, often: Ints, *, least: int) -> Moments | None:
    """Those of values that occur so often; None of fewer than ``least``."""
    from shared.data.profile import Moments

    used = often > 0
    if int(used.sum()) < least:
        return None
    values, often = values[used], often[used]
    number = int(often.sum())
    mean = float((often * values).sum() / number)
    return Moments(number, mean, float((often * np.square(values - mean)).sum()))
