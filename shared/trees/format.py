"""Files of trees: JSON with a version, checked whole before anything of it is used.

Floats are written so that they are read as the same floats. Nothing in a file is code, and no file makes a
model whose prediction does not end: each node has one parent, with a lower number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.runtime.errors import ConfigError, TreesError
from shared.runtime.files import replacing
from shared.trees.bins import Feature
from shared.trees.model import KINDS, Tree, TreeEnsemble
from shared.trees.objectives import MAX_CLASSES, Shares, Softmax, objective_of
from shared.trees.settings import MAX_BINS, MAX_LEAVES, MAX_ROUNDS

MAX_BYTES = 256 * 2**20
MAX_FEATURES = 100_000
MAX_NODES = 2 * MAX_LEAVES - 1
_FORMAT: Literal["fedtwin-trees"] = "fedtwin-trees"
_VERSION: Literal[1] = 1
_WITH_CLASSES = (Softmax.name, Shares.name)  # objectives of a file that says how many there are
# Far beyond what training gives, and so small that sums over all trees are finite.
LARGEST_VALUE = 1e100

_Value = Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE, allow_inf_nan=False)]
_Whole = Annotated[int, Field(ge=0, le=2**53)]
_Place = Annotated[int, Field(ge=-1, le=MAX_FEATURES)]
_Number = Annotated[int, Field(ge=-1, lt=MAX_NODES)]
_Levels = Annotated[list[Annotated[int, Field(ge=0, lt=MAX_BINS)]], Field(max_length=MAX_BINS)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Feature(_Strict):
    name: Annotated[str, Field(max_length=1000)]
    levels: Annotated[int, Field(ge=0, le=MAX_BINS)]


class _Tree(_Strict):
    """Lists with an entry for each node; ``levels`` has none if no node divides a category."""

    feature: Annotated[list[_Place], Field(min_length=1, max_length=MAX_NODES)]
    threshold: list[Annotated[float, Field(allow_inf_nan=False)]]
    levels: list[_Levels]
    missing_left: list[bool]
    left: list[_Number]
    right: list[_Number]
    value: list[_Value]
    gain: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    rows: list[_Whole]


class _Ensemble(_Strict):
    format: Literal["fedtwin-trees"]
    version: Literal[1]
    objective: str
    classes: Annotated[int, Field(ge=0, le=MAX_CLASSES)]
    features: Annotated[list[_Feature], Field(min_length=1, max_length=MAX_FEATURES)]
    start: Annotated[list[_Value], Field(min_length=1, max_length=MAX_CLASSES)]
    rounds: Annotated[list[list[_Tree]], Field(max_length=MAX_ROUNDS)]


def dumps(model: TreeEnsemble) -> bytes:
    """A model as JSON."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "objective": model.objective.name,
        "classes": getattr(model.objective, "classes", 0) if model.objective.name in _WITH_CLASSES else 0,
        "features": [{"name": feature.name, "levels": feature.levels} for feature in model.features],
        "start": model.start.tolist(),
        "rounds": [[_columns(tree) for tree in trees] for trees in model.rounds],
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def loads(data: bytes, *, source: str = "the model") -> TreeEnsemble:
    """The model of what `dumps` wrote, or somebody else made up.

    Parameters
    ----------
    source : str
        Where it is from, for errors.

    Raises
    ------
    TreesError
        It is not a model of trees, of another version, or not consistent.
    """
    if len(data) > MAX_BYTES:
        raise TreesError(f"{source} has {len(data):,} bytes; a model of trees has {MAX_BYTES:,} at most")
    try:
        content = _Ensemble.model_validate_json(data)
    except ValidationError as error:
        raise TreesError(f"{source} is not a model of trees, version {_VERSION}: {_first(error)}") from None
    try:
        objective = objective_of(content.objective, content.classes)
        features = tuple(Feature(one.name, one.levels) for one in content.features)
        if objective.name not in _WITH_CLASSES and content.classes:
            raise ValueError(f"classes: expected 0 for {objective.name}, got {content.classes}")
        if len(content.start) != objective.outputs:
            raise ValueError(f"start: expected {objective.outputs} numbers, got {len(content.start)}")
        rounds = []
        for number, trees in enumerate(content.rounds):
            if len(trees) != objective.outputs:
                raise ValueError(f"round {number}: expected {objective.outputs} trees, got {len(trees)}")
            rounds.append(
                tuple(_tree(tree, features, f"round {number}, tree {k}") for k, tree in enumerate(trees))
            )
    except (ValueError, ConfigError) as error:
        raise TreesError(f"{source} is damaged: {error}") from None
    return TreeEnsemble(features, objective, np.array(content.start, dtype=np.float64), tuple(rounds))


def save(model: TreeEnsemble, path: Path) -> None:
    """Write a file.

    Raises
    ------
    DiskError
    """
    with replacing(path) as file:
        file.write(dumps(model))


def load(path: Path) -> TreeEnsemble:
    """Read a file.

    Raises
    ------
    TreesError
        It cannot be read, or is not a model of trees.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TreesError(f"{path} cannot be read: {error.strerror}") from None
    return loads(data, source=str(path))


def _columns(tree: Tree) -> dict[str, Any]:
    levels = [list(own) for own in tree.levels]
    return {**{name: getattr(tree, name).tolist() for name in KINDS}, "levels": levels if any(levels) else []}


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    more = f" (and {error.error_count() - 1:,} more)" if error.error_count() > 1 else ""
    return f"{'.'.join(str(part) for part in problem['loc']) or 'JSON'}: {problem['msg']}{more}"


def _tree(content: _Tree, features: tuple[Feature, ...], where: str) -> Tree:
    nodes = len(content.feature)
    columns = {name: getattr(content, name) for name in KINDS}
    columns_levels = content.levels or [[]] * nodes
    for name, column in (*columns.items(), ("levels", columns_levels)):
        if len(column) != nodes:
            raise ValueError(f"{where}: expected {nodes} entries of {name}, got {len(column)}")
    tree = Tree.of(columns, columns_levels)
    check_tree(tree, features, where=where)
    return tree


def check_tree(tree: Tree, features: tuple[Feature, ...], *, where: str) -> None:
    """Make sure that a tree has one way from its root to each leaf, by inputs that there are.

    Raises
    ------
    ValueError
    """
    for problem, wrong in _problems(tree, features):
        if wrong.any():
            raise ValueError(f"{where}, node {int(np.flatnonzero(wrong)[0])}: {problem}")


def _problems(tree: Tree, features: tuple[Feature, ...]) -> list[tuple[str, NDArray[np.bool_]]]:
    """What may be wrong, and the nodes for which it is."""
    number, count = np.arange(len(tree.feature)), len(tree.feature)
    leaf = tree.feature < 0
    unknown = tree.feature >= len(features)
    if unknown.any():
        return [(f"expected an input below {len(features)}", unknown)]
    children = np.concatenate([tree.left[~leaf], tree.right[~leaf]])
    parents = np.bincount(children[(children >= 0) & (children < count)], minlength=count)
    levels = np.array([feature.levels for feature in features])[tree.feature]
    category = ~leaf & (levels > 0)
    divides = (tree.threshold != 0) | (tree.gain != 0)
    empty = np.array([not own for own in tree.levels])
    ordered = np.array([list(own) == sorted(set(own)) for own in tree.levels])
    highest = np.array([max(own, default=-1) for own in tree.levels])
    left, right = (np.where(leaf, 0, np.clip(side, 0, count - 1)) for side in (tree.left, tree.right))
    return [
        ("a leaf has children", leaf & ((tree.left != -1) | (tree.right != -1))),
        ("children need higher numbers", ~leaf & (np.minimum(tree.left, tree.right) <= number)),
        ("a child is missing", ~leaf & (np.maximum(tree.left, tree.right) >= count)),
        ("expected one parent, and none of node 0", parents != (number > 0)),
        ("a leaf divides nothing", leaf & (divides | tree.missing_left | ~empty)),
        ("only leaves have values", ~leaf & (tree.value != 0)),
        ("a category has no threshold", category & (tree.threshold != 0)),
        ("a number has no levels", ~leaf & ~category & ~empty),
        ("levels are not ascending", ~ordered),
        ("a level that the input does not have", category & (highest >= levels)),
        ("rows are not those of the children", ~leaf & (tree.rows[left] + tree.rows[right] != tree.rows)),
    ]
