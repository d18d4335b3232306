"""Every setting of training and federation has an effect: another value gives other weights or results."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from centralized.train import train
from federated.client.app import app
from federated.server.app import serve
from shared.config.compose import compose
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid

BASE = (
    "data.image_size=8",
    "model.widths=[2,4]",
    "model.hidden=8",
    "trainer.max_epochs=2",
    "trainer.progress=false",
)
FEDERATED = (
    "partition=iid",
    "federation.num_clients=3",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
)
SCHEDULED = "trainer.scheduler.name"
STILL = ("trainer.optimizer.lr=1e-6", "trainer.max_epochs=5")  # nothing improves
# A changed value of each setting, and what else must be set for it to matter.
POOLED = {
    "seed=7": (),
    "trainer.max_epochs=3": (),
    "trainer.optimizer.name=adamw": (),
    "trainer.optimizer.lr=0.02": (),
    "trainer.optimizer.momentum=0.5": (),
    "trainer.optimizer.nesterov=true": (),
    "trainer.optimizer.weight_decay=0.1": (),
    "trainer.scheduler.name=cosine": (),
    "trainer.scheduler.warmup=0.5": (f"{SCHEDULED}=one_cycle",),
    "trainer.scheduler.patience=0": (f"{SCHEDULED}=plateau", *STILL),
    "trainer.scheduler.factor=0.5": (f"{SCHEDULED}=plateau", "trainer.scheduler.patience=0", *STILL),
    "trainer.class_weights=balanced": (),
    "trainer.logit_adjustment=1": (),
    "trainer.label_smoothing=0.2": (),
    "trainer.gradient_clip=0.1": (),
    "trainer.ema_decay=0.5": (),
    "trainer.monitor=val/loss": ("trainer.optimizer.lr=0.3", "trainer.max_epochs=5"),
    "trainer.mode=min": ("trainer.monitor=val/auroc",),
    "trainer.early_stopping.enabled=false": ("trainer.early_stopping.patience=1", *STILL),
    "trainer.early_stopping.patience=1": STILL,
    "trainer.early_stopping.min_delta=0.9": ("trainer.early_stopping.patience=1", "trainer.max_epochs=3"),
    "trainer.test_model=last": ("trainer.monitor=val/auroc", "trainer.mode=min"),
    "trainer.threshold=0.9": (),
    "trainer.precision=bf16-true": (),
    "trainer.test=false": (),
    "model.hidden=9": (),
    "model.kernel=5": (),
    "model.widths=[3,4]": (),
    "model.dropout=0.5": (),
    "model.norm=batch": (),
    "data.batch_size=16": (),
    "data.standardize=image": (),
    "data.mean=[0.1]": (),
    "data.std=[0.1]": (),
    **{f"data.augment.{name}=0.5": () for name in ("hflip", "shift", "scale", "contrast", "brightness")},
    "data.augment.rotate=20": (),
}
IN_FEDERATION = {
    "trainer.test=false": (),
    "federation.num_clients=2": (),
    "federation.num_rounds=3": (),
    "federation.local_epochs=2": (),
    "federation.rounds_per_epoch=2": (),
    "federation.keep_optimizer=true": (),
    "federation.early_stopping=true": ("trainer.early_stopping.patience=1", "federation.num_rounds=9"),
    "strategy.fraction_train=0.5": ("strategy.min_train=1",),
    "strategy.min_train=1": ("strategy.fraction_train=0.1",),
    "strategy.fraction_evaluate=0": (),
    "strategy.proximal_mu=1": ("strategy=fedprox", "data.batch_size=8"),
    "strategy.server_momentum=0.1": ("strategy=fedavgm",),
    "strategy.server_learning_rate=0.5": ("strategy=scaffold",),
    "strategy.beta_1=0.1": ("strategy=fedadam",),
    "strategy.beta_2=0.5": ("strategy=fedadam",),
    "strategy.tau=0.1": ("strategy=fedadam",),
    "strategy.beta=0.4": ("strategy=fedtrimmedavg",),
    "partition.seed=5": (),
    "partition.min_examples=30": ("partition=dirichlet", "partition.alpha=0.1"),
    "partition.alpha=0.1": ("partition=dirichlet", "partition.min_examples=1"),
    "partition.classes_per_client=1": ("partition=pathological", "federation.num_clients=2"),
    "partition.sigma=2": ("partition=quantity", "partition.min_examples=1"),
}
# What these decide is not what is trained; each has a test of its own.
ELSEWHERE = {
    *("trainer.accelerator", "trainer.devices", "trainer.compile", "trainer.num_threads", "trainer.progress"),
    *("federation.min_replies", "federation.round_timeout_s", "federation.ask_again_s"),
    *(
        "federation.connect_timeout_s",
        "federation.max_examples",
        "federation.max_share",
        "federation.max_update_norm",
        "federation.engine",
        "federation.workers",
    ),
    *("federation.client_cpus", "federation.client_gpus", "federation.ray_address"),
    *("federation.start_timeout_s", "federation.kit"),
    *(
        "partition.name",
        "partition.column",
        "strategy.name",
        "strategy._target_",
        "model.name",
        "model.weights",
    ),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory, two_classes, cache_dir):
    """What a training leaves: its weights, test values, validation values and rows of each client."""
    root = tmp_path_factory.mktemp("effects")
    (root / "cache").symlink_to(cache_dir)
    home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")

    @cache
    def run(mode, *overrides):
        cfg = compose(["data=npz", f"data.path={two_classes}", *BASE, "trainer.accelerator=cpu", *overrides])
        with Store(home.database_url) as store:
            if mode == "centralized":
                run_id = train(cfg, store=store, home=home)
            else:
                grid = InProcessGrid(app, num_clients=cfg.federation.num_clients)
                run_id = serve(grid, cfg, store=store, home=home, say=lambda line: None)
            values = sorted(
                (row.stage, row.name, row.round or 0, row.epoch or 0, str(row.client_id), str(row.value))
                for row in store.metrics.of_run(run_id)
                if not row.name.endswith(("seconds", "bytes_up", "bytes_down"))
            )
            clients = [(row.client_id, row.num_examples, row.profile) for row in store.clients.of_run(run_id)]
            summary = store.runs.get(run_id).summary
            return values, clients, summary.get("test"), summary.get(f"test_{'round' if clients else 'epoch'}")

    return run


@pytest.fixture(autouse=True)
def home_of_clients(monkeypatch, tmp_path, cache_dir):
    torch.set_num_threads(1)
    (tmp_path / "cache").symlink_to(cache_dir)
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path))


@pytest.mark.parametrize("changed", POOLED)
def test_of_pooled_training(changed, result):
    needed = POOLED[changed]
    assert result("centralized", *needed, changed) != result("centralized", *needed)


@pytest.mark.parametrize("changed", IN_FEDERATION)
def test_of_federated_training(changed, result):
    needed = (*FEDERATED, *IN_FEDERATION[changed])
    assert result("federated", *needed, changed) != result("federated", *needed)


def test_no_setting_is_left_out():
    groups = [
        ["model=cnn", "strategy=fedprox", "partition=dirichlet"],
        ["strategy=fedavgm", "partition=pathological"],
        ["strategy=fedadam", "partition=quantity"],
        ["strategy=fedtrimmedavg", "partition=iid"],
        ["strategy=scaffold"],
    ]
    followed = {text.partition("=")[0] for text in (*POOLED, *IN_FEDERATION)} | ELSEWHERE
    for overrides in groups:
        settings = compose(overrides).snapshot()
        for section in ("trainer", "model", "partition", "strategy", "federation"):
            missing = {*leaves(settings[section], section)} - followed
            assert not missing, missing


def leaves(section, prefix):
    for name, value in section.items():
        path = f"{prefix}.{name}"
        yield from leaves(value, path) if isinstance(value, dict) else [path]
