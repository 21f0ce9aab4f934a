"""What a workspace keeps: the claims of its log, bytes by CID, the keys that open what is sealed; and its lock."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from troth.core.claims import Envelope, Evidence, Ref, Statement, Subject
from troth.core.encoding import decode_object, encode
from troth.core.errors import Misuse, Undecidable
from troth.core.ports import Clock
from troth.identity import keystore
from troth.identity.documents import IDENTITY, Document
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.signers import HybridSigner
from troth.identity.signers import attest as sign_statement
from troth.ledger.checkpoints import NoteSigner
from troth.ledger.intake import check_kind
from troth.ledger.log import Log
from troth.store import unixfs
from troth.store.cid import Cid
from troth.store.commitments import commit, new_listing_key
from troth.store.files import FileBlobs, holding, replacing
from troth.store.keyring import Keyring
from troth.store.sealing import seal, unseal
from troth.store.wrapping import RecipientKey, RecipientPublic, wrap
from troth.verify.trace import ERASURE

_STALE = "another process has changed the keys of this workspace"
_OPEN_AGAIN = "Open the workspace again; nothing was signed into the log."
TURN = 60.0  # seconds to wait for another process in this workspace
MOST_READ = 1 << 30
"""Bytes of a piece of evidence. What others sent is no measure: a megabyte of blocks that name each other, a thousand
times in each node, is a file of a terabyte."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """Records that were sealed and committed to: what a listing says, and the listing's key (secret)."""

    evidence: Evidence
    commitment: bytes
    key: bytes = field(repr=False)


class Keeping:
    """A workspace's log, store and keyring, and the claims and bytes in them."""

    def __init__(self, root: Path, identity: HybridIdentity, clock: Clock, log_key: NoteSigner) -> None:
        self.root, self.identity, self.clock = root, identity, clock
        self.keybook = KeyBook()
        if not (root / "log" / "journal").exists():
            raise Undecidable("the log of this workspace is missing", expected=root / "log",
                              do="Restore it from a backup: a new one would contradict what the old one signed.")
        self.log = Log(root / "log", log_key)
        self.blobs = FileBlobs(root / "blocks")
        self.keyring = self._keyring()
        self._in_turn = False
        self._by_kind: dict[str, list[tuple[int, bytes]]] = {}
        self._statements: dict[bytes, Statement] = {}
        self._scanned = 0
        self._rotations: set[bytes] = set()

    @property
    def did(self) -> str:
        """The party's identifier."""
        return self.identity.did

    @property
    def _signer(self) -> HybridSigner:
        return self.identity.signer()

    def _keyring(self) -> Keyring:
        return Keyring(self.root / "wraps", [RecipientKey(item.secret) for item in self.identity.recipients])

    def become(self, change: Callable[[HybridIdentity], HybridIdentity], passphrase: str) -> None:
        """Change this party's keys: into the keystore first, then into the log. A crash between is made up for.

        change: from the identity as it is to the one it shall be. Raises Misuse for a wrong passphrase, or where
        another process has changed the keys; nothing is changed then.
        """
        with self.in_turn():
            path = self.root / "keys.json"
            content = decode_object(keystore.load(path, passphrase))
            if content["identity"] != decode_object(self.identity.to_secrets()):
                raise Misuse(_STALE, do=_OPEN_AGAIN)
            changed = change(self.identity)
            keystore.save(path, encode(content | {"identity": decode_object(changed.to_secrets())}), passphrase,
                          cost=keystore.cost_of(path), replace=True)
            self.identity = changed
            self.keyring = self._keyring()
            self._learn_own()

    def _learn_own(self) -> None:
        """This party's documents, from its keystore; a change of keys that the log does not hold yet goes in."""
        self.keybook.learn(self.identity.genesis)
        for rotation in self.identity.history.rotations:
            self.keybook.learn_rotation(rotation, taken_in)
        missing = [one for one in self.identity.history.rotations if self.log.find(one.id) is None]
        if missing:
            with self.in_turn():
                self.log.append([one for one in missing if self.log.find(one.id) is None])
        self._learn_rotations()

    def _learn_rotations(self) -> None:
        for claim, _ in self.claims(IDENTITY):
            if claim not in self._rotations:
                self.keybook.learn_rotation(self.envelope(claim), taken_in)
                self._rotations.add(claim)

    # Claims

    def attest(self, kind: str, subjects: Sequence[Subject], body: Mapping[str, Any], *, refs: Iterable[Ref] = (),
               evidence: Iterable[Evidence] = ()) -> bytes:
        """Sign a claim and append it to the log; its id. Attesting the same again in the same second is a no-op."""
        statement = Statement(kind, self.did, self.clock.now(), tuple(subjects), body, tuple(refs), tuple(evidence))
        if kind == IDENTITY:
            raise Misuse("an identity claim is a change of keys, signed by the keys it reveals", actual=kind)
        check_kind(statement)
        return self._say(sign_statement(statement, self._signer))

    def _say(self, envelope: Envelope) -> bytes:
        with self.in_turn():
            self._learn_rotations()
            if self.keybook.head(self.did)[0] != self.identity.history.head.version:
                raise Misuse(_STALE, do=_OPEN_AGAIN)
            if self.log.find(envelope.id) is None:  # ML-DSA signatures differ each time; the first one stays
                self.log.append([envelope])
        return envelope.id

    def statement(self, claim: bytes) -> Statement:
        """What a claim in the log says. Raises Undecidable if it is not there or its body was forgotten."""
        found = self._statements.get(claim)
        if found is None:
            entry = self.log.find(claim)
            if entry is None or entry.payload is None:
                raise Undecidable("this claim is not here", actual=claim.hex(), do="Pull it from whoever refers to it.")
            found = self._statements[claim] = Statement.from_bytes(entry.payload)
        return found

    def claims(self, *kinds: str) -> Iterator[tuple[bytes, Statement]]:
        """Every claim of these kinds in the log, in order."""
        for entry in self.log.iterate(self._scanned):
            if entry.payload is not None:
                statement = Statement.from_bytes(entry.payload)
                self._statements[entry.id] = statement
                self._by_kind.setdefault(statement.kind, []).append((entry.position, entry.id))
            self._scanned = entry.position + 1
        for _, claim in sorted(found for kind in kinds for found in self._by_kind.get(kind, ())):
            yield claim, self._statements[claim]

    def envelope(self, claim: bytes) -> Envelope:
        """A signed claim. Raises Undecidable if it is not here."""
        entry = self.log.find(claim)
        if entry is None:
            raise Undecidable("this claim is not here", actual=claim.hex())
        return entry.envelope()

    # Bytes

    def add(self, name: str, data: bytes, seal_to: Sequence[str] | None = None) -> Evidence:
        """Keep bytes; sealed to these DIDs and to this party, or public where ``seal_to`` is None."""
        if seal_to is None:
            done = unixfs.import_stream(io.BytesIO(data), self.blobs)
            return Evidence(name, str(done.cid), done.profile, False)
        publics = {did: self._public_of(did) for did in (self.did, *seal_to)}
        sealed = seal(io.BytesIO(data), self.blobs)
        for did, public in publics.items():
            self.keyring.keep(str(sealed.cid), short(did), wrap(sealed.data_key, public, sealed.cid.encode()))
        return Evidence(name, str(sealed.cid), sealed.profile, True)

    def seal_records(self, data: bytes, records: Iterable[bytes]) -> Sealing:
        """Seal a data set to this party alone, and commit to each record under a listing key that stays here."""
        evidence = self.add("records", data, ())
        key = new_listing_key()
        commitment = commit(key, records).root
        own = wrap(key, self._recipient_public(), b"listing " + evidence.cid.encode())
        self.keyring.keep(evidence.cid, short("listing"), own)
        return Sealing(evidence, commitment, key)

    def read(self, evidence: Evidence, most: int | None = MOST_READ) -> bytes:
        """The evidence's bytes, unsealed. most: None where its size is known to be wanted.

        Raises Undecidable where they are not here or not for this party, BadInput for more.
        """
        cid, out = Cid.parse(evidence.cid), io.BytesIO()
        if not evidence.sealed:
            unixfs.export(cid, self.blobs, out, max_size=most)
            return out.getvalue()
        wrapped = self.keyring.get(evidence.cid, short(self.did))
        if wrapped is None:
            raise Undecidable("sealed, and no key for it was given to this party", actual=evidence.cid,
                              do="Ask whoever sealed it to hand it over.")
        unseal(cid, self.keyring.open(cid, wrapped), self.blobs, out, max_size=most)
        return out.getvalue()

    def share(self, evidence: Evidence, to: Iterable[str]) -> None:
        """Wrap the key of sealed evidence that this party can open to others too, so that ``send`` hands it over.

        Raises Undecidable where it is not here or not for this party, or where another's document is not known.
        """
        cid = Cid.parse(evidence.cid)
        wrapped = self.keyring.get(evidence.cid, short(self.did))
        if wrapped is None:
            raise Undecidable("sealed, and no key for it was given to this party", actual=evidence.cid)
        key = self.keyring.open(cid, wrapped)
        for did in to:
            if self.keyring.get(evidence.cid, short(did)) is None:
                self.keyring.keep(evidence.cid, short(did), wrap(key, self._public_of(did), cid.encode()))

    def _public_of(self, did: str) -> RecipientPublic:
        public = self.keybook.history(did).head.recipient
        if public is None:
            raise Undecidable("nothing can be sealed to this party: its document names no key", actual=did)
        return RecipientPublic(public)

    def get(self, cid: str) -> bytes:
        """The bytes of a CID, however many, unsealed where a key for it is here. Raises Undecidable."""
        return self.read(self.stored(cid), None)

    def stored(self, cid: str, name: str = "file") -> Evidence:
        """Bytes in this party's store as evidence for a claim. Raises Undecidable if they are not here."""
        if not self.blobs.has(str(Cid.parse(cid))):
            raise Undecidable("these bytes are not here", actual=cid, do="Add or pull them first.")
        return Evidence(name, cid, unixfs.PROFILE.name, self.keyring.holds(cid))

    def evidence_here(self, claims: Iterable[bytes]) -> tuple[Evidence, ...]:
        """The evidence of these claims that is in this party's store."""
        return tuple(item for claim in claims for item in self.statement(claim).evidence
                     if self.blobs.has(str(Cid.parse(item.cid))))

    def erase(self, listing: bytes) -> bytes:
        """Destroy a listing's ciphertext and every key to it here, and attest that; the erasure claim's id.

        Doing it again gives the same claim; doing it again after a crash finishes it.
        Raises Misuse for anybody else's claim, or one that is no listing.
        """
        statement = self.statement(listing)
        if statement.issuer != self.did or statement.kind != "listing":
            raise Misuse("only whoever listed data can erase it", expected=f"a listing of {self.did}",
                         actual=f"{statement.kind}, of {statement.issuer}",
                         do="See what an offer or a dataset rests on: troth trace.")
        with self.in_turn():
            for claim, said in self.claims(ERASURE):
                if said.issuer == self.did and listing in said.all_refs("listing"):
                    return claim
            for item in statement.evidence:
                # Keys first: without them what is left of the ciphertext says nothing.
                self.keyring.forget(item.cid)
                self._destroy(Cid.parse(item.cid))
            body = {"destroyed": ["ciphertext", "data key", "listing key"],
                    "cids": [item.cid for item in statement.evidence]}
            return self.attest(ERASURE, statement.subjects, body, refs=[Ref("listing", listing)])

    def _destroy(self, cid: Cid) -> None:
        """Delete a file's blocks. The list is written down first, so that one killed half way can be gone through."""
        plan = self.root / f"erasing-{cid}"
        try:
            found = plan.read_text().split()
        except FileNotFoundError:
            try:
                found = [str(one) for one in unixfs.cids(cid, self.blobs)]
            except Undecidable:  # there is no such file here
                return
            with replacing(plan) as out:
                out.write("\n".join(found).encode())
        for name in found:
            self.blobs.delete(name)
        plan.unlink()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """What looks into the log and then writes holds the workspace's lock, so that two processes take turns."""
        if self._in_turn:
            yield
            return
        with holding(self.root / "turn", TURN, "another process is working in this workspace"):
            self._in_turn = True
            try:
                yield
            finally:
                self._in_turn = False

    # Inside

    def _cids(self, cid: str) -> list[str]:
        return [str(found) for found in unixfs.cids(Cid.parse(cid), self.blobs)]

    def _recipient_public(self) -> RecipientPublic:
        return RecipientPublic(self.identity.recipients[-1].public)


def taken_in(did: str, document: Document) -> None:
    """Vouches for every recovery in this party's own log: the registry was asked before it was let in."""


def short(did: str) -> str:
    """What a party's files are called here: of one length, and no path."""
    return hashlib.sha256(did.encode()).hexdigest()[:32]
