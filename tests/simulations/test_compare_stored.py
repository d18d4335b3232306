"""Runs that are there are compared like twins, or it is said why they are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

import fedtwin
from fedtwin.cli.run_page import run_page
from service.comparison.comparison import compare as compare_on_page
from service.read.members import comparison_members
from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.show import run_json
from simulations.compare_stored import compare_stored
from simulations.execute import execute
from simulations.resuming import resume
from simulations.stored_pairs import find_pairs

SMALL = (
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "federation.workers=1",
    "compare.resamples=100",
)


@pytest.fixture
def cfg(make_config):
    return make_config(*SMALL)


def test_twins_of_a_comparison_give_its_gap_again_everywhere(cfg, store, home, tmp_path, monkeypatch):
    whole = store.runs.get(execute(cfg, "compare", store=store, home=home))
    pooled, federated = (run.id for run in store.runs.children(whole.id))
    run_id = compare_stored([federated, pooled], store=store, home=home, command="fedtwin compare --runs")
    again = store.runs.get(run_id)
    assert (again.status, again.training_mode) == ("completed", "compare")
    assert again.summary["gap"] == whole.summary["gap"]
    assert again.summary["twins"] == whole.summary["twins"]
    assert again.summary["warnings"] == whole.summary["warnings"]
    assert (home.comparison_dir(run_id) / "report.html").is_file()
    # Both comparisons have the same runs, which belong to the first.
    assert [run.parent_id for run in map(store.runs.get, (pooled, federated))] == [whole.id] * 2
    assert run_json(store, run_id)["children"] == [pooled, federated]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(run_page(store, run_id))
    assert f"{pooled} (pooled), {federated} (federated)" in console.export_text()
    assert [one["id"] for one in comparison_members(store, again)["members"]] == [pooled, federated]
    told = [compare_on_page(store, [run], metric=None, stage="test")["final"] for run in (whole, again)]
    assert told[0] == told[1] != []
    assert fedtwin.load_comparison(run_id).sentence == fedtwin.load_comparison(whole.id).sentence
    with pytest.raises(TrackingError, match="compares stored runs and trained nothing"):
        resume(run_id, store=store, home=home)

    own = compare_stored(
        [pooled, federated],
        store=store,
        home=home,
        settings=["compare.confidence=0.5", "name=mine"],
        command="x",
    )
    row = store.runs.get(own)
    assert (row.name, row.summary["gap"][0]["confidence"]) == ("mine", 0.5)
    with pytest.raises(ConfigError, match=r"compare\.metric must be one of"):
        compare_stored(
            [pooled, federated], store=store, home=home, settings=["compare.metric=acuracy"], command="x"
        )
    with pytest.raises(ConfigError, match="seed=3 has no effect on runs that are trained"):
        compare_stored([pooled, federated], store=store, home=home, settings=["seed=3"], command="x")

    arrays = dict(np.load(cfg.data.path))
    arrays["test_labels"][:2] = 1 - arrays["test_labels"][:2]
    moved = tmp_path / "changed.npz"
    np.savez(moved, **arrays)
    changed = {**store.runs.get(federated).config, "data": {**cfg.snapshot()["data"], "path": str(moved)}}
    store.runs.claim(federated, config=changed, resume=True)
    store.runs.finish(federated, "completed")
    with pytest.raises(TrackingError, match=f"the data of run {federated} has changed since: the test rows"):
        compare_stored([pooled, federated], store=store, home=home, command="x")


@pytest.fixture
def add(store, cfg):
    """A completed run, with some settings and keys of its test rows."""

    def make(mode, *, status="completed", seed=42, key="a" * 32, **sections):
        config = {**cfg.replace("", seed=seed).snapshot()}
        for section, values in sections.items():
            config[section] = {**config[section], **values}
        run_id = store.runs.create(name="x", training_mode=mode, config=config, seed=seed)
        if key is not None:
            store.runs.update(run_id, summary={"row_keys": {"test": {"rows": 9, "key": key}}})
        store.runs.finish(run_id, status)
        return store.runs.get(run_id)

    return make


def refused(*runs):
    with pytest.raises(TrackingError) as error:
        find_pairs(runs)
    return str(error.value)


def test_what_is_no_pair_is_named(add):
    pooled, federated = add("centralized"), add("federated")
    assert "there is no federated run among them" in refused(pooled)
    assert "there is no pooled run among them" in refused(federated)
    assert "is a comparison run; expected pooled and federated ones" in refused(pooled, add("compare"))
    broken = add("federated", status="stopped")
    assert f"run {broken.id} (federated) is stopped, not completed" in refused(pooled, broken)
    other = add("federated", seed=7)
    assert f"run {other.id} (federated) has the seed 7, the others run {pooled.id}: 42" in refused(
        pooled, other
    )
    assert "several federated runs have the seed 42" in refused(pooled, federated, add("federated"))


def test_what_differs_is_named_with_both_values(add):
    pooled = add("centralized")
    apart = add("federated", key="b" * 32)
    assert f"the test rows: 9 (key aaaaaaaa) in run {pooled.id}, 9 (key bbbbbbbb) in run {apart.id}" in refused(
        pooled, apart
    )
    wide = add("federated", model={"hidden": 99})
    assert f"model.hidden: 8 in run {pooled.id}, 99 in run {wide.id}" in refused(pooled, wide)
    old = add("federated", key=None, data={"split_seed": 3})  # of a version without keys
    assert "data.split_seed: 0 in run" in refused(pooled, old)


def test_seeds_are_paired_and_other_settings_are_warned_of(add):
    runs = [add("federated", seed=2), add("centralized", seed=1), add("centralized", seed=2)]
    runs.append(add("federated", seed=1, trainer={"label_smoothing": 0.2}, strategy={"fraction_train": 0.5}))
    pairs = find_pairs(runs)
    assert (pairs.twins.seeds, pairs.twins.pooled, pairs.twins.federated) == (
        [1, 2],
        [runs[1].id, runs[2].id],
        [runs[3].id, runs[0].id],
    )
    (warning,) = pairs.warnings
    assert "trainer.label_smoothing is 0.0 in run" in warning
    assert "and 0.2 in run" in warning
