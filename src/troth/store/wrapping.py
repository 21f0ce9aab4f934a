"""Wrapping: a data key encrypted to one recipient, by HPKE with ML-KEM-768 and X25519 together.

HPKE (RFC 9180) in base mode, suite MLKEM768-X25519 (X-Wing), HKDF-SHA256, AES-256-GCM. It holds while either
ML-KEM-768 or X25519 holds. It says nothing about who wrapped: sign the wrapped key's digest where that matters.
Sources: draft-ietf-hpke-pq, draft-connolly-cfrg-xwing-kem (key formats).

Keep wrapped keys in a store whose entries can be deleted, never on a chain or a public network: whoever holds the
wrapped key and, one day, the recipient's private key has the data.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from troth.core.errors import BadInput, Misuse, Undecidable

PUBLIC_LENGTH = 1216
"""Bytes of a public key: 1184 of ML-KEM-768, 32 of X25519."""

SEED_LENGTH = 32
OVERHEAD = 1136
"""Bytes a wrapped secret is longer than the secret: 1120 of encapsulation, 16 of tag."""

_MLKEM_PUBLIC = 1184
_INFO_LABEL = b"troth/wrapping/1\x00"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class RecipientPublic:
    """A recipient's public key, 1216 bytes."""

    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != PUBLIC_LENGTH:
            raise BadInput("not a recipient's public key", expected=f"{PUBLIC_LENGTH} bytes", actual=len(self.data))
        self._key()

    def _key(self) -> hpke.MLKEM768X25519PublicKey:
        try:
            return hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.data[:_MLKEM_PUBLIC]),
                X25519PublicKey.from_public_bytes(self.data[_MLKEM_PUBLIC:]),
            )
        except ValueError as error:
            raise BadInput("not a recipient's public key", expected="an ML-KEM-768 and an X25519 key",
                           actual=str(error)) from error


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """A recipient's private key: the 32-byte seed of X-Wing, from which both halves follow."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_LENGTH:
            raise BadInput("not a recipient's private key", expected=f"{SEED_LENGTH} bytes", actual=len(self.seed))

    @classmethod
    def generate(cls) -> RecipientKey:
        """A new key from the system's randomness."""
        return cls(secrets.token_bytes(SEED_LENGTH))

    def public(self) -> RecipientPublic:
        """The public half."""
        mlkem, x25519 = self._halves()
        return RecipientPublic(mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def _halves(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        expanded = hashlib.shake_256(self.seed).digest(96)
        return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def wrap(secret: bytes, public: RecipientPublic, info: bytes) -> bytes:
    """Encrypt ``secret`` (a data key) to ``public``.

    info: what the secret is for, needed again to unwrap; for a data key, the sealed file's ``cid.encode()``.
    Returns the secret's length + 1136 bytes. Raises Misuse for a secret or info of no bytes, BadInput for a public key
    that no secret can be agreed with.
    """
    if not secret or not info:
        raise Misuse("wrapping needs a secret and what it is for", actual=f"{len(secret)} and {len(info)} bytes")
    try:
        return _SUITE.encrypt(secret, public._key(), info=_INFO_LABEL + info)
    except ValueError as error:  # an X25519 point of small order
        raise BadInput("nothing can be wrapped to this public key", actual=str(error),
                       do="Ask the recipient for a new key.") from error


def unwrap(wrapped: bytes, key: RecipientKey, info: bytes) -> bytes:
    """The secret that ``wrapped`` holds.

    Raises BadInput for bytes too short to be a wrapped secret, Undecidable if this key does not open it: it was
    wrapped to another recipient, for another ``info``, or changed; HPKE cannot tell which.
    """
    if len(wrapped) <= OVERHEAD:
        raise BadInput("not a wrapped key", expected=f"more than {OVERHEAD} bytes", actual=len(wrapped))
    try:
        return _SUITE.decrypt(wrapped, hpke.MLKEM768X25519PrivateKey(*key._halves()), info=_INFO_LABEL + info)
    except InvalidTag:
        raise Undecidable("this key does not open it", expected="a secret wrapped to this key for this purpose",
                          actual="another recipient, another purpose, or changed bytes",
                          do="Use the recipient's workspace, or ask for the key to be wrapped to you.") from None
