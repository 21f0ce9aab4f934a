"""Guardians of a workspace's identity, and getting an identity back whose keys are lost (docs/reference/identities.md).

1. The holder names guardians (``set_guardians``) and hands each the card that it gets.
2. The keys are lost. A guardian adds to the card what it knows of the identity (``open_case``).
3. Whoever lost the keys makes a workspace with fresh ones from that (``recover``), and a file to be approved.
4. k guardians, each after talking to that person, sign it (``approve``). Anybody sends it (``propose``).
5. The delay passes. A holder who did not lose the keys changes them: that overrules the proposal (``overrule``).
6. Anybody carries it out (``execute``). Readers ask the registry before they believe the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from troth.app.keys import Changed, rotate
from troth.app.registered import GUARDIANS
from troth.core.claims import Envelope
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import Account
from troth.core.times import moment
from troth.identity.binding import BINDING
from troth.identity.documents import IDENTITY, Document, DocumentHistory, Recovery, place_of, rotation_document
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.identity.keybook import KeyBook
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.exchange import Parcel
from troth.ledger.guardians import Guardians, Proposal, Quorum, proposal_for
from troth.ledger.intake import check
from troth.ledger.registries import entry_of
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Settings, Troth

MAX_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Case:
    """What guardians and whoever lost the keys hand to each other. did, account: whose entry, and who began it.

    known: the identity's documents and bindings. proposed: the rotation and turn account to approve, once made.
    """

    did: str
    account: Account
    quorum: Quorum
    known: Parcel = field(default_factory=Parcel)
    proposed: tuple[Envelope, Account] | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        proposed = None if self.proposed is None else {
            "rotation": self.proposed[0].to_bytes().decode(), "turn": self.proposed[1].hex()}
        return encode({"account": self.account.hex(), "did": self.did, "known": decode_object(self.known.to_bytes()),
                       "proposed": proposed or {}, "quorum": self.quorum.json(), "version": 1})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        if len(data) > MAX_BYTES:
            raise BadInput("a case too long", expected=f"at most {MAX_BYTES} bytes", actual=len(data))
        account, did, known, proposed, quorum, version = take(decode_object(data), account=str, did=str, known=dict,
                                                              proposed=dict, quorum=dict, version=int)
        if version != 1:
            raise BadInput("a case of another version", expected=1, actual=version)
        return cls(did, from_hex(account, 20), Quorum.from_json(quorum), Parcel.from_bytes(encode(known)),
                   _proposed(proposed) if proposed else None)

    def history(self) -> DocumentHistory:
        """The identity's documents before this recovery. Raises Refuted or BadInput where they are not whole."""
        if any(envelope.statement().issuer != self.did for envelope in self.known.claims):
            raise Refuted("a case with claims of somebody else", expected=self.did)
        # Every signature is checked; what guardians made before is in the registry, which is compared with all of it.
        return check(self.known, KeyBook(), (), lambda _: False, lambda *_: None).keys.history(self.did)

    def entry(self) -> bytes:
        """The registry's name for it."""
        return entry_of(self.history().documents[0].digest, self.account)

    def document(self) -> tuple[Document, Proposal]:
        """What is proposed, after checking all that a contract cannot.

        It follows the newest document, is signed under both suites by its own keys, and says by how many guardians it
        is made. Raises Refuted otherwise, Misuse where nothing is proposed.
        """
        if self.proposed is None:
            raise Misuse("nothing is proposed in this case", do="Recover from it first: troth id recover.")
        rotation, turn = self.proposed
        found = rotation_document(rotation.statement(), self.did)
        if found.recovery != Recovery(self.quorum.k, len(self.quorum.accounts)):
            raise Refuted("a document that says other guardians made it", actual=found.recovery or "the holder",
                          expected=f"{self.quorum.k} of {len(self.quorum.accounts)} guardians")
        self.history().extend(rotation, lambda *_: None)
        return found, Proposal(found.version, found.digest, turn)


def set_guardians(party: Troth, passphrase: str, quorum: Quorum | None) -> tuple[Changed, Case | None]:
    """Say who may recover the party's identity from now on, with a change of keys; None: nobody. And their card.

    The registry learns it with the signature that only the holder of the next keys can make. Interrupted after the
    change of keys, ``Troth.register`` makes up for it. Raises Undecidable where the identity is not registered.
    """
    party.register()
    account = party.began()
    place = place_of(party.identities.chain_id, party.identities.address, account) if quorum else b""
    with replacing(party.root / GUARDIANS) as out:
        out.write((quorum.hash if quorum else bytes(32)).hex().encode())
    done = rotate(party, passphrase, place)
    return done, None if quorum is None else Case(party.did, account, quorum)


def open_case(party: Troth, card: Case) -> Case:
    """The card with what this party knows of the identity. Raises Undecidable where that is not the newest."""
    history = party.keybook.history(card.did)
    _same_as_registered(party, card, history)
    claims = [party.envelope(claim) for kind in (IDENTITY, BINDING) for claim, said in party.claims(kind)
              if said.issuer == card.did]
    return Case(card.did, card.account, card.quorum,
                Parcel((history.documents[0].to_bytes(),), tuple(sorted(claims, key=party.position))))


def recover(case: Case, directory: Path | str, passphrase: str, settings: Settings,
            **options: Any) -> tuple[Troth, Case]:
    """A workspace with fresh keys for an identity whose keys are lost, and the case for the guardians to approve.

    Until they have, and the delay is over, nobody believes what it signs. options: as ``Troth.init``.
    """
    directory = Path(directory)
    # Imported here: it imports this room's modules.
    from troth.app import Troth

    made: list[Envelope] = []
    quorum, history = case.quorum, case.history()

    def make(recipient: Recipient) -> HybridIdentity:
        clock = options.get("clock") or SystemClock()
        identity, rotation = HybridIdentity.recover(
            history, Recovery(quorum.k, len(quorum.accounts)), clock.now(), recipient)
        made.append(rotation)
        return identity

    # The bindings lead to the entry: without them neither this party nor its readers would find it.
    party = Troth.init(directory, passphrase, settings, make=make, before=case.known.claims, **options)
    return party, Case(case.did, case.account, quorum, case.known,
                       (made[0], proposal_for(party.identity).turn))


def approve(party: Troth, case: Case) -> bytes:
    """This party's signature for a case, as one of its guardians: 65 bytes.

    Talk to the person first, and compare the document's hash: the signature gives the identity away. Raises Misuse
    where this party is no guardian of it, Refuted where what is proposed breaks a rule, or the case is not the
    registry's.
    """
    if party.account not in case.quorum.accounts:
        raise Misuse("this party is no guardian of that identity", actual=party.account.hex(),
                     expected=", ".join(one.hex() for one in case.quorum.accounts))
    _same_as_registered(party, case, case.history())
    _, proposal = case.document()
    return Guardians(party.identities).approval(case.entry(), proposal, party.identity.account)


def propose(party: Troth, case: Case, approvals: Iterable[bytes]) -> int:
    """Send what k guardians signed; when it can be carried out, in Unix seconds. Anybody may.

    Raises Misuse for too few of them, ActRefused.
    """
    _, proposal = case.document()
    guardians = Guardians(party.identities)
    guardians.propose(party.sender, case.entry(), proposal, case.quorum, approvals)
    return guardians.due(case.entry(), proposal)


def execute(party: Troth, case: Case) -> None:
    """Carry out what was proposed. Anybody may; again is a no-op. Raises Pending in the delay, ActRefused."""
    document, proposal = case.document()
    records = party.identities.history(case.entry())
    if len(records) > document.version and records[document.version].value == document.digest:
        return
    guardians = Guardians(party.identities)
    due = guardians.due(case.entry(), proposal)
    if party.chain.now() < due:
        raise Pending("the holder may still say no", expected=f"from {moment(due, party.chain.now())} on",
                      do="Carry it out then: troth id guardians execute.")
    guardians.execute(party.sender, case.entry(), proposal, case.quorum)


def proposals(party: Troth) -> tuple[Proposal, ...]:
    """What guardians propose for this party's identity, and could carry out. Raises Undecidable if not registered."""
    return Guardians(party.identities).pending(party.entry())


def overrule(party: Troth, passphrase: str) -> Changed:
    """Change the party's keys, which ends every proposal of its guardians. Raises Misuse where there is none."""
    if not proposals(party):
        raise Misuse("nothing is proposed for this identity", actual=party.did, do="Nothing needs to be done.")
    return rotate(party, passphrase)


def _same_as_registered(party: Troth, case: Case, history: DocumentHistory) -> None:
    """These documents, all and no others, are the registry's, and these its guardians."""
    entry = entry_of(history.documents[0].digest, case.account)
    recorded = [record.value for record in party.identities.history(entry)]
    known = [document.digest for document in history.documents]
    if len(recorded) > len(known) and recorded[: len(known)] == known:
        raise Undecidable("the registry names a newer document than is known here", actual=f"version {len(known) - 1}",
                          do="Ask whoever has the identity's later rotations.")
    if recorded != known:
        raise Refuted("the registry holds another history than these documents", expected=known[-1].hex(),
                      actual=recorded[-1].hex() if recorded else "nothing")
    place = place_of(party.identities.chain_id, party.identities.address, case.account)
    if history.head.place != place:
        raise Refuted("the identity's document names another entry for its guardians, or none", expected=place.hex(),
                      actual=history.head.place.hex() if history.head.place else "none")
    if Guardians(party.identities).named(entry) != case.quorum.hash:
        raise Refuted("the registry has other guardians for this identity, or none",
                      expected=Guardians(party.identities).named(entry).hex(), actual=case.quorum.hash.hex())


def _proposed(value: dict[str, Any]) -> tuple[Envelope, Account]:
    rotation, turn = take(value, rotation=str, turn=str)
    return Envelope.from_bytes(rotation.encode()), from_hex(turn, 20)
