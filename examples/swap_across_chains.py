"""Alice's tokens on one chain for Bob's on another: both sides or none. Then again, with a Bob who never answers.

    python examples/swap_across_chains.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

from troth import Settings, Troth
from troth.app.swapping import Half, Wish
from troth.core.errors import Pending
from troth.flows.swap import Swap
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

PASSPHRASE = "play money"


def main(folder: Path) -> None:
    near, far = (EmbeddedChain(folder / f"{name}.chain", chain_id=number)
                 for name, number in (("near", 7_001), ("far", 7_002)))
    urls = {chain: f"embedded:{chain.path}" for chain in (near, far)}
    alice, bob = (Troth.init(folder / name, PASSPHRASE, Settings(name, urls[home], str(folder / "exchange"),
                                                                 other=urls[other]))
                  for name, home, other in (("alice", near, far), ("bob", far, near)))
    here, there = alice.deploy(supply=1_000), bob.deploy(supply=1_000)
    gives = Half(here["token"].address, 70, bob.account, finality=0)
    gets = Half(there["token"].address, 90, bob.account, finality=0)

    def purses() -> str:
        silver, gold = (Erc20(chain.web3, contracts["token"].address)
                        for chain, contracts in ((near, here), (far, there)))
        return ", ".join(f"{party.name}: {silver.balance(party.account)} silver, {gold.balance(party.account)} gold"
                         for party in (alice, bob))

    def step(party: Troth, swap: Swap) -> None:
        try:
            print(f"{party.name}: {party.swap_seat(swap).step()}")
        except Pending as pending:
            print(f"{party.name} waits: {pending.message}")

    print(purses())
    swap = Swap.decode(alice.propose_swap(Wish(gives, gets), there).encode())  # the file that Alice sends to Bob
    for party in (bob, alice, bob, alice, bob):
        step(party, swap)
    print(purses())

    swap = alice.propose_swap(Wish(gives, gets), there)
    step(alice, swap)
    step(alice, swap)
    for chain in (near, far):
        chain.advance(swap.first.period + 2)  # nobody came
    step(alice, swap)
    print(purses())
    for party in (alice, bob):
        party.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp()))
