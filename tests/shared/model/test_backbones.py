"""The networks: their shapes, their seeds, and what of them is trained."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from shared.model.backbones import build_network, frozen_modules

RESNET18 = 11_172_810  # the parameters of torchvision's, with a 3 x 3 stem, one channel and 10 classes


def forward(network, cfg, rows=2):
    data = cfg.data
    images = torch.zeros(rows, data.channels, data.image_size, data.image_size)
    with torch.no_grad():
        return network(images)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 9, 28])
def test_the_cnn(make_config, channels, size):
    cfg = make_config(f"data.channels={channels}", f"data.image_size={size}", "model.norm=group")
    network = build_network(cfg, num_outputs=5)
    assert forward(network, cfg).shape == (2, 5)


def test_the_parameters_of_the_cnn(make_config):
    network = build_network(make_config(), num_outputs=2)  # widths 2 and 4, 8 hidden, 8 x 8 pixels
    assert count(network) == (9 * 2 + 2) + (2 * 9 * 4 + 4) + (4 * 2 * 2 * 8 + 8) + (8 * 2 + 2)


@pytest.mark.parametrize("stem", ["small", "strided", "imagenet"])
def test_resnet18(make_config, stem):
    cfg = make_config("model=resnet18", f"model.stem={stem}")
    network = build_network(cfg, num_outputs=10)
    assert forward(network.eval(), cfg).shape == (2, 10)
    assert network.conv1.in_channels == 1
    side = network.layer1(network.maxpool(network.conv1(torch.zeros(1, 1, 32, 32)))).shape[2]
    assert side == {"small": 32, "strided": 16, "imagenet": 8}[stem]
    assert count(network) == RESNET18 + (64 * (49 - 9) if stem == "imagenet" else 0)
    assert isinstance(network.maxpool, nn.Identity) == (stem != "imagenet")


def test_resnet18_in_colour_is_torchvision_s(make_config):
    cfg = make_config("model=resnet18", "model.stem=imagenet", "data.channels=3", "data.image_size=32")
    assert count(build_network(cfg, num_outputs=1000)) == 11_689_512


def test_the_seed_alone_decides_the_initial_weights(make_config):
    for model in (["model=cnn"], ["model=resnet18"]):
        torch.manual_seed(1)
        first = build_network(make_config(*model, "seed=5"), num_outputs=2).state_dict()
        torch.manual_seed(2)
        again = build_network(make_config(*model, "seed=5"), num_outputs=2).state_dict()
        other = build_network(make_config(*model, "seed=6"), num_outputs=2).state_dict()
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_building_does_not_move_the_generator(make_config):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build_network(make_config(), num_outputs=2)
    assert torch.equal(torch.rand(3), expected)


def test_the_stem_is_initialised_like_the_other_convolutions(make_config):
    network = build_network(make_config("model=resnet18"), num_outputs=2)
    expected = math.sqrt(2 / (64 * 9))  # He et al. 2015, by fan out
    assert float(network.conv1.weight.detach().std()) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("model", [["model=cnn"], ["model=resnet18"]])
def test_group_norm_has_no_buffers(make_config, model):
    network = build_network(make_config(*model, "model.norm=group"), num_outputs=2)
    assert list(network.buffers()) == []
    assert any(isinstance(module, nn.GroupNorm) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_batch_norm_has_buffers(make_config):
    network = build_network(make_config("model.norm=batch"), num_outputs=2)
    assert len(list(network.buffers())) == 2 * 3  # mean, variance and a counter


@pytest.mark.parametrize(
    ("width", "groups"), [(1, 1), (2, 1), (3, 1), (7, 1), (10, 5), (16, 8), (64, 32), (66, 22), (512, 32)]
)
def test_any_width_has_a_group_norm(make_config, width, groups):
    network = build_network(make_config(f"model.widths=[{width},4]", "model.norm=group"), num_outputs=2)
    assert network.norm1.num_groups == groups


def test_dropout_before_the_head(make_config):
    for model in (["model=cnn"], ["model=resnet18"]):
        cfg = make_config(*model, "model.dropout=0.9")
        network = build_network(cfg, num_outputs=2)
        assert [type(module) for module in network.fc] == [nn.Dropout, nn.Linear]
        assert network.fc[0].p == 0.9
        network.eval()
        assert torch.equal(forward(network, cfg), forward(network, cfg))


@pytest.mark.parametrize(
    ("stages", "frozen"),
    [
        (None, []),
        (4, ["conv1", "bn1"]),
        (2, ["conv1", "bn1", "layer1", "layer2"]),
        (0, ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]),
    ],
)
def test_what_is_frozen(make_config, stages, frozen):
    cfg = make_config("model=resnet18", f"model.finetune_stages={'null' if stages is None else stages}")
    network = build_network(cfg, num_outputs=2)
    children = dict(network.named_children())
    assert frozen_modules(network, cfg.model) == [children[name] for name in frozen]
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (name.split(".")[0] not in frozen), name


def test_convolutions_are_laid_out_for_the_cpu(make_config):
    network = build_network(make_config("model=resnet18"), num_outputs=2)
    assert network.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
