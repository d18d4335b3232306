"""The mean of the clients' models: one running sum, few models in memory, the same bits in whatever order."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message
from flwr.clientapp import ClientApp
from hypothesis import given, settings
from hypothesis import strategies as st

from federated.messages.delivery import Delivery
from federated.messages.grid import RoundGrid
from federated.messages.records import ARRAYS, reply_content
from federated.strategy.aggregation import Averaging, CollectAll, MaskedSum, RunningMean
from federated.strategy.fedavgm import FedAvgMServer
from federated.strategy.server_half import AveragingServer, ServerContext, ServerHalf
from shared.runtime.errors import ReplyRejected
from simulations.engine.in_process import InProcessGrid
from tests.fuzzing import draws

COUNTS = [5, 20, 7, 20, 11, 3]  # examples by client
LARGEST_FIRST = [1, 3, 4, 2, 0, 5]


def model(client_id: int, size: int = 50) -> ArrayRecord:
    """Values of very different size, whose sum in float64 depends on its order."""
    rng = np.random.default_rng(client_id)
    values = rng.normal(size=size) * 10.0 ** rng.integers(-12, 12, size=size)
    return ArrayRecord(
        {"weight": Array(values.astype(np.float32)), "counter": Array(np.array(3 * client_id, dtype=np.int64))}
    )


def client_app(
    counts: Sequence[int] = COUNTS,
    *,
    failing: Iterable[int] = (),
    make: Callable[[int], ArrayRecord] = model,
) -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        me = int(context.node_config["partition-id"])
        if me in failing:
            raise RuntimeError("no luck")
        return Message(reply_content(points=[], num_examples=counts[me], arrays=make(me)), reply_to=message)

    return app


class Clerk:
    """Accepts all replies but those of some clients."""

    def __init__(self, rejected: Iterable[int] = ()) -> None:
        self.rejected = set(rejected)
        self.delivery = Delivery()

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        assert ARRAYS in reply.content
        if client_id in self.rejected:
            raise ReplyRejected("no")

    def idle(self) -> None:
        pass

    def finish(self, message_type: str, delivery: Delivery) -> None:
        self.delivery = delivery


class InOrder(InProcessGrid):
    """Replies come in a given order of clients, some of them never."""

    def __init__(self, app: ClientApp, order: Sequence[int], *, missing: Iterable[int] = ()) -> None:
        super().__init__(app, num_clients=len(order))
        self.order, self.missing = list(order), set(missing)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        clients = {
            self.client_of(message_id): message_id for message_id in message_ids if message_id in self._queue
        }
        there = [client for client in self.order if client in clients and client not in self.missing]
        return super().pull_messages([clients[client] for client in there])

    def client_of(self, message_id: str) -> int:
        node = self._queue[message_id].metadata.dst_node_id
        return int(self.contexts[node].node_config["partition-id"])


def averaging(nodes: Sequence[int], kind: type[ServerHalf] = AveragingServer, **changes: Any) -> ServerHalf:
    defaults = {"eval_nodes": [], "seed": 1, "fraction_train": 1.0, "fraction_evaluate": 0.0, "min_train": 1}
    return kind(ServerContext(nodes=nodes, **{**defaults, **changes}))


def one_round(
    inner: InProcessGrid,
    *,
    counts: Sequence[int] = COUNTS,
    one: ServerHalf | None = None,
    clerk: Clerk | None = None,
    start: ArrayRecord | None = None,
) -> ArrayRecord | None:
    """Sample, ask and aggregate as Flower's loop does."""
    nodes = inner.get_node_ids()
    one = one or averaging(nodes)
    assert isinstance(one, Averaging)
    grid = RoundGrid(
        inner,
        clients={node: client_id for client_id, node in enumerate(nodes)},
        handler=clerk or Clerk(),
        examples=dict(enumerate(counts)),
        take=one.take,
    )
    messages = one.configure_train(1, start or model(99), ConfigRecord(), grid)
    replies = grid.send_and_receive(messages, timeout=0.5)
    assert all(ARRAYS not in reply.content for reply in replies), "the arrays have left the replies"
    arrays, _ = one.aggregate_train(1, replies)
    return arrays


def bits(arrays: ArrayRecord | None) -> dict[str, tuple[str, bytes]]:
    assert arrays is not None
    return {key: (array.dtype, array.numpy().tobytes()) for key, array in arrays.items()}


def expected(clients: Iterable[int]) -> dict[str, tuple[str, bytes]]:
    """NumPy's sums in the fixed order."""
    chosen = [client for client in LARGEST_FIRST if client in set(clients)]
    total = sum(COUNTS[client] for client in chosen)
    result = {}
    for key, round_off in (("weight", lambda values: values), ("counter", np.rint)):
        values: npt.NDArray[np.float64] | None = None
        for client in chosen:
            product = model(client)[key].numpy().astype(np.float64) * COUNTS[client]
            values = product if values is None else values + product
        assert values is not None
        dtype = model(0)[key].dtype
        result[key] = (dtype, np.asarray(round_off(values / total)).astype(dtype).tobytes())
    return result


@given(order=st.permutations(range(len(COUNTS))))
@settings(max_examples=draws(40))
def test_whoever_answers_first_the_mean_is_the_same_to_the_last_bit(order: list[int]) -> None:
    assert bits(one_round(InOrder(client_app(), order))) == expected(range(len(COUNTS)))


def test_the_order_of_a_sum_is_seen_in_its_last_bits() -> None:
    forward, backward = RunningMean(), RunningMean()
    for client in range(40):
        forward.add(wide(client), weight=1)
        backward.add(wide(39 - client), weight=1)
    assert bits(forward.result()) != bits(backward.result())


def wide(client_id: int) -> ArrayRecord:
    return ArrayRecord({"w": Array(np.random.default_rng(client_id).normal(size=1000))})


@given(
    order=st.permutations(range(len(COUNTS))),
    fates=st.lists(
        st.sampled_from(["well", "well", "fails", "rejected"]), min_size=len(COUNTS), max_size=len(COUNTS)
    ),
)
@settings(max_examples=draws(40))
def test_whoever_fails_or_is_rejected_is_passed_over(order: list[int], fates: list[str]) -> None:
    def those(fate: str) -> set[int]:
        return {client for client, given_fate in enumerate(fates) if given_fate == fate}

    clerk = Clerk(rejected=those("rejected"))
    arrays = one_round(InOrder(client_app(failing=those("fails")), order), clerk=clerk)
    assert clerk.delivery.replied == sorted(those("well"))
    if those("well"):
        assert bits(arrays) == expected(those("well"))
    else:
        assert arrays is None


@pytest.mark.parametrize("missing", [[1], [4], [5], [1, 3], [0, 1, 2, 3, 4]])
def test_whoever_does_not_come_is_passed_over_at_the_end(missing: list[int]) -> None:
    clerk = Clerk()
    arrays = one_round(InOrder(client_app(), range(len(COUNTS)), missing=missing), clerk=clerk)
    assert sorted(clerk.delivery.failed) == missing
    assert bits(arrays) == expected(set(range(len(COUNTS))) - set(missing))


def test_clients_with_many_examples_are_asked_first_and_then_go_by_their_id() -> None:
    class Noting(InProcessGrid):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            messages = list(messages)
            pushed.extend(self.get_node_ids().index(message.metadata.dst_node_id) for message in messages)
            return super().push_messages(messages)

    pushed: list[int] = []
    clerk = Clerk()
    one_round(Noting(client_app(), num_clients=len(COUNTS)), clerk=clerk)
    assert pushed == LARGEST_FIRST
    assert clerk.delivery.sent == sorted(LARGEST_FIRST)


def test_the_mean_is_numpys_in_float64() -> None:
    mean, rng = RunningMean(), np.random.default_rng(0)
    values = rng.normal(size=(9, 200)).astype(np.float32)
    weights = [int(weight) for weight in rng.integers(1, 1000, size=9)]
    for row, weight in zip(values, weights, strict=True):
        mean.add(ArrayRecord({"w": Array(row)}), weight=weight)
    result = mean.result()
    assert result is not None
    exact = np.average(values.astype(np.float64), axis=0, weights=weights).astype(np.float32)
    np.testing.assert_array_max_ulp(result["w"].numpy(), exact, maxulp=1)
    assert (result["w"].numpy() == exact).mean() > 0.99, "it is rounded once, to float32, at the end"
    assert mean.result() is None, "the next round begins with nothing"


@pytest.mark.parametrize("weight", [1, 3, 1168, 2**29 - 1, 2**31 - 1])
def test_one_model_is_its_own_mean(weight: int) -> None:
    values = np.frombuffer(np.random.default_rng(0).bytes(40_000), dtype=np.float32)
    values = np.append(values[np.isfinite(values)], [0.0, -0.0, 1e-45]).astype(np.float32)
    mean = RunningMean()
    mean.add(ArrayRecord({"w": Array(values), "none": Array(np.empty(0, np.float32))}), weight=weight)
    result = mean.result()
    assert result is not None
    assert result["w"].numpy().tobytes() == values.tobytes()
    assert result["none"].numpy().shape == (0,)


@pytest.mark.parametrize("kind", [AveragingServer, FedAvgMServer])
def test_another_grid_that_takes_nothing_gives_the_same_mean(kind: type[ServerHalf]) -> None:
    inner = InProcessGrid(client_app(), num_clients=len(COUNTS))
    start = model(99)
    streamed = one_round(inner, one=averaging(inner.get_node_ids(), kind), start=start)
    other = averaging(inner.get_node_ids(), kind)
    messages = {
        message.metadata.dst_node_id: message
        for message in other.configure_train(1, start, ConfigRecord(), inner)
    }
    replies = inner.send_and_receive([messages[inner.get_node_ids()[client]] for client in LARGEST_FIRST])
    arrays, _ = other.aggregate_train(1, replies)
    assert bits(arrays) == bits(streamed) == expected(range(len(COUNTS)))


def test_collected_arrays_are_combined_key_by_key_with_their_weights() -> None:
    median = CollectAll(lambda values, weights: np.median(np.repeat(values, weights, axis=0), axis=0))
    assert median.result() is None
    for value, weight in ((1, 1), (5, 1), (9, 3)):
        arrays = {"w": Array(np.full(2, value, np.float32)), "count": Array(np.array(value, np.int64))}
        median.add(ArrayRecord(arrays), weight=weight)
    result = median.result()
    assert result is not None
    assert (result["w"].numpy().tolist(), result["w"].dtype) == ([9.0, 9.0], "float32")
    assert (result["count"].numpy(), result["count"].dtype) == (9, "int64")
    assert median.result() is None  # nothing of the last round is left


def test_masks_cancel_in_a_masked_sum() -> None:
    rng = np.random.default_rng(0)
    between = rng.integers(0, 2**64, size=3, dtype=np.uint64)  # the mask that clients 0 and 1 agreed on
    single = rng.integers(0, 2**64, size=3, dtype=np.uint64)  # client 1 shares it with one that is gone
    values = np.array([[1, 2, 3], [10, 20, 2**64 - 30]], dtype=np.uint64)
    total = MaskedSum()
    assert total.result() is None
    total.add(ArrayRecord({"w": Array(values[0] + between)}))
    total.add(ArrayRecord({"w": Array(values[1] - between + single)}))
    total.remove(ArrayRecord({"w": Array(single)}))
    result = total.result()
    assert result is not None
    assert result["w"].numpy().astype(np.int64).tolist() == [11, 22, -27]
    assert total.result() is None


MEGABYTE = 2**20


@pytest.fixture
def peak() -> Iterator[Callable[[], float]]:
    """The most memory held since the start of the test, in MB."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()


def large(client_id: int) -> ArrayRecord:
    """A model of 1 MB."""
    return ArrayRecord({"w": Array(np.full(MEGABYTE // 4, client_id, dtype=np.float32))})


@pytest.mark.parametrize("sampled", [1.0, 0.1])
def test_few_models_are_in_memory_when_replies_come_in_turn(sampled: float, peak: Callable[[], float]) -> None:
    counts = [100 - client for client in range(40)]
    inner = InProcessGrid(client_app(counts, make=large), num_clients=40)
    one = averaging(inner.get_node_ids(), fraction_train=sampled)
    assert one_round(inner, counts=counts, one=one, start=large(0)) is not None
    # The global model, a reply, the sum (8 bytes a value), a product to add (as much), and copies on the way.
    assert peak() < 9


def test_only_replies_that_come_before_their_turn_are_kept(peak: Callable[[], float]) -> None:
    counts = [100] * 40
    order = [place + shift for place in range(0, 40, 4) for shift in (3, 2, 1, 0)]  # always up to three early
    inner = InOrder(client_app(counts, make=large), order)
    assert one_round(inner, counts=counts, start=large(0)) is not None
    assert peak() < 9 + 3


def test_a_round_of_shuffled_replies_equals_one_in_turn() -> None:
    counts = [random.Random(0).randint(1, 9) for _ in range(40)]
    results = []
    for seed in range(3):
        order = random.Random(seed).sample(range(40), k=40)
        results.append(bits(one_round(InOrder(client_app(counts), order), counts=counts)))
    assert results[0] == results[1] == results[2]
