"""Writing, reading and verifying claims of 1 KB, as ratios to the goal, to ``rfc8785`` and to bare signatures.

Every rate is the best of several passes over the same distinct claims, one thread; peers run in the same passes. The
goals are those of attesting: 40,000 claims a second, better 100,000, from Python objects to the log and back.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import rfc8785

from troth.core import claims, encoding
from troth.core.claims import Evidence, Ref, Statement, Subject
from troth.identity import keys
from troth.identity.documents import signature_pairs
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.signers import attest

LIMIT, GOAL = 40_000, 100_000
ISSUER = "did:peer:4zQmd19G2cGPL5YY8cYVuV9DsYrgTqjAUcaihrEqz9ia9w8p"


def statement(index: int) -> Statement:
    """One of many distinct claims of about 1 KB: what a training update says."""
    digest = hashlib.sha256(str(index).encode()).hexdigest()
    body = {"deal": digest, "loss": str(index * 7), "model": digest, "norm": index * 3, "ok": True, "round": index,
            "rows": 4000, "scale": 16, "shape": [30, 16, 2], "note": "the weights of one site after training " * 4}
    return Statement("update", ISSUER, 1_700_000_000 + index, (Subject(f"update-{index}", {"sha256": digest}),), body,
                     (Ref("round", bytes.fromhex(digest)), Ref("model", bytes.fromhex(digest))),
                     (Evidence("weights", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
                               "unixfs-v1-2025", True),))


def rates(work: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]], passes: int) -> dict[str, float]:
    """Items a second of each job, the best of ``passes`` interleaved passes, so that a busy moment hits all alike."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(passes):
        for name, (job, items) in work.items():
            gc.collect()
            start = time.perf_counter()
            for item in items:
                job(item)
            best[name] = min(best[name], (time.perf_counter() - start) / len(items))
    return {name: 1 / seconds for name, seconds in best.items()}


def run(quick: bool = False) -> dict[str, Any]:
    """Rates and their ratios. quick: fewer claims and passes."""
    count, passes = (2_000, 3) if quick else (20_000, 7)
    said = [statement(index) for index in range(count)]
    payloads = [item.to_bytes() for item in said]
    values = [orjson.loads(payload) for payload in payloads]
    few = count // 20
    owner = HybridIdentity.create()
    book = KeyBook([owner.history])
    envelope = attest(Statement("update", owner.did, 1, said[0].subjects, said[0].body), owner.signer())
    message, signatures = envelope.signed_bytes(), signature_pairs(envelope)
    pairs = {suite: keys.key_pair(suite, b"\x01" * 32) for suite in (keys.ED25519, keys.SECP256K1, keys.ML_DSA_65)}
    made = {suite: pair.sign(message) for suite, pair in pairs.items()}
    found = rates({
        "write": (Statement.to_bytes, said),
        "read": (Statement.from_bytes, payloads),
        "fields_of": (claims.fields_of, payloads),
        "claim_id": (claims.claim_id, payloads),
        "write_and_id": (lambda item: claims.claim_id(item.to_bytes()), said),
        "fields_and_id": (lambda payload: (claims.fields_of(payload), claims.claim_id(payload)), payloads),
        "encode": (encoding.encode, values),
        "rfc8785": (rfc8785.dumps, values[:few]),
        "hybrid_verify": (lambda _: book.verify(owner.did, message, signatures), values[:few]),
        **{f"{suite}_sign": (lambda _, pair=pair: pair.sign(message), values[:few]) for suite, pair in pairs.items()},
        **{f"{suite}_verify": (lambda _, pair=pair, value=made[suite]: pair.public.verify(message, value),
                               values[:few]) for suite, pair in pairs.items()},
    }, passes)
    return {
        "claim_bytes": sum(map(len, payloads)) // count,
        "claims": count,
        "per_second": {name: round(rate) for name, rate in found.items()},
        "ratios": {
            "write_and_id_to_limit": found["write_and_id"] / LIMIT,
            "write_and_id_to_goal": found["write_and_id"] / GOAL,
            "fields_and_id_to_limit": found["fields_and_id"] / LIMIT,
            "fields_and_id_to_goal": found["fields_and_id"] / GOAL,
            "read_to_limit": found["read"] / LIMIT,
            "encode_to_rfc8785": found["encode"] / found["rfc8785"],
            "write_to_rfc8785": found["write"] / found["rfc8785"],
            "hybrid_verify_to_its_two_signatures": found["hybrid_verify"] / (
                1 / (1 / found["ed25519_verify"] + 1 / found["ml-dsa-65_verify"])),
        },
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
