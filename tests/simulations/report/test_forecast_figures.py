"""Forecasts and errors by step ahead in the report and on the terminal, of several models beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from fedtwin.cli.run_page import panel_tables
from shared.data.schema import Column, Schema
from shared.metrics.outputs import Outputs
from shared.tasks.forecasting.spec import ForecastingSpec
from simulations.report.panels import panel_figures

STEPS, ROWS = 5, 20


def test_each_model_has_its_forecasts_on_the_same_windows() -> None:
    rng = np.random.default_rng(0)
    targets = rng.uniform(1, 5, (ROWS, 2 * STEPS + 3)).astype(np.float32)
    names = ("pooled", "federated")
    outputs = {name: Outputs(targets[:, :STEPS] + rng.normal(0, 1, (ROWS, STEPS)), targets) for name in names}
    inputs = (Column("when", "timestamp", ("15 min",)),)
    schema = Schema(inputs=inputs, targets=(Column("$load$", "numeric"),), horizon=STEPS)
    spec = ForecastingSpec(schema, window=8, loss="absolute")
    panels = {title: spec.panels(own) for title, own in outputs.items()}
    figures = panel_figures(panels, outputs, seed=1)
    assert [*figures] == ["forecasts", "by_horizon", "residuals"]
    for figure in figures.values():
        figure.figure.draw_without_rendering()
    windows = [panel[0].data["windows"] for panel in panels.values()]
    assert [window["true"] for window in windows[0]] == [window["true"] for window in windows[1]]
    errors = np.abs(targets[:, STEPS : 2 * STEPS] - targets[:, :STEPS]).mean(axis=1)
    assert [window["seasonal_mae"] for window in windows[0]] == pytest.approx(sorted(errors)[1:18:8])
    for window in windows[0]:
        assert all(low <= high for low, high in zip(window["low"], window["high"], strict=True))
    assert len(figures["forecasts"].table.rows) == 2 * 3 * STEPS
    assert len(figures["by_horizon"].table.rows) == (2 + 2) * STEPS
    forecast, horizon, _ = panel_tables([panel.as_dict() for panel in panels["pooled"]])
    assert (forecast.row_count, horizon.row_count) == (3, STEPS)
