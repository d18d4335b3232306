"""What the form for a training offers, against conf/ and the schema of the configuration."""

from __future__ import annotations

from service.api.form_schemas import ExperimentForm
from service.read.experiment_form import datasets_below, experiment_form
from shared.config.settings import groups


def test_settings_have_their_range_help_and_default():
    form = experiment_form([])
    ExperimentForm.model_validate(form)
    settings = {one["key"]: one for one in form["settings"]}
    rate = settings["trainer.optimizer.lr"]
    assert (rate["kind"], rate["default"], rate["expected"]) == ("number", 0.01, "a number above 0")
    assert rate["help"] == "learning rate; with a schedule, its peak"
    clients = settings["federation.num_clients"]
    assert (clients["kind"], clients["default"]) == ("integer", 4), "of federation=simulation"
    assert clients["modes"] == ["federated", "compare"]
    assert settings["trainer.max_epochs"]["modes"] == ["centralized", "compare"]
    assert settings["trainer.scheduler.name"]["choices"] == ["none", "cosine", "one_cycle", "plateau"]
    assert settings["partition.alpha"]["only_with"] == {"key": "partition.name", "values": ["dirichlet"]}
    # Of several kinds of data.
    assert (settings["data.batch_size"]["kind"], settings["data.image_size"]["kind"]) == ("integer",) * 2
    assert all(one["expected"] for one in settings.values())


def test_choices_bring_their_own_settings():
    found = {one["name"]: one for one in experiment_form([])["groups"]}
    assert [len(one["choices"]) for one in found.values()] == [len(groups()[name]) for name in found]
    assert (found["model"]["default"], found["experiment"]["default"]) == ("cnn", None)
    assert found["strategy"]["modes"] == ["federated", "compare"]
    models = {one["name"]: {each["key"]: each for each in one["settings"]} for one in found["model"]["choices"]}
    assert models["trees"]["model.max_leaves"]["expected"] == "a whole number of at least 2 or null"
    assert models["xgboost"]["model.max_leaves"]["expected"] == "a whole number from 2 to 65536 or null"
    assert models["cnn"].keys() == {
        f"model.{name}" for name in ("widths", "kernel", "hidden", "dropout", "norm")
    }
    strategies = {one["name"]: one["settings"] for one in found["strategy"]["choices"]}
    (proximal,) = strategies["fedprox"]
    assert (proximal["key"], proximal["default"], proximal["expected"]) == ("strategy.proximal_mu", 0.01, None)
    assert strategies["fedavg"] == []


def test_data_is_named_as_a_request_names_it(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "xrays.zip").touch()
    (first / ".hidden").touch()
    (second / "ward").mkdir()
    assert datasets_below([first, second, tmp_path / "gone"]) == ["xrays.zip", "ward"]
