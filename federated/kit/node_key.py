"""A site's key pair, by which the SuperLink knows it: ECDSA on P-384 in OpenSSH's format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.runtime.errors import DeployError


@dataclass(frozen=True)
class KeyPair:
    """OpenSSH's files: the private one, and the public line with a name behind it."""

    private: bytes
    public: bytes


def new_key_pair(name: str) -> KeyPair:
    """Make a key pair.

    Parameters
    ----------
    name : str
        Of the site; stands as the comment behind the public key.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return KeyPair(private, _line(key.public_key()) + f" {name}\n".encode())


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a site's private key.

    Raises
    ------
    DeployError
    """
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except OSError as error:
        raise DeployError(f"the site's key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DeployError(f"{path} is not a private key in OpenSSH's format: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise DeployError(f"{path} must be an ECDSA key on P-384; ask the server's operator for a new kit")
    return key


def read_public_key(path: Path) -> bytes:
    """Read a site's public key.

    Returns
    -------
    bytes
        As Flower compares it: PEM.

    Raises
    ------
    DeployError
    """
    try:
        key = serialization.load_ssh_public_key(path.read_bytes())
    except OSError as error:
        raise DeployError(f"the site's public key {path} cannot be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DeployError(f"{path} is not a public key in OpenSSH's format: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise DeployError(f"{path} must be an ECDSA key; `ssh-keygen -t ecdsa -b 384` makes one")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _line(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
