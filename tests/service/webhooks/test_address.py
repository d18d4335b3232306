"""Attacks with a webhook's address: each way to name what is not public, and what changes between two looks."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from service.webhooks import address as addressing
from service.webhooks.address import Allowed, BadAddress, is_public, parse_url, resolve
from service.webhooks.post import NotSent, post
from shared.runtime.errors import ConfigError
from tests.service.webhooks_kit import receiving, status

pytestmark = pytest.mark.attack

INSIDE = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0"),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "192.0.0.192"),
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fe80::1]", "[fc00::1]"),
    *(
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
    ),
    *("[::ffff:169.254.169.254]", "[2002:a9fe:a9fe::]", "[2001:db8::1]"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_that_is_not_public_is_refused_however_it_is_written(host):
    target = parse_url(f"https://{host}/x")
    for check in (Allowed().check_new, lambda one: resolve(one, Allowed())):
        with pytest.raises(BadAddress, match="expected https:// and a name or address that is public"):
            check(target)


@pytest.mark.parametrize("name", ["localhost", "metadata.example"])
def test_a_name_of_such_an_address_is_refused(name, monkeypatch):
    answer = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("93.184.215.14", "169.254.169.254")
    ]
    if name != "localhost":
        monkeypatch.setattr(addressing.socket, "getaddrinfo", lambda *_, **__: answer)
    with pytest.raises(BadAddress, match=name):
        resolve(parse_url(f"https://{name}/"), Allowed())


@pytest.mark.parametrize("name", ["a..b", f"{'a' * 64}.example", "."])
def test_what_can_be_no_name_is_refused(name):
    for check in (Allowed().check_new, lambda one: resolve(one, Allowed())):
        with pytest.raises(BadAddress):
            check(parse_url(f"https://{name}/"))


def test_a_name_that_does_not_resolve_is_told_like_a_private_one():
    texts = []
    for name in ("nowhere.invalid", "localhost"):
        with pytest.raises(BadAddress) as found:
            resolve(parse_url(f"https://{name}/"), Allowed())
        texts.append(str(found.value).replace(name, "NAME"))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "text", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_ones_are_not_refused(text):
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "x",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:70/",
            "https://",
            "https:///x",
        ),
        *("https://user:secret@a.example/", "https://a.example\\@127.0.0.1/", "https://a.example:0/"),
        *("https://a.example:99999/", "https://a b/", "https://a.example/\r\nX: y", "https://a.example/\u00e9"),
        *("https://[fe80::1%25eth0]/", "https://a.example:x/", "https://" + "a" * 1000, "https://a%2eb/"),
    ],
)
def test_what_is_no_url_of_a_receiver_is_refused(url):
    with pytest.raises(BadAddress):
        parse_url(url)


def test_what_is_allowed_is_that_alone():
    allowed = Allowed(["127.0.0.2", "10.1.0.0/16", "Hooks.internal", "::1"])
    for url in ("http://127.0.0.2/", "https://10.1.2.3/", "http://[::1]:8/", "http://hooks.internal/"):
        allowed.check_new(parse_url(url))
    for url in ("https://127.0.0.1/", "https://10.2.0.1/", "http://93.184.215.14/", "https://[::2]/"):
        with pytest.raises(BadAddress):
            allowed.check_new(parse_url(url))
    with pytest.raises(BadAddress):
        Allowed(["hooks.internal"]).check_new(parse_url("http://other.internal/"))
    for text in ("10.0.0.0/33", "http://a/", "a b"):
        with pytest.raises(ConfigError, match="--allow-webhook"):
            Allowed([text])


def test_a_name_is_resolved_once_and_connected_where_it_was_checked(monkeypatch):
    """An answer of the DNS that is another one at the second look leads nowhere."""
    with receiving("127.0.0.2") as outside, receiving("127.0.0.1", outside.port) as inside:
        asked = []

        def lookup(host, port, *_, **__):
            asked.append(host)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{2 if len(asked) == 1 else 1}", port))
            ]

        monkeypatch.setattr(addressing.socket, "getaddrinfo", lookup)
        target = parse_url(f"http://rebinding.example:{outside.port}/")
        addresses = resolve(target, Allowed(["127.0.0.2"]))
        assert post(target, addresses, b"{}", headers={}) == 204
        assert (asked, len(outside.got), len(inside.got)) == (["rebinding.example"], 1, 0)
        assert outside.got[0][0]["host"] == f"rebinding.example:{outside.port}"
        with pytest.raises(BadAddress):
            resolve(target, Allowed(["127.0.0.2"]))


def test_a_redirect_is_not_followed():
    with receiving() as inside, receiving() as outside:
        outside.answers.append(status(307, location=inside.url()))
        target = parse_url(outside.url())
        assert post(target, [ipaddress.ip_address("127.0.0.1")], b"{}", headers={}) == 307
        assert (len(outside.got), inside.got) == (1, [])


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        target = parse_url(receiver.url())
        assert post(target, [ipaddress.ip_address("127.0.0.1")], b"{}", headers={}) == 204
        assert (len(receiver.got), proxy.got) == (1, [])


def test_tls_needs_a_valid_certificate_of_the_name():
    with receiving() as receiver:
        target = parse_url(f"https://hooks.example:{receiver.port}/")
        with pytest.raises(NotSent, match="the connection failed"):
            post(target, [ipaddress.ip_address("127.0.0.1")], b"{}", headers={}, timeout_s=2)
        assert receiver.got == []
