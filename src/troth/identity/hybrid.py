"""A party's own hybrid identity: create it, sign with it, rotate it, put its secrets away."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from troth.core.claims import Envelope
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Refuted
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.documents import (
    SUITES,
    Document,
    DocumentHistory,
    Recovery,
    commitment,
    rotation_statement,
)
from troth.identity.signers import HybridSigner, attest

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Recipient:
    """An encryption key pair as bytes (HPKE; opaque to this room): public to publish, secret to keep."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HybridIdentity:
    """The secret side of one hybrid identity. Immutable: ``rotate`` gives the next one.

    history: the documents so far. current, following: key pairs of the newest document and those it commits to.
    recipients: the encryption keys so far, newest last, so that what was sealed earlier still opens.
    account: the chain account's key pair.
    """

    history: DocumentHistory
    current: tuple[keys.KeyPair, ...]
    following: tuple[keys.KeyPair, ...]
    account: keys.Secp256k1KeyPair
    recipients: tuple[Recipient, ...] = ()

    @classmethod
    def create(cls, recipient: Recipient | None = None, random: Random = os.urandom) -> HybridIdentity:
        """A new identity, unlinkable to any other: call it once for each counterparty for pairwise identifiers.

        random(n) gives n secret bytes; tests pass their own.
        """
        current = _draw(random)
        following = _draw(random)
        document = Document(0, None, _public(current), tuple(map(commitment, _public(following))),
                            recipient.public if recipient else None)
        return cls(DocumentHistory.start(document.to_bytes()), current, following,
                   keys.Secp256k1KeyPair(random(keys.SEED_SIZE)), (recipient,) if recipient else ())

    @property
    def did(self) -> str:
        """The short ``did:peer:4``: the issuer's name in claims."""
        return self.history.did

    @property
    def genesis(self) -> bytes:
        """The first document, which others must learn."""
        return self.history.documents[0].to_bytes()

    @property
    def long_did(self) -> str:
        """The long ``did:peer:4``, which carries the first document."""
        return dids.peer4(self.genesis)[1]

    def turn_keys(self) -> tuple[keys.Secp256k1KeyPair, keys.Secp256k1KeyPair]:
        """Keys of the registry's turn accounts: what may add the newest document, and what the next one.

        Each comes from the seeds of one document's keys, so whoever may change the documents may record that, and
        nothing more need be kept. Nobody sees the public half before it is used, once. Of an identity that has ended,
        both are the one that ends its entry.
        """
        return _turn_key(self.current), _turn_key(self.current if self.ended else self.following)

    @property
    def ended(self) -> bool:
        """Whether this identity was ended: it signs nothing more."""
        return self.history.head.ended

    def signer(self) -> HybridSigner:
        """Signs under the newest document. Raises Misuse where the identity has ended."""
        if self.ended:
            raise Misuse("this identity has ended and signs nothing more", actual=self.did,
                         do="Make a new one, in a new workspace: troth init.")
        return HybridSigner(self.did, self.history.head, self.current)

    def rotate(self, issued_at: int, recipient: Recipient | None = None, random: Random = os.urandom,
               place: bytes | None = None) -> tuple[HybridIdentity, Envelope]:
        """The identity after a change of keys, and the rotation claim to publish. Raises Misuse after its end.

        recipient: a new encryption key; the old one stays named without it. Put the new identity's secrets away
        *before* publishing the rotation: it commits to keys that exist nowhere else. ``history.rotations`` keeps the
        claim, so publishing can be repeated. place: the registry's entry to name from now on; empty for none, and
        the one of the document before by default. The keys in use until now are not kept: nothing signs with them
        again.
        """
        kept = self.history.head.place if place is None else place or None
        return self._turned(issued_at, _draw(random), recipient, kept)

    def end(self, issued_at: int) -> tuple[HybridIdentity, Envelope]:
        """The identity after its end, for good, and the rotation that says so. Raises Misuse where it has ended.

        It is signed by the keys committed to, as every rotation: whoever stole the keys in use cannot say it.
        """
        return self._turned(issued_at, (), None, None)

    def _turned(self, issued_at: int, following: tuple[keys.KeyPair, ...],
                recipient: Recipient | None, place: bytes | None) -> tuple[HybridIdentity, Envelope]:
        self.signer()  # refuses one that has ended
        head = self.history.head
        kept = head.recipient if following else None
        document = Document(head.version + 1, head.digest, _public(self.following),
                            tuple(map(commitment, _public(following))), recipient.public if recipient else kept,
                            place=place)
        return self._after(document, self.following, following, self.account, (
            *self.recipients, *((recipient,) if recipient else ())), issued_at)

    @classmethod
    def recover(cls, history: DocumentHistory, recovery: Recovery, issued_at: int, recipient: Recipient | None = None,
                random: Random = os.urandom) -> tuple[HybridIdentity, Envelope]:
        """An identity whose keys are lost, with fresh ones, and the rotation that its guardians must carry.

        Worth nothing until the registry records it (docs/reference/identities.md): until then readers refuse it.
        account: a fresh one too. Raises Refuted where the identity has ended, or names no registry's entry.
        """
        if history.head.ended:
            raise Refuted("an identity that was ended is not recovered", actual=history.did)
        current, following = _draw(random), _draw(random)
        head = history.head
        document = Document(head.version + 1, head.digest, _public(current),
                            tuple(map(commitment, _public(following))), recipient.public if recipient else None,
                            recovery, head.place)
        start = cls(history, (), (), keys.Secp256k1KeyPair(random(keys.SEED_SIZE)), ())
        return start._after(document, current, following, start.account, (recipient,) if recipient else (), issued_at)

    def _after(self, document: Document, current: tuple[keys.KeyPair, ...], following: tuple[keys.KeyPair, ...],
               account: keys.Secp256k1KeyPair, recipients: tuple[Recipient, ...],
               issued_at: int) -> tuple[HybridIdentity, Envelope]:
        rotation = attest(rotation_statement(self.did, document, issued_at), HybridSigner(self.did, document, current))
        history = self.history.extend(rotation, _own)
        return HybridIdentity(history, current, following, account, recipients), rotation

    def to_secrets(self) -> bytes:
        """Everything needed to be this party again, for the keystore alone: canonical JSON with the seeds."""
        return encode({
            "account": self.account.reveal_seed().hex(),
            "current": [pair.reveal_seed().hex() for pair in self.current],
            "following": [pair.reveal_seed().hex() for pair in self.following],
            "genesis": self.genesis.decode(),
            "recipients": [{"public": item.public.hex(), "secret": item.secret.hex()} for item in self.recipients],
            "rotations": [item.to_bytes().decode() for item in self.history.rotations],
            "type": "hybrid",
        })

    @classmethod
    def from_secrets(cls, data: bytes) -> HybridIdentity:
        """The identity whose ``to_secrets`` this is. Raises BadInput, or Refuted if keys and documents disagree."""
        account, current, following, genesis, recipients, rotations, kind = take(
            decode_object(data), account=str, current=list, following=list, genesis=str, recipients=list,
            rotations=list, type=str)
        if kind != "hybrid":
            raise BadInput("not a hybrid identity's secrets", expected="hybrid", actual=kind)
        history = DocumentHistory.start(genesis.encode())
        for rotation in rotations:
            if type(rotation) is not str:
                raise BadInput("unreadable rotation", expected="an envelope as text", actual=type(rotation).__name__)
            history = history.extend(Envelope.from_bytes(rotation.encode()), _own)
        pairs = _pairs(current)
        if _public(pairs) != history.head.keys:
            raise BadInput("secrets that do not fit their document", expected=f"the keys of version "
                           f"{history.head.version}", do="Restore the keystore file from a backup.")
        later = _pairs(following) if following else ()
        if tuple(map(commitment, _public(later))) != history.head.next:
            raise BadInput("secrets that do not fit their document", expected="the keys it commits to",
                           do="Restore the keystore file from a backup.")
        opened = []
        for item in recipients:
            public, secret = take(item, public=str, secret=str)
            opened.append(Recipient(from_hex(public), from_hex(secret)))
        return cls(history, pairs, later, keys.Secp256k1KeyPair(from_hex(account, keys.SEED_SIZE)), tuple(opened))

    def __repr__(self) -> str:
        return f"HybridIdentity({self.did}, version {self.history.head.version})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise Misuse("an identity is never pickled or copied", do="Keep its secrets in a keystore file.")


def _own(did: str, document: Document) -> None:
    """A party's own recovery: whoever holds the keystore knows how they were made. Others ask the registry."""


def _draw(random: Random) -> tuple[keys.KeyPair, ...]:
    return tuple(keys.key_pair(suite, random(keys.SEED_SIZE)) for suite in SUITES)


def _turn_key(pairs: tuple[keys.KeyPair, ...]) -> keys.Secp256k1KeyPair:
    return keys.Secp256k1KeyPair(sha256(b"troth/turn-account/v1\n" + b"".join(pair.reveal_seed() for pair in pairs)))


def _pairs(seeds: list[Any]) -> tuple[keys.KeyPair, ...]:
    if len(seeds) != len(SUITES):
        raise BadInput("wrong number of seeds", expected=len(SUITES), actual=len(seeds))
    return tuple(keys.key_pair(suite, from_hex(seed, keys.SEED_SIZE))
                 for suite, seed in zip(SUITES, seeds, strict=True))


def _public(pairs: tuple[keys.KeyPair, ...]) -> tuple[keys.PublicKey, ...]:
    return tuple(pair.public for pair in pairs)
