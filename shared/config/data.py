"""Settings of the group ``data``: which rows, how they are split, batched and augmented."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

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


def _texts(values: Any) -> Any:
    # [1, 0] are names too. What YAML reads as yes or no has lost how it was written.
    if not isinstance(values, list | tuple):
        return values
    if any(isinstance(value, bool) or value is None for value in values):
        raise ValueError(f"write names such as true and null in quotes, got {list(values)}")
    return tuple(str(value) if isinstance(value, int | float) else value for value in values)


Names = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class SplitSection(Section):
    """How rows are put on sides, where the data comes without a split."""

    split_by: Literal["random", "time"]
    split_seed: int
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _leaves_rows(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1.0:
            raise ValueError("data.val_fraction + data.test_fraction must be below 1")
        return self

    @property
    def split_rule(self) -> dict[str, Any]:
        """The same as `shared.data.split.split.make_splits` takes it."""
        return {
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "seed": self.split_seed,
            "by": self.split_by,
        }


class ImageDataConfig(SplitSection):
    """Which images, how they are split, batched and augmented."""

    name: str
    source: Literal["digits", "zip", "folder", "classes", "npz", "idx", "medmnist"]
    path: str | None
    dataset: str | None
    image_size: Annotated[int, Field(ge=4, le=4096)]
    channels: Literal[1, 3]
    levels: Literal["auto"] | tuple[float, float]
    transparent: Literal["black", "white", "ignore"]
    max_image_pixels: Positive
    max_image_side: Positive
    max_image_bytes: Positive
    max_image_ratio: Annotated[float, Field(gt=1.0)]
    duplicates: Literal["error", "warn", "ignore"]
    near_duplicates: Annotated[float, Field(gt=0.0, le=1.0)] | None
    classes: Names | None
    positive: str | None = None  # stored runs of before have no such key, nor has data that is no images
    columns: ColumnsConfig
    on_bad_image: Literal["error", "skip"]
    max_bad_share: Share
    max_rows: Positive
    max_columns: Positive
    max_table_bytes: Positive
    max_table_ratio: Annotated[float, Field(gt=1.0)]
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
        if self.levels != "auto" and not self.levels[0] < self.levels[1]:
            raise ValueError(f"data.levels must be [LOW,HIGH] with LOW below HIGH, got {list(self.levels)}")
        if self.duplicates == "ignore" and self.near_duplicates is not None:
            raise ValueError(
                "data.near_duplicates has no effect with data.duplicates=ignore; leave one of them out"
            )
        if any(value <= 0 for value in self.std):
            raise ValueError(f"data.std must be above 0, got {list(self.std)}")
        undone = [name for name in ("contrast", "brightness") if getattr(self.augment, name)]
        if self.standardize == "image" and undone:
            raise ValueError(
                f"data.augment.{undone[0]} has no effect with data.standardize=image, which takes contrast and "
                f"brightness out of every image; set it to 0"
            )
        if self.source in ("zip", "folder", "classes", "npz", "idx") and not self.path:
            raise ValueError(f"data.source={self.source} needs data.path=...")
        if self.source == "medmnist" and not (self.path or self.dataset):
            raise ValueError("data.source=medmnist needs data.dataset=NAME or data.path=FILE")
        return self


class RowsDataConfig(SplitSection):
    """Rows that a task of the user's own reads, how they are split and batched."""

    name: str
    source: Literal["rows"]
    path: str | None
    batch_size: Positive
    eval_batch_size: Positive


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
