"""Running transactions and calls on py-evm's Prague rules, over the embedded chain's table of trie nodes.

This is the only module that imports py-evm. What it adds to py-evm: our own transaction type straight into the
executor, the block context given by the caller, and no system contracts (EIP-4788 and EIP-2935 need a beacon chain
and a hard-coded deployment; the embedded chain has neither).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from eth.abc import AtomicWriteBatchAPI, ComputationAPI, SignedTransactionAPI
from eth.db.backends.base import BaseAtomicDB
from eth.exceptions import Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth_typing import Address, BlockNumber, Hash32

from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT, Log
from troth.ledger.chains.store import BlockStore
from troth.ledger.chains.transactions import Transaction

ZERO_ACCOUNT = bytes(20)


class _Nodes(BaseAtomicDB):
    """The state tries' view of the block store. Atomicity is the store's: one SQLite transaction per block."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store

    def __getitem__(self, key: bytes) -> bytes:
        value = self._store.node(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._store.put_node(key, value)

    def __delitem__(self, key: bytes) -> None:
        raise KeyError(key)  # past states stay readable: nothing is ever deleted

    def _exists(self, key: bytes) -> bool:
        return self._store.node(key) is not None

    @contextlib.contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        yield cast(AtomicWriteBatchAPI, self)


class _State(PragueState):
    """Prague's state without system contracts."""

    def set_system_contracts(self) -> None:
        """None: see the module."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction can read of its block. ``ancestors`` yields the previous block hashes, newest first."""

    chain_id: int
    number: int
    timestamp: int
    gas_limit: int
    coinbase: bytes
    mix_hash: bytes
    base_fee: int
    ancestors: Callable[[], Iterable[bytes]]

    def evm(self) -> ExecutionContext:
        """As py-evm takes it."""
        return ExecutionContext(
            coinbase=Address(self.coinbase),
            timestamp=self.timestamp,
            block_number=BlockNumber(self.number),
            difficulty=0,
            mix_hash=Hash32(self.mix_hash),
            gas_limit=self.gas_limit,
            prev_hashes=_Lazy(self.ancestors),
            chain_id=self.chain_id,
            base_fee_per_gas=self.base_fee,
            excess_blob_gas=0,
        )


NOWHERE = Context(0, 0, 0, 0, ZERO_ACCOUNT, bytes(32), 0, tuple)
"""The context of a mere look at the state."""


class _Lazy:
    """An iterable that asks only when it is read: few transactions use BLOCKHASH."""

    def __init__(self, source: Callable[[], Iterable[bytes]]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Hash32]:
        return map(Hash32, self._source())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a message did. gas: units used after refunds. error: None, or why it failed."""

    gas: int
    output: bytes
    logs: tuple[Log, ...]
    error: str | None
    reverted: bool
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account's nonce, wei and code."""

    nonce: int
    balance: int
    code: bytes


class Engine:
    """Prague's rules over one store. It keeps the state at the head warm between transactions."""

    def __init__(self, store: BlockStore) -> None:
        self._nodes = _Nodes(store)
        self._warm: tuple[bytes, _State] | None = None

    def forget(self) -> None:
        """Drop the warm state, after a transaction that was not committed."""
        self._warm = None

    def _state(self, root: bytes, context: Context = NOWHERE) -> _State:
        return _State(self._nodes, context.evm(), Hash32(root))

    def account(self, root: bytes, account: bytes) -> Account:
        """``account`` in the state at ``root``."""
        state, address = self._warm[1] if self._warm and self._warm[0] == root else self._state(root), Address(account)
        return Account(state.get_nonce(address), state.get_balance(address), state.get_code(address))

    def storage(self, root: bytes, account: bytes, slot: int) -> int:
        """A storage slot of ``account`` in the state at ``root``."""
        return self._state(root).get_storage(Address(account), slot)

    def genesis(self, accounts: Mapping[bytes, int]) -> bytes:
        """The root of a state in which ``accounts`` hold their wei."""
        state = self._state(EMPTY_TRIE_ROOT)
        for account, wei in sorted(accounts.items()):
            state.set_balance(Address(account), wei)
        state.persist()
        return bytes(state.state_root)

    def apply(self, root: bytes, context: Context, tx: Transaction) -> tuple[bytes, Outcome]:
        """Run a transaction that the caller has checked; the new root and what it did. Writes nodes to the store."""
        if self._warm and self._warm[0] == root:
            state = self._warm[1]
            state.execution_context = context.evm()
        else:
            state = self._state(root, context)
        self._warm = None
        state.lock_changes()
        executor, computation = _run(state, tx)
        used = tx.gas - computation.get_gas_remaining()
        refund = executor.calculate_gas_refund(computation, used)
        executor.finalize_computation(_signed(tx), computation)
        state.clear_transient_storage()
        state.persist()
        new_root = bytes(state.state_root)
        self._warm = (new_root, state)
        return new_root, _outcome(computation, used - refund + executor.calc_data_floor_gas(_signed(tx), used, refund))

    def call(self, root: bytes, context: Context, tx: Transaction) -> Outcome:
        """Run an unsigned transaction on a throw-away state: no nonce or balance check, no fee, nothing written.

        gas: units used before refunds, at least the calldata floor: what a limit must cover.
        """
        state = self._state(root, context)
        free = replace(tx, nonce=state.get_nonce(Address(tx.sender)), max_fee_per_gas=0, max_priority_fee_per_gas=0)
        _, computation = _run(state, free)
        return _outcome(computation, max(tx.gas - computation.get_gas_remaining(), tx.floor_gas))


def _signed(tx: Transaction) -> SignedTransactionAPI:
    """Our transaction where py-evm's executor takes one of its own: it reads only attributes that ours has."""
    return cast(SignedTransactionAPI, tx)


def _run(state: _State, tx: Transaction) -> tuple[PragueTransactionExecutor, ComputationAPI]:
    executor = cast(PragueTransactionExecutor, state.get_transaction_executor())
    return executor, executor.build_computation(executor.build_evm_message(_signed(tx)), _signed(tx))


def _outcome(computation: ComputationAPI, gas: int) -> Outcome:
    logs = tuple(
        Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
        for address, topics, data in computation.get_log_entries()
    )
    error = computation.error if computation.is_error else None
    return Outcome(
        gas=gas,
        output=bytes(computation.output),
        logs=logs,
        error=None if error is None else type(error).__name__,
        reverted=isinstance(error, Revert),
        nested=bool(computation.children),
    )
