"""The contract of the model registry: completed runs become versions; aliases move, with a history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.model_guard import GuardedRun
from shared.tracking.model_rows import BelowThreshold, NoRollback, NotRegistered
from shared.tracking.pruning import Choice, candidates
from shared.tracking.store import Store

CONFIG = {
    "name": "ward 7",
    "seed": 1,
    "task": {"_target_": "a.Task", "name": "image_classification"},
    "data": {"path": "a.zip", "image_size": 28, "channels": 1},
    "model": {"name": "cnn"},
    "trainer": {"max_epochs": 2},
    "federation": {"num_rounds": 2},
}
SCHEMA = {"classes": ["a", "b"], "inputs": [], "targets": [], "horizon": 0, "levels": []}


def complete(store: Store, *, f1=0.8, mode="centralized", name="ward 7", **changes) -> int:
    """A completed run; changes are settings with dots as two underscores, or the schema's."""
    config, schema = deepcopy(CONFIG), dict(SCHEMA)
    for key, value in changes.items():
        section, _, setting = key.partition("__")
        if section in schema:
            schema[section] = value
        elif setting:
            config[section][setting] = value
        else:
            config[section] = value
    run_id = store.runs.create(name=name, training_mode=mode, config=config, seed=1)
    store.runs.update(run_id, summary={"schema": schema, "test": {"f1": f1, "accuracy": 0.9}})
    store.runs.finish(run_id, "completed")
    return run_id


def versions(store: Store, name: str = "ward-7") -> list[str]:
    return [row.version for row in store.models.versions(name)]


class TestNumbers:
    def test_what_raises_which_part(self, store):
        steps = [
            ({}, "1.0.0", "the first version"),
            ({"seed": 2}, "1.0.1", "the same settings, seed 2, before 1"),
            ({"seed": 2, "data__path": "b.zip"}, "1.0.2", "the same settings, the same seed"),
            ({"trainer__max_epochs": 3}, "1.1.0", "trainer.max_epochs: 3, before 2"),
            ({"trainer__max_epochs": 3, "federation__num_rounds": 9}, "1.1.1", "the same settings"),
            ({"trainer__max_epochs": 3, "mode": "federated"}, "1.2.0", "federated training, before pooled"),
            ({"data__image_size": 64}, "2.0.0", "other image size: 64, before 28"),
            ({"data__image_size": 64, "classes": ["a", "c"]}, "3.0.0", "other classes: a, c, before a, b"),
        ]
        for changes, expected, reason in steps:
            row = store.models.of_run(complete(store, **changes))
            assert (row.version, row.model) == (expected, "ward-7")
            assert reason in row.reason
        assert versions(store) == [expected for _, expected, _ in reversed(steps)]
        assert store.models.resolve("ward-7").version == "3.0.0"
        newest = store.models.versions("ward-7", limit=2)
        older = store.models.versions("ward-7", before=newest[-1], limit=3)
        assert [row.version for row in older] == ["1.2.0", "1.1.1", "1.1.0"]

    def test_a_number_is_never_used_again(self, store):
        complete(store)
        store.runs.delete(complete(store))
        assert versions(store) == ["1.0.0"]
        assert store.models.of_run(complete(store)).version == "1.0.2"

    @pytest.mark.parametrize("mode", ["local", "compare", "sweep"])
    def test_what_has_no_model_of_its_own_is_no_version(self, store, mode):
        assert store.models.of_run(complete(store, mode=mode)) is None
        assert store.models.search() == []

    def test_failed_runs_are_no_versions(self, store):
        run_id = store.runs.create(name="x", training_mode="centralized", config=CONFIG, seed=1)
        store.runs.update(run_id, summary={"schema": SCHEMA})
        store.runs.finish(run_id, "failed")
        assert store.models.of_run(run_id) is None
        with pytest.raises(NotRegistered, match="expected a completed pooled or federated run"):
            store.models.register(run_id)

    def test_a_run_that_was_trained_on_has_a_new_number(self, store):
        run_id = complete(store)
        store.runs.claim(run_id, resume=True, config={**CONFIG, "trainer": {"max_epochs": 5}})
        store.runs.finish(run_id, "completed")
        assert store.models.of_run(run_id).version == "1.1.0"
        assert versions(store) == ["1.1.0"]
        assert store.models.register(run_id).version == "1.1.0", "it is registered already"

    def test_runs_that_complete_together(self, store):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: complete(store), range(8)))
        assert versions(store) == [f"1.0.{number}" for number in range(7, -1, -1)]

    def test_names_are_words_of_a_url(self, store):
        for name, expected in (("Röntgen: a/b", "R-ntgen-a-b"), ("42", "model-42"), ("///", "model")):
            assert store.models.of_run(complete(store, name=name)).model == expected
        assert [row.name for row in store.models.search()] == ["R-ntgen-a-b", "model", "model-42"]


class TestAliases:
    def test_promotion_and_rollback_with_history(self, store):
        for f1 in (0.8, 0.9, 0.85):
            complete(store, f1=f1)
        for version in ("1.0.0", "1.0.1", "1.0.2"):
            assert store.models.promote("ward-7", version).aliases == ("production",)
        assert store.models.rollback("ward-7").version == "1.0.1"
        assert store.models.rollback("ward-7").version == "1.0.0"
        with pytest.raises(NoRollback, match=r"named no version before 1\.0\.0"):
            store.models.rollback("ward-7")
        assert store.models.promote("ward-7").version == "1.0.2"
        assert store.models.rollback("ward-7").version == "1.0.0", "what it named just before"
        kinds = [(event.kind, event.version) for event in store.models.history("ward-7")]
        assert kinds == [
            ("rolled_back", "1.0.0"),
            ("promoted", "1.0.2"),
            ("rolled_back", "1.0.0"),
            ("rolled_back", "1.0.1"),
            *[("promoted", version) for version in ("1.0.2", "1.0.1", "1.0.0")],
        ]
        assert store.models.history("ward-7")[-1].detail == "reached f1>=0.7"

    def test_production_is_above_a_threshold(self, store):
        complete(store, f1=0.69)
        with pytest.raises(BelowThreshold, match=r"1\.0\.0 of model ward-7 .* f1>=0\.7: f1 is 0\.69"):
            store.models.promote("ward-7")
        assert store.models.promote("ward-7", alias="candidate").aliases == ("candidate",)
        row = store.models.set_threshold("ward-7", " f1 >= 0.6, accuracy>=0.95")
        assert row.threshold == "f1>=0.6,accuracy>=0.95"
        with pytest.raises(BelowThreshold, match=r"accuracy is 0\.9"):
            store.models.promote("ward-7", "candidate")
        store.models.set_threshold("ward-7", "rmse<=3")
        with pytest.raises(BelowThreshold, match=r"rmse was not measured .*\(accuracy, f1 was\)"):
            store.models.promote("ward-7")
        store.models.set_threshold("ward-7", "none")
        assert store.models.promote("ward-7", "candidate").aliases == ("candidate", "production")
        assert store.models.history("ward-7")[1].detail == "none, before rmse<=3"

    def test_a_model_without_f1_needs_a_threshold_first(self, store):
        run_id = store.runs.create(name="age", training_mode="centralized", config=CONFIG, seed=1)
        store.runs.update(run_id, summary={"schema": SCHEMA, "test": {"rmse": 2.0}})
        store.runs.finish(run_id, "completed")
        with pytest.raises(BelowThreshold, match=r"no quality threshold yet.*threshold age 'rmse<=3\.5'"):
            store.models.promote("age")
        store.models.set_threshold("age", "rmse<=2")
        assert store.models.promote("age").version == "1.0.0"

    @pytest.mark.parametrize("threshold", ["f1", "f1>0.7", "f1>=", "f1>=nan", "f1>=0.7;", "f1>=1.2.3"])
    def test_what_is_no_threshold(self, store, threshold):
        complete(store)
        with pytest.raises(ConfigError, match="expected a threshold such as"):
            store.models.set_threshold("ward-7", threshold)

    def test_what_is_not_there(self, store):
        complete(store)
        with pytest.raises(NotRegistered, match="there is no model 'x'"):
            store.models.get("x")
        for ref in ("production", "1.0.9", "9999999999.0.0", "no such", "x\0"):
            with pytest.raises(NotRegistered, match="has no version"):
                store.models.resolve("ward-7", ref)
        for alias in ("latest", "1.0.0", "Production", "x" * 41):
            with pytest.raises(ConfigError, match="an alias is a word"):
                store.models.promote("ward-7", alias=alias)
        with pytest.raises(NotRegistered, match="alias"):
            store.models.rollback("ward-7")

    def test_an_alias_that_was_removed_begins_anew(self, store):
        complete(store), complete(store)
        store.models.promote("ward-7", "1.0.0")
        store.models.remove_alias("ward-7", "production")
        store.models.promote("ward-7", "1.0.1")
        with pytest.raises(NoRollback):
            store.models.rollback("ward-7")


class TestGuard:
    def test_runs_of_named_versions_stay(self, store, tmp_path):
        first, second, third = complete(store), complete(store), complete(store)
        for run_id in (first, second, third):
            store.models.promote("ward-7", store.models.of_run(run_id).version)
        with pytest.raises(GuardedRun, match=r"version 1\.0\.2 of model ward-7 \(production\) stands on run 3"):
            store.runs.delete(third)
        with pytest.raises(GuardedRun, match=r"1\.0\.1 .*what production would be rolled back to.*--force"):
            store.runs.delete(second)
        with pytest.raises(GuardedRun, match=f"model.weights=registry:{third}"):
            store.runs.claim(third, resume=True)
        kept = {one.runs[0].id: one.kept_because for one in candidates(store, _Home(), Choice())}
        assert [bool(kept[run_id]) for run_id in (first, second, third)] == [False, True, True]
        assert store.runs.delete(first) == [first]
        assert store.runs.delete(third, force=True) == [third]
        with pytest.raises(NotRegistered):
            store.models.resolve("ward-7", "production")
        assert store.runs.delete(second) == [second], "the alias went with its version"
        assert (store.models.get("ward-7").latest, store.models.get("ward-7").versions) == (None, 0)
        assert store.models.history("ward-7")[0].version == "1.0.2", "history outlives runs"

    def test_a_comparison_with_a_named_twin(self, store):
        parent = store.runs.create(name="ward 7", training_mode="compare", config=CONFIG, seed=1)
        child = store.runs.create(
            name="ward 7", training_mode="centralized", config=CONFIG, seed=1, parent_id=parent
        )
        store.runs.update(child, summary={"schema": SCHEMA, "test": {"f1": 1.0}})
        for run_id in (child, parent):
            store.runs.finish(run_id, "completed")
        store.models.promote("ward-7")
        with pytest.raises(TrackingError, match=f"stands on run {child}"):
            store.runs.delete(parent, with_children=True)
        assert store.runs.delete(parent) == [parent]


class _Home:
    def files_of(self, run_id: int) -> list:
        return []
