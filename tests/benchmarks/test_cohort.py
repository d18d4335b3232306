"""Many clients as one batched model take the steps that each would take alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.cohort import one_by_one, together
from benchmarks.speed.task import Net
from benchmarks.speed.workloads import WORKLOADS


def test_a_cohort_takes_the_steps_of_its_clients():
    torch.manual_seed(1)
    network = Net()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images, labels = torch.randn(3, 10, 1, 28, 28), torch.randint(0, 2, (3, 10))
    workload = replace(WORKLOADS["W"], batch=4, lr=0.1)
    apart, at_once = (train(network, images, labels, workload=workload) for train in (one_by_one, together))
    for name, weights in apart.items():
        assert weights.shape == (3, *before[name].shape)
        assert not torch.allclose(weights[0], weights[1], atol=1e-4)
        torch.testing.assert_close(at_once[name], weights, rtol=0, atol=1e-5)
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in before)
