"""What one site tells another through the server, sealed: shares of two secrets, and the seed of their common mask.

Each site makes a key pair for each peer (HPKE with ML-KEM-768 and X25519 together, `troth.store.wrapping`), used for
one parcel. So a recipient whose parcel is bad proves it by showing that one key: anybody opens the parcel and sees, and
nothing else is opened by it. A parcel holds::

    share of the dealer's self secret (64)  share of its backup secret (64)
    material of the pair's seed (32)        only from the later site of the roster to the earlier

A site's *backup box* holds the seeds of all its pairs under a key from its backup secret, so that the seeds of a site
that has gone can be had from shares of one number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from troth.core.errors import BadInput, Undecidable
from troth.learn.masking import masks, vss
from troth.learn.masking.port import Session
from troth.store.wrapping import PUBLIC_LENGTH, RecipientKey, RecipientPublic, unwrap, wrap

SHARE = 2 * vss.SCALAR
_NONCE = bytes(12)  # a box's key is used once
_PROBE = b"\0"


def usable(public: bytes) -> bool:
    """Whether something can be sealed to this key."""
    try:
        wrap(_PROBE, RecipientPublic(public), b"probe")
    except BadInput:
        return False
    return len(public) == PUBLIC_LENGTH


def _info(session: Session, keys_view: bytes, dealer: int, recipient: int) -> bytes:
    return session.id + keys_view + bytes([dealer, recipient])


def pair_seed(material: bytes, session: Session, keys_view: bytes, one: int, other: int) -> bytes:
    """The seed of the mask that two sites share."""
    return masks.seed(material, session, "pair", keys_view, min(one, other), max(one, other))


def tag(session: Session, one: int, other: int, seed: bytes) -> bytes:
    """What a dealer signs of a pair's seed, so that whoever is shown a seed knows whether it is the one."""
    return hashlib.sha256(b"troth/masking/tag/1\n" + session.id + bytes([min(one, other), max(one, other)]) + seed
                          ).digest()


def seal(session: Session, keys_view: bytes, dealer: int, recipient: int, public: bytes,
         contents: tuple[vss.Share, vss.Share, bytes]) -> bytes:
    """A parcel; of no bytes where nothing can be sealed to the recipient's key, which is its own fault."""
    self_share, backup_share, material = contents
    try:
        return wrap(self_share.to_bytes() + backup_share.to_bytes() + material, RecipientPublic(public),
                    _info(session, keys_view, dealer, recipient))
    except BadInput:
        return b""


def open_parcel(session: Session, keys_view: bytes, dealer: int, recipient: int, parcel: bytes,
                key: bytes) -> tuple[vss.Share, vss.Share, bytes] | None:
    """(share of the self secret, share of the backup secret, material), or None for what is no parcel."""
    try:
        found = unwrap(parcel, RecipientKey(key), _info(session, keys_view, dealer, recipient))
    except (BadInput, Undecidable):
        return None
    size = 2 * SHARE + (masks.SEED if dealer > recipient else 0)
    if len(found) != size:
        return None
    return (vss.Share.from_bytes(found[:SHARE]), vss.Share.from_bytes(found[SHARE:2 * SHARE]), found[2 * SHARE:])


def box_key(backup: int, session: Session, keys_view: bytes, owner: int) -> bytes:
    """The key of a site's backup box."""
    return masks.seed(backup.to_bytes(vss.SCALAR, "big"), session, "box", keys_view, owner)


def seal_box(key: bytes, session: Session, seeds: Mapping[int, bytes]) -> bytes:
    """A backup box: one seed a place of the roster, zeros where there is none."""
    plain = b"".join(seeds.get(index, bytes(masks.SEED)) for index in range(len(session.sites)))
    return AESGCM(key).encrypt(_NONCE, plain, session.id)


def open_box(key: bytes, session: Session, box: bytes) -> tuple[bytes, ...] | None:
    """The seeds by place, or None for a box that its key does not open."""
    try:
        plain = AESGCM(key).decrypt(_NONCE, box, session.id)
    except (InvalidTag, ValueError):
        return None
    if len(plain) != masks.SEED * len(session.sites):
        return None
    return tuple(plain[at:at + masks.SEED] for at in range(0, len(plain), masks.SEED))
