"""Signing files as this workspace's party: detached, or with a C2PA manifest inside; and honouring what others wish."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable, unreadable
from troth.core.verdicts import Report
from troth.identity import keystore
from troth.verify.content import (
    KIND,
    MAX_SIGNATURE,
    NOT_ALLOWED,
    SUFFIX,
    UNSTATED,
    Signed,
    digest_of,
    embedded_wish,
    one_signature,
    verify_detached,
)
from troth.verify.media import Certificate, sign_media, verify_media
from troth.verify.trust import Trust

if TYPE_CHECKING:
    from troth.app import Troth

ROLE = "signer"
YEARS = 10
MOST = 1 << 30


def sign_file(party: Troth, path: Path | str, *, note: str = "", training: str = UNSTATED) -> bytes:
    """A file's detached signature; its claim is in the party's log. Raises OutsideFailed for an unreadable file."""
    path = Path(path)
    return _parcel(party, _signed(path, note, training, ""))


def signature_of(path: Path | str) -> Path:
    """Where a file's detached signature lies by custom."""
    path = Path(path)
    return path.with_name(path.name + SUFFIX)


def verify_file(path: Path | str, signature: Path | str, believed: dict[str, bytes | None]) -> Report:
    """Check a file against its detached signature. Raises BadInput, OutsideFailed for unreadable ones."""
    path = Path(path)
    signature = Path(signature)
    try:
        with path.open("rb") as file, signature.open("rb") as other:
            return verify_detached(file, other.read(MAX_SIGNATURE + 1), believed)
    except OSError as error:
        raise unreadable(error.filename, error) from None


def believed(trust: Trust | None, dids: Iterable[str]) -> dict[str, bytes | None]:
    """Whose signature counts: those named, and a trust file's role ``signer`` with the documents it pins."""
    found: dict[str, bytes | None] = dict.fromkeys(dids)
    if trust is not None:
        found |= {did: None for did in trust.roles.get(ROLE, ())}
        found |= {did: digest for did, digest in trust.documents.items() if did in found}
    return found


def new_certificate(party: Troth, passphrase: str, *, cost: int = keystore.DEFAULT_COST) -> str:
    """Make this party's certificate for media: its chain (PEM). The anchor's own key signs it once and is forgotten.

    Raises Misuse if there is one already.
    """
    path = party.root / "media.json"
    if path.exists():
        raise Misuse("this workspace holds a certificate for media already", actual=path)
    chain, seed = _certificate(party.name)
    keystore.save(path, encode({"chain": chain, "seed": seed.hex()}), passphrase, cost=cost)
    return chain


def certificate(party: Troth, passphrase: str) -> Certificate:
    """This party's certificate for media. Raises Undecidable if there is none, Misuse for a wrong passphrase."""
    path = party.root / "media.json"
    if not path.exists():
        raise Undecidable("this workspace holds no certificate for media", do="Make one: troth media new.")
    # Imported here: OpenSSL's bindings are needed only once something is signed.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    chain, seed = take(decode_object(keystore.load(path, passphrase)), chain=str, seed=str)
    return Certificate(chain, Ed25519PrivateKey.from_private_bytes(from_hex(seed, 32)).sign)


def sign_into(party: Troth, passphrase: str, source: Path | str, target: Path | str, *, note: str = "",
              training: str = UNSTATED) -> None:
    """Write a media file with a manifest that carries this party's claim. Raises as ``verify.media.sign_media``."""
    source = Path(source)
    target = Path(target)
    own = certificate(party, passphrase)
    signed = _signed(source, note, training, own.anchor)
    sign_media(source, target, _parcel(party, signed), signed, own)


def verify_into(path: Path | str, whom: dict[str, bytes | None], anchor: str = "") -> Report:
    """Check a media file that carries a manifest."""
    path = Path(path)
    return verify_media(path, whom, anchor)


def forbids_training(path: Path | str) -> str | None:
    """Why a file must not be listed for training: who says so; None if nobody does.

    Looks at the file's detached signature beside it, and at a manifest inside. A wish is honoured without proof that
    its author may make it. Raises OutsideFailed for an unreadable file.
    """
    path = Path(path)
    try:
        if path.stat().st_size <= MOST and embedded_wish(path.read_bytes()):
            return "the manifest in it"
        beside = signature_of(path)
        if beside.is_file():
            signed = one_signature(beside.read_bytes())[2]
            return str(beside) if signed.training == NOT_ALLOWED else None
    except OSError as error:
        raise unreadable(path, error) from None
    except (BadInput, Refuted):
        return None  # what lies beside is no signature
    return None


def refuse_untrainable(paths: Iterable[Path | str]) -> None:
    """Raises Misuse for a file whose author says that it must not be trained on."""
    for path in paths:
        who = forbids_training(path)
        if who is not None:
            raise Misuse(f"{path} is not to be trained on", actual=f"says {who}",
                         do="Leave it out, or ask its author for other terms.")


def _signed(path: Path, note: str, training: str, anchor: str) -> Signed:
    try:
        with path.open("rb") as file:
            digest, size = digest_of(file)
    except OSError as error:
        raise unreadable(path, error) from None
    return Signed(path.name, digest, size, note, training, anchor)


def _parcel(party: Troth, signed: Signed) -> bytes:
    claim = party.attest(KIND, [signed.subject()], signed.body())
    return party.parcel([claim]).to_bytes()


def _certificate(name: str) -> tuple[str, bytes]:
    """(chain, seed): a leaf for C2PA (RFC 5280, key purpose emailProtection) under an anchor made for it alone."""
    # Imported here: X.509 takes time to load, and only this needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    anchor, leaf = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    shown = "".join(one for one in name if one.isprintable())[:60] or "troth"
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks differ
    above, below = (x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, shown),
                               x509.NameAttribute(NameOID.COMMON_NAME, common)]) for common in ("anchor", "media"))

    def usage(sign: bool) -> x509.KeyUsage:
        return x509.KeyUsage(digital_signature=sign, key_cert_sign=not sign, crl_sign=False, content_commitment=False,
                             key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                             decipher_only=False)

    def begun(subject: x509.Name, key: Ed25519PrivateKey) -> x509.CertificateBuilder:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(above).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(start)
                .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))

    top = (begun(above, anchor).add_extension(x509.BasicConstraints(True, 0), True)
           .add_extension(usage(False), True).sign(anchor, None))
    end = (begun(below, leaf).add_extension(x509.BasicConstraints(False, None), True)
           .add_extension(usage(True), True)
           .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
           .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(anchor.public_key()), False)
           .sign(anchor, None))
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in (end, top)).decode()
    return chain, leaf.private_bytes_raw()
