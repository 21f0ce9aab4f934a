"""Sales: the key that is handed over fits the commitment in the sealed file's header, and only the buyer can read it.

Two forms. `KeyFit`, where the proof itself is paid for: the buyer draws a pad, keeps it, gives it to the seller, and
commits to it in the deal. The seller hands over ``handed``: the data key's two halves, each hidden under a hash of the
pad. The proof shows that what is under them is the key whose commitment stands in the header of the sealed file
(HKDF-SHA256 of salt and key, `store.sealing`), so the buyer, once it has paid, opens the file with it; whoever only
sees the deal learns nothing. `KeyUnderLock`, where a secret is paid for that hashes to the deal's lock: the halves are
hidden under a hash of that secret, and whoever has both opens the file. The secret is shown to everybody, so ``handed``
goes to the buyer alone.

Neither shows what is in the file, nor that its frames authenticate: a seller can seal rubbish under a key that fits.
Neither shows that the file is to be had, nor that the secret will be shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.field import R
from troth.compute.circuits.gadgets import bits
from troth.compute.circuits.poseidon import poseidon, poseidon_lin
from troth.compute.circuits.sha256 import START, Word, compress, constant_word, joined_words, words_of
from troth.compute.statements.statement import Instance, Statement, number_of
from troth.core.errors import BadInput, Misuse, Refuted
from troth.store import sealing

_PAD, _LOCKED = number_of("pad"), number_of("locked")
_HALF = 16
"""Bytes of a half of a key, and of a public that says half of 32 bytes."""
_BLOCK = 64


@dataclass(frozen=True)
class KeyFit(Statement):
    """publics: context, inner0, inner1, outer0, outer1 (what SHA-256 is in after the salt's two blocks, from the
    header), fits0, fits1 (the header's key commitment), pad (the commitment to the buyer's pad), handed0, handed1."""

    name: ClassVar[str] = "key-fit"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {name: (0, (1 << 128) - 1) for name in self.publics[:6]}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("inner0", "inner1", "outer0", "outer1", "fits0", "fits1", "pad", "handed0", "handed1")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """The key that the header commits to, each half under a hash of the pad that was committed to."""
        *header, pad_commitment, handed0, handed1 = publics
        halves, (pad,) = builder.private("key", 2), builder.private("pad secret", 1)
        _fits(builder, header, halves)
        with builder.group("pad"):
            builder.equal(poseidon_lin(builder, [Lin.of(_PAD), pad]), pad_commitment)
        with builder.group("handed"):
            for at, handed in enumerate((handed0, handed1)):
                builder.equal(halves[at] + poseidon_lin(builder, [Lin.of(_PAD), pad, Lin.of(at)]), handed)

    def instance(self, header: sealing.Header, key: bytes, pad: int) -> Instance:
        """Of a sealed file's header, its data key and the buyer's pad. Raises Refuted where the key does not fit."""
        _check_fit(header, key)
        halves = _halves(key)
        handed = {f"handed{at}": (half + poseidon([_PAD, pad, at])) % R for at, half in enumerate(halves)}
        return Instance({**header_publics(header), "pad": pad_of(pad), **handed}, {"key": halves, "pad secret": [pad]})


@dataclass(frozen=True)
class KeyUnderLock(Statement):
    """publics: context, the six of a sealed file's header as `KeyFit` has them, lock0, lock1 (SHA-256 of the secret
    that is paid for), handed0, handed1. 175,000 constraints."""

    name: ClassVar[str] = "key-under-lock"
    told: ClassVar[tuple[str, ...]] = ("handed0", "handed1")

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {name: (0, (1 << 128) - 1) for name in self.publics[:8]}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("inner0", "inner1", "outer0", "outer1", "fits0", "fits1", "lock0", "lock1", "handed0", "handed1")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """The key that the header commits to, each half under a hash of the secret, whose SHA-256 is the lock."""
        *header, lock0, lock1, handed0, handed1 = publics
        halves, secret = builder.private("key", 2), builder.private("secret", 2)
        _fits(builder, header, halves)
        with builder.group("secret"):
            words = [word for half in secret for word in _words(builder, half)]
        with builder.group("lock"):
            digest = compress(builder, [constant_word(value) for value in START], [*words, *_padding(32, 0)])
            for at, half in enumerate((lock0, lock1)):
                builder.equal(joined_words(digest[4 * at:4 * at + 4]), half)
        with builder.group("handed"):
            for at, handed in enumerate((handed0, handed1)):
                builder.equal(halves[at] + poseidon_lin(builder, [Lin.of(_LOCKED), *secret, Lin.of(at)]), handed)

    def instance(self, header: sealing.Header, key: bytes, secret: bytes) -> Instance:
        """Of a sealed file's header, its data key and the secret of 32 bytes. Raises Refuted where the key does not
        fit, Misuse for another length."""
        _check_fit(header, key)
        halves, masks = _halves(key), _masks(secret)
        handed = {f"handed{at}": (half + mask) % R for at, (half, mask) in enumerate(zip(halves, masks, strict=True))}
        return Instance({**header_publics(header), **lock_publics(hashlib.sha256(secret).digest()), **handed},
                        {"key": halves, "secret": _halves(secret)})


def lock_publics(lock: bytes) -> dict[str, int]:
    """The publics that a verifier reads from a deal's lock, the SHA-256 of its secret."""
    return {f"lock{at}": half for at, half in enumerate(_halves(lock))}


def unlocked(publics: Mapping[str, int], secret: bytes) -> bytes:
    """As the buyer, once the secret is shown: the data key. Raises Refuted where it is none, which no proof that holds
    leaves; BadInput for publics without one."""
    if not {"handed0", "handed1"} <= set(publics):
        raise BadInput("nothing was handed over here", expected="handed0, handed1", actual=", ".join(publics))
    halves = [(publics[f"handed{at}"] - mask) % R for at, mask in enumerate(_masks(secret))]
    return _joined(halves, "this secret does not open what was handed over")


def pad_of(pad: int) -> int:
    """The commitment to a buyer's pad, which is 32 random bytes modulo the prime, for one sale."""
    return poseidon([_PAD, pad])


def header_publics(header: sealing.Header) -> dict[str, int]:
    """The publics that a verifier reads from a sealed file's header."""
    if len(header.salt) != 32:
        raise Misuse("a salt of another length", expected=32, actual=len(header.salt))
    block = header.salt.ljust(_BLOCK, b"\0")
    found: dict[str, int] = {}
    for name, mask in (("inner", 0x36), ("outer", 0x5C)):
        state = after_block(bytes(byte ^ mask for byte in block))
        found |= {f"{name}{at}": int.from_bytes(state[_HALF * at:_HALF * (at + 1)], "big") for at in (0, 1)}
    commitment = header.key_commitment
    return found | {f"fits{at}": int.from_bytes(commitment[_HALF * at:_HALF * (at + 1)], "big") for at in (0, 1)}


def opened(publics: Mapping[str, int], pad: int) -> bytes:
    """As the buyer: the data key that was handed over. Raises Refuted where it is none, which no proof that holds
    leaves."""
    wrong = "this pad does not open what was handed over"
    if pad_of(pad) != publics["pad"]:
        raise Refuted(wrong)
    return _joined([(publics[f"handed{at}"] - poseidon([_PAD, pad, at])) % R for at in (0, 1)], wrong)


def after_block(block: bytes) -> bytes:
    """SHA-256's state after one block of 64 bytes, as 32 bytes. The circuit's own steps, run on constants."""
    words = compress(Builder(), [constant_word(value) for value in START], words_of(block))
    return b"".join(sum((bit.constant or 0) << place for place, bit in enumerate(word)).to_bytes(4, "big")
                    for word in words)


def _halves(data: bytes) -> list[int]:
    """32 bytes as two numbers below 2**128. Raises Misuse for another length."""
    if len(data) != 2 * _HALF:
        raise Misuse("of another length", expected=f"{2 * _HALF} bytes", actual=len(data))
    return [int.from_bytes(data[:_HALF], "big"), int.from_bytes(data[_HALF:], "big")]


def _joined(halves: Sequence[int], wrong: str) -> bytes:
    if any(half >> 8 * _HALF for half in halves):
        raise Refuted(wrong)
    return b"".join(half.to_bytes(_HALF, "big") for half in halves)


def _masks(secret: bytes) -> list[int]:
    """What hides the halves of a key under a lock's secret."""
    return [poseidon([_LOCKED, *_halves(secret), at]) for at in (0, 1)]


def _check_fit(header: sealing.Header, key: bytes) -> None:
    if sealing.key_commitment(key, header.salt) != header.key_commitment:
        raise Refuted("the key does not fit this file", do="Nothing was proven.")


def _fits(builder: Builder, header: Sequence[Lin], halves: Sequence[Lin]) -> None:
    """Prove that these are a key, and the one whose commitment the header's six publics say."""
    with builder.group("key"):
        key = [word for half in halves for word in _words(builder, half)]
    with builder.group("header"):
        inner, outer = ([word for half in pair for word in _words(builder, half)] for pair in (header[:2], header[2:4]))
    with builder.group("hash"):
        extracted = _hmac_after(builder, inner, outer, key)
        found = _hmac(builder, extracted, sealing.KEY_COMMITMENT_INFO)
    with builder.group("fits"):
        for at, half in enumerate(header[4:]):
            builder.equal(joined_words(found[4 * at:4 * at + 4]), half)


def _words(builder: Builder, half: Lin) -> list[Word]:
    """A number proven below 2**128 as four words, big endian."""
    found = bits(builder, half, 128)
    # The lowest bit is a combination of all others: one wire keeps what is made of it short.
    found[0] = builder.wire(found[0])
    return [found[at:at + 32] for at in (96, 64, 32, 0)]


def _padding(length: int, before: int = _BLOCK) -> list[Word]:
    """What follows a message of whole words after this many bytes before it, of whole blocks (FIPS 180-4, 5.1.1)."""
    return words_of(b"\x80" + bytes(_BLOCK - length - 9) + (8 * (before + length)).to_bytes(8, "big"))


def _hmac_after(builder: Builder, inner: list[Word], outer: list[Word], message: list[Word]) -> list[Word]:
    """HMAC-SHA256 of 8 words, from the states after the key's blocks (RFC 2104)."""
    return compress(builder, outer, [*compress(builder, inner, [*message, *_padding(32)]), *_padding(32)])


def _hmac(builder: Builder, key: list[Word], message: bytes) -> list[Word]:
    """HMAC-SHA256 under a key of 8 words of a message that everybody knows, of at most 55 bytes."""
    start = [constant_word(value) for value in START]
    states = []
    for mask in (0x36363636, 0x5C5C5C5C):
        keyed = [[1 - bit if mask >> place & 1 else bit for place, bit in enumerate(word)] for word in key]
        states.append(compress(builder, start, [*keyed, *[constant_word(mask)] * 8]))
    tail = b"\x80" + bytes(_BLOCK - len(message) - 9) + (8 * (_BLOCK + len(message))).to_bytes(8, "big")
    digest = compress(builder, states[0], words_of(message + tail))
    return compress(builder, states[1], [*digest, *_padding(32)])
