"""Components and forests fitted by questions: scikit-learn's on pooled rows; answers that cannot be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from shared.anomalies.components import Components, statistics
from shared.anomalies.forest import Forest, average_length, scores, share_out
from shared.runtime.errors import FittingError
from shared.sums.questions import Answers, Arrays, Ask, Question

Floats = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module")
def rows() -> Floats:
    """Six numbers that vary together, and a sensor that stands still."""
    rng = np.random.default_rng(0)
    return np.c_[rng.normal(size=(600, 6)) @ rng.normal(size=(6, 6)) + 0.1, np.ones(600)]


def clients(answers: Answers, parts: Sequence[Floats]) -> Ask:
    return lambda question: {f"client {n}": answers.answer(question, part) for n, part in enumerate(parts)}


@pytest.mark.parametrize("keep", [0.85, 4, 1.0])
def test_components_are_those_of_the_pooled_rows(rows: Floats, keep: float) -> None:
    fitting = Components(width=7, keep=keep, quantile=0.99)
    pooled = fitting.step(fitting.empty(), clients(fitting.answers, [rows]))
    order = np.random.default_rng(1).permutation(len(rows))
    parts = [*np.split(rows[order], [1, 90, 400]), rows[:0]]
    federated = fitting.step(fitting.empty(), clients(fitting.answers, parts))
    for name, array in pooled.items():
        assert np.array_equal(array, federated[name]), name
    assert fitting.step(federated, clients(fitting.answers, [])) is federated  # settled: nobody is asked
    kept = int(pooled["kept"][0])
    fitted = PCA(kept).fit(rows)
    assert kept == (6 if keep == 1.0 else PCA(keep).fit(rows).n_components_)
    assert np.abs(np.abs(fitted.components_ @ pooled["axes"][:, :kept]) - np.eye(kept)).max() < 1e-9
    np.testing.assert_allclose(fitted.explained_variance_, pooled["variances"][:kept], rtol=1e-9)
    placed = fitted.transform(rows)
    left = np.square(rows - fitted.inverse_transform(placed)).mean(axis=1)
    expected = np.stack([(placed**2 / fitted.explained_variance_).sum(axis=1), left], axis=1)
    np.testing.assert_allclose(statistics(pooled, rows), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(statistics(pooled, rows)[7:8], statistics(pooled, rows[7:8]))
    above = (statistics(pooled, rows) > pooled["limits"]).sum(axis=0)
    assert above[0] == 6
    assert above[1] == 6 or keep == 1.0


def test_a_forest_is_scikit_learns_and_that_of_clients_a_union(rows: Floats) -> None:
    forest = Forest(width=7, trees=20, samples=64, quantile=0.95, seed=3)
    model = forest.step(forest.empty(), clients(forest.answers, [rows]))
    grown: dict[str, Any] = {}

    def remember(self: Any, *args: Any, **more: Any) -> Any:
        grown["forest"] = fit(self, *args, **more)
        return grown["forest"]

    fit = IsolationForest.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IsolationForest, "fit", remember)
        again = forest.step(forest.empty(), clients(forest.answers, [rows]))
    assert all(np.array_equal(model[name], again[name]) for name in model)
    np.testing.assert_allclose(scores(model, rows)[:, 0], -grown["forest"].score_samples(rows), rtol=1e-12)
    assert (scores(model, rows) > model["limits"]).sum() <= 30
    parts = np.split(rows, [1, 150, 300])
    union = forest.step(forest.empty(), clients(forest.answers, parts))
    assert {name: array.shape for name, array in union.items()} == {
        name: array.shape for name, array in model.items()
    }
    shares = share_out(20, {f"client {number}": len(part) for number, part in enumerate(parts)})
    assert shares == {"client 1": 5, "client 2": 5, "client 3": 10}
    alone = forest.answers.answer(
        Question(
            "forest/grow",
            {k: np.array([v]) for k, v in {"trees": 10, "samples": 64, "seed": 3, "width": 7}.items()},
        ),
        parts[3],
    )
    np.testing.assert_array_equal(union["edge"][10:], alone["edge"])
    assert len({*union["edge"][:, 0].tolist()}) == 20  # no two trees are alike
    far = np.full((1, 7), 50.0)
    assert forest.results(union, far)[0, 0] > union["limits"][0]


def test_lengths_of_searches() -> None:
    assert average_length(np.array([0, 1, 2])).tolist() == [0.0, 0.0, 1.0]
    assert average_length(np.array([256]))[0] == pytest.approx(10.244770920, abs=1e-6)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (np.zeros((0, 7)), "no client has a training row"),
        (np.ones((1, 7)), "need two training rows|needs two training rows"),
        (np.full((9, 7), 1e200), r"magnitudes from 2\*\*-400 to 2\*\*400"),
        (np.zeros((9, 3)), "asks about 7 columns, and the rows have 3"),
    ],
)
@pytest.mark.parametrize("kind", ["pca", "forest"])
def test_rows_that_allow_no_model(kind: str, own: Floats, message: str) -> None:
    fitting = fitting_of(kind)
    with pytest.raises(FittingError, match=message):
        fitting.step(fitting.empty(), clients(fitting.answers, [own]))


def fitting_of(kind: str) -> Any:
    if kind == "pca":
        return Components(width=7, keep=0.9, quantile=0.99)
    return Forest(width=7, trees=4, samples=8, quantile=0.99, seed=1)


def test_components_that_there_are_not(rows: Floats) -> None:
    for own, keep, message in (
        (np.ones((9, 7)), 0.9, "every input is the same in all normal training rows"),
        (rows, 7, "vary along 6; set it to 6 or fewer"),
    ):
        fitting = Components(width=7, keep=keep, quantile=0.99)
        with pytest.raises(FittingError, match=message):
            fitting.step(fitting.empty(), clients(fitting.answers, [own]))


LIES = {
    "pca/scale": {"rows": np.array([-1])},
    "pca/products": {"products": np.arange(49).reshape(7, 7)},
    "pca/counts": {"counts": np.arange(2 * 1023)[::-1].reshape(2, 1023)},
    "forest/scale": {"exponents": np.full(7, 900)},
    "forest/grow": {"feature": np.full((4, 15), 7)},
    "forest/counts": {"counts": np.full((1, 1023), -1)},
}


@pytest.mark.parametrize("kind", LIES)
def test_an_answer_that_cannot_be_true_names_its_client(kind: str, rows: Floats) -> None:
    fitting = fitting_of(kind.partition("/")[0])
    honest = clients(fitting.answers, np.array_split(rows, 2))

    def ask(question: Question) -> Mapping[str, Arrays]:
        found = dict(honest(question))
        if question.kind == kind:
            found["client 1"] = {**found["client 1"], **LIES[kind]}
        return found

    with pytest.raises(FittingError, match="client 1: "):
        fitting.step(fitting.empty(), ask)


@pytest.mark.parametrize(
    "kind", ["pca/scale", "pca/sums", "pca/products", "pca/counts", "forest/grow", "pca/all"]
)
def test_questions_that_somebody_made_up(kind: str, rows: Floats) -> None:
    answers = fitting_of(kind.partition("/")[0]).answers
    for arrays in (
        {},
        {"shifts": np.zeros(3)},
        {"center": np.array([np.nan]), "shifts": np.zeros((7, 7), int)},
    ):
        with pytest.raises(FittingError):
            answers.answer(Question(kind, arrays), rows)
    endless = {"trees": 10**6, "samples": 8, "seed": 1, "width": 7}
    with pytest.raises(FittingError, match="out of bounds"):
        fitting_of("forest").answers.layout(
            Question("forest/grow", {k: np.array([v]) for k, v in endless.items()})
        )
