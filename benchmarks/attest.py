"""Gas of putting a claim on chain, alone and in batches, beside EAS's ``attest``, ``timestamp``, ``multiTimestamp``.

EAS is deployed as compiled in its npm package, fetched into build/peers for the measurement only. Ours is an anchor:
one root for any number of claims, each with an inclusion proof off chain. What EAS stores of an attestation it can
answer on chain; an anchored claim has to be brought with its proof. All slots are cold and new, but for what is said.

Run: python -m benchmarks attest
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from benchmarks.votes import call_data
from troth.core.encoding import keccak256
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.anchors import anchor
from troth.ledger.artefacts import artefact
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.deploy import create
from troth.ledger.sending import Sender

PACKAGE, VERSION = "@ethereum-attestation-service/eas-contracts", "1.9.0"
PLACE = Path(__file__).parents[1] / "build" / "peers"
BATCH, TIMESTAMPS = 10_000, 100
DATA = bytes(range(1, 65))
"""What an attestation carries: two words, such as a digest and a reference."""


def peer(name: str) -> bytes:
    """Creation code of one of EAS's contracts as its package has it."""
    PLACE.mkdir(parents=True, exist_ok=True)
    packed = PLACE / f"{PACKAGE[1:].replace('/', '-')}-{VERSION}.tgz"
    if not packed.exists():
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", str(PLACE), f"{PACKAGE}@{VERSION}"],
                       check=True, capture_output=True)
    with tarfile.open(packed) as files:
        found = files.extractfile(f"package/artifacts/contracts/{name}.sol/{name}.json")
        assert found is not None
        return bytes.fromhex(json.loads(found.read())["bytecode"][2:])


def run(quick: bool = False) -> dict[str, Any]:
    """Gas a claim."""
    chain = EmbeddedChain(None, clock=ManualClock(1_700_000_000))
    sender = Sender(chain.web3, Secp256k1KeyPair(keccak256(b"attester")).reveal_seed())
    registry, _ = create(sender, peer("SchemaRegistry"))
    eas, _ = create(sender, peer("EAS"), ("address", registry))
    schema = sender.send(registry, call_data("register", ("string", "address", "bool"), "bytes32 digest, bytes32 ref",
                                        bytes(20), True)).logs[0].log.topics[1]
    request = ("bytes32", "(address,uint64,bool,bytes32,bytes,uint256)")
    attest = call_data("attest", (f"({','.join(request)})",), (schema, (sender.account, 0, True, bytes(32), DATA, 0)))
    many = [keccak256(n.to_bytes(4, "big")) for n in range(1, TIMESTAMPS + 1)]
    theirs = {
        "EAS attest": sender.send(eas, attest).gas_used,
        "EAS timestamp": sender.send(eas, call_data("timestamp", ("bytes32",), keccak256(b"one"))).gas_used,
        f"EAS multiTimestamp of {TIMESTAMPS}, each":
            sender.send(eas, call_data("multiTimestamp", ("bytes32[]",), many)).gas_used / TIMESTAMPS,
    }
    forwarder, _ = create(sender, artefact("Forwarder").bytecode)
    place, _ = create(sender, artefact("Anchor").bytecode, ("address", forwarder))
    first = anchor(sender, place, Checkpoint("example.org/log", 1, keccak256(b"1"))).gas_used
    later = anchor(sender, place, Checkpoint("example.org/log", 1 + BATCH, keccak256(b"2"))).gas_used
    chain.close()
    ours = {"anchor, a log's first": first, "anchor, a later one": later,
            f"anchored claim in a batch of {BATCH:,}": later / BATCH}
    return {"gas": {**ours, **theirs}, "batched claim": later / BATCH,
            "EAS attestations for the price of one later anchor": round(later / theirs["EAS attest"], 3)}
