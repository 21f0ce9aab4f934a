"""Secrets at rest: one file, one identity, scrypt (RFC 7914) and AES-256-GCM.

The file is canonical JSON. Everything in it except ciphertext and checksum is the AEAD's associated data, so neither
parameters nor nonce can be changed unseen. The checksum (SHA-256 of the rest, no secret) only tells damage from a
wrong passphrase. Cost: ``n`` between 2**14 (RFC 7914's interactive minimum; 16 MiB) and 2**18 (256 MiB), default
2**15 with r = 8, p = 1; a file that asks for more is refused before any memory is spent on it.

Writing is atomic: a new file beside the old one, flushed, then renamed, mode 0600. A full disk leaves the old file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from troth.core.claims import from_base64
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable

MIN_COST = 2**14
DEFAULT_COST = 2**15
MAX_COST = 2**18
MAX_FILE = 16 * 1024 * 1024
_R, _P = 8, 1
_FORMAT = "troth-keystore-1"


def seal_secrets(secrets: bytes, passphrase: str, *, cost: int = DEFAULT_COST) -> bytes:
    """``secrets`` encrypted under ``passphrase``: the file's bytes. cost: scrypt's n.

    Raises Misuse for an empty passphrase or a cost outside ``MIN_COST`` to ``MAX_COST``.
    """
    if not _cost_ok(cost):
        raise Misuse("scrypt cost out of bounds", expected=f"a power of two from {MIN_COST} to {MAX_COST}",
                     actual=cost)
    nonce, salt = os.urandom(12), os.urandom(16)
    header = _header(cost, nonce, salt)
    # Imported here: OpenSSL's bindings are needed only once a keystore is opened.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, secrets, encode(header))
    body = header | {"ciphertext": base64.b64encode(sealed).decode()}
    return encode(body | {"checksum": sha256(encode(body)).hex()})


def open_secrets(data: bytes, passphrase: str) -> bytes:
    """The secrets in a keystore file's bytes.

    Raises BadInput for a damaged file or parameters out of bounds, Misuse for a wrong passphrase.
    """
    if len(data) > MAX_FILE:
        raise BadInput("keystore file too large", expected=f"at most {MAX_FILE} bytes", actual=len(data))
    header, sealed, cost, nonce, salt = _read(data)
    key = _key(passphrase, salt, cost)
    # Imported here for the same reason as above.
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(nonce, sealed, encode(header))
    except InvalidTag:
        raise Misuse("wrong passphrase for this keystore (or it was altered on purpose)",
                     do="Set TROTH_PASSPHRASE or type the passphrase it was created with.") from None


def save(path: Path, secrets: bytes, passphrase: str, *, cost: int = DEFAULT_COST, replace: bool = False) -> None:
    """Write ``secrets`` to ``path``, atomically, mode 0600.

    Raises Misuse if the file exists and ``replace`` is false (keys would be lost), OutsideFailed if the disk refuses;
    the old file is untouched then.
    """
    data = seal_secrets(secrets, passphrase, cost=cost)
    try:
        # mkstemp creates with mode 0600 and a name nobody else has.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise Misuse(f"{path} exists already", do="Choose another name; overwriting would lose its keys.") from None
    except OSError as error:
        raise OutsideFailed(f"could not write the keystore {path}", actual=error.strerror,
                            do="Nothing was changed. Free some space or check the permissions, then try again.",
                            ) from None


def load(path: Path, passphrase: str) -> bytes:
    """The secrets in the file at ``path``. Raises Undecidable if there is none, else as ``open_secrets``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise Undecidable("no keystore here", expected=path, do="Create an identity first: troth id new.") from None
    except OSError as error:
        raise OutsideFailed(f"could not read the keystore {path}", actual=error.strerror) from None
    return open_secrets(data, passphrase)


def cost_of(path: Path) -> int:
    """At what cost the file at ``path`` is written, so that the next one is too. Raises BadInput, OutsideFailed."""
    try:
        return _read(path.read_bytes())[2]
    except OSError as error:
        raise OutsideFailed(f"could not read the keystore {path}", actual=error.strerror) from None


def _header(cost: int, nonce: bytes, salt: bytes) -> dict[str, Any]:
    return {"cipher": {"name": "aes-256-gcm", "nonce": nonce.hex()}, "format": _FORMAT,
            "kdf": {"n": cost, "name": "scrypt", "p": _P, "r": _R, "salt": salt.hex()}}


def _read(data: bytes) -> tuple[dict[str, Any], bytes, int, bytes, bytes]:
    """Header, ciphertext, cost, nonce, salt; everything checked but the tag. Raises BadInput."""
    try:
        fields = decode_object(data)
        checksum = from_hex(fields.pop("checksum", None), 32)
        if sha256(encode(fields)) != checksum:
            raise BadInput("the checksum is another", expected=checksum.hex(), actual=sha256(encode(fields)).hex())
        cipher, ciphertext, _, kdf = take(fields, cipher=dict, ciphertext=str, format=str, kdf=dict)
        cost = kdf.get("n")
        if not _cost_ok(cost):
            raise BadInput("scrypt cost out of bounds", expected=f"a power of two from {MIN_COST} to {MAX_COST}",
                           actual=cost)
        nonce, salt = from_hex(cipher.get("nonce"), 12), from_hex(kdf.get("salt"), 16)
        header = _header(cost, nonce, salt)
        if fields != header | {"ciphertext": ciphertext}:
            raise BadInput("an unknown kind of keystore", expected=_FORMAT, actual=fields["format"])
        return header, from_base64(ciphertext), cost, nonce, salt
    except BadInput as error:
        raise BadInput(f"damaged or foreign keystore file: {error.message}", expected=error.expected,
                       actual=error.actual, do="Restore the file from a backup.") from None


def _cost_ok(cost: object) -> bool:
    return type(cost) is int and MIN_COST <= cost <= MAX_COST and cost & (cost - 1) == 0


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    """The AEAD key. The passphrase is normalised (NFKC): the same letters typed on another keyboard still fit."""
    try:
        secret = unicodedata.normalize("NFKC", passphrase).encode()
    except UnicodeEncodeError:
        raise Misuse("the passphrase is not well-formed text", do="Use a passphrase in UTF-8.") from None
    if not secret:
        raise Misuse("an empty passphrase protects nothing", do="Set TROTH_PASSPHRASE or type one.")
    return hashlib.scrypt(secret, salt=salt, n=cost, r=_R, p=_P, maxmem=2 * 128 * _R * cost + 2**20, dklen=32)


def _sync_directory(directory: Path) -> None:
    """Make the new name itself survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
