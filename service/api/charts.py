"""The REST routes of the charts: metrics, curves, x-axes, comparisons, predictions, and differing settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.api import chart_schemas
from service.api.dependencies import HomeDep, RunDep, ShownDep, StoreDep, get_run
from service.api.problems import Problem, error_responses
from service.comparison.comparison import compare
from service.problem_details import AsciiJson
from service.read import schemas
from service.read.prediction_curves import describe
from service.read.run_detail import difference
from service.read.series import run_series
from service.read.x_axes import x_axis_columns
from shared.metrics.catalogue import as_json
from shared.tracking.schema import LARGEST_ID

MOST_COMPARED = 100
_IDS = rf"^[0-9]{{1,10}}(,[0-9]{{1,10}}){{0,{MOST_COMPARED - 1}}}$"

router = APIRouter(tags=["charts"], responses=error_responses(404))


@router.get("/catalogue", response_model=chart_schemas.Catalogue)
def metrics_catalogue() -> AsciiJson:
    """Label, direction, bounds and unit of every metric, in the order in which they are shown."""
    return AsciiJson({"metrics": as_json()})


@router.get("/runs/{run_id}/series", response_model=chart_schemas.SeriesList)
def series(
    store: StoreDep,
    run: RunDep,
    points: Annotated[int, Query(ge=4, le=20_000, description="Most points of each curve.")] = 1000,
    stage: schemas.Stage | None = None,
    name: Annotated[str | None, Query(max_length=200, examples=["loss"])] = None,
    clients: Annotated[bool, Query(description="Whether to include the curves of the clients.")] = True,
) -> AsciiJson:
    """Curves by round or epoch; long curves are downsampled, keeping minima and maxima."""
    return AsciiJson(run_series(store, run, points=points, stage=stage, name=name, clients=clients))


@router.get("/runs/{run_id}/steps", response_model=chart_schemas.Steps)
def steps(store: StoreDep, run: RunDep) -> AsciiJson:
    """Examples seen, seconds and bytes after each round or epoch."""
    return AsciiJson(x_axis_columns(store, run))


@router.get("/compare", response_model=chart_schemas.Comparison)
def compared(
    store: StoreDep,
    runs: Annotated[
        str,
        Query(
            pattern=_IDS,
            examples=["1,2,3"],
            description="Run ids; a comparison expands to its runs, a sweep to those of its (best) trials.",
        ),
    ],
    metric: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="Default: that of the comparison, else the first of the catalogue that is defined.",
        ),
    ] = None,
    stage: schemas.Stage = "val",
) -> AsciiJson:
    """Runs side by side, and the gap between pooled and federated runs of the same seed."""
    ids = dict.fromkeys(map(int, runs.split(",")))
    if not all(1 <= run_id <= LARGEST_ID for run_id in ids):
        raise Problem(422, f"runs: ids are from 1 to {LARGEST_ID}")
    found = [get_run(store, run_id) for run_id in ids]
    return AsciiJson(compare(store, found, metric=metric, stage=stage))


@router.get("/runs/{run_id}/predictions", response_model=chart_schemas.PredictionCurves)
def prediction_curves(store: StoreDep, home: HomeDep, run: RunDep) -> AsciiJson:
    """ROC, precision-recall, calibration, threshold sweep and confusion matrix of the tested model."""
    from shared.metrics.outputs import OUTPUTS_FILE, Outputs, UnreadableOutputs

    try:
        found = Outputs.load(home.run_dir(run.id) / OUTPUTS_FILE).of_classes()
        if not found.is_finite:
            raise UnreadableOutputs("some probabilities are not finite")
    except FileNotFoundError:
        raise Problem(404, f"run {run.id} has no predictions on this machine: not tested here") from None
    except UnreadableOutputs as error:
        raise Problem(404, f"the predictions of run {run.id} cannot be read: {error}") from None
    return AsciiJson(describe(found, classes=run.summary.get("classes")))


@router.get("/runs/{run_id}/diff", response_model=chart_schemas.Difference)
def diff(
    store: StoreDep,
    shown: ShownDep,
    run: RunDep,
    other: Annotated[int, Query(alias="with", ge=1, le=LARGEST_ID)],
) -> AsciiJson:
    """The settings in which two runs differ."""
    return AsciiJson(shown.of(difference(run, get_run(store, other))))
