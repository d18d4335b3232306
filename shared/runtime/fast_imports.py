"""Imports torch, torchmetrics and Lightning, in about half of the time that they take.

Where a program begins, it imports this module first: what is imported once is there for all. torchmetrics loads
SciPy's signals, Matplotlib and torchvision wherever they are installed, and no metric of ours needs them: it is
told that they are not installed, and says so itself if ``Metric.plot`` is called. All others find them.
torch's compiler is loaded when something is compiled.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from lightning_utilities.core import imports

from shared.runtime.gc_pause import uncollected

_NOT_NEEDED = ("scipy", "matplotlib", "torchvision")


class _Requirement(imports.RequirementCache):
    """What torchmetrics asks whether a package is there."""

    def __bool__(self) -> bool:
        return not str(self.requirement).startswith(_NOT_NEEDED) and super().__bool__()


def _package_available(name: str) -> bool:
    return name not in _NOT_NEEDED and find_spec(name) is not None


def _answer_by(requirement: Any, package_available: Any) -> tuple[Any, Any]:
    before = imports.RequirementCache, imports.package_available
    vars(imports).update(RequirementCache=requirement, package_available=package_available)
    return before


with uncollected():
    _real = _answer_by(_Requirement, _package_available)
    try:
        import torchmetrics  # it imports torch
    finally:
        _answer_by(*_real)
    from shared.runtime.late_compiler import defer_compiler

    defer_compiler()
    import lightning.pytorch

__all__ = ["lightning", "torchmetrics"]
