"""Gas of the registries' acts on the embedded chain, beside what is known of ERC-1056.

Every slot is cold. The peer's figure is stated, not measured here: ERC-1056 ``setAttribute`` of 32 bytes, 51,600. It
keeps its attributes in events alone, which no contract can read.
"""

from __future__ import annotations

from typing import Any

from troth.core.encoding import keccak256
from troth.identity.hybrid import HybridIdentity
from troth.ledger.anchors import origin_hash
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import deploy
from troth.ledger.registries import REVOKED, IdentityRegistry, LogRegistry, entry_of
from troth.ledger.sending import Sender

PEER = 51_600


def run(quick: bool = False) -> dict[str, Any]:
    """Gas by act, and each act's ratio to the peer's. ``quick`` changes nothing: it takes a second."""
    chain = EmbeddedChain(None, clock=ManualClock(1_700_000_000))
    one, other = (Sender(chain.web3, keccak256(name)) for name in (b"one", b"other"))
    contracts = deploy(one, reruns=(), signed=(), anchored=(), supply=None)
    gas = _identities(IdentityRegistry(chain.web3, contracts["identities"].address), one)
    gas |= _logs(LogRegistry(chain.web3, contracts["logs"].address), one, other)
    chain.close()
    return {"gas": gas, "erc1056_set_attribute_stated": PEER,
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
        signature = registry.signed(sender.chain_id, entry, version, document, turn, now)
        gas["publish a change of keys"] = registry.update(sender, entry, document, turn, signature).gas_used
    end = registry.signed(sender.chain_id, entry, 3, REVOKED, bytes(20), identity.turn_keys()[1])
    return gas | {"revoke identity": registry.revoke(sender, entry, end).gas_used}


def _logs(registry: LogRegistry, owner: Sender, heir: Sender) -> dict[str, int]:
    entry = entry_of(origin_hash("example.org/log"), owner.account)
    return {"register log": registry.register(owner, "example.org/log", "a").gas_used,
            "offer log": registry.offer(owner, entry, heir.account).gas_used,
            "accept log": registry.accept(heir, entry, "b").gas_used}


if __name__ == "__main__":
    print(run())
