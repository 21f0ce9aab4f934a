"""A small story of claims, and a toolkit for attackers: every part of its bundle can be changed and written again.

Nothing here goes through ``Log`` or ``write_bundle``: the maker of a log may be the attacker, so trees, notes, blocks
and receipts are built by hand. ``story(edit)`` lets an insider change a claim *before* it is logged and anchored.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from troth.core import merkle
from troth.core.claims import (
    PAYLOAD_TYPE,
    Evidence,
    Ref,
    Signature,
    Statement,
    Subject,
    batch_statement,
    claim_id,
    pae,
    seal_of_member,
    seal_of_signatures,
)
from troth.core.encoding import keccak256, sha256, take
from troth.core.ports import Finding
from troth.core.verdicts import Outcome
from troth.identity.hybrid import HybridIdentity
from troth.identity.signers import Ed25519Signer
from troth.ledger import bundle
from troth.ledger.anchors import event_topic, origin_hash
from troth.ledger.bundle import BundleReader, BundleWriter, RawAnchor
from troth.ledger.chains import rlpcodec as rlp
from troth.ledger.chains.blocks import Header, Log, Receipt, single_root
from troth.ledger.checkpoints import WITNESS_KEY, Checkpoint, Note, NoteSigner, cosign
from troth.ledger.receipts import ReceiptProof
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses
from troth.verify.view import raw_cid

ORIGIN = "lab.example/log"
CONTRACT = bytes(range(20))
OWNER = b"\x0a" * 20
CHAIN = 7777
LISTING = b"age,label\n41,0\n57,1\n"
SEALED_CID = raw_cid(sha256(b"ciphertext"))


def seed(name: str) -> bytes:
    """32 bytes that depend on the name alone."""
    return hashlib.sha256(name.encode()).digest()


@lru_cache
def party(name: str) -> HybridIdentity:
    """A hybrid identity, always the same one for a name."""
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{name} {count}".encode()).digest(size)

    return HybridIdentity.create(random=random)


@lru_cache
def rotated(name: str) -> tuple:
    """The same identity after one change of keys, and the claim that says so."""
    return party(name).rotate(1_700_000_000, random=lambda size: hashlib.shake_256(name.encode() * 2).digest(size))


@dataclass
class Rec:
    """A claim to be logged or bundled. ``batch``: (the batch claim's id, place) of a member."""

    payload: bytes
    signatures: list[tuple[str, bytes]] | None = None
    batch: tuple[bytes, int] | None = None

    @property
    def id(self) -> bytes:
        return claim_id(self.payload)

    def leaf(self) -> bytes:
        seal = (seal_of_member(*self.batch) if self.batch
                else seal_of_signatures(Signature(*one) for one in self.signatures or []))
        return self.id + seal


def say(signer, kind: str, body: dict, refs=(), evidence=(), at: int = 1_700_000_100) -> Rec:
    """A signed claim."""
    payload = statement(signer.did, kind, body, refs, evidence, at).to_bytes()
    return sign(signer, payload)


def statement(did: str, kind: str, body: dict, refs=(), evidence=(), at: int = 1_700_000_100) -> Statement:
    subject = Subject(kind, {"sha256": sha256(kind.encode()).hex()})
    return Statement(kind, did, at, (subject,), body, tuple(Ref(role, claim) for role, claim in refs), tuple(evidence))


def sign(signer, payload: bytes) -> Rec:
    return Rec(payload, list(signer.sign(pae(PAYLOAD_TYPE, payload))))


@dataclass
class Parts:
    """Everything in a bundle, to be changed at will. ``claims``: (position, Rec, number of the batch claim or -1)."""

    target: bytes
    documents: list[bytes]
    note: bytes
    claims: list[tuple[int, Rec, int]]
    tree: list[bytes]
    proofs: list[list[bytes]]
    anchor: RawAnchor | None
    blobs: list[bytes] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        out = io.BytesIO()
        writer = BundleWriter(out, self.target)
        writer.section(b"IDEN", bundle.list_of(self.documents))
        writer.section(b"NOTE", [self.note])
        records = [len(self.claims).to_bytes(4, "big")]
        for position, rec, batch in self.claims:
            if rec.batch is not None:
                records.append(bundle.member_record(position, batch, rec.batch[1], rec.payload))
            else:
                records.append(bundle.signed_record(position, [v for _, v in rec.signatures or []], rec.payload))
        writer.section(b"CLMS", records)
        writer.section(b"TREE", self.tree)
        writer.section(b"BTCH", [bundle.hashes_of(proof) for proof in self.proofs])
        writer.section(b"ANCH", [] if self.anchor is None else bundle.anchor_parts(self.anchor))
        writer.section(b"BLOB", [len(blob).to_bytes(4, "big") + blob for blob in self.blobs])
        return out.getvalue()

    def number(self, claim: bytes) -> int:
        """Where in the bundle a claim is."""
        return [rec.id for _, rec, _ in self.claims].index(claim)


class Chain:
    """Blocks with at most one transaction each, linked by hash."""

    def __init__(self, seed: bytes = b"genesis") -> None:
        self.headers: list[bytes] = []
        self.receipts: list[bytes] = []
        self._extra = seed
        self.mine(())

    def mine(self, logs: tuple[Log, ...], status: bool = True) -> int:
        """A block holding one transaction with these events; its number."""
        receipt = Receipt(2, status, 21_000, logs).encode()
        parent = keccak256(self.headers[-1]) if self.headers else bytes(32)
        number = len(self.headers)
        fields = (parent, bytes(32), bytes(20), bytes(32), bytes(32), single_root(receipt), bytes(256), b"",
                  rlp.integer(number), rlp.integer(30_000_000), rlp.integer(21_000),
                  rlp.integer(1_700_000_000 + number), self._extra, bytes(32), bytes(8))
        self.headers.append(Header(fields).encode())
        self.receipts.append(receipt)
        return number

    def prove(self, number: int) -> ReceiptProof:
        receipt = self.receipts[number]
        return ReceiptProof(tuple(self.headers[number:]), (rlp.encode((b"\x20\x80", receipt)),), 0, receipt)


def anchored(origin: str, size: int, root: bytes, contract: bytes = CONTRACT, owner: bytes = OWNER) -> Log:
    """The event of the Anchor contract."""
    return Log(contract, (event_topic(), bytes(12) + owner, origin_hash(origin)), size.to_bytes(32, "big") + root)


@dataclass
class Ledger:
    """A log in memory. ``signed_as``: the name of the key that signs it, if that is not the origin."""

    origin: str = ORIGIN
    key: str = "log"
    entries: list[Rec] = field(default_factory=list)
    witness: str | None = "witness"
    signed_as: str | None = None

    def add(self, rec: Rec) -> Rec:
        self.entries.append(rec)
        return rec

    def node(self, size: int | None = None) -> merkle.Node:
        return merkle.node_of([merkle.leaf_hash(rec.leaf()) for rec in self.entries[:size]])

    def root(self, size: int) -> bytes:
        return merkle.root_at(size, self.node(size))

    def note(self, size: int) -> bytes:
        text = Checkpoint(self.origin, size, self.root(size)).text()
        note = Note(text, (NoteSigner(self.signed_as or self.origin, seed(self.key)).sign(text),)).to_bytes()
        if self.witness:
            note = cosign(note, NoteSigner("witness.example", seed(self.witness), WITNESS_KEY), 1_700_000_500)
        return note

    def position(self, claim: bytes) -> int:
        return [rec.id for rec in self.entries].index(claim)

    def parts(self, target: bytes, claims: list[bytes], documents: list[bytes], *, anchored_size: int, size: int,
              chain: Chain | None = None, blobs: list[bytes] | None = None,
              owner: bytes = OWNER) -> tuple[Parts, Chain]:
        """The bundle of these claims. The chain gets the anchor's block and two more."""
        positions = sorted(map(self.position, claims))
        recs = [self.entries[position] for position in positions]
        numbers = {rec.id: number for number, rec in enumerate(recs)}
        rows = [(position, rec, numbers[rec.batch[0]] if rec.batch else -1)
                for position, rec in zip(positions, recs, strict=True)]
        proofs = []
        for rec in recs:
            places = sorted(one.batch[1] for one in recs if one.batch and one.batch[0] == rec.id)
            if places:
                whole = {one.batch[1]: one.id for one in self.entries if one.batch and one.batch[0] == rec.id}
                leaves = [merkle.leaf_hash(whole[place]) for place in range(len(whole))]
                proofs.append(merkle.multi_proof(places, len(leaves), merkle.node_of(leaves)))
        chain = chain or Chain()
        number = chain.mine((anchored(self.origin, anchored_size, self.root(anchored_size), owner=owner),))
        chain.mine(())
        chain.mine(())
        consistency = tuple(merkle.consistency_proof(anchored_size, size, self.node(size)))
        tree = merkle.multi_proof(positions, size, self.node(size))
        return Parts(target, documents, self.note(size), rows, tree, proofs,
                     RawAnchor(consistency, chain.prove(number)), list(blobs or [])), chain


@dataclass
class Story:
    """The honest bundle's parts, what it is made of, and the trust file of somebody who should believe it."""

    ledger: Ledger
    chain: Chain
    parts: Parts
    trust: Trust
    names: dict[str, bytes]


Edit = Callable[[str, Rec], Rec]


def story(edit: Edit = lambda name, rec: rec, *, ledger: Ledger | None = None, chain: Chain | None = None,
          suffix: str = "", owner: bytes = OWNER, after: Callable[[Ledger], None] = lambda ledger: None) -> Story:
    """A clinic lists data, changes its keys and sends updates in a batch; a lab aggregates and publishes a model.

    edit(name, claim) may replace a claim before it is logged. suffix: other parties under the same roles.
    """
    lab, clinic = party("lab" + suffix), party("clinic" + suffix)
    clinic_now, rotation = rotated("clinic" + suffix)
    ledger = ledger or Ledger()
    names: dict[str, bytes] = {}

    def log(name: str, rec: Rec) -> Rec:
        rec = ledger.add(edit(name, rec))
        names[name] = rec.id
        return rec

    log("noise", say(lab.signer(), "noise", {"n": 1}))
    log("listing", say(clinic.signer(), "listing", {"rows": 2}, evidence=[
        Evidence("listing", raw_cid(sha256(LISTING)), "raw", False), Evidence("records", SEALED_CID, "raw", True)]))
    log("rotation", Rec(rotation.payload, [(one.method, one.value) for one in rotation.signatures]))
    payloads = [edit(f"update {n}", Rec(statement(clinic.did, "update", {"value": n}, [("data", names["listing"])]
                                                  ).to_bytes())).payload for n in range(3)]
    head = batch_statement(clinic.did, 1_700_000_200, list(map(claim_id, payloads))).to_bytes()
    batch = log("batch", sign(clinic_now.signer(), head))
    for n, payload in enumerate(payloads):
        log(f"member {n}", Rec(payload, None, (batch.id, n)))
    log("more noise", say(lab.signer(), "noise", {"n": 2}))
    log("aggregate", say(lab.signer(), "aggregate", {"sum": 2}, [
        ("update", names["member 0"]), ("update", names["member 2"]), ("data", names["listing"])]))
    log("model", say(lab.signer(), "model", {"sum": 2}, [("aggregate", names["aggregate"])]))
    log("late noise", say(lab.signer(), "noise", {"n": 3}))
    anchored_size = len(ledger.entries) - 1
    after(ledger)
    wanted = [names[name] for name in ("listing", "rotation", "batch", "member 0", "member 2", "aggregate", "model")]
    documents = [one.genesis for one in sorted((lab, clinic), key=lambda one: one.did)]
    parts, chain = ledger.parts(names["model"], wanted, documents, anchored_size=anchored_size,
                                size=len(ledger.entries), chain=chain, blobs=[LISTING], owner=owner)
    return Story(ledger, chain, parts, trust_for(chain, suffix), names)


def trust_for(chain: Chain, suffix: str = "") -> Trust:
    """Whoever trusts lab, clinic, their log and the chain up to its last block now."""
    lab, clinic = party("lab" + suffix), party("clinic" + suffix)
    witness = NoteSigner("witness.example", seed("witness"), WITNESS_KEY).verifier
    return Trust(
        roles={"aggregator": (lab.did,), "hospital": (clinic.did,)},
        documents={lab.did: lab.history.head.digest, clinic.did: rotated("clinic" + suffix)[0].history.head.digest},
        log=LogPin(ORIGIN, NoteSigner(ORIGIN, seed("log")).verifier, OWNER),
        witnesses=Witnesses(1, (witness,)),
        chain=ChainPin(CHAIN, keccak256(chain.headers[0]), len(chain.headers) - 1, keccak256(chain.headers[-1]),
                       {"anchor": CONTRACT}),
        policy={"name": "sums"},
    )


class Sums:
    """A policy: the aggregate's sum is that of the updates it refers to, and the model's is the aggregate's."""

    says = {"aggregate": frozenset({"aggregator"}), "model": frozenset({"aggregator"}),  # noqa: RUF012
            "update": frozenset({"hospital"}), "listing": frozenset({"hospital"})}

    def judge(self, view, roles, settings):
        model = view.statement(view.target)
        take(dict(model.body), sum=int)
        aggregate = view.statement(model.ref("aggregate"))
        total = sum(view.statement(claim).body["value"] for claim in aggregate.all_refs("update"))
        right = total == aggregate.body["sum"] == model.body["sum"]
        return (Finding("sums", Outcome.UPHELD if right else Outcome.REFUTED, f"updates sum to {total}"),)


class Silent:
    """A policy that has nothing to say."""

    says: dict = {}  # noqa: RUF012

    def judge(self, view, roles, settings):
        return (Finding("silent", None, "no opinion"),)


class Opens:
    """A re-execution that can open everything, and finds every listing's records to be as ``found`` says."""

    def __init__(self, found: Outcome) -> None:
        self.found = found

    def recheck(self, view):
        return tuple(Finding(f"listing {claim.hex()[:8]}", self.found, "its records were counted again")
                     for claim, _ in view.statements("listing"))


POLICIES = {"sums": Sums(), "silent": Silent()}


def outsider() -> Ed25519Signer:
    """Somebody with a key, named nowhere."""
    return Ed25519Signer(seed("outsider"))


def reread(data: bytes) -> Parts:
    """The parts of a bundle's bytes; signature names are not in the file, and stay empty here."""
    reader = BundleReader(io.BytesIO(data))
    ids: list[bytes] = []
    claims = []
    for raw in reader.claims():
        ids.append(claim_id(raw.payload))
        rec = (Rec(raw.payload, None, (ids[raw.batch], raw.place)) if raw.signatures is None
               else Rec(raw.payload, [("", value) for value in raw.signatures]))
        claims.append((raw.position, rec, raw.batch))
    return Parts(reader.target, list(reader.documents()), reader.note(), claims, list(reader.tree()),
                 [list(proof) for proof in reader.batch_proofs()], reader.anchor(), [b for _, _, b in reader.blobs()])


__all__ = ["Parts", "Rec", "Story", "replace", "story"]
