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

No workspace ever reads another's.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from troth.core.claims import Envelope, Evidence, Ref, Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import Clock, Recheck
from troth.core.terms import Account
from troth.core.verdicts import Report
from troth.identity import keystore
from troth.identity.binding import BINDING, bind, read_binding
from troth.identity.documents import IDENTITY, signature_pairs
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.identity.keybook import KeyBook
from troth.identity.signers import attest as sign_statement
from troth.ledger.anchors import call_data
from troth.ledger.bundling import write_bundle
from troth.ledger.checkpoints import NoteSigner
from troth.ledger.exchange import FolderExchange, Parcel
from troth.ledger.log import Log
from troth.store import unixfs
from troth.store.cid import Cid
from troth.store.commitments import commit, new_listing_key
from troth.store.files import FileBlobs, replacing
from troth.store.sealing import seal, unseal
from troth.store.wrapping import RecipientKey, RecipientPublic, unwrap, wrap
from troth.verify.attested import POLICY as ATTESTED
from troth.verify.attested import Attested
from troth.verify.bundle import verify
from troth.verify.trace import ERASURE, Graph, trace
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses

if TYPE_CHECKING:
    from troth.ledger.chains import Chain
    from troth.ledger.deploy import Contracts
    from troth.ledger.evm import EvmBook
    from troth.ledger.sending import Sender

FOLDER = ".troth"
MAX_PUBLIC = 1 << 20  # a bundle embeds public evidence of one block


class SystemTime:
    """The machine's clock."""

    def now(self) -> int:
        """Unix time in seconds."""
        return int(time.time())


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``troth.toml`` says; an environment variable ``TROTH_<SECTION>_<NAME>`` overrides each.

    name: how this party is shown. chain: URL of the chain. exchange: the folder that parcels pass through.
    """

    name: str = "me"
    chain: str = ""
    exchange: str = ""

    @classmethod
    def load(cls, path: Path, environment: Mapping[str, str]) -> Self:
        """Read settings strictly. Raises BadInput for unknown ones, Undecidable if there is no workspace."""
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Undecidable("no workspace here", expected=path, do="Make one first: troth init.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{path} cannot be read", actual=error) from None
        known = {("workspace", "name"): "name", ("chain", "url"): "chain", ("exchange", "path"): "exchange"}
        found: dict[str, str] = {}
        for section, values in given.items():
            for name, value in values.items() if isinstance(values, dict) else (("", values),):
                if (section, name) not in known or type(value) is not str:
                    raise BadInput(f"unknown setting in {path}", actual=f"[{section}] {name}",
                                   expected=", ".join(f"[{s}] {n}" for s, n in known))
                found[known[section, name]] = value
        for (section, name), attribute in known.items():
            override = environment.get(f"TROTH_{section}_{name}".upper())
            if override is not None:
                found[attribute] = override
        return cls(**found)

    def text(self) -> str:
        """The file's content."""
        return "\n".join((f"[workspace]\nname = {_quoted(self.name)}\n", f"[chain]\nurl = {_quoted(self.chain)}\n",
                          f"[exchange]\npath = {_quoted(self.exchange)}\n"))


@dataclass(frozen=True, slots=True)
class Sealing:
    """Records that were sealed and committed to: what a listing says, and the listing's key (secret)."""

    evidence: Evidence
    commitment: bytes
    key: bytes = field(repr=False)


class Troth:
    """One party's workspace. It implements ``flows.parts.Party``.

    Open one with ``Troth.open`` or make one with ``Troth.init``; one object serves one thread.
    """

    def __init__(self, root: Path, settings: Settings, identity: HybridIdentity, log_seed: bytes,
                 clock: Clock, chain: Chain | None) -> None:
        self.root, self.settings, self.identity = root, settings, identity
        self.clock = clock
        self.refused: list[tuple[Path, TrothError]] = []
        self._given_chain = chain
        self._signer = identity.signer()
        self.keybook = KeyBook()
        self._log_key = NoteSigner(log_origin(identity.did), log_seed)
        log_path = root / "log"
        self.log = Log(log_path, self._log_key) if log_path.exists() else Log.create(log_path, self._log_key)
        self.blobs = FileBlobs(root / "blocks")
        self._by_kind: dict[str, list[bytes]] = {}
        self._statements: dict[bytes, Statement] = {}
        self._scanned = 0
        self._met: set[bytes] = set()
        self._learn_documents()

    # Life

    @classmethod
    def init(cls, directory: Path, passphrase: str, settings: Settings | None = None, *,
             cost: int = keystore.DEFAULT_COST, clock: Clock | None = None, chain: Chain | None = None) -> Self:
        """Make a workspace with a new hybrid identity under ``directory``/.troth. cost: scrypt's n.

        Raises Misuse if there is one already, OutsideFailed if the disk refuses.
        """
        directory = directory.resolve()  # the settings below must not depend on where one stands
        root = directory / FOLDER
        if root.exists():
            raise Misuse(f"there is a workspace already: {root}", do="Use it, or choose another directory.")
        whole = directory.resolve()
        settings = settings or Settings(whole.name or "me", f"embedded:{whole / FOLDER / 'chain.sqlite'}",
                                        str(whole / "exchange"))
        key = RecipientKey.generate()
        identity = HybridIdentity.create(Recipient(key.public().data, key.seed))
        seed = secrets.token_bytes(32)
        content = encode({"identity": decode_object(identity.to_secrets()), "log": seed.hex()})
        try:
            for name in ("documents", "wraps"):
                (root / name).mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise OutsideFailed(f"cannot make a workspace in {directory}", actual=error.strerror) from None
        keystore.save(root / "keys.json", content, passphrase, cost=cost)
        (root / "documents" / _short(identity.did)).write_bytes(identity.genesis)
        with replacing(root / "troth.toml") as out:  # last: a workspace without settings is no workspace
            out.write(settings.text().encode())
        return cls(root, settings, identity, seed, clock or SystemTime(), chain)

    @classmethod
    def open(cls, directory: Path, passphrase: str, *, clock: Clock | None = None,
             chain: Chain | None = None) -> Self:
        """Open the workspace at or above ``directory``.

        Raises Undecidable if there is none, Misuse for a wrong passphrase, BadInput for damaged files.
        """
        root = find(directory)
        settings = Settings.load(root / "troth.toml", os.environ)
        identity, seed = take(decode_object(keystore.load(root / "keys.json", passphrase)), identity=dict, log=str)
        return cls(root, settings, HybridIdentity.from_secrets(encode(identity)), from_hex(seed, 32),
                   clock or SystemTime(), chain)

    def close(self) -> None:
        """Close files. Nothing is lost without it."""
        self.log.close()
        if self._given_chain is None and "chain" in self.__dict__:
            self.chain.close()

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
    def account(self) -> Account:
        """The party's chain account."""
        return self.identity.account.public.account

    def log_pin(self) -> LogPin:
        """What a trust file says of this party's log: origin, key, and the account that anchors it."""
        return LogPin(self.log.origin, self.log.key, self.account)

    def known(self, did: str) -> bool:
        """Whether this party's document is known here."""
        return did in self.keybook.dids()

    def bind_account(self) -> bytes:
        """Attest that this identity and its chain account belong together, both ways; the claim's id."""
        envelope = bind(self._signer, self.identity.account, self.contracts.chain_id, self.clock.now())
        self.log.append([envelope])
        return envelope.id

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
        envelope = sign_statement(statement, self._signer)
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
        sealed = seal(io.BytesIO(data), self.blobs)
        for did in (self.did, *seal_to):
            public = self.keybook.history(did).head.recipient
            if public is None:
                raise Undecidable("nothing can be sealed to this party: its document names no key", actual=did)
            wrapped = wrap(sealed.data_key, RecipientPublic(public), sealed.cid.encode())
            self._keep_wrap(str(sealed.cid), did, wrapped)
        return Evidence(name, str(sealed.cid), sealed.profile, True)

    def seal_records(self, data: bytes, records: Iterable[bytes]) -> Sealing:
        """Seal a data set to this party alone, and commit to each record under a listing key that stays here."""
        evidence = self.add("records", data, ())
        key = new_listing_key()
        commitment = commit(key, records).root
        own = wrap(key, self._recipient_public(), b"listing " + evidence.cid.encode())
        self._keep_wrap(evidence.cid, "listing", own)
        return Sealing(evidence, commitment, key)

    def read(self, evidence: Evidence) -> bytes:
        """The evidence's bytes, unsealed. Raises Undecidable where they are not here or not for this party."""
        cid, out = Cid.parse(evidence.cid), io.BytesIO()
        if not evidence.sealed:
            unixfs.export(cid, self.blobs, out)
            return out.getvalue()
        path = self._wrap_path(evidence.cid, self.did)
        if not path.exists():
            raise Undecidable("sealed, and no key for it was given to this party", actual=evidence.cid,
                              do="Ask whoever sealed it to hand it over.")
        unseal(cid, self._unwrap(path.read_bytes(), cid), self.blobs, out)
        return out.getvalue()

    def get(self, cid: str) -> bytes:
        """The bytes of a CID, unsealed where a key for it is here. Raises Undecidable."""
        return self.read(self.stored(cid))

    def stored(self, cid: str, name: str = "file") -> Evidence:
        """Bytes in this party's store as evidence for a claim. Raises Undecidable if they are not here."""
        if not self.blobs.has(str(Cid.parse(cid))):
            raise Undecidable("these bytes are not here", actual=cid, do="Add or pull them first.")
        return Evidence(name, cid, unixfs.PROFILE.name, (self.root / "wraps" / cid).is_dir())

    def evidence_here(self, claims: Iterable[bytes]) -> tuple[Evidence, ...]:
        """The evidence of these claims that is in this party's store."""
        return tuple(item for claim in claims for item in self.statement(claim).evidence if self.blobs.has(item.cid))

    def erase(self, listing: bytes) -> bytes:
        """Destroy a listing's ciphertext and every key to it here, and attest that; the erasure claim's id.

        Raises Misuse for anybody else's claim, or one that is no listing.
        """
        statement = self.statement(listing)
        if statement.issuer != self.did or statement.kind != "listing":
            raise Misuse("only whoever listed data can erase it", expected=f"a listing of {self.did}",
                         actual=f"a {statement.kind} of {statement.issuer}")
        for item in statement.evidence:
            # Keys first: without them what is left of the ciphertext says nothing.
            for wrapped in sorted((self.root / "wraps" / item.cid).glob("*")):
                wrapped.unlink()
            for cid in self._cids(item.cid):
                self.blobs.delete(cid)
        body = {"destroyed": ["ciphertext", "data key", "listing key"],
                "cids": [item.cid for item in statement.evidence]}
        return self.attest(ERASURE, statement.subjects, body, refs=[Ref("listing", listing)])

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
        return Parcel((self.identity.genesis,), (*self.identity.history.rotations,
                                                 *(self.envelope(claim) for claim in bindings[-1:])))

    def introduce(self, did: str) -> None:
        """Put this party's introduction into another's mailbox."""
        self.exchange.send(did, self.introduction())

    def meet(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Take in documents and claims handed over in person; the ids of new claims."""
        return self._take_in(parcel)

    def send(self, to: Iterable[str], claims: Iterable[bytes], evidence: Iterable[Evidence] = ()) -> None:
        """Hand claims and evidence to other parties; sealed evidence with the key wrapped to each, if there is one."""
        envelopes = tuple(self.envelope(claim) for claim in claims)
        issuers = {envelope.statement().issuer for envelope in envelopes}
        documents, rotations = self._documents_of(issuers)
        items = tuple(evidence)
        blocks = {cid: self.blobs.get(cid) for item in items for cid in self._cids(item.cid)}
        for did in to:
            paths = {item.cid: self._wrap_path(item.cid, did) for item in items if item.sealed}
            keys = {cid: path.read_bytes() for cid, path in paths.items() if path.exists()}
            self.exchange.send(did, Parcel(documents, (*rotations, *envelopes), blocks, keys))

    def receive(self) -> tuple[bytes, ...]:
        """Take in every waiting parcel after checking it; ids of new claims. Bad ones are set aside in ``refused``."""
        new: list[bytes] = []
        for path in self.exchange.waiting(self.did):
            try:
                new.extend(self._take_in(FolderExchange.open(path)))
            except (BadInput, Refuted, Misuse, Undecidable) as error:
                self.refused.append((path, error))
                FolderExchange.done(path, refused=True)
            else:
                FolderExchange.done(path)
        return tuple(new)

    def _take_in(self, parcel: Parcel) -> tuple[bytes, ...]:
        """Check everything, then keep everything."""
        book = KeyBook(self.keybook.history(did) for did in self.keybook.dids())
        met = {document: book.learn(document) for document in parcel.documents if document not in self._met}
        fresh = []
        for envelope in parcel.claims:
            statement = envelope.statement()
            if statement.kind == IDENTITY:
                book.learn_rotation(envelope)
            else:
                book.verify(statement.issuer, envelope.signed_bytes(), signature_pairs(envelope))
            if self.log.find(envelope.id) is None:
                fresh.append(envelope)
        for document, did in met.items():
            path = self.root / "documents" / _short(did)
            if not path.exists():
                with replacing(path) as out:
                    out.write(document)
        for cid, block in parcel.blocks.items():
            self.blobs.put(cid, block)
        for cid, wrapped in parcel.keys.items():
            self._keep_wrap(cid, self.did, wrapped)
        if fresh:
            self.log.append(fresh)
        self.keybook = book
        self._met |= met.keys()
        return tuple(envelope.id for envelope in fresh)

    # Chain

    @cached_property
    def chain(self) -> Chain:
        """The chain of this workspace. Raises Misuse where none is set."""
        if self._given_chain is not None:
            return self._given_chain
        if not self.settings.chain:
            raise Misuse("no chain is set", do="Set [chain] url in troth.toml or TROTH_CHAIN_URL.")
        # Imported here: the chain's libraries take a second to load, and most commands need none.
        from troth.ledger.chains import open_chain

        return open_chain(self.settings.chain)

    @cached_property
    def sender(self) -> Sender:
        """Sends this party's transactions."""
        # Imported here for the same reason.
        from troth.ledger.artefacts import artefact
        from troth.ledger.sending import Sender

        return Sender(self.chain.web3, self.identity.account.reveal_seed(), errors=artefact("Book").errors)

    @cached_property
    def contracts(self) -> Contracts:
        """The contracts this workspace uses. Raises Undecidable where it knows none."""
        # Imported here for the same reason.
        from troth.ledger.deploy import Contracts

        try:
            return Contracts.decode((self.root / "contracts.json").read_bytes())
        except FileNotFoundError:
            raise Undecidable("this workspace knows no contracts", do="Take them from whoever deployed them.") from None

    def deploy(self, *, quorum: int = 2, supply: int | None = None) -> Contracts:
        """Put the contracts on this workspace's chain and use them: a private beginning.

        quorum: how many verifiers must agree in the Rerun policy. supply: units of a demonstration token, paid to this
        party; None for no token.
        """
        # Imported here for the same reason.
        from troth.ledger.deploy import deploy

        self.use_contracts(deploy(self.sender, reruns=(quorum,), signed=(quorum,), supply=supply))
        return self.contracts

    def use_contracts(self, contracts: Contracts) -> None:
        """Remember which contracts to use."""
        with replacing(self.root / "contracts.json") as out:
            out.write(contracts.encode())
        for name in ("contracts", "book"):
            self.__dict__.pop(name, None)

    @cached_property
    def book(self) -> EvmBook:
        """The deals."""
        # Imported here for the same reason.
        from troth.ledger.evm import EvmBook, senders_of

        contracts = self.contracts
        return EvmBook(self.chain.web3, contracts["book"].address, senders_of({self.account: self.sender}),
                       chain_id=contracts.chain_id, first_block=contracts.block)

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

        log: the party whose log bundles will come from. The caller vouches for all of it by handing it on.
        """
        web3 = self.chain.web3
        genesis, block = web3.eth.get_block(0), web3.eth.get_block("latest")
        dids = sorted({did for members in roles.values() for did in members})
        return Trust(
            {role: tuple(members) for role, members in roles.items()},
            {did: self.keybook.head(did)[1] for did in dids},
            log, Witnesses(),
            ChainPin(self.contracts.chain_id, bytes(genesis["hash"]), block["number"], bytes(block["hash"]),
                     {name: self.contracts[name].address for name in ("anchor", "book")}),
            dict(policy))

    def trace(self, target: bytes) -> Graph:
        """What a claim rests on, and what of it is stale because data was erased."""
        return trace(self, target, [statement for _, statement in self.claims(ERASURE)])

    def recheck(self) -> Recheck:
        """Executes again, with this party's keys, what evidence handed to it allows."""
        return _recheck(self.read)

    def _public_block(self, cid: str) -> bytes | None:
        """A public block that is small enough to travel in a bundle."""
        try:
            data = self.blobs.get(cid)
        except Undecidable:
            return None
        return data if len(data) <= MAX_PUBLIC else None

    # Inside

    def _learn_documents(self) -> None:
        for path in sorted((self.root / "documents").iterdir()):
            document = path.read_bytes()
            self.keybook.learn(document)
            self._met.add(document)
        for rotation in self.identity.history.rotations:
            self.keybook.learn_rotation(rotation)
        for claim, _ in self.claims(IDENTITY):
            self.keybook.learn_rotation(self.envelope(claim))

    def _documents_of(self, issuers: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[Envelope, ...]]:
        histories = [self.keybook.history(did) for did in sorted(issuers) if self.known(did)]
        return (tuple(history.documents[0].to_bytes() for history in histories),
                tuple(rotation for history in histories for rotation in history.rotations))

    def _cids(self, cid: str) -> list[str]:
        return [str(found) for found in unixfs.cids(Cid.parse(cid), self.blobs)]

    def _recipient_public(self) -> RecipientPublic:
        return RecipientPublic(self.identity.recipients[-1].public)

    def _unwrap(self, wrapped: bytes, cid: Cid) -> bytes:
        """Try this party's encryption keys, newest first: what was sealed before a rotation still opens."""
        for recipient in reversed(self.identity.recipients):
            try:
                return unwrap(wrapped, RecipientKey(recipient.secret), cid.encode())
            except Undecidable as error:
                last = error
        raise last

    def _wrap_path(self, cid: str, did: str) -> Path:
        return self.root / "wraps" / str(Cid.parse(cid)) / _short(did)

    def _keep_wrap(self, cid: str, did: str, wrapped: bytes) -> None:
        path = self._wrap_path(cid, did)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with replacing(path, 0o600) as out:
            out.write(wrapped)


def verify_bundle(path: Path, trust: Trust | None, as_party: Troth | None = None) -> Report:
    """Verify a bundle file under a trust file; with a workspace, what is sealed to its owner is executed again.

    Raises BadInput where the file cannot be read, OutsideFailed where the disk fails.
    """
    # Imported here: the policies need numpy, which the command line's start-up should not pay for.
    from troth.learn.lineage import POLICY, FederatedModel

    try:
        with path.open("rb") as file:
            return verify(file, trust, policies={POLICY: FederatedModel(), ATTESTED: Attested()},
                          recheck=as_party.recheck() if as_party else _recheck(None))
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None


def _recheck(open_: Callable[[Evidence], bytes] | None) -> Recheck:
    # Imported here for the same reason.
    from troth.learn.recheck import RecheckRounds

    return RecheckRounds(open_)


def file_subject(name: str, data: bytes) -> Subject:
    """A file as a claim's subject, by its SHA-256."""
    return Subject(name, {"sha256": hashlib.sha256(data).hexdigest()})


def find(directory: Path) -> Path:
    """The workspace folder at or above ``directory``, or ``TROTH_HOME``. Raises Undecidable."""
    home = os.environ.get("TROTH_HOME")
    for place in ([Path(home)] if home else [directory, *directory.resolve().parents]):
        for root in (place / FOLDER, place):
            if (root / "troth.toml").is_file():
                return root
    raise Undecidable("no workspace here or above", expected=f"a folder {FOLDER}", actual=home or directory,
                      do="Make one: troth init. Or set TROTH_HOME.")


def log_origin(did: str) -> str:
    """The origin of a party's log: no more than its DID says already."""
    return f"troth.log/{_short(did)}"


def _short(did: str) -> str:
    return hashlib.sha256(did.encode()).hexdigest()[:32]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
