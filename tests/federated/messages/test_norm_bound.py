"""With a bound, a reply that moves the model far more than the others is left out by name."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MessageType, RecordDict

from federated.messages.delivery import Delivery
from federated.messages.norm_bound import NormBound
from federated.messages.records import ARRAYS, reply_content
from federated.messages.turns import HELD, Turns
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import Asked, Federate, toy_app
from tests.federated.hostile_replies import data_of

pytestmark = pytest.mark.attack

BOUND = "federation.max_update_norm=5"
SENT = {"w": np.array([3.0, 4.0], np.float32), "mean": np.zeros(2, np.float32), "steps": np.array(0)}


def content(**arrays: object) -> RecordDict:
    record = ArrayRecord({key: Array(np.asarray(value)) for key, value in {**SENT, **arrays}.items()})
    return RecordDict({ARRAYS: record})


def reply(examples: int = 10, *, control: float | None = None, **arrays: object) -> RecordDict:
    extra = {"control": ArrayRecord({"w": Array(np.full(2, control, np.float32))})} if control else None
    found = content(**arrays).array_records[ARRAYS]
    return reply_content(points=[], num_examples=examples, arrays=found, extra=extra)


def moved(by: float, examples: int = 10) -> RecordDict:
    """Its parameters moved so far along an axis."""
    return reply(examples, w=np.array([3.0 + by, 4.0], np.float32))


def bound(*replies: RecordDict, times: float = 5.0) -> NormBound:
    made = NormBound(times, trained=["w"])
    made.begin(content())
    for client_id, one in enumerate(replies):
        made.add(client_id, one)
    return made


def test_the_median_of_the_round_is_what_is_usual() -> None:
    made = bound(moved(1), moved(2), moved(-11), moved(3), moved(2))
    assert [made.ratios(client_id)["update"] for client_id in range(5)] == pytest.approx([0.5, 1, 5.5, 1.5, 1])
    assert made.excess(2) == (pytest.approx(5.5), "update")
    assert made.excess(3) is None
    assert "5.5 times as far" in made.why(*made.excess(2))  # type: ignore[misc]
    assert "federation.max_update_norm=5" in made.why(5.5, "update")


def test_more_examples_may_move_further_in_proportion() -> None:
    few = [moved(1, examples=10)] * 2
    assert bound(*few, moved(60, examples=100)).excess(2) == (pytest.approx(6), "update")
    assert bound(*few, moved(40, examples=100)).excess(2) is None
    assert bound(*[moved(1, examples=100)] * 2, moved(6, examples=10)).excess(2) is not None, "fewer: no less"


def test_of_two_nobody_is_too_long() -> None:
    made = bound(moved(1), moved(1e30))
    assert made.excess(0) is made.excess(1) is None


def test_what_hardly_moves_the_model_is_never_too_long() -> None:
    # The model's norm is 5: below 5 x 0.01 x 5 nothing is.
    assert bound(moved(1e-6), moved(1e-6), moved(0.24)).excess(2) is None
    assert bound(moved(1e-6), moved(1e-6), moved(0.26)).excess(2) is not None
    still = bound(reply(), reply(), reply())
    assert all(still.excess(client_id) is None for client_id in range(3))


@pytest.mark.parametrize("huge", [1e30, 1.6e38])
def test_buffers_and_further_records_are_judged_too_and_whole_numbers_are_not(huge: float) -> None:
    mean = [reply(mean=np.array([by, 0], np.float32)) for by in (1, 1, huge)]
    assert bound(*mean).excess(2) == (1e12, "buffers and local arrays")
    control = [reply(control=by) for by in (1.0, 1.0, huge)]
    assert bound(*control).excess(2) == (1e12, "control")
    assert bound(*[reply(steps=np.array(by)) for by in (1, 1, 10**15)]).excess(2) is None


def verdicts(
    contents: list[RecordDict], order_of_arrival: list[int], *, measured: bool = False
) -> tuple[list[int], dict[int, str]]:
    """The clients that are handed on, in their order, and why the others are not."""
    taken: list[int] = []
    replies = {client_id: Message(one, client_id, MessageType.TRAIN) for client_id, one in enumerate(contents)}

    def take(message: Message) -> None:
        taken.append(next(client_id for client_id, one in replies.items() if one is message))

    turns = Turns(range(len(contents)), bound=bound(), take=take)
    accepted: dict[int, Message] = {}
    delivery = Delivery()
    for client_id in order_of_arrival:
        accepted[client_id] = replies[client_id]
        if measured:
            turns.arrived(client_id, replies[client_id])
        turns.advance(accepted, delivery)
    assert sorted(accepted) == taken
    assert delivery.over_bound.keys() == delivery.failed.keys()
    return taken, delivery.failed


@pytest.mark.parametrize("number", [3, HELD, HELD + 5])
def test_the_verdict_does_not_depend_on_who_is_fast(number: int) -> None:
    InProcessGrid(toy_app(), num_clients=0)  # from now on messages can be made
    contents = [moved(1 + client_id / number) for client_id in range(number)]
    contents[0], contents[-1] = moved(100), moved(-50) if number > 3 else contents[-1]
    mad = {0, number - 1} if number > 3 else {0}
    rng = np.random.default_rng(0)
    found = [verdicts(contents, list(rng.permutation(number)), measured=on < 2) for on in range(4)]
    assert found[0][0] == [client_id for client_id in range(number) if client_id not in mad]
    assert found[0][1].keys() == mad
    assert all(one == found[0] for one in found)


def test_memory_holds_a_few_replies_of_many() -> None:
    number = 3 * HELD
    turns = Turns(range(number), bound=bound(), take=lambda message: None)
    accepted: dict[int, Message] = {}
    for client_id in range(number):
        accepted[client_id] = Message(moved(1), client_id, MessageType.TRAIN)
        turns.advance(accepted, Delivery())
        assert len(turns._held) < HELD


def mad(factor: float, *, only: int = 3) -> object:
    """Client 3 moves so many times as far as it would."""

    def change(reply: RecordDict, where: Asked) -> RecordDict:
        if where.kind == "train" and where.client_id == only:
            arrays = reply.array_records[ARRAYS]
            for key, array in list(arrays.items()):
                if array.dtype == "float32":
                    step = np.float32((only + 1) / 8)
                    values = array.numpy() + np.float32((factor - 1) * step)
                    data_of(arrays)[key] = Array(np.asarray(values, np.float32))
        return reply

    return change


COUNTS = (20, 20, 20, 20)


@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
def test_a_mad_site_is_named_and_the_others_average_is_what_it_is_without_it(
    strategy: str, federate: Federate
) -> None:
    options = [f"strategy={strategy}", "federation.num_clients=4"]
    run = federate(*options, BOUND, client_app=toy_app(COUNTS, reply=mad(100)))  # type: ignore[arg-type]
    assert run.row.status == "completed"
    for row in run.rounds:
        assert row.replied == [0, 1, 2]
        assert row.failed[3].startswith("train: rejected: its ")
        assert "federation.max_update_norm=5" in row.failed[3]
    ratios = run.values("update_norm_ratio", stage="train", client_id=3)
    assert all(ratio > 5 for ratio in ratios.values())
    assert len(ratios) == 2
    assert run.values("loss", stage="train") == {1: pytest.approx(2.0), 2: pytest.approx(2.0)}, (
        "without its loss"
    )
    assert any("site 3 dropped (train): rejected" in line for line in run.lines)
    alone = federate(options[0], "federation.num_clients=3", client_app=toy_app(COUNTS[:3]))
    assert run.digest() == alone.digest()
    free = federate(*options, client_app=toy_app(COUNTS, reply=mad(100)))  # type: ignore[arg-type]
    assert [row.replied for row in free.rounds] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("strategy", ["scaffold", "fedbn"])
def test_an_honest_federation_of_very_uneven_sites_is_not_changed(strategy: str, federate: Federate) -> None:
    uneven = ["partition=dirichlet", "partition.alpha=0.1", "partition.min_examples=2", "model.norm=batch"]
    options = [*uneven, f"strategy={strategy}", "federation.num_clients=5"]
    run = federate(*options, BOUND)
    assert all(row.failed == {} for row in run.rounds)
    assert run.digest() == federate(*options).digest()
