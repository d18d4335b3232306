"""`Authority`: the private certificate authority of one deployment, which signs its server's certificate."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.runtime.errors import DeployError

AUTHORITY_DAYS = 3650
# A site whose clock is a little behind would otherwise take a new certificate for one of the future.
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """A certificate authority.

    Attributes
    ----------
    key : EllipticCurvePrivateKey
        P-384.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str) -> Authority:
        """Make a new authority.

        Parameters
        ----------
        name : str
            Of the deployment.
        """
        key = ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fedtwin"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name[:50]} authority"),
            ]
        )
        certificate = (
            _builder(subject, issuer=subject, public_key=key.public_key(), days=AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA384())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, stored: Issued) -> Authority:
        """Read what `stored` wrote.

        Raises
        ------
        DeployError
            These are not an authority's, or do not belong together.
        """
        try:
            certificate = x509.load_pem_x509_certificate(stored.certificate)
            key = serialization.load_pem_private_key(stored.key, None)
        except (ValueError, TypeError) as error:
            raise DeployError(f"the authority's certificate or key cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise DeployError(
                "the authority's key is not the one of its certificate; restore both from a backup"
            )
        return cls(certificate, key)

    def stored(self) -> Issued:
        """What to keep of it."""
        return Issued(self.certificate.public_bytes(serialization.Encoding.PEM), _key_pem(self.key))

    def issue(self, addresses: Sequence[str], *, days: int) -> Issued:
        """Sign a new certificate, with a new key, for a server.

        Parameters
        ----------
        addresses : sequence of str
            Host names and IP addresses that it is good for; the first is also its common name.
        days : int
            How long; never longer than the authority itself.
        """
        key = ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, addresses[0][:64])])
        builder = _builder(
            subject,
            issuer=self.certificate.subject,
            public_key=key.public_key(),
            days=days,
            latest=self.certificate.not_valid_after_utc,
        )
        signed = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_name(text) for text in addresses]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA384())
        )
        return Issued(signed.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _builder(
    subject: x509.Name,
    *,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    days: int,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    until = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(min(until, latest) if latest else until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
