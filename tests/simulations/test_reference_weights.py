"""Trainings end with the weights of version 0.1, bit for bit where the same kernels compute."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from pathlib import Path

import pytest

from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.progress import Board
from shared.tracking.store import Store
from simulations.execute import execute
from simulations.runner import open_runner
from simulations.twins import train_twins
from tests.simulations.reference_kit import COMMON, TRAININGS, digest, final_weights, machine, write_xrays

RECORDED = json.loads((Path(__file__).parent / "reference_weights.json").read_text())
TOLERANCE = 1e-4  # of the size of a tensor's values: other kernels add in another order
TOLERANCES = {"fedprox": 5e-3}  # where an AMD EPYC ends further from what an Intel Xeon recorded


def differences(found: dict, expected: dict, *, tolerance: float = TOLERANCE) -> list[str]:
    """The tensors that differ, and how."""
    if found["tensors"].keys() != expected["tensors"].keys():
        return [f"tensors {sorted(found['tensors'].keys() ^ expected['tensors'].keys())}"]
    problems = []
    for name, want in expected["tensors"].items():
        have = found["tensors"][name]
        count = max(1, math.prod(want["shape"]))
        typical = want["norm"] / math.sqrt(count)
        if have["shape"] != want["shape"]:
            problems.append(f"{name}: shape {have['shape']}, recorded {want['shape']}")
        elif (
            have["norm"] != pytest.approx(want["norm"], rel=tolerance)
            or have["sum"] != pytest.approx(want["sum"], rel=tolerance, abs=tolerance * want["norm"])
            or have["first"] != pytest.approx(want["first"], rel=tolerance, abs=tolerance * typical)
        ):
            problems.append(f"{name}: {have}, recorded {want}")
    return problems


def norm_differences(found: dict, expected: dict) -> list[str]:
    """The tensors whose norms are further apart than other kernels take a deep network in two rounds."""
    norms = {name: tensor["norm"] for name, tensor in found["tensors"].items()}
    recorded = {name: tensor["norm"] for name, tensor in expected["tensors"].items()}
    assert norms.keys() == recorded.keys()
    return [name for name in norms if norms[name] != pytest.approx(recorded[name], rel=0.02, abs=0.05)]


def check(home: Home, run_id: int, name: str, *, deep: bool = False) -> None:
    found, expected = digest(final_weights(home.run_dir(run_id))), RECORDED["runs"][name]
    if machine() == RECORDED["machine"]:
        assert found["sha256"] == expected["sha256"], "the last bits differ"
    if deep:
        assert norm_differences(found, expected) == []
    else:
        assert differences(found, expected, tolerance=TOLERANCES.get(name, TOLERANCE)) == []


def configure(name: str, *changes: str, home: Home) -> Config:
    path = home.root / "xrays.npz"
    write_xrays(path)
    return compose([text.replace("XRAYS", str(path)) for text in (*COMMON, *TRAININGS[name][1:], *changes)])


def train(name: str, *changes: str, store: Store, home: Home) -> int:
    return execute(configure(name, *changes, home=home), "federated", store=store, home=home)


def test_the_twins_of_a_comparison(store, home):
    cfg = configure("twins", home=home)
    parent = store.runs.create(name="twins", training_mode="compare", config=cfg.snapshot(), seed=cfg.seed)
    with open_runner(cfg, home=home) as runner:
        twins = train_twins(cfg, runner=runner, store=store, home=home, parent_id=parent, board=Board())
    check(home, twins.pooled[0], "twins-pooled")
    check(home, twins.federated[0], "twins-federated")


@pytest.mark.parametrize("name", ["fedprox", "fedavgm"])
def test_other_strategies(name, store, home):
    check(home, train(name, store=store, home=home), name)


@pytest.mark.slow
def test_a_resnet_on_images_of_28_x_28(store, home):
    check(home, train("xrays", store=store, home=home), "xrays", deep=True)


def test_another_learning_rate_is_noticed(store, home):
    run_id = train("fedprox", "trainer.optimizer.lr=0.0101", store=store, home=home)
    with pytest.raises(AssertionError):
        check(home, run_id, "fedprox")


def test_a_small_difference_in_one_tensor_is_noticed():
    expected = RECORDED["runs"]["fedprox"]
    assert differences(expected, expected) == []
    for key in ("norm", "sum"):
        found = deepcopy(expected)
        tensor = next(iter(found["tensors"].values()))
        tensor[key] += 3 * TOLERANCE * tensor["norm"]
        assert len(differences(found, expected)) == 1
