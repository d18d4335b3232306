"""Mixtures by sums are those of all rows together, and scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from shared.clusters.distances import Floats, squared_distances
from shared.clusters.mixture import (
    SOFT,
    Mixture,
    MixtureAnswers,
    log_likelihoods,
    log_shares,
    negative_log_joint,
)  # fmt: skip
from shared.metrics.clustering import ClusterMetrics
from shared.metrics.outputs import Outputs
from shared.runtime.errors import FittingError
from shared.sums.questions import Arrays, Question

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 400)
ROWS = RNG.normal(0, 1 + 0.3 * LABELS[:, None], (400, 3)) + 2.5 * LABELS[:, None] * [1, -1, 0.2]


def fitted(
    parts: Sequence[Floats],
    *,
    components: int = 3,
    steps: int = 12,
    before: Any = None,
    full: bool = False,
    regularization: float = 1e-6,
) -> Any:
    mixture = Mixture(
        components=components, width=parts[0].shape[1], seed=1, regularization=regularization, full=full
    )
    model: Arrays = mixture.empty() if before is None else before

    def ask(question: Question) -> dict[str, Arrays]:
        return {str(place): mixture.answers.answer(question, rows) for place, rows in enumerate(parts)}

    for _ in range(steps):
        model = mixture.step(model, ask)
    return model


@pytest.mark.parametrize("full", [False, True])
def test_shares_and_their_order_move_no_bit(full: bool) -> None:
    whole = fitted([ROWS], full=full)
    order = RNG.permutation(len(ROWS))
    parts = [ROWS[order[:7]], ROWS[:0], ROWS[order[7:150]], ROWS[order[150:]]]
    for name, array in fitted(parts, full=full).items():
        assert np.array_equal(array, whole[name]), name
    resumed = fitted(parts, steps=7, before=fitted([ROWS], steps=5, full=full), full=full)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("level", [0.0, 1e4])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_is_scikit_learns_from_the_same_start(components: int, level: float) -> None:
    rows = ROWS + level
    start, found = fitted([rows], components=components, steps=1), fitted([rows], components=components)
    other = GaussianMixture(
        components, covariance_type="diag", tol=0, max_iter=11, means_init=start["means"],
        weights_init=start["weights"], precisions_init=1 / start["variances"],
    ).fit(rows)  # fmt: skip
    joint = negative_log_joint(found, rows)
    assert log_likelihoods(joint).mean() == pytest.approx(other.score(rows), rel=1e-6)
    assert np.exp(log_shares(joint)) == pytest.approx(other.predict_proba(rows), abs=1e-5)
    assert found["means"] == pytest.approx(other.means_, rel=1e-6, abs=1e-5)
    measured = Outputs(np.concatenate([joint, rows], axis=1), LABELS.astype(float))
    metrics = ClusterMetrics(clusters=components, width=5, labels=3, is_mixture=True)
    values = metrics.values(measured)
    assert [values["log_likelihood"], values["bic"]] == pytest.approx(
        [other.score(rows), other.bic(rows)], rel=1e-6
    )
    halves = [metrics.statistics(measured.of_rows(own)) for own in (np.arange(90), np.arange(90, 400))]
    metrics.check(halves[0], rows=90)
    told = metrics.pooled(halves[0] + halves[1])
    assert {**told, "silhouette": 0} == pytest.approx({**values, "silhouette": 0}, rel=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_full_covariances_are_scikit_learns_from_the_same_start() -> None:
    rows = ROWS @ np.array([[1.0, 0.6, 0.0], [0.0, 1.0, -0.4], [0.0, 0.0, 1.0]])
    start, found = fitted([rows], steps=1, full=True), fitted([rows], full=True)
    upper = np.triu_indices(3)

    def unpacked(packed: Floats) -> Floats:
        matrices = np.zeros((len(packed), 3, 3))
        matrices[:, upper[0], upper[1]] = matrices[:, upper[1], upper[0]] = packed
        return matrices

    other = GaussianMixture(
        3, covariance_type="full", tol=0, max_iter=11, means_init=start["means"],
        weights_init=start["weights"], precisions_init=np.linalg.inv(unpacked(start["variances"])),
    ).fit(rows)  # fmt: skip
    joint = negative_log_joint(found, rows)
    assert unpacked(found["variances"]) == pytest.approx(other.covariances_, abs=1e-9)
    assert found["means"] == pytest.approx(other.means_, abs=1e-9)
    assert np.exp(log_shares(joint)) == pytest.approx(other.predict_proba(rows), abs=1e-9)
    metrics = ClusterMetrics(clusters=3, width=5, labels=0, is_mixture=True, full=True)
    values = metrics.values(Outputs(np.concatenate([joint, rows], axis=1), np.zeros(len(rows))))
    told = [values["log_likelihood"], values["bic"]]
    assert told == pytest.approx([other.score(rows), other.bic(rows)], rel=1e-9)


def test_inputs_that_depend_on_one_another_need_more_regularization() -> None:
    rows = np.concatenate([ROWS, 1e6 * ROWS, 1e6 * ROWS[:, ::-1]], axis=1)
    with pytest.raises(
        FittingError, match=r"set model\.regularization larger than 1e-06, or model\.covariance"
    ):
        fitted([rows], full=True)
    assert np.isfinite(fitted([rows], full=True, regularization=1.0)["variances"]).all()


def test_the_likelihood_never_falls() -> None:
    model, before = fitted([ROWS], steps=1), -np.inf
    for _ in range(8):
        now = log_likelihoods(negative_log_joint(model, ROWS)).mean()
        assert now >= before - 1e-9
        model, before = fitted([ROWS], steps=1, before=model), now


def test_a_component_without_rows_stays_where_it_is() -> None:
    start = fitted([ROWS], steps=1)
    means = start["means"].copy()
    means[1] = -np.ldexp(1.0, start["exponents"].astype(np.int32))
    away = {**start, "means": means, "variances": np.full((3, 3), 1e-3)}
    away["variances"][[0, 2]] = 4.0
    found = fitted([ROWS], steps=3, before=away)
    assert np.array_equal(found["means"][1], means[1])
    assert 0 < found["weights"][1] < 1e-9
    assert all(np.isfinite(array).all() for array in found.values())
    assert np.isfinite(negative_log_joint(found, ROWS)).all()


def test_constant_columns_have_the_least_variance() -> None:
    rows = np.column_stack([ROWS, np.full(len(ROWS), 7.0), np.zeros(len(ROWS))])
    found = fitted([rows])
    assert found["variances"][:, 3:] == pytest.approx(1e-6)
    assert found["means"][:, 3] == pytest.approx(7.0)
    assert found["weights"] == pytest.approx(fitted([ROWS])["weights"], abs=1e-6)
    with pytest.raises(FittingError, match=r"there is only 1; set task\.clusters"):
        fitted([np.ones((9, 2))])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": np.array([401])}, "expected 0 to 400 rows"),
        ({"zeroth": np.array([-1, 0, 0])}, "shares of 400 rows"),
        ({"zeroth": np.full(3, 2**62)}, "shares of 400 rows"),
        ({"first": np.full((3, 3), -(2**63))}, "not those of any rows"),
        ({"second": np.full((3, 3), -1)}, "not those of any rows"),
        ({"second": np.full((3, 3), 2**63 - 1)}, "not those of any rows"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(change: Arrays, reason: str) -> None:
    answers, question = MixtureAnswers(), Question(SOFT, fitted([ROWS], steps=1))
    own = answers.answer(question, ROWS)
    answers.check(question, own)
    with pytest.raises(FittingError, match=reason):
        answers.check(question, {**own, **change})


def test_other_rows_than_at_the_start_are_refused() -> None:
    with pytest.raises(FittingError, match="sums of 400 rows, as at the start, got 399"):
        fitted([ROWS[1:]], steps=1, before=fitted([ROWS], steps=1))


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        (SOFT, {"variances": np.zeros((3, 3))}, "variances above 0"),
        (SOFT, {"weights": np.ones(2)}, "contradict each other"),
        (SOFT, {"means": np.full((3, 3), np.nan)}, "not finite"),
        (SOFT, {"rows": np.zeros(1, dtype=np.int64)}, "expected rows"),
        (SOFT, {"exponents": np.full(3, 2**40)}, "magnitudes"),
        ("gmm/other", {}, "no question of a mixture"),
        ("gmm/start/other", {}, "expected a question of"),
    ],
)
def test_a_question_that_somebody_made_up_is_refused(kind: str, change: Arrays, reason: str) -> None:
    question = Question(kind, {**fitted([ROWS], steps=1), **change})
    with pytest.raises(FittingError, match=reason):
        MixtureAnswers().answer(question, ROWS)


def test_other_columns_are_refused() -> None:
    with pytest.raises(FittingError, match="about 3 columns, and the rows have 2"):
        MixtureAnswers().answer(Question(SOFT, fitted([ROWS], steps=1)), ROWS[:, :2])


def test_the_start_is_that_of_k_means() -> None:
    found = fitted([ROWS], steps=1)
    nearest = squared_distances(ROWS, found["means"]).argmin(axis=1)
    assert found["weights"] == pytest.approx(np.bincount(nearest) / len(ROWS), abs=1e-9)
