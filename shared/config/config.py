"""The typed, validated configuration: Hydra composes it from ``conf/``, this module checks it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.metrics.catalogue import default_monitor, spec_of
from shared.runtime.errors import ConfigError, bullet_list

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF_DIR = Path(__file__).resolve().parents[2] / "conf"
_HYDRA_LOCK = threading.Lock()  # GlobalHydra is one per process and not thread-safe

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen part of the configuration in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnsConfig(Section):
    """Names of the columns of ``metadata.csv``; a null name is not read."""

    filename: str
    label: str
    patient_id: str | None
    split: str | None
    site: str | None


class AugmentConfig(Section):
    """Random changes of training images, drawn for every image of every batch."""

    hflip: Share
    shift: Annotated[float, Field(ge=0.0, lt=1.0)]
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    scale: Annotated[float, Field(ge=0.0, lt=1.0)]
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)]
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)]


class DataConfig(Section):
    """Which images, how they are split, batched and augmented."""

    name: str
    source: Literal["digits", "zip", "folder", "classes", "npz", "medmnist"]
    path: str | None
    dataset: str | None
    image_size: Annotated[int, Field(ge=4, le=4096)]
    channels: Literal[1, 3]
    classes: tuple[str, ...] | None
    columns: ColumnsConfig
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
    def _consistent(self) -> DataConfig:
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


class OptimizerConfig(Section):
    """The optimiser of both modes."""

    name: Literal["sgd", "adamw"]
    lr: Annotated[float, Field(gt=0.0)]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0.0)]


class SchedulerConfig(Section):
    """How the learning rate moves over the whole of a training."""

    name: Literal["none", "cosine", "one_cycle", "plateau"]
    warmup: Annotated[float, Field(gt=0.0, lt=1.0)]
    patience: Annotated[int, Field(ge=0)]
    factor: Annotated[float, Field(gt=0.0, lt=1.0)]


class EarlyStoppingConfig(Section):
    """When a training that no longer improves is stopped."""

    enabled: bool
    patience: Positive
    min_delta: Annotated[float, Field(ge=0.0)]


class TrainerConfig(Section):
    """Optimiser, schedule, length and selection of a training."""

    max_epochs: Positive
    optimizer: OptimizerConfig
    scheduler: SchedulerConfig
    class_weights: Literal["none", "balanced"]
    logit_adjustment: Annotated[float, Field(ge=0.0, le=10.0)]
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    gradient_clip: Annotated[float, Field(gt=0.0)] | None
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    monitor: str | None
    mode: Literal["min", "max"] | None
    early_stopping: EarlyStoppingConfig
    test_model: Literal["best", "last"]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["val"]
    accelerator: str
    devices: int | str | list[int]
    precision: str
    compile: bool = False  # runs that were stored before it came were not compiled
    num_threads: Positive | None
    progress: bool

    @property
    def wants_gpu(self) -> bool:
        """Whether it trains on a GPU where there is one."""
        return self.accelerator in ("auto", "gpu", "cuda")

    @property
    def fixed_threshold(self) -> float:
        """The threshold where none is chosen on the validation split."""
        return 0.5 if self.threshold == "val" else self.threshold

    def monitored(self, num_classes: int) -> tuple[str, Literal["min", "max"]]:
        """The metric that chooses the best model, and the better direction.

        Returns
        -------
        tuple of str and {"min", "max"}

        Raises
        ------
        ConfigError
            Which direction is the better one is not known.
        """
        monitor = self.monitor or default_monitor(num_classes)
        mode = self.mode or spec_of(monitor.partition("/")[2]).mode
        if mode is None:
            raise ConfigError(
                f"trainer.monitor={monitor}: it is not known whether lower or higher is better; "
                "set trainer.mode=min or trainer.mode=max"
            )
        return monitor, mode


class PartitionConfig(Section):
    """How the rows are shared out among the clients."""

    name: Literal["iid", "stratified", "dirichlet", "pathological", "quantity", "natural"]
    seed: Annotated[int, Field(ge=0)]
    min_examples: Positive
    alpha: Annotated[float, Field(gt=0.0)] = 0.5
    classes_per_client: Positive = 2
    sigma: Annotated[float, Field(ge=0.0)] = 1.0
    column: str = "site"


class StrategyConfig(Section):
    """How the server samples clients and aggregates."""

    name: Literal["fedavg", "fedmedian"]
    fraction_train: Annotated[float, Field(gt=0.0, le=1.0)]
    fraction_evaluate: Share
    min_train: Positive


class FedProxConfig(StrategyConfig):
    """FedAvg with clients that are held near the model they received."""

    name: Literal["fedprox"]  # type: ignore[assignment]
    proximal_mu: Annotated[float, Field(ge=0.0)]


class FedAvgMConfig(StrategyConfig):
    """FedAvg with momentum on the server."""

    name: Literal["fedavgm"]  # type: ignore[assignment]
    server_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    server_learning_rate: Annotated[float, Field(gt=0.0)]


class FedTrimmedAvgConfig(StrategyConfig):
    """The mean of each weight without its largest and smallest values."""

    name: Literal["fedtrimmedavg"]  # type: ignore[assignment]
    beta: Annotated[float, Field(ge=0.0, lt=0.5)]


class FederationConfig(Section):
    """Clients, rounds, waits and the quorum."""

    num_clients: Positive
    num_rounds: Positive
    local_epochs: Positive
    rounds_per_epoch: Positive = 1
    min_replies: Positive
    round_timeout_s: Annotated[float, Field(gt=0.0)]
    connect_timeout_s: Annotated[float, Field(gt=0.0)]
    max_examples: Positive
    early_stopping: bool
    client_cpus: Positive
    client_gpus: Annotated[float, Field(ge=0.0)] | None
    start_timeout_s: Annotated[float, Field(gt=0.0)]
    # Runs that were stored before these came had Flower's engine.
    engine: Literal["local", "flower"] = "flower"
    workers: Positive | None = None
    ray_address: str | None = None
    kit: str | None = None  # runs that were stored before there were deployments have none
    ask_again_s: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FederationConfig:
        if self.kit is not None and self.engine == "local":
            raise ValueError(f"federation.kit={self.kit} needs federation.engine=flower: real sites use Flower")
        if self.ray_address is not None and not re.fullmatch(r"[^\s/]+:\d+", self.ray_address):
            raise ValueError(
                f"federation.ray_address must be HOST:PORT, such as 10.0.0.5:6379, got {self.ray_address!r}"
            )
        if self.ray_address is not None and (self.kit is not None or self.workers is not None):
            raise ValueError(
                f"federation.ray_address={self.ray_address} goes with neither federation.kit nor "
                "federation.workers: the cluster's cores say how many clients train at once"
            )
        if self.rounds_per_epoch > 1 and self.local_epochs > 1:
            raise ValueError(
                f"federation.rounds_per_epoch={self.rounds_per_epoch} needs federation.local_epochs=1, got "
                f"{self.local_epochs}"
            )
        if self.num_rounds % self.rounds_per_epoch:
            raise ValueError(
                f"federation.num_rounds={self.num_rounds} must be a multiple of "
                f"federation.rounds_per_epoch={self.rounds_per_epoch}: every row is seen as often as any other"
            )
        return self


class CompareConfig(Section):
    """How the twins are compared."""

    seeds: tuple[int, ...] | None
    local_only: bool
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
    resamples: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _seeds(self) -> CompareConfig:
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            raise ValueError(
                f"compare.seeds must name at least one seed, each once (null: the seed of the run), got "
                f"{list(self.seeds)}: an interval over seeds needs different ones"
            )
        return self


class TrackingConfig(Section):
    """Where the database and the results lie; never part of a stored snapshot (a URL may hold a password)."""

    home: str | None
    database_url: str | None
    run_id: Positive | None
    parent_id: Positive | None


class Config(Section):
    """The whole configuration of a run."""

    name: str
    description: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    resume: str | None
    data: DataConfig
    model: Annotated[CnnConfig | ResNetConfig, Field(discriminator="name")]
    trainer: TrainerConfig
    partition: PartitionConfig
    strategy: Annotated[
        StrategyConfig | FedProxConfig | FedAvgMConfig | FedTrimmedAvgConfig, Field(discriminator="name")
    ]
    federation: FederationConfig
    compare: CompareConfig
    tracking: TrackingConfig

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        clients, strategy = self.federation.num_clients, self.strategy
        sampled = min(clients, max(int(clients * strategy.fraction_train), strategy.min_train))
        if self.federation.min_replies > sampled:
            raise ValueError(
                f"federation.min_replies={self.federation.min_replies} can never be met: {sampled} of "
                f"{clients} clients train in a round (strategy.fraction_train, strategy.min_train)"
            )
        return self

    def snapshot(self) -> dict[str, Any]:
        """The resolved settings that a run stores and a client receives, as plain JSON types.

        Returns
        -------
        dict
            Everything but ``tracking``.
        """
        return self.model_dump(mode="json", exclude={"tracking"})

    def replace(self, section: str, **changes: Any) -> Config:
        """A copy in which some settings of one section differ, validated again.

        Parameters
        ----------
        section : str
            Such as ``"trainer"``; ``""`` for the settings at the top.
        **changes
            New values by name.
        """
        values = self.model_dump()
        (values[section] if section else values).update(changes)
        return validate(values)


def validate(values: Mapping[str, Any]) -> Config:
    """Check plain values, such as a resolved Hydra config or a stored snapshot.

    Parameters
    ----------
    values : mapping
        Sections by name; ``tracking`` may be missing (as in a snapshot).

    Raises
    ------
    ConfigError
        Names every setting that is wrong, what was expected and what came.
    """
    nowhere = {"home": None, "database_url": None, "run_id": None, "parent_id": None}
    try:
        return Config.model_validate({"tracking": nowhere, **values})
    except ValidationError as error:
        raise ConfigError("the configuration is not valid:\n" + bullet_list(_problems(error))) from None


def from_hydra(cfg: DictConfig) -> Config:
    """Resolve and check what Hydra composed.

    Returns
    -------
    Config
        Its paths are absolute.

    Raises
    ------
    ConfigError
    """
    from omegaconf import OmegaConf  # Hydra is slow to import, and whoever reads stored settings does without
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration is not complete: {str(error).splitlines()[0]}") from None
    assert isinstance(values, dict)
    for section, name in _PATHS:  # a run may go on in another folder, and Flower's processes work in others
        if values[section].get(name) is not None:
            values[section][name] = str(Path(str(values[section][name])).expanduser().absolute())
    return validate({str(key): value for key, value in values.items()})


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose ``conf/`` with overrides such as ``"data=npz"``, and check the result.

    Parameters
    ----------
    overrides : sequence of str
        In Hydra's override grammar.

    Raises
    ------
    ConfigError
        An override names no setting, or its value is not valid.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with _HYDRA_LOCK:
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                cfg = hydra_compose("config", overrides=list(overrides))
                return from_hydra(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"cannot compose {list(overrides)}: {error}") from None


def _problems(error: ValidationError) -> list[str]:
    problems = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"] if part not in _TAGS)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "value_error":
            problems.append(message)
        else:
            problems.append(f"{place}: {message}, got {item['input']!r}")
    return problems


_PATHS = (("data", "path"), ("model", "weights"), ("federation", "kit"))

# Names of variants, which pydantic puts into the place of an error.
_TAGS = {"cnn", "resnet18", "resnet34", "resnet50", "fedavg", "fedmedian", "fedprox", "fedtrimmedavg"}
