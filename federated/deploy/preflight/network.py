"""Preflight of the way from a site to its server: connection, certificate, clock, access."""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from federated.kit.site_file import SiteFile
from shared.runtime.findings import Finding

TIMEOUT_S = 10.0
# Flower refuses a signature that is more than 5 s ahead of the server's clock, or more than 305 s old; the
# header has whole seconds.
AHEAD_S, BEHIND_S, DRIFT_S = 4.0, 300.0, 2.0
_SOON_DAYS = 30
_CONTROL, _FLEET = "/v1/control/list-nodes", "/v1/fleet/pull-messages"


def check_network(site: SiteFile, *, ca: Path) -> list[Finding]:
    """Connect as the SuperNode would.

    Parameters
    ----------
    ca : Path
        The authority's certificate.

    Returns
    -------
    list of Finding
        What could not be looked at because something before it failed is ``skipped``.
    """
    host, _, port = site.server.rpartition(":")
    host = host.strip("[]")
    try:
        plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
    except OSError as error:
        fix = (
            f"let this machine open connections to {host} port {port} (firewall, proxy, VPN), "
            f"and ask the operator whether the server runs"
        )
        reached = Finding("server", "failed", f"{site.server} cannot be reached: {error}", fix)
        return [reached, *_skipped("certificate", "clock", "way in")]
    reached = Finding("server", "ok", f"{site.server} can be reached")
    try:
        context = ssl.create_default_context(cafile=str(ca))
        with plain, context.wrap_socket(plain, server_hostname=host) as secure:
            encoded = secure.getpeercert(binary_form=True)
            assert encoded is not None
            trusted = days_left(
                "certificate",
                x509.load_der_x509_certificate(encoded),
                fix="the server's operator runs `fedtwin deploy renew` and starts the server again",
            )
    except (OSError, ssl.SSLError) as error:
        return [reached, _distrusted(site, error), *_skipped("clock", "way in")]
    try:
        fleet, date = _ask(host, int(port), _FLEET, context)
        control, _ = _ask(host, int(port), _CONTROL, context)
    except (OSError, http.client.HTTPException) as error:
        fix = "ask the server's operator: nginx or the SuperLink may be starting"
        return [reached, trusted, Finding("way in", "failed", f"no answer: {error}", fix), *_skipped("clock")]
    return [reached, trusted, _clock(date), _way_in(fleet, control)]


def days_left(what: str, certificate: x509.Certificate, *, fix: str) -> Finding:
    """How long a certificate is still good."""
    now, until = datetime.now(UTC), certificate.not_valid_after_utc
    days = (until - now).days
    if now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc
        return Finding(
            what, "failed", f"it is valid only from {begins:%Y-%m-%d %H:%M} UTC", "set this machine's clock"
        )
    if until <= now:
        return Finding(what, "failed", f"it expired on {until:%Y-%m-%d %H:%M} UTC", fix)
    found = f"valid until {until:%Y-%m-%d}, {days} days"
    return Finding(what, "warning", found, fix) if days < _SOON_DAYS else Finding(what, "ok", found)


def _ask(host: str, port: int, path: str, context: ssl.SSLContext) -> tuple[int, str | None]:
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        headers = {"content-type": "application/protobuf", "accept": "application/protobuf"}
        connection.request("POST", path, body=b"", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("date")
    finally:
        connection.close()


def _distrusted(site: SiteFile, error: Exception) -> Finding:
    text = getattr(error, "verify_message", "") or str(error)
    if "expired" in text:
        fix = "the server's operator runs `fedtwin deploy renew` and starts the server again"
    elif "not yet valid" in text:
        fix = "set this machine's clock"
    elif "mismatch" in text or "doesn't match" in text:
        host = site.server.rpartition(":")[0]
        fix = f"the certificate does not name {host}: the operator adds it to server.more_addresses"
    else:
        fix = (
            "this is not the server of this kit, or something between opens the connection (a TLS-inspecting "
            "proxy): ask for an exception for this address, and compare the kit's SHA-256 with the operator's"
        )
    return Finding("certificate", "failed", f"the server cannot be trusted: {text}", fix)


def _clock(date: str | None) -> Finding:
    there = email.utils.parsedate_to_datetime(date) if date else None
    if there is None:
        return Finding("clock", "warning", "the server did not tell its time", "compare the clocks by hand")
    offset = (datetime.now(UTC) - there).total_seconds() - 0.5  # the header cuts off up to a second
    found = f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the server's"
    fix = "let the machine set its clock from the network: timedatectl set-ntp true"
    if offset > AHEAD_S or offset < -BEHIND_S:
        return Finding("clock", "failed", f"{found}: its signatures would be refused", fix)
    return Finding("clock", "warning", found, fix) if abs(offset) > DRIFT_S else Finding("clock", "ok", found)


def _way_in(fleet: int, control: int) -> Finding:
    if control not in (403, 404):
        fix = "tell the server's operator at once: sites must reach nginx, never the SuperLink itself"
        found = f"the server shows its control interface to everybody (status {control})"
        return Finding("way in", "failed", found, fix)
    if fleet == 404:
        fix = "ask the server's operator whether nginx runs with the kit's nginx.conf"
        return Finding(
            "way in", "failed", "something answers, but it is not a fedtwin server (status 404)", fix
        )
    if fleet >= 500:
        fix = "ask the server's operator to look at the SuperLink; this site joins as soon as it is back"
        return Finding(
            "way in", "failed", f"the server is up, but its SuperLink does not answer (status {fleet})", fix
        )
    return Finding("way in", "ok", "the SuperLink answers, and shows sites only what is theirs")


def _skipped(*names: str) -> list[Finding]:
    return [Finding(name, "skipped", "not looked at, because of the above") for name in names]
