"""What would stop a comparison later stops it before anything is trained."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from shared.runtime.errors import ConfigError, DeployError, FedtwinError, PartitionError
from simulations.execute import execute

SMALL = (
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=1",
    "federation.local_epochs=1",
    "federation.workers=1",
    "compare.resamples=100",
)


@pytest.fixture
def refused(store, home):
    """The error of a comparison, which has trained nothing."""

    def compare(cfg, kind=ConfigError):
        with pytest.raises(kind) as error:
            execute(cfg, "compare", store=store, home=home)
        assert [run for run in store.runs.search() if run.training_mode != "compare"] == []
        return str(error.value)

    return compare


@pytest.mark.parametrize(
    ("overrides", "kind", "says"),
    [
        (("partition.min_examples=5000",), PartitionError, "min_examples"),
        (("trainer.accelerator=hpu",), ConfigError, "trainer.accelerator=hpu"),
        (("trainer.precision=3-bit",), ConfigError, "trainer.precision=3-bit cannot be used here"),
        (("strategy=fedbn", "model.norm=none"), ConfigError, "needs|no effect on a network without batch"),
        (("trainer.monitor=val/dice",), ConfigError, "trainer.monitor=val/dice is not measured"),
        (("federation.max_examples=20",), ConfigError, "client-0 has 4. training rows, expected 1 to 20"),
        (
            ("federation.rounds_per_epoch=30", "federation.num_rounds=30"),
            ConfigError,
            "client-1 has 4. training rows, expected 60 to",
        ),
    ],
)
def test_settings_that_cannot_work(overrides, kind, says, make_config, refused):
    import re

    assert re.search(says, refused(make_config(*SMALL, *overrides), kind))


def test_a_client_alone_whose_rows_do_not_define_the_monitor(make_config, refused, tmp_path):
    cfg = make_config(*SMALL, "compare.local_only=true", "trainer.monitor=val/auroc")
    arrays = dict(np.load(cfg.data.path))
    arrays["val_labels"][2:] = 0  # one row of class 1, which one of the clients gets
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    said = refused(cfg.replace("data", path=str(path)))
    assert "alone (compare.local_only): trainer.monitor=val/auroc is not defined" in said
    assert said.count("alone (compare.local_only)") == 1


def test_clients_alone_of_a_deployment(make_config, refused, monkeypatch):
    cfg = make_config(*SMALL, "compare.local_only=true", "federation.engine=flower", "federation.kit=/kit")
    monkeypatch.setattr("federated.launch.superlink_runner.check_reachable", lambda cfg: None)
    assert "compare.local_only=true trains on each client's rows on this machine" in refused(cfg)


def test_a_deployment_that_is_not_up(make_config, refused, monkeypatch, tmp_path):
    cfg = make_config(*SMALL, "federation.engine=flower", f"federation.kit={tmp_path}")
    refused(cfg, DeployError)


def test_a_cluster_that_does_not_answer(make_config, refused):
    cfg = make_config(*SMALL[:-2], "federation.engine=flower", "federation.ray_address=127.0.0.1:1")
    assert "no Ray cluster answers at federation.ray_address=127.0.0.1:1" in refused(cfg, FedtwinError)


@pytest.mark.attack
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(make_config, refused, home):
    home.results.mkdir()
    home.results.chmod(0o500)
    assert "cannot be written to (Permission denied)" in refused(make_config(*SMALL))


def test_a_file_in_the_place_of_the_results(make_config, refused, home):
    home.results.write_text("a file")
    assert f"{home.results}/compare_1 cannot be written to" in refused(make_config(*SMALL))


@pytest.mark.attack
def test_a_disk_without_room(make_config, refused, home, monkeypatch):
    # Room for the decoded images, whose own check looks at the cache's folder, not for a checkpoint.
    full, usage = type("Usage", (), {"free": 1000}), shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full if path == home.root else usage(path))
    assert "0.0 GB free, and the checkpoints of 2 runs may need" in refused(make_config(*SMALL))
