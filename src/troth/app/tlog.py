"""A workspace's log among other logs: handing out its proofs, serving it, having it witnessed, watching others'."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from troth.core.encoding import decode_object, encode, from_hex, keccak256, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.terms import Account
from troth.identity import keystore
from troth.identity.did import checksum_address
from troth.ledger.anchors import origin_hash
from troth.ledger.bodies import MAX_BODY, body_bytes, entry_of_body
from troth.ledger.checkpoints import WITNESS_KEY, WITNESS_KEY_ML_DSA, Checkpoint, NoteSigner, Verifier
from troth.ledger.exchange import MAX_PARCEL, Parcel
from troth.ledger.journal import Entry
from troth.ledger.log import Log
from troth.ledger.logproofs import LogProof
from troth.ledger.monitor import Bodies
from troth.ledger.tiles import Tiles
from troth.ledger.webtiles import WebTiles
from troth.ledger.wire import Site

if TYPE_CHECKING:
    from troth.app import Troth

MAX_ANSWER = 64 << 20
SUITES = {"ed25519": WITNESS_KEY, "ml-dsa-44": WITNESS_KEY_ML_DSA}


def prove(log: Log, claim: bytes) -> LogProof:
    """The proof that a claim is in a log, under its newest checkpoint. Raises Undecidable if it is not there."""
    note = log.note()  # read once: another process may append meanwhile
    found = log.find(claim)
    size = Checkpoint.open(note, log.key).size
    if found is None or found.position >= size:
        raise Undecidable("this claim is not in the log", actual=claim.hex())
    return LogProof(found.position, tuple(log.inclusion(found.position, size)), note, log.leaf(found.position))


def check_proof(proof: LogProof, key: Verifier, claim: bytes | None, witnesses: Sequence[Verifier] = (),
                threshold: int = 0) -> tuple[bytes, Checkpoint]:
    """(claim id, checkpoint) that a proof shows; ``claim``: which it has to be.

    Raises BadInput for a proof without its leaf, Refuted for one of another claim, and what ``LogProof.check`` raises.
    """
    leaf = proof.extra or b""
    if len(leaf) != 64:
        raise BadInput("the proof does not carry its leaf", expected="64 bytes of extra data", actual=len(leaf))
    found = proof.check(leaf, key, witnesses, threshold)
    if claim is not None and leaf[:32] != claim:
        raise Refuted("the proof is of another claim", expected=claim.hex(), actual=leaf[:32].hex())
    return leaf[:32], found


class LogDesk:
    """What a workspace lets others do with its log over HTTP. Made and used in one thread."""

    def __init__(self, party: Troth) -> None:
        self._party = party
        self.key = party.log.key

    def body(self, position: int) -> bytes | None:
        """A claim's body; None for one that was forgotten. Raises BadInput for no position of this log."""
        log = self._party.log
        entry = log.entry(position)
        if entry.payload is None:
            return None
        return body_bytes(entry, None if entry.batch is None else log.membership(position))

    def add(self, parcel: bytes) -> bytes:
        """Take claims in, checked as ``pull`` checks them; JSON with a proof of each. No evidence comes in."""
        found = Parcel.from_bytes(parcel)
        if found.blocks or found.keys:
            raise Misuse("only claims and documents are taken in here", do="Hand evidence over by push and pull.")
        self._party.meet(found)
        proofs = [prove(self._party.log, claim.id).to_bytes().decode() for claim in found.claims]
        return encode({"proofs": proofs})


def submit(party: Troth, site: Site, key: Verifier, claims: Sequence[bytes]) -> list[LogProof]:
    """Hand claims to another's log over HTTP; the checked proofs that it holds them, in order.

    Raises what the other answers: Refuted, Misuse, Undecidable; Refuted or Undecidable for proofs that do not hold.
    """
    wanted = party.parcel(claims)
    data = wanted.to_bytes()
    if len(data) > MAX_PARCEL:
        raise Misuse("too much at once", expected=f"at most {MAX_PARCEL} bytes", actual=len(data))
    status, _, answer = site.post("add", data, "application/json", MAX_ANSWER)
    if status != 200:
        raise _refusal(site, status, answer)
    proofs = take(decode_object(answer), proofs=list)[0]
    found = [LogProof.from_bytes(one.encode() if isinstance(one, str) else b"") for one in proofs]
    by_claim = {check_proof(one, key, None)[0]: one for one in found}
    missing = [claim.hex() for claim in claims if claim not in by_claim]
    if missing:
        raise Refuted("the log proves other claims than it was handed", expected=missing[0])
    return [by_claim[claim] for claim in claims]


def _refusal(site: Site, status: int, answer: bytes) -> Refuted | Misuse | Undecidable | OutsideFailed:
    said, code = answer[:200].decode("utf-8", "replace"), 0
    with suppress(BadInput):  # another server's answer may be anything
        said, code = take(decode_object(answer), error=str, status=int)
    kinds: dict[int, type[Refuted] | type[Misuse] | type[Undecidable]] = {1: Refuted, 2: Misuse, 3: Undecidable}
    return kinds.get(code, OutsideFailed)(f"the log at {site.url} does not take it in", actual=f"HTTP {status}: {said}")


def bodies_at(tiles: Tiles, place: str, key: Verifier) -> Bodies:
    """How a monitor gets at the claims of the log at a place: over HTTP, or from the journal in a directory."""
    if isinstance(tiles, WebTiles):
        return _web_bodies(tiles.site)
    if not (Path(place) / "journal").exists():
        return lambda position, leaf: None
    log = Log(Path(place), key)

    def body(position: int, leaf: bytes) -> Entry | None:
        entry = log.entry(position)
        return None if entry.payload is None else entry

    return body


def _web_bodies(site: Site) -> Bodies:
    def body(position: int, leaf: bytes) -> Entry | None:
        data = site.get(f"claim/{position}", min(MAX_BODY, MAX_ANSWER))
        return None if data is None else entry_of_body(data, position, leaf)

    return body


def latest_anchor(party: Troth, owner: Account, origin: str) -> tuple[int, bytes]:
    """(size, root) that an account anchored last of a log on this workspace's chain. Raises Undecidable for none."""
    # Imported here: the chain's libraries take a second to load.
    from eth_typing import HexStr

    call = keccak256(b"latest(address,bytes32)")[:4] + owner.rjust(32, b"\0") + origin_hash(origin)
    contract = party.contracts["anchor"].address
    found = bytes(party.chain.web3.eth.call({"to": checksum_address(contract), "data": HexStr("0x" + call.hex())}))
    size = int.from_bytes(found[32:64], "big")
    if len(found) != 96 or not size:
        raise Undecidable("this account anchored nothing of this log", actual=f"0x{owner.hex()} {origin}")
    return size, found[:32]


def new_witness(directory: Path | str, name: str, suite: str, passphrase: str, *,
                cost: int = keystore.DEFAULT_COST) -> Verifier:
    """Make a witness: a new key, encrypted; what to pin. Raises Misuse if there is one, or for an unknown suite."""
    directory = Path(directory)
    if suite not in SUITES:
        raise Misuse("no such suite", expected=", ".join(SUITES), actual=suite)
    seed = secrets.token_bytes(32)
    key = NoteSigner(name, seed, SUITES[suite]).verifier
    if (directory / "keys.json").exists():
        raise Misuse(f"there is a witness in {directory} already", do="Use it, or choose another directory.")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideFailed(f"cannot make a witness in {directory}", actual=error.strerror) from None
    keystore.save(directory / "keys.json", encode({"name": name, "seed": seed.hex(), "suite": suite}), passphrase,
                  cost=cost)
    return key


def witness_signer(directory: Path | str, passphrase: str) -> NoteSigner:
    """The key of the witness in a directory. Raises Undecidable if there is none, Misuse for a wrong passphrase."""
    directory = Path(directory)
    name, seed, suite = take(decode_object(keystore.load(directory / "keys.json", passphrase)), name=str, seed=str,
                             suite=str)
    return NoteSigner(name, from_hex(seed, 32), SUITES[suite])

