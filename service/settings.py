"""`Settings` of the live page's server: where it listens, whom it lets in, and which database it shows."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from shared.runtime.errors import ConfigError
from shared.runtime.home import Home

MAKE_TOKEN = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f]*(:[0-9a-f.]*){2,}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `create_app` needs to know; nothing here is read from the environment.

    Attributes
    ----------
    database_url : str
        The tracking database.
    home : Home
        Where predictions, exports and reports lie.
    host : str
        The address to listen on; only this machine reaches a loopback address.
    port : int
        0: a free one.
    token : str, optional
        Whoever asks must know it; needed on every address that is not loopback.
    allowed_hosts : tuple of str
        Names and addresses, besides the loopback ones and ``host``, under which browsers may open the page.
    poll_s : float, seconds
        How often the database is asked whether there is something new.
    heartbeat_s : float, seconds
        The longest silence on a stream.
    orphans_s : float, seconds
        How often runs are looked for whose process is gone.

    Raises
    ------
    ConfigError
        The address would be open to others without a token, or a value is out of range.
    """

    database_url: str
    home: Home
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    poll_s: float = 0.1
    heartbeat_s: float = 5.0
    orphans_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"the port must be from 0 to 65535, got {self.port}")
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(plain_host(name)):
                raise ConfigError(
                    f"an allowed host is a name or an address without scheme and port, got {name!r}"
                )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ConfigError(
                f"the token must be 16 or more letters, digits, '-', '.', '_' or '~'; a good one: {MAKE_TOKEN}"
            )
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"on {self.host or 'all addresses'} other machines could read every run: give a token "
                f"(--token TOKEN, or the variable FEDTWIN_TOKEN; to make one: {MAKE_TOKEN}), "
                "or stay on this machine with --host 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine.

    Parameters
    ----------
    host : str
        A name or an address, without a port.

    Returns
    -------
    bool
        False for names other than ``localhost``: what they stand for can change.
    """
    plain = plain_host(host)
    try:
        return plain == "localhost" or ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


def plain_host(host: str) -> str:
    """A host in the one form in which hosts are compared.

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
