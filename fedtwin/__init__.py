"""Train one model twice, pooled and federated, and see what federation costs: the public Python API.

>>> import fedtwin
>>> result = fedtwin.compare(["federation.num_rounds=3", "seed=1"])
>>> result.gap  # a pandas data frame: one row a metric, with confidence intervals
>>> model = fedtwin.load_model(result.federated[0])

``import fedtwin`` loads nothing: each name is imported when it is first used. What a user can cause raises a
`FedtwinError`; nothing here ends the process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedtwin.exporting import Export, export_model
    from fedtwin.models import load_model, predict
    from fedtwin.reading import data
    from fedtwin.records import Comparison, Run, load_comparison, load_run, runs
    from fedtwin.registry import Version, compare_versions, load_version, promote, registered_models, rollback
    from fedtwin.site_statistics import statistics
    from fedtwin.sweeps import Sweep, load_sweep, sweep
    from fedtwin.training import compare, compare_runs, configure, federate, resume, train
    from shared.config.config import Config
    from shared.data.summary import DataSummary
    from shared.runtime.errors import FedtwinError
    from shared.tasks.predictions import Predictions
    from shared.tasks.trained_model import TrainedModel

__all__ = [
    "Comparison",
    "Config",
    "DataSummary",
    "Export",
    "FedtwinError",
    "Predictions",
    "Run",
    "Sweep",
    "TrainedModel",
    "Version",
    "compare",
    "compare_runs",
    "compare_versions",
    "configure",
    "data",
    "export_model",
    "federate",
    "load_comparison",
    "load_model",
    "load_run",
    "load_sweep",
    "load_version",
    "predict",
    "promote",
    "registered_models",
    "resume",
    "rollback",
    "runs",
    "statistics",
    "sweep",
    "train",
]

_MODULES = {
    "fedtwin.training": ("compare", "compare_runs", "configure", "federate", "resume", "train"),
    "fedtwin.records": ("Comparison", "Run", "load_comparison", "load_run", "runs"),
    "fedtwin.sweeps": ("Sweep", "load_sweep", "sweep"),
    "fedtwin.exporting": ("Export", "export_model"),
    "fedtwin.models": ("load_model", "predict"),
    "fedtwin.registry": (
        *("Version", "compare_versions", "load_version"),
        *("promote", "registered_models", "rollback"),
    ),
    "fedtwin.reading": ("data",),
    "fedtwin.site_statistics": ("statistics",),
    "shared.tasks.predictions": ("Predictions",),
    "shared.tasks.trained_model": ("TrainedModel",),
    "shared.config.config": ("Config",),
    "shared.data.summary": ("DataSummary",),
    "shared.runtime.errors": ("FedtwinError",),
    "fedtwin.cli.main": ("command",),  # the command line's entry point, not part of the API
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fedtwin' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
