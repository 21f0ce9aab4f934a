"""A workspace: one party's keys, store, log, chain and peers, and the place where backends meet ports.

::

    .troth/
        troth.toml      settings; each also as TROTH_<SECTION>_<NAME>
        keys.json       the identity's and the log's secrets, encrypted (scrypt, AES-256-GCM)
        documents/      first documents and rotations of the identities met
        log/            the claims issued and received
        blocks/         bytes by CID
        wraps/          data keys wrapped to this party or by it, deletable
        wallet/         credentials, their identities and what was shown (troth.app.wallet)
        contracts.json  addresses of the contracts this workspace uses
        outbox.sqlite   the acts asked for on chains, and every transaction signed for them
        deals-*.sqlite  an index of a Book, made again from the chain when deleted

No workspace ever reads another's.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self

from troth.app.checking import recheck_with
from troth.app.checking import verify_bundle as verify_bundle  # part of this module's surface
from troth.app.keeping import Sealing as Sealing  # part of this module's surface
from troth.app.keeping import short
from troth.app.place import FOLDER, SETTINGS, find, making
from troth.app.place import Settings as Settings  # part of this module's surface
from troth.app.swapping import Swapping
from troth.core.claims import Envelope, Evidence, Subject
from troth.core.closing import Closing
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import Clock, Recheck
from troth.core.terms import Account
from troth.identity import keystore
from troth.identity.binding import BINDING, read_binding
from troth.identity.documents import DocumentHistory
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.ledger.anchors import anchored, call_data
from troth.ledger.bundling import write_bundle
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.checkpoints import Checkpoint, NoteSigner
from troth.ledger.exchange import Exchange, FolderExchange, Parcel
from troth.ledger.intake import check
from troth.ledger.log import Log
from troth.ledger.postoffice import PostExchange, is_address
from troth.store.files import replacing
from troth.store.wrapping import RecipientKey
from troth.verify.trace import ERASURE, WITHDRAWAL, Graph, trace
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses

if TYPE_CHECKING:
    from troth.ledger.chains import Chain

_DOCUMENT = re.compile(r"[0-9a-f]{32}")
LONGEST_RECEIVE = 60.0
MAX_PUBLIC = 1 << 20  # a bundle embeds public evidence of one block


class Troth(Swapping, Closing):
    """One party's workspace. It implements ``flows.parts.Party``.

    Open one with ``Troth.open`` or make one with ``Troth.init``; one object serves one thread.
    """

    def __init__(self, root: Path, settings: Settings, identity: HybridIdentity, log_seed: bytes,
                 clock: Clock, chain: Chain | None) -> None:
        super().__init__(root, identity, clock, NoteSigner(log_origin(identity.history), log_seed))
        self.settings = settings
        self._log_seed = log_seed
        self.refused: list[tuple[PurePath, TrothError]] = []
        self._given_chain = chain
        self._exchange: tuple[bytes, Exchange] | None = None
        self._met: set[bytes] = set()
        self._learn_documents()

    # Life

    @classmethod
    def init(cls, directory: Path | str, passphrase: str, settings: Settings | None = None, *,
             cost: int = keystore.DEFAULT_COST, clock: Clock | None = None, chain: Chain | None = None,
             make: Callable[[Recipient], HybridIdentity] = HybridIdentity.create,
             before: Sequence[Envelope] = ()) -> Self:
        """Make a workspace with a new hybrid identity under ``directory``/.troth. cost: scrypt's n.

        make: makes the identity, with a key to seal to. before: what its log begins with.

        The workspace appears whole or not at all. Raises Misuse if there is one already, OutsideFailed if the disk
        refuses.
        """
        directory = Path(directory)
        directory = directory.resolve()  # the settings below must not depend on where one stands
        root = directory / FOLDER
        settings = settings or Settings(directory.name or "me", f"embedded:{root / 'chain.sqlite'}",
                                        str(directory / "exchange"))
        text = settings.text().encode()
        with making(directory) as unfinished:
            key = RecipientKey.generate()
            identity = make(Recipient(key.public().data, key.seed))
            seed = secrets.token_bytes(32)
            content = encode({"identity": decode_object(identity.to_secrets()), "log": seed.hex()})
            for name in ("documents", "wraps"):
                (unfinished / name).mkdir(mode=0o700)
            keystore.save(unfinished / "keys.json", content, passphrase, cost=cost)
            for path, data in ((unfinished / "documents" / short(identity.did), identity.genesis),
                               (unfinished / SETTINGS, text)):
                with replacing(path) as out:
                    out.write(data)
            with Log.create(unfinished / "log", NoteSigner(log_origin(identity.history), seed)) as log:
                log.append(before)
        return cls(root, settings, identity, seed, clock or SystemClock(), chain)

    @classmethod
    def open(cls, directory: Path | str, passphrase: str, *, clock: Clock | None = None,
             chain: Chain | None = None) -> Self:
        """Open the workspace at or above ``directory``.

        Raises Undecidable if there is none, Misuse for a wrong passphrase, BadInput for damaged files.
        """
        directory = Path(directory)
        root = find(directory)
        settings = Settings.load(root / SETTINGS, os.environ)
        identity, seed = take(decode_object(keystore.load(root / "keys.json", passphrase)), identity=dict, log=str)
        return cls(root, settings, HybridIdentity.from_secrets(encode(identity)), from_hex(seed, 32),
                   clock or SystemClock(), chain)

    def again(self) -> Self:
        """This workspace once more, for another thread: the two take turns as two processes would. Close it too."""
        return type(self)(self.root, self.settings, self.identity, self._log_seed, self.clock, self._given_chain)

    def close(self) -> None:
        """Close files. Nothing is lost without it."""
        self.log.close()
        self._let_go()
        if "outbox" in self.__dict__:
            self.outbox.close()
        self.close_index()
        if self._given_chain is None and "chain" in self.__dict__:
            self.chain.close()
        if "other_chain" in self.__dict__:
            self.other_chain.close()

    def __repr__(self) -> str:
        return f"Troth({self.settings.name}, {self.did})"

    # Who

    @property
    def name(self) -> str:
        """How this party is shown."""
        return self.settings.name

    def log_pin(self) -> LogPin:
        """What a trust file says of this party's log: origin, key, and the account that anchors it."""
        return LogPin(self.log.origin, self.log.key, self.account)

    def known(self, did: str) -> bool:
        """Whether this party's document is known here."""
        return did in self.keybook.dids()

    def account_of(self, did: str) -> Account:
        """The account that a party bound itself to, by its newest binding here. Raises Undecidable without one."""
        found = None
        for _, statement in self.claims(BINDING):
            if statement.issuer == did:
                found = read_binding(statement).account
        if found is None:
            raise Undecidable("this party has bound no account", actual=did, do="Ask it for its binding claim.")
        return found

    # Others

    @property
    def exchange(self) -> Exchange:
        """The folder or the post office that parcels pass through. Raises Misuse where none is set."""
        place = self.settings.exchange
        if not place:
            raise Misuse("no exchange is set", do="Set [exchange] path in troth.toml or TROTH_EXCHANGE_PATH: a folder, "
                         "or the address of a post office.")
        keys = self.identity.history.head.digest  # a post office is asked with the keys of now
        if self._exchange is None or self._exchange[0] != keys:
            self._let_go()
            self._exchange = keys, (PostExchange(place, self._signer, self.identity.genesis,
                                                 self.identity.history.rotations)
                                    if is_address(place) else FolderExchange(Path(place)))
        return self._exchange[1]

    def _let_go(self) -> None:
        if self._exchange is not None:
            self._exchange[1].close()
            self._exchange = None

    def introduction(self) -> Parcel:
        """What others must know of this party first: its documents and its account binding, if it has one."""
        bindings = [claim for claim, statement in self.claims(BINDING) if statement.issuer == self.did]
        # The first one leads to the registry's entry, the last one to the account in use.
        said = (*self.identity.history.rotations, *map(self.envelope, {*bindings[:1], *bindings[-1:]}))
        # In the log's order: a binding from before a change of keys was signed by the keys before it.
        return Parcel((self.identity.genesis,), tuple(sorted(said, key=self.position)))

    def introduce(self, did: str) -> None:
        """Put this party's introduction into another's mailbox."""
        self.exchange.send(did, self.introduction())

    def meet(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Take in documents and claims handed over in person; the ids of new claims."""
        return self._take_in(parcel)

    def parcel(self, claims: Iterable[bytes], evidence: Iterable[Evidence] = ()) -> Parcel:
        """Claims with their issuers' documents and evidence, for anybody: without keys to what is sealed."""
        envelopes = [self.envelope(claim) for claim in claims]
        documents, rotations = self._documents_of({envelope.statement().issuer for envelope in envelopes})
        # In the log's order: what was signed before a change of keys comes before it.
        ordered = sorted({one.id: one for one in (*rotations, *envelopes)}.values(), key=self.position)
        blocks = {cid: self.blobs.get(cid) for item in evidence for cid in self._cids(item.cid)}
        return Parcel(documents, tuple(ordered), blocks)

    def send(self, to: Iterable[str], claims: Iterable[bytes], evidence: Iterable[Evidence] = ()) -> int:
        """Hand claims and evidence to other parties; sealed evidence with the key wrapped to each, if there is one.

        Returns the bytes of claims and blocks that each was sent.
        """
        items = tuple(evidence)
        parcel = self.parcel(claims, items)
        for did in to:
            wrapped = {item.cid: self.keyring.get(item.cid, short(did)) for item in items if item.sealed}
            keys = {cid: key for cid, key in wrapped.items() if key is not None}
            self.exchange.send(did, replace(parcel, keys=keys))
        return parcel.size

    def position(self, envelope: Envelope) -> int:
        """A claim's place in the log; -1 for one that is not there."""
        found = self.log.find(envelope.id)
        return -1 if found is None else found.position

    def receive(self, patience: float = 0.0) -> tuple[bytes, ...]:
        """Take in every waiting parcel after checking it; ids of new claims. patience: seconds to wait for a first one.

        ``refused`` then lists the parcels that were not: bad ones are set aside, unreadable ones stay. Raises
        OutsideFailed where this workspace's disk fails; what was not taken in waits. Whoever floods the mailbox keeps
        nobody in here: after LONGEST_RECEIVE seconds what still comes waits too.
        """
        new: list[bytes] = []
        self.refused = []
        exchange, before, end = self.exchange, set[PurePath](), time.monotonic() + patience + LONGEST_RECEIVE
        while found := [path for path in exchange.waiting(self.did, patience) if path not in before]:
            if before and time.monotonic() > end:
                break
            before.update(found)
            patience = 0.0
            new.extend(self._receive(exchange, found))
        return tuple(new)

    def _receive(self, exchange: Exchange, paths: Iterable[PurePath]) -> tuple[bytes, ...]:
        new: list[bytes] = []
        for path in paths:
            try:
                parcel = exchange.open(path)
            except OutsideFailed as error:
                self.refused.append((path, error))
                continue
            except BadInput as error:
                self._refuse(exchange, path, error)
                continue
            if parcel is None:
                continue
            try:
                new.extend(self._take_in(parcel))
            except (Refuted, Misuse, Undecidable) as error:
                self._refuse(exchange, path, error)
            else:
                exchange.done(path)
        return tuple(new)

    def _refuse(self, exchange: Exchange, path: PurePath, error: TrothError) -> None:
        self.refused.append((path, error))
        exchange.done(path, refused=True)

    def _take_in(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Check everything, then keep everything; each piece is whole, and keeping it again is a no-op."""
        with self.in_turn():
            self._learn_rotations()  # another process may have taken some in
            checked = check(parcel, self.keybook, self._met, lambda claim: self.log.find(claim) is not None,
                            self.ask_guardians)
            for document, did in checked.met.items():
                path = self.root / "documents" / short(did)
                if not path.exists():
                    with replacing(path) as out:
                        out.write(document)
            for cid, block in parcel.blocks.items():
                self.blobs.put(cid, block)
            for cid, wrapped in parcel.keys.items():
                # One that does not fit is left out: the evidence stays sealed, and what came with it still counts.
                self.keyring.offer(cid, short(self.did), wrapped, self.blobs)
            if checked.fresh:
                self.log.append(checked.fresh)
            self.keybook = checked.keys
            self._met |= checked.met.keys()
        return tuple(envelope.id for envelope in checked.fresh)

    # Proof

    def anchor(self) -> bytes:
        """Put the log's newest checkpoint on chain; the transaction's hash.

        Where it is there already the transaction is the one that put it there: whoever was killed before it was noted
        goes on. Raises ActRefused, OutsideFailed.
        """
        checkpoint = self.log.checkpoint()
        try:
            self._anchored = self.sender.send(self.contracts["anchor"].address, call_data(checkpoint)).tx_hash
        except ActRefused as refused:
            found = self._anchor_of(checkpoint) if refused.code == "NotLarger" else None
            if found is None:
                raise
            self._anchored = found
        with replacing(self.root / "anchor") as out:
            out.write(self._anchored)
        return self._anchored

    def _anchor_of(self, checkpoint: Checkpoint) -> bytes | None:
        """The transaction by which this account anchored exactly this checkpoint; None where none did."""
        made = anchored(self.chain.web3, self.contracts["anchor"].address, self.account, checkpoint.origin,
                        self.contracts.block)
        return next((event.tx_hash for event, said in made
                     if (said.size, said.root) == (checkpoint.size, checkpoint.root)), None)

    def bundle(self, target: bytes, path: Path | str, *, block: int | None = None, plain: bool = False) -> int:
        """Write the bundle of a claim to ``path``, with public evidence and the last anchor; how many claims it holds.

        block: the block that trust files pin; the newest by default. plain: without the witnesses' cosignatures.
        Raises Undecidable where something the target rests on is not here.
        """
        path = Path(path)
        receipt = None
        anchored = self.root / "anchor"
        if anchored.exists():
            # Imported here: only proofs of receipts need the chain's libraries.
            from troth.ledger.receipts import prove_receipt

            web3 = self.chain.web3
            receipt = prove_receipt(web3, anchored.read_bytes(), web3.eth.block_number if block is None else block)
        with replacing(path) as out:
            return write_bundle(out, target, log=self.log, keys=self.keybook, receipt=receipt, embed=self._public_block,
                                plain=plain)

    def trust(self, roles: Mapping[str, Sequence[str]], log: LogPin, policy: Mapping[str, Any],
              witnesses: Witnesses = Witnesses()) -> Trust:  # noqa: B008 (it is frozen)
        """A trust file from what this party knows: issuers by role, their newest documents, a log, the chain as it is.

        A document is the newest that the chain's registry names, where the issuer is there: a bundle without it is then
        an old one, even if this party never saw it. Raises Refuted for an issuer that was revoked.

        log: the party whose log bundles will come from. witnesses: who must have seen its checkpoints. The caller
        vouches for all of it by handing it on.
        """
        web3 = self.chain.web3
        genesis, block = web3.eth.get_block(0), web3.eth.get_block("latest")
        dids = sorted({did for members in roles.values() for did in members})
        return Trust(
            {role: tuple(members) for role, members in roles.items()},
            {did: self.newest_document(did) for did in dids},
            log, witnesses,
            ChainPin(self.contracts.chain_id, bytes(genesis["hash"]), block["number"], bytes(block["hash"]),
                     {name: self.contracts[name].address for name in ("anchor", "book")}),
            dict(policy))

    def trace(self, target: bytes) -> Graph:
        """What a claim rests on, and what of it is stale because data was erased or a consent withdrawn.

        Raises Undecidable if the claim is not here.
        """
        self.statement(target)
        erasures, withdrawals = ([statement for _, statement in self.claims(kind)] for kind in (ERASURE, WITHDRAWAL))
        return trace(self, target, erasures, withdrawals)

    def recheck(self) -> Recheck:
        """Executes again, with this party's keys, what evidence handed to it allows."""
        return recheck_with(self)

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
                whole = short(self.keybook.learn(document)) == path.name
            except (BadInput, Refuted):
                whole = False
            if not whole:
                raise BadInput(f"{path} is damaged", do="Delete it, and ask that party for its introduction again.")
            self._met.add(document)
        self._learn_own()

    def _documents_of(self, issuers: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[Envelope, ...]]:
        histories = [self.keybook.history(did) for did in sorted(issuers) if self.known(did)]
        return (tuple(history.documents[0].to_bytes() for history in histories),
                tuple(rotation for history in histories for rotation in history.rotations))

def file_subject(name: str, data: bytes) -> Subject:
    """A file as a claim's subject, by its SHA-256."""
    return Subject(name, {"sha256": hashlib.sha256(data).hexdigest()})


def log_origin(history: DocumentHistory) -> str:
    """The origin of a party's log: no more than its DID says already, and after a recovery that version's number.

    Whoever lost its keys lost the log's too: nobody must take the log that follows for the one before.
    """
    recovered = max(history.recoveries, default=0)
    return f"troth.log/{short(history.did)}" + (f"/{recovered}" if recovered else "")
