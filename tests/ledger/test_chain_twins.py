"""The embedded chain against anvil: the same signed transactions, and then the same receipts, logs, gas, state.

The embedded chain runs first; its blocks are sent to anvil one by one, each at its own time, and everything that does
not depend on the parent's hash is compared: receipts, transactions, the roots over them, and each account's nonce,
balance, code and storage. Both ask for no base fee, so prices are equal too. Hashes and state roots are not: anvil
writes each block's hash into a system contract (EIP-2935) that the embedded chain does not have, and counts slots that
were set back to zero as part of a storage trie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import coincurve
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.parts import BENCH, CLIENT, HOUR, RIVAL, WORKER, begin, claims, simple
from ledger.test_chain_accounts import ACTORS as PEOPLE
from ledger.test_chain_accounts import RUNTIMES, STEPS
from ports import anvil as tools
from ports.anvil import anvil
from ports.books import key
from ports.chain_suite import ALICE, ALICE_KEY, BOB, BOB_KEY, ETHER, TOO_POOR_SELECTOR, hexed
from ports.contracts import CELL, CONTEXT, FORWARD, REVERT, STORE, TOKEN, creation, emitter, words
from ports.evm_world import EvmWorld
from troth.core.terms import REFUTED, Result
from troth.ledger.chains.anvil import AnvilChain
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import RpcError, request
from troth.ledger.chains.transactions import (
    ACCESS_LIST,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
    account_of,
    contract_address,
)

GENESIS = 1_700_000_000
HEADER = ("number", "gasUsed", "gasLimit", "timestamp", "logsBloom", "transactionsRoot", "receiptsRoot", "miner",
          "baseFeePerGas", "difficulty", "nonce", "extraData", "withdrawalsRoot", "requestsHash")  # fmt: skip
PLACED = ("blockHash",)
ALICES, BOBS = coincurve.PrivateKey(ALICE_KEY), coincurve.PrivateKey(BOB_KEY)


@pytest.fixture(scope="module")
def node() -> Iterator[AnvilChain]:
    with anvil("--no-mining", "--disable-default-create2-deployer", genesis_time=GENESIS) as chain:
        yield chain


@pytest.fixture
def twin(node: AnvilChain) -> Iterator[AnvilChain]:
    """The node as it was when it started, and again afterwards."""
    name = tools.snapshot(node)
    yield node
    tools.revert(node, name)


def without_place(value: Any) -> Any:
    """A receipt or transaction without the block's hash."""
    if isinstance(value, dict):
        return {name: without_place(part) for name, part in value.items() if name not in PLACED}
    return [without_place(part) for part in value] if isinstance(value, list) else value


def ask(chain: EmbeddedChain | AnvilChain, method: str, *parameters: object) -> Any:
    """An answer, or an error's code and data."""
    try:
        return request(chain.web3, method, *parameters)
    except RpcError as error:
        return error.code, error.data


def touched(chain: EmbeddedChain, account: bytes) -> list[int]:
    """The slots of an account that were read or written since the chain was opened."""
    head = chain._engine._backing.head
    assert head is not None
    return sorted(head._slots.get(account, ()))


def replay(chain: EmbeddedChain, node: AnvilChain) -> set[str]:
    """Send the chain's transactions to the node at their times and compare; the accounts they touched, in hex."""
    assert node.finality().latest.number == 0
    seen: set[str] = set()
    for number in range(1, chain.head().number + 1):
        mine = request(chain.web3, "eth_getBlockByNumber", hex(number), True)
        request(node.web3, "evm_setNextBlockTimestamp", int(mine["timestamp"], 16))
        with chain.reading() as store:
            block = store.block(number)
        assert block is not None
        assert block.tx is not None
        tx_hash = request(node.web3, "eth_sendRawTransaction", hexed(block.tx))
        tools.mine(node)
        theirs = request(node.web3, "eth_getBlockByNumber", hex(number), True)
        receipts = [request(one.web3, "eth_getTransactionReceipt", tx_hash) for one in (chain, node)]
        ours, other = map(without_place, receipts)
        assert ours == {name: other.get(name) for name in ours}
        assert {name: mine[name] for name in HEADER} == {name: theirs[name] for name in HEADER}
        ours, other = without_place(mine["transactions"][0]), without_place(theirs["transactions"][0])
        assert ours == {name: other.get(name) for name in ours}
        seen |= {receipts[0][name] for name in ("from", "to", "contractAddress") if receipts[0][name]}
        seen |= {log["address"] for log in receipts[0]["logs"]}
    for account in sorted(seen):
        proofs = [request(one.web3, "eth_getProof", account, [], "latest") for one in (chain, node)]
        ours, other = ({name: proof[name] for name in ("nonce", "balance", "codeHash")} for proof in proofs)
        assert ours == other, account
        for slot in touched(chain, bytes.fromhex(account[2:])):
            ours, other = (request(one.web3, "eth_getStorageAt", account, hex(slot), "latest") for one in (chain, node))
            assert ours == other, (account, slot)
    return seen


def fund(node: AnvilChain, accounts: dict[bytes, int]) -> None:
    for account, wei in accounts.items():
        request(node.web3, "anvil_setBalance", hexed(account), hex(wei))


class Sending:
    """An embedded chain on which ALICE and BOB send what is signed here; a second passes before each transaction."""

    def __init__(self) -> None:
        self.clock = ManualClock(GENESIS)
        self.purses = {ALICE: 10 * ETHER, BOB: 10 * ETHER}
        self.chain = EmbeddedChain(None, genesis_time=GENESIS, accounts=self.purses, clock=self.clock)

    def nonce(self, account: bytes) -> int:
        return self.chain.account(account).nonce

    def send(self, to: bytes, data: bytes = b"", *, kind: int = DYNAMIC_FEE, by: bytes = ALICE, gas: int = 500_000,
             tip: int = 0, value: int = 0, **more: Any) -> bytes:
        """Mine it; the account it would create."""
        nonce, fee = self.nonce(by), tip if kind in (LEGACY, ACCESS_LIST) else 2 * tip
        tx = Transaction(kind, self.chain.chain_id, nonce, tip, fee, gas, to, value, data, **more)
        self.clock.advance(1)
        self.chain.submit(tx.signed(ALICES if by == ALICE else BOBS, by).encode())
        return contract_address(by, nonce)


def test_every_type_of_transaction(twin: AnvilChain) -> None:
    """Deployments, calls, refunds, floors, reverts, logs, tips, access lists that help and that do not."""
    sending = Sending()
    send = sending.send
    store, cell, reverts, forward, token = (
        send(b"", code, gas=1_000_000) for code in (STORE, CELL, REVERT, FORWARD, TOKEN)
    )
    context = send(b"", CONTEXT)
    emitters = [send(b"", emitter(size)) for size in range(5)]
    inner = int.from_bytes(store, "big")
    access = ((store, (7, 8)), (BOB, ()))
    for kind in (LEGACY, ACCESS_LIST, DYNAMIC_FEE):
        for tip in (0, 10**9):
            listed = () if kind == LEGACY else access
            send(store, words(7 + kind, 1 + tip), kind=kind, tip=tip, access_list=listed)
            send(BOB, value=3, kind=kind, tip=tip, access_list=listed)
            send(forward, words(inner, 7, kind + tip), kind=kind, tip=tip, access_list=listed)
    for value in (5, 0, 6):
        send(cell, words(value))
    send(reverts, TOO_POOR_SELECTOR + words(3, 4))
    send(b"", REVERT + b"\xfe")
    send(b"", b"\x60\x00\x60\x00\xfd")  # creation that reverts
    send(b"", b"\xfe", gas=100_000)
    send(BOB, b"\1" * 1_000)  # the calldata floor
    send(BOB, bytes(1_000))
    send(token, bytes.fromhex("a9059cbb") + words(int.from_bytes(BOB, "big"), 5))
    send(token, bytes.fromhex("a9059cbb") + words(int.from_bytes(BOB, "big"), 5), by=BOB)
    send(token, bytes.fromhex("a9059cbb") + words(int.from_bytes(ALICE, "big"), 6), by=BOB)
    send(context, b"\1")
    for size, contract in enumerate(emitters):
        send(contract, words(*range(size)) + b"data")
    send(store, words(99, 99), gas=30_000)  # out of gas
    send(b"\x77" * 20, value=5)  # a new account
    send(bytes(19) + b"\2", b"hash me")  # a precompile
    fund(twin, sending.purses)
    assert len(replay(sending.chain, twin)) > 12
    revert = {"to": hexed(reverts), "data": hexed(TOO_POOR_SELECTOR + words(3, 4))}
    deep = {"to": hexed(forward), "data": hexed(words(int.from_bytes(reverts, "big"), 5)), "gas": hex(100_000)}
    for fields in (revert, deep, {"to": hexed(cell)}, {"to": hexed(BOB)}, {"data": hexed(CELL)}):
        for method in ("eth_call", "eth_estimateGas"):
            ours, theirs = (ask(one, method, fields, "latest") for one in (sending.chain, twin))
            if method == "eth_estimateGas" and isinstance(ours, str):
                low, high = sorted((int(ours, 16), int(theirs, 16)))
                assert high <= low * 1.1  # each finds a limit in its own way
            else:
                assert ours == theirs


def test_accounts_that_run_another_s_code(twin: AnvilChain) -> None:
    """EIP-7702: leave given by others and by the sender, taken back, for a wrong chain or nonce, malleable, twice."""
    sending = Sending()
    send, chain_id = sending.send, sending.chain.chain_id
    cell, forward, other = send(b"", CELL), send(b"", FORWARD), send(b"", STORE)
    context = send(b"", creation("ADDRESS 0 SSTORE CALLER 1 SSTORE EXTCODESIZE 2 SSTORE"))

    def leave(key: coincurve.PrivateKey, code: bytes, nonce: int, chain: int = chain_id) -> Authorization:
        return Authorization(chain, code, nonce).signed(key)

    def give(*leaves: Authorization, to: bytes = BOB, data: bytes = b"", by: bytes = ALICE, tip: int = 0) -> None:
        send(to, data, kind=SET_CODE, authorizations=leaves, by=by, tip=tip)

    give(leave(BOBS, cell, 0), data=words(5))
    assert sending.chain.account(BOB).code == b"\xef\1\0" + cell
    assert sending.chain.storage(BOB, 0) == 5  # in Bob's own storage, at once
    send(cell, words(9), by=BOB)  # an account that runs another's code sends as before
    send(BOB, words(6))
    send(forward, words(int.from_bytes(BOB, "big"), 7))
    assert sending.chain.storage(BOB, 0) == 7
    give(leave(ALICES, context, sending.nonce(ALICE) + 1), to=ALICE, tip=10**9)  # the sender's own: its nonce has risen
    send(ALICE, value=1)
    give(leave(BOBS, other, sending.nonce(BOB), chain=0))
    give(leave(BOBS, other, sending.nonce(BOB) + 1), leave(BOBS, cell, sending.nonce(BOB), chain=chain_id + 1))
    good = leave(BOBS, cell, sending.nonce(BOB))
    give(replace(good, s=115792089237316195423570985008687907852837564279074904382605163141518161494337 - good.s,
                 y_parity=1 - good.y_parity), replace(good, r=0), good, good)  # fmt: skip
    new = coincurve.PrivateKey(b"\xee" * 32)
    send(account_of(new.public_key), value=1)
    give(leave(new, cell, 0), leave(new, other, 1), data=words(8))
    give(leave(new, bytes(20), 2))
    give(leave(BOBS, bytes(19) + b"\2", sending.nonce(BOB)), data=b"no precompile runs by leave")
    give(leave(BOBS, BOB, sending.nonce(BOB)))  # to itself: its code is the designator, which is no code
    give(leave(BOBS, reverting := send(b"", REVERT), sending.nonce(BOB)), data=b"the leave stays, the call does not")
    assert sending.chain.account(BOB).code == b"\xef\1\0" + reverting
    fund(twin, sending.purses)
    replay(sending.chain, twin)
    fields = {"to": hexed(BOB), "from": hexed(ALICE), "data": hexed(words(5))}
    fresh = leave(BOBS, cell, sending.nonce(BOB))
    fields["authorizationList"] = [{
        "chainId": hex(fresh.chain_id), "address": hexed(fresh.address), "nonce": hex(fresh.nonce),
        "yParity": hex(fresh.y_parity), "r": hex(fresh.r), "s": hex(fresh.s),
    }]  # type: ignore[assignment] # fmt: skip
    assert ask(sending.chain, "eth_call", fields, "latest") == ask(twin, "eth_call", fields, "latest") == "0x"


def test_where_anvil_gives_too_much_back(twin: AnvilChain) -> None:
    """EIP-7702 gives 12,500 back "if authority is not empty"; anvil 1.7.1 does for an account that is new, too."""
    sending = Sending()
    cell = sending.send(b"", CELL)
    new = Authorization(sending.chain.chain_id, cell, 0).signed(coincurve.PrivateKey(b"\xee" * 32))
    sending.send(cell, words(5), kind=SET_CODE, authorizations=(new,))
    assert sending.chain.head().header.gas_used == 21_000 + 25_000 + 140 + 25 + 22_100
    fund(twin, sending.purses)
    with pytest.raises(AssertionError):
        replay(sending.chain, twin)
    assert twin.web3.eth.get_block("latest")["gasUsed"] == 21_000 + 25_000 + 140 + 25 + 22_100 - 12_500


def test_the_books_deployment_and_whole_deals(twin: AnvilChain) -> None:
    """Every contract, a deal upheld, one challenged with the challenger right, an act refused on chain."""
    world = EvmWorld(None)
    terms = simple(world)
    deal = begin(world, terms)
    claims(world, deal)
    world.advance(HOUR)
    world.book.close(RIVAL, deal)
    challenged = replace(simple(world), wrong_bonds=terms.wrong_bonds)
    deal = world.book.open(CLIENT, challenged, b"\6" * 32)
    world.book.join(CLIENT, deal, 0)
    world.book.join(WORKER, deal, 1)
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    for judge in BENCH:
        world.book.submit(judge, deal, 0, 0, b"\x22" * 32, b"\x00" + Result(REFUTED).to_bytes())
    world.advance(HOUR)
    world.book.judge(RIVAL, deal)
    world.book.close(CLIENT, deal)
    assert world.book.state(deal).status == "closed"
    book = world.addresses.book
    refused = Transaction(DYNAMIC_FEE, 7_407, world.chain.account(CLIENT).nonce, 0, 0, 500_000, book, 0, b"\1\2\3\4")
    world.chain.submit(refused.signed(coincurve.PrivateKey(key("client").reveal_seed()), CLIENT).encode())
    replay(world.chain, twin)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runtimes=st.lists(RUNTIMES, min_size=3, max_size=3),
    steps=st.lists(STEPS, max_size=8),
)
def test_random_contracts_calling_each_other(node: AnvilChain, runtimes: list[str], steps: list[Any]) -> None:
    keys = {}
    for person in range(len(PEOPLE)):
        secret = coincurve.PrivateKey(bytes((person + 1,)) * 32)
        keys[PEOPLE[person]] = secret, account_of(secret.public_key)
    purses = {account: ETHER for _, account in keys.values()}
    clock = ManualClock(GENESIS)
    with EmbeddedChain(None, genesis_time=GENESIS, accounts=purses, clock=clock) as chain:
        calls = [(PEOPLE[0], b"", 0, 2_000_000, 0, creation(runtime)) for runtime in runtimes]
        for person, to, value, gas, tip, data in [*calls, *((*step, b"") for step in steps)]:
            secret, account = keys[person]
            nonce = chain.account(account).nonce
            tx = Transaction(DYNAMIC_FEE, chain.chain_id, nonce, tip, tip, gas, to, value, data)
            chain.submit(tx.signed(secret, account).encode())
            clock.advance(1)
        name = tools.snapshot(node)
        try:
            fund(node, purses)
            replay(chain, node)
        finally:
            tools.revert(node, name)
