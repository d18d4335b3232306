"""Weights from files: what fits is loaded, what does not is named, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from shared.model.backbones import build_network
from shared.model.weights import load_weights, read_file
from shared.runtime.errors import WeightsError
from shared.training.trainer import build_trainer
from tests.images import classifier


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def cnn(make_config):
    return build_network(make_config("seed=1"), num_outputs=2)


@pytest.fixture
def other(make_config):
    """The same network with other weights."""
    return build_network(make_config("seed=2"), num_outputs=2)


def same(one, two):
    return all(torch.equal(value, two[key]) for key, value in one.items())


def plain(state):
    return {key: value.contiguous() for key, value in state.items()}


def test_a_state_dict_of_torch(cnn, other, tmp_path):
    torch.save(other.state_dict(), tmp_path / "w.pt")
    load_weights(cnn, tmp_path / "w.pt")
    assert same(cnn.state_dict(), other.state_dict())


def test_safetensors(cnn, other, tmp_path):
    save_file(plain(other.state_dict()), tmp_path / "w.safetensors")
    load_weights(cnn, str(tmp_path / "w.safetensors"))
    assert same(cnn.state_dict(), other.state_dict())


def test_by_the_configuration(make_config, other, tmp_path):
    torch.save(other.state_dict(), tmp_path / "w.pt")
    built = build_network(make_config("seed=1", f"model.weights={tmp_path / 'w.pt'}"), num_outputs=2)
    assert same(built.state_dict(), other.state_dict())


def test_a_checkpoint_of_lightning(make_config, two_class_data, tmp_path):
    from shared.data.images.datamodule import ImageDataModule

    cfg = make_config("seed=2")
    module = classifier(cfg, num_classes=2)
    trainer = build_trainer(cfg.trainer, max_epochs=1, callbacks=[], limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, datamodule=ImageDataModule(two_class_data, cfg=cfg.data, seed=1))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    network = build_network(make_config("seed=1"), num_outputs=2)
    load_weights(network, tmp_path / "last.ckpt")
    assert same(network.state_dict(), module.network.state_dict())


@pytest.mark.parametrize("counters", [True, False])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_s_resnet_into_a_grey_network_of_two_classes(make_config, tmp_path, suffix, counters):
    torch.manual_seed(0)
    state = resnet18(weights=None).state_dict()  # 3 channels, 1000 classes
    if not counters:  # the files that torchvision offers for download
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    network = build_network(make_config("model=resnet18", "model.stem=imagenet"), num_outputs=2)
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    load_weights(network, path)
    loaded = network.state_dict()
    torch.testing.assert_close(loaded["conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(loaded["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert torch.equal(loaded["bn1.running_var"], state["bn1.running_var"])
    assert torch.equal(loaded["fc.1.weight"], fresh["fc.1.weight"])
    assert torch.equal(loaded["fc.1.bias"], fresh["fc.1.bias"])


def test_a_grey_image_gets_the_response_of_its_rgb_twin(make_config, tmp_path):
    torch.manual_seed(0)
    colour = resnet18(weights=None)
    torch.save(colour.state_dict(), tmp_path / "w.pth")
    grey = build_network(make_config("model=resnet18", "model.stem=imagenet"), num_outputs=2)
    load_weights(grey, tmp_path / "w.pth")
    image = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(
        grey.conv1(image), colour.conv1(image.expand(1, 3, 16, 16)), rtol=1e-4, atol=1e-5
    )


def test_a_head_for_the_same_classes_is_loaded(make_config, tmp_path):
    state = resnet18(weights=None, num_classes=2).state_dict()
    torch.save(state, tmp_path / "w.pth")
    network = build_network(make_config("model=resnet18", "model.stem=imagenet"), num_outputs=2)
    load_weights(network, tmp_path / "w.pth")
    assert torch.equal(network.state_dict()["fc.1.weight"], state["fc.weight"])


def test_weights_that_do_not_fit_are_named_every_one(cnn, other, tmp_path):
    before = {key: value.clone() for key, value in cnn.state_dict().items()}
    state = other.state_dict()
    state["conv1.weight"] = torch.zeros(2, 5, 3, 3)
    state["hidden.bias"] = torch.zeros(9)
    state["extra.weight"] = state.pop("conv2.bias")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError) as caught:
        load_weights(cnn, tmp_path / "w.pt")
    text = str(caught.value)
    assert "conv1.weight: expected shape (2, 1, 3, 3), got (2, 5, 3, 3)" in text
    assert "hidden.bias: expected shape (8,), got (9,)" in text
    assert "conv2.bias is missing in the file" in text
    assert "extra.weight is not in the network" in text
    assert same(before, cnn.state_dict())


def test_the_small_stem_does_not_take_the_large_one(make_config, tmp_path):
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "w.pth")
    network = build_network(make_config("model=resnet18"), num_outputs=2)
    with pytest.raises(
        WeightsError, match=r"conv1.weight: expected shape \(64, 1, 3, 3\), got \(64, 1, 7, 7\)"
    ):
        load_weights(network, tmp_path / "w.pth")


@pytest.mark.attack
@pytest.mark.parametrize("name", ["w.pt", "w.ckpt", "w.safetensors"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(cnn, tmp_path, name):
    trap = tmp_path / "trapped"
    torch.save({"conv1.weight": Trap(trap)}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"cannot be read as weights .*tensors and plain values alone"):
        load_weights(cnn, tmp_path / name)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(WeightsError):
        load_weights(cnn, tmp_path / "plain.pt")
    assert not trap.exists()
    with (tmp_path / "plain.pt").open("rb") as file:
        pickle.load(file)
    assert trap.exists()  # it would have run


@pytest.mark.attack
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_small_storage_declared_as_a_huge_tensor_is_refused(cnn, tmp_path, wrapped):
    # Of a first convolution for three colours the sum would be taken: 4 TB.
    state = {**cnn.state_dict(), "conv1.weight": torch.zeros(1).expand(10, 3, 10**5, 10**6)}
    torch.save({"state_dict": state} if wrapped else state, tmp_path / "w.pt")
    assert (tmp_path / "w.pt").stat().st_size < 10**6
    with pytest.raises(WeightsError, match=r"bytes more than they have .*save them after \.contiguous"):
        load_weights(cnn, tmp_path / "w.pt")


@pytest.mark.attack
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip", bytes(range(256)) * 8])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_that_are_something_else(cnn, tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_weights(cnn, path)


@pytest.mark.attack
@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "text"])
def test_files_that_hold_something_else(cnn, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="must hold a state_dict"):
        load_weights(cnn, tmp_path / "w.pt")


@pytest.mark.parametrize("content", [{}, {"state_dict": 5}, {3: torch.zeros(1)}, {"conv1.weight": 1}])
def test_dictionaries_without_our_weights(cnn, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"conv1.weight is missing in the file"):
        load_weights(cnn, tmp_path / "w.pt")


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match=f"there is no file {tmp_path}/nothing.pt"):
        read_file(tmp_path / "nothing.pt")
    with pytest.raises(WeightsError, match="there is no file"):
        read_file(tmp_path)


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    assert read_file(Path("~/w.pt")).keys() == {"a"}
