"""`read_yaml`: a YAML file that a person wrote becomes a validated model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from shared.runtime.errors import DeployError, bullet_list

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, *, model: type[Model]) -> Model:
    """Read and check a file.

    Returns
    -------
    BaseModel
        Of the type that was asked for.

    Raises
    ------
    DeployError
        It is not there, is not YAML, or names everything in it that is wrong.
    """
    try:
        # OmegaConf's loader refuses a key that is written twice; PyYAML's own takes the last without a word.
        content = OmegaConf.load(path)
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise DeployError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, DictConfig):
        raise DeployError(f"{path} must hold settings, one `name: value` a line, got {content!r}")
    try:
        return model.model_validate(OmegaConf.to_container(content, resolve=False))
    except ValidationError as error:
        raise DeployError(f"{path} is not valid:\n" + bullet_list(problems_of(error))) from None


def problems_of(error: ValidationError) -> list[str]:
    """Everything that a model found wrong.

    Returns
    -------
    list of str
        One sentence for each, with its place in the file and what came.
    """
    problems = []
    for item in error.errors():
        place = ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        shown = "" if item["type"] in ("value_error", "missing") else f", got {item['input']!r}"
        problems.append(f"{place}: {message}{shown}" if place else message)
    return problems
