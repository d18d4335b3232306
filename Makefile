# fedtwin: what one types. Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
# One more than there are cores: it begins with the deployments, which mostly wait (tests/scheduling.py).
SLOW_WORKERS ?= $(shell expr $(WORKERS) + 1)
VENV := .venv
BIN := $(VENV)/bin

# Imports take three times as long without bytecode; some machines forbid it by this variable.
unexport PYTHONDONTWRITEBYTECODE
# One thread a test process: several on the same cores only wait for each other.
TEST_ENV := OMP_NUM_THREADS=1
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --durations=20 --durations-min=1
COMPILE := import flwr.serverapp, flwr.clientapp, flwr.simulation.app, ray, torch, torch._dynamo, torchvision, \
	lightning, torchmetrics.classification, sklearn.datasets, matplotlib.figure, pandas, sqlalchemy, alembic.command, \
	pydantic, hydra, psycopg, rich.progress, fastapi, uvicorn, websockets.asyncio.client

DATA ?=
BENCH ?=

.PHONY: help setup demo deploy-demo bench test test-all test-slow attack lint format check wheel clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## install everything into .venv

demo: $(VENV)/.ready  ## train the twins on the built-in digits and print the federated gap
	$(BIN)/fedtwin compare

bench: $(VENV)/.ready  ## time training beside others: make bench DATA=pneumoniamnist.npz [BENCH="--workloads W"]
	@test -n "$(DATA)" || { echo "name PneumoniaMNIST's file: make bench DATA=pneumoniamnist.npz" >&2; exit 2; }
	$(BIN)/python -m benchmarks.speed --data "$(DATA)" $(BENCH)

deploy-demo: $(VENV)/.ready  ## a server and 3 sites with TLS and keys, on this machine: DATA=a ZIP, folder or .npz
	$(BIN)/fedtwin deploy demo --data "$(DATA)"

test: $(VENV)/.ready  ## run the tests (without the slow ones)
	$(TEST_ENV) $(PYTEST) -n $(WORKERS)

test-slow: $(VENV)/.ready  ## run only the slow tests: real `flwr run`, commands, a wheel in a fresh environment
	$(TEST_ENV) $(PYTEST) -n $(SLOW_WORKERS) -m slow

test-all: $(VENV)/.ready  ## run all tests, slow and fast ones side by side
	$(TEST_ENV) $(PYTEST) -n $(SLOW_WORKERS) -m ''

attack: $(VENV)/.ready  ## run only the attacks: kills, hostile replies, archives and requests, full disks, viewers
	FEDTWIN_KILLS=10 FEDTWIN_KILLS_SEED=1 $(TEST_ENV) $(PYTEST) -n $(SLOW_WORKERS) -m attack -rA

lint: $(VENV)/.ready  ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test  ## what CI asks of every commit

wheel: $(VENV)/.ready  ## build a wheel into dist/
	$(BIN)/python -m build --wheel

clean:  ## remove .venv and caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
		|| { echo "fedtwin needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
		"Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "could not make $(VENV): Python's venv module is missing (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv \
		|| { echo "could not install from the package registry: is there a network?" >&2; exit 1; }
	@echo "installing into $(VENV) (about 5 GB with torch's CUDA build)"
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -c constraints.txt --group dev -e '.[medmnist,dicom,sweep,export,trees,mlflow,tensorboard,wandb,crate]' \
		|| { echo "the installation failed; see above" >&2; exit 1; }
	@echo "compiling the bytecode of what fedtwin imports (once)"
	@$(BIN)/python -W ignore -c '$(COMPILE)' >/dev/null
	@touch $@
