"""Registries with history on a chain: an identity's documents (``Identities``), a log's owners (``LogOwners``).

Rules and limits are in docs/reference/registries.md. An entry is named by what it is about and by the account that
began it, so that nobody can take a name from anybody: a registration proves nothing about who somebody is. For an
identity, its binding claim leads to the account; for a log, the trust file does.

Histories are read from events and compared with what the contract stores, so that a node which hides, adds or changes
one is noticed (one that lies about both is not: ask several, or prove against a block hash).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, Refuted, Undecidable
from troth.core.terms import Account
from troth.core.typed_data import update_digest
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.anchors import AnchorEvent, origin_hash
from troth.ledger.artefacts import artefact
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import Event, get_logs, request
from troth.ledger.evmcodec import account_of, decode
from troth.ledger.sending import Acting, Receipt, call

if TYPE_CHECKING:
    from web3 import Web3

NOBODY: Account = bytes(20)
REVOKED = bytes(32)
"""As a document: the identity was revoked."""
_REGISTERED_IDENTITY = keccak256(b"Registered(bytes32,bytes32,address,address)")
_UPDATED = keccak256(b"Updated(bytes32,uint256,bytes32,address)")
_REGISTERED_LOG = keccak256(b"Registered(bytes32,bytes32,address,bytes32)")
_HANDED_OVER = keccak256(b"HandedOver(bytes32,uint256,address,bytes32)")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a history: what holds from its block on. time: Unix seconds of that block.

    For an identity, value is a document's SHA-256 (``REVOKED``: none any more) and account the turn account that may
    add the next. For a log, value is the Keccak-256 of its verifier key line and account the owner.
    """

    value: bytes
    account: Account
    time: int
    block: int


def entry_of(what: bytes, account: Account) -> bytes:
    """An entry's name: of the first document's SHA-256 or the origin's Keccak-256, and the account that began it."""
    if len(what) != 32 or len(account) != 20:
        raise BadInput("no registry entry has such a name", expected="32 bytes and an account of 20",
                       actual=f"{len(what)} and {len(account)} bytes")
    return keccak256(what + account.rjust(32, b"\0"))


class _Registry(ABC):
    """One registry contract: its calls, and its histories from events and storage."""

    contract: str
    topics: tuple[bytes, ...]

    def __init__(self, web3: Web3, address: Account, first_block: int = 0) -> None:
        self.web3, self.address, self.first = web3, address, first_block
        self._errors = artefact(self.contract).errors
        self.chain_id = quantity(request(web3, "eth_chainId"))

    def history(self, entry: bytes) -> tuple[Record, ...]:
        """The entry's records, oldest first; empty where nobody registered it.

        Raises OutsideFailed where the node's events and its storage disagree.
        """
        # Twice: a block between the two questions is no contradiction.
        for _ in range(2):
            told = self._told(entry)
            (stored,) = decode(("(bytes32,address,uint48,uint48)[]",), self._ask("history(bytes32)", entry))
            records = tuple(Record(bytes(value), account_of(account), time, block)
                            for value, account, time, block in stored)
            if told == [(record.value, record.account, record.block) for record in records]:
                return records
        raise OutsideFailed("the node's events are not what the registry stores", expected=len(records),
                            actual=len(told), do="Ask another node, or one that keeps all events.")

    def _told(self, entry: bytes) -> list[tuple[bytes, Account, int]]:
        """(value, account, block) of each record, as the events tell it."""
        events = get_logs(self.web3, addresses=(self.address,), topics=(self.topics, entry), first=self.first)
        return [(*self._said(event), event.block_number) for event in events]

    @abstractmethod
    def _said(self, event: Event) -> tuple[bytes, Account]:
        """(value, account) of the record that an event tells of."""

    def _at(self, signature: str, entry: bytes, when: int) -> tuple[bytes, bytes]:
        """The two words that the contract answers about a past moment."""
        try:
            found = self._ask(signature, entry, when.to_bytes(32, "big"))
        except ActRefused as error:
            if error.code == "NotYet":
                raise Pending("this moment is not over on the chain", actual=when, do="Ask again later.") from None
            if error.code == "Unknown":
                raise Undecidable("nothing was registered by then", actual=when,
                                  do="Check the account that began the entry.") from None
            raise
        return found[:32], found[32:]

    def _ask(self, signature: str, *words: bytes) -> bytes:
        return call(self.web3, self.address, _calldata(signature, *words), errors=self._errors)

    def ask(self, signature: str, types: Sequence[str], *values: Any) -> bytes:
        """What the contract answers to a question with these ABI types and values."""
        return call(self.web3, self.address, _encoded(signature, types, values), errors=self._errors)

    def do(self, sender: Acting, signature: str, types: Sequence[str], *values: Any) -> Receipt:
        """An act with these ABI types and values. Raises ActRefused, BadInput for values that do not fit."""
        return self._send(sender, _encoded(signature, types, values))

    def _send(self, sender: Acting, data: bytes) -> Receipt:
        """Run the act on the present state first, so that a refusal costs nothing and has its name, then send it.

        One that is under way from an earlier try, or was done and nobody was told, is neither run nor sent again.
        """
        if not sender.owes(self.address, data):
            call(self.web3, self.address, data, sender=sender.account, errors=self._errors)
        return sender.send(self.address, data)


class IdentityRegistry(_Registry):
    """Contract ``Identities``: the documents of identities, and when each came into force."""

    contract = "Identities"
    topics = (_REGISTERED_IDENTITY, _UPDATED)

    def register(self, sender: Acting, genesis: bytes, turn: Account) -> Receipt:
        """Begin the sender's entry for the identity whose first document has this SHA-256. Raises ActRefused.

        turn: the account whose signature adds the next record; its key must be known to nobody else.
        """
        return self._send(sender, _calldata("register(bytes32,address)", genesis, _word(turn)))

    def update(self, sender: Acting, entry: bytes, document: bytes, turn: Account, signature: bytes) -> Receipt:
        """Add a document, signed by the turn account of the newest record (``signed``). Raises ActRefused."""
        data = _calldata("update(bytes32,bytes32,address,bytes)", entry, document, _word(turn), *_tail(4, signature))
        return self._send(sender, data)

    def revoke(self, sender: Acting, entry: bytes, signature: bytes) -> Receipt:
        """End the entry for good, signed over zeros. Raises ActRefused."""
        return self._send(sender, _calldata("revoke(bytes32,bytes)", entry, *_tail(2, signature)))

    def signed(self, entry: bytes, version: int, document: bytes, turn: Account, key: Secp256k1KeyPair) -> bytes:
        """The turn account's signature that ``update`` (or, over zeros, ``revoke``) takes."""
        return key.sign_digest(update_digest(self.chain_id, self.address, entry, version, document, turn))

    def in_force(self, entry: bytes, time: int) -> tuple[int, bytes]:
        """(version, document's SHA-256) in force at the end of a past second, by the contract. ``REVOKED``: none.

        Raises Pending for a second that is not over, Undecidable before the registration.
        """
        version, document = self._at("inForce(bytes32,uint256)", entry, time)
        return int.from_bytes(version, "big"), document

    def in_force_at_block(self, entry: bytes, block: int) -> tuple[int, bytes]:
        """The same at the end of a past block."""
        version, document = self._at("inForceAtBlock(bytes32,uint256)", entry, block)
        return int.from_bytes(version, "big"), document

    def _said(self, event: Event) -> tuple[bytes, Account]:
        if event.log.topics[0] == _REGISTERED_IDENTITY:
            _, turn = decode(("address", "address"), event.log.data)
            return event.log.topics[2], account_of(turn)
        _, document, turn = decode(("uint256", "bytes32", "address"), event.log.data)
        return bytes(document), account_of(turn)


Update = Callable[[bytes, int, bytes, Account, Secp256k1KeyPair], object]
"""Adds a record: entry, version, document, turn account, key of the turn account before."""


def publish(registry: IdentityRegistry, sender: Acting, identity: HybridIdentity, account: Account | None = None,
            update: Update | None = None) -> tuple[bytes, int]:
    """Bring an identity's entry up to its newest document; (entry, how many transactions that took: 0 to 2).

    Doing it again is a no-op. account: who began the entry; the sender's account by default, which begins it where
    nobody did. update: how to add a record, where not as ``IdentityRegistry.update`` does. Raises Refuted where the
    chain holds another history than the identity, or its end, and Misuse where more than one change of keys is
    missing: the keys that could record the earlier ones are gone, so publish each change before the next.
    """
    if identity.ended:
        raise Misuse("an ended identity has nothing to publish but its end", do="Revoke it: troth id revoke.")
    documents = [document.digest for document in identity.history.documents]
    entry = entry_of(documents[0], account or sender.account)
    known = [record.value for record in registry.history(entry)]
    if known != documents[: len(known)]:
        raise Refuted("the registry holds another history than this identity's", expected=documents[-1].hex(),
                      actual="revoked" if known[-1] == REVOKED else known[-1].hex(),
                      do="Treat the identity as compromised, or as ended.")
    now, following = identity.turn_keys()
    missing = len(documents) - len(known)
    if missing > (1 if known else 2):
        raise Misuse("several changes of keys are not in the registry", expected="at most the newest missing",
                     actual=f"{missing} documents", do="Publish each change of keys before the next.")
    sent = 0
    if not known:
        if account not in (None, sender.account):
            raise Undecidable("this account began no entry for the identity", actual=(account or b"").hex())
        registry.register(sender, documents[0], (following if missing == 1 else now).public.account)
        known, sent = documents[:1], 1
    if len(known) < len(documents):
        turn = following.public.account
        if update is None:
            registry.update(sender, entry, documents[-1], turn,
                            registry.signed(entry, len(known), documents[-1], turn, now))
        else:
            update(entry, len(known), documents[-1], turn, now)
        sent += 1
    return entry, sent


def revoke(registry: IdentityRegistry, sender: Acting, identity: HybridIdentity, account: Account) -> bool:
    """End the identity's entry that ``account`` began, for good; whether that was sent. Again is a no-op.

    Raises ActRefused, and Undecidable without an entry.
    """
    entry = entry_of(identity.history.documents[0].digest, account)
    known = registry.history(entry)
    if not known:
        raise Undecidable("this identity is not in the registry", actual=identity.did)
    if known[-1].value == REVOKED:
        return False
    key = identity.turn_keys()[1]
    registry.revoke(sender, entry, registry.signed(entry, len(known), REVOKED, NOBODY, key))
    return True


class RegisteredKeys:
    """``KeyHistory`` that holds a key book against a registry: an issuer's newest document is the chain's newest.

    accounts: an identifier's accounts, oldest binding first; the first of them with an entry counts, so that a thief of
    the keys in use, who can bind it to an account of its own, does not lead away from the entry known. An identifier
    without one is left to the key book alone. ``did:key`` issuers have no documents. What stays the key book's: that
    documents hash to their identifiers, follow each other, and were signed under both suites.
    """

    def __init__(self, keys: KeyBook, registry: IdentityRegistry,
                 accounts: Callable[[str], Sequence[Account]]) -> None:
        self._keys, self._registry, self._accounts = keys, registry, accounts

    def records(self, did: str) -> tuple[Record, ...]:
        """The chain's history of an identity; empty where none of its accounts registered it.

        Raises Undecidable for an identity whose first document is not known.
        """
        return self._records(did, self._keys.history(did).documents[0].digest)

    def _records(self, did: str, genesis: bytes) -> tuple[Record, ...]:
        for account in self._accounts(did):
            found = self._registry.history(entry_of(genesis, account))
            if found:
                return found
        return ()

    def newest(self, did: str) -> bytes:
        """SHA-256 of the newest document: the chain's, or without an entry the key book's.

        Raises Refuted where the identity is revoked, Undecidable where it is not known.
        """
        records = self.records(did)
        if not records:
            return self._keys.head(did)[1]
        if records[-1].value == REVOKED:
            raise Refuted("this identity was revoked", actual=f"{did}, at {records[-1].time}",
                          do="Ask its holder for the new one; what it signed before stays as good as it was.")
        return records[-1].value

    def version_at(self, did: str, time: int) -> int:
        """Which document was in force at the end of a past second, by the chain's history (Unix seconds).

        Raises Undecidable before the registration or where the document is not known, Refuted where it was revoked
        by then or the chain's history is not the one known.
        """
        records = [record for record in self.records(did) if record.time <= time]
        if not records:
            raise Undecidable("the registry says nothing of this identity at that time", actual=f"{did}, at {time}")
        if records[-1].value == REVOKED:
            raise Refuted("this identity was revoked by then", actual=f"{did}, at {records[-1].time}")
        return self._known(did, len(records) - 1, records[-1].value)

    def good_when_anchored(self, did: str, documents: Sequence[bytes], version: int, block: int) -> str:
        """Whether the keys of ``version`` were in force at the end of a block in which a claim of theirs was anchored.

        documents: the SHA-256 of the identity's documents as the caller knows them, oldest first. What is returned
        says since and until which block they were in force. Raises Refuted where other keys were in force by then, or
        none: whoever has the old keys could have signed it. Raises Undecidable where the identity is not registered,
        or the block is before the registration or before the registry had these keys; Pending where it does not yet.
        """
        records = self._records(did, documents[0])
        if not records or block < records[0].block:
            raise Undecidable("the registry says nothing of this identity at that block", actual=f"{did}, {block}",
                              expected=f"block {records[0].block} or later" if records else "an entry")
        if version >= len(records):
            raise Pending("the registry does not have these keys yet", actual=f"version {version} of {did}",
                          do="Ask its holder to publish them: troth id register.")
        if records[version].value == REVOKED or records[version].value != documents[version]:
            raise Refuted("the registry names another document of this version", expected=records[version].value.hex(),
                          actual=documents[version].hex(), do="Treat the identity as compromised.")
        since, ended = records[version].block, records[version + 1 : version + 2]
        if ended and block >= ended[0].block:
            word = "the identity was revoked" if ended[0].value == REVOKED else "the keys were changed"
            raise Refuted(f"anchored when {word} already", expected=f"before block {ended[0].block}", actual=block,
                          do="If the claim is older, ask for its first anchor: troth log date.")
        if block < since:
            raise Undecidable("anchored before the registry had these keys", expected=f"block {since} or later",
                              actual=block, do="Ask for an anchor from the time when they were in force.")
        until = f" to {ended[0].block - 1}" if ended else " on"
        return f"version {version} of {did} was in force from block {since}{until}, and the anchor is in block {block}"

    def verify(self, issuer: str, message: bytes, signatures: Iterable[tuple[str, bytes]],
               version: int | None = None) -> None:
        """As ``KeyBook.verify``; None is the document that the chain names the newest, which must be known here."""
        if version is None and issuer in self._keys.dids():
            records = self.records(issuer)
            if records:
                version = self._known(issuer, len(records) - 1, self.newest(issuer))
        self._keys.verify(issuer, message, signatures, version)

    def _known(self, did: str, version: int, digest: bytes) -> int:
        documents = self._keys.history(did).documents
        if version >= len(documents):
            raise Undecidable("the registry names a newer document than is known here", expected=digest.hex(),
                              actual=f"version {len(documents) - 1}", do="Ask for the identity's later rotations.")
        if documents[version].digest != digest:
            raise Refuted("the registry names another document of this version", expected=digest.hex(),
                          actual=documents[version].digest.hex(), do="Treat the identity as compromised.")
        return version


class LogRegistry(_Registry):
    """Contract ``LogOwners``: which account anchors a log, with which key, since when."""

    contract = "LogOwners"
    topics = (_REGISTERED_LOG, _HANDED_OVER)

    def register(self, sender: Acting, origin: str, vkey: str) -> Receipt:
        """Begin the sender's entry for a log, whose notes the key of this verifier line signs. Raises ActRefused."""
        return self._send(sender, _calldata("register(bytes32,bytes32)", origin_hash(origin), key_hash(vkey)))

    def offer(self, sender: Acting, entry: bytes, to: Account) -> Receipt:
        """The owner offers the log to an account; ``NOBODY`` takes the offer back. Raises ActRefused."""
        return self._send(sender, _calldata("offer(bytes32,address)", entry, _word(to)))

    def accept(self, sender: Acting, entry: bytes, vkey: str) -> Receipt:
        """Take over a log that was offered to the sender, with the key that signs its notes from now on."""
        return self._send(sender, _calldata("accept(bytes32,bytes32)", entry, key_hash(vkey)))

    def owner_at(self, entry: bytes, time: int) -> tuple[Account, bytes]:
        """(owner, key's hash) at the end of a past second, by the contract.

        Raises Pending for a second that is not over, Undecidable before the registration.
        """
        owner, key = self._at("ownerAt(bytes32,uint256)", entry, time)
        return owner[12:], key

    def owner_at_block(self, entry: bytes, block: int) -> tuple[Account, bytes]:
        """The same at the end of a past block."""
        owner, key = self._at("ownerAtBlock(bytes32,uint256)", entry, block)
        return owner[12:], key

    def check_anchor_owner(self, event: AnchorEvent, block: int, origin: str, first: Account) -> None:
        """Refuted unless the account that anchored in ``block`` owned the log then.

        first: the account that the verifier believes began the log (a trust file's ``log.account``). A log that
        nobody registered belongs to ``first``. At a hand-over's own block the new owner counts.
        """
        records = [record for record in self.history(entry_of(origin_hash(origin), first)) if record.block <= block]
        owner = records[-1].account if records else first
        if event.origin != origin_hash(origin) or event.owner != owner:
            raise Refuted("anchored by an account that did not own the log then", expected=owner.hex(),
                          actual=event.owner.hex())

    def _said(self, event: Event) -> tuple[bytes, Account]:
        kinds = ("address", "bytes32") if event.log.topics[0] == _REGISTERED_LOG else ("uint256", "address", "bytes32")
        *_, owner, key = decode(kinds, event.log.data)
        return bytes(key), account_of(owner)


def key_hash(vkey: str) -> bytes:
    """How the chain names a log's key: Keccak-256 of its verifier key line (C2SP signed-note), 32 bytes."""
    return keccak256(vkey.encode())


def _calldata(signature: str, *words: bytes) -> bytes:
    if any(len(word) != 32 for word in words):
        raise BadInput(f"{signature}: not what the registry takes", expected="32 bytes each, accounts 20",
                       actual=[len(word) for word in words])
    return keccak256(signature.encode())[:4] + b"".join(words)


def _encoded(signature: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    from eth_abi.abi import encode  # takes 0.2 s to load
    from eth_abi.exceptions import EncodingError

    try:
        return keccak256(signature.encode())[:4] + encode(types, values)
    except (EncodingError, OverflowError, TypeError) as error:
        raise BadInput(f"{signature}: not what the registry takes", actual=error) from None


def _word(account: Account) -> bytes:
    return account.rjust(32, b"\0") if len(account) == 20 else account


def _tail(heads: int, data: bytes) -> Sequence[bytes]:
    """ABI words of a last argument of type bytes, behind ``heads`` head words."""
    padded = data + bytes(-len(data) % 32)
    words = [(32 * heads).to_bytes(32, "big"), len(data).to_bytes(32, "big")]
    return [*words, *(padded[at : at + 32] for at in range(0, len(padded), 32))]
