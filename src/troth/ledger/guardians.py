"""Guardians of identities, as the registry ``Identities`` keeps them (docs/reference/identities.md).

The holder names k of n accounts and a delay, by their hash. k of them propose another next document; the holder
overrules them by changing keys; after the delay anybody carries it out. What the contract cannot see is checked here:
that the document follows the one before, says by how many guardians it was made, and was signed under both suites.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import from_hex, keccak256, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import Account
from troth.core.typed_data import guard_digest, recover_digest
from troth.identity.documents import MAX_GUARDIANS, Document, DocumentHistory, Recovery, place_of
from troth.identity.keys import Secp256k1KeyPair, recover_account
from troth.ledger.chains.rpc import get_logs
from troth.ledger.evmcodec import decode
from troth.ledger.registries import REVOKED, IdentityRegistry, entry_of
from troth.ledger.sending import Acting, Receipt

if TYPE_CHECKING:
    from troth.identity.hybrid import HybridIdentity

MIN_DELAY, MAX_DELAY = 86_400, 365 * 86_400
"""Seconds, as in the contract."""
_QUORUM = "(uint8,uint32,address[])"
_PROPOSED = keccak256(b"RecoveryProposed(bytes32,uint256,bytes32,address,uint256)")


@dataclass(frozen=True, slots=True)
class Quorum:
    """k of these accounts may recover an identity, if its holder says nothing for ``delay`` seconds."""

    k: int
    delay: int
    accounts: tuple[Account, ...]

    def __post_init__(self) -> None:
        Recovery(self.k, len(self.accounts))
        if not MIN_DELAY <= self.delay <= MAX_DELAY:
            raise BadInput("not a delay", expected=f"{MIN_DELAY} to {MAX_DELAY} seconds", actual=self.delay)
        if list(self.accounts) != sorted(set(self.accounts)) or {len(one) for one in self.accounts} != {20} or \
                not any(self.accounts[0]):
            raise BadInput("not guardians", expected=f"up to {MAX_GUARDIANS} accounts, ascending, none twice",
                           actual=[one.hex() for one in self.accounts])

    @classmethod
    def of(cls, k: int, delay: int, accounts: Iterable[Account]) -> Quorum:
        """In the order that the contract wants. Raises BadInput for one that is named twice."""
        return cls(k, delay, tuple(sorted(accounts)))

    @property
    def hash(self) -> bytes:
        """How the registry names it, 32 bytes."""
        from eth_abi.abi import encode  # takes 0.2 s to load

        return keccak256(encode(("uint8", "uint32", "address[]"), self.abi()))

    def abi(self) -> tuple[Any, ...]:
        """As the contract's struct."""
        return self.k, self.delay, list(self.accounts)

    def json(self) -> dict[str, Any]:
        """As an object in a file."""
        return {"accounts": [one.hex() for one in self.accounts], "delay": self.delay, "k": self.k}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Quorum:
        """Read exactly what ``json`` writes. Raises BadInput."""
        accounts, delay, k = take(value, accounts=list, delay=int, k=int)
        return cls(k, delay, tuple(from_hex(one, 20) for one in accounts))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A document (SHA-256) and turn account that guardians propose as ``version``. due: Unix seconds, 0 for none."""

    version: int
    document: bytes
    turn: Account
    due: int = 0


class Guardians:
    """The guardians' part of one registry."""

    def __init__(self, registry: IdentityRegistry) -> None:
        self.registry = registry

    def named(self, entry: bytes) -> bytes:
        """The hash of who may recover the entry; zeros: nobody."""
        return self.registry.ask("guardians(bytes32)", ("bytes32",), entry)

    def recovered(self, entry: bytes, version: int) -> Recovery | None:
        """By which guardians a version was made, by the contract; None: by the holder."""
        found = int.from_bytes(self.registry.ask("recoveredBy(bytes32,uint256)", ("bytes32", "uint256"), entry,
                                                 version), "big")
        return Recovery(found >> 8, found & 0xFF) if found else None

    def due(self, entry: bytes, proposal: Proposal) -> int:
        """When this proposal can be carried out, Unix seconds; 0 where it was not made."""
        key = keccak256(b"".join((entry, proposal.version.to_bytes(32, "big"), proposal.document,
                                  proposal.turn.rjust(32, b"\0"))))
        return int.from_bytes(self.registry.ask("due(bytes32)", ("bytes32",), key), "big")

    def pending(self, entry: bytes) -> tuple[Proposal, ...]:
        """What guardians propose as the entry's next version, oldest first. By events: ask more than one node."""
        version = len(self.registry.history(entry))
        found = []
        for event in get_logs(self.registry.web3, addresses=(self.registry.address,), topics=(_PROPOSED, entry),
                              first=self.registry.first):
            number, document, turn, due = decode(("uint256", "bytes32", "address", "uint256"), event.log.data)
            if number == version:
                found.append(Proposal(number, bytes(document), bytes.fromhex(turn[2:]), due))
        return tuple(found)

    def guard(self, sender: Acting, entry: bytes, proposal: Proposal, who: bytes, key: Secp256k1KeyPair) -> Receipt:
        """Add a document as ``IdentityRegistry.update`` does, and say who may recover the entry from now on.

        who: the hash of a quorum; zeros: nobody. key: of the turn account. Raises ActRefused.
        """
        digest = guard_digest(self.registry.chain_id, self.registry.address, entry, proposal.version,
                              proposal.document, proposal.turn, who)
        return self.registry.do(sender, "guard(bytes32,bytes32,address,bytes32,bytes)",
                                ("bytes32", "bytes32", "address", "bytes32", "bytes"),
                                entry, proposal.document, proposal.turn, who, key.sign_digest(digest))

    def approval(self, entry: bytes, proposal: Proposal, key: Secp256k1KeyPair) -> bytes:
        """A guardian's signature for a proposal, good for this registry, entry, version and document alone."""
        return key.sign_digest(self._digest(entry, proposal))

    def propose(self, sender: Acting, entry: bytes, proposal: Proposal, quorum: Quorum,
                approvals: Iterable[bytes]) -> Receipt:
        """Propose with the signatures of k guardians by their keys, in any order. Raises Misuse, ActRefused.

        A signature by nobody of the quorum, or twice by one, counts for nothing and is left out.
        """
        digest = self._digest(entry, proposal)
        signed = {recover_account(digest, one): one for one in approvals}
        good = [(place, signed[account]) for place, account in enumerate(quorum.accounts) if account in signed]
        if len(good) < quorum.k:
            raise Misuse("too few guardians signed this", expected=f"{quorum.k} of {len(quorum.accounts)}",
                         actual=len(good), do="Ask more of them: troth id guardians sign.")
        return self.registry.do(sender, f"propose(bytes32,bytes32,address,{_QUORUM},(uint8,bytes)[])",
                                ("bytes32", "bytes32", "address", _QUORUM, "(uint8,bytes)[]"),
                                entry, proposal.document, proposal.turn, quorum.abi(), good[: quorum.k])

    def execute(self, sender: Acting, entry: bytes, proposal: Proposal, quorum: Quorum) -> Receipt:
        """Carry out what was proposed, once its delay is over. Raises ActRefused."""
        return self.registry.do(sender, f"execute(bytes32,bytes32,address,{_QUORUM})",
                                ("bytes32", "bytes32", "address", _QUORUM),
                                entry, proposal.document, proposal.turn, quorum.abi())

    def _digest(self, entry: bytes, proposal: Proposal) -> bytes:
        return recover_digest(self.registry.chain_id, self.registry.address, entry, proposal.version,
                              proposal.document, proposal.turn)


def proposal_for(identity: HybridIdentity) -> Proposal:
    """What must be proposed for an identity that ``HybridIdentity.recover`` made."""
    head = identity.history.head
    return Proposal(head.version, head.digest, identity.turn_keys()[1].public.account)


def vouch(registry: IdentityRegistry, history: DocumentHistory, document: Document,
          accounts: Sequence[Account]) -> None:
    """Ask the registry whether a document that says guardians made it was made by them: the rule of its readers.

    history: up to the document before, which names the entry to ask. accounts: whom the identity bound itself to.
    Raises Refuted where the registry has another document of that version, or does not say that these guardians made
    it; Undecidable where it has none, or nothing leads to the entry.
    """
    genesis, guardians = history.documents[0].digest, Guardians(registry)
    for account in accounts:
        if place_of(registry.chain_id, registry.address, account) != history.head.place:
            continue  # an entry that anybody may have begun who held the keys in use
        entry = entry_of(genesis, account)
        records = registry.history(entry)
        if not records:
            continue
        if len(records) <= document.version:
            raise Undecidable("the registry has not recorded this recovery", expected=f"version {document.version}",
                              actual=f"version {len(records) - 1}",
                              do="Wait for its delay, and carry it out: troth id guardians execute.")
        recorded, made = records[document.version].value, guardians.recovered(entry, document.version)
        if recorded != document.digest or recorded == REVOKED or made != document.recovery:
            raise Refuted("the registry does not say that guardians made this document",
                          expected=f"{recorded.hex()}, by {made or 'the holder'}",
                          actual=f"{document.digest.hex()}, by {document.recovery}")
        return
    raise Undecidable("guardians made this document, it says, and nothing here leads to the entry that it names",
                      actual=history.did, do="Ask for the first account binding; is it this registry and chain?")
