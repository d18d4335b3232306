"""What is drawn of forecasts: some of them with a band and the floor, and the error by step ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.metrics.forecasting import ForecastRows, by_step
from shared.metrics.outputs import Outputs
from shared.tasks.panels import Panel

RANKS = (0.1, 0.5, 0.9)  # of the windows by the error of the floor: an easy, a usual and a hard one
BAND = (0.1, 0.9)  # quantiles of the errors of a step


def forecast_panel(rows: ForecastRows, predictions: npt.NDArray[Any], *, target: str, step: str) -> Panel:
    """Forecasts of an easy, a usual and a hard window of the test, with what came and the seasonal floor.

    Which these are the floor's error says, so that models are shown on the same windows.

    Parameters
    ----------
    predictions : ndarray [N, horizon], float
    target, step : str
        What is forecast, and how far the steps are apart.

    Returns
    -------
    Panel
        Of each window its ``rank``, the mean absolute error of the model and of the floor, what came
        (``true``), ``predicted`` with a band (``low``, ``high``: 80 % of all test errors at that step are
        within), and ``seasonal``.
    """
    predicted = predictions.astype(np.float64)
    errors, of_floor = rows.true - predicted, np.abs(rows.seasonal - rows.true).mean(axis=1)
    order = np.argsort(of_floor, kind="stable")
    low, high = np.quantile(errors, BAND, axis=0)
    shown = [
        {
            "rank": rank,
            "mae": float(np.abs(errors[place]).mean()),
            "seasonal_mae": float(of_floor[place]),
            "true": rows.true[place].tolist(),
            "predicted": predicted[place].tolist(),
            "low": (predicted[place] + low).tolist(),
            "high": (predicted[place] + high).tolist(),
            "seasonal": rows.seasonal[place].tolist(),
        }
        for rank, place in ((rank, int(order[int(rank * (len(order) - 1))])) for rank in RANKS)
    ]
    return Panel(
        "forecast",
        "Forecasts",
        {"target": target, "step": step, "num_examples": len(order), "windows": shown},
    )


def horizon_panel(outputs: Outputs, *, horizon: int, target: str, step: str) -> Panel:
    """The mean absolute error of each step ahead, of the model and of both floors."""
    found = by_step(outputs, horizon=horizon)
    return Panel(
        "horizon",
        "Error by step ahead",
        {"target": target, "step": step, "mae": {name: values.tolist() for name, values in found.items()}},
    )
