"""What each task shows of its rows and of a tested model, drawn by the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from playwright.sync_api import expect

from shared.clusters.distances import squared_distances
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.profile import Profile
from shared.data.schema import Column, Schema
from shared.data.summary import DataSummary
from shared.metrics.averages import Floats
from shared.metrics.outputs import Outputs
from shared.runtime.home import Home
from shared.tasks.anomaly.spec import AnomalySpec
from shared.tasks.base import TaskSpec
from shared.tasks.chosen_model import ChosenModel
from shared.tasks.clustering.spec import ClusteringSpec
from shared.tasks.evaluation import begin_summary, record_test
from shared.tasks.forecasting.spec import ForecastingSpec
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.image_multilabel.spec import MultiLabelSpec
from shared.tasks.image_regression.spec import RegressionSpec
from shared.tasks.panels import KINDS
from shared.tasks.selection import Monitor
from shared.tracking.rows import ClientRow

if TYPE_CHECKING:
    from tests.e2e.page_kit import Open, Server, Visit

pytest_plugins = ["tests.e2e.page_kit"]
ROWS = 60
LABELS = ("Mass", "Nodule", "<b>Hernia</b>")
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 2, ROWS)
HAS = (RNG.random((ROWS, 3)) < 0.4).astype(np.float32)
AGES = RNG.uniform(20, 80, (ROWS, 1)).astype(np.float32)
STEPS = 4
LOADS = RNG.uniform(1, 5, (ROWS, 2 * STEPS + 3)).astype(np.float32)
CHANCE = RNG.random(ROWS).astype(np.float32)
RATIOS = np.exp(RNG.normal(CLASSES, 0.6))


def clusters(rows: Floats) -> Floats:
    """Squared distances to three rows, beside the rows."""
    return np.concatenate([squared_distances(rows, rows[:3]), rows], axis=1)


# By the kind of the panel: task, schema, spec, outputs, and what two clients say of their rows.
TESTED: dict[str, tuple[str, Schema, Callable[[Schema], TaskSpec], Outputs, list[Profile]]] = {
    "confusion": (
        "image_classification",
        Schema(classes=("well", "sick")),
        ClassificationSpec,
        Outputs(np.stack([1 - CHANCE, CHANCE], axis=1), CLASSES),
        [Profile(counts={"label": {"well": 7, "sick": 3}}), Profile(counts={"label": {"well": 2, "sick": 8}})],
    ),
    "label_table": (
        "image_multilabel",
        Schema(classes=LABELS),
        MultiLabelSpec,
        Outputs(np.clip(HAS * 0.4 + RNG.random((ROWS, 3)) * 0.6, 0, 1).astype(np.float32), HAS),
        [
            Profile(
                counts={"label": dict(zip(LABELS, (9, 5, 1), strict=True)), "labels of an image": {"2": 10}}
            ),
            Profile(
                counts={"label": dict(zip(LABELS, (3, 2, 0), strict=True)), "labels of an image": {"1": 10}}
            ),
        ],
    ),
    "residuals": (
        "image_regression",
        Schema(targets=(Column("Patient Age", "numeric"),)),
        RegressionSpec,
        Outputs(AGES + RNG.normal(0, 5, AGES.shape).astype(np.float32), AGES),
        [Profile(spans={"Patient Age": (20.0, 60.5)}), Profile(spans={"Patient Age": (31.0, 80.0)})],
    ),
    "cluster_profile": (
        "clustering",
        Schema(inputs=(Column("<b>age</b>", "numeric"), Column("pulse", "numeric"))),
        partial(ClusteringSpec, clusters=3),
        Outputs(clusters(RNG.normal(0, 1, (ROWS, 2)) + 4 * CLASSES[:, None]), CLASSES.astype(float)),
        [Profile(), Profile()],
    ),
    "anomaly_scores": (
        "anomaly",
        Schema(inputs=(Column("flow", "numeric"),), targets=(Column("leak", "boolean"),)),
        AnomalySpec,
        Outputs(
            np.stack([RATIOS, RATIOS, np.arange(ROWS), np.arange(ROWS) // 40], axis=1), CLASSES.astype(float)
        ),
        [Profile(), Profile()],
    ),
    "forecast": (
        "forecasting",
        Schema(
            inputs=(Column("when", "timestamp", ("1 h",)),),
            targets=(Column("<b>load</b>", "numeric"),),
            horizon=STEPS,
        ),
        partial(ForecastingSpec, window=6, loss="absolute"),
        Outputs(LOADS[:, :STEPS] + RNG.normal(0, 0.2, (ROWS, STEPS)).astype(np.float32), LOADS),
        [Profile(), Profile()],
    ),
}

READ = DataSummary(
    origin="/data/<i>xrays</i>",
    layout="data=classes",
    rows={"train": 20, "test": 1060},
    counts={"label": {"well": {"train": 9, "test": 1030}, "sick": {"train": 11, "test": 30}}},
    positive="sick",
    groups={"train": 12, "test": 40},
    facts={"pixels": "8 bit"},
    notes=("3 files are ignored",),
)


def add_tested(live: Server, make_config: Callable[..., Config], kind: str) -> int:
    """A federated run of two clients with 10 training rows each, whose model was tested."""
    from tests.e2e.curves_kit import add_run, store_of

    task, schema, make, outputs, profiles = TESTED[kind]
    settings = [f"task={task}", "federation.num_clients=2"]
    of_table = task in ("clustering", "anomaly", "forecasting")
    cfg = compose([*settings, "data.path=table.csv", "data.target=x"]) if of_table else make_config(*settings)
    spec: TaskSpec = make(schema)
    with store_of(live) as store:
        run_id = add_run(store, cfg, "federated", {f"val/{spec.names[0]}": [0.25, 0.5]}, end=False)
        store.runs.update(run_id, summary=begin_summary(cfg, spec=spec, schema=schema))
        if kind == "confusion":
            store.runs.update(run_id, summary={"data": READ.as_dict()})
        for number, profile in enumerate(profiles):
            store.clients.add(
                run_id, [ClientRow(run_id, number, str(number), f"site {number}", 10, profile.as_dict())]
            )
        home = Home(root=live.home, database_url="unused")
        home.run_dir(run_id).mkdir(parents=True)
        tested = ChosenModel("round", 2, of=2, chosen=True, monitor=Monitor(spec.monitor, "max"))
        record_test(
            store, run_id, outputs, spec=spec, tested=tested, threshold=0.5, folder=home.run_dir(run_id)
        )
        store.runs.finish(run_id, "completed")
    return run_id


def drawn(seen: Visit, title: str, selector: str) -> int:
    """How many marks a chart has on the screen."""
    return seen.chart(title).locator(selector).count()


def test_every_kind_of_panel_is_drawn(live: Server, visit: Open, make_config: Callable[..., Config]) -> None:
    looks = {
        "confusion": look_at_classes,
        "label_table": look_at_labels,
        "residuals": look_at_numbers,
        "cluster_profile": look_at_clusters,
        "anomaly_scores": look_at_scores,
        "forecast": look_at_forecasts,
    }
    assert set(looks) == set(TESTED)
    assert {*looks, "cluster_map", "horizon"} == set(KINDS)
    for kind, look in looks.items():  # one server for all: it takes longer to start than to answer
        run_id = add_tested(live, make_config, kind)
        look(visit(f"{live.url}/runs/{run_id}"))


def look_at_classes(seen: Visit) -> None:
    assert seen.table_of(seen.chart("Confusion matrix"))[0][0] == "well"
    assert drawn(seen, "Confusion matrix", ".heatmaplayer image") == 1
    expect(seen.page.get_by_label("Threshold", exact=True)).to_be_visible()
    assert seen.page.locator("#ranges, #panels").count() == 0
    data = seen.page.locator("#data")
    rows = [row.split() for row in data.locator("tbody tr").all_inner_texts()]
    assert rows == [
        ["label", "well", "9", "1,030", "1,039"],
        ["label", "sick", "11", "30", "41"],
        ["all", "20", "1,060", "1,080"],
    ]
    for text in ("/data/<i>xrays</i>", "train 12, test 40", "8 bit", "3 files are ignored"):
        expect(data).to_contain_text(text)
    expect(seen.page.locator("#evaluation")).to_contain_text("Recall (sick)")
    assert "20 training examples on 2 clients" in seen.chart("Training labels per client").inner_text()


def look_at_labels(seen: Visit) -> None:
    assert drawn(seen, "Each label", ".bars .point path") == 3
    rows = seen.table_of(seen.chart("Each label"))
    assert [row[:2] for row in rows] == [
        [name, str(int(count))] for name, count in zip(LABELS, HAS.sum(axis=0), strict=True)
    ]
    said = seen.chart("Training labels per client").inner_text()
    assert "20 training examples with 20 labels on 2 clients" in said
    assert seen.table_of(seen.chart("Training labels per client"))[0][:3] == ["site 0", "10", "9"]
    evaluation = seen.page.locator("#evaluation")
    expect(evaluation).to_contain_text("AUROC")
    expect(evaluation).not_to_contain_text("not available")
    assert evaluation.locator("figure").count() == 0


def look_at_numbers(seen: Visit) -> None:
    assert drawn(seen, "Predicted against true", ".scatterlayer .points path") == ROWS
    assert len(seen.table_of(seen.chart("Predicted against true"))) == ROWS
    assert drawn(seen, "Training Patient Age per client", ".bars .point path") == 2
    ages = seen.table_of(seen.chart("Training Patient Age per client"))
    assert ages[0] == ["site 0", "10", "20", "60.5000"]
    evaluation = seen.page.locator("#evaluation")
    expect(evaluation).to_contain_text("MAE")
    expect(evaluation).not_to_contain_text("not available")
    expect(seen.page.locator(".run-facts")).to_contain_text("Best MAE (validation)")
    assert seen.page.locator("#labels").count() == 0


def look_at_clusters(seen: Visit) -> None:
    assert drawn(seen, "Cluster map", ".scatterlayer .points path") == ROWS
    assert drawn(seen, "Cluster profiles", ".heatmaplayer image") == 1
    rows = seen.table_of(seen.chart("Cluster profiles"))
    assert sum(int(row[1]) for row in rows) == ROWS
    assert len(rows) == 3
    assert "<b>age</b>" in seen.chart("Cluster profiles").inner_text()
    evaluation = seen.page.locator("#evaluation")
    expect(evaluation).to_contain_text("silhouette 0.")
    expect(evaluation).not_to_contain_text("not available")
    assert evaluation.locator("figure").count() == 0
    expect(seen.page.locator(".run-facts")).to_contain_text("Best inertia (validation)")


def look_at_scores(seen: Visit) -> None:
    chart = seen.chart("Score over time")
    assert drawn(seen, "Score over time", ".scatterlayer .js-line") == 1
    assert drawn(seen, "Score over time", ".scatterlayer .points path") == int((RATIOS > 1).sum())
    rows = seen.table_of(chart)
    assert [row[2] for row in rows] == [str(place) for place in CLASSES]
    assert f"{ROWS} test examples, in order of time, 2 series one behind the other" in chart.inner_text()
    evaluation = seen.page.locator("#evaluation")
    expect(evaluation).to_contain_text("missed alarm rate")
    expect(evaluation).not_to_contain_text("not available")
    assert evaluation.locator("figure").count() == 0


def look_at_forecasts(seen: Visit) -> None:
    assert drawn(seen, "Forecasts", ".scatterlayer .lines path") == 3 * 5  # true, forecast, floor, band
    assert drawn(seen, "Error by step ahead", ".scatterlayer .lines path") == 3
    rows = seen.table_of(seen.chart("Error by step ahead"))
    assert [row[0] for row in rows] == [str(step) for step in range(1, STEPS + 1)]
    assert "<b>load</b>" in seen.chart("Forecasts").inner_text()
    expect(seen.chart("Predicted against true")).to_contain_text(f"{ROWS * STEPS} test steps")
    evaluation = seen.page.locator("#evaluation")
    expect(evaluation).to_contain_text("MAE, seasonal floor")
    expect(evaluation).not_to_contain_text("not available")
    assert evaluation.locator("figure").count() == 0
