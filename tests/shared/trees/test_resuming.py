"""Clients and servers that begin anew in the middle of a training end with the model of one without a break."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.errors import ConfigError, DivergedError, FederationError, TreesError
from shared.trees.checkpoint import Checkpoint
from shared.trees.messages import Begin, Count, Grow, Question
from shared.trees.objectives import Objective, objective_of
from shared.trees.server import ServerGrower
from shared.trees.settings import TreeSettings
from shared.trees.wire import packed, unpacked
from tests.fuzzing import draws
from tests.shared.trees.trees_kit import clients_of, divided, table, train

DATA = table(120)
PARTS = divided(120, "random", signal=DATA.signal)
CASES = {
    "depthwise": ("softmax", {"subsample": 0.7, "colsample": 0.6}),
    "leafwise": ("logistic", {"growth": "leafwise", "max_leaves": 6}),
    "early": ("squared_error", {"rounds": 40, "learning_rate": 0.9, "patience": 2}),
}


def case(which: str) -> tuple[Objective, TreeSettings]:
    name, more = CASES[which]
    return objective_of(name, 3), TreeSettings(**({"rounds": 4, "max_depth": 4, "min_samples_leaf": 3} | more))


def stored(checkpoint: Checkpoint) -> dict[str, Any]:
    file = io.BytesIO()
    np.savez(file, **checkpoint.to_arrays())  # type: ignore[arg-type]
    return dict(np.load(io.BytesIO(file.getvalue()), allow_pickle=False))


@pytest.mark.parametrize("which", CASES)
@pytest.mark.parametrize("every", [1, 3])
def test_clients_that_begin_anew_and_questions_on_the_wire(which: str, every: int) -> None:
    objective, chosen = case(which)
    server = ServerGrower(DATA.features, objective=objective, settings=chosen)
    clients = clients_of(DATA, PARTS, objective)
    while (question := server.ask()) is not None:
        if question.step % every == 0 and server.past:
            clients = clients_of(DATA, PARTS, objective)
            for client in clients.values():
                client.catch_up(server.past)
        sent = unpacked(*packed(question))
        server.take({name: client.answer(sent) for name, client in clients.items()})
    expected = train(DATA, "random", objective, chosen)
    assert server.ensemble == expected.ensemble
    assert server.losses == expected.losses


@pytest.mark.parametrize("which", CASES)
@pytest.mark.parametrize("stop", [0, 9, 16, 23])
def test_a_server_that_begins_anew(which: str, stop: int) -> None:
    objective, chosen = case(which)
    server = ServerGrower(DATA.features, objective=objective, settings=chosen)
    clients = clients_of(DATA, PARTS, objective)
    while (question := server.ask()) is not None and (question.step < stop or server.checkpoint() is None):
        server.take({name: client.answer(question) for name, client in clients.items()})
    checkpoint = server.checkpoint()
    assert checkpoint is not None
    again = ServerGrower(
        DATA.features, objective=objective, settings=chosen, resume=Checkpoint.from_arrays(stored(checkpoint))
    )
    clients = clients_of(DATA, PARTS, objective)
    for client in clients.values():
        client.catch_up(again.past)
    while (question := again.ask()) is not None:
        again.take({name: client.answer(question) for name, client in clients.items()})
    expected = train(DATA, "random", objective, chosen)
    assert again.ensemble == expected.ensemble
    assert np.array_equal(again.losses, expected.losses)


def _until(kind: type[Question], number: int = 0) -> tuple[ServerGrower, dict[str, Any], Any]:
    objective, chosen = case("leafwise")
    server, clients = (
        ServerGrower(DATA.features, objective=objective, settings=chosen),
        clients_of(DATA, PARTS, objective),
    )
    while (question := server.ask()) is not None:
        number -= isinstance(question, kind)
        if number < 0:
            break
        server.take({name: client.answer(question) for name, client in clients.items()})
    return server, clients, question


def test_a_checkpoint_of_other_inputs_or_damaged() -> None:
    server, _, _ = _until(Grow, 3)
    checkpoint = server.checkpoint()
    assert checkpoint is not None
    objective, chosen = case("leafwise")
    with pytest.raises(ConfigError, match="other inputs or another objective"):
        ServerGrower(DATA.features[1:], objective=objective, settings=chosen, resume=checkpoint)
    arrays = stored(checkpoint)
    for name in arrays:
        with pytest.raises((TreesError, FederationError)):
            Checkpoint.from_arrays({key: array for key, array in arrays.items() if key != name})


def test_a_client_that_did_not_catch_up_says_so() -> None:
    _, _, question = _until(Grow, 2)
    objective, _ = case("leafwise")
    with pytest.raises(FederationError, match="let it catch up"):
        next(iter(clients_of(DATA, PARTS, objective).values())).answer(question)


EDITS: dict[str, tuple[type[Question], int, dict[str, Any]]] = {
    "an input that is not there": (Count, 0, {"feature": np.array([0, 1, 99])}),
    "bits": (Count, 0, {"resolved": np.array([3])}),
    "cells beyond": (Count, 0, {"prefix": np.array([0, 0, 7])}),
    "edges of more inputs": (Begin, 0, {"edges": np.zeros(0), "edge_counts": np.zeros(10)}),
    "edges of a category": (Begin, 0, {"edges": np.ones(1), "edge_counts": np.eye(9)[2]}),
    "edges that do not ascend": (Begin, 0, {"edges": np.ones(2), "edge_counts": 2 * np.eye(9)[0]}),
    "scores": (Begin, 0, {"scores": np.zeros(2)}),
    "a tree that is not there": (Grow, 3, {"asked": np.array([[1, 0]])}),
    "a node that is not there": (Grow, 3, {"asked": np.array([[0, 77]])}),
    "a node twice": (Grow, 3, {"asked": np.array([[0, 1], [0, 1]])}),
    "bins": (Grow, 3, {"bins": np.array([10**9])}),
    "inputs": (Grow, 3, {"inputs": np.array([3, 3])}),
    "divided twice": (Grow, 3, {"parent": np.array([[0, 55]])}),
    "children that are there": (Grow, 3, {"left": np.array([1]), "right": np.array([1])}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_questions_that_no_server_of_ours_asks(edit: str) -> None:
    kind, number, change = EDITS[edit]
    _, clients, question = _until(kind, number)
    name, arrays = packed(question)
    typed = {key: np.asarray(array, dtype=arrays[key].dtype) for key, array in change.items()}
    if edit in ("an input that is not there", "cells beyond"):
        arrays = {**arrays, "feature": np.arange(3), "prefix": np.zeros(3, dtype=np.uint64)}
    with pytest.raises(FederationError):
        next(iter(clients.values())).answer(unpacked(name, {**arrays, **typed}))


@pytest.mark.parametrize("how", ["kind", "name", "type", "shape", "nan", "lengths", "edges"])
def test_arrays_that_are_no_question(how: str) -> None:
    kind, arrays = packed(Grow(step=0) if how != "edges" else Begin(step=0, edges=(), scores=np.zeros(1)))
    change: dict[str, Any] = {
        "name": {"more": np.zeros(1)},
        "type": {"left": np.zeros(0)},
        "shape": {"table": np.zeros((0, 5), dtype=np.bool_)},
        "nan": {"scales": np.array([np.nan, 1.0])},
        "lengths": {"left": np.zeros(1, dtype=np.int64)},
        "edges": {"edge_counts": np.array([3])},
    }.get(how, {})
    with pytest.raises(FederationError):
        unpacked("eval" if how == "kind" else kind, {**arrays, **change})


@given(st.data())
@settings(max_examples=draws(30))
def test_any_numbers_in_a_question_are_answered_or_refused_by_name(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([Count, Begin, Grow]))
    _, clients, question = _until(kind, data.draw(st.integers(0, 3 if kind is Grow else 0)))
    name, arrays = packed(question)
    numbers = st.integers(-3, 300) | st.integers(-(2**63), 2**63 - 1)
    for key in data.draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3)):
        array = arrays[key].copy()
        if array.size and array.dtype.kind in "iu":
            wrapped = np.array(data.draw(numbers), dtype=np.int64).astype(array.dtype)
            array.ravel()[data.draw(st.integers(0, array.size - 1))] = wrapped
        elif array.size and array.dtype.kind == "f":
            array.ravel()[data.draw(st.integers(0, array.size - 1))] = data.draw(st.floats(-1e100, 1e100))
        arrays[key] = array
    with suppress(FederationError, DivergedError):
        next(iter(clients.values())).answer(unpacked(name, arrays))
