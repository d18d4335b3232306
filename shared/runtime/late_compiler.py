"""`defer_compiler`: torch's compiler is loaded when something is compiled, not by every training.

It is a third of what a training imports, and hardly any training compiles. Lightning imports it for the class
of compiled modules, each step of an optimizer for ``graph_break``, which does nothing in plain Python, and
torchvision for ``is_compile_supported``, which it asks when it compiles.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial, wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"
_UTILS = f"{_NAME}.utils"
_REPLACING = threading.Lock()  # not held while it is imported: Python has locks of its own for that


def defer_compiler() -> None:
    """Put modules in the compiler's place that are replaced by it as soon as more than this is asked of them.

    Where the compiler is loaded already, nothing changes.
    """
    if _NAME in sys.modules:
        return
    compiler = _StandIn(_NAME, OptimizedModule=_OptimizedModule, disable=_disable, graph_break=_graph_break)
    sys.modules[_NAME] = vars(torch)["_dynamo"] = compiler  # before its part, which is looked for in it
    sys.modules[_UTILS] = _StandIn(_UTILS, is_compile_supported=_is_compile_supported)
    sys.meta_path.insert(0, _PartsOfCompiler())


def _loaded() -> ModuleType | None:
    found = sys.modules.get(_NAME)
    return None if isinstance(found, _StandIn) else found


def _load() -> ModuleType:
    with _REPLACING:
        if isinstance(sys.modules.get(_NAME), _StandIn):
            del sys.modules[_NAME], sys.modules[_UTILS]
            vars(torch).pop("_dynamo", None)
    return import_module(_NAME)


class _CompiledType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        compiler = _loaded()
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(metaclass=_CompiledType):
    """Has the instances of the compiler's class of this name; before it is loaded, there are none."""


def _disable(function: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Callable[..., Any]:
    """A function that the compiler leaves alone: until it is loaded, the function as it is."""
    if function is None:
        return partial(_disable, *args, **options)
    disabled: list[Callable[..., Any]] = []

    @wraps(function)
    def call(*inputs: Any, **named: Any) -> Any:
        compiler = _loaded()
        if compiler is None:
            return function(*inputs, **named)
        if not disabled:
            disabled.append(compiler.disable(function, *args, **options))
        return disabled[0](*inputs, **named)

    return call


def _graph_break(msg: str = "") -> None:
    """Nothing, as the compiler's own does in code that is not compiled."""
    compiler = _loaded()
    if compiler is not None:  # for those who kept the stand-in
        compiler.graph_break(msg)


def _is_compile_supported(device_type: str) -> bool:
    supported: bool = _load().utils.is_compile_supported(device_type)
    return supported


class _StandIn(ModuleType):
    """What is imported of a module of the compiler without compiling; who asks for anything else loads it."""

    def __init__(self, name: str, **given: Any) -> None:
        super().__init__(name)
        spec = find_spec(name)
        assert spec is not None
        self.__spec__, self.__file__ = spec, spec.origin
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by those who look at all modules
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _load()
        return getattr(import_module(self.__name__), name)


class _PartsOfCompiler(MetaPathFinder):
    """Loads the compiler when one of its modules is imported, which that import then finds there."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{_NAME}.") or _loaded() is not None:
            return None
        _load()
        return ModuleSpec(name, _Already(sys.modules[name])) if name in sys.modules else None


class _Already(Loader):
    """Gives a module that is there."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
