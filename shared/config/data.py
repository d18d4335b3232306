"""Settings of the group ``data``: which rows, how they are split, batched and augmented."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shared.config.section import CustomSection, Positive, Section, Share


class ColumnsConfig(Section):
    """Names of the columns of ``metadata.csv``; a null name is not read."""

    filename: str
    label: str
    patient_id: str | None
    split: str | None
    site: str | None
    time: str | None
    series: str | None


class AugmentConfig(Section):
    """Random changes of training images, drawn for every image of every batch."""

    hflip: Share
    shift: Annotated[float, Field(ge=0.0, lt=1.0)]
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    scale: Annotated[float, Field(ge=0.0, lt=1.0)]
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)]
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)]


class ImageDataConfig(Section):
    """Which images, how they are split, batched and augmented."""

    name: str
    source: Literal["digits", "zip", "folder", "classes", "npz", "medmnist"]
    path: str | None
    dataset: str | None
    image_size: Annotated[int, Field(ge=4, le=4096)]
    channels: Literal[1, 3]
    classes: tuple[str, ...] | None
    columns: ColumnsConfig
    split_by: Literal["random", "time"]
    split_seed: int
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    on_bad_image: Literal["error", "skip"]
    max_bad_share: Share
    max_archive_files: Positive
    max_archive_bytes: Positive
    max_archive_ratio: Annotated[float, Field(gt=1.0)]
    decode_workers: Positive | None
    batch_size: Positive
    eval_batch_size: Positive
    standardize: Literal["dataset", "image"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: AugmentConfig

    @model_validator(mode="after")
    def _consistent(self) -> ImageDataConfig:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"data.{name} must have 1 or {self.channels} values, got {len(values)}")
        if any(value <= 0 for value in self.std):
            raise ValueError(f"data.std must be above 0, got {list(self.std)}")
        undone = [name for name in ("contrast", "brightness") if getattr(self.augment, name)]
        if self.standardize == "image" and undone:
            raise ValueError(
                f"data.augment.{undone[0]} has no effect with data.standardize=image, which takes contrast and "
                f"brightness out of every image; set it to 0"
            )
        if self.val_fraction + self.test_fraction >= 1.0:
            raise ValueError("data.val_fraction + data.test_fraction must be below 1")
        if self.source in ("zip", "folder", "classes", "npz") and not self.path:
            raise ValueError(f"data.source={self.source} needs data.path=...")
        if self.source == "medmnist" and not (self.path or self.dataset):
            raise ValueError("data.source=medmnist needs data.dataset=NAME or data.path=FILE")
        return self


class RowsDataConfig(Section):
    """Rows that a task of the user's own reads, how they are split and batched."""

    name: str
    source: Literal["rows"]
    path: str | None
    split_by: Literal["random", "time"]
    split_seed: int
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    batch_size: Positive
    eval_batch_size: Positive

    @model_validator(mode="after")
    def _consistent(self) -> RowsDataConfig:
        if self.val_fraction + self.test_fraction >= 1.0:
            raise ValueError("data.val_fraction + data.test_fraction must be below 1")
        return self


class CustomDataConfig(CustomSection):
    """Data of the user's own; further keys are arguments of what ``_target_`` names."""

    name: str
    source: Literal["custom"]
    path: str | None
    strata: str | None
    groups: str | None
    batch_size: Positive | None
    eval_batch_size: Positive | None
    split_seed: int

    @property
    def arguments(self) -> dict[str, Any]:
        """What it is called with, but for the sizes of batches."""
        return super().arguments if self.path is None else {"path": self.path, **super().arguments}

    @property
    def batch_sizes(self) -> dict[str, int]:
        """The sizes of batches that are set, as arguments of a class."""
        sizes = {"batch_size": self.batch_size, "eval_batch_size": self.eval_batch_size}
        return {name: size for name, size in sizes.items() if size is not None}
