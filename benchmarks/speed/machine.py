"""Description of the machine that the benchmark runs on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("torch", "lightning", "flwr", "ray", "numpy", "fedtwin")


def describe() -> dict[str, object]:
    """The machine and the versions, without names of hosts or paths.

    Returns
    -------
    dict
        In JSON's types.
    """
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "load_before": round(os.getloadavg()[0], 2),
    }


def line(machine: dict[str, object]) -> str:
    """The same in one line.

    Parameters
    ----------
    machine : dict
        Of `describe`.
    """
    packages = machine["packages"]
    assert isinstance(packages, dict)
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, {', '.join(f'{name} {found}' for name, found in packages.items())}; "
        f"load before: {machine['load_before']}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
