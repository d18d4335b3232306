"""What a program imports before it trains, and what it leaves out."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "module",
    ["centralized.train", "federated.client.app", "federated.server.app", "simulations.engine.process_pool"],
)
def test_a_program_that_trains_loads_nothing_that_it_does_not_use(module):
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = run(code).stdout.split()
    assert {"torch", "torchmetrics", "lightning"} <= set(loaded)
    assert not {"scipy", "matplotlib", "torchvision", "sympy"} & set(loaded)  # torch's compiler brings SymPy


@pytest.mark.parametrize("mode", ["centralized", "federated"])
def test_a_training_from_its_start_to_its_end_loads_nothing_that_it_does_not_use(mode, tmp_path):
    code = f"""
import sys
from shared.config.compose import compose
from shared.runtime.home import open_home
from shared.tracking.store import Store
from simulations.execute import execute
few = ["trainer.max_epochs=1", "federation.num_rounds=1", "federation.num_clients=2", "trainer.progress=false"]
home = open_home(compose(["tracking.home={tmp_path}"]).tracking)
with Store(home.database_url) as store:
    execute(compose([*few, "data.image_size=8", "federation.engine=local"]), {mode!r}, store=store, home=home)
print(*{{name.partition('.')[0] for name in sys.modules}})
"""
    loaded = set(run(code).stdout.split("\n")[-2].split())
    assert {"torch", "lightning"} <= loaded
    # scikit-learn, whose digits are trained on, brings SciPy
    assert not {"matplotlib", "torchvision", "sympy"} & loaded


def test_what_flower_loads_before_it_starts_ray_is_light():
    loaded = run("import federated.apps, sys; print(*sys.modules)").stdout.split()
    assert {"flwr.clientapp", "flwr.serverapp"} <= set(loaded)
    assert not {"torch", "lightning", "sqlalchemy", "pydantic", "ray"} & set(loaded)


def test_others_find_what_torchmetrics_was_not_shown():
    code = """
import gc
import shared.runtime.fast_imports
assert gc.isenabled() and gc.get_freeze_count() > 100_000
import lightning_utilities.core.imports as imports
assert imports.package_available("scipy") and imports.RequirementCache("matplotlib")
import matplotlib, scipy.signal, torchvision
from torchmetrics.classification import BinaryAccuracy
try:
    BinaryAccuracy().plot()
except ModuleNotFoundError as error:
    print(error)
"""
    done = run(code)
    assert "matplotlib" in done.stdout
    assert "leaked" not in done.stderr
