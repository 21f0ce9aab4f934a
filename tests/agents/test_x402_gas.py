"""Who races the shop's transaction with another use of the same nonce is not served, and loses more than the shop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from x402_parts import Market, key_of, market

from ports.anvil import anvil, mine
from troth.ledger.chains.rpc import request

pytestmark = pytest.mark.slow
TIP = 10**9


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Market]:
    ether = {key_of(name).public.account: 10**21 for name in ("bank", "merchant", "cheat")}
    with anvil(accounts=ether) as chain, market(chain, tmp_path) as found:
        yield found


def test_a_double_spender_ends_poorer_than_the_shop(place: Market) -> None:
    server, web3 = place.serve(), place.chain.web3
    place.rich("cheat")
    payment = place.payment("cheat", place.offered(server))
    cheat = replace(payment.order, to=payment.order.owner)
    cheat = replace(cheat, signature=key_of("cheat").sign_digest(cheat.digest(place.token.domain())))
    request(web3, "evm_setAutomine", False)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(place.present(server, payment.header()).status_code))
    asking.start()
    while not int(request(web3, "txpool_status")["pending"], 16):
        pass
    (theirs,) = next(iter(request(web3, "txpool_content")["pending"].values())).values()
    fee = int(theirs["maxFeePerGas"], 16) + TIP
    sent = web3.eth.account.sign_transaction({
        "type": 2, "chainId": place.chain.chain_id, "nonce": 0, "gas": 100_000, "to": web3.to_checksum_address(
            place.token.address), "value": 0, "data": cheat.data(), "maxFeePerGas": fee,
        "maxPriorityFeePerGas": int(theirs["maxPriorityFeePerGas"], 16) + TIP}, key_of("cheat").reveal_seed())
    web3.eth.send_raw_transaction(sent.raw_transaction)
    mine(place.chain)
    asking.join(60)
    request(web3, "evm_setAutomine", True)
    assert answers == [402]
    assert (place.runs, place.held("merchant"), place.held("cheat")) == ([], 0, 1_000)

    def cost(tx_hash: str) -> tuple[int, int]:
        found = request(web3, "eth_getTransactionReceipt", tx_hash)
        gas = int(found["gasUsed"], 16)
        return gas, gas * int(found["effectiveGasPrice"], 16)

    shop, racer = cost(theirs["hash"]), cost("0x" + sent.hash.hex().removeprefix("0x"))
    print(f"\nthe shop's failed transaction: {shop[0]} gas; the cheat's: {racer[0]}")
    assert racer[0] > shop[0]
    assert racer[1] > shop[1]
