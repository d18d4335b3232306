"""`ImageTask`: what the tasks on images have in common before anything is trained."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config.model import CnnConfig, CustomModelConfig, ResNetConfig
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.data.sources.targets import TargetColumn, Targets


class ImageTask(Task):
    """A task on images: its data is recognised, and its targets are read from the text of a column."""

    models = (CnnConfig, ResNetConfig, CustomModelConfig)
    takes = "cnn or a ResNet"

    @classmethod
    def recognise(cls, path: Path) -> tuple[str, Path] | None:
        """See `shared.data.sources.layout.recognise`."""
        from shared.data.sources.layout import recognise  # the service loads tasks, and reads no images

        return recognise(path)

    @abstractmethod
    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """What is to be predicted; `problems` takes what is wrong."""
