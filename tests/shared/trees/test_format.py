"""Files of trees: read as they were written, and refused by name whatever else they hold."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.errors import TreesError
from shared.trees.format import dumps, load, loads, save
from shared.trees.model import TreeEnsemble
from shared.trees.objectives import objective_of
from shared.trees.settings import TreeSettings
from tests.fuzzing import draws
from tests.shared.trees.trees_kit import table, train

DATA = table()
SMALL = TreeSettings(rounds=2, max_depth=3, min_samples_leaf=2)
MODELS = {
    name: train(
        DATA, "pooled", objective_of(name, 3), TreeSettings(rounds=2, max_depth=3, min_samples_leaf=2)
    ).ensemble
    for name in ("logistic", "softmax", "poisson", "squared_error")
}
WRITTEN: dict[str, Any] = {name: json.loads(dumps(model)) for name, model in MODELS.items()}


def refused(content: Any) -> str:
    with pytest.raises(TreesError) as caught:
        loads(json.dumps(content).encode())
    return str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    model, path = MODELS[name], tmp_path / "new" / "model.json"
    save(model, path)
    read = load(path)
    assert read == model
    assert np.array_equal(read.predict(DATA.inputs), model.predict(DATA.inputs))
    assert dumps(read) == path.read_bytes()
    assert any(any(tree.levels) for trees in model.rounds for tree in trees)


def test_a_model_without_rounds() -> None:
    model = TreeEnsemble(MODELS["logistic"].features, objective_of("logistic"), np.zeros(1), ())
    assert loads(dumps(model)) == model
    assert model.importance().tolist() == [0.0] * 9
    assert model.predict(DATA.inputs[:2]).tolist() == [[0.5, 0.5]] * 2


TREE_EDITS: dict[str, tuple[str, Any, str]] = {
    "a child of itself": ("left", lambda own: [0, *own[1:]], "children need higher numbers"),
    "a child that is not there": ("right", lambda own: [len(own), *own[1:]], "a child is missing"),
    "a child of two": ("left", lambda own: [own[0], own[0] if own[1] > 0 else own[1], *own[2:]], ""),
    "no child": ("right", lambda own: [-1, *own[1:]], "children need higher numbers"),
    "an input that is not there": ("feature", lambda own: [9, *own[1:]], "expected an input below 9"),
    "a leaf that divides": ("threshold", lambda own: [*own[:-1], 1.0], "a leaf divides nothing"),
    "a leaf with children": ("feature", lambda own: [-1, *own[1:]], "a leaf has children"),
    "too short": ("gain", lambda own: own[:-1], "entries of gain, got"),
    "no number": ("value", lambda own: [*own[:-1], None], "Input should be a valid number"),
    "infinite": ("value", lambda own: [*own[:-1], 1e300], "value.14: Input should be less than or equal to 1"),
    "negative": ("rows", lambda own: [-1, *own[1:]], "greater than or equal to 0"),
    "not of the children": ("rows", lambda own: [own[0] + 1, *own[1:]], "rows are not those of the children"),
    "a truth value as a number": ("feature", lambda own: [True, *own[1:]], "valid integer"),
    "a value inside": ("value", lambda own: [1.0, *own[1:]], "only leaves have values"),
    "levels of a leaf": ("levels", lambda own: [*[[]] * (7 if not own else len(own) - 1), [1]], ""),
}


@pytest.mark.parametrize("edit", TREE_EDITS)
def test_damaged_trees_are_refused(edit: str) -> None:
    name, change, said = TREE_EDITS[edit]
    content = copy.deepcopy(WRITTEN["logistic"])
    tree = content["rounds"][1][0]
    tree[name] = change(tree[name])
    assert said in refused(content)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"version": 2}, "version: Input should be 1"),
        ({"format": "xgboost"}, "format: Input should be 'fedtwin-trees'"),
        ({"objective": "os.system"}, "objective: expected one of"),
        ({"classes": 3}, "classes: expected 0 for logistic, got 3"),
        ({"objective": "softmax", "classes": 3}, "start: expected 3 numbers, got 1"),
        ({"objective": "softmax", "classes": 0}, "classes: expected 2 to 1000"),
        ({"start": [0.0, 0.0]}, "start: expected 1 numbers, got 2"),
        ({"rounds": [[]]}, "round 0: expected 1 trees, got 0"),
        ({"features": []}, "features: List should have at least 1 item"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_damaged_models_are_refused(edit: dict[str, Any], said: str) -> None:
    assert said in refused(WRITTEN["logistic"] | edit)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x01.",
        b"{" * 100_000,
        b"[" * 1_000_000,
        b'{"format": ' + b"9" * 10_000 + b"}",
        dumps(MODELS["logistic"])[:-5],
        dumps(MODELS["logistic"]).replace(b'"value":[0.0', b'"value":[NaN'),
        dumps(MODELS["logistic"]).replace(b'"start":[', b'"start":[1e999,'),
        b"\xff\xfe" + dumps(MODELS["logistic"]),
    ],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(TreesError, match=r"^the model "):
        loads(data)


def test_a_file_without_end_is_refused_before_it_is_read() -> None:
    with pytest.raises(TreesError, match="/dev/zero has 268,435,457 bytes"):
        load(Path("/dev/zero"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(TreesError, match="cannot be read"):
            load(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, -1, 1, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Each place in some JSON."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@given(st.data())
@settings(max_examples=draws(150))
def test_any_change_gives_a_model_that_predicts_or_a_named_error(data: st.DataObject) -> None:
    content = copy.deepcopy(WRITTEN[data.draw(st.sampled_from(sorted(WRITTEN)))])
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(content)[1:]))
        holder = content
        for key in path:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = data.draw(JSON)
        else:
            del holder[last]
    try:
        model = loads(json.dumps(content).encode())
    except TreesError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a logarithm of a mean may overflow
        predicted = model.predict(np.zeros((3, len(model.features))))
    assert len(predicted) == 3


@given(st.binary(max_size=200))
@settings(max_examples=draws(50))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TreesError):
        loads(data)
