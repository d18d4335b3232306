"""A few rows that stand for many: what a digest says is what all rows say."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.tracking.points import NONE, Points, pack, steps_of, summed_steps, unpack

NAN, INF = math.nan, math.inf
NOON = "2026-01-02 12:00:00.000001"
ROW = st.tuples(
    st.sampled_from([NONE, 0, 1]),  # client
    st.sampled_from([NONE, *range(1, 60)]),  # step
    st.sampled_from([NONE, 1, 2]),  # local epoch
    st.sampled_from(["train", "val"]),
    st.sampled_from(["loss", "accuracy"]),
    st.sampled_from([0.0, 0.5, 1.0, -1.0, 9.0, NAN, INF, None]),
    st.sampled_from([NONE, 10, 20]),
)
RUNS = st.lists(ROW, max_size=300, unique_by=lambda row: row[:5])


def stored(rows):
    return [(number, *row, NOON) for number, row in enumerate(rows, 1)]


def curves_of(points):
    """By key, client: steps, values, ids, and how many there were."""
    rows, lengths, totals = points.curves()
    parts = np.split(rows, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return {
        (*points.keys[part["key"][0]], int(part["client"][0])): (part, int(total))
        for part, total in zip(parts, totals, strict=True)
    }


def newest_by_hand(rows):
    newest = {}
    for number, client, _, _, stage, name, *_ in rows:
        newest[client, stage, name] = number
    return sorted(newest.values())


def by_client_and_round(rows):
    # Local epochs of one client in a round are stored together.
    return sorted(rows, key=lambda row: (row[1], row[0], row[2]))


@settings(max_examples=60, deadline=None)
@given(RUNS, st.integers(1, 4), st.randoms())
def test_digests_of_parts_say_what_all_rows_say(rows, parts, random):
    rows = stored(by_client_and_round(rows))
    cuts = sorted(
        place
        for place in {random.randrange(len(rows)) for _ in range(parts - 1) if rows}
        if place and rows[place][1:3] != rows[place - 1][1:3]
    )
    pieces = [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    raw = [Points.of(piece) for piece in pieces]
    packed = [unpack(pack(one.digest(), steps_of(one, federated=True))) for one in raw]
    full, thinned = Points.of(rows), Points.joined(one for one, _ in packed)

    assert thinned.newest().tolist() == full.newest().tolist() == newest_by_hand(rows)
    before, after = curves_of(full), curves_of(thinned)
    assert before.keys() == after.keys()
    for key, (curve, total) in before.items():
        fewer, stands_for = after[key]
        assert stands_for == total == len(curve)
        assert set(fewer["id"]) <= set(curve["id"])
        assert (fewer["step"][0], fewer["step"][-1]) == (curve["step"][0], curve["step"][-1])
        finite = curve["value"][np.isfinite(curve["value"])]
        if len(finite):
            kept = fewer["value"][np.isfinite(fewer["value"])]
            assert (kept.min(), kept.max()) == (finite.min(), finite.max())
    steps = summed_steps(one for _, one in packed)
    assert steps.tolist() == steps_of(full, federated=True).tolist()


def test_no_spike_is_lost():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 30_000)).cumsum(axis=1) / 100
    for client, place in enumerate((11, 15_000, 29_998)):
        values[client, place] += 50
    rows = stored(
        (client, step, NONE, "val", "loss", float(values[client, step]), 1)
        for step in range(30_000)
        for client in range(3)
    )
    parts = [Points.of(rows[start : start + 20_000]) for start in range(0, len(rows), 20_000)]
    thinned = Points.joined(part.digest() for part in parts)
    assert len(thinned.rows) < len(rows) / 4
    for (_, _, client), (curve, total) in curves_of(thinned).items():
        assert total == 30_000
        assert curve["value"].max() == values[client].max()
        # Beside each value that is left out, one is kept that is as large, and one that is as small.
        for window in np.split(np.arange(30_000), 100):
            inside = (curve["step"] >= window[0] - 300) & (curve["step"] <= window[-1] + 300)
            kept = curve["value"][inside]
            assert kept.max() >= values[client, window].max()
            assert kept.min() <= values[client, window].min()


def test_local_epochs_stand_for_their_round_by_the_last():
    rows = stored(
        [
            (0, 1, 1, "train", "loss", 9.0, 10),
            (0, 1, 2, "train", "loss", 1.0, 10),
            (NONE, 1, NONE, "train", "loss", 5.0, 20),
            (NONE, NONE, NONE, "test", "loss", 7.0, 20),
        ]
    )
    points = Points.of(rows)
    for found in (points, points.digest()):
        assert {key: curve["value"].tolist() for key, (curve, _) in curves_of(found).items()} == {
            ("train", "loss", 0): [1.0],
            ("train", "loss", NONE): [5.0],
        }
        assert found.newest().tolist() == [2, 3, 4]
    assert steps_of(points, federated=True)["examples"].tolist() == [20]  # both epochs of the client
    assert steps_of(points, federated=False)["examples"].tolist() == [20]


def test_of_nothing():
    nothing = Points.of([])
    assert len(nothing.digest().rows) == 0
    assert nothing.newest().tolist() == []
    assert steps_of(nothing, federated=True).tolist() == summed_steps([]).tolist() == []
    assert len(unpack(pack(nothing, steps_of(nothing, federated=False)))[0].rows) == 0
