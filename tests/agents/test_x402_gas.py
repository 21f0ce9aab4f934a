"""Who races the shop's transaction with another use of its nonce is not served, and pays more gas than the shop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from x402_parts import Market, key_of, market

from ports.anvil import anvil, drop, mine
from troth.ledger.chains.rpc import request

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Market]:
    ether = {key_of(name).public.account: 10**21 for name in ("bank", "merchant", "cheat")}
    with anvil(accounts=ether) as chain, market(chain, tmp_path) as found:
        yield found


def waiting(place: Market, count: int) -> list[str]:
    """The hashes in the node's pool, once there are so many."""
    for _ in range(600):
        pool = request(place.chain.web3, "txpool_content")["pending"]
        found = [one["hash"] for of in pool.values() for one in of.values()]
        if len(found) == count:
            return found
        time.sleep(0.05)
    raise AssertionError("the pool stays as it is")


def test_a_double_spender_ends_poorer_than_the_shop(place: Market) -> None:
    """It sees the order in the pool, and has the nonce used for a payment to itself in a transaction before it.

    Both pay at least the same for a unit of gas: else the shop's would come first.
    """
    server, web3 = place.serve(), place.chain.web3
    place.rich("cheat")
    payment = place.payment("cheat", place.offered(server))
    mine_ = replace(payment.order, to=payment.order.owner)
    mine_ = replace(mine_, signature=key_of("cheat").sign_digest(mine_.digest(place.token.domain())))
    request(web3, "evm_setAutomine", False)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(place.present(server, payment.header()).status_code))
    asking.start()
    (theirs,) = waiting(place, 1)
    drop(place.chain, bytes.fromhex(theirs[2:]))  # this node takes what came first
    sent = web3.eth.account.sign_transaction({
        "type": 2, "chainId": place.chain.chain_id, "nonce": 0, "gas": 100_000, "value": 0, "data": mine_.data(),
        "to": web3.to_checksum_address(place.token.address), "maxFeePerGas": 0, "maxPriorityFeePerGas": 0,
    }, key_of("cheat").reveal_seed())
    web3.eth.send_raw_transaction(sent.raw_transaction)
    assert theirs in waiting(place, 2)  # the shop sends its own again
    mine(place.chain)
    asking.join(60)
    assert answers == [402]
    assert (place.runs, place.held("merchant"), place.held("cheat")) == ([], 0, 1_000)
    shop, cheat = (int(request(web3, "eth_getTransactionReceipt", one)["gasUsed"], 16) for one in (
        theirs, "0x" + bytes(sent.hash).hex()))
    print(f"\nthe shop's failed transaction: {shop} gas; the cheat's: {cheat}")
    assert cheat > shop
    request(web3, "evm_setAutomine", True)
    assert place.present(server, payment.header()).status_code == 402  # and it stays so
    assert place.runs == []
