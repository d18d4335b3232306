"""`read_data`: the rows of a user's LightningDataModule, or of their function, as a `Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import ConcatDataset

from shared.config.data import CustomDataConfig
from shared.data.cache import locked
from shared.data.dataset import SIDES, Dataset, Groups, Ints, Strata
from shared.data.schema import Schema
from shared.runtime.components import load_object
from shared.runtime.errors import ConfigError, DataError
from shared.tasks.custom.loading import Loading, loading_of
from shared.tasks.custom.seeding import seeded

CLIENT = "client"  # the column of data whose clients are given by a function


@dataclass(frozen=True, kw_only=True, eq=False)
class CustomData(Dataset):
    """Rows of the user's own: those to train, to validate and to test, in this order.

    Attributes
    ----------
    loading : mapping of str to Loading
        How the rows of a side are read.
    module : LightningDataModule
        The user's, whose hooks are called on every batch; an empty one where a function gives the data.
    """

    loading: Mapping[str, Loading]
    module: L.LightningDataModule

    def places(self, side: str, own: Ints | None) -> list[int]:
        """Which items of a side's own dataset a client holds."""
        first = self.indices(side)[:1].sum()  # 0 where the side has no rows
        places: list[int] = (self.rows(side, own) - first).tolist()
        return places


def read_data(
    cfg: CustomDataConfig,
    *,
    num_clients: int,
    natural: bool,
    cache: Path,
    sides: Sequence[str],
    may_run: Collection[str],
) -> CustomData:
    """Call the user's code, and look at what it gives.

    Parameters
    ----------
    num_clients : int
        A function is asked for the data of so many.
    natural : bool
        Whether the partition keeps the clients that a function gives.
    cache : Path
        One process at a time prepares the data.
    sides : sequence of str
        Which of ``train``, ``val`` and ``test`` are needed.
    may_run : collection of str
        See `shared.runtime.components.load_component`.

    Raises
    ------
    ConfigError
        It may not run here, or does not take the settings of ``data``.
    DataError
        It raises an error, or gives something that rows cannot be taken from one by one.
    """
    if cfg.target is None:
        raise ConfigError(
            "data._target_ must name your LightningDataModule, or your function (docs/extending.md)"
        )
    source = load_object(cfg.target, may_run=may_run)
    with _named(cfg.target):
        if isinstance(source, type) and issubclass(source, L.LightningDataModule):
            return _of_module(source, cfg, cache=cache, sides=sides)
        if callable(source) and not isinstance(source, type):
            return _of_function(source, cfg, num_clients=num_clients, natural=natural, sides=sides)
    raise ConfigError(
        f"data._target_={cfg.target} must be a LightningDataModule, or a function "
        f"datasets(partition_id, num_partitions)"
    )


def _of_module(
    kind: type[L.LightningDataModule], cfg: CustomDataConfig, *, cache: Path, sides: Sequence[str]
) -> CustomData:
    def call(method: Callable[..., Any], *arguments: Any) -> Any:
        # A split that is drawn at random must come out alike in every process, and in every stage: else rows to
        # train and rows to test could be the same.
        with seeded(cfg.split_seed):
            return method(*arguments)

    module = call(partial(kind, **cfg.arguments, **cfg.batch_sizes))
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache, f"prepare-{cfg.target}"):
        call(module.prepare_data)
    loading = {}
    if "train" in sides or "val" in sides:
        call(module.setup, "fit")
        loading["train"] = loading_of(call(module.train_dataloader), name="train_dataloader")
        validation = call(module.val_dataloader) if is_overridden("val_dataloader", module) else None
        if validation is not None and not _is_empty(validation):
            loading["val"] = loading_of(validation, name="val_dataloader")
    if "test" in sides:
        call(module.setup, "test")
        loading["test"] = loading_of(call(module.test_dataloader), name="test_dataloader")
    columns: dict[str, list[npt.NDArray[np.str_]]] = {}
    describe = getattr(module, "columns", None)
    if describe is not None:
        for side in loading:
            for name, values in describe(side).items():
                columns.setdefault(name, []).append(np.array([str(value) for value in values], dtype=np.str_))
    return _data(cfg, loading, columns=columns, module=module)


def _of_function(
    function: Callable[..., Any],
    cfg: CustomDataConfig,
    *,
    num_clients: int,
    natural: bool,
    sides: Sequence[str],
) -> CustomData:
    """The rows of all clients, one after the other; the test rows are nobody's."""
    loading: dict[str, Loading] = {}
    owners: dict[str, list[str]] = {}
    if "train" in sides or "val" in sides:
        own = cfg.path is not None and "test" not in sides  # a site, which has its own data only
        if not own and not natural:
            raise ConfigError(
                f"data._target_={cfg.target} gives each client rows of its own, which another partition would "
                f"mix; set partition=natural partition.column={CLIENT}"
            )
        clients = [0] if own else range(num_clients)
        width = len(str(num_clients - 1))
        parts: dict[str, list[Any]] = {"train": [], "val": []}
        for client in clients:
            with seeded(cfg.split_seed):
                result = function(client, 1 if own else num_clients, **cfg.arguments)
            given = _given(result, needed="train")
            for side, datasets in parts.items():
                if given.get(side) is not None:
                    datasets.append(given[side])
                    owners.setdefault(side, []).extend([f"{client:0{width}d}"] * len(given[side]))
        for side, datasets in parts.items():
            if datasets:
                loading[side] = _loading(ConcatDataset(datasets), cfg, side=side)
    if "test" in sides:
        with seeded(cfg.split_seed):
            result = function(None, num_clients, **cfg.arguments)
        given = _given(result, needed="test")
        loading["test"] = _loading(given["test"], cfg, side="test")
        owners["test"] = [""] * len(given["test"])
    columns = {CLIENT: [np.array(owners[side], dtype=np.str_) for side in SIDES if side in owners]}
    return _data(cfg, loading, columns=columns)


def _given(result: Any, *, needed: str) -> Mapping[str, Any]:
    whom = "a partition_id" if needed == "train" else "partition_id=None"
    if not isinstance(result, Mapping) or result.get(needed) is None:
        got = sorted(result) if isinstance(result, Mapping) else type(result).__name__
        raise DataError(f"for {whom}, expected a mapping with the dataset {needed!r}, got {got}")
    for side, dataset in result.items():
        if side not in SIDES:
            raise DataError(f"expected the datasets train, val and test, got {sorted(result)}")
        if dataset is not None and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise DataError(f"{side} must be a dataset with a length and items, got {type(dataset).__name__}")
    return result


def _loading(dataset: Any, cfg: CustomDataConfig, *, side: str) -> Loading:
    training = side == "train"
    size = (cfg.batch_size or 32) if training else (cfg.eval_batch_size or 512)
    return Loading(dataset, size, shuffle=training)


def _data(
    cfg: CustomDataConfig,
    loading: Mapping[str, Loading],
    *,
    columns: Mapping[str, Sequence[npt.NDArray[np.str_]]],
    module: L.LightningDataModule | None = None,
) -> CustomData:
    sides = [side for side in SIDES if side in loading]
    if empty := [side for side in sides if side != "val" and not len(loading[side].dataset)]:
        raise DataError(f"there are no rows to {empty[0]}")
    splits = np.repeat(np.array(sides, dtype=np.str_), [len(loading[side].dataset) for side in sides])
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    for name, values in joined.items():
        if len(values) != len(splits):
            raise DataError(f"columns(stage) gives {len(values)} values of {name!r} for {len(splits)} rows")
    groups = _groups(joined, cfg.groups, splits=splits)
    return CustomData(
        schema=Schema(),
        targets=np.zeros((len(splits), 0)),
        splits=splits,
        strata=_strata(joined, cfg.strata),
        groups=groups,
        columns=joined,
        loading={side: loading[side] for side in sides},
        module=module or L.LightningDataModule(),
        origin=cfg.target or "",
        layout="split as the code gives it",
    )


def _strata(columns: Mapping[str, npt.NDArray[np.str_]], name: str | None) -> Strata | None:
    if name is None:
        return None
    names, numbers = np.unique(_column(columns, name, setting="strata"), return_inverse=True)
    return Strata(numbers.reshape(-1).astype(np.int64), tuple(names.tolist()), noun=name, on_every_side=False)


def _groups(
    columns: Mapping[str, npt.NDArray[np.str_]], name: str | None, *, splits: npt.NDArray[np.str_]
) -> Groups | None:
    if name is None:
        return None
    names, numbers = np.unique(_column(columns, name, setting="groups"), return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.int64)
    tested = np.unique(numbers[splits == "test"])
    if both := [str(names[number]) for number in np.intersect1d(tested, numbers[splits != "test"])]:
        raise DataError(
            f"{len(both)} values of {name!r} are both among the test rows and among the others: "
            f"{', '.join(both[:5])}; split your data so that each is on one side"
        )
    return Groups(numbers, tuple(names.tolist()), noun=name)


def _column(columns: Mapping[str, npt.NDArray[np.str_]], name: str, *, setting: str) -> npt.NDArray[np.str_]:
    if name not in columns:
        there = (
            ", ".join(sorted(columns)) or "no columns; give your LightningDataModule a method columns(stage)"
        )
        raise DataError(f"data.{setting}={name}: expected one of its columns, got {there}")
    return columns[name]


def _is_empty(loader: Any) -> bool:
    return isinstance(loader, list | tuple) and not loader


@contextmanager
def _named(target: str) -> Iterator[None]:
    """Say whose code it was that raised an error."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{target}: {error}") from None
    except ConfigError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise DataError(f"{target} cannot give its data: {type(error).__name__}: {error}") from error
