"""Delivery of a data key for a secret that is to be shown in public: what a seller hands over before it is paid.

``E = HPKE(buyer's one-time key, AES-256-GCM under s (data key))``. Everybody may have E, and one day s, which a hash
lock shows: without the buyer's one-time key both say nothing. The buyer has its one-time key and E before it pays, and
nothing opens without s. The normative description is in ``docs/reference/selling.md``.

What it does not do: prove that the right data key is inside. The buyer, or whoever it hands its one-time key to,
compares the key with the key commitment of the sealed file (``sealing.check_key``) once s is known.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.store.sealing import KEY_LENGTH, TAG_LENGTH
from troth.store.wrapping import OVERHEAD, RecipientKey, RecipientPublic, unwrap, wrap

SECRET_LENGTH = 32
HANDED_LENGTH = OVERHEAD + KEY_LENGTH + TAG_LENGTH
"""Bytes of what is handed over."""

_KEY = b"troth/delivery/1/key"
_PLACE = b"troth/delivery/1\n"
_CONTENT = b"troth/delivery/1/content\n"


def hand_over(data_key: bytes, secret: bytes, public: RecipientPublic, order: bytes) -> bytes:
    """E. order: the 32 bytes that name what the buyer ordered; it opens for nothing else.

    secret: 32 random bytes that are used for this order alone: whoever knows the secret of two orders opens both.
    Raises Misuse for other lengths.
    """
    if len(data_key) != KEY_LENGTH or len(secret) != SECRET_LENGTH or len(order) != 32:
        raise Misuse("not what can be handed over", expected="a data key, a secret and an order of 32 bytes each",
                     actual=f"{len(data_key)}, {len(secret)} and {len(order)} bytes")
    # One message under one key: the nonce may be fixed. Which key it is, the hash lock says; that a second secret
    # could open the same bytes helps nobody, as only one has the lock's hash.
    return wrap(AESGCM(_stream(secret)).encrypt(bytes(12), data_key, order), public, _PLACE + order)


def fits(handed: bytes, key: RecipientKey, order: bytes) -> None:
    """Check, before the secret is known, that E is for this one-time key and this order.

    Raises BadInput for another length, Refuted where the key does not open it.
    """
    _inner(handed, key, order)


def take(handed: bytes, secret: bytes, key: RecipientKey, order: bytes) -> bytes:
    """The data key in E. Raises BadInput for another length, Refuted where one-time key or secret do not open it."""
    try:
        return AESGCM(_stream(secret)).decrypt(bytes(12), _inner(handed, key, order), order)
    except InvalidTag:
        raise Refuted("the secret that was shown does not open what was handed over",
                      expected="the data key, encrypted under the secret") from None


def content_of(data_key: bytes, data: bytes) -> bytes:
    """The commitment to what a sealed file holds: of its SHA-256, under its own data key.

    Whoever has the data key can check it; nobody else can test guesses with it.
    """
    return hmac.digest(data_key, _CONTENT + hashlib.sha256(data).digest(), "sha256")


def _inner(handed: bytes, key: RecipientKey, order: bytes) -> bytes:
    if len(handed) != HANDED_LENGTH:
        raise BadInput("not a data key that was handed over", expected=f"{HANDED_LENGTH} bytes", actual=len(handed))
    try:
        return unwrap(handed, key, _PLACE + order)
    except Undecidable:
        raise Refuted("what was handed over does not open with the one-time key of its order",
                      expected="a data key for that order", do="Do not pay for it.") from None


def _stream(secret: bytes) -> bytes:
    # The secret itself is shown in public, and its hash before: the key is neither.
    return hmac.digest(secret, _KEY, "sha256")
