"""What the comparison's page says about runs whose curves are known by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from shared.config.config import Config

if TYPE_CHECKING:
    from tests.e2e.page_kit import Open, Server, Visit

pytest_plugins = ["tests.e2e.page_kit"]
Make = Callable[..., Config]
ACCURACY = "val/accuracy"


def compare(seen: Visit, ids: list[int], query: str = "") -> None:
    """Open the comparison of some runs in a page that is open already."""
    base = seen.page.url.split("/", 3)
    seen.page.goto(f"{base[0]}//{base[2]}/compare?runs={','.join(map(str, ids))}{query}")


def traces(seen: Visit, title: str) -> dict[str, dict[str, Any]]:
    """What Plotly was given, by name."""
    plot = seen.chart(title).locator(".plot")
    given = plot.evaluate("(plot) => plot.data.map(({name, x, y, yaxis}) => ({name, x, y, yaxis}))")
    return {trace["name"]: trace for trace in given}


def sentence(seen: Visit) -> Any:
    return seen.page.locator(".hero-sentence")


def notes(seen: Visit) -> Any:
    return seen.page.locator(".hero-picture figcaption")


def test_runs_of_other_data_have_no_gap(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        cfg = make_config("seed=1")
        other = cfg.replace("data", split_seed=7)
        one = add_run(store, cfg, "centralized", {ACCURACY: [0.5, 0.9]})
        two = add_run(store, other, "federated", {ACCURACY: [0.4, 0.7]})
    seen = visit(f"{shown.url}/compare?runs={one},{two}")
    expect(sentence(seen)).to_have_text(
        "Latest validation accuracy: pooled 0.900, federated 0.700. No gap: the runs are tested "
        f"on different data (data.split_seed is 0 in run {one}, 7 in run {two})."
    )
    assert "Gap" not in traces(seen, "Accuracy (validation)")
    expect(notes(seen)).to_contain_text("No gap: the runs are tested on different data")


def test_warnings_stand_above_the_comparison_and_on_the_runs_page(
    shown: Server, visit: Open, make_config: Make
) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        cfg = make_config("seed=1")
        one = add_run(store, cfg, "centralized", {ACCURACY: [0.5, 0.9]})
        two = add_run(store, cfg, "federated", {ACCURACY: [0.4, 0.7]})
        store.runs.update(two, summary={"warnings": ["never predicts b"]})
    seen = visit(f"{shown.url}/compare?runs={one},{two}")
    expect(seen.page.locator(".warnings li")).to_have_text(["federated: never predicts b"])
    seen.page.goto(f"{shown.url}/runs/{two}")
    expect(seen.page.locator(".run-notes .warnings li")).to_have_text(["never predicts b"])
    seen.page.goto(f"{shown.url}/compare?runs={one}")
    expect(seen.page.locator(".warnings")).to_have_count(0)


def test_runs_of_other_settings_are_lines_of_their_own(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        ids = []
        for strategy, reached in (("fedavg", 0.8), ("fedprox", 0.7)):
            for seed in (1, 2):
                cfg = make_config(f"strategy={strategy}", f"seed={seed}")
                parent = store.runs.create(name="c", training_mode="compare", config={}, seed=1)
                ids.append(add_run(store, cfg, "centralized", {ACCURACY: [0.5, 0.9]}, parent_id=parent))
                ids.append(add_run(store, cfg, "federated", {ACCURACY: [0.5, reached]}, parent_id=parent))
    seen = visit(f"{shown.url}/compare?runs={','.join(map(str, ids))}")
    buttons = seen.page.locator(".hero-legend button")
    expect(buttons).to_have_text(
        [
            "Pooled, mean of 4 runs0.900",
            "Federated (strategy.name=fedavg), mean of 2 runs0.800",
            "Federated (strategy.name=fedprox), mean of 2 runs0.700",
        ]
    )
    found = traces(seen, "Accuracy (validation)")
    for strategy, reached in (("fedavg", 0.8), ("fedprox", 0.7)):
        line = found[f"Federated (strategy.name={strategy}), mean of 2 runs"]
        assert line["y"] == pytest.approx([0.5, reached])
        assert found[f"Gap (strategy.name={strategy})"]["y"] == pytest.approx([0, 0.9 - reached])
    expect(sentence(seen)).to_contain_text(
        "the federated model (strategy.name=fedavg) is 0.100 worse than the pooled one"
    )
    expect(sentence(seen)).to_contain_text(
        "the federated model (strategy.name=fedprox) is 0.200 worse than the pooled one"
    )
    buttons.nth(2).click()
    seen.until(lambda: "hide=federated-2" in seen.page.url, "the group in the address")
    seen.until(
        lambda: not any("fedprox" in name for name in traces(seen, "Accuracy (validation)")),
        "neither its lines nor its gap",
    )
    assert [name for name in traces(seen, "Accuracy (validation)") if "fedavg" in name]


def test_a_pair_that_differs_in_more_is_named(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        cfg = make_config("seed=1")
        one = add_run(store, cfg, "centralized", {ACCURACY: [0.9]})
        two = add_run(store, cfg.replace("model", hidden=7), "federated", {ACCURACY: [0.7]})
    seen = visit(f"{shown.url}/compare?runs={one},{two}")
    expect(notes(seen)).to_contain_text(
        "Not twins: the runs of a pair also differ in other settings (model.hidden is"
    )


def test_two_seeds_are_thin_lines_and_no_band(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        ids = []
        for seed, reached in ((1, 0.8), (2, 0.7), (3, 0.75)):
            cfg = make_config(f"seed={seed}")
            ids.append(add_run(store, cfg, "centralized", {ACCURACY: [0.5, 0.9]}))
            ids.append(add_run(store, cfg, "federated", {ACCURACY: [0.5, reached]}))
    seen = visit(f"{shown.url}/compare?runs={','.join(map(str, ids[:4]))}")
    found = traces(seen, "Accuracy (validation)")
    assert found["Gap, seed 1"]["y"] == pytest.approx([0, 0.1])
    assert found["Gap, seed 2"]["y"] == pytest.approx([0, 0.2])
    assert "low" not in found
    expect(notes(seen)).to_contain_text("No interval: 2 seeds are too few")
    expect(sentence(seen)).to_have_text(
        "At 200 examples seen, the federated model is 0.150 worse than the pooled one in validation accuracy."
    )
    compare(seen, ids)
    seen.until(lambda: "low" in traces(seen, "Accuracy (validation)"), "the band")
    expect(sentence(seen)).to_contain_text("95 % CI, t interval over 3 seeds, on validation.")


def test_no_difference_is_called_equal(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        ids = []
        for seed in (1, 2, 3):
            cfg = make_config(f"seed={seed}")
            ids += [add_run(store, cfg, mode, {ACCURACY: [0.1, 0.7]}) for mode in ("centralized", "federated")]
    seen = visit(f"{shown.url}/compare?runs={','.join(map(str, ids))}")
    expect(sentence(seen)).to_have_text(
        "At 200 examples seen, the federated model is equal to the pooled one in validation accuracy."
    )


def twins(store: Any, make_config: Make, *, seeds: int = 1, local: bool = False, **tests: Any) -> list[int]:
    """Finished twins with a macro F1 beside their accuracy."""
    from tests.e2e.curves_kit import add_run

    ids = []
    for seed in range(1, seeds + 1):
        cfg = make_config(f"seed={seed}")
        for mode, reached in (("centralized", 0.9), ("federated", 0.7)) + ((("local", 0.95),) if local else ()):
            curves = {ACCURACY: [0.5, reached], "val/f1": [0.4, reached - 0.1]}
            ids.append(add_run(store, cfg, mode, curves, test=tests.get(mode)))
    return ids


def test_only_a_client_of_its_own_is_not_comparable_on_validation(
    shown: Server, visit: Open, make_config: Make
) -> None:
    from tests.e2e.curves_kit import store_of

    with store_of(shown) as store:
        ids = twins(store, make_config, local=True)
        tested = twins(store, make_config, centralized={"f1": 0.85}, federated={"f1": 0.8})
    seen = visit(f"{shown.url}/compare?runs={','.join(map(str, ids))}")
    expect(notes(seen)).to_contain_text("Local is not drawn: each client alone is validated on its own rows")
    assert not any("Local" in name for name in traces(seen, "Accuracy (validation)"))
    compare(seen, ids[:2])
    expect(sentence(seen)).to_contain_text("0.200 worse")
    expect(notes(seen)).not_to_contain_text("its own rows")
    compare(seen, ids[:2], "&metric=f1")
    expect(notes(seen)).to_contain_text("No interval: one seed only")
    expect(sentence(seen)).to_have_text(
        "At 200 examples seen, the federated model is 0.200 worse than the pooled one in validation F1."
    )
    compare(seen, tested, "&metric=f1&stage=test")
    expect(sentence(seen)).to_contain_text(
        "In the final test the federated model is 0.050 worse than the pooled one in F1."
    )


def test_there_is_no_yet_after_the_end(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import store_of

    with store_of(shown) as store:
        ids = twins(store, make_config, seeds=2, centralized={"accuracy": 0.9}, federated={"accuracy": 0.8})
    seen = visit(f"{shown.url}/compare?runs={','.join(map(str, ids))}&stage=test")
    expect(notes(seen)).to_contain_text("No gap: a pooled model is tested only once, at the end")
    expect(sentence(seen)).to_contain_text(
        "In the final test the federated model is 0.100 worse than the pooled one in accuracy, mean of 2 seeds."
    )


def test_the_axis_of_a_share_stays_within_its_range(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        ids = [
            add_run(store, make_config("seed=1"), mode, {ACCURACY: [1.0, 1.0]})
            for mode in ("centralized", "federated")
        ]
    seen = visit(f"{shown.url}/compare?runs={ids[0]},{ids[1]}")
    plot = seen.chart("Accuracy (validation)").locator(".plot")
    low, high = plot.evaluate("(plot) => plot._fullLayout.yaxis.range")
    assert -0.03 < low < 1 < high < 1.03
    seen = visit(f"{shown.url}/runs/{ids[0]}")
    low, high = seen.chart("Accuracy").locator(".plot").evaluate("(plot) => plot._fullLayout.yaxis.range")
    assert 0 < low < 1 < high < 1.03


def test_an_address_that_makes_no_sense_is_no_error(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import store_of

    with store_of(shown) as store:
        ids = twins(store, make_config)
    seen = visit(f"{shown.url}/compare?runs={ids[0]},{ids[1]}&metric=foo&stage=foo&over=foo&hide=foo")
    expect(sentence(seen)).to_contain_text("in validation accuracy")
    seen.until(lambda: "metric=" not in seen.page.url, "the address without it")


def test_the_list_counts_the_runs_that_will_come(shown: Server, visit: Open, make_config: Make) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        cfg = make_config("compare.seeds=[1,2]", "compare.local_only=true", "federation.num_clients=4")
        parent = store.runs.create(name="c", training_mode="compare", config=cfg.snapshot(), seed=1)
        add_run(store, cfg, "centralized", {ACCURACY: [0.5]}, parent_id=parent)
        seen = visit(f"{shown.url}/?status=foo&mode=bar")  # of an address that makes no sense
        expect(seen.page.locator(".status-detail").first).to_have_text("1 of 12 runs finished")
        expect(seen.page.get_by_role("combobox", name="Status")).to_have_value("")
        store.runs.finish(parent, "stopped")


def test_only_runs_that_have_come_to_a_value_are_in_a_mean(
    shown: Server, visit: Open, make_config: Make
) -> None:
    from tests.e2e.curves_kit import add_run, store_of

    with store_of(shown) as store:
        ids = [add_run(store, make_config("seed=1"), "federated", {ACCURACY: [0.5]})]
        ids.append(add_run(store, make_config("seed=2"), "federated", {}))
        seen = visit(f"{shown.url}/compare?runs={ids[0]},{ids[1]}")
        expect(seen.page.locator(".hero-legend button")).to_have_text("Federated0.500")


def test_a_search_is_seen_with_its_objectives_and_its_curves(shown: Server, visit: Open) -> None:
    from tests.e2e.curves_kit import store_of
    from tests.simulations.sweeps.report_kit import fill_search

    with store_of(shown) as store:
        sweep_id = fill_search(store, objectives=("metric", "bytes"))
    seen = visit(f"{shown.url}/runs/{sweep_id}")
    table = seen.page.get_by_role("table", name="Trials", exact=True)
    expect(table.locator("thead th")).to_have_text(
        ["Trial", "Settings", "Seed", "Status", "Accuracy (validation)", "Bytes", "Run"]
    )
    lines = table.locator("tbody tr")
    expect(lines.nth(5).locator("td")).to_contain_text(["lr=0.06", "1", "completed", "0.906", "6.00 MB", "run"])
    expect(lines.nth(6).locator(".status")).to_have_text("pruned")
    expect(lines.nth(10).locator(".status")).to_have_text("completed, tested")
    expect(seen.page.get_by_text("Best accuracy (validation): 0.906 (trial 6")).to_be_visible()
    expect(seen.page.get_by_text("3 trials pruned")).to_be_visible()
    seen.page.get_by_role("link", name="Compare curves").click()
    expect(seen.page.get_by_role("heading", name="Compare 8 runs")).to_be_visible()
    expect(seen.page.get_by_text(f"The 8 best of 10 choices of settings of sweep {sweep_id}")).to_be_visible()
    expect(seen.page.locator(".legend-item")).to_have_count(8)
