"""`ServerGrower`: the half of the server, which asks for sums, chooses splits and keeps the model.

A round of depth-wise trees takes ``max_depth`` questions, whatever the number of clients, rows and classes; one
of leaf-wise trees takes a question a split.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import ConfigError, DataError, FederationError
from shared.trees.bins import Bins, Feature, Ints, Layout
from shared.trees.checkpoint import Checkpoint
from shared.trees.fixed_point import Floats, fits, scale_for
from shared.trees.grower import GrowingTree
from shared.trees.messages import Begin, Count, Describe, Grow, Question, Reply, Start, summed
from shared.trees.model import Tree, TreeEnsemble
from shared.trees.objectives import Objective
from shared.trees.settings import TreeSettings
from shared.trees.sketch import Sketch

Sums = dict[str, NDArray[Any]]
_Dialogue = Generator[Question, Sums, None]


@dataclass(frozen=True)
class _Between:
    """How far the lists of a `ServerGrower` reached before a round."""

    past: int
    rounds: int
    scales: tuple[float, float] | None
    update: dict[str, Any]


class ServerGrower:
    """Trains trees by questions to clients.

    Ask, let every client answer, take the replies, until nothing is asked any more:

    >>> while (question := server.ask()) is not None:
    ...     server.take({name: client.answer(question) for name, client in clients.items()})

    Attributes
    ----------
    losses : list of tuple of float
        Mean training and validation loss at the start and after each round; NaN where there are no rows.
    past : list of Question
        What a client that begins anew has to do before it can answer; see `ClientTrees.catch_up`.

    Parameters
    ----------
    resume : Checkpoint or None
        Go on from here, with the same inputs, objective and settings, and with clients that caught up with
        ``past``; the model is that of a training without interruption. ``rounds`` may be another.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        *,
        objective: Objective,
        settings: TreeSettings,
        resume: Checkpoint | None = None,
    ) -> None:
        self._features, self._objective, self._settings = tuple(features), objective, settings
        self.losses: list[tuple[float, float]] = []
        self.past: list[Question] = []
        self._trees: list[tuple[Tree, ...]] = []
        self._clients: frozenset[str] | None = None
        self._step = -1
        self._between: _Between | None = None
        self._dialogue = self._train() if resume is None else self._resumed(resume)
        self._question: Question | None = next(self._dialogue)

    def ask(self) -> Question | None:
        """The question that is open; None: training has ended."""
        return self._question

    def take(self, replies: Mapping[str, Reply]) -> None:
        """Take the replies of all clients, by name, in any order.

        Raises
        ------
        ReplyRejected
            A reply does not fit the question; the question stays open.
        FederationError
            Other clients than before: sums of other rows do not belong to these trees.
        DataError
            The rows of all clients together cannot be trained on.
        """
        assert self._question is not None
        if not replies or (self._clients is not None and replies.keys() != self._clients):
            raise FederationError(
                f"expected replies of {sorted(self._clients or ['at least one client'])}, "
                f"got {sorted(replies)}: "
                "histograms are sums over the same clients from the first to the last question"
            )
        sums = summed(self._question, replies)
        self._clients = frozenset(replies)
        if isinstance(self._question, Begin | Grow):
            self.past.append(self._question)
        try:
            self._question = self._dialogue.send(sums)
        except StopIteration:
            self._question = None

    def grow_round(self, answer: Callable[[Question], Mapping[str, Reply]]) -> bool:
        """Ask until the trees of a round have grown.

        Parameters
        ----------
        answer : callable
            From a question to the replies of all clients, by name.

        Returns
        -------
        bool
            Whether they have; False: none was left to grow.

        Raises
        ------
        ReplyRejected, FederationError, DataError
            As `take` does.
        """
        before = len(self._trees)
        while self._question is not None and len(self._trees) == before:
            self.take(answer(self._question))
        return len(self._trees) > before

    def checkpoint(self) -> Checkpoint | None:
        """Where to resume: after the last complete round; None before the first one begins."""
        if self._between is None or self._clients is None:
            return None
        between = self._between
        return Checkpoint(
            past=tuple(self.past[: between.past]),
            model=self._model(between.rounds),
            losses=tuple(self.losses[: between.rounds]),
            scales=between.scales,
            update=between.update,
            clients=tuple(sorted(self._clients)),
        )

    @property
    def ensemble(self) -> TreeEnsemble:
        """The model: of the best round if training stops early, of all rounds so far otherwise."""
        early = self._settings.patience is not None and self.losses
        return self._model(self._best() if early else len(self._trees))

    def _model(self, rounds: int) -> TreeEnsemble:
        return TreeEnsemble(self._features, self._objective, self._start, tuple(self._trees[:rounds]))

    def _best(self) -> int:
        """The round after which the validation loss was best."""
        best = 0
        for number, (_, loss) in enumerate(self.losses):
            if loss < self.losses[best][1] - self._settings.min_improvement * abs(self.losses[best][1]):
                best = number
        return best

    def _next(self) -> int:
        self._step += 1
        return self._step

    def _train(self) -> _Dialogue:
        described = yield Describe(step=self._next())
        rows, held_out = described["rows"].tolist()
        if not rows:
            raise DataError("no client has training rows")
        if self._settings.patience is not None and not held_out:
            raise DataError("early stopping (patience) needs validation rows; no client has any")
        by_weight, by_target = (scale_for(float(part)) for part in described["magnitudes"])
        sums = yield Start(
            step=self._next(), scales=(by_weight, by_target), outputs=len(self._objective.columns(np.zeros(1)))
        )
        if not sums["weight"][0] > 0:
            raise DataError("weights: all are 0")
        self._start = self._objective.start((sums["targets"] / by_target) / (sums["weight"][0] / by_weight))
        sketch = Sketch(self._features, max_bins=self._settings.max_bins)
        while sketch.asks:
            counted = yield Count(
                step=self._next(), feature=sketch.feature, prefix=sketch.prefix, resolved=sketch.resolved
            )
            sketch.take(counted["counts"])
        bins = sketch.bins()
        yield Begin(step=self._next(), edges=bins.edges, scores=self._start)
        yield from self._boost(bins, None, {})

    def _resumed(self, checkpoint: Checkpoint) -> _Dialogue:
        self.past, self.losses = list(checkpoint.past), list(checkpoint.losses)
        self._trees, self._clients = list(checkpoint.model.rounds), frozenset(checkpoint.clients)
        self._step, self._start = checkpoint.past[-1].step, checkpoint.model.start
        same = (self._features, self._objective.name, self._objective.outputs)
        if same != (checkpoint.model.features, checkpoint.model.objective.name, len(self._start)):
            raise ConfigError("the checkpoint is of other inputs or another objective; resume with those")
        begin = checkpoint.past[0]
        assert isinstance(begin, Begin)
        return self._boost(Bins(self._features, begin.edges), checkpoint.scales, dict(checkpoint.update))

    def _boost(self, bins: Bins, scales: tuple[float, float] | None, update: dict[str, Any]) -> _Dialogue:
        """Grow the trees of the rounds that are left; ``update`` is what clients do before these begin."""
        for number in range(len(self._trees), self._settings.rounds):
            self._between = _Between(len(self.past), number, scales, update)
            inputs = self._inputs(number)
            layout = bins.layout.of(inputs)
            sums, scales = yield from self._roots(number, inputs, layout, scales, update)
            if self._ends(sums["losses"]):
                return
            trees = [GrowingTree(layout, self._settings) for _ in range(self._objective.outputs)]
            for tree, histogram in zip(trees, _unscaled(sums["histograms"], scales), strict=True):
                tree.plant(histogram)
            update = yield from self._grow(trees, inputs, layout, scales)
            update |= _leaves(trees)
            self._trees.append(tuple(Tree.grown(tree, inputs, bins) for tree in trees))
        sums = yield Grow(step=self._next(), begin=True, round=self._settings.rounds, **update)
        self._ends(sums["losses"])

    def _inputs(self, number: int) -> Ints:
        total = len(self._features)
        if self._settings.colsample >= 1:
            return np.arange(total, dtype=np.int64)
        draw = np.random.default_rng([self._settings.seed, number])
        return np.sort(draw.choice(total, size=max(1, round(total * self._settings.colsample)), replace=False))

    def _roots(
        self,
        number: int,
        inputs: Ints,
        layout: Layout,
        scales: tuple[float, float] | None,
        update: dict[str, Any],
    ) -> Generator[Question, Sums, tuple[Sums, tuple[float, float]]]:
        """Begin trees, at the scales of the round before if these suit the gradients."""
        roots = np.array([(tree, 0) for tree in range(self._objective.outputs)], dtype=np.int64)
        while True:
            asked = roots if scales is not None else roots[:0]
            sums = yield Grow(
                step=self._next(), begin=True, round=number, scales=scales or (1.0, 1.0), asked=asked,
                inputs=inputs, bins=layout.total, subsample=self._settings.subsample, seed=self._settings.seed,
                **update,
            )  # fmt: skip
            update = {}
            magnitudes = sums["magnitudes"].tolist()
            if scales is not None and all(fits(*pair) for pair in zip(magnitudes, scales, strict=True)):
                return sums, scales
            gradients, hessians = (scale_for(part) for part in magnitudes)
            scales = gradients, hessians

    def _grow(
        self, trees: list[GrowingTree], inputs: Ints, layout: Layout, scales: tuple[float, float]
    ) -> Generator[Question, Sums, dict[str, Any]]:
        """Divide nodes until none is left to ask about; return the divisions that no client knows of yet."""
        untold: list[tuple[int, int]] = []
        while True:
            divided = [tree.divide() for tree in trees]
            if not any(divided):
                return _divisions(trees, untold, inputs)
            untold += [(place, node) for place, nodes in enumerate(divided) for node in nodes]
            asked = [
                (place, node)
                for place, (tree, nodes) in enumerate(zip(trees, divided, strict=True))
                for node in tree.asks(nodes)
            ]
            if asked:
                sums = yield Grow(
                    step=self._next(), asked=np.array(asked, dtype=np.int64), inputs=inputs, bins=layout.total,
                    **_divisions(trees, untold, inputs),
                )  # fmt: skip
                untold = []
                told = dict(zip(asked, _unscaled(sums["histograms"], scales), strict=True))
                for place, tree in enumerate(trees):
                    tree.take({node: histogram for (own, node), histogram in told.items() if own == place})

    def _ends(self, losses: Floats) -> bool:
        """Keep the mean losses; whether the best of them is too long ago."""
        with np.errstate(invalid="ignore", divide="ignore"):
            train, held_out = (losses[:, 0] / losses[:, 1]).tolist()
        self.losses.append((train, held_out))
        patience = self._settings.patience
        return patience is not None and len(self.losses) - 1 - self._best() >= patience


def _unscaled(histograms: Floats, scales: tuple[float, float]) -> Floats:
    """Sums of gradients, Hessians and rows; exact, as scales are powers of two."""
    unscaled: Floats = histograms / np.array([*scales, 1.0])
    return unscaled


def _divisions(trees: list[GrowingTree], nodes: list[tuple[int, int]], inputs: Ints) -> dict[str, Any]:
    if not nodes:
        return {}
    parents = [trees[place].nodes[node] for place, node in nodes]
    splits = [parent.split for parent in parents if parent.split is not None]
    return {
        "parent": np.array(nodes, dtype=np.int64),
        "left": np.array([parent.left for parent in parents], dtype=np.int64),
        "right": np.array([parent.right for parent in parents], dtype=np.int64),
        "feature": inputs[[split.feature for split in splits]],
        "table": np.stack([split.table for split in splits]),
    }


def _leaves(trees: list[GrowingTree]) -> dict[str, Any]:
    leaves = [
        (place, number, tree.value(node))
        for place, tree in enumerate(trees)
        for number, node in enumerate(tree.nodes)
        if node.is_leaf
    ]
    return {
        "leaf": np.array([leaf[:2] for leaf in leaves], dtype=np.int64),
        "value": np.array([leaf[2] for leaf in leaves]),
    }
