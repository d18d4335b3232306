"""Questions as arrays by name, for any transport that carries arrays, and back, checked for types and shapes.

Replies are arrays by name already, which `messages.summed` checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import FederationError
from shared.trees.bins import CODES
from shared.trees.messages import Arrays, Begin, Count, Describe, Grow, Question, Start

KINDS: dict[str, type[Question]] = {
    kind.__name__.lower(): kind for kind in (Describe, Start, Count, Begin, Grow)
}

# Type and shape of each field; None: any length. One number of a field is an array of one.
_ONE_INT, _ONE_FLOAT, _ONE_TRUTH = (np.int64, (1,)), (np.float64, (1,)), (np.bool_, (1,))
_INTS, _NODES, _FLOATS = (np.int64, (None,)), (np.int64, (None, 2)), (np.float64, (None,))
_SHAPES: dict[str, tuple[Any, tuple[int | None, ...]]] = {
    "step": _ONE_INT, "outputs": _ONE_INT, "resolved": _ONE_INT, "round": _ONE_INT, "seed": _ONE_INT,
    "bins": _ONE_INT, "subsample": _ONE_FLOAT, "begin": _ONE_TRUTH, "scales": (np.float64, (2,)),
    "feature": _INTS, "prefix": (np.uint64, (None,)), "edges": _FLOATS, "edge_counts": _INTS, "scores": _FLOATS,
    "parent": _NODES, "left": _INTS, "right": _INTS, "table": (np.bool_, (None, CODES)), "leaf": _NODES,
    "value": _FLOATS, "asked": _NODES, "inputs": _INTS,
}  # fmt: skip
# What `Grow` told, without the histograms that it asked for.
_GROW = tuple(field.name for field in fields(Grow) if field.name != "asked")
_BEGIN, _GROWN, _COUNTS = "begin", "grown", "counts"
# Fields of a question that have one length.
_TOGETHER = (("feature", "prefix"), ("parent", "left", "right", "feature", "table"), ("leaf", "value"))


def packed(question: Question) -> tuple[str, dict[str, NDArray[Any]]]:
    """The kind of a question, and its arrays."""
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(question):
        value = getattr(question, field.name)
        if field.name == "edges":
            arrays["edges"] = np.concatenate([np.zeros(0), *value])
            arrays["edge_counts"] = np.array([len(own) for own in value], dtype=np.int64)
        else:
            arrays[field.name] = np.atleast_1d(np.asarray(value, dtype=_SHAPES[field.name][0]))
    return type(question).__name__.lower(), arrays


def unpacked(kind: str, arrays: Arrays) -> Question:
    """The question that `packed` took apart, or somebody else made up.

    Raises
    ------
    FederationError
        It is none.
    """
    if kind not in KINDS:
        raise FederationError(f"expected a question of {sorted(KINDS)}, got {kind!r}")
    names = {field.name for field in fields(KINDS[kind])}
    expected = names | ({"edge_counts"} if "edges" in names else set())
    if arrays.keys() != expected:
        raise FederationError(f"{kind}: expected the arrays {sorted(expected)}, got {sorted(arrays)}")
    for name, array in arrays.items():
        _check(kind, name, array)
    for together in _TOGETHER:
        if names.issuperset(together) and len({len(arrays[name]) for name in together}) > 1:
            raise FederationError(f"{kind}: expected the arrays {list(together)} to have one length")
    return KINDS[kind](**{name: _value(name, arrays, kind) for name in names})


def packed_past(past: Sequence[Question]) -> dict[str, NDArray[Any]]:
    """The past of a server, its questions one after the other; nothing is told again of what they asked for.

    Parameters
    ----------
    past : sequence of Question
        `shared.trees.server.ServerGrower.past`: one `Begin`, and from there on `Grow`; or none at all.
    """
    if not past:
        return {}
    begin, *grows = past
    _, first = packed(begin)
    found = {f"{_BEGIN}/{name}": array for name, array in first.items()}
    each = [packed(question)[1] for question in grows]
    for name in _GROW:
        parts = [own[name] for own in each]
        empty = np.zeros(tuple(length or 0 for length in _SHAPES[name][1]), dtype=_SHAPES[name][0])
        found[f"{_GROWN}/{name}"] = np.concatenate([empty[:0], *parts])
        found[f"{_COUNTS}/{name}"] = np.array([len(part) for part in parts], dtype=np.int64)
    found[f"{_GROWN}/table"] = np.packbits(found[f"{_GROWN}/table"], axis=1)
    return found


def unpacked_past(arrays: Arrays, *, after: int) -> list[Question]:
    """The questions of a past, from `packed_past` or from somebody else, that came after a step.

    Parameters
    ----------
    after : int
        Only these are looked at.

    Raises
    ------
    FederationError
        They are no questions.
    """
    if not arrays:
        return []
    head, tail = f"{_BEGIN}/", f"{_GROWN}/"
    names = {f"{part}/{name}" for part in (_GROWN, _COUNTS) for name in _GROW}
    if {name for name in arrays if not name.startswith(head)} != names:
        raise FederationError(f"expected the past of a tree, {sorted(names)}, got {sorted(arrays)}")
    counts = {name: arrays[f"{_COUNTS}/{name}"] for name in _GROW}
    number, own = len(counts["step"]), dict(arrays)
    fits = bool((counts["step"] == 1).all()) and all(
        count.dtype == np.int64 and count.shape == (number,) and (count >= 0).all()
        and count.sum() == len(own[tail + name])
        for name, count in counts.items()
    )  # fmt: skip
    table = own[tail + "table"]
    if not fits or table.dtype != np.uint8 or table.shape[1:] != (CODES // 8,):
        raise FederationError("the past of a tree is damaged: its parts are not as long as it says")
    own[tail + "table"] = np.unpackbits(table, axis=1).astype(np.bool_)
    first = unpacked("begin", {name.removeprefix(head): own[name] for name in own if name.startswith(head)})
    found: list[Question] = [first] if first.step > after else []
    ends = {name: np.cumsum(count) for name, count in counts.items()}
    nothing = np.zeros((0, 2), dtype=np.int64)
    for place, step in enumerate(own[tail + "step"].tolist()):
        if step > after:
            spans = {name: slice(end[place] - counts[name][place], end[place]) for name, end in ends.items()}
            part = {name: own[tail + name][span] for name, span in spans.items()}
            found.append(unpacked("grow", {**part, "asked": nothing}))
    return found


def _check(kind: str, name: str, array: NDArray[Any]) -> None:
    dtype, shape = _SHAPES[name]
    lengths = zip(shape, array.shape, strict=False)
    fits = array.ndim == len(shape) and all(own in (None, got) for own, got in lengths)
    if array.dtype != dtype or not fits:
        raise FederationError(
            f"{kind}: expected {name!r} as {np.dtype(dtype)} of shape {list(shape)}, "
            f"got {array.dtype} of shape {list(array.shape)}"
        )
    if not np.isfinite(array).all():
        raise FederationError(f"{kind}: {name!r} has values that are not finite")


def _value(name: str, arrays: Mapping[str, NDArray[Any]], kind: str) -> Any:
    if name == "edges":
        counts = arrays["edge_counts"]
        if (counts < 0).any() or counts.sum() != len(arrays["edges"]):
            raise FederationError(f"{kind}: 'edge_counts' do not add up to the {len(arrays['edges'])} edges")
        return tuple(np.split(arrays["edges"], np.cumsum(counts)[:-1]))
    if _SHAPES[name][1] == (1,):
        return arrays[name][0].item()
    return tuple(arrays[name].tolist()) if name == "scales" else arrays[name]
