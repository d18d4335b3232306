"""How many simulated clients train at once, with and without GPUs."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from federated.launch import capacity as module
from federated.launch.capacity import capacity
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.errors import ConfigError

CORES = 6


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(CORES), raising=False)
    monkeypatch.setattr(module, "_may_have_gpu", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller one has 16 GB: four clients fit."""
    monkeypatch.setattr(module, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sizes = (16 * 2**30, 80 * 2**30)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=sizes[index])
    )


def settings(*overrides: str) -> Config:
    return compose(["trainer.accelerator=auto", "federation.num_clients=100", *overrides])


@pytest.mark.parametrize(
    ("overrides", "at_once"),
    [
        ([], CORES),
        (["federation.client_cpus=4"], 1),
        (["federation.client_cpus=8"], 1),
        (["federation.workers=9"], 9),
        (["federation.num_clients=3"], 3),
    ],
)
def test_without_a_gpu_the_cores_decide(overrides: list[str], at_once: int) -> None:
    found = capacity(settings(*overrides))
    assert (found.at_once, found.gpus) == (at_once, 0.0)


@pytest.mark.parametrize(
    ("overrides", "at_once", "share"),
    [
        (["federation.engine=local"], 4, 0.25),
        (["federation.engine=flower"], CORES, 0.25),  # Ray uses both GPUs: eight would fit
        (["federation.engine=local", "federation.client_gpus=0.5"], 2, 0.5),
        (["federation.engine=local", "federation.client_gpus=0"], CORES, 0.0),
        (["federation.engine=local", "federation.workers=5"], 5, 0.25),
        (["federation.engine=local", "trainer.accelerator=cpu"], CORES, 0.0),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_clients_share_a_gpu_by_its_memory(overrides: list[str], at_once: int, share: float) -> None:
    found = capacity(settings(*overrides))
    assert (found.at_once, found.gpus) == (at_once, share)


def test_a_driver_without_a_gpu_that_torch_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert capacity(settings()).gpus == 0.0


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
def test_a_share_of_a_gpu_that_is_not_there(accelerator: str) -> None:
    cfg = settings("federation.client_gpus=0.5", f"trainer.accelerator={accelerator}")
    with pytest.raises(ConfigError, match=r"federation\.client_gpus=0\.5, but torch sees no GPU"):
        capacity(cfg)
    elsewhere = ["federation.engine=flower", "federation.ray_address=10.0.0.5:6379"]
    assert capacity(settings("federation.client_gpus=0.5", *elsewhere)).gpus == 0.5


def test_the_choice_is_said_with_the_settings_that_change_it() -> None:
    said = capacity(settings()).describe()
    assert (
        said
        == f"training {CORES} clients in parallel (federation.workers), 1 thread each (federation.client_cpus)"
    )
    assert "0.25 of a GPU each (federation.client_gpus)" in module.Capacity(1, 2, 0.25).describe()
