"""`ClientTrees`: a client's half, which keeps its rows, their leaves and raw scores, and answers with sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import DataError, DivergedError, FederationError
from shared.trees.bins import Bins, Bytes, Feature, Ints, Layout, check_inputs
from shared.trees.fixed_point import Floats, fixed
from shared.trees.histograms import HistogramBuilder
from shared.trees.messages import Begin, Count, Describe, Grow, Question, Reply, Start
from shared.trees.objectives import Objective
from shared.trees.plausible import check_begin, check_count, check_grow
from shared.trees.rows import NodeRows, drawn
from shared.trees.sketch import count_cells


class ClientTrees:
    """The rows of one client.

    Parameters
    ----------
    inputs : ndarray [N, F], float
        NaN: missing. Categories as codes of their levels.
    targets : ndarray [N]
        Numbers, or classes from 0.
    weights : ndarray [N], float, or None
        Of each row, such as that of its class; None: 1.
    validation : ndarray [N], bool, or None
        Rows that are not trained on, whose loss decides when to stop.
    keys : ndarray [N], uint64, or None
        Of each row, of its own among all clients: needed for ``subsample`` below 1.
    min_rows : int
        With fewer training rows the client takes part with sums of 0, as if it had none.

    Raises
    ------
    DataError
        Something cannot be trained on.
    """

    def __init__(
        self,
        inputs: NDArray[Any],
        targets: NDArray[Any],
        *,
        features: Sequence[Feature],
        objective: Objective,
        weights: NDArray[Any] | None = None,
        validation: NDArray[np.bool_] | None = None,
        keys: NDArray[np.uint64] | None = None,
        min_rows: int = 0,
    ) -> None:
        check_inputs(inputs, features)
        objective.check(targets)
        for name, array in (
            ("targets", targets),
            ("weights", weights),
            ("validation", validation),
            ("keys", keys),
        ):
            if array is not None and array.shape != (len(inputs),):
                raise DataError(f"{name}: expected shape ({len(inputs)},), got {array.shape}")
        if weights is not None and not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise DataError("weights: expected finite numbers, 0 or more")
        rows = np.arange(len(inputs), dtype=np.int64)
        held_out = np.zeros(len(rows), dtype=np.bool_) if validation is None else validation
        self._train, self._validation = rows[~held_out], rows[held_out]
        if len(self._train) < min_rows:
            self._train = self._validation = rows[:0]
        self._features, self._objective = tuple(features), objective
        self._inputs: NDArray[Any] | None = inputs
        self._targets = targets.astype(np.float64)
        self._weights = None if weights is None else weights.astype(np.float64)
        self._keys = keys
        self._layout: Layout | None = None
        self._scores: Floats = np.zeros((0, 0))
        self._active: list[NodeRows] = []
        self._passive: list[NodeRows] = []
        self._step = -1
        self._last: Reply | None = None

    def answer(self, question: Question) -> Reply:
        """Answer the next question, or the last one again.

        Raises
        ------
        FederationError
            A question was missed, so that the state of this client is another than the server believes; or it
            is none that a server of ours asks.
        """
        if self._last is not None and question.step == self._step:
            return self._last
        # Before trees grow, an answer depends on no other question.
        if isinstance(question, Grow) and question.step != self._step + 1:
            raise FederationError(
                f"expected question {self._step + 1}, got {question.step}: this client missed some; "
                "let it catch up with those before"
            )
        self._last = Reply(question.step, self._arrays(question))
        self._step = question.step
        return self._last

    @property
    def step(self) -> int:
        """The number of the last question; -1 before the first."""
        return self._step

    def catch_up(self, past: Iterable[Question]) -> None:
        """Do what was asked before, without histograms: for a new process, or a run that is resumed.

        Parameters
        ----------
        past : iterable of Question
            The server's ``past``.
        """
        for question in past:
            if isinstance(question, Grow):
                question = replace(question, asked=question.asked[:0])
            self._arrays(question)
            self._step, self._last = question.step, None

    def _arrays(self, question: Question) -> dict[str, NDArray[Any]]:
        match question:
            case Describe():
                return self._describe()
            case Start():
                return self._start(question)
            case Count():
                return {"counts": self._count(question)}
            case Begin():
                return self._begin(question)
            case Grow():
                return self._grow(question)

    def _weight(self, rows: Ints) -> Floats:
        return np.ones(len(rows)) if self._weights is None else self._weights[rows]

    def _describe(self) -> dict[str, NDArray[Any]]:
        weight = self._weight(self._train)
        targets = np.abs(self._objective.columns(self._targets[self._train])).sum(axis=0)
        rows = np.array([len(self._train), len(self._validation)], dtype=np.int64)
        return {"rows": rows, "magnitudes": np.array([weight.sum(), weight @ targets])}

    def _start(self, question: Start) -> dict[str, NDArray[Any]]:
        weight = self._weight(self._train)
        columns = self._objective.columns(self._targets[self._train]) * weight
        by_weight, by_target = question.scales
        return {
            "weight": fixed(weight, by_weight).sum(keepdims=True),
            "targets": fixed(columns, by_target).sum(axis=1),
        }

    def _before(self) -> NDArray[Any]:
        """The inputs, which are kept until there are bins."""
        if self._inputs is None:
            raise FederationError("bins are known already: a question was asked twice")
        return self._inputs

    def _count(self, question: Count) -> Ints:
        inputs = self._before()
        check_count(question, self._features)
        rows = inputs if len(self._train) == len(inputs) else inputs[self._train]
        return count_cells(rows, question.feature, question.prefix, question.resolved)

    def _begin(self, question: Begin) -> dict[str, NDArray[Any]]:
        inputs = self._before()
        check_begin(question, self._features, self._objective.outputs)
        bins = Bins(self._features, question.edges)
        self._layout = bins.layout
        self._columns: Bytes = bins.codes(inputs)  # of a column for dividing, of a row for histograms
        self._codes: Bytes = np.ascontiguousarray(self._columns.T)
        self._inputs = None
        self._scores = np.repeat(question.scores[:, None], len(self._targets), axis=1)
        return {}

    def _grow(self, question: Grow) -> dict[str, NDArray[Any]]:
        if self._layout is None:
            raise FederationError("expected bins before trees grow: a question was lost")
        check_grow(question, self._layout, trees=len(self._active), outputs=self._objective.outputs)
        self._divide(question)
        self._add(question)
        told: dict[str, NDArray[Any]] = {}
        if question.begin:
            told |= self._begin_round(question)
            if len(question.inputs):
                self._builder = HistogramBuilder(self._codes, self._layout, question.inputs)
        histograms = np.zeros((len(question.asked), question.bins, 3))
        for place, (tree, node) in enumerate(question.asked.tolist()):
            histograms[place] = self._builder.build(self._active[tree].of(node), self._sums[tree])
        return {**told, "histograms": histograms}

    def _divide(self, question: Grow) -> None:
        children = zip(question.left.tolist(), question.right.tolist(), strict=True)
        for (tree, node), (left, right), feature, table in zip(
            question.parent.tolist(), children, question.feature.tolist(), question.table, strict=True
        ):
            column = self._columns[feature]
            for rows in (self._active[tree], self._passive[tree]):
                goes_left = table.take(column.take(rows.of(node)))
                rows.divide(node, goes_left, left=left, right=right)

    def _add(self, question: Grow) -> None:
        for (tree, node), value in zip(question.leaf.tolist(), question.value.tolist(), strict=True):
            for rows in (self._active[tree], self._passive[tree]):
                self._scores[tree, rows.of(node)] += value

    def _begin_round(self, question: Grow) -> dict[str, NDArray[Any]]:
        active, passive = self._train, self._validation
        if question.subsample < 1:
            if self._keys is None:
                raise DataError(
                    "subsample below 1 needs a key of each row, that is the same at whatever client it is"
                )
            taken = drawn(
                self._keys[active], share=question.subsample, seed=question.seed, round_number=question.round
            )
            active, passive = active[taken], np.concatenate([active[~taken], passive])
        self._active = [NodeRows(active) for _ in range(len(self._scores))]
        self._passive = [NodeRows(passive) for _ in range(len(self._scores))]
        gradients, hessians = self._objective.gradients(self._scores, self._targets)
        if self._weights is not None:
            gradients, hessians = gradients * self._weights, hessians * self._weights
        if not (np.isfinite(gradients).all() and np.isfinite(hessians).all()):
            raise DivergedError("gradients are not finite: lower learning_rate")
        magnitudes = np.array([np.abs(part[:, active]).sum() for part in (gradients, hessians)])
        self._sums = np.ones((*self._scores.shape, 3))
        for place, (part, scale) in enumerate(zip((gradients, hessians), question.scales, strict=True)):
            self._sums[..., place] = fixed(part, scale)
        return {"magnitudes": magnitudes, "losses": self._losses()}

    def _losses(self) -> Floats:
        losses = self._objective.losses(self._scores, self._targets)
        weights = np.ones_like(losses) if self._weights is None else self._weights
        sides = (self._train, self._validation)
        return np.array([[losses[rows] @ weights[rows], weights[rows].sum()] for rows in sides])
