"""The law: whatever way rows are divided among clients, the trees are those of the pooled rows, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.errors import DataError, FederationError, ReplyRejected
from shared.trees.bins import Feature
from shared.trees.client import ClientTrees
from shared.trees.messages import Grow, Reply
from shared.trees.objectives import Logistic, SquaredError, objective_of
from shared.trees.server import ServerGrower
from shared.trees.settings import TreeSettings
from shared.trees.training import train_trees
from tests.fuzzing import draws
from tests.shared.trees.trees_kit import clients_of, divided, table, train

WAYS = ["pooled, other order", "random", "one row", "by target", "one without rows", "a row each"]
SMALL: dict[str, Any] = {"rounds": 4, "max_depth": 4, "min_samples_leaf": 3, "max_bins": 16}
CASES = {
    "depthwise": ("logistic", {}),
    "leafwise": ("logistic", {"growth": "leafwise", "max_leaves": 7, "max_depth": 12}),
    "depthwise, few leaves": ("logistic", {"max_leaves": 6}),
    "regression": ("squared_error", {"lambda_l1": 0.5, "lambda_l2": 0.0}),
    "classes": ("softmax", {}),
    "classes, leafwise": ("softmax", {"growth": "leafwise", "max_leaves": 5}),
    "counts": ("poisson", {"min_gain": 0.5}),
    "drawn": ("logistic", {"subsample": 0.6, "colsample": 0.5, "seed": 3}),
    "early": ("squared_error", {"rounds": 60, "learning_rate": 0.9, "patience": 2}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_the_trees_are_those_of_the_pooled_rows(case: str, way: str) -> None:
    name, more = CASES[case]
    data, chosen = table(120 if way == "a row each" else 400), TreeSettings(**(SMALL | more))
    pooled = train(data, "pooled", objective_of(name, 3), chosen)
    federated = train(data, way, objective_of(name, 3), chosen)
    assert federated.ensemble == pooled.ensemble
    assert np.allclose(federated.losses, pooled.losses, rtol=1e-9)
    splits = [int((tree.feature >= 0).sum()) for trees in pooled.ensemble.rounds for tree in trees]
    assert min(splits) > 1
    if case == "early":
        assert len(pooled.losses) - 3 == len(pooled.ensemble.rounds) < 57


@given(
    owner=st.lists(st.integers(0, 5), min_size=60, max_size=60),
    shift=st.sampled_from([0.0, 1e6, -1e9]),
    seed=st.integers(0, 20),
)
@settings(max_examples=draws(20))
def test_any_division_of_any_targets(owner: list[int], shift: float, seed: int) -> None:
    data = table(60, seed=seed)
    data.signal = data.signal * 10.0 ** (seed - 10) + shift
    chosen = TreeSettings(rounds=3, max_depth=3, min_samples_leaf=2)
    parts = {str(name): np.flatnonzero(np.array(owner) == name) for name in set(owner)}
    federated = train_trees(
        clients_of(data, parts, SquaredError()),
        features=data.features,
        objective=SquaredError(),
        settings=chosen,
    )
    assert federated.ensemble == train(data, "pooled", SquaredError(), chosen).ensemble


def _two() -> tuple[ServerGrower, dict[str, ClientTrees]]:
    data = table()
    parts = divided(len(data.inputs), "one row", signal=data.signal)
    chosen = TreeSettings(rounds=2, max_depth=3)
    server = ServerGrower(data.features, objective=Logistic(), settings=chosen)
    return server, clients_of(data, parts, Logistic())


def test_replies_in_any_order_and_questions_asked_again() -> None:
    first, second = _two(), _two()
    while (question := first[0].ask()) is not None:
        first[0].take({name: client.answer(question) for name, client in first[1].items()})
    while (question := second[0].ask()) is not None:
        for client in second[1].values():
            client.answer(question)
        second[0].take({name: client.answer(question) for name, client in reversed(second[1].items())})
    assert first[0].ensemble == second[0].ensemble


def test_a_round_of_depthwise_trees_takes_a_question_a_level() -> None:
    server, clients = _two()
    asked = []
    while (question := server.ask()) is not None:
        asked.append(type(question).__name__)
        server.take({name: client.answer(question) for name, client in clients.items()})
    # The scales of the first gradients, two rounds of three levels, and the losses at the end.
    assert asked == [
        "Describe",
        "Start",
        *["Count"] * asked.count("Count"),
        "Begin",
        *["Grow"] * (1 + 2 * 3 + 1),
    ]
    assert asked.count("Count") <= 8


def test_a_client_below_its_minimum_takes_part_with_nothing() -> None:
    data = table()
    parts = divided(len(data.inputs), "one row", signal=data.signal)
    chosen = TreeSettings(rounds=2)
    kept = clients_of(data, parts, Logistic(), min_rows=5)
    assert not kept["site 0"].answer(server_question(data)).arrays["rows"].any()
    fresh = clients_of(data, parts, Logistic(), min_rows=5)
    alone = {"site 1": clients_of(data, parts, Logistic())["site 1"]}
    models = [
        train_trees(clients, features=data.features, objective=Logistic(), settings=chosen).ensemble
        for clients in (fresh, alone)
    ]
    assert models[0] == models[1]


def server_question(data: Any) -> Any:
    return ServerGrower(data.features, objective=Logistic(), settings=TreeSettings()).ask()


def _broken(arrays: dict[str, Any], how: str) -> dict[str, Any]:
    key = next(iter(arrays))
    match how:
        case "nan":
            return {**arrays, "magnitudes": np.array([np.nan, 1.0])}
        case "shape":
            return {**arrays, key: arrays[key][:-1]}
        case "kind":
            return {**arrays, key: arrays[key].astype(np.float32)}
        case "negative":
            return {**arrays, "rows": -1 - arrays["rows"]}
        case "many":
            return {**arrays, "rows": arrays["rows"] + 2**62}
        case "missing":
            return {}
        case _:
            return {**arrays, "more": arrays[key]}


@pytest.mark.parametrize("how", ["nan", "shape", "kind", "negative", "many", "missing", "more"])
def test_replies_that_do_not_fit_are_rejected_by_name_and_the_question_stays(how: str) -> None:
    server, clients = _two()
    question = server.ask()
    assert question is not None
    replies = {name: client.answer(question) for name, client in clients.items()}
    wrong = Reply(question.step, _broken(dict(replies["site 1"].arrays), how))
    with pytest.raises(ReplyRejected, match="site 1: "):
        server.take({**replies, "site 1": wrong})
    assert server.ask() is question
    server.take(replies)
    with pytest.raises(ReplyRejected, match="expected a reply to question 1, got one to 0"):
        server.take(replies)


def test_histograms_of_no_whole_numbers_are_rejected() -> None:
    server, clients = _two()
    while (question := server.ask()) is not None:
        replies = {name: client.answer(question) for name, client in clients.items()}
        if question.shapes().get("histograms", (0,))[0]:
            break
        server.take(replies)
    assert question is not None
    own = replies["site 0"].arrays
    wrong = Reply(question.step, {**own, "histograms": own["histograms"] + 0.5})
    with pytest.raises(ReplyRejected, match="site 0: expected whole numbers"):
        server.take({**replies, "site 0": wrong})


def test_clients_that_come_or_go_are_rejected() -> None:
    server, clients = _two()
    question = server.ask()
    assert question is not None
    replies = {name: client.answer(question) for name, client in clients.items()}
    server.take(replies)
    with pytest.raises(FederationError, match=r"expected replies of \['site 0', 'site 1'\], got \['site 0'\]"):
        server.take({"site 0": replies["site 0"]})


def test_a_client_that_missed_a_question_says_so() -> None:
    server, clients = _two()
    while not isinstance(question := server.ask(), Grow):
        assert question is not None
        server.take({name: client.answer(question) for name, client in clients.items()})
    with pytest.raises(FederationError, match=f"expected question 0, got {question.step}"):
        _two()[1]["site 0"].answer(question)


@pytest.mark.parametrize(
    ("targets", "chosen", "said"),
    [
        (np.zeros(4), {}, "expected rows of two classes, all have class 0"),
        (np.array([0.0, 1, 2, 1]), {}, r"expected the classes 0 to 1, got 2"),
        (np.array([0.0, 1, np.nan, 1]), {}, "1 are missing or infinite"),
        (np.array([0.0, 1, 0, 1]), {"patience": 1}, "needs validation rows"),
        (np.array([0.0, 1, 0, 1]), {"subsample": 0.5}, "needs a key of each row"),
    ],
)
def test_rows_that_cannot_be_trained_on(targets: Any, chosen: dict[str, Any], said: str) -> None:
    features = [Feature("x")]

    def trained() -> None:
        client = ClientTrees(np.arange(4.0)[:, None], targets, features=features, objective=Logistic())
        train_trees({"a": client}, features=features, objective=Logistic(), settings=TreeSettings(**chosen))

    with pytest.raises(DataError, match=said):
        trained()


def test_no_rows_at_all() -> None:
    features = [Feature("x")]
    client = ClientTrees(np.zeros((0, 1)), np.zeros(0), features=features, objective=Logistic())
    with pytest.raises(DataError, match="no client has training rows"):
        train_trees({"a": client}, features=features, objective=Logistic(), settings=TreeSettings())
