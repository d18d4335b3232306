"""`Settings` of the web server: address, access token, allowed hosts, database and intervals."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from service.dataset_limits import DatasetLimits
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home

MAKE_TOKEN = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f]*(:[0-9a-f.]*){2,}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of `create_app`; nothing is read from the environment.

    Attributes
    ----------
    database_url : str
        The tracking database.
    home : Home
        Folder of predictions, exports and reports.
    host : str
        Address to listen on; a loopback address is reachable from this machine only.
    port : int
        0: any free port.
    token : str, optional
        Required from every client; mandatory unless the address is loopback.
    train_token : str, optional
        Lets whoever has it submit and change jobs, as an API token of the scope ``train`` does.
    data_folders : tuple of Path
        Where the data of submitted jobs may lie.
    dataset_limits : DatasetLimits
        Of datasets that are uploaded.
    worker : bool
        Whether the server also runs jobs, one at a time.
    sweep_workers : int
        How many trials of a sweep that worker trains at once; 0: as many as the machine allows.
    most_trials : int
        How many trials a sweep may have that is asked for over HTTP.
    mlflow : str, optional
        Address of an MLflow server that all runs are sent to.
    allowed_hosts : tuple of str
        Names and addresses under which the page may be opened, in addition to loopback and ``host``.
    allowed_webhooks : tuple of str
        Names, addresses and networks that webhooks may reach besides public addresses by https.
    rate : float
        Requests a second of one caller, for long; 0: no limit.
    poll_s : float, seconds
        How often the database is polled for changes.
    heartbeat_s : float, seconds
        Longest time without a frame on a stream.
    orphans_s : float, seconds
        How often to check for runs whose process is gone.

    Raises
    ------
    ConfigError
        No token for an address that others can reach, or a value is out of range.
    """

    database_url: str
    home: Home
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    train_token: str | None = None
    data_folders: tuple[Path, ...] = ()
    dataset_limits: DatasetLimits = field(default_factory=DatasetLimits)
    worker: bool = False
    sweep_workers: int = 0
    most_trials: int = 200
    mlflow: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_webhooks: tuple[str, ...] = ()
    rate: float = 100.0
    poll_s: float = 0.1
    heartbeat_s: float = 5.0
    orphans_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"the port must be from 0 to 65535, got {self.port}")
        if not 0 <= self.rate < float("inf"):
            raise ConfigError(f"the rate must be 0 or more requests a second, got {self.rate}")
        if self.sweep_workers and not self.worker:
            raise ConfigError("--sweep-workers is of the worker that --worker starts, and there is none")
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(plain_host(name)):
                raise ConfigError(
                    f"an allowed host must be a name or an address without scheme and port, got {name!r}"
                )
        if Path() in self.data_folders:  # of a variable that is not set
            raise ConfigError("--data: expected the path of a folder; for the current one write $PWD")
        for folder in self.data_folders:
            if not folder.is_dir():
                raise ConfigError(f"the data of jobs may lie in folders (--data), and {folder} is none")
        for token in (self.token, self.train_token):
            if token is None or _TOKEN.fullmatch(token):
                continue
            raise ConfigError(
                f"the token must be 16 or more letters, digits, '-', '.', '_' or '~'; to make one: {MAKE_TOKEN}"
            )
        if self.token is not None and self.token == self.train_token:
            raise ConfigError(
                "the token of viewers and that of training must differ: whoever gets the page's address has "
                "the first, and must not be able to train"
            )
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"listening on {self.host or 'all addresses'} lets other machines read every run: set a token "
                f"(--token TOKEN or the variable FEDTWIN_TOKEN; to make one: {MAKE_TOKEN}), "
                "or listen on this machine only with --host 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether a host always means this machine.

    Parameters
    ----------
    host : str
        A name or an address, without a port.

    Returns
    -------
    bool
        False for names other than ``localhost``: they may resolve to anything.
    """
    plain = plain_host(host)
    try:
        return plain == "localhost" or ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


def plain_host(host: str) -> str:
    """Normalize a host for comparison.

    Parameters
    ----------
    host : str
        A name or an address; IPv6 with or without brackets.

    Returns
    -------
    str
        Lower case, without brackets and final dot, IPv6 in its short form, IPv4 within IPv6 as IPv4.
    """
    plain = host.strip("[]").lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return plain
    return str(getattr(address, "ipv4_mapped", None) or address)
