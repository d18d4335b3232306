"""Settings of the group ``model``: which network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Section


class CnnConfig(Section):
    """The small convolutional network."""

    name: Literal["cnn"]
    widths: tuple[Positive, Positive]
    hidden: Positive
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    norm: Literal["none", "batch", "group"]
    weights: str | None


class ResNetConfig(Section):
    """A torchvision ResNet."""

    name: Literal["resnet18", "resnet34", "resnet50"]
    stem: Literal["small", "strided", "imagenet"]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    norm: Literal["batch", "group"]
    finetune_stages: Annotated[int, Field(ge=0, le=4)] | None
    weights: str | None
