"""Run by the peers' own interpreter: ask a witness to cosign, check a log proof, cosign with ML-DSA-44."""

from __future__ import annotations

import json
import sys


def feed(given: dict[str, str]) -> str:
    """aics-witness's client submits a log's checkpoint to a witness: the cosignature it accepted."""
    from aics_tlog.checkpoint import checkpoint_from_note
    from aics_tlog.remote import HttpTileReader
    from aics_tlog.tiles import consistency_proof_from_tiles
    from aics_tlog.verified import VerifiedTileReader
    from aics_witness.feeder import WitnessClient

    reader = HttpTileReader([given["log"]])
    note = reader.read_checkpoint()
    found = checkpoint_from_note(note)[0]

    def proof(old: int, new: int) -> list[bytes]:
        return consistency_proof_from_tiles(VerifiedTileReader(reader, found.size, found.root), old, new)

    with WitnessClient(given["witness"], given["witness_key"]) as client:
        return client.submit(note, proof)


def check(given: dict[str, object]) -> dict[str, object]:
    """proofbundle checks a C2SP tlog-proof with witnesses."""
    from proofbundle.tlogproof import verify_tlog_proof

    return verify_tlog_proof(str(given["proof"]), bytes.fromhex(str(given["leaf"])), str(given["key"]),
                             given["witnesses"], threshold=int(str(given["threshold"])))


def cosign(given: dict[str, str]) -> dict[str, str]:
    """proofbundle cosigns a checkpoint with ML-DSA-44."""
    from cryptography.hazmat.primitives.asymmetric import mldsa
    from proofbundle.checkpoint import cosign_checkpoint_mldsa, cosign_vkey_mldsa

    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(given["seed"]))
    return {"note": cosign_checkpoint_mldsa(given["note"], key, given["name"], int(given["time"])),
            "key": cosign_vkey_mldsa(given["name"], key.public_key().public_bytes_raw())}


if __name__ == "__main__":
    print(json.dumps({"feed": feed, "check": check, "cosign": cosign}[sys.argv[1]](json.load(sys.stdin)), default=str))
