"""Certificate chains of model signatures: from a leaf for code signing up to a root that the caller names.

A few rules of RFC 5280 section 6, and a refusal of every critical extension that is not among them: signatures, the
period, issuers that are certificate authorities, path lengths, the leaf's key usages. No revocation lists are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from troth.core.errors import BadInput, Refuted
from troth.formats.foreign import ForeignKey

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def read_certificates(pem: bytes) -> list[Certificate]:
    """Certificates in PEM, in their order. Raises BadInput."""
    # Imported here: OpenSSL's bindings are needed by those who check signatures, not by `troth --help`.
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadInput("not certificates in PEM", actual=error) from None


def leaf_key(chain: Sequence[bytes], roots: Sequence[Certificate], now: int) -> ForeignKey:
    """The key of the first certificate (DER), after the chain was found to lead to a root at ``now`` (Unix seconds).

    Raises Refuted where it does not, BadInput for what is no certificate.
    """
    # Imported here for the same reason.
    from cryptography.x509 import load_der_x509_certificate

    try:
        found = [load_der_x509_certificate(one) for one in chain]
    except ValueError as error:
        raise BadInput("not a certificate", actual=error) from None
    trusted = {one.fingerprint(_sha256()) for one in roots}
    at = datetime.fromtimestamp(now, UTC)
    _check_leaf(found[0])
    for depth, one in enumerate(found):
        _check_period(one, at)
        _check_critical(one)
        if one.fingerprint(_sha256()) in trusted:
            return ForeignKey.checked(found[0].public_key())
        above = found[depth + 1:depth + 2] or [root for root in roots if root.subject == one.issuer]
        issuers = [issuer for issuer in above if _issued(one, issuer)]
        if not issuers:
            break
        # The leaf is not counted, nor is the issuer itself (RFC 5280 section 4.2.1.9).
        _check_authority(issuers[0], depth)
        if issuers[0].fingerprint(_sha256()) in trusted:
            _check_period(issuers[0], at)
            return ForeignKey.checked(found[0].public_key())
    raise Refuted("the certificate leads to no root that you named", actual=found[0].subject.rfc4514_string())


def _issued(one: Certificate, issuer: Certificate) -> bool:
    # Imported here for the same reason.
    from cryptography.exceptions import InvalidSignature

    try:
        one.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_period(one: Certificate, at: datetime) -> None:
    if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
        raise Refuted("a certificate that does not stand now", actual=at.isoformat(),
                      expected=f"{one.not_valid_before_utc.isoformat()} to {one.not_valid_after_utc.isoformat()}")


def _check_authority(one: Certificate, below: int) -> None:
    # Imported here for the same reason.
    from cryptography import x509

    basic, usage = _extension(one, x509.BasicConstraints), _extension(one, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise Refuted("issued by a certificate that may issue none", actual=one.subject.rfc4514_string())
    if basic.path_length is not None and basic.path_length < below:
        raise Refuted("a chain longer than its authority allows", expected=basic.path_length, actual=below)


def _check_leaf(one: Certificate) -> None:
    # Imported here for the same reason.
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage, extended = _extension(one, x509.KeyUsage), _extension(one, x509.ExtendedKeyUsage)
    if usage is None or not usage.digital_signature:
        raise Refuted("a certificate that is not for signatures", expected="key usage digitalSignature")
    if extended is None or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise Refuted("a certificate that is not for code signing", expected="extended key usage codeSigning")


def _check_critical(one: Certificate) -> None:
    # Imported here for the same reason.
    from cryptography import x509

    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    for extension in one.extensions:
        if extension.critical and not isinstance(extension.value, known):
            raise Refuted("a certificate with a critical extension that is not known here",
                          actual=extension.oid.dotted_string)


def _extension(one: Certificate, kind: Any) -> Any:
    # Imported here for the same reason.
    from cryptography.x509 import ExtensionNotFound

    try:
        return one.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None


def _sha256() -> Any:
    # Imported here for the same reason.
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()
