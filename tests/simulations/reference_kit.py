"""Short trainings whose final weights are recorded in ``reference_weights.json``, and the digest of weights.

``python -m tests.simulations.reference_kit`` trains them by the commands of the fedtwin that is first in
``PYTHONPATH`` and prints the file. The one here was made by version 0.1. Record it again only if weights have
to change, and say why in the changelog.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

COMMON = ("trainer.accelerator=cpu", "trainer.progress=false")
# Command and overrides by name; XRAYS stands for the file of `write_xrays`.
TRAININGS = {
    "twins": ("compare", "federation.num_rounds=2", "federation.local_epochs=1", "compare.resamples=100"),
    "fedprox": ("simulate", "strategy=fedprox", "federation.num_rounds=3"),
    "fedavgm": ("simulate", "strategy=fedavgm", "federation.num_rounds=3"),
    "xrays": (
        "simulate",
        *("data=medmnist", "data.path=XRAYS", "data.standardize=image"),
        *("data.augment.shift=0.07", "data.augment.rotate=10", "data.augment.scale=0.1"),
        *("model=resnet18", "model.stem=strided", "model.norm=group", "partition=dirichlet"),
        *("trainer.optimizer.lr=0.03", "trainer.optimizer.weight_decay=0.002", "trainer.logit_adjustment=1"),
        *(
            "trainer.optimizer.nesterov=true",
            "trainer.scheduler.name=one_cycle",
            "trainer.scheduler.warmup=0.15",
        ),
        *("trainer.monitor=val/auroc", "strategy.fraction_train=0.3", "federation.local_epochs=1"),
        "federation.num_rounds=2",
        "federation.num_clients=4",
    ),
}


def write_xrays(path: Path) -> None:
    """300 training, 60 validation and 60 test images of 28 x 28 in MedMNIST's layout; class 1 is brighter."""
    rng = np.random.default_rng(7)
    arrays = {}
    for side, count in (("train", 300), ("val", 60), ("test", 60)):
        labels = rng.integers(0, 2, count)
        pixels = rng.normal(100 + 40 * labels[:, None, None], 50, size=(count, 28, 28))
        arrays[f"{side}_images"] = pixels.clip(0, 255).astype(np.uint8)
        arrays[f"{side}_labels"] = labels[:, None]
    np.savez(path, **arrays)


def final_weights(folder: Path) -> dict[str, Tensor]:
    """The last weights in the folder of a run, by name within the network."""
    (path,) = (folder / "checkpoints").glob("last.*")
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("network."): value for name, value in state.items()}


def digest(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What tells two sets of weights apart: a hash of all bits, and a few numbers of each tensor."""
    whole, tensors = hashlib.sha256(), {}
    for name in sorted(weights):
        value = weights[name].contiguous()
        whole.update(name.encode())
        whole.update(value.numpy().tobytes())
        numbers = value.double().flatten()
        tensors[name] = {
            "shape": list(value.shape),
            "sum": float(numbers.sum()),
            "norm": float(numbers.norm()),
            "first": numbers[:4].tolist(),
        }
    return {"sha256": whole.hexdigest(), "tensors": tensors}


def machine() -> dict[str, str]:
    """What decides which kernels compute, and with it the last bits of a sum."""
    found = {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()}
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    names = ("vendor_id", "cpu family", "model")
    return found | {name: fields.get(name, platform.machine()) for name in names}


def _record() -> dict[str, Any]:
    runs = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_xrays(home / "xrays.npz")
        environment = {**os.environ, "FEDTWIN_HOME": str(home), "OMP_NUM_THREADS": "1"}
        known: set[str] = set()
        for training, (command, *overrides) in TRAININGS.items():
            given = [text.replace("XRAYS", str(home / "xrays.npz")) for text in (*COMMON, *overrides)]
            subprocess.run(
                [sys.executable, "-m", "fedtwin", command, *given],
                env=environment,
                cwd=home,
                check=True,
                stdout=sys.stderr,
            )
            folders = {path.parent.parent.name for path in home.glob("runs/*/checkpoints/last.*")}
            for number, run_id in enumerate(sorted(folders - known, key=int)):
                label = f"{training}-{('pooled', 'federated')[number]}" if command == "compare" else training
                runs[label] = digest(final_weights(home / "runs" / run_id))
            known |= folders
    return {"machine": machine(), "runs": runs}


if __name__ == "__main__":
    text = json.dumps(_record(), indent=1)
    print(re.sub(r"\n {5,}|\n {4}(?=\})", "", text))  # one line a tensor
