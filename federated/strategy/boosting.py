"""`Boosting`: histogram trees by sums over all clients, whose model equals that of pooled training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federated.messages.question_log import QuestionLog, chained
from federated.messages.questions import BEHIND, BEHIND_LAYOUT, Arrays, Asked, is_behind, read_answer
from federated.messages.records import arrays_from_state
from federated.messages.wire import Layout
from federated.strategy.asking import Asking, AskingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.config.config import Config as RunConfig
from shared.config.model import TreesConfig
from shared.model.trees import TreeNetwork
from shared.runtime.errors import ConfigError, FederationError
from shared.tasks.tables.trees import TreeModule
from shared.trees.checkpoint import Checkpoint
from shared.trees.client import ClientTrees
from shared.trees.messages import COUNTED, Begin, Grow, Question, Reply, check_reply
from shared.trees.server import ServerGrower
from shared.trees.wire import packed, packed_past, unpacked, unpacked_past


class Boosting(Asking, Algorithm):
    """The server asks all clients for sums of gradients over their rows, and chooses each division itself.

    The sums are exact, so the trees do not depend on how the rows are divided among the clients. All clients
    answer every question: without one of them the sums would be of other rows.
    """

    a_round = "one tree"
    rounds = "the number of trees"

    def __init__(self, config: Algorithm.Config) -> None:
        super().__init__(config)
        self._kept: dict[tuple[str, int], _Kept] = {}

    def check(self, cfg: RunConfig) -> None:
        """Reject another model, and rounds that are no epoch.

        Raises
        ------
        ConfigError
        """
        if not isinstance(cfg.model, TreesConfig):
            raise ConfigError(f"strategy=boosting grows trees (model=trees), got model.name={cfg.model.name}")
        super().check(cfg)

    def answers(self, asked: Asked) -> Layout:
        """Sums, as many as the question asks for; or that the client must be told the past first."""
        return {**_layout(unpacked(asked.kind, asked.arrays)), **BEHIND_LAYOUT}

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """Sums over this client's rows."""
        question = unpacked(asked.kind, asked.arrays)
        key = context.run_key, context.client_id
        kept = self._kept.get(key)
        if kept is None or not kept.is_before(question, asked.digest):
            self._kept = {own: other for own, other in self._kept.items() if own[0] == context.run_key}
            assert isinstance(context.module, TreeModule)
            kept = _Kept(context.module.client_trees(context.datamodule))
            past = unpacked_past(asked.past, after=-1) or _logged(context.log, before=question.step)
            kept.catch_up(past)
            if kept.digest != asked.digest:  # its log is not what the server has asked
                return {BEHIND: np.array([-1], dtype=np.int64)}
            self._kept[key] = kept
            if asked.past:
                for own in past:
                    context.log.add(own.step, packed(own)[1])
        found = kept.answer(question, log=context.log)
        return {name: found[name] for name in _layout(question)}

    def server(self, context: ServerContext) -> ServerHalf:
        """What asks, and grows."""
        return BoostingServer(context)


class _Kept:
    """A client's half of the training in this process, with the digest of what was asked."""

    def __init__(self, trees: ClientTrees) -> None:
        self.trees, self.digest, self.before = trees, "", ""

    def is_before(self, question: Question, digest: str) -> bool:
        """Whether a question is the next one, or the last one again."""
        if self.trees.step == question.step:
            return self.before == digest
        # Before trees grow, an answer depends on no other question.
        follows = self.trees.step == question.step - 1 or (not digest and self.trees.step < question.step)
        return follows and self.digest == digest

    def catch_up(self, past: Sequence[Question]) -> None:
        """Do what was asked before."""
        self.trees.catch_up(past)
        for question in past:
            self.digest = _chained(self.digest, question)

    def answer(self, question: Question, *, log: QuestionLog) -> Arrays:
        """Answer, and keep the question."""
        again = self.trees.step == question.step
        found = self.trees.answer(question).arrays
        if not again:
            self.before = self.digest
            if isinstance(question, Begin | Grow):
                log.add(question.step, packed(question)[1])
                self.digest = _chained(self.digest, question)
        return found


class BoostingServer(AskingServer):
    """Grows a tree before it sends the train messages of a round, which carry the new model."""

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, TreeNetwork)
        self.network = context.network
        self._grower: ServerGrower | None = None
        self._resume: Checkpoint | None = None
        self._question: Question | None = None  # the one that is open
        self._past: tuple[int, str] = 0, ""  # how many questions of the past, and their digest

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Grow the trees of a round by questions, then let all clients say how well the model fits.

        Raises
        ------
        QuorumError
            A client did not answer.
        """
        if self._grower is None:
            model, settings = self.network.model, self.network.settings
            assert settings is not None
            self._grower = ServerGrower(
                model.features, objective=model.objective, settings=settings, resume=self._resume
            )
        grower = self._grower
        grower.grow_round(lambda question: self._ask(question, grower=grower, config=config, grid=grid))
        self.network.model = grower.ensemble
        grown = arrays_from_state(self.network.state_dict())
        return super().configure_train(server_round, grown, config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check that sums are what was asked for, and could be sums.

        Raises
        ------
        ReplyRejected
        """
        question = self._question
        assert question is not None
        if is_behind(content) and not self.tells_past:
            read_answer(content, layout=BEHIND_LAYOUT)
            return
        check_reply(question, Reply(question.step, read_answer(content, layout=_layout(question))))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What the next tree begins with."""
        kept = self._grower.checkpoint() if self._grower else None
        return kept.to_arrays() if kept else {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Take up `state` again.

        Raises
        ------
        TreesError, FederationError
            It is damaged.
        """
        self._resume = Checkpoint.from_arrays(state) if state else None

    def _ask(
        self, question: Question, *, grower: ServerGrower, config: ConfigRecord, grid: Grid
    ) -> dict[str, Reply]:
        self._question = question
        count, digest = self._past
        for own in grower.past[count:]:
            digest = _chained(digest, own)
        self._past = len(grower.past), digest
        answers = self.ask(
            Asked(*packed(question), digest=digest),
            layout=_layout(question),
            config=config,
            grid=grid,
            past=lambda: packed_past(grower.past),
        )
        return {f"{place:09}": Reply(question.step, arrays) for place, arrays in answers.items()}


def _logged(log: QuestionLog, *, before: int) -> list[Question]:
    """What a client was asked before, as far as it has kept it."""
    found: list[Question] = []
    for arrays in log.read(after=-1, before=before).values():
        try:
            found.append(unpacked("grow" if found else "begin", arrays))
        except FederationError:  # damaged: the digest will tell
            return []
    return found


def _chained(digest: str, question: Question) -> str:
    # Which histograms were asked for is no part of the past.
    return chained(digest, {name: own for name, own in packed(question)[1].items() if name != "asked"})


def _layout(question: Question) -> Layout:
    kinds = {name: "int64" if name in COUNTED else "float64" for name in question.shapes()}
    return {name: (shape, kinds[name]) for name, shape in question.shapes().items()}
