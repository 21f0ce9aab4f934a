"""Resolving identifiers a second by method, against the raw cost of the signatures inside, in the same run.

One thread, nothing over a network: what a host or a node takes to answer is theirs. A ``did:webvh`` log costs a
signature and two canonical forms a version; the ratio says how many times a bare Ed25519 check one version is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from troth.identity import webvh_write as write
from troth.identity.did import ChainAccount, key_did, peer4
from troth.identity.ethr import ATTRIBUTE, Change, EthrDid, fold
from troth.identity.hybrid import HybridIdentity
from troth.identity.keydids import KeyMethod, LongPeerMethod, PkhMethod, read_any_key
from troth.identity.keys import Ed25519KeyPair, Ed25519PublicKey, MlDsa65KeyPair, Secp256k1KeyPair
from troth.identity.web import WebMethod
from troth.identity.webvh import WebvhLog, WebvhMethod, Witnesses

NOW = 1_780_000_000
SEED = bytes(range(32))
P256 = "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv"


class _Files:
    """``Fetch`` from memory, and a clock that stands."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    def fetch(self, url: str, most: int) -> bytes:
        return self._files[url.rpartition("/")[2].replace(".", "_").replace("-", "_")]

    def now(self) -> int:
        return NOW


def rate(act: Callable[[], object], seconds: float) -> float:
    """How often a second, the best of three passes."""
    act()
    best = 0.0
    for _ in range(3):
        done, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds:
            act()
            done += 1
        best = max(best, done / spent)
    return best


def log_of(entries: int, witnesses: int = 0) -> tuple[str, bytes, bytes]:
    """A log with pre-rotation and a change of keys in every version, and its witness file."""
    pairs = [Ed25519KeyPair(number.to_bytes(32, "big")) for number in range(1, entries + 2)]
    by = [Ed25519KeyPair(bytes([200 + number]) * 32) for number in range(witnesses)]
    more: dict[str, Any] = {"nextKeyHashes": [write.committed(pairs[1].public)]}
    if by:
        more["witness"] = Witnesses(witnesses, tuple(key_did(pair.public) for pair in by)).to_dict()
    did, data = write.create("example.com", lambda did: {"verificationMethod": [
        {"id": f"{did}#key", "type": "Multikey", "controller": did,
         "publicKeyMultibase": write.multikey(pairs[0].public)}]}, pairs[0], NOW - entries, more)
    for number in range(1, entries):
        data = write.rotate(data, pairs[number], [pairs[number + 1].public], NOW - entries + number)
    return did, data, write.witness_file([write.approve(data, pair, NOW) for pair in by])


def changes_of(count: int) -> list[Change]:
    """That many keys set in a registry."""
    name = b"did/pub/Ed25519/veriKey/base64".ljust(32, b"\0")
    return [Change(at + 1, 0, ATTRIBUTE, name, at.to_bytes(32, "big"), NOW + 1, at) for at in range(count)]


def run(quick: bool = False) -> dict[str, Any]:
    """Resolutions and raw signature checks a second, and what a version of a log costs in checks."""
    seconds, entries = (0.05, 10) if quick else (0.4, 100)
    pair = Ed25519KeyPair(SEED)
    message, signature = b"x" * 64, pair.sign(b"x" * 64)
    own = pair.public
    raw = {"Ed25519 check": rate(lambda: own.verify(message, signature), seconds),
           "Ed25519 load and check": rate(lambda: Ed25519PublicKey(own.raw).verify(message, signature), seconds)}
    ml_dsa = key_did(MlDsa65KeyPair(SEED).public)
    long = peer4(HybridIdentity.create().genesis)[1]
    account = ChainAccount(1, Secp256k1KeyPair(SEED).public.account).did
    web = "did:web:example.com"
    one, of_one, _ = log_of(1)
    many, of_many, _ = log_of(entries)
    seen, of_seen, approved = log_of(entries, 3)
    identity, changes = EthrDid.read("did:ethr:0x" + "aa" * 20), changes_of(entries)
    document = json.dumps({"id": web, "verificationMethod": [{"id": "#a", "type": "Multikey"}]}).encode()
    key, files = KeyMethod(), _Files
    acts: dict[str, Callable[[], object]] = {
        "did:key Ed25519": lambda: key.resolve(key_did(pair.public)),
        "did:key P-256": lambda: key.resolve(P256),
        "did:key ML-DSA-65": lambda: key.resolve(ml_dsa),
        "did:pkh": lambda: PkhMethod().resolve(account),
        "did:peer:4 long, hybrid": lambda: LongPeerMethod().resolve(long),
        "did:web": lambda: WebMethod(files(did_json=document)).resolve(web),
        "did:webvh, 1 version": lambda: WebvhMethod(files(did_jsonl=of_one), files()).resolve(one),
        f"did:webvh, {entries} versions": lambda: WebvhMethod(files(did_jsonl=of_many), files()).resolve(many),
        f"did:webvh, {entries} versions, 3 witnesses": lambda: WebvhMethod(
            files(did_jsonl=of_seen, did_witness_json=approved), files()).resolve(seen),
        f"did:ethr, {entries} changes folded": lambda: fold(identity, 1, changes, NOW),
    }
    assert read_any_key(ml_dsa).kind.name == "ml-dsa-65"
    assert len(WebvhLog.read(of_many, NOW).entries) == entries
    resolved = {name: rate(act, seconds) for name, act in acts.items()}
    version = resolved[f"did:webvh, {entries} versions"] * entries
    return {"raw_per_second": raw, "resolved_per_second": resolved,
            "webvh_versions_per_second": version,
            "webvh_version_to_ed25519_check": raw["Ed25519 check"] / version,
            "log_bytes_per_version": len(of_many) // entries}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
