"""What the tests of real deployments share: digits as three sites hold them, and a testbed in namespaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from federated.deploy.demo.network_namespaces import NetworkNamespaces
from federated.deploy.demo.shares import write_share
from federated.deploy.demo.testbed import SERVER, Testbed
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.partition.partition import partition
from tests.images import load_images

SITES = ("north", "south", "east")
CLASSES = [str(number) for number in range(10)]
SHARES = ["partition=dirichlet", "partition.alpha=1.0", "federation.num_clients=3"]
TRAINING = ["data.image_size=8", "data.batch_size=16", "federation.local_epochs=1", "trainer.accelerator=cpu"]
OWN_ROWS = ["data=folder", f"data.classes=[{','.join(repr(name) for name in CLASSES)}]"]


def pooled(*overrides: str) -> Config:
    """The settings of the simulation in which the same rows are shares of one data set."""
    return compose([*SHARES, *TRAINING, *overrides])


def write_sites(folder: Path, *, cache: Path) -> dict[str, Path]:
    """The digits as three sites and a server hold them; one of the sites keeps them in a ZIP."""
    cfg = pooled()
    data = load_images(cfg.data, cache_dir=cache)
    parts = partition(data, cfg=cfg.shares, num_partitions=len(SITES))
    paths = {name: folder / (f"{name}.zip" if name == "south" else name) for name in SITES}
    for name, rows in zip(SITES, parts, strict=True):
        write_share(data, rows=rows, path=paths[name], site=name)
    return {**paths, SERVER: write_share(data, rows=data.indices("test"), path=folder / SERVER, site=SERVER)}


@contextmanager
def open_bed(
    folder: Path, *, data: dict[str, Path], sites: tuple[str, ...] = SITES, extra_hosts: tuple[str, ...] = ()
) -> Iterator[Testbed]:
    """A deployment whose processes are all ended with the block; says it where there are no namespaces."""
    with NetworkNamespaces([SERVER, *sites, *extra_hosts]) as hosts:
        if not hosts.isolated:
            print("network namespaces are not permitted here: all machines are on loopback")
        places = {name: data.get(name, data[sites[0]]) for name in (*sites, *extra_hosts)}
        yield Testbed(hosts, folder=folder, data=places, home=folder / "home")


def wait_for(what: str, condition: Callable[[], bool], *, timeout: float, every: float = 0.3) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(every)
