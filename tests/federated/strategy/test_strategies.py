"""Sampling, aggregation and types of the strategies; the arithmetic is done by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from torch import nn

from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, SERVER_ROUND, STATE_ROUND
from federated.strategy.fedadam import FedAdamServer
from federated.strategy.fedavgm import FedAvgMServer
from federated.strategy.fedmedian import FedMedianServer
from federated.strategy.fedprox import ProximalTerm
from federated.strategy.fedtrimmedavg import FedTrimmedAvgServer
from federated.strategy.server_half import AveragingServer, ServerContext, ServerHalf, sample
from simulations.engine.in_process import InProcessGrid

NODES = [30, 10, 20]  # by client


def strategy(
    kind: type[ServerHalf] = AveragingServer, more: dict[str, Any] | None = None, **changes: Any
) -> ServerHalf:
    settings = {
        "nodes": NODES,
        "eval_nodes": NODES,
        "seed": 1,
        "fraction_train": 1.0,
        "fraction_evaluate": 1.0,
        "min_train": 1,
    }
    return kind(ServerContext(**{**settings, **changes}), **(more or {}))


def record(*values: float, counter: int = 3) -> ArrayRecord:
    return ArrayRecord(
        {
            "weight": Array(np.array(values, dtype=np.float32)),
            "counter": Array(np.array(counter, dtype=np.int64)),
        }
    )


@pytest.fixture
def grid() -> InProcessGrid:
    return InProcessGrid(None, num_clients=0)  # type: ignore[arg-type]


def replies(*clients: tuple[ArrayRecord, int], metrics: list[dict[str, float]] | None = None) -> list[Message]:
    asked = Message(RecordDict(), 1, MessageType.TRAIN)
    asked.metadata.__dict__["_message_id"] = "asked"
    return [
        Message(
            RecordDict(
                {ARRAYS: arrays, METRICS: MetricRecord({NUM_EXAMPLES: count, **(metrics or [{}] * 9)[index]})}
            ),
            reply_to=asked,
        )
        for index, (arrays, count) in enumerate(clients)
    ]


def aggregate(one: ServerHalf, *clients: tuple[ArrayRecord, int]) -> ArrayRecord:
    arrays, _ = one.aggregate_train(1, replies(*clients))
    assert arrays is not None
    return arrays


def configured(
    one: ServerHalf, grid: InProcessGrid, *, round: int = 1, arrays: ArrayRecord | None = None
) -> list[Message]:
    return list(one.configure_train(round, arrays or record(0.0), ConfigRecord(), grid))


def test_examples_are_weights(grid: InProcessGrid) -> None:
    one = strategy()
    configured(one, grid)
    arrays, metrics = one.aggregate_train(
        1, replies((record(2.0), 1), (record(6.0), 3), metrics=[{"loss": 2.0}, {"loss": 6.0}])
    )
    assert arrays is not None
    assert arrays["weight"].numpy() == [5.0]
    assert metrics == {"loss": 5.0}


def test_counters_keep_their_type_and_are_rounded(grid: InProcessGrid) -> None:
    one = strategy()
    configured(one, grid)
    arrays = aggregate(one, (record(1.0, counter=4), 1), (record(1.0, counter=10), 2))
    counter = arrays["counter"].numpy()
    assert counter.dtype == np.int64
    assert counter.shape == ()
    assert counter == 8
    assert aggregate(one, (record(1.0, counter=1), 1), (record(1.0, counter=2), 1))["counter"].numpy() == 2


def test_one_client_is_its_own_average_to_the_last_bit(grid: InProcessGrid) -> None:
    values = np.frombuffer(np.random.default_rng(0).bytes(4000), dtype=np.float32)
    values = values[np.isfinite(values)]
    one = strategy()
    configured(one, grid, arrays=record(*values))
    assert aggregate(one, (record(*values), 1168))["weight"].numpy().tobytes() == values.tobytes()


def test_no_replies_no_arrays() -> None:
    assert strategy().aggregate_train(1, []) == (None, None)


def test_every_chosen_node_gets_one_message_and_the_real_round(grid: InProcessGrid) -> None:
    messages = configured(strategy(round_offset=5), grid, round=2)
    assert sorted(message.metadata.dst_node_id for message in messages) == sorted(NODES)
    assert {message.content.config_records["config"][SERVER_ROUND] for message in messages} == {7}


def test_each_node_is_told_the_round_whose_state_it_begins_with(grid: InProcessGrid) -> None:
    one = strategy(state_round={10: 4, 20: 0, 30: 2}.__getitem__, round_offset=4)
    train = configured(one, grid)
    evaluate = one.configure_evaluate(1, record(0.0), ConfigRecord(), grid)
    for message in (*train, *evaluate):
        told = message.content.config_records["config"]
        assert (told[STATE_ROUND], told[SERVER_ROUND]) == (
            {10: 4, 20: 0, 30: 2}[message.metadata.dst_node_id],
            5,
        )
    assert len({id(message.content.array_records[ARRAYS]) for message in train}) == 1
    plain = configured(strategy(), grid)
    assert STATE_ROUND not in plain[0].content.config_records["config"]
    assert len({id(message.content) for message in plain}) == 1


@pytest.mark.parametrize(
    ("fraction", "at_least", "expected"),
    [(1.0, 1, 3), (0.34, 1, 1), (0.1, 1, 1), (0.1, 2, 2), (0.1, 9, 3), (0.67, 1, 2)],
)
def test_how_many_train(fraction: float, at_least: int, expected: int, grid: InProcessGrid) -> None:
    one = strategy(fraction_train=fraction, min_train=at_least)
    assert len(configured(one, grid)) == expected


def evaluated(one: ServerHalf, grid: InProcessGrid, round: int = 1) -> list[int]:
    messages = one.configure_evaluate(round, record(0.0), ConfigRecord(), grid)
    return sorted(message.metadata.dst_node_id for message in messages)


def test_only_nodes_with_validation_rows_evaluate(grid: InProcessGrid) -> None:
    assert evaluated(strategy(eval_nodes=[30, 20]), grid) == [20, 30]
    assert evaluated(strategy(eval_nodes=[]), grid) == []
    assert evaluated(strategy(fraction_evaluate=0.0), grid) == []
    assert len(evaluated(strategy(fraction_evaluate=0.1), grid)) == 1


def test_sampling_is_a_function_of_seed_and_round(grid: InProcessGrid) -> None:
    nodes = list(range(100, 150))

    def chosen(seed: int, round: int, offset: int = 0) -> list[int]:
        one = strategy(nodes=nodes, seed=seed, fraction_train=0.2, round_offset=offset)
        return sorted(message.metadata.dst_node_id for message in configured(one, grid, round=round))

    assert len(chosen(1, 1)) == 10
    assert chosen(1, 3) == chosen(1, 3) == chosen(1, 1, offset=2)
    assert len({tuple(chosen(seed, round)) for seed in (1, 2) for round in (1, 2, 3)}) == 6


def test_sampling_goes_by_client_and_not_by_node_id() -> None:
    positions = sample(range(50), count=7, seed=3)
    assert positions == sorted(set(positions))
    nodes = list(np.random.default_rng(0).integers(1, 2**62, size=50))
    assert sample(nodes, count=7, seed=3) == [nodes[position] for position in positions]


def test_sampling_is_fair() -> None:
    counts = Counter(node for seed in range(2000) for node in sample(range(5), count=2, seed=seed))
    assert all(abs(count - 800) < 100 for count in counts.values())  # 800 each, sigma 22


def test_sampling_and_evaluation_draw_apart(grid: InProcessGrid) -> None:
    nodes = list(range(100, 150))
    one = strategy(nodes=nodes, eval_nodes=nodes, fraction_train=0.2, fraction_evaluate=0.2)
    assert evaluated(one, grid) != sorted(message.metadata.dst_node_id for message in configured(one, grid))


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        (AveragingServer, {}, 4.0),  # (1 + 2 + 9) / 3
        (FedMedianServer, {}, 2.0),
        (FedTrimmedAvgServer, {"beta": 0.34}, 2.0),  # one off each end
        (FedAvgMServer, {"server_learning_rate": 0.5, "server_momentum": 0.0}, 2.0),  # half of 4
        # Adam's first step from 0: eta_norm m / (sqrt(v) + tau), m = 0.1 x 4, v = 0.01 x 16, server_round 1
        (FedAdamServer, {"eta": 0.1, "tau": 0.1}, 0.1 * (1 - 0.99**2) ** 0.5 / (1 - 0.9**2) * 0.4 / 0.5),
    ],
)  # fmt: skip
def test_flowers_other_strategies_compose(
    kind: type[ServerHalf], settings: dict[str, Any], expected: float, grid: InProcessGrid
) -> None:
    one = strategy(kind, settings)
    messages = configured(one, grid, arrays=record(0.0, counter=3))
    assert sorted(message.metadata.dst_node_id for message in messages) == sorted(NODES)
    arrays = aggregate(one, *((record(value, counter=3), 1) for value in (1.0, 2.0, 9.0)))
    assert arrays["weight"].numpy() == pytest.approx([expected], rel=1e-6)
    assert arrays["weight"].dtype == "float32"
    assert arrays["counter"].numpy() == 3
    assert arrays["counter"].dtype == "int64"


def test_server_momentum_is_resumed_and_leaves_buffers_alone(grid: InProcessGrid) -> None:
    def momentum(**changes: Any) -> ServerHalf:
        settings = {"server_momentum": 0.5, "server_learning_rate": 1.0}
        return strategy(FedAvgMServer, settings, buffers=frozenset(["counter"]), **changes)

    def step(one: ServerHalf, arrays: ArrayRecord, value: float, counter: int) -> ArrayRecord:
        configured(one, grid, arrays=arrays)
        return aggregate(one, (record(value, counter=counter), 1))

    one = momentum()
    assert one.state() == {}
    first = step(one, record(0.0), 4.0, 7)
    assert first["weight"].numpy() == 4.0
    kept = one.state()
    assert kept["weight"] == -4.0  # the opposite of a step
    second = step(one, first, 6.0, 9)
    assert second["weight"].numpy() == 4.0 + 2.0 + 0.5 * 4.0
    resumed = momentum(round_offset=1)
    resumed.restore(kept, arrays=first)
    again = step(resumed, first, 6.0, 9)
    assert again["weight"].numpy() == second["weight"].numpy()
    assert [arrays["counter"].numpy() for arrays in (first, second, again)] == [7, 9, 9]


def test_the_proximal_term_is_the_gradient_of_half_mu_times_the_squared_distance() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    term: Any = ProximalTerm(0.5)
    term.on_train_start(None, layer)
    layer.weight.grad = torch.tensor([[10.0, 20.0]])
    term.on_before_optimizer_step(None, layer, None)
    assert layer.weight.grad.tolist() == [[10.0, 20.0]]  # it has not moved yet
    with torch.no_grad():
        layer.weight.add_(torch.tensor([[4.0, -2.0]]))
    term.on_before_optimizer_step(None, layer, None)
    assert layer.weight.grad.tolist() == [[12.0, 19.0]]
    assert layer.weight.tolist() == [[5.0, 0.0]]
