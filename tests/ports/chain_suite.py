"""What every chain must do. A backend's test class inherits this and says how to open one.

Only JSON-RPC and ``Chain`` are used; ``advance`` moves the chain's time where a backend can.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports.contracts import BREAK, CELL, CONTEXT, FORWARD, REVERT, STORE, emitter, words
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, OutsideFailed
from troth.ledger.chains import Chain
from troth.ledger.chains.rpc import RpcError, get_logs, request
from troth.ledger.receipts import prove_receipt, verify_receipt
from troth.ledger.sending import Sender, call

ALICE_KEY, BOB_KEY = b"\xa1" * 32, b"\xb0" * 32
ALICE, BOB = (bytes.fromhex(Account.from_key(key).address[2:]) for key in (ALICE_KEY, BOB_KEY))
ETHER = 10**18
MANY_BACKENDS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.differing_executors]}
"""One property, run by each backend's class: an example found by one may not fail for another, and should not."""
TOO_POOR = {
    "type": "error",
    "name": "TooPoor",
    "inputs": [{"name": "has", "type": "uint256"}, {"name": "who", "type": "address"}],
}
TOO_POOR_SELECTOR = bytes.fromhex("9c5f4281")


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


class ChainSuite(ABC):
    """Inherit, implement ``make`` and ``advance``.

    refuses_other_ids: whether transactions signed for another chain id are refused (EIP-155), as they should be.
    """

    refuses_other_ids = True

    @abstractmethod
    def make(self) -> Chain:
        """A new chain on which ALICE holds 10 ether."""

    @abstractmethod
    def advance(self, chain: Chain, seconds: int) -> None:
        """Move the chain's time forward."""

    @pytest.fixture
    def chain(self) -> Iterator[Chain]:
        with self.make() as chain:
            yield chain

    @pytest.fixture
    def alice(self, chain: Chain) -> Sender:
        return Sender(chain.web3, ALICE_KEY, errors=[TOO_POOR])

    # -- blocks and transactions -----------------------------------------------------------------------------------

    def test_a_sent_transaction_is_found_everywhere(self, chain: Chain, alice: Sender) -> None:
        eth = chain.web3.eth
        receipt = alice.send(BOB, value=5)
        assert eth.get_balance(chain.web3.to_checksum_address(BOB)) == 5
        block = eth.get_block(receipt.block_number, full_transactions=True)
        assert bytes(block["hash"]) == receipt.block_hash
        assert [bytes(tx["hash"]) for tx in block["transactions"]] == [receipt.tx_hash]
        assert eth.get_transaction(receipt.tx_hash)["value"] == 5
        assert eth.get_transaction_receipt(receipt.tx_hash)["gasUsed"] == receipt.gas_used == 21_000
        assert eth.get_transaction_count(chain.web3.to_checksum_address(ALICE)) == 1
        parent = eth.get_block(block["parentHash"])
        assert parent["number"] == receipt.block_number - 1
        assert parent["timestamp"] <= block["timestamp"]

    def test_signed_by_the_usual_library_all_three_types(self, chain: Chain) -> None:
        eth = chain.web3.eth
        common = {"to": chain.web3.to_checksum_address(BOB), "value": 1, "gas": 30_000, "chainId": eth.chain_id}
        kinds: list[dict[str, Any]] = [
            {"gasPrice": 10**9},
            {"gasPrice": 10**9, "accessList": [{"address": hexed(BOB), "storageKeys": [hexed(bytes(32))]}]},
            {"maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 10**9, "type": 2},
        ]
        for nonce, fields in enumerate(kinds):
            signed = Account.sign_transaction(common | fields | {"nonce": nonce}, ALICE_KEY)
            tx_hash = eth.send_raw_transaction(signed.raw_transaction)
            assert tx_hash == signed.hash
            receipt, tx = eth.wait_for_transaction_receipt(tx_hash), eth.get_transaction(tx_hash)
            assert (receipt["status"], receipt["type"], tx["type"]) == (1, nonce, nonce)
            assert tx["from"] == receipt["from"] == chain.web3.to_checksum_address(ALICE)
        assert eth.get_balance(chain.web3.to_checksum_address(BOB)) == 3

    def test_refused_transactions_change_nothing(self, chain: Chain) -> None:
        eth = chain.web3.eth
        good = {
            "to": chain.web3.to_checksum_address(BOB), "value": 1, "gas": 30_000, "chainId": eth.chain_id,
            "gasPrice": 10**9, "nonce": 0,
        }  # fmt: skip
        head = eth.block_number
        cases: list[tuple[dict[str, Any], str]] = [
            ({"chainId": eth.chain_id + 1}, "chain id"),
            ({"gas": 20_999}, "intrinsic gas|gas"),
            ({"gas": 10**12}, "gas"),
            ({"value": 11 * ETHER}, "insufficient|funds|balance"),
        ]
        for change, message in cases[0 if self.refuses_other_ids else 1 :]:
            raw = Account.sign_transaction(good | change, ALICE_KEY).raw_transaction
            with pytest.raises(RpcError, match=f"(?i){message}"):
                request(chain.web3, "eth_sendRawTransaction", hexed(bytes(raw)))
        raw = hexed(bytes(Account.sign_transaction(good, ALICE_KEY).raw_transaction))
        request(chain.web3, "eth_sendRawTransaction", raw)
        with pytest.raises(RpcError, match=r"(?i)already|nonce too low"):
            request(chain.web3, "eth_sendRawTransaction", raw)
        eth.wait_for_transaction_receipt(keccak256(bytes.fromhex(raw[2:])))  # anvil mines a moment after it answers
        other = Account.sign_transaction(good | {"value": 2}, ALICE_KEY).raw_transaction
        with pytest.raises(RpcError, match=r"(?i)nonce"):
            request(chain.web3, "eth_sendRawTransaction", hexed(bytes(other)))
        for broken in ("0x", "0xc0", "0x02c0", "0x05ff", raw[:-2], raw + "00"):
            with pytest.raises(RpcError):
                request(chain.web3, "eth_sendRawTransaction", broken)
        assert eth.block_number == head + 1

    def test_what_is_not_there(self, chain: Chain) -> None:
        nothing = hexed(bytes(32))
        assert request(chain.web3, "eth_getTransactionByHash", nothing) is None
        assert request(chain.web3, "eth_getTransactionReceipt", nothing) is None
        assert request(chain.web3, "eth_getBlockByNumber", "0xffffff", False) is None
        assert request(chain.web3, "eth_getBlockByHash", nothing, False) is None
        assert request(chain.web3, "eth_getBlockReceipts", "0xffffff") is None
        with pytest.raises(RpcError) as caught:
            request(chain.web3, "eth_noSuchMethod")
        assert caught.value.code == -32601
        for method, parameters in (("eth_getBalance", ["0x12", "latest"]), ("eth_getBalance", []), ("eth_call", ["x"])):
            with pytest.raises(RpcError) as caught:
                request(chain.web3, method, *parameters)
            assert caught.value.code == -32602

    def test_what_a_chain_says_of_itself(self, chain: Chain, alice: Sender) -> None:
        eth = chain.web3.eth
        assert chain.chain_id == eth.chain_id
        assert chain.genesis_hash == bytes(eth.get_block(0)["hash"])
        receipt = alice.send(BOB, value=5)
        found = chain.finality()
        assert (found.latest.number, found.latest.hash) == (receipt.block_number, receipt.block_hash)
        assert found.latest.timestamp == eth.get_block("latest")["timestamp"] <= chain.now()
        for tag, place in (("safe", found.safe), ("finalized", found.finalized)):
            if place is not None:
                assert place.number <= found.latest.number
                assert place.hash == bytes(eth.get_block(tag)["hash"])
        self.advance(chain, 5_000)
        assert chain.now() >= found.latest.timestamp + 5_000

    # -- calls -----------------------------------------------------------------------------------------------------

    def test_past_states_answer(self, chain: Chain, alice: Sender) -> None:
        cell = alice.deploy(CELL)
        assert cell.contract is not None
        blocks = [alice.send(cell.contract, words(value)).block_number for value in (7, 8, 9)]
        fields = {"to": hexed(cell.contract)}
        for block, value in zip(blocks, (7, 8, 9), strict=True):
            assert int(request(chain.web3, "eth_call", fields, hex(block)), 16) == value
            assert int(request(chain.web3, "eth_getStorageAt", hexed(cell.contract), "0x0", hex(block)), 16) == value
        assert int(request(chain.web3, "eth_call", fields, "latest"), 16) == 9
        assert int(request(chain.web3, "eth_call", fields, hex(cell.block_number)), 16) == 0
        before = hex(cell.block_number - 1)
        assert request(chain.web3, "eth_getCode", hexed(cell.contract), before) == "0x"
        assert request(chain.web3, "eth_call", fields, before) == "0x"
        assert request(chain.web3, "eth_getTransactionCount", hexed(ALICE), before) == "0x0"
        assert request(chain.web3, "eth_getTransactionCount", hexed(ALICE), hex(blocks[0])) == "0x2"

    def test_the_context_a_contract_sees(self, chain: Chain, alice: Sender) -> None:
        contract = alice.deploy(CONTEXT).contract
        assert contract is not None
        self.advance(chain, 1_000)
        seen = bytes.fromhex(request(chain.web3, "eth_call", {"to": hexed(contract)}, "pending")[2:])
        number, timestamp, chain_id, *_ = (int.from_bytes(seen[at : at + 32], "big") for at in range(0, 96, 32))
        head = chain.web3.eth.get_block("latest")
        assert (number, chain_id) == (head["number"] + 1, chain.web3.eth.chain_id)
        assert timestamp >= head["timestamp"] + 1_000
        assert seen[224:256] == bytes(head["hash"])
        written = alice.send(contract, b"\1").block_number
        block = chain.web3.eth.get_block(written)
        assert timestamp <= block["timestamp"] <= timestamp + 60
        assert int(request(chain.web3, "eth_getStorageAt", hexed(contract), "0x1", "latest"), 16) == block["timestamp"]
        past = bytes.fromhex(request(chain.web3, "eth_call", {"to": hexed(contract)}, hex(written))[2:])
        assert int.from_bytes(past[:32], "big") == written
        assert int.from_bytes(past[32:64], "big") == block["timestamp"]

    def test_a_revert_says_why(self, chain: Chain, alice: Sender) -> None:
        contract = alice.deploy(REVERT).contract
        assert contract is not None
        head = chain.web3.eth.block_number
        custom = TOO_POOR_SELECTOR + words(3, int.from_bytes(BOB, "big"))
        with pytest.raises(ActRefused, match="has = 3, who = 0x" + BOB.hex()) as caught:
            alice.send(contract, custom)
        assert caught.value.code == "TooPoor"
        with pytest.raises(ActRefused) as caught:
            alice.send(contract, bytes.fromhex("08c379a0") + words(32, 6) + b"no way".ljust(32, b"\0"))
        assert (caught.value.code, caught.value.message) == ("Error", "Error: reason = no way")
        with pytest.raises(ActRefused) as caught:
            alice.send(contract, b"\1\2\3\4")
        assert caught.value.code == "0x01020304"
        with pytest.raises(ActRefused, match="without saying why"):
            alice.send(contract)
        with pytest.raises(OutsideFailed, match="panic 0x11"):
            alice.send(contract, bytes.fromhex("4e487b71") + words(0x11))
        assert chain.web3.eth.block_number == head
        with pytest.raises(ActRefused) as caught:  # mined all the same, since the limit is given
            alice.send(contract, custom, gas=100_000)
        assert caught.value.code == "TooPoor"
        assert chain.web3.eth.block_number == head + 1
        with pytest.raises(ActRefused):
            call(chain.web3, contract, custom, errors=[TOO_POOR])

    def test_a_revert_reaches_web3_with_its_data(self, chain: Chain, alice: Sender) -> None:
        from web3.exceptions import ContractCustomError, ContractLogicError

        contract = alice.deploy(REVERT).contract
        assert contract is not None
        target = chain.web3.to_checksum_address(contract)
        with pytest.raises(ContractCustomError) as custom:
            chain.web3.eth.call({"to": target, "data": TOO_POOR_SELECTOR + words(3, 4)})
        assert custom.value.data == hexed(TOO_POOR_SELECTOR + words(3, 4))
        message = bytes.fromhex("08c379a0") + words(32, 6) + b"no way".ljust(32, b"\0")
        with pytest.raises(ContractLogicError, match="no way"):
            chain.web3.eth.estimate_gas({"to": target, "data": message})

    def test_a_broken_contract_is_no_refusal(self, chain: Chain, alice: Sender) -> None:
        contract = alice.deploy(BREAK).contract
        assert contract is not None
        with pytest.raises(OutsideFailed) as caught:
            alice.send(contract)
        assert not isinstance(caught.value, ActRefused)

    def test_an_estimate_suffices_and_little_less_does_not(self, chain: Chain, alice: Sender) -> None:
        store, forward = alice.deploy(STORE).contract, alice.deploy(FORWARD).contract
        assert store is not None
        assert forward is not None
        inner = int.from_bytes(store, "big")
        deep = words(int.from_bytes(forward, "big"), inner, 5, 6)
        for to, data in ((store, words(1, 2)), (forward, words(inner, 3, 4)), (forward, deep)):
            fields = {"from": hexed(ALICE), "to": hexed(to), "data": hexed(data)}
            limit = int(request(chain.web3, "eth_estimateGas", fields), 16)
            with pytest.raises(RpcError):
                request(chain.web3, "eth_call", fields | {"gas": hex(limit - limit // 25 - 2_301)}, "latest")
            assert alice.send(to, data, gas=limit).gas_used <= limit

    # -- logs and filters ------------------------------------------------------------------------------------------

    def emit(self, sender: Sender, contracts: dict[int, bytes], topics: tuple[int, ...], data: bytes) -> None:
        size = len(topics)
        if size not in contracts:
            made = sender.deploy(emitter(size)).contract
            assert made is not None
            contracts[size] = made
        sender.send(contracts[size], words(*topics) + data, gas=100_000)

    @settings(max_examples=8, **MANY_BACKENDS)
    @given(data=st.data())
    def test_log_queries_against_brute_force(self, data: st.DataObject) -> None:
        with self.make() as chain:
            alice, contracts = Sender(chain.web3, ALICE_KEY), dict[int, bytes]()
            topic = st.integers(0, 2)
            events = data.draw(st.lists(st.lists(topic, max_size=4), max_size=8))
            for at, topics in enumerate(events):
                self.emit(alice, contracts, tuple(topics), bytes((at,)))
            everything = get_logs(chain.web3)
            assert [event.log.data for event in everything] == [bytes((at,)) for at in range(len(events))]
            head = chain.web3.eth.block_number
            option = st.one_of(st.none(), topic.map(words), st.lists(topic.map(words), min_size=1, max_size=2))
            for _ in range(12):
                wanted = data.draw(st.lists(option, max_size=4))
                addresses = data.draw(st.lists(st.sampled_from([*contracts.values(), BOB]), max_size=2))
                first, last = data.draw(st.integers(0, head)), data.draw(st.integers(0, head))
                expected = [
                    event
                    for event in everything
                    if first <= event.block_number <= last
                    and (not addresses or event.log.address in addresses)
                    and len(event.log.topics) >= len(wanted)
                    and all(
                        allowed is None or found in ([allowed] if isinstance(allowed, bytes) else allowed)
                        for allowed, found in zip(wanted, event.log.topics, strict=False)
                    )
                ]
                if first > last:
                    assert expected == []
                    continue
                found = get_logs(chain.web3, addresses=addresses, topics=wanted, first=first, last=last)
                assert list(found) == expected

    def test_log_queries_refuse_what_they_cannot_read(self, chain: Chain) -> None:
        for query in (
            {"blockHash": hexed(bytes(32)), "fromBlock": "0x0"},
            {"address": "0x12"},
            {"topics": ["0x12"]},
            {"topics": [None] * 5},
            {"fromBlock": "soon"},
        ):
            with pytest.raises(RpcError):
                request(chain.web3, "eth_getLogs", query)

    def test_filters_tell_each_thing_once(self, chain: Chain, alice: Sender) -> None:
        contracts: dict[int, bytes] = {}
        self.emit(alice, contracts, (1,), b"before")
        logs = chain.web3.eth.filter({"topics": [hexed(words(1))]})
        blocks = chain.web3.eth.filter("latest")
        assert logs.get_new_entries() == []
        self.emit(alice, contracts, (1,), b"one")
        self.emit(alice, contracts, (2,), b"other")
        assert [bytes(entry["data"]) for entry in logs.get_new_entries()] == [b"one"]
        assert logs.get_new_entries() == []
        head = chain.web3.eth.get_block("latest")
        told = [bytes(digest) for digest in blocks.get_new_entries()]
        assert told == [bytes(head["parentHash"]), bytes(head["hash"])]
        assert blocks.get_new_entries() == []
        assert request(chain.web3, "eth_uninstallFilter", logs.filter_id) is True
        with pytest.raises(RpcError, match="filter not found"):
            request(chain.web3, "eth_getFilterChanges", logs.filter_id)

    # -- proofs ----------------------------------------------------------------------------------------------------

    def test_receipts_are_provable_to_a_later_block(self, chain: Chain, alice: Sender) -> None:
        contracts: dict[int, bytes] = {}
        self.emit(alice, contracts, (1, 2), b"proven")
        event = get_logs(chain.web3)[-1]
        for value in (1, 2):
            alice.send(BOB, value=value)
        head = chain.web3.eth.get_block("latest")
        proof = prove_receipt(chain.web3, event.tx_hash, head["number"])
        verified = verify_receipt(proof, bytes(head["hash"]))
        assert verified.logs == (event.log,)
        assert (verified.block_number, verified.status) == (event.block_number, True)
        assert verified.timestamp == chain.web3.eth.get_block(event.block_number)["timestamp"]
