"""What a workspace tells about itself on its chain, for others to read: documents, its log's owner, anchored claims."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from troth.app.keeping import Keeping
from troth.app.onchain import OnChain
from troth.core.errors import Refuted, Undecidable
from troth.core.terms import Account
from troth.identity.binding import BINDING, bind, read_binding

if TYPE_CHECKING:
    from troth.ledger.registries import IdentityRegistry, LogRegistry, Record, RegisteredKeys
    from troth.verify.policies.anchored import Proof

IDENTITIES = "identities"
LOGS = "logs"


class Registered(Keeping, OnChain):
    """A workspace's registries (docs/reference/registries.md), and proofs of its anchors for other chains."""

    def bind_account(self) -> bytes:
        """Attest that this identity and its chain account belong together, both ways; the claim's id."""
        return self._say(bind(self._signer, self.identity.account, self.contracts.chain_id, self.clock.now()))

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

        if self.account not in self.accounts_of(self.did):
            self.bind_account()
        return publish(self.identities, self.sender, self.identity)

    def has_registry(self) -> bool:
        """Whether this workspace uses contracts that hold a registry of identities."""
        return (self.root / "contracts.json").exists() and IDENTITIES in self.contracts.named

    def listed(self) -> bool:
        """Whether this party's account began an entry for its identity."""
        # Imported here for the same reason.
        from troth.ledger.registries import entry_of

        return self.has_registry() and bool(self.identities.history(
            entry_of(self.identity.history.documents[0].digest, self.account)))

    def revoke_entry(self) -> bool:
        """End this identity in the registry, for good; whether that was sent. Raises Undecidable if it is not there.

        A part of ``troth.app.keys.revoke``, which also says it where there is no registry.
        """
        # Imported here for the same reason.
        from troth.ledger.registries import revoke

        return revoke(self.identities, self.sender, self.identity, self.account)

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
        """The accounts on this chain that a party bound itself to, by the bindings here, newest first."""
        bound = [read_binding(statement) for _, statement in self.claims(BINDING) if statement.issuer == did]
        return tuple(one.account for one in reversed(bound) if one.chain == self.contracts.chain_id)

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
