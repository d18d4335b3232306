"""The data of a site that has its own: the run's settings, with the site's path and what kind of file it is."""

from __future__ import annotations

from pathlib import Path

from federated.kit.site_file import SITE_FILE, read_site
from shared.config.config import Config
from shared.config.data import ImageDataConfig
from shared.config.table_data import TableDataConfig
from shared.data.sources.layout import recognise
from shared.data.sources.table import PLAIN_COLUMNS
from shared.runtime.errors import DataError


def own_data(cfg: Config, *, path: str) -> Config:
    """A run's settings for one site: its path, and the source that fits it.

    The server may keep its test images in a folder and a site its own in a ZIP: what lies there says what each
    is.

    Parameters
    ----------
    path : str
        Of the site's data; of its ``site.yaml`` where that names a database.
    """
    if isinstance(cfg.data, TableDataConfig):
        return _own_table(cfg, Path(path))
    if not isinstance(cfg.data, ImageDataConfig):
        return cfg.replace("data", path=path)  # what it is, its own code knows
    found = source_of(Path(path).expanduser())
    # MedMNIST's own setting stays for an .npz: it knows the names of the classes.
    keep = found is None or (found == "npz" and cfg.data.source == "medmnist")
    source = cfg.data.source if keep else found
    columns = cfg.data.columns if source in ("zip", "folder") else PLAIN_COLUMNS  # others have none to be named
    return cfg.replace("data", path=path, source=source, columns=columns.model_dump())


def _own_table(cfg: Config, path: Path) -> Config:
    # Nothing that a run says of a database holds at a site: which one is asked, and what, the site decides.
    nothing = dict.fromkeys(("path", "url", "query", "table", "digest"))
    if path.name != SITE_FILE:
        return cfg.replace("data", **{**nothing, "source": "table", "path": str(path), "key": ()})
    database = read_site(path).database
    if database is None:
        raise DataError(f"{path}: neither data_path nor database is set; write where this site's rows are")
    return cfg.replace("data", **{**nothing, "source": "sql", **database.model_dump()})


def source_of(path: Path) -> str | None:
    """What kind of data lies at a path.

    Returns
    -------
    str or None
        A value of ``data.source``; None where nothing there tells, and the run's own setting holds.
    """
    if path.is_dir() and (path / "metadata.csv").is_file():
        return "folder"
    kind = {".zip": "zip", ".npz": "npz"}.get(path.suffix.lower())
    if not path.is_dir() and kind != "zip":
        return kind
    try:
        source, place = recognise(path)
    except (DataError, OSError):
        return kind  # reading it says what is wrong
    return source if place == path.absolute() else kind
