"""`Source`, where images and labels come from, and `open_source`, which finds the configured one."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Protocol

from shared.config.data import ImageDataConfig
from shared.data.pixels.files import Content, FolderTree, OneFile, ZipTree, existing_path
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import ReadLimits
from shared.data.sources.arrays import DigitsSource, NpzSource, Package
from shared.data.sources.class_folders import ClassFoldersSource
from shared.data.sources.idx import open_idx
from shared.data.sources.layout import advise
from shared.data.sources.medmnist import class_names, download
from shared.data.sources.metadata_csv import IMAGES, NAME, MetadataSource
from shared.data.sources.rsna_table import find_table
from shared.data.sources.table import Naming, Table, metadata_error
from shared.runtime.errors import DataError

LAYOUTS = {  # what a source reads, in words
    "digits": "handwritten digits of a package",
    "zip": "a ZIP with metadata.csv and images/",
    "folder": "a folder with metadata.csv and images/",
    "classes": "one folder of images a class",
    "npz": "arrays in MedMNIST's layout",
    "idx": "files in MNIST's layout",
    "medmnist": "arrays in MedMNIST's layout",
}


class Source(Protocol):
    """One data set: its identity, its rows, its pixels."""

    @property
    def naming(self) -> Naming:
        """How labels, columns and the source itself are called."""
        ...

    @property
    def content(self) -> Content:
        """What is read."""
        ...

    def table(self) -> Table:
        """The rows, without a look at the pixels.

        Raises
        ------
        DataError
        """
        ...

    def write(
        self, table: Table, *, out: Path, rules: PixelRules, workers: int | None, progress: bool
    ) -> dict[int, str]:
        """Write the pixels of all rows into a ``.npy`` file [N, C, H, W] that exists; say which rows failed.

        What is known of each goes into the file of `shared.data.pixels.facts` beside it.
        """
        ...


def open_source(cfg: ImageDataConfig, *, cache_dir: Path, progress: bool = False) -> Source:
    """Find the configured source.

    Parameters
    ----------
    cache_dir : Path
        Takes what is downloaded.
    progress : bool
        Draw a bar on stderr while downloading.

    Raises
    ------
    DataError
        Its file or folder is not there, or cannot be downloaded; or columns are named of a source without any.
    """
    if cfg.source not in ("zip", "folder"):
        _check_no_columns(cfg)
    if cfg.source == "digits":
        if cfg.path:
            raise DataError(f"data.path={cfg.path} has no effect with data=digits; set data=auto to read it")
        return DigitsSource(Package("scikit-learn"), Naming("scikit-learn's digits", numbered=True))
    if cfg.source == "medmnist" and not cfg.path:
        assert cfg.dataset
        names = class_names(cfg.dataset)
        folder = cache_dir / "medmnist"
        path = download(cfg.dataset, folder=folder, image_size=cfg.image_size, progress=progress)
        return NpzSource(OneFile(path), Naming(str(path), numbered=True, classes=names), cfg)
    assert cfg.path
    path, limits = _existing_path(cfg), ReadLimits.of(cfg)
    tree: FolderTree | ZipTree
    if cfg.source == "zip":
        return MetadataSource(ZipTree(path, limits), Naming(f"{NAME} of {path}", cfg.columns), limits)
    if cfg.source == "folder":
        if not (path / NAME).is_file():
            tree = FolderTree(path, limits=limits)
            if find_table(path, tree.files()):
                return MetadataSource(tree, Naming(str(path), cfg.columns), limits)
            raise metadata_error(str(path), [f"there is no {NAME}", *advise(path)])
        folder_tree = FolderTree(path, (NAME, IMAGES), limits)
        return MetadataSource(folder_tree, Naming(f"{NAME} of {path}", cfg.columns), limits)
    if cfg.source == "classes":
        tree = FolderTree(path, limits=limits) if path.is_dir() else ZipTree(path, limits)
        return ClassFoldersSource(tree, Naming(str(path)))
    if cfg.source == "idx":
        return open_idx(path, cfg)
    assert cfg.source in ("npz", "medmnist")
    names = None
    if cfg.source == "medmnist":  # the file's own name first, for data.dataset has a default
        names = class_names(path.stem.split("_")[0]) or class_names(cfg.dataset or "")
    return NpzSource(OneFile(path), Naming(str(path), numbered=True, classes=names), cfg)


def _existing_path(cfg: ImageDataConfig) -> Path:
    assert cfg.path
    try:
        packed = Path(cfg.path).expanduser()
        either = cfg.source == "classes" and packed.suffix.lower() != ".npz" and zipfile.is_zipfile(packed)
        return existing_path(cfg.path, folder=cfg.source in ("folder", "classes", "idx") and not either)
    except DataError as error:
        path = Path(cfg.path).expanduser().absolute()
        hint = advise(path) if path.exists() and os.access(path, os.R_OK) else []
        raise DataError("; ".join([str(error), *hint])) from None


def _check_no_columns(cfg: ImageDataConfig) -> None:
    named = [f"data.columns.{role}={name}" for role, name in cfg.columns if name not in (role, None)]
    if named:
        raise DataError(
            f"{', '.join(named)}: data={cfg.source} has no such columns, only data=zip and data=folder have "
            f"(of {NAME}); leave the setting out"
        )
