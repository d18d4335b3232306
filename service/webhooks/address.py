"""`Allowed`: which addresses webhooks may reach; `parse_url`, `resolve`: from a URL to an address that may be.

A server that sends requests to addresses of other people's choice must not become their way into its own
network. So what is judged is the resolved address, and the connection goes to that very address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.runtime.errors import ConfigError

MOST_URL = 1000  # characters
_URL = re.compile(r"(?i:https?)://[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # of IETF protocols; Python takes some of it for public

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadAddress(ConfigError):
    """A webhook's address that this server does not send to."""


@dataclass(frozen=True)
class Target:
    """A URL of HTTP in parts.

    Attributes
    ----------
    host : str
        A name or an address, without brackets.
    path : str
        With the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Take a webhook's URL apart.

    Raises
    ------
    BadAddress
        It is no URL of HTTP, or has credentials.
    """
    expected = "expected the URL of a receiver, such as https://hooks.example/fedtwin"
    if len(url) > MOST_URL or not _URL.fullmatch(url):
        raise BadAddress(f"{expected}, in printable ASCII, of at most {MOST_URL} characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadAddress(expected) from None
    if "@" in parts.netloc:
        raise BadAddress("a webhook's URL has no credentials: receivers check its signature")
    if not _HOST.fullmatch(host) or port == 0:
        raise BadAddress(expected)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


class Allowed:
    """What webhooks may reach besides public addresses by https.

    Parameters
    ----------
    given : iterable of str
        Names, addresses and networks (``10.0.0.0/8``), which may be private, and reached without TLS.

    Raises
    ------
    ConfigError
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for text in given:
            try:
                self._networks.append(ipaddress.ip_network(text.strip("[]")))
            except ValueError:
                if "/" in text or not _HOST.fullmatch(text):
                    raise ConfigError(
                        "--allow-webhook: expected a name, an address, or a network such as 10.0.0.0/8, got "
                        f"{text[:100]!r}"
                    ) from None
                self._names.add(text.lower().removesuffix("."))

    def check_new(self, target: Target) -> None:
        """Reject what can be told to be wrong without asking the DNS; the rest is judged as it is sent.

        Raises
        ------
        BadAddress
        """
        try:
            # Also the odd ways to write an address that connecting would understand: 2130706433, 0x7f.1.
            found = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except UnicodeError:  # no name at all, such as a..b
            raise _bad(target) from None
        except OSError:
            if target.scheme == "http" and not self._networks and not self._is_named(target):
                raise _bad(target) from None
            return
        for one in found:
            self.check(target, ipaddress.ip_address(one[4][0]))

    def check(self, target: Target, address: Address) -> None:
        """Reject an address that a target resolved to.

        Raises
        ------
        BadAddress
        """
        plain = _plain(address)
        if self._is_named(target) or any(
            plain in one for one in self._networks if one.version == plain.version
        ):
            return
        if target.scheme != "https" or not is_public(address):
            raise _bad(target)

    def _is_named(self, target: Target) -> bool:
        return target.host.lower().removesuffix(".") in self._names


def resolve(target: Target, allowed: Allowed) -> list[Address]:
    """All addresses of a target, of which each may be reached.

    Raises
    ------
    BadAddress
        One may not, or there is none. Both are told alike: whoever makes webhooks learns nothing of names that
        only this server can resolve.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _bad(target) from None
    addresses = [ipaddress.ip_address(one[4][0]) for one in found]
    for address in addresses:
        allowed.check(target, address)
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet at large; also of an IPv4 address within an IPv6 one."""
    plain = _plain(address)
    if plain.is_multicast or plain.is_reserved or plain.is_unspecified or plain.is_loopback:
        return False
    if plain.version == 4 and plain in _PROTOCOLS:
        return False
    if plain.is_link_local or plain.is_private or getattr(plain, "is_site_local", False):
        return False
    return plain.is_global


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _bad(target: Target) -> BadAddress:
    return BadAddress(
        f"{target.host} is not sent to: expected https:// and a name or address that is public; what else "
        "webhooks may reach is the server's setting (fedtwin serve --allow-webhook)"
    )
