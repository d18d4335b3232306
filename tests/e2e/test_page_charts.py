"""Charts of a page that is watched follow the run: what has come is not only held but can be seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Route, expect

from shared.config.config import Config
from shared.metrics.point import MetricPoint
from shared.tracking.store import Store

if TYPE_CHECKING:
    from tests.e2e.page_kit import Open, Server, Visit

pytest_plugins = ["tests.e2e.page_kit"]
ROUNDS = 16
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SAY = """async (texts) => {
  const { announce } = await import("/static/js/announce.js");
  texts.forEach((text) => announce(text));
}"""
# Of each chart in view that has data: where its axes begin and end, and how far its data goes.
IN_VIEW = """() => [...document.querySelectorAll(".js-plotly-plot")].filter((plot) => {
  const box = plot.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight;
}).map((plot) => {
  const of = (key) => plot.data.flatMap((trace) => [...(trace[key] ?? [])]).filter(Number.isFinite);
  const { xaxis, yaxis } = plot._fullLayout;
  return { x: xaxis.range, y: yaxis.range, most: Math.max(...of("x")), values: of("y") };
}).filter((chart) => chart.values.length)"""


def add_round(store: Store, run_id: int, number: int) -> None:
    """Rows whose values leave, in every round, the range of all rounds before."""
    store.metrics.add(
        run_id,
        [
            MetricPoint(stage, name, number * scale, round=number)
            for stage in ("train", "val", "test")
            for name, scale in (("loss", -1.0), ("accuracy", 0.05))
        ],
    )


def test_the_axes_go_on_with_the_run(shown: Server, visit: Open, make_config: Callable[..., Config]) -> None:
    cfg = make_config(f"federation.num_rounds={ROUNDS}")
    with Store(f"sqlite:///{shown.home / 'fedtwin.db'}") as store:
        run_id = store.runs.create(name="long", training_mode="federated", config=cfg.snapshot(), seed=1)
        for number in (1, 2):
            add_round(store, run_id, number)
        seen = visit(f"{shown.url}/runs/{run_id}")
        seen.until(lambda: drawn_up_to(seen, 2), "the first rounds to be drawn")
        for number in range(3, ROUNDS + 1):
            add_round(store, run_id, number)
            seen.until(lambda last=number: drawn_up_to(seen, last), f"round {number} to be drawn")
        charts = seen.page.evaluate(IN_VIEW)
        store.runs.finish(run_id, "completed")
    assert len(charts) >= 2
    for chart in charts:
        assert holds(chart["x"], [1, ROUNDS]), chart
        assert holds(chart["y"], chart["values"]), chart


def drawn_up_to(seen: Visit, number: int) -> bool:
    """Whether there are charts, and all of them have come to a round."""
    charts = seen.page.evaluate(IN_VIEW)
    return bool(charts) and all(chart["most"] == number for chart in charts)


def holds(axis: list[Any], values: list[float]) -> bool:
    """Whether all values are within an axis."""
    return min(axis) <= min(values) and max(axis) >= max(values)


def test_the_longest_curve_says_how_many_ticks_there_are(
    shown: Server, visit: Open, make_config: Callable[..., Config]
) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        few = add_run(store, make_config(), "federated", {"val/accuracy": [0.5] * 3})
        many = add_run(
            store, make_config(), "federated", {"val/accuracy": [0.5] * 30}
        )  # no aggregated train/loss
    ticks = [dtick(visit(f"{shown.url}/runs/{run_id}")) for run_id in (few, many)]
    assert ticks == [1, None], "half a round is no tick; thousands of rounds are not as many"


def dtick(seen: Visit) -> float | None:
    given: float | None = (
        seen.chart("Accuracy").locator(".plot").evaluate("(plot) => plot.layout.xaxis.dtick ?? null")
    )
    return given


def test_a_timeline_says_nothing_before_its_rows_are_there(
    shown: Server, visit: Open, make_config: Callable[..., Config]
) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        run_id = add_run(store, make_config(), "federated", {"val/accuracy": [0.5] * 3}, end=False)
        store.rounds.add(
            run_id,
            round=1,
            began=store.runs.get(run_id).started,
            ended=store.runs.get(run_id).started + timedelta(seconds=1),
            sampled=[0],
            replied=[0],
            failed={},
            bytes_down=1,
            bytes_up=1,
            seconds=1.0,
        )
    seen = visit(shown.url)
    held: list[Route] = []
    opened = False

    def hold(route: Route) -> None:
        if opened:
            route.continue_()
        else:
            held.append(route)

    seen.page.route("**/api/runs/*/metrics?*", hold)
    seen.page.goto(f"{shown.url}/runs/{run_id}")
    figure = seen.chart("Timeline")
    seen.until(lambda: held, "the rows to be asked for")
    assert figure.locator("figcaption").text_content() == ""
    opened = True
    for route in list(held):
        route.continue_()
    expect(figure.locator("figcaption")).to_contain_text("Round 1: 1 training reply accepted, 0 dropped")


def test_no_time_is_left_of_a_run_that_is_silent(
    shown: Server, visit: Open, make_config: Callable[..., Config]
) -> None:
    from tests.e2e.curves_kit import store_of

    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with store_of(shown) as store:
        cfg = make_config("trainer.max_epochs=20")
        run_id = store.runs.create(name="silent", training_mode="centralized", config=cfg.snapshot(), seed=1)
        points = [
            MetricPoint("train", "loss", 1.0, epoch=epoch, time=long_ago + timedelta(seconds=10 * epoch))
            for epoch in range(1, 6)
        ]
        store.metrics.add(run_id, points)
        seen = visit(f"{shown.url}/runs/{run_id}")
        expect(seen.page.locator(".run-live strong")).to_have_text("Stale")
        expect(seen.page.locator(".run-progress-text")).to_have_text("Epoch 5 of 20")
        store.runs.finish(run_id, "stopped")


def test_announcements_leave_pauses(shown: Server, visit: Open) -> None:
    seen = visit(f"{shown.url}/compare")  # which has no stream that could say something too
    page = seen.page
    page.clock.install(time=NOON)
    page.reload()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    page.clock.pause_at(NOON + timedelta(hours=1))
    for texts in (["round 1"], ["round 2", "round 3"], ["round 4"]):
        page.evaluate(SAY, texts)
        page.clock.run_for(1_500)
    assert seen.noted("said")[-1] == "round 1", "the others wait"
    page.clock.run_for(1_000)
    assert seen.noted("said")[-2:] == ["round 1", "round 4"], "the newest one, 5 seconds after the first"
