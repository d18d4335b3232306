"""What the demo trains on: shares of a data set, written as sites would hold them, and kits for containers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from federated.deploy.demo.shares import write_share
from federated.deploy.demo.testbed import SERVER
from federated.kit.deployment import Deployment
from federated.kit.federation_file import FederationFile
from federated.kit.site_data import source_of
from shared.config.compose import compose
from shared.config.config import Config
from shared.config.overrides import assign
from shared.data.images.dataset import ImageData
from shared.data.partition.partition import partition
from shared.runtime.counts import count_of
from shared.runtime.errors import DeployError
from shared.runtime.home import Home, open_home
from shared.tasks.task import learner_of

SITES = ("north", "south", "east")
_PARTITION = ("partition=dirichlet", "partition.alpha=1.0", f"federation.num_clients={len(SITES)}")
_RUN = "run.json"

Say = Callable[[str], None]


def prepare(
    folder: Path, *, data: str | None, rounds: int, address: str, overrides: Sequence[str] = ()
) -> None:
    """Make data and kits for machines that others start, such as containers; a second time, nothing is done.

    Parameters
    ----------
    folder : Path
        Known by the same path to all of them.
    data : str or None
        A ZIP, a folder or an ``.npz``; None: the built-in digits.
    address : str
        Where the sites find the server.
    overrides : sequence of str
        Further settings of the run.

    Raises
    ------
    DeployError
    DataError
    """
    folder = folder.absolute()
    if (folder / _RUN).exists():
        return
    paths, shared = share_out(data_settings(data), folder=folder / "data", home=open_home(), say=print)
    sites = [{"name": name, "data_path": str(paths[name])} for name in SITES]
    values = {"name": "demo", "server": {"address": address}, "sites": sites, "supervisor": "compose"}
    requires = {"disk_gb": 0.5, "memory_gb": 1}
    Deployment.create(
        FederationFile.model_validate({**values, "requires": requires}), folder=folder / "deployment"
    )
    kit = [f"federation.kit={folder / 'deployment' / SERVER}", f"federation.num_clients={len(SITES)}"]
    run = [*kit, f"data.path={paths[SERVER]}", *shared, f"federation.num_rounds={rounds}", *overrides]
    (folder / _RUN).write_text(json.dumps(run))


def run_prepared(folder: Path) -> None:
    """Become the run of a prepared demo; it is begun beside the server's SuperLink.

    Raises
    ------
    DeployError
        Nothing is prepared.
    """
    try:
        overrides = json.loads((folder / _RUN).read_text())
    except OSError as error:
        raise DeployError(
            f"{folder / _RUN} cannot be read: {error.strerror}; "
            f"`fedtwin deploy demo --prepare {folder}` makes it"
        ) from None
    os.execv(
        sys.executable, [sys.executable, "-m", "fedtwin", "federated", "federation=deployment", *overrides]
    )


def data_settings(data: str | None) -> list[str]:
    """The settings for a data set on disk, or for the built-in digits.

    Returns
    -------
    list of str
        Overrides.

    Raises
    ------
    DeployError
    """
    if data is None:
        return ["data=digits", "data.batch_size=16"]
    path = Path(data).expanduser().absolute()
    source = source_of(path)
    if source is None:
        raise DeployError(f"DATA={data} is not a ZIP, an .npz, or a folder with metadata.csv (docs/data.md)")
    return [f"data={source}", assign("data.path", str(path))]


def share_out(
    settings: Sequence[str], *, folder: Path, home: Home, say: Say
) -> tuple[dict[str, Path], list[str]]:
    """Write each site's share of a data set, and the server's test rows, as data sets of their own.

    Parameters
    ----------
    settings : sequence of str
        Overrides that name the data set.

    Returns
    -------
    tuple of dict and list
        Paths by site (and the server), and the overrides with which a run reads them.
    """
    cfg = compose([*settings, *_PARTITION])
    data = learner_of(cfg).dataset(cache=home.cache)
    assert isinstance(data, ImageData)
    parts = partition(data, cfg=cfg.shares, num_partitions=len(SITES))
    paths = {}
    for name, rows in zip(SITES, parts, strict=True):
        suffix = ".zip" if name == SITES[0] else ""  # sites need not agree on that
        paths[name] = write_share(data, rows=rows, path=folder / f"{name}{suffix}", site=name)
        images = count_of(len(rows), "image")
        say(f"{name} holds {images} in {paths[name].name}: {_counted(data, rows.tolist())}")
    rows = data.indices("test")
    paths[SERVER] = write_share(data, rows=rows, path=folder / SERVER, site=SERVER)
    say(f"the server holds {len(rows)} test images, and none to train")
    return paths, shared_settings(cfg, data)


def shared_settings(cfg: Config, data: ImageData) -> list[str]:
    """The settings with which a run reads shares as it would read the whole.

    Parameters
    ----------
    cfg : Config
        Of the whole.

    Returns
    -------
    list of str
        Overrides.
    """
    names = ",".join("'" + name.replace("'", r"\'") + "'" for name in data.schema.classes)
    same = {name: getattr(cfg.images, name) for name in ("image_size", "channels", "batch_size", "standardize")}
    return [
        "data=folder",
        f"data.classes=[{names}]",
        *(f"data.{name}={value}" for name, value in same.items()),
    ]


def _counted(data: ImageData, rows: list[int]) -> str:
    labels = data.targets[rows].tolist()
    return ", ".join(f"{name}: {labels.count(number)}" for number, name in enumerate(data.schema.classes))
