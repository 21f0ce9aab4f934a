"""Gas of the registries' acts, and of a deal that rests on another chain's claim, on the embedded chain.

Every slot is cold. The peer's figure is stated, not measured here: ERC-1056 ``setAttribute`` of 32 bytes, 51,600. It
keeps its attributes in events alone, which no contract can read.
"""

from __future__ import annotations

from typing import Any

from benchmarks.gas import CLAIM, HOUR, Bench
from troth.core import merkle
from troth.core.encoding import keccak256
from troth.core.terms import UPHELD, Answered, Ask, Pot, Result, Rung, Split, Terms, climber
from troth.identity.hybrid import HybridIdentity
from troth.ledger.anchors import anchor, origin_hash
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.deploy import deploy
from troth.ledger.registries import REVOKED, IdentityRegistry, LogRegistry, entry_of
from troth.ledger.sending import Sender
from troth.verify.policies.anchored import Block, Proof, Shown, prove, prove_anchored, witness_data

PEER = 51_600


def run(quick: bool = False) -> dict[str, Any]:
    """Gas by act, and each act's ratio to the peer's. ``quick`` changes nothing: it takes two seconds."""
    chain = EmbeddedChain(None, clock=ManualClock(1_700_000_000))
    one, other = (Sender(chain.web3, keccak256(name)) for name in (b"one", b"other"))
    contracts = deploy(one, reruns=(), signed=(), anchored=(), supply=None)
    gas = _identities(IdentityRegistry(chain.web3, contracts["identities"].address), one)
    gas |= _logs(LogRegistry(chain.web3, contracts["logs"].address), one, other)
    chain.close()
    across, size = _across()
    return {"gas": gas, "across_chains_gas": across, "proof_bytes": size, "erc1056_set_attribute_stated": PEER,
            "ratio_to_erc1056": {name: round(used / PEER, 2) for name, used in gas.items()}}


def _identities(registry: IdentityRegistry, sender: Sender) -> dict[str, int]:
    identity = HybridIdentity.create()
    first = identity.history.head.digest
    entry, following = entry_of(first, sender.account), identity.turn_keys()[1]
    gas = {"register identity": registry.register(sender, first, following.public.account).gas_used}
    for version in (1, 2):
        identity, _ = identity.rotate(version)
        now, following = identity.turn_keys()
        document, turn = identity.history.head.digest, following.public.account
        signature = registry.signed(entry, version, document, turn, now)
        gas["publish a change of keys"] = registry.update(sender, entry, document, turn, signature).gas_used
    end = registry.signed(entry, 3, REVOKED, bytes(20), identity.turn_keys()[1])
    return gas | {"revoke identity": registry.revoke(sender, entry, end).gas_used}


def _logs(registry: LogRegistry, owner: Sender, heir: Sender) -> dict[str, int]:
    entry = entry_of(origin_hash("example.org/log"), owner.account)
    return {"register log": registry.register(owner, "example.org/log", "a").gas_used,
            "offer log": registry.offer(owner, entry, heir.account).gas_used,
            "accept log": registry.accept(heir, entry, "b").gas_used}


def _anchored(size: int = 1 << 10) -> tuple[Proof, Block]:
    """A claim in the middle of a log of ``size``, anchored on a chain of its own: the proof, and its block."""
    web3 = EmbeddedChain(None, clock=ManualClock(1_600_000_000), chain_id=7408).web3
    sender = Sender(web3, keccak256(b"anchoring"))
    contract = deploy(sender, reruns=(), signed=(), anchored=(), supply=None)["anchor"].address
    leaves = [keccak256(b"claim %d" % at) + bytes(32) for at in range(size)]
    node = merkle.node_of([merkle.leaf_hash(leaf) for leaf in leaves])
    sent = anchor(sender, contract, Checkpoint("example.org/log", size, merkle.root_at(size, node)))
    place = size // 2
    shown = Shown(sender.chain_id, bytes(web3.eth.get_block(0)["hash"]), contract, sender.account,
                  origin_hash("example.org/log"), leaves[place][:32])
    proof = prove_anchored(web3, sent.tx_hash, shown, leaves[place], place,
                           lambda anchored: merkle.inclusion_proof(place, anchored, node))
    block = prove(shown.param(), proof.to_bytes())
    assert block is not None
    return proof, block


def _across() -> tuple[dict[str, int], int]:
    """A challenged deal whose second rung rests on the other chain by two of three witnesses: gas of that rung."""
    bench, (proof, block) = Bench(), _anchored()
    client, worker, rival = (bench.holder(name) for name in ("client", "worker", "rival"))
    seats = tuple(bench.holder(f"witness {at}") for at in range(3))
    named = bench.contracts.named
    pots = (Pot("reward", client, 1000, {UPHELD: Split((worker,), weights=(1,))}),
            Pot("fee", climber(1), 60, {UPHELD: Answered(1)}))
    first, second = named["assumed"], named["anchored:2"]
    terms = Terms(bench.token.address, pots, (
        Rung(first.address, first.codehash, (Ask("result", (worker,), HOUR),), HOUR, HOUR, 100, UPHELD),
        Rung(second.address, second.codehash, (Ask("proof", (worker,), HOUR), Ask("witness", seats, HOUR)), HOUR,
             param=proof.shown.param())), bench.chain.now() + HOUR, bench.actor("court"))
    deal = bench.open("", client, terms)
    bench.act("", client, bench.book.join, deal, 0)
    bench.act("", worker, bench.book.submit, deal, 0, 0, CLAIM, Result(UPHELD).to_bytes())
    bench.act("", rival, bench.book.judge, deal)
    bench.act("", rival, bench.book.challenge, deal)
    bench.notes.clear()
    (part,) = proof.parts(1)
    bench.act("bring the proof", worker, bench.book.submit, deal, 0, 0, CLAIM, part)
    for seat in seats:
        bench.act("witness the block", seat, bench.book.submit, deal, 1, 0, CLAIM,
                  witness_data(block, bench.keys[seat]))
    bench.act("judge by proof and three witnesses", rival, bench.book.judge, deal)
    return dict(bench.notes), len(part)


if __name__ == "__main__":
    print(run())
