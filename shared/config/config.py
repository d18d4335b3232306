"""`Config`: the whole configuration of a run, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from shared.config.compare import CompareConfig
from shared.config.data import CustomDataConfig, ImageDataConfig, RowsDataConfig
from shared.config.federation import FederationConfig
from shared.config.model import ModelConfig
from shared.config.partition import PartitionConfig
from shared.config.problems import problem_lines
from shared.config.section import TARGET, Section
from shared.config.strategy import StrategyConfig, sample_size
from shared.config.table_data import TableDataConfig
from shared.config.task import TaskConfig
from shared.config.tracking import TrackingConfig
from shared.config.trainer import TrainerConfig
from shared.runtime.errors import ConfigError, bullet_list


class Config(Section):
    """The whole configuration of a run."""

    name: str
    description: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    resume: str | None
    data: Annotated[
        ImageDataConfig | TableDataConfig | RowsDataConfig | CustomDataConfig, Field(discriminator="source")
    ]
    task: TaskConfig
    model: ModelConfig
    trainer: TrainerConfig
    partition: PartitionConfig
    strategy: StrategyConfig
    federation: FederationConfig
    compare: CompareConfig
    tracking: TrackingConfig

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        clients, strategy = self.federation.num_clients, self.strategy
        sampled = sample_size(clients, strategy.fraction_train, at_least=strategy.min_train)
        if self.federation.min_replies > sampled:
            raise ValueError(
                f"federation.min_replies={self.federation.min_replies} can never be met: {sampled} of "
                f"{clients} clients train in a round (strategy.fraction_train, strategy.min_train)"
            )
        return self

    @property
    def images(self) -> ImageDataConfig:
        """The settings of data that is images.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if isinstance(self.data, ImageDataConfig):
            return self.data
        raise ConfigError(
            f"task={self.task.name} needs images, got data.source={self.data.source}; choose data=zip, "
            f"data=folder or another group of images, or task=custom for data of your own"
        )

    @property
    def rows(self) -> RowsDataConfig:
        """The settings of data that a task of the user's own reads.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if isinstance(self.data, RowsDataConfig):
            return self.data
        raise ConfigError(
            f"task={self.task.name} reads its rows itself, got data.source={self.data.source}; choose data=rows"
        )

    @property
    def table(self) -> TableDataConfig:
        """The settings of data that is a table.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if isinstance(self.data, TableDataConfig):
            return self.data
        raise ConfigError(
            f"task={self.task.name} needs a table, got data.source={self.data.source}; choose "
            "data=table or data=sql"
        )

    @property
    def shares(self) -> PartitionConfig:
        """The settings of the partition, with the seed that it is drawn from."""
        own = self.partition.seed
        return self.partition.model_copy(update={"seed": self.seed if own is None else own})

    @property
    def targets(self) -> tuple[str, ...]:
        """Dotted names of all components that the settings name, see `shared.runtime.components`."""
        return tuple(dict.fromkeys(_targets(self.snapshot())))

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
    """Check plain values; a stored snapshot, which may be of an older version, is for `read_snapshot`.

    Parameters
    ----------
    values : mapping
        Sections by name; ``tracking`` may be missing.

    Raises
    ------
    ConfigError
        Names every invalid setting, what was expected and what it got.
    """
    nowhere = {"home": None, "database_url": None, "run_id": None, "parent_id": None}
    whole = {"tracking": nowhere, **values}
    try:
        return Config.model_validate(whole)
    except ValidationError as error:
        problems = problem_lines(error, schema=_schema(), values=whole)
        raise ConfigError("the configuration is not valid:\n" + bullet_list(problems)) from None


@cache  # as it takes longer than everything else that is said of a mistake
def _schema() -> Mapping[str, Any]:
    return Config.model_json_schema()


def _targets(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        target = settings.get(TARGET)
        if isinstance(target, str):
            yield target
        settings = settings.values()
    if not isinstance(settings, str) and isinstance(settings, Iterable):
        for value in settings:
            yield from _targets(value)
