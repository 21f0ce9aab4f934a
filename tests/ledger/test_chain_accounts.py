"""The chain's own accounts and tries, held against py-evm's and the trie package's, transaction by transaction."""

from __future__ import annotations

from typing import Any, cast

import pytest
from eth.db.atomic import AtomicDB
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth_hash.auto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from ports.contracts import creation
from troth.core.errors import OutsideFailed
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT
from troth.ledger.chains.embedded import GAS_LIMIT
from troth.ledger.chains.engine import Context, Engine
from troth.ledger.chains.store import BlockStore
from troth.ledger.chains.transactions import Transaction, contract_address
from troth.ledger.chains.tries import Tries

# -- tries -----------------------------------------------------------------------------------------------------------

CHANGES = st.lists(st.dictionaries(st.integers(0, 30), st.integers(0, 3), max_size=8), max_size=8)


@settings(deadline=None, max_examples=100)
@given(batches=CHANGES, length=st.sampled_from((1, 2, 32)))
def test_tries_equal_the_usual_packages(batches: list[dict[int, int]], length: int) -> None:
    """Roots after each batch, every value, and every past root."""
    table: dict[bytes, bytes] = {}
    tries, root, model, past = Tries(table.get, table.__setitem__), EMPTY_TRIE_ROOT, dict[bytes, bytes](), []
    keys = [keccak(bytes((at,)))[:length] for at in range(31)]
    for batch in batches:
        changes = {keys[at]: bytes((size,)) * (1, 4, 40)[size - 1] if size else b"" for at, size in batch.items()}
        root = tries.update(root, changes)
        model = {key: value for key, value in (model | changes).items() if value}
        reference: Any = HexaryTrie({})
        for key, value in model.items():
            reference[key] = value
        assert reference.root_hash == root
        past.append((root, model))
    for root, model in past:
        assert {key: tries.get(root, key) for key in keys if tries.get(root, key)} == model


def test_a_missing_node_is_told() -> None:
    table: dict[bytes, bytes] = {}
    changes = {keccak(b"a"): b"1" * 40, keccak(b"b"): b"2" * 40}
    root = Tries(table.get, table.__setitem__).update(EMPTY_TRIE_ROOT, changes)
    del table[root]
    with pytest.raises(OutsideFailed, match="lacks node"):
        Tries(table.get, table.__setitem__).get(root, keccak(b"a"))


# -- accounts --------------------------------------------------------------------------------------------------------

ACTORS = [bytes((at,)) * 20 for at in range(1, 4)]
CONTRACTS = [contract_address(ACTORS[0], nonce) for nonce in range(3)]
SLOT, VALUE = st.integers(0, 2), st.integers(0, 2)


def _call(kind: str, to: bytes, value: int) -> str:
    sent = f"{value} " if kind in ("CALL", "CALLCODE") else ""
    return f"0 0 0 0 {sent}0x{to.hex()} 60000 {kind} 9 SSTORE"


SNIPPETS = st.one_of(
    st.tuples(VALUE, SLOT).map(lambda p: f"{p[0]} {p[1]} SSTORE"),
    st.tuples(SLOT, SLOT).map(lambda p: f"{p[0]} SLOAD {p[1]} SSTORE"),
    st.tuples(VALUE, SLOT).map(lambda p: f"{p[0]} {p[1]} TSTORE"),
    st.tuples(SLOT, SLOT).map(lambda p: f"{p[0]} TLOAD {p[1]} SSTORE"),
    st.tuples(
        st.sampled_from(("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL")),
        st.sampled_from([*CONTRACTS, *ACTORS, bytes(19) + b"\4", b"\x77" * 20]),
        VALUE,
    ).map(lambda p: _call(*p)),
    st.sampled_from(CONTRACTS).map(lambda a: f"0x{a.hex()} BALANCE 8 SSTORE 0x{a.hex()} EXTCODEHASH 7 SSTORE"),
    st.just("SELFBALANCE 6 SSTORE GAS 5 SSTORE"),
    st.just("0x600160005560006000f3 0 MSTORE 9 23 0 CREATE 4 SSTORE"),  # creates a contract that writes a slot
    st.just("0x6001600055600035ff 0 MSTORE 8 24 1 CREATE 4 SSTORE"),  # one that writes and destroys itself
    st.just("0x600160005560006000fd 0 MSTORE 10 22 0 CREATE 4 SSTORE"),  # one that writes and reverts
    st.just("5 0 0 LOG1"),
    st.sampled_from([*ACTORS, b"\x55" * 20]).map(lambda a: f"0x{a.hex()} SELFDESTRUCT"),
    st.just("0 0 REVERT"),
    st.just("INVALID"),
)
RUNTIMES = st.lists(SNIPPETS, min_size=1, max_size=5).map(" ".join)
STEPS = st.tuples(
    st.sampled_from(ACTORS),
    st.sampled_from([*CONTRACTS, *CONTRACTS, ACTORS[0], b"\x66" * 20]),
    st.integers(0, 3),
    st.sampled_from((60_000, 200_000, 2_000_000)),
    st.sampled_from((0, 0, 7)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(RUNTIMES, min_size=3, max_size=3), st.lists(STEPS, max_size=8), st.integers(0, 12))
@example(["1 0 SSTORE 0 0 SSTORE 2 0 SSTORE", "0 0 SSTORE 1 0 SSTORE", "2 1 SSTORE"],
         [(ACTORS[1], CONTRACTS[at % 2], 0, 200_000, 0) for at in range(6)], 5)
@example(["1 0 TSTORE 0 TLOAD 1 SSTORE", _call("CALL", CONTRACTS[2], 0) + " " + _call("CALL", CONTRACTS[2], 0),
          "0 TLOAD 0 SSTORE 1 0 TSTORE 0 0 REVERT"],
         [(ACTORS[1], CONTRACTS[at % 2], 0, 200_000, 0) for at in range(4)], 0)
@example([f"2 SLOAD 3 SSTORE {_call('DELEGATECALL', CONTRACTS[1], 0)} 0 TLOAD 4 SSTORE 1 SLOAD 5 SSTORE",
          "1 SLOAD 2 SSTORE 7 0 TSTORE 0 0 REVERT", "STOP"],
         [(ACTORS[1], CONTRACTS[0], 0, 200_000, 0) for _ in range(2)], 0)
def test_every_transaction_leaves_py_evms_own_state(runtimes: list[str], steps: list[Any], restart: int) -> None:
    """Calls between contracts, reverts, refunds, creations, destructions, transient storage, tips.

    The peer is py-evm's executor over its own account database, one fresh state a transaction. ``restart`` is where
    our engine loses its warm state.
    """
    store = BlockStore(None)
    engine, database = Engine(store), AtomicDB()
    balances = dict.fromkeys(ACTORS, 10**18)
    theirs = Stock(database, None, EMPTY_TRIE_ROOT)
    for account, wei in balances.items():
        theirs.set_balance(account, wei)
    theirs.persist()
    root, nonces = engine.genesis(balances), dict.fromkeys(ACTORS, 0)
    assert root == theirs.state_root
    deployments = [(ACTORS[0], b"", 0, 2_000_000, 0, creation(runtime)) for runtime in runtimes]
    for number, (sender, to, value, gas, tip, data) in enumerate([*deployments, *((*step, b"") for step in steps)], 1):
        tx = Transaction(2, 1, nonces[sender], tip, tip, gas, to, value, data, (), 0, 1, 1, sender)
        nonces[sender] += 1
        context = Context(1, number, 1_000 + number, GAS_LIMIT, bytes(20), bytes(32), 0, tuple)
        if number == restart:
            engine.forget()
        with store.writing():
            root_before, (root, outcome) = root, engine.apply(root, context, tx)
        their_root, used, success, logs = run_stock(database, root_before, context, tx)
        assert (outcome.gas, outcome.error is None, len(outcome.logs)) == (used, success, logs)
        assert root == their_root


class Paid(PragueComputation):
    """py-evm's own, which charges a deployment's words here where ours are part of a transaction's intrinsic gas."""

    @classmethod
    def consume_initcode_gas_cost(cls, computation: Any) -> None:
        """None."""


class Stock(PragueState):
    """py-evm's own, without system contracts: they are left out of the chain."""

    computation_class = Paid

    def set_system_contracts(self) -> None:
        """None."""


def run_stock(database: AtomicDB, root: bytes, context: Context, tx: Transaction) -> tuple[bytes, int, bool, int]:
    state = Stock(database, context.evm(), cast(Any, root))
    state.lock_changes()
    executor: Any = state.get_transaction_executor()
    computation = executor.build_computation(executor.build_evm_message(tx), tx)
    used = tx.gas - computation.get_gas_remaining()
    refund = executor.calculate_gas_refund(computation, used)
    floor = executor.calc_data_floor_gas(tx, used, refund)
    executor.finalize_computation(tx, computation)
    state.persist()
    return state.state_root, used - refund + floor, computation.is_success, len(computation.get_log_entries())
