"""SCAFFOLD, FedAdam and FedBN on models of two parameters; the arithmetic is done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from torch import Tensor, nn

from federated.client.app import app
from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, arrays_from_state, state_of
from federated.strategy.client_half import FitResult
from federated.strategy.fedadam import FedAdamServer
from federated.strategy.fedbn import FedBN
from federated.strategy.scaffold import CONTROL, ScaffoldClient, ScaffoldServer
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.schema import Schema
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ConfigError
from shared.tasks.base import FitContext
from shared.tasks.image_classification.learner import ClassificationLearner
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.image_classification.task import ImageClassification
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import Federate, MakeConfig, Tapped

EXAMPLES = {0: 1, 1: 3}
TARGETS = {0: (2.0, 0.0), 1: (0.0, 4.0)}  # client k minimises half the squared distance from its target
NODES = [10, 11]


def context(**changes: Any) -> ServerContext:
    settings = {
        "nodes": NODES,
        "eval_nodes": [],
        "seed": 0,
        "fraction_train": 1.0,
        "fraction_evaluate": 0.0,
        "min_train": 1,
        "trained": frozenset(["w"]),
        "total_examples": lambda round: sum(EXAMPLES.values()),
    }
    return ServerContext(**{**settings, **changes})


def record(*values: float, key: str = "w") -> ArrayRecord:
    return ArrayRecord({key: Array(np.array(values, dtype=np.float32))})


def numbers(arrays: ArrayRecord | None, key: str = "w") -> list[float]:
    assert arrays is not None
    values: list[float] = arrays[key].numpy().tolist()
    return values


@pytest.fixture(autouse=True)
def messages_can_be_made() -> None:
    InProcessGrid(None, num_clients=0)  # type: ignore[arg-type]


def sent(one: ServerHalf, arrays: ArrayRecord, round: int) -> Message:
    grid: Any = InProcessGrid(None, num_clients=0)  # type: ignore[arg-type]
    return next(iter(one.configure_train(round, arrays, ConfigRecord(), grid)))


def answered(content: dict[str, ArrayRecord], examples: int) -> Message:
    asked = Message(RecordDict(), 1, MessageType.TRAIN)
    asked.metadata.__dict__["_message_id"] = "asked"
    return Message(RecordDict({**content, METRICS: MetricRecord({NUM_EXAMPLES: examples})}), reply_to=asked)


# --- SCAFFOLD -----------------------------------------------------------------------------------------


def fit(start: Tensor, target: tuple[float, float], **controls: Any) -> tuple[Tensor, FitResult]:
    """Two steps of plain SGD with a learning rate of 1/2."""
    network = nn.Module()
    network.w = nn.Parameter(start.clone())
    module: Any = None  # the network is all that it looks at
    half = ScaffoldClient(network, **controls)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    half.before_fit(module)
    (callback,) = half.callbacks()
    callback.on_train_start(None, module)  # type: ignore[arg-type]
    for _ in range(2):
        optimizer.zero_grad()
        ((network.w - torch.tensor(target)) ** 2).sum().div(2).backward()
        callback.on_before_optimizer_step(None, module, optimizer)  # type: ignore[arg-type]
        optimizer.step()
    return network.w.detach(), half.after_fit(module)


def scaffold_round(
    one: ScaffoldServer,
    arrays: ArrayRecord,
    states: dict[int, Any],
    *,
    round: int,
    clients: tuple[int, ...] = (0, 1),
) -> ArrayRecord:
    message = sent(one, arrays, round)
    control = state_of(message.content.array_records[CONTROL])
    replies = []
    for client in clients:
        start, own = state_of(message.content.array_records[ARRAYS])["w"], states.get(client, {})
        weights, result = fit(start, TARGETS[client], server_control=control, own_control=own)
        states[client] = result.state
        content = {
            ARRAYS: arrays_from_state({"w": weights}),
            CONTROL: arrays_from_state(result.arrays[CONTROL]),
        }
        replies.append(answered(content, EXAMPLES[client]))
    new, _ = one.aggregate_train(round, replies)
    assert new is not None
    return new


def test_two_rounds_of_scaffold() -> None:
    one, states = ScaffoldServer(context(), learning_rate=1.0), dict[int, Any]()
    assert one.state() == {}
    # Client 0 steps from 0 to 1 to 1.5, with the gradients -2, -1; client 1 from 0 to 2 to 3, with -4, -2.
    first = scaffold_round(one, record(0.0, 0.0), states, round=1)
    assert states[0]["w"].tolist() == [-1.5, 0.0]
    assert states[1]["w"].tolist() == [0.0, -3.0]
    assert numbers(first) == [1.5 / 4, 3.0 * 3 / 4]
    assert one.control["w"].tolist() == [-1.5 / 4, -3.0 * 3 / 4]
    # Client 0, corrected by (1.125, -2.25): 0.375, 0.625, 0.75, with the gradients -1.625 and -1.375; and it
    # stays at 2.25. Client 1, corrected by (-0.375, 0.75): stays at 0.375; 2.25, 2.75, 3, with -1.75 and -1.25.
    second = scaffold_round(one, first, states, round=2)
    assert states[0]["w"].tolist() == [-1.5, 2.25]
    assert states[1]["w"].tolist() == [0.375, -1.5]
    assert numbers(second) == [(0.75 + 3 * 0.375) / 4, (2.25 + 3 * 3.0) / 4]
    assert one.control["w"].tolist() == [(-1.5 + 3 * 0.375) / 4, (2.25 + 3 * -1.5) / 4]


def test_the_new_control_variate_is_the_papers_option_two() -> None:
    c, own, start = torch.tensor([0.5, -1.0]), torch.tensor([0.25, 2.0]), torch.tensor([1.0, 1.0])
    end, result = fit(start, (2.0, 0.0), server_control={"w": c}, own_control={"w": own})
    assert result.state["w"].tolist() == (own - c + (start - end) / (2 * 0.5)).tolist()
    assert result.arrays[CONTROL]["w"].tolist() == (result.state["w"] - own).tolist()


def test_scaffold_ends_where_the_pooled_optimum_is() -> None:
    one, states, arrays = ScaffoldServer(context(), learning_rate=1.0), dict[int, Any](), record(0.0, 0.0)
    for round in range(1, 40):
        arrays = scaffold_round(one, arrays, states, round=round)
    assert numbers(arrays) == pytest.approx([2 / 4, 4 * 3 / 4], abs=1e-4)


def test_of_a_part_of_the_clients_the_control_variate_moves_by_their_share() -> None:
    one, states = ScaffoldServer(context(), learning_rate=0.5), dict[int, Any]()
    first = scaffold_round(one, record(0.0, 0.0), states, round=1, clients=(0,))
    assert numbers(first) == [0.75, 0.0]  # half of the way to 1.5
    assert one.control["w"].tolist() == [-1.5 / 4, 0.0]  # one example of four


def test_scaffold_is_resumed_with_its_control_variate() -> None:
    one, states = ScaffoldServer(context(), learning_rate=1.0), dict[int, Any]()
    first = scaffold_round(one, record(0.0, 0.0), states, round=1)
    resumed = ScaffoldServer(context(round_offset=1), learning_rate=1.0)
    resumed.restore(one.state(), arrays=first)
    again = scaffold_round(resumed, first, dict(states), round=1)
    assert numbers(again) == numbers(scaffold_round(one, first, dict(states), round=2))


# --- FedAdam ------------------------------------------------------------------------------------------


def adam_round(
    one: FedAdamServer, arrays: ArrayRecord, replies: list[ArrayRecord], *, round: int
) -> ArrayRecord:
    sent(one, arrays, round)
    messages = [answered({ARRAYS: reply}, EXAMPLES[k]) for k, reply in enumerate(replies)]
    new, _ = one.aggregate_train(round, messages)
    assert new is not None
    return new


def test_two_rounds_of_adam_and_a_resume() -> None:
    settings = {"eta": 0.5, "beta_1": 0.5, "beta_2": 0.75, "tau": 1.0}
    one = FedAdamServer(context(), **settings)
    # The mean changes by (4, -2): m = (2, -1), v = (4, 1), and m / (sqrt(v) + 1) = (2/3, -1/2).
    first = adam_round(one, record(0.0, 0.0), [record(16.0, 1.0), record(0.0, -3.0)], round=1)
    rate = 0.5 * (1 - 0.75**2) ** 0.5 / (1 - 0.5**2)
    assert numbers(first) == pytest.approx([rate * 2 / 3, rate * -1 / 2])
    assert first["w"].dtype == "float32"
    kept = one.state()
    # Then by (0, 2): m = (1, 1/2), v = (3, 7/4).
    moved = [record(numbers(first)[0], numbers(first)[1] + 2) for _ in range(4)]
    second = adam_round(one, first, moved[:2], round=2)
    rate = 0.5 * (1 - 0.75**3) ** 0.5 / (1 - 0.5**3)
    steps = [rate * 1 / (3**0.5 + 1), rate * 0.5 / (1.75**0.5 + 1)]
    assert numbers(second) == pytest.approx([numbers(first)[0] + steps[0], numbers(first)[1] + steps[1]])
    resumed = FedAdamServer(context(round_offset=1), **settings)
    resumed.restore(kept, arrays=first)
    again = adam_round(resumed, first, moved[2:], round=1)
    assert numbers(again) == numbers(second)


def test_adam_leaves_buffers_to_the_average() -> None:
    one = FedAdamServer(context(buffers=frozenset(["w"])), eta=0.5)
    new = adam_round(one, record(0.0, 0.0), [record(4.0, 8.0), record(0.0, 0.0)], round=1)
    assert numbers(new) == [1.0, 2.0]


# --- FedBN --------------------------------------------------------------------------------------------


class TwoParameters(ImageClassification):
    """A task whose model is one weight and one of batch normalisation, each drawn to a client's own value."""

    def learner(self, cfg: Config) -> Any:
        return _Learner(self, cfg)


WEIGHTS, SCALES = {0: 2.0, 1: 4.0}, {0: 3.0, 1: -1.0}


class _Learner(ClassificationLearner):
    def module(self, schema: Schema, fit: FitContext) -> LitClassifier:
        module = _Module(self.cfg, spec=ClassificationSpec(schema), fit=fit)
        module.network = _Network()
        return module


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1)  # whose weight is 1

    def forward(self, images: Tensor) -> Tensor:
        scores = self.norm(images.mean(dim=(1, 2, 3))[:, None])
        return torch.cat([scores, self.weight * scores], dim=1)


class _Module(LitClassifier):
    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        client, network = self.fit_context.partition_id, self.network
        return ((network.weight - WEIGHTS[client]) ** 2 + (network.norm.weight - SCALES[client]) ** 2).sum() / 2


def test_two_rounds_of_fedbn(
    federate: Federate, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 rows each, in one batch: one step of a learning rate of 1/2 is half of the way."""
    monkeypatch.setenv(MAY_RUN, TwoParameters.__module__)
    settings = [
        "strategy=fedbn",
        f"task._target_={TwoParameters.__module__}.TwoParameters",
        "model.norm=batch",
        "federation.num_clients=2",
        "trainer.optimizer.lr=0.5",
        "trainer.optimizer.momentum=0",
        "trainer.optimizer.weight_decay=0",
    ]
    grid = Tapped(app, num_clients=2)
    run = federate(*settings, grid=grid)

    def sent(key: str) -> dict[tuple[int, int], float]:
        records = {place: reply.content.array_records[ARRAYS] for place, reply in grid.replies.items()}
        return {place: float(arrays[key].numpy()[0]) for place, arrays in records.items()}

    # The weight begins round 2 at the mean, (1 + 2) / 2; the normalisation where each client left its own.
    assert sent("weight") == {(1, 0): 1.0, (1, 1): 2.0, (2, 0): 1.75, (2, 1): 2.75}
    assert sent("norm.weight") == {(1, 0): 2.0, (1, 1): 0.0, (2, 0): 2.5, (2, 1): -0.5}
    last = run.weights()
    assert (float(last["weight"]), float(last["norm.weight"])) == (2.25, 1.0)


def test_fedbn_keeps_all_of_batch_normalisation_and_nothing_else() -> None:
    network = nn.Sequential(
        nn.Linear(1, 1), nn.BatchNorm1d(1), nn.Sequential(nn.GroupNorm(1, 1), nn.BatchNorm2d(1))
    )
    fedbn = FedBN(FedBN.Config(**compose(["strategy=fedbn"]).strategy.settings()))
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert fedbn.local_keys(network) == {f"{norm}.{name}" for norm in ("1", "2.1") for name in names}
    with pytest.raises(ConfigError, match=r"set model\.norm=batch"):
        fedbn.local_keys(nn.Linear(1, 1))
