"""What a workspace tells about itself on its chain, for others to read: documents, its log's owner, anchored claims."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from troth.app.keeping import Keeping
from troth.app.onchain import OnChain
from troth.core.encoding import from_hex
from troth.core.errors import Refuted, Undecidable
from troth.core.terms import Account
from troth.identity.binding import BINDING, accounts_of, bind
from troth.identity.documents import refuse_recovery

if TYPE_CHECKING:
    from troth.identity.documents import Document, DocumentHistory
    from troth.identity.keys import Secp256k1KeyPair
    from troth.ledger.registries import IdentityRegistry, LogRegistry, Record, RegisteredKeys, Update
    from troth.verify.policies.anchored import Proof

IDENTITIES = "identities"
LOGS = "logs"
GUARDIANS = "guardians"
"""The file with the hash of the guardians that this party wants."""


class Registered(Keeping, OnChain):
    """A workspace's registries (docs/reference/registries.md), and proofs of its anchors for other chains."""

    def bind_account(self) -> bytes:
        """Attest that this identity and its chain account belong together, both ways; the claim's id."""
        return self._say(bind(self._signer, self.identity.account, self.contracts.chain_id, self.clock.now()))

    def bound_account(self) -> Account:
        """This party's account, bound to its identity now if its newest binding here is not that."""
        if self.accounts_of(self.did)[-1:] != (self.account,):
            self.bind_account()
        return self.account

    @cached_property
    def identities(self) -> IdentityRegistry:
        """The registry of identities. Raises BadInput where the contracts in use hold none."""
        # Imported here: the chain's libraries take a second to load, and most commands need none.
        from troth.ledger.registries import IdentityRegistry

        return IdentityRegistry(self.chain.web3, self.contracts[IDENTITIES].address, self.contracts.block)

    @cached_property
    def log_owners(self) -> LogRegistry:
        """The registry of logs' owners. Raises BadInput where the contracts in use hold none."""
        # Imported here for the same reason.
        from troth.ledger.registries import LogRegistry

        return LogRegistry(self.chain.web3, self.contracts[LOGS].address, self.contracts.block)

    def register(self) -> tuple[bytes, int]:
        """Bring the registry up to this identity's newest document; (entry, transactions sent). Again is a no-op.

        Others are led to the entry by this party's account binding, which is made if there is none yet. Raises
        Refuted where the registry holds another history than this identity's, or its end.
        """
        # Imported here for the same reason.
        from troth.ledger.registries import publish

        self.bound_account()
        return publish(self.identities, self.sender, self.identity, self._began(), self._guarding())

    def has_registry(self) -> bool:
        """Whether this workspace uses contracts that hold a registry of identities."""
        return (self.root / "contracts.json").exists() and IDENTITIES in self.contracts.named

    def listed(self) -> bool:
        """Whether one of this party's accounts began an entry for its identity."""
        return self.has_registry() and self._began() is not None

    def entry(self) -> bytes:
        """The name of this identity's entry. Raises Undecidable where it is not registered."""
        # Imported here for the same reason.
        from troth.ledger.registries import entry_of

        return entry_of(self.identity.history.documents[0].digest, self.began())

    def began(self) -> Account:
        """The account that began this identity's entry. Raises Undecidable where it is not registered."""
        account = self._began()
        if account is None:
            raise Undecidable("this identity is not in the registry", actual=self.did,
                              do="Put it there: troth id register.")
        return account

    def _began(self) -> Account | None:
        """Which of this party's accounts began its entry. After a recovery it is not the one in use."""
        # Imported here for the same reason.
        from troth.ledger.registries import entry_of

        genesis = self.identity.history.documents[0].digest
        for account in dict.fromkeys((*self.accounts_of(self.did), self.account)):
            if self.identities.history(entry_of(genesis, account)):
                return account
        return None

    def _guarding(self) -> Update | None:
        """How the next record is added where this party wants other guardians than the registry has."""
        wanted = self.root / GUARDIANS
        if not wanted.exists():
            return None
        # Imported here for the same reason.
        from troth.ledger.guardians import Guardians, Proposal

        who, guardians = from_hex(wanted.read_text(), 32), Guardians(self.identities)

        def update(entry: bytes, version: int, document: bytes, turn: Account, key: Secp256k1KeyPair) -> object:
            return guardians.guard(self.sender, entry, Proposal(version, document, turn), who, key)

        return update if self._began() is not None and guardians.named(self.entry()) != who else None

    def ask_guardians(self, history: DocumentHistory, document: Document, accounts: Sequence[Account]) -> None:
        """Whether guardians made a document, as it says. Raises Refuted or Undecidable, also without a registry."""
        # Imported here for the same reason.
        from troth.ledger.guardians import vouch

        if not self.has_registry():
            refuse_recovery(history.did, document)
        vouch(self.identities, history, document, (*accounts, *self.accounts_of(history.did)))

    def revoke_entry(self) -> bool:
        """End this identity in the registry, for good; whether that was sent. Raises Undecidable if it is not there.

        A part of ``troth.app.keys.revoke``, which also says it where there is no registry.
        """
        # Imported here for the same reason.
        from troth.ledger.registries import revoke

        return revoke(self.identities, self.sender, self.identity, self._began() or self.account)

    def register_log(self) -> bytes:
        """Begin this log's entry in the registry of owners; the entry. Raises ActRefused where it has one."""
        # Imported here for the same reason.
        from troth.ledger.anchors import origin_hash
        from troth.ledger.registries import entry_of

        self.log_owners.register(self.sender, self.log.origin, self.log.key.vkey())
        return entry_of(origin_hash(self.log.origin), self.account)

    def proof_across(self, claim: bytes) -> Proof:
        """For a deal on another chain: that this log's last anchor here holds a claim (reference/across-chains.md).

        ``shown.param()`` of it is what the deal's rung must name. Raises Undecidable where the claim is not in the log,
        or not under the last anchor.
        """
        # Imported here for the same reason.
        from troth.ledger.anchors import origin_hash
        from troth.verify.policies.anchored import Shown, prove_anchored

        found, anchored = self.log.find(claim), self.root / "anchor"
        if found is None or not anchored.exists():
            raise Undecidable("this claim is not in the log, or the log was never anchored", actual=claim.hex(),
                              do="Pull the claim, or anchor the log: troth log anchor.")
        shown = Shown(self.contracts.chain_id, self.chain.genesis_hash, self.contracts["anchor"].address, self.account,
                      origin_hash(self.log.origin), claim)
        return prove_anchored(self.chain.web3, anchored.read_bytes(), shown, self.log.leaf(found.position),
                              found.position, lambda size: self.log.inclusion(found.position, size))

    def accounts_of(self, did: str) -> tuple[Account, ...]:
        """The accounts on this chain that a party bound itself to, by the bindings here, oldest first.

        Whoever steals the keys in use can bind the party to one more account: what was known before comes first.
        """
        return accounts_of((statement for _, statement in self.claims(BINDING)), did, self.contracts.chain_id)

    @property
    def registered(self) -> RegisteredKeys:
        """The key book held against the registry: implements ``KeyHistory``."""
        # Imported here for the same reason.
        from troth.ledger.registries import RegisteredKeys

        return RegisteredKeys(self.keybook, self.identities, self.accounts_of)

    def records_of(self, did: str) -> tuple[Record, ...]:
        """An identity's documents by the registry, oldest first; empty where it is not there.

        Raises Undecidable for an identity whose first document is not known here.
        """
        return self.registered.records(did)

    def newest_document(self, did: str) -> bytes:
        """SHA-256 of an identity's newest document: the registry's where it is there, else the newest known here.

        Raises Refuted where it was revoked, Undecidable where it is not known.
        """
        if self.keybook.history(did).head.ended:
            raise Refuted("this identity was revoked", actual=did,
                          do="Ask its holder for the new one; what it signed before stays as good as it was.")
        if IDENTITIES not in self.contracts.named:
            return self.keybook.head(did)[1]
        return self.registered.newest(did)
