"""Steps 2 to 7 of a bundle's verification: what can be checked with nothing but the file, in one pass.

The numbers are those of ``troth.verify.bundle`` and docs/reference/bundle.md. Claims are streamed in log order, so the
document in force for a claim is the newest one its issuer has changed to so far. What is kept of a claim is its id, its
place, where its payload is, and whether something referred to it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from troth.core import merkle
from troth.core.claims import (
    BATCH,
    PAYLOAD_TYPE,
    Batch,
    Envelope,
    Fields,
    Signature,
    Statement,
    claim_id,
    fields_of,
    pae,
    seal_of_member,
    seal_of_signatures,
)
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity.documents import IDENTITY, Document, refuse_recovery, rotation_document
from troth.identity.keybook import KeyBook
from troth.ledger.bundle import BundleReader, RawClaim
from troth.ledger.checkpoints import Checkpoint, Note
from troth.verify.view import BundleView

SHOWN = 50
"""How many sealed parcels are kept by name; the rest is counted."""


@dataclass(slots=True)
class _Members:
    """A batch claim of the bundle, and the members seen so far: their places in it and their numbers in the file."""

    id: bytes
    batch: Batch
    places: array[int] = field(default_factory=lambda: array("Q"))
    numbers: array[int] = field(default_factory=lambda: array("I"))


class Inside:
    """One pass. ``step`` is the number of the step at work, so that whoever catches a fault knows whose it is.

    pinned: DID -> SHA-256 of the newest document that the verifier knows. After ``run``: ``view`` of the claims,
    ``said``, pairs of kind and issuer, ``signed``, pairs of DID and version of its document
    under which claims are signed, ``sealed`` (kind, name, CID) and ``sealed_count`` of the evidence under seal,
    ``note`` and ``checkpoint`` as presented, and ``position`` of the last claim.
    """

    def __init__(self, reader: BundleReader, pinned: Mapping[str, bytes]) -> None:
        self.reader, self._pins = reader, pinned
        self.view = BundleView(reader)
        self.step = 1
        self.position = -1
        self.said: set[tuple[str, str]] = set()
        self.signed: set[tuple[str, int]] = set()
        self.sealed: list[tuple[str, str, str]] = []
        self.sealed_count = 0
        self._number = -1
        self._in_claim = False
        self.keys = KeyBook()
        self._documents: set[str] = set()
        self._rotated: set[str] = set()
        self._recovered: list[tuple[str, Document]] = []
        self._batches: dict[int, _Members] = {}
        self._referred = bytearray()
        self._waiting: set[bytes] = set()
        self._cited: set[int] = set()
        self._signature_count = self._blob_count = 0

    def where(self) -> str:
        """The claim at work, for messages; empty between claims."""
        return f"claim {self._number}, at position {self.position} of the log: " if self._in_claim else ""

    def run(self) -> dict[int, str]:
        """Steps 2 to 7: what each checked, by number.

        Raises Refuted, Undecidable or BadInput with ``step`` saying where.
        """
        self.step = 8
        self.note = Note.from_bytes(self.reader.note())
        self.checkpoint = Checkpoint.from_text(self.note.text)
        self.step = 1
        self._blobs()
        self.step = 3
        self._learn_documents()
        self.step = 7
        root = merkle.root_from_multi(self.checkpoint.size, self._leaves(), self.reader.tree())
        self.step = 3
        self._histories()
        self.step = 5
        self._closed()
        self.step = 6
        members = self._members_belong()
        self.step = 7
        self._in_log(root)
        count, issuers = self.view.table.count, {issuer for _, issuer in self.said}
        full = sum(1 for item in self._batches.values() if item.places)
        return {
            1: f"format 1: {count} claims, {len(self._documents)} identity documents, {self._blob_count} files",
            2: f"{count} statements, each its own canonical form",
            3: f"{len(issuers)} issuers, {len(self._rotated)} of which changed their documents"
               + "".join(f"; version {document.version} of {did} was made by {document.recovery}, as the trust file "
                         "accepts" for did, document in self._recovered),
            4: f"{self._signature_count} signatures: every suite that the documents in force require, and no other",
            5: f"closed, and everything is reached from {self.view.target.hex()}",
            6: f"{members} members in {full} batches",
            7: f"{count} claims under the root of {self.checkpoint.origin} at size {self.checkpoint.size}",
        }

    def _leaves(self) -> Iterator[tuple[int, bytes]]:
        """(position, leaf hash) of each claim, after steps 2 to 6 looked at it."""
        leaf_hash, view = merkle.leaf_hash, self.view
        self.step = 1
        for number, raw in enumerate(self.reader.claims()):
            self._in_claim, self._number, self.position = True, number, raw.position
            self.step = 2
            kind, _, issuer, _, _, _, refs, evidence = self._fields(raw)
            claim = claim_id(raw.payload)
            if raw.signatures is None:
                self.step = 6
                seal = self._member(raw, issuer, number)
            else:
                seal = self._signed(raw, kind, issuer, claim)
            self.step = 5
            if not view.add(claim, raw.position, raw.at, kind):
                raise Refuted("a claim stands twice in the bundle", actual=claim.hex())
            self.said.add((kind, issuer))
            self._referred.append(0)
            if refs:
                self._refs(refs)
            if evidence:
                self._evidence(kind, evidence)
            self.step = 7
            yield raw.position, leaf_hash(claim + seal)
            self.step = 1
        self._in_claim, self.step = False, 7

    def _fields(self, raw: RawClaim) -> Fields:
        """Step 2. What the statement says, read strictly."""
        found = fields_of(raw.payload)
        if found[0] in (BATCH, IDENTITY) and raw.signatures is None:
            raise BadInput(f"a claim of kind {found[0]} inside a batch", expected="its own signatures")
        return found

    def _signed(self, raw: RawClaim, kind: str, issuer: str, claim: bytes) -> bytes:
        """Steps 2 to 4 for a signed claim. Its seal."""
        if kind == BATCH:
            self._batches[self._number] = _Members(claim, Batch.of(Statement.from_bytes(raw.payload)))
        self.step = 3
        names = self._methods(kind, issuer, raw)
        if kind != IDENTITY:
            self.step = 4
            self._signatures(issuer, raw, names)
        values = raw.signatures or ()
        self._signature_count += len(values)
        return seal_of_signatures(map(Signature, names, values))

    # Step 3

    def _learn_documents(self) -> None:
        """Step 3, before the claims: learn the first documents, ascending by identifier."""
        last = ""
        for document in self.reader.documents():
            did = self.keys.learn(document)
            if did <= last:
                raise BadInput("identity documents out of order", expected=f"an identifier after {last}", actual=did)
            last = did
            self._documents.add(did)

    def _methods(self, kind: str, did: str, raw: RawClaim) -> tuple[str, ...]:
        """Step 3, for a signed claim: the ids of the keys that must sign. A change of documents is learned here.

        The document in force is the newest one learned so far, because claims come in log order.
        """
        if did.startswith(dids.KEY):
            if kind == IDENTITY:
                raise Refuted("a did:key has no document to change", actual=did)
            dids.read_key_did(did)
            return (dids.key_method(did),)
        if kind == IDENTITY and raw.signatures is not None:
            self._rotation(Statement.from_bytes(raw.payload), raw.payload, raw.signatures)
        head = self.keys.history(did).head
        if kind != IDENTITY:
            self.signed.add((did, head.version))
        return tuple(did + name for name in head.methods())

    def _rotation(self, statement: Statement, payload: bytes, signatures: tuple[bytes, ...]) -> None:
        """Step 3, for a claim of kind identity: it continues its issuer's history."""
        did = statement.issuer
        version, _ = self.keys.head(did)
        names = rotation_document(statement, did).methods()
        if len(names) != len(signatures) or statement.refs:
            raise Refuted("a change of documents with other signatures than its suites', or with references",
                          expected=f"{len(names)} signatures, no references", actual=f"{len(signatures)} signatures")
        self.keys.learn_rotation(Envelope(payload, tuple(
            Signature(did + name, value) for name, value in zip(names, signatures, strict=True))),
            lambda did, document: self._recovered.append((did, document)))
        if self.keys.head(did)[0] != version + 1:
            raise Refuted("a change of documents that changes nothing", expected=f"version {version + 1}")
        self._rotated.add(did)

    def _histories(self) -> None:
        """Step 3, after the claims: nothing surplus, and no history older than what the trust file knows."""
        speaking = {issuer for kind, issuer in self.said if kind != IDENTITY}
        speaking.add(self._target_issuer())
        surplus = (self._documents | self._rotated) - speaking
        if surplus:
            raise Refuted("identity documents of somebody who says nothing here", actual=", ".join(sorted(surplus)))
        self._pinned(speaking)
        for did, document in self._recovered:
            if did not in self._pins or self.keys.require(did, self._pins[did]) < document.version:
                refuse_recovery(did, document)

    def _target_issuer(self) -> str:
        return self.view.statement(self.view.target).issuer if self.view.has(self.view.target) else ""

    def _pinned(self, speaking: set[str]) -> None:
        """Step 3, against the trust file: no history here is older than the document it pins."""
        for did, digest in self._pins.items():
            if did in speaking and not did.startswith(dids.KEY):
                self.keys.require(did, digest)

    # Step 4

    def _signatures(self, issuer: str, raw: RawClaim, names: tuple[str, ...]) -> None:
        """Step 4. Exactly the signatures that the issuer's document in force requires."""
        values = raw.signatures or ()
        if len(values) != len(names):
            raise Refuted("wrong number of signatures", expected=", ".join(names), actual=f"{len(values)} signatures",
                          do="The issuer's document says who must sign; ask for the claim with all its signatures.")
        self.keys.verify(issuer, pae(PAYLOAD_TYPE, raw.payload), zip(names, values, strict=True))

    # Step 5

    def _refs(self, refs: list[tuple[str, bytes]]) -> None:
        """Step 5, for one claim: mark what it refers to, or remember what has not come yet."""
        table = self.view.table
        for _, claim in refs:
            number = table.find(claim)
            if number < 0:
                self._waiting.add(claim)
            else:
                self._referred[number] = 1

    def _blobs(self) -> None:
        """Take in the embedded files."""
        for digest, at, _ in self.reader.blobs():
            self.view.add_blob(digest, at)
            self._blob_count += 1

    def _evidence(self, kind: str, evidence: list[dict[str, Any]]) -> None:
        """Step 5, for one claim: note which embedded files it names, and what is sealed."""
        for item in evidence:
            if item["sealed"]:
                self.sealed_count += 1
                if len(self.sealed) < SHOWN:
                    self.sealed.append((kind, item["name"], item["cid"]))
            elif (number := self.view.blob_number(item["cid"])) >= 0:
                self._cited.add(number)

    def _closed(self) -> None:
        """Step 5, after the claims: every reference is met, and everything is referred to."""
        table, referred = self.view.table, self._referred
        target = table.find(self.view.target)
        if target < 0:
            raise Undecidable("the target is not in the bundle", expected=self.view.target.hex())
        absent = [claim for claim in self._waiting if table.find(claim) < 0]
        if absent:
            raise Undecidable(f"{len(absent)} claims that others refer to are not in the bundle",
                              expected=min(absent).hex(), do="Ask for the whole bundle.")
        for claim in self._waiting:
            referred[table.find(claim)] = 1
        referred[target] = 1
        for number, batch in self._batches.items():
            referred[number] |= bool(batch.places)
        self._reached()

    def _reached(self) -> None:
        """Step 5: nothing that the target does not lead to. Changes of documents belong to step 3."""
        number = self._referred.find(0)
        while number >= 0:
            claim = self.view.table.at(number)
            if self.view.statement(claim).kind != IDENTITY:
                raise Refuted("a claim that nothing here refers to", actual=claim.hex(),
                              do="A bundle holds what its target rests on, and nothing else.")
            number = self._referred.find(0, number + 1)
        if len(self._cited) != self._blob_count:
            raise Refuted("an embedded file that no claim names", expected=len(self._cited), actual=self._blob_count)

    # Step 6

    def _member(self, raw: RawClaim, issuer: str, number: int) -> bytes:
        """Step 6, for one member: its batch is a batch of its issuer. The member's seal."""
        found = self._batches.get(raw.batch)
        if found is None:
            raise BadInput("a member of a claim that is no batch", actual=f"claim number {raw.batch}")
        if issuer != found.batch.issuer:
            raise Refuted("a batch speaks for its own issuer only", expected=found.batch.issuer, actual=issuer)
        found.places.append(raw.place)
        found.numbers.append(number)
        return seal_of_member(found.id, raw.place)

    def _members_belong(self) -> int:
        """Step 6, after the claims: the members lead to their batch's root. How many members there are."""
        proofs, count = self.reader.batch_proofs(), 0
        for item in self._batches.values():
            if not item.places:
                continue
            proof = next(proofs, None)
            if proof is None:
                raise Refuted("a batch without the proof of its members", actual=item.id.hex())
            self._belongs(item, merkle.root_from_multi(item.batch.size, self._member_leaves(item), proof))
            count += len(item.places)
        if next(proofs, None) is not None:
            raise BadInput("a proof of no batch's members")
        return count

    def _member_leaves(self, item: _Members) -> Iterator[tuple[int, bytes]]:
        at, leaf_hash, places, numbers = self.view.table.at, merkle.leaf_hash, item.places, item.numbers
        for k in sorted(range(len(places)), key=places.__getitem__):
            yield places[k], leaf_hash(at(numbers[k]))

    def _belongs(self, item: _Members, root: bytes) -> None:
        if root != item.batch.root:
            raise Refuted("members that their batch does not hold", expected=item.batch.root.hex(), actual=root.hex())

    # Step 7

    def _in_log(self, root: bytes) -> None:
        """Step 7. The leaves' root is the presented checkpoint's."""
        if root != self.checkpoint.root:
            raise Refuted("claims that the log does not hold at these places, with these signatures",
                          expected=f"root {self.checkpoint.root.hex()}", actual=root.hex())
