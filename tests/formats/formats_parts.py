"""What several tests of this room use: a clock, a lineage, certificates of a local authority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from troth.app import Troth

PASSPHRASE = "correct horse"
Issued = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
START = datetime.fromtimestamp(1_780_000_000, UTC)


@dataclass
class FixedClock:
    """A clock that a test sets."""

    time: int = 1_790_000_000

    def now(self) -> int:
        return self.time


@dataclass(frozen=True)
class Lineage:
    """A sponsor's model with all that it rests on. ``params``: the model's bytes."""

    party: Troth
    model: bytes
    validation: bytes
    sealed: bytes
    params: bytes


def authority(name: str, *, length: int | None = None, issuer: Issued | None = None) -> Issued:
    """A certificate authority, its own issuer by default."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, issuer[0].subject if issuer else _name(name), key).add_extension(
        x509.BasicConstraints(True, length), True).add_extension(_usage(signs=False), True)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def issue(name: str, above: x509.Certificate, above_key: ec.EllipticCurvePrivateKey, *,
          purpose: str = "code") -> Issued:
    """A leaf. purpose: ``code``; ``tls``, ``ca``, ``critical`` or ``expired`` for one that signs no model."""
    key = ec.generate_private_key(ec.SECP256R1())
    use = ExtendedKeyUsageOID.SERVER_AUTH if purpose == "tls" else ExtendedKeyUsageOID.CODE_SIGNING
    days = 1 if purpose == "expired" else 3_650
    builder = _builder(name, above.subject, key, days).add_extension(_usage(signs=purpose != "ca"), True).add_extension(
        x509.ExtendedKeyUsage([use]), False)
    if purpose == "critical":
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)
    return builder.sign(above_key, hashes.SHA256()), key


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey,
             days: int = 3_650) -> x509.CertificateBuilder:
    return x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(
            START + timedelta(days=days))


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=signs, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=not signs, crl_sign=not signs,
                         encipher_only=False, decipher_only=False)
