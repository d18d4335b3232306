"""The optimiser's state of a fit, for the next one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from shared.runtime.errors import ConfigError
from shared.training.optimizer_state import OptimizerState


def fit(before, *, make, lr=0.1, steps=1, weight=1.0):
    """So many steps along a constant gradient of 1; gives the weight and the callback."""
    parameter = torch.nn.Parameter(torch.tensor([weight]))
    optimizer = make([parameter], lr)
    trainer, state = SimpleNamespace(optimizers=[optimizer]), OptimizerState(before)
    state.on_train_start(trainer, torch.nn.Module())
    for _ in range(steps):
        parameter.grad = torch.ones(1)
        optimizer.step()
    state.on_train_end(trainer, torch.nn.Module())
    return float(parameter.detach()), state.after


def momentum(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.5)


def test_momentum_goes_on_with_the_new_learning_rate():
    weight, after = fit({}, make=momentum)
    assert weight == pytest.approx(1 - 0.1)  # the first step is the gradient
    assert {key: float(value) for key, value in after.items()} == {"0/0/momentum_buffer": 1.0}
    weight, after = fit(after, make=momentum, lr=0.01, weight=weight)
    assert weight == pytest.approx(0.9 - 0.01 * 1.5)  # 0.5 x 1 + 1
    assert float(after["0/0/momentum_buffer"]) == 1.5


def test_plain_sgd_keeps_nothing():
    assert fit({}, make=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))[1] == {}


def test_two_fits_are_one_of_both():
    def adam(parameters, lr):
        return torch.optim.AdamW(parameters, lr=lr)

    weight, after = fit({}, make=adam, steps=2)
    assert fit(after, make=adam, steps=2, weight=weight) == fit({}, make=adam, steps=4)


def test_what_does_not_fit_or_is_no_tensor_is_an_error():
    with pytest.raises(ConfigError, match="does not fit Module"):
        fit({"1/0/momentum_buffer": torch.ones(1)}, make=momentum)

    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            self.state[self.param_groups[0]["params"][0]]["count"] = 1

    with pytest.raises(ConfigError, match=r"keep_optimizer=true keeps tensors, and Counting has count as int"):
        fit({}, make=lambda parameters, lr: Counting(parameters, lr=lr))


def test_a_state_is_laid_out_like_its_parameter():
    torch.manual_seed(0)
    start, gradients = torch.randn(4, 3, 2, 2), torch.randn(2, 4, 3, 2, 2)

    def run(before, parts):
        parameter = torch.nn.Parameter(start.clone(memory_format=torch.channels_last))
        optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, fused=True)
        for own in parts:
            trainer, state = SimpleNamespace(optimizers=[optimizer]), OptimizerState(before)
            state.on_train_start(trainer, torch.nn.Module())
            for gradient in own:
                parameter.grad = gradient.clone(memory_format=torch.channels_last)
                optimizer.step()
            state.on_train_end(trainer, torch.nn.Module())
            before = {key: tensor.contiguous() for key, tensor in state.after.items()}  # as it is stored
            optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, fused=True)
        return parameter.detach()

    assert torch.equal(run({}, [gradients]), run({}, [gradients[:1], gradients[1:]]))
