"""`OptimizerState`: the callback that hands an optimiser's state from one fit to the next."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from shared.runtime.errors import ConfigError


class OptimizerState(Callback):
    """Restores what an optimiser knows beside the weights, such as momentum; learning rates stay the new fit's.

    Parameters
    ----------
    before : mapping of str to Tensor
        `after` of an earlier fit of the same module; empty: it starts anew.

    Attributes
    ----------
    after : dict of str to Tensor
        The state at the end of this fit, on the CPU: ``"0/3/exp_avg"`` is that of the fourth parameter of the
        first optimiser.
    """

    def __init__(self, before: Mapping[str, Tensor]) -> None:
        self.before = before
        self.after: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore it; by now the module is on the device that it trains on.

        Raises
        ------
        ConfigError
            It is of other optimisers or parameters.
        """
        found: dict[int, dict[int, dict[str, Tensor]]] = {}
        for key, tensor in self.before.items():
            place, parameter, name = key.split("/", 2)
            found.setdefault(int(place), {}).setdefault(int(parameter), {})[name] = tensor
        for number, state in found.items():
            try:
                optimizer = trainer.optimizers[number]
                parameters = [one for group in optimizer.param_groups for one in group["params"]]
                laid_out = {
                    place: {name: _like(parameters[place], tensor) for name, tensor in own.items()}
                    for place, own in state.items()
                }
                optimizer.load_state_dict({**optimizer.state_dict(), "state": laid_out})
            except (IndexError, ValueError, KeyError) as error:
                raise ConfigError(
                    f"the optimiser's state that this client kept does not fit {type(pl_module).__name__}: "
                    f"{error}"
                ) from None

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep it.

        Raises
        ------
        ConfigError
            An optimiser keeps something other than tensors.
        """
        self.after = {
            f"{number}/{parameter}/{name}": _kept(value, optimizer, name=name)
            for number, optimizer in enumerate(trainer.optimizers)
            for parameter, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
            if value is not None  # such as the momentum of SGD without one
        }


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The same numbers, laid out in memory as those of the parameter: fused optimisers rely on it."""
    if tensor.shape != parameter.shape:
        return tensor  # such as a count of steps
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _kept(value: object, optimizer: torch.optim.Optimizer, *, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ConfigError(
            f"federation.keep_optimizer=true keeps tensors, and {type(optimizer).__name__} has {name} as "
            f"{type(value).__name__}; set federation.keep_optimizer=false, or choose another optimiser"
        )
    value = value.detach().cpu()
    return value.float() if value.is_floating_point() else value.clone()  # 16 bits do not travel as NumPy's
