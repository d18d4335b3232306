"""The networks: a small CNN and torchvision's ResNets, built from the configuration and a seed."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from shared.config.config import Config
from shared.config.model import CnnConfig, ModelConfig, ResNetConfig
from shared.model.weights import load_weights
from shared.runtime.errors import ConfigError


def build_network(cfg: Config, *, num_outputs: int) -> nn.Module:
    """Build the network with initial weights that depend on ``cfg.seed`` alone.

    Returns
    -------
    nn.Module
        Takes float32 [B, C, H, W], gives logits [B, num_outputs].

    Raises
    ------
    WeightsError
        ``model.weights`` cannot be loaded.
    ConfigError
        The data is no images, or the model is none of ours.
    """
    images, model = cfg.images, cfg.model
    if not isinstance(model, CnnConfig | ResNetConfig):
        raise ConfigError(f"task={cfg.task.name} takes model=cnn or a ResNet, got model.name={model.name}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        if isinstance(model, CnnConfig):
            network = _cnn(model, channels=images.channels, size=images.image_size, num_outputs=num_outputs)
        else:
            network = _resnet(model, channels=images.channels, num_outputs=num_outputs)
    if model.weights:
        load_weights(network, model.weights)
    return network.to(memory_format=torch.channels_last)


def frozen_modules(network: nn.Module, cfg: ModelConfig) -> list[nn.Module]:
    """The parts that are not trained, in order from the input."""
    if not isinstance(cfg, ResNetConfig) or cfg.finetune_stages is None:
        return []
    stages = [network.get_submodule(name) for name in ("layer1", "layer2", "layer3", "layer4")]
    stem = [network.get_submodule("conv1"), network.get_submodule("bn1")]
    return stem + stages[: 4 - cfg.finetune_stages]


def _cnn(cfg: CnnConfig, *, channels: int, size: int, num_outputs: int) -> nn.Module:
    first, second = cfg.widths
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, first, cfg.kernel, padding=cfg.kernel // 2),
        "norm1": _cnn_norm(cfg, first),
        "pool1": nn.MaxPool2d(2),  # before the ReLU: the same numbers, a quarter of the work
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(first, second, cfg.kernel, padding=cfg.kernel // 2),
        "norm2": _cnn_norm(cfg, second),
        "pool2": nn.MaxPool2d(2),
        "relu2": nn.ReLU(),
        "flatten": nn.Flatten(),
        "hidden": nn.Linear(second * (size // 4) ** 2, cfg.hidden),
        "relu3": nn.ReLU(),
        "fc": nn.Sequential(nn.Dropout(cfg.dropout), nn.Linear(cfg.hidden, num_outputs)),
    }
    return nn.Sequential(OrderedDict(layers))


def _cnn_norm(cfg: CnnConfig, channels: int) -> nn.Module:
    if cfg.norm == "batch":
        return nn.BatchNorm2d(channels)
    return _group_norm(channels) if cfg.norm == "group" else nn.Identity()


def _resnet(cfg: ResNetConfig, *, channels: int, num_outputs: int) -> nn.Module:
    from torchvision.models import resnet  # not for the small CNN: all of torchvision comes with it

    norm = _group_norm if cfg.norm == "group" else nn.BatchNorm2d
    builders = {"resnet18": resnet.resnet18, "resnet34": resnet.resnet34, "resnet50": resnet.resnet50}
    network: resnet.ResNet = builders[cfg.name](weights=None, norm_layer=norm)
    if cfg.stem != "imagenet":
        stride = 1 if cfg.stem == "small" else 2
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=stride, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    if network.conv1.in_channels != 3 or cfg.stem != "imagenet":
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.fc = nn.Sequential(nn.Dropout(cfg.dropout), nn.Linear(network.fc.in_features, num_outputs))
    for module in frozen_modules(network, cfg):
        module.requires_grad_(False)
    built: nn.Module = network  # torchvision's own types are not known here
    return built


def _group_norm(channels: int) -> nn.Module:
    # At most 32 groups (Wu and He 2018), of two channels or more where the number of channels allows it.
    most = max(1, min(32, channels // 2))
    groups = next(count for count in range(most, 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)
