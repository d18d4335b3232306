"""`capacity`: how many simulated clients train at once on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.config.config import Config
from shared.runtime.errors import ConfigError

GPU_BYTES = (
    4 * 2**30
)  # of a client's process: CUDA's context and kernels (half a GB), the model, its activations


@dataclass(frozen=True)
class Capacity:
    """Simulated clients that train at once.

    Attributes
    ----------
    cpus : int
        Cores, and torch threads, of each.
    gpus : float
        Share of a GPU of each; 0 without one.
    """

    at_once: int
    cpus: int
    gpus: float

    def describe(self) -> str:
        """One line for people."""
        who = "one client after another" if self.at_once == 1 else f"{self.at_once} clients in parallel"
        threads = "1 thread" if self.cpus == 1 else f"{self.cpus} threads"
        gpu = f", {self.gpus:.3g} of a GPU each (federation.client_gpus)" if self.gpus else ""
        return f"training {who} (federation.workers), {threads} each (federation.client_cpus){gpu}"


def capacity(cfg: Config) -> Capacity:
    """What the settings say, and where they say nothing what this machine allows.

    Returns
    -------
    Capacity
        As many as there are cores, as fit into the GPUs' memory, and as there are clients to ask.

    Raises
    ------
    ConfigError
        ``federation.client_gpus`` wants a GPU where there is none.
    """
    federation = cfg.federation
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [federation.workers or max(1, cores // federation.client_cpus), federation.num_clients]
    share, count = _gpus(cfg)
    if share and federation.workers is None:
        # The local engine's processes share the first GPU; Ray hands out all of them.
        limits.append(max(1, int((1 if federation.engine == "local" else count) / share)))
    return Capacity(at_once=min(limits), cpus=federation.client_cpus, gpus=share)


def _gpus(cfg: Config) -> tuple[float, int]:
    """A client's share of a GPU, and how many there are."""
    wanted = cfg.federation.client_gpus
    if cfg.federation.ray_address is not None:
        return wanted or 0.0, 0  # the cluster's GPUs are not this machine's
    sizes = _gpu_sizes() if cfg.trainer.wants_gpu and wanted != 0 else []
    if not sizes and wanted:
        raise ConfigError(
            f"federation.client_gpus={wanted:g}, but torch sees no GPU that trainer.accelerator="
            f"{cfg.trainer.accelerator} may use; leave it null or 0"
        )
    if not sizes:
        return 0.0, 0
    # Flower hands the share on with little precision: a whole part of a GPU stays one.
    return wanted or 1 / max(1, min(sizes) // GPU_BYTES), len(sizes)


def _gpu_sizes() -> list[int]:
    """Bytes of each GPU's memory."""
    if not _may_have_gpu():
        return []
    import torch  # takes a second: not where there can be no GPU

    return [torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())]


def _may_have_gpu() -> bool:
    devices = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, that of Windows' subsystem
    return sys.platform != "linux" or any(Path(device).exists() for device in devices)
