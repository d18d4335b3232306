"""`SiteFile`: a site's own ``site.yaml``: where its data is and what may leave; beside it `KitFacts`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from federated.kit.federation_file import DataPath, MayLeave, Port, Requirements, SiteName
from federated.kit.yaml_file import read_yaml
from shared.config.data import Names
from shared.config.section import Section
from shared.config.table_data import url_problem
from shared.runtime.errors import DeployError

SITE_FILE, FACTS_FILE, KEY_FILE, CA_FILE = "site.yaml", "kit.json", "node.key", "ca.crt"
PACKAGES = ("fedtwin", "flwr", "torch", "lightning")  # what must be alike on both sides


class SiteDatabase(Section):
    """Where a site's rows are if they are in a database, as ``data=sql`` names it."""

    url: str
    query: str | None = None
    table: str | None = None
    key: Names = ()

    @model_validator(mode="after")
    def _readable(self) -> SiteDatabase:
        if problem := url_problem(self.url):
            raise ValueError(f"database.url: {problem}")
        if bool(self.query) == bool(self.table):
            raise ValueError("database needs either a query or a table")
        return self


class SiteFile(Section):
    """What the person at the site may change; nothing in it is secret."""

    name: SiteName
    server: Annotated[str, Field(pattern=r"^[^\s\"'\\]+:[0-9]+$")]
    partition_id: Annotated[int, Field(ge=0)]
    node_port: Port
    data_path: DataPath | None
    database: SiteDatabase | None = None
    may_leave: MayLeave
    may_run: tuple[str, ...] = ()  # classes, modules or packages of this site's own that a run may name

    @model_validator(mode="after")
    def _one_place(self) -> SiteFile:
        if self.data_path is not None and self.database is not None:
            raise ValueError("data_path and database are both set; this site's rows are in one of them")
        return self

    def node_config(self, *, site_file: Path) -> str:
        """What Flower's SuperNode is told, and passes on to the ClientApp.

        Parameters
        ----------
        site_file : Path
            This file, which the ClientApp reads before anything leaves.

        Raises
        ------
        DeployError
            There is no data path yet, or the kit lies where Flower's settings cannot say it.
        """
        if self.data_path is None and self.database is None:
            raise DeployError(f"{site_file}: data_path is not set; write the absolute path of this site's data")
        if '"' in str(site_file):
            raise DeployError(f"the kit lies in {site_file.parent}: move it to a path without quotes")
        # All its rows are its own: it is one partition, and its number only has to differ from the others'.
        return (
            f"partition-id={self.partition_id} num-partitions={self.partition_id + 1} "
            f'site="{self.name}" data-path="{self.data_path or site_file}" site-file="{site_file}"'
        )


class KitFacts(Section):
    """What the server's side knows and the site does not change: ``kit.json``."""

    deployment: SiteName
    made: str
    versions: dict[str, str]
    requires: Requirements
    classes: tuple[str, ...] | None = None


def read_site(path: Path) -> SiteFile:
    """Read ``site.yaml``.

    Raises
    ------
    DeployError
    """
    return read_yaml(path, model=SiteFile)


def read_facts(path: Path) -> KitFacts:
    """Read ``kit.json``.

    Raises
    ------
    DeployError
    """
    try:
        return KitFacts.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}; unpack the kit anew") from None
    except (ValueError, ValidationError) as error:
        raise DeployError(f"{path} is damaged ({str(error).splitlines()[0]}); unpack the kit anew") from None


def installed_versions() -> dict[str, str]:
    """The versions of what must be alike on the server and at a site.

    Returns
    -------
    dict of str to str
        A package that is not installed is left out.
    """
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
