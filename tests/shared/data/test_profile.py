"""Profiles: counts by hand, JSON there and back; what is no profile is tested where replies are parsed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from shared.data.profile import Moments, Profile, count_tables, count_values

PROFILE = Profile(
    {"label": {"sick": 4, "well": 0}}, {"age": (18.0, 91.5)}, {"age": 2}, {"age": Moments(4, 50.5, 3.25)}
)


def test_a_profile_is_the_same_after_json() -> None:
    assert Profile.from_json(PROFILE.to_json()) == PROFILE
    assert json.loads(PROFILE.to_json()) == PROFILE.as_dict()
    assert PROFILE.as_dict()["spans"] == {"age": [18.0, 91.5]}
    assert PROFILE.as_dict()["moments"] == {"age": [4, 50.5, 3.25]}
    assert Profile.from_json(Profile().to_json()) == Profile()
    before = {"counts": {}, "spans": {}, "missing": {}}  # as older versions wrote it
    assert Profile.from_dict(before) == Profile()


@pytest.mark.parametrize(
    "moments", [[0, 1.0, 1.0], [2, 1.0], [2, 1.0, -1.0], [2.0, 1.0, 1.0], [2, "1", 1.0], [2, 1e999, 1.0], None]
)
def test_moments_that_cannot_be_are_refused(moments: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        Profile.from_dict({**Profile().as_dict(), "moments": {"age": moments}})


def test_moments_of_two_parts_are_those_of_all() -> None:
    assert Moments.of(np.array([1.0, 3.0])).with_(Moments.of(np.array([8.0]))) == Moments(3, 4.0, 26.0)
    assert Moments.of(np.array([1.0, 3.0, 8.0])) == Moments(3, 4.0, 26.0)
    assert Moments(4, 0.0, 16.0).deviation == 2


def test_values_are_counted_in_the_order_of_their_numbers() -> None:
    counts = count_values(np.array([1, 0, 1, 3]), ["d", "c", "b", "a"])
    assert list(counts.items()) == [("d", 1), ("c", 2), ("b", 0), ("a", 1)]
    assert all(type(count) is int for count in counts.values())
    assert count_values(np.array([], dtype=np.int64), ["x", "y"]) == {"x": 0, "y": 0}


def test_tables_hold_every_value_and_zeros_for_who_says_nothing() -> None:
    profiles = [
        Profile({"label": {"a": 1, "b": 2}}),
        Profile(),
        Profile({"label": {"b": 3, "c": 4}, "sex": {"f": 5}}),
    ]
    label, sex = count_tables(profiles, clients=["x", "y", "z"], sizes=[3, 9, 7])
    assert (label.variable, label.values, label.clients) == ("label", ("a", "b", "c"), ("x", "y", "z"))
    assert label.counts.tolist() == [[1, 2, 0], [0, 0, 0], [0, 3, 4]]
    assert label.sizes.tolist() == [3, 9, 7]
    assert sex.counts.tolist() == [[0], [0], [5]]
    assert count_tables([Profile()], clients=["x"], sizes=[3]) == []


def test_it_needs_no_torch() -> None:
    code = "import shared.data.profile, shared.data.dataset, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
