"""Writing ``did:webvh`` logs: the first entry, updates, rotations, moves, the end, and witnesses' approvals.

What is written is read again by the rules of ``webvh`` before it is given out, so nothing leaves here that others must
refuse. Publishing is putting the bytes where ``read_webvh(did)[1].url(LOG)`` says, witness file first.

Source: did:webvh v1.0 (DIF), "Create", "Update", "Deactivate" and "Witnessing a DID Version Update".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from troth.core.encoding import jcs_of, read_foreign
from troth.core.errors import Misuse
from troth.identity.integrity import MethodKey, Options, prove
from troth.identity.keys import Ed25519KeyPair, PublicKey
from troth.identity.multibase import multibase_base58
from troth.identity.resolution import MOST_DOCUMENT, read_time, write_time
from troth.identity.webaddress import read_address
from troth.identity.webvh import METHOD, PLACEHOLDER, WebvhLog, hash58

Document = dict[str, Any]


def multikey(key: PublicKey) -> str:
    """An update key as a log names it."""
    return multibase_base58(key.multikey)


def committed(key: PublicKey) -> str:
    """A key to come as ``nextKeyHashes`` commits to it."""
    return hash58(multikey(key).encode())


def create(place: str, document: Callable[[str], Document], pair: Ed25519KeyPair, now: int,
           parameters: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """A new identifier and its log's first entry.

    place: ``HOST[%3APORT][:PATH…]``. document: makes the document of the identifier it is given, whose SCID is still a
    placeholder; it gets its ``id`` here. pair: the update key. now: Unix seconds. parameters: more of the method's,
    such as ``nextKeyHashes``, ``witness``, ``portable``. Raises BadInput or Refuted where no such log can be.
    """
    read_address(place, labels=2)
    did = f"did:webvh:{PLACEHOLDER}:{place}"
    said = {"updateKeys": [multikey(pair.public)], **(parameters or {}), "method": METHOD, "scid": PLACEHOLDER}
    entry = {"versionId": PLACEHOLDER, "versionTime": write_time(now), "parameters": said,
             "state": document(did) | {"id": did}}
    scid = hash58(jcs_of(entry))
    known = read_foreign(jcs_of(entry).replace(PLACEHOLDER.encode(), scid.encode()), MOST_DOCUMENT)
    data = _line(known, f"1-{hash58(jcs_of(known))}", pair)
    WebvhLog.read(data, now)
    return did.replace(PLACEHOLDER, scid), data


def update(log: bytes, pair: Ed25519KeyPair, now: int, document: Document | None = None,
           parameters: Mapping[str, Any] | None = None) -> bytes:
    """The log with one entry more, signed by ``pair``.

    document: the new one, the old one by default; with another ``id`` it moves. parameters: those that change. Raises
    Refuted where this key may not, or the log's rules forbid it, BadInput for what cannot be said.
    """
    last = WebvhLog.read(log, now).entries[-1]
    moment = max(now, int(last.time.timestamp()) + 1)
    entry = {"versionId": last.version_id, "versionTime": write_time(moment), "parameters": dict(parameters or {}),
             "state": last.document if document is None else document}
    number = int(last.version_id.partition("-")[0]) + 1
    data = log.removesuffix(b"\n") + b"\n" + _line(entry, f"{number}-{hash58(jcs_of(entry))}", pair)
    WebvhLog.read(data, now)
    return data


def rotate(log: bytes, pair: Ed25519KeyPair, following: Sequence[PublicKey], now: int,
           old: Ed25519KeyPair | None = None, document: Document | None = None) -> bytes:
    """The log with ``pair`` as its update key from here on.

    following: keys to commit to for the time after; none ends pre-rotation. old: the key in force, which signs where
    there is no pre-rotation; with it the new key signs, as the log committed to it. Raises as ``update``, and Misuse
    without a key that could sign.
    """
    prepared = bool(WebvhLog.read(log, now).entries[-1].parameters.next_hashes)
    signer = pair if prepared else old
    if signer is None:
        raise Misuse("without pre-rotation the key in force signs the change", do="Give the old key pair too.")
    return update(log, signer, now, document, {"updateKeys": [multikey(pair.public)],
                                               "nextKeyHashes": [committed(key) for key in following]})


def deactivate(log: bytes, pair: Ed25519KeyPair, now: int) -> bytes:
    """The log with its end: no entry may follow. Raises as ``update``."""
    prepared = bool(WebvhLog.read(log, now).entries[-1].parameters.next_hashes)
    keys = {"updateKeys": [multikey(pair.public)], "nextKeyHashes": []} if prepared else {"updateKeys": []}
    return update(log, pair, now, None, {**keys, "deactivated": True})


def approve(log: bytes, pair: Ed25519KeyPair, now: int) -> dict[str, Any]:
    """A witness's approval of the newest version, and of all before it: a row of ``did-witness.json``.

    The whole log is checked first. Raises as ``WebvhLog.read``, Misuse for a key that is no witness of this log.
    """
    read = WebvhLog.read(log, now)
    name = f"did:key:{multikey(pair.public)}"
    last = read.entries[-1]
    if not any(name in entry.required.dids for entry in read.entries if entry.required):
        raise Misuse("no witness of this log", actual=name)
    row = {"versionId": last.version_id}
    return row | {"proof": [_proof(row, pair, last.said)]}


def witness_file(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A ``did-witness.json`` of approvals, the rows of one version together."""
    joined: dict[str, list[Any]] = {}
    for row in rows:
        joined.setdefault(row["versionId"], []).extend(row["proof"])
    return jcs_of([{"versionId": name, "proof": proofs} for name, proofs in joined.items()])


def _line(entry: dict[str, Any], version_id: str, pair: Ed25519KeyPair) -> bytes:
    signed = entry | {"versionId": version_id}
    return jcs_of(signed | {"proof": [_proof(signed, pair, entry["versionTime"])]}) + b"\n"


def _proof(document: dict[str, Any], pair: Ed25519KeyPair, created: str) -> dict[str, Any]:
    text = multikey(pair.public)
    return prove(document, MethodKey(f"did:key:{text}#{text}", pair), Options(int(read_time(created).timestamp())))
