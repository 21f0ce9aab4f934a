"""A workspace: one party's keys, store, log, chain and peers, and the place where backends meet ports.

::

    .troth/
        troth.toml      settings; each also as TROTH_<SECTION>_<NAME>
        keys.json       the identity's and the log's secrets, encrypted (scrypt, AES-256-GCM)
        documents/      first documents and rotations of the identities met
        log/            the claims issued and received
        blocks/         bytes by CID
        wraps/          data keys wrapped to this party or by it, deletable
        contracts.json  addresses of the contracts this workspace uses
        outbox.sqlite   the acts asked for on chains, and every transaction signed for them
        deals-*.sqlite  an index of a Book, made again from the chain when deleted

No workspace ever reads another's.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from troth.app.checking import recheck_with
from troth.app.checking import verify_bundle as verify_bundle  # part of this module's surface
from troth.app.place import FOLDER, SETTINGS, find, making
from troth.app.place import Settings as Settings  # part of this module's surface
from troth.app.swapping import Swapping
from troth.core.claims import Envelope, Evidence, Ref, Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import Clock, Recheck
from troth.core.terms import Account
from troth.identity import keystore
from troth.identity.binding import BINDING, bind, read_binding
from troth.identity.documents import IDENTITY, Document
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.identity.keybook import KeyBook
from troth.identity.signers import HybridSigner
from troth.identity.signers import attest as sign_statement
from troth.ledger.anchors import call_data
from troth.ledger.bundling import write_bundle
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.checkpoints import NoteSigner
from troth.ledger.exchange import FolderExchange, Parcel
from troth.ledger.intake import check, check_kind
from troth.ledger.log import Log
from troth.store import unixfs
from troth.store.cid import Cid
from troth.store.commitments import commit, new_listing_key
from troth.store.files import FileBlobs, holding, replacing
from troth.store.keyring import Keyring
from troth.store.sealing import seal, unseal
from troth.store.wrapping import RecipientKey, RecipientPublic, wrap
from troth.verify.trace import ERASURE, Graph, trace
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses

if TYPE_CHECKING:
    from troth.ledger.chains import Chain

TURN = 60.0  # seconds to wait for another process in this workspace
_STALE = ("another process has changed the keys of this workspace",)
_OPEN_AGAIN = "Open the workspace again; nothing was signed into the log."
_DOCUMENT = re.compile(r"[0-9a-f]{32}")
MAX_PUBLIC = 1 << 20  # a bundle embeds public evidence of one block


@dataclass(frozen=True, slots=True)
class Sealing:
    """Records that were sealed and committed to: what a listing says, and the listing's key (secret)."""

    evidence: Evidence
    commitment: bytes
    key: bytes = field(repr=False)


class Troth(Swapping):
    """One party's workspace. It implements ``flows.parts.Party``.

    Open one with ``Troth.open`` or make one with ``Troth.init``; one object serves one thread.
    """

    def __init__(self, root: Path, settings: Settings, identity: HybridIdentity, log_seed: bytes,
                 clock: Clock, chain: Chain | None) -> None:
        self.root, self.settings, self.identity = root, settings, identity
        self.clock = clock
        self.refused: list[tuple[Path, TrothError]] = []
        self._given_chain = chain
        self.keybook = KeyBook()
        self._log_key = NoteSigner(log_origin(identity.did), log_seed)
        if not (root / "log" / "journal").exists():
            raise Undecidable("the log of this workspace is missing", expected=root / "log",
                              do="Restore it from a backup: a new one would contradict what the old one signed.")
        self.log = Log(root / "log", self._log_key)
        self.blobs = FileBlobs(root / "blocks")
        self.keyring = self._keyring()
        self._in_turn = False
        self._by_kind: dict[str, list[bytes]] = {}
        self._statements: dict[bytes, Statement] = {}
        self._scanned = 0
        self._met: set[bytes] = set()
        self._rotations: set[bytes] = set()
        self._learn_documents()

    # Life

    @classmethod
    def init(cls, directory: Path, passphrase: str, settings: Settings | None = None, *,
             cost: int = keystore.DEFAULT_COST, clock: Clock | None = None, chain: Chain | None = None) -> Self:
        """Make a workspace with a new hybrid identity under ``directory``/.troth. cost: scrypt's n.

        The workspace appears whole or not at all. Raises Misuse if there is one already, OutsideFailed if the disk
        refuses.
        """
        directory = directory.resolve()  # the settings below must not depend on where one stands
        root = directory / FOLDER
        settings = settings or Settings(directory.name or "me", f"embedded:{root / 'chain.sqlite'}",
                                        str(directory / "exchange"))
        text = settings.text().encode()
        with making(directory) as unfinished:
            key = RecipientKey.generate()
            identity = HybridIdentity.create(Recipient(key.public().data, key.seed))
            seed = secrets.token_bytes(32)
            content = encode({"identity": decode_object(identity.to_secrets()), "log": seed.hex()})
            for name in ("documents", "wraps"):
                (unfinished / name).mkdir(mode=0o700)
            keystore.save(unfinished / "keys.json", content, passphrase, cost=cost)
            for path, data in ((unfinished / "documents" / _short(identity.did), identity.genesis),
                               (unfinished / SETTINGS, text)):
                with replacing(path) as out:
                    out.write(data)
            Log.create(unfinished / "log", NoteSigner(log_origin(identity.did), seed)).close()
        return cls(root, settings, identity, seed, clock or SystemClock(), chain)

    @classmethod
    def open(cls, directory: Path, passphrase: str, *, clock: Clock | None = None,
             chain: Chain | None = None) -> Self:
        """Open the workspace at or above ``directory``.

        Raises Undecidable if there is none, Misuse for a wrong passphrase, BadInput for damaged files.
        """
        root = find(directory)
        settings = Settings.load(root / SETTINGS, os.environ)
        identity, seed = take(decode_object(keystore.load(root / "keys.json", passphrase)), identity=dict, log=str)
        return cls(root, settings, HybridIdentity.from_secrets(encode(identity)), from_hex(seed, 32),
                   clock or SystemClock(), chain)

    def close(self) -> None:
        """Close files. Nothing is lost without it."""
        self.log.close()
        if "outbox" in self.__dict__:
            self.outbox.close()
        self.close_index()
        if self._given_chain is None and "chain" in self.__dict__:
            self.chain.close()
        if "other_chain" in self.__dict__:
            self.other_chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Troth({self.settings.name}, {self.did})"

    # Who

    @property
    def name(self) -> str:
        """How this party is shown."""
        return self.settings.name

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
        with self._turn():
            path = self.root / "keys.json"
            content = decode_object(keystore.load(path, passphrase))
            if content["identity"] != decode_object(self.identity.to_secrets()):
                raise Misuse(*_STALE, do=_OPEN_AGAIN)
            changed = change(self.identity)
            keystore.rewrite(path, encode(content | {"identity": decode_object(changed.to_secrets())}), passphrase)
            self.identity = changed
            self.keyring = self._keyring()
            self._learn_own()

    def log_pin(self) -> LogPin:
        """What a trust file says of this party's log: origin, key, and the account that anchors it."""
        return LogPin(self.log.origin, self.log.key, self.account)

    def known(self, did: str) -> bool:
        """Whether this party's document is known here."""
        return did in self.keybook.dids()

    def bind_account(self) -> bytes:
        """Attest that this identity and its chain account belong together, both ways; the claim's id."""
        return self._say(bind(self._signer, self.identity.account, self.contracts.chain_id, self.clock.now()))

    def account_of(self, did: str) -> Account:
        """The account that a party bound itself to, by its newest binding here. Raises Undecidable without one."""
        found = None
        for _, statement in self.claims(BINDING):
            if statement.issuer == did:
                found = read_binding(statement).account
        if found is None:
            raise Undecidable("this party has bound no account", actual=did, do="Ask it for its binding claim.")
        return found

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
        with self._turn():
            self._learn_rotations()
            if self.keybook.head(self.did)[0] != self.identity.history.head.version:
                raise Misuse(*_STALE, do=_OPEN_AGAIN)
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

    def claims(self, kind: str) -> Iterator[tuple[bytes, Statement]]:
        """Every claim of a kind in the log, in order."""
        for entry in self.log.iterate(self._scanned):
            if entry.payload is not None:
                statement = Statement.from_bytes(entry.payload)
                self._statements[entry.id] = statement
                self._by_kind.setdefault(statement.kind, []).append(entry.id)
            self._scanned = entry.position + 1
        for claim in tuple(self._by_kind.get(kind, ())):
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
            self.keyring.keep(str(sealed.cid), _short(did), wrap(sealed.data_key, public, sealed.cid.encode()))
        return Evidence(name, str(sealed.cid), sealed.profile, True)

    def seal_records(self, data: bytes, records: Iterable[bytes]) -> Sealing:
        """Seal a data set to this party alone, and commit to each record under a listing key that stays here."""
        evidence = self.add("records", data, ())
        key = new_listing_key()
        commitment = commit(key, records).root
        own = wrap(key, self._recipient_public(), b"listing " + evidence.cid.encode())
        self.keyring.keep(evidence.cid, _short("listing"), own)
        return Sealing(evidence, commitment, key)

    def read(self, evidence: Evidence) -> bytes:
        """The evidence's bytes, unsealed. Raises Undecidable where they are not here or not for this party."""
        cid, out = Cid.parse(evidence.cid), io.BytesIO()
        if not evidence.sealed:
            unixfs.export(cid, self.blobs, out)
            return out.getvalue()
        wrapped = self.keyring.get(evidence.cid, _short(self.did))
        if wrapped is None:
            raise Undecidable("sealed, and no key for it was given to this party", actual=evidence.cid,
                              do="Ask whoever sealed it to hand it over.")
        unseal(cid, self.keyring.open(cid, wrapped), self.blobs, out)
        return out.getvalue()

    def share(self, evidence: Evidence, to: Iterable[str]) -> None:
        """Wrap the key of sealed evidence that this party can open to others too, so that ``send`` hands it over.

        Raises Undecidable where it is not here or not for this party, or where another's document is not known.
        """
        cid = Cid.parse(evidence.cid)
        wrapped = self.keyring.get(evidence.cid, _short(self.did))
        if wrapped is None:
            raise Undecidable("sealed, and no key for it was given to this party", actual=evidence.cid)
        key = self.keyring.open(cid, wrapped)
        for did in to:
            if self.keyring.get(evidence.cid, _short(did)) is None:
                self.keyring.keep(evidence.cid, _short(did), wrap(key, self._public_of(did), cid.encode()))

    def _public_of(self, did: str) -> RecipientPublic:
        public = self.keybook.history(did).head.recipient
        if public is None:
            raise Undecidable("nothing can be sealed to this party: its document names no key", actual=did)
        return RecipientPublic(public)

    def get(self, cid: str) -> bytes:
        """The bytes of a CID, unsealed where a key for it is here. Raises Undecidable."""
        return self.read(self.stored(cid))

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
                         actual=f"a {statement.kind} of {statement.issuer}")
        with self._turn():
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

    # Others

    @property
    def exchange(self) -> FolderExchange:
        """The folder that parcels pass through. Raises Misuse where none is set."""
        if not self.settings.exchange:
            raise Misuse("no exchange folder is set", do="Set [exchange] path in troth.toml or TROTH_EXCHANGE_PATH.")
        return FolderExchange(Path(self.settings.exchange))

    def introduction(self) -> Parcel:
        """What others must know of this party first: its documents and its account binding, if it has one."""
        bindings = [claim for claim, statement in self.claims(BINDING) if statement.issuer == self.did]
        said = (*self.identity.history.rotations, *(self.envelope(claim) for claim in bindings[-1:]))
        # In the log's order: a binding from before a change of keys was signed by the keys before it.
        return Parcel((self.identity.genesis,), tuple(sorted(said, key=self._position)))

    def introduce(self, did: str) -> None:
        """Put this party's introduction into another's mailbox."""
        self.exchange.send(did, self.introduction())

    def meet(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Take in documents and claims handed over in person; the ids of new claims."""
        return self._take_in(parcel)

    def send(self, to: Iterable[str], claims: Iterable[bytes], evidence: Iterable[Evidence] = ()) -> None:
        """Hand claims and evidence to other parties; sealed evidence with the key wrapped to each, if there is one."""
        envelopes = [self.envelope(claim) for claim in claims]
        documents, rotations = self._documents_of({envelope.statement().issuer for envelope in envelopes})
        # In the log's order: what was signed before a change of keys comes before it.
        ordered = sorted({one.id: one for one in (*rotations, *envelopes)}.values(), key=self._position)
        items = tuple(evidence)
        blocks = {cid: self.blobs.get(cid) for item in items for cid in self._cids(item.cid)}
        for did in to:
            wrapped = {item.cid: self.keyring.get(item.cid, _short(did)) for item in items if item.sealed}
            keys = {cid: key for cid, key in wrapped.items() if key is not None}
            self.exchange.send(did, Parcel(documents, tuple(ordered), blocks, keys))

    def _position(self, envelope: Envelope) -> int:
        found = self.log.find(envelope.id)
        return -1 if found is None else found.position

    def receive(self) -> tuple[bytes, ...]:
        """Take in every waiting parcel after checking it; ids of new claims.

        ``refused`` then lists the parcels that were not: bad ones are set aside, unreadable ones stay. Raises
        OutsideFailed where this workspace's disk fails; what was not taken in waits.
        """
        new: list[bytes] = []
        self.refused = []
        for path in self.exchange.waiting(self.did):
            try:
                parcel = FolderExchange.open(path)
            except OutsideFailed as error:
                self.refused.append((path, error))
                continue
            except BadInput as error:
                self._refuse(path, error)
                continue
            if parcel is None:
                continue
            try:
                new.extend(self._take_in(parcel))
            except (Refuted, Misuse, Undecidable) as error:
                self._refuse(path, error)
            else:
                FolderExchange.done(path)
        return tuple(new)

    def _refuse(self, path: Path, error: TrothError) -> None:
        self.refused.append((path, error))
        FolderExchange.done(path, refused=True)

    def _take_in(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Check everything, then keep everything; each piece is whole, and keeping it again is a no-op."""
        with self._turn():
            self._learn_rotations()  # another process may have taken some in
            checked = check(parcel, self.keybook, self._met, lambda claim: self.log.find(claim) is not None)
            for document, did in checked.met.items():
                path = self.root / "documents" / _short(did)
                if not path.exists():
                    with replacing(path) as out:
                        out.write(document)
            for cid, block in parcel.blocks.items():
                self.blobs.put(cid, block)
            for cid, wrapped in parcel.keys.items():
                # One that does not fit is left out: the evidence stays sealed, and what came with it still counts.
                self.keyring.offer(cid, _short(self.did), wrapped, self.blobs)
            if checked.fresh:
                self.log.append(checked.fresh)
            self.keybook = checked.keys
            self._met |= checked.met.keys()
        return tuple(envelope.id for envelope in checked.fresh)

    @contextmanager
    def _turn(self) -> Iterator[None]:
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

    # Proof

    def anchor(self) -> bytes:
        """Put the log's newest checkpoint on chain; the transaction's hash."""
        self._anchored = self.sender.send(self.contracts["anchor"].address, call_data(self.log.checkpoint())).tx_hash
        with replacing(self.root / "anchor") as out:
            out.write(self._anchored)
        return self._anchored

    def bundle(self, target: bytes, path: Path, *, block: int | None = None) -> int:
        """Write the bundle of a claim to ``path``, with public evidence and the last anchor; how many claims it holds.

        block: the block that trust files pin; the newest by default. Raises Undecidable where something the target
        rests on is not here.
        """
        receipt = None
        anchored = self.root / "anchor"
        if anchored.exists():
            # Imported here: only proofs of receipts need the chain's libraries.
            from troth.ledger.receipts import prove_receipt

            web3 = self.chain.web3
            receipt = prove_receipt(web3, anchored.read_bytes(), web3.eth.block_number if block is None else block)
        with replacing(path) as out:
            return write_bundle(out, target, log=self.log, keys=self.keybook, receipt=receipt, embed=self._public_block)

    def trust(self, roles: Mapping[str, Sequence[str]], log: LogPin, policy: Mapping[str, Any]) -> Trust:
        """A trust file from what this party knows: issuers by role, their newest documents, a log, the chain as it is.

        A document is the newest that the chain's registry names, where the issuer is there: a bundle without it is then
        an old one, even if this party never saw it. Raises Refuted for an issuer that was revoked.

        log: the party whose log bundles will come from. The caller vouches for all of it by handing it on.
        """
        web3 = self.chain.web3
        genesis, block = web3.eth.get_block(0), web3.eth.get_block("latest")
        dids = sorted({did for members in roles.values() for did in members})
        return Trust(
            {role: tuple(members) for role, members in roles.items()},
            {did: self.newest_document(did) for did in dids},
            log, Witnesses(),
            ChainPin(self.contracts.chain_id, bytes(genesis["hash"]), block["number"], bytes(block["hash"]),
                     {name: self.contracts[name].address for name in ("anchor", "book")}),
            dict(policy))

    def trace(self, target: bytes) -> Graph:
        """What a claim rests on, and what of it is stale because data was erased. Raises Undecidable if not here."""
        self.statement(target)
        return trace(self, target, [statement for _, statement in self.claims(ERASURE)])

    def recheck(self) -> Recheck:
        """Executes again, with this party's keys, what evidence handed to it allows."""
        return recheck_with(self.read)

    def _public_block(self, cid: str) -> bytes | None:
        """A public block that is small enough to travel in a bundle."""
        try:
            data = self.blobs.get(cid)
        except (Undecidable, BadInput):  # not here, or no CID: a log may hold claims from before that was checked
            return None
        return data if len(data) <= MAX_PUBLIC else None

    # Inside

    def _learn_documents(self) -> None:
        folder = self.root / "documents"
        try:
            # Anything of another name is what a killed writer left.
            paths = sorted(path for path in folder.iterdir() if _DOCUMENT.fullmatch(path.name))
            documents = {path: path.read_bytes() for path in paths}
        except OSError as error:
            raise OutsideFailed(f"the documents in {folder} cannot be read", actual=error.strerror) from None
        for path, document in documents.items():
            try:
                whole = _short(self.keybook.learn(document)) == path.name
            except (BadInput, Refuted):
                whole = False
            if not whole:
                raise BadInput(f"{path} is damaged", do="Delete it, and ask that party for its introduction again.")
            self._met.add(document)
        self._learn_own()

    def _learn_own(self) -> None:
        """This party's documents, from its keystore; a change of keys that the log does not hold yet goes in."""
        self.keybook.learn(self.identity.genesis)
        for rotation in self.identity.history.rotations:
            self.keybook.learn_rotation(rotation, taken_in)
        missing = [one for one in self.identity.history.rotations if self.log.find(one.id) is None]
        if missing:
            with self._turn():
                self.log.append([one for one in missing if self.log.find(one.id) is None])
        self._learn_rotations()

    def _learn_rotations(self) -> None:
        for claim, _ in self.claims(IDENTITY):
            if claim not in self._rotations:
                self.keybook.learn_rotation(self.envelope(claim), taken_in)
                self._rotations.add(claim)

    def _documents_of(self, issuers: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[Envelope, ...]]:
        histories = [self.keybook.history(did) for did in sorted(issuers) if self.known(did)]
        return (tuple(history.documents[0].to_bytes() for history in histories),
                tuple(rotation for history in histories for rotation in history.rotations))

    def _cids(self, cid: str) -> list[str]:
        return [str(found) for found in unixfs.cids(Cid.parse(cid), self.blobs)]

    def _recipient_public(self) -> RecipientPublic:
        return RecipientPublic(self.identity.recipients[-1].public)


def taken_in(did: str, document: Document) -> None:
    """Vouches for every recovery in this party's own log: the registry was asked before it was let in."""


def file_subject(name: str, data: bytes) -> Subject:
    """A file as a claim's subject, by its SHA-256."""
    return Subject(name, {"sha256": hashlib.sha256(data).hexdigest()})


def log_origin(did: str) -> str:
    """The origin of a party's log: no more than its DID says already."""
    return f"troth.log/{_short(did)}"


def _short(did: str) -> str:
    return hashlib.sha256(did.encode()).hexdigest()[:32]
