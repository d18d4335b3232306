"""`FederationFile`: a server and its sites, as ``federation.yaml`` describes them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from federated.kit.yaml_file import problems_of, read_yaml
from shared.config.section import Section
from shared.metrics.catalogue import BY_CLIENTS
from shared.runtime.errors import DeployError, bullet_list

Port = Annotated[int, Field(ge=1, le=65535)]
Supervisor = Literal["systemd", "script", "compose"]
Count = Literal["num_examples", "label_counts", "spans", "missing", "moments", "num_val", "statistics"]
COUNTS: tuple[Count, ...] = get_args(Count)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_METRIC = re.compile(r"[A-Za-z0-9_.@/-]{1,100}")
# Flower reads node settings with a pattern that knows no escapes.
_UNQUOTABLE = re.compile(r"[\"'\\\x00-\x1f]")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if len(text) <= 253 and all(map(_LABEL.fullmatch, text.split("."))):
            return text.lower()
    raise ValueError(f"expected a host name or an IP address without a port, got {text!r}")


def _site_name(text: str) -> str:
    if not _NAME.fullmatch(text) or ".." in text:
        raise ValueError(f"expected 1 to 63 letters, digits, '.', '_' and '-', got {text!r}")
    return text


def _metric(text: str) -> str:
    if not _METRIC.fullmatch(text):
        raise ValueError(f"expected a metric's name without its stage, such as loss, got {text!r}")
    return text


def _path(text: str) -> str:
    if not Path(text).is_absolute() or _UNQUOTABLE.search(text):
        raise ValueError(f"expected an absolute path without quotes and backslashes, got {text!r}")
    return text


Address = Annotated[str, AfterValidator(_address)]
SiteName = Annotated[str, AfterValidator(_site_name)]
DataPath = Annotated[str, AfterValidator(_path)]
MetricName = Annotated[str, AfterValidator(_metric)]


class ServerPlan(Section):
    """The server: ``port`` is open to the sites at ``listen``, ``superlink_port`` to its own machine."""

    address: Address
    port: Port = 9443
    superlink_port: Port = 9092
    more_addresses: tuple[Address, ...] = ()
    listen: Address = "0.0.0.0"

    @model_validator(mode="after")
    def _apart(self) -> ServerPlan:
        if self.port == self.superlink_port:
            raise ValueError(f"port and superlink_port must differ, both are {self.port}")
        return self


class MayLeave(Section):
    """What may leave a site beside the weights: the names of metrics, and counts; single rows or not."""

    metrics: tuple[MetricName, ...] = BY_CLIENTS
    counts: tuple[Count, ...] = COUNTS
    rows: bool = False  # training rows with which clusters start

    @model_validator(mode="after")
    def _weighted(self) -> MayLeave:
        if "num_examples" not in self.counts:
            raise ValueError(
                "may_leave.counts must hold num_examples: the server weighs a site's model by it; "
                "a site that keeps it back cannot take part"
            )
        return self


class SitePlan(Section):
    """One site; without ``data_path`` the person at the site writes it into the kit's ``site.yaml``."""

    name: SiteName
    data_path: DataPath | None = None
    node_port: Port = 9094


class Requirements(Section):
    """What `fedtwin deploy check` asks of a site's machine, in GB that are free."""

    disk_gb: Annotated[float, Field(ge=0)] = 5.0
    memory_gb: Annotated[float, Field(ge=0)] = 4.0


class FederationFile(Section):
    """The whole of ``federation.yaml``."""

    name: SiteName
    server: ServerPlan
    sites: Annotated[tuple[SitePlan, ...], Field(min_length=1)]
    supervisor: Supervisor = "systemd"
    may_leave: MayLeave = MayLeave()
    classes: tuple[str, ...] | None = None
    valid_days: Annotated[int, Field(ge=1, le=825)] = 365
    requires: Requirements = Requirements()

    @model_validator(mode="after")
    def _distinct(self) -> FederationFile:
        names = [site.name.lower() for site in self.sites]  # they are folders, on any file system
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sites must differ in their names, got twice (in any case): {', '.join(twice)}")
        return self


def read_federation_file(path: Path) -> FederationFile:
    """Read ``federation.yaml``.

    Raises
    ------
    DeployError
        Names everything that is wrong.
    """
    return read_yaml(path, model=FederationFile)


def host_port(host: str, port: int) -> str:
    """An address as Flower and browsers write it, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def new_site(name: str, *, data_path: str | None, node_port: int) -> SitePlan:
    """A site that is named on the command line.

    Raises
    ------
    DeployError
    """
    try:
        return SitePlan(name=name, data_path=data_path, node_port=node_port)
    except ValidationError as error:
        raise DeployError("the site cannot be added:\n" + bullet_list(problems_of(error))) from None
