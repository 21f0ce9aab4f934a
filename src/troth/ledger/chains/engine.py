"""Running transactions and calls on py-evm's Prague rules, over the embedded chain's table of trie nodes.

What it adds to py-evm: our own transaction type straight into the executor, our own accounts and tries below it, the
block context given by the caller, and no system contracts (EIP-4788 and EIP-2935 need a beacon chain
and a hard-coded deployment; the embedded chain has neither).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from eth.abc import AtomicDatabaseAPI, ComputationAPI, MessageAPI, SignedTransactionAPI
from eth.exceptions import Revert, VMError
from eth.typing import JournalDBCheckpoint
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth.vm.message import Message
from eth_typing import Address, BlockNumber, Hash32

from troth.ledger.chains.accounts import EMPTY, Backing, Entry, FlatAccounts
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT, Log
from troth.ledger.chains.opcodes import quick
from troth.ledger.chains.store import BlockStore
from troth.ledger.chains.transactions import Authorization, Transaction, contract_address

ZERO_ACCOUNT = bytes(20)
MAX_NONCE = (1 << 64) - 1
DELEGATION = b"\xef\1\0"
"""How the code of an account begins that runs another's (EIP-7702). No contract's code begins so (EIP-3541)."""
AUTHORIZATION_REFUND = 12_500
"""Gas given back for an authorization by an account that is not new."""
PAIRING = Address(bytes(19) + b"\x08")
PAIRING_GAS, PAIR_GAS = 45_000, 34_000
PAIR = 192
"""Bytes of a point of each group."""
MAX_PAIRED = 256


class _Executor(PragueTransactionExecutor):
    """Prague's, without py-evm's debug lines, which cost as much as a token transfer's own instructions."""

    def build_evm_message(self, transaction: SignedTransactionAPI) -> MessageAPI:
        """Charge the sender, raise its nonce, and make the message."""
        state, sender = self.vm_state, transaction.sender
        fee = transaction.gas * state.get_gas_price(transaction)
        if fee:
            state.delta_balance(sender, -fee)
        state.increment_nonce(sender)
        refund = self._authorize(cast(Transaction, transaction).authorizations)
        gas = transaction.gas - transaction.intrinsic_gas
        if transaction.to:
            code, delegate = self.get_code_at_address(transaction.to)
            created, data, delegated = None, transaction.data, delegate is not None
        else:
            created = Address(contract_address(sender, state.get_nonce(sender) - 1))
            code, data, delegated = transaction.data, b"", False
        return Message(
            gas=gas,
            to=transaction.to,
            sender=sender,
            value=transaction.value,
            data=data,
            code=code,
            create_address=cast(Address, created),  # None is what py-evm expects for a call
            is_delegation=delegated,
            refund=refund,
        )

    def _authorize(self, authorizations: Sequence[Authorization]) -> int:
        """Give accounts the code they asked for, passing over what does not hold (EIP-7702); the gas to refund."""
        state, refund = self.vm_state, 0
        for one in authorizations:
            authority = one.authority()
            if one.chain_id not in (0, state.execution_context.chain_id) or authority is None or one.nonce >= MAX_NONCE:
                continue
            account = Address(authority)
            state.mark_address_warm(account)
            code = state.get_code(account)
            if (code and not code.startswith(DELEGATION)) or state.get_nonce(account) != one.nonce:
                continue
            if state.account_exists(account):
                refund += AUTHORIZATION_REFUND
            if one.address == ZERO_ACCOUNT:
                state.delete_code(account)
            else:
                state.set_code(account, DELEGATION + one.address)
            state.increment_nonce(account)
        return refund


_PAIRED: dict[bytes, bytes] = {}


def _pairing(computation: ComputationAPI) -> ComputationAPI:
    """Prague's pairing precompile. It takes seconds here and a transaction runs twice (its estimate, then itself), so
    answers are remembered; the price is the same (EIP-1108)."""
    data = bytes(computation.msg.data)
    answer = _PAIRED.get(data)
    if answer is None:
        computation = PragueComputation.get_precompiles()[PAIRING](computation)
        if len(_PAIRED) >= MAX_PAIRED:
            _PAIRED.clear()
        _PAIRED[data] = computation.output
        return computation
    computation.consume_gas(PAIRING_GAS + PAIR_GAS * (len(data) // PAIR), reason="pairing")
    computation.output = answer
    return computation


class _Computation(PragueComputation):
    """Prague's, with the words of a deployment's code paid before it begins (EIP-3860), as ``intrinsic_gas`` has it."""

    _precompiles: dict[Address, Callable[[ComputationAPI], ComputationAPI]] = {  # noqa: RUF012  (py-evm's)
        **PragueComputation.get_precompiles(), PAIRING: _pairing}
    opcodes = quick(PragueComputation.opcodes)

    @classmethod
    def consume_initcode_gas_cost(cls, computation: ComputationAPI) -> None:
        """Nothing: it is paid. A contract that creates another pays at its instruction."""


class _State(PragueState):
    """Prague's state over flat accounts, without system contracts."""

    computation_class = _Computation
    account_db_class = FlatAccounts
    transaction_executor_class = _Executor

    def set_system_contracts(self) -> None:
        """None: see the module."""

    @property
    def accounts(self) -> FlatAccounts:
        return cast(FlatAccounts, self._account_db)

    def get_transient_storage(self, address: Address, slot: int) -> bytes:
        return self.accounts.get_transient(address, slot)

    def set_transient_storage(self, address: Address, slot: int, value: bytes) -> None:
        self.accounts.set_transient(address, slot, value)

    def clear_transient_storage(self) -> None:
        """Cleared with the rest when the next transaction begins."""

    def snapshot(self) -> tuple[Hash32, JournalDBCheckpoint]:
        return self.state_root, self.accounts.record()

    def revert(self, snapshot: tuple[Hash32, JournalDBCheckpoint]) -> None:
        self.accounts.discard(snapshot[1])

    def commit(self, snapshot: tuple[Hash32, JournalDBCheckpoint]) -> None:
        self.accounts.commit(snapshot[1])


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
        yield from map(Hash32, self._source())  # a generator: py-evm calls iter() at once


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


Proof: TypeAlias = "tuple[Entry, tuple[bytes, ...], list[tuple[int, tuple[bytes, ...]]]]"
"""An account, the nodes to it, and for each slot asked for its value and the nodes to that."""


class Engine:
    """Prague's rules over one store. It keeps the state at the head warm between transactions."""

    def __init__(self, store: BlockStore) -> None:
        self._backing = Backing(store)
        self._head: _State | None = None

    def forget(self) -> None:
        """Drop the warm state, after a transaction that was not committed."""
        self._head = self._backing.head = None

    def _state(self, root: bytes, context: Context = NOWHERE) -> _State:
        return _State(cast(AtomicDatabaseAPI, self._backing), context.evm(), Hash32(root))

    def _look(self, root: bytes) -> FlatAccounts:
        head = self._backing.head
        return head if head is not None and head.state_root == root else FlatAccounts(self._backing, Hash32(root))

    def account(self, root: bytes, account: bytes) -> Account:
        """``account`` in the state at ``root``."""
        accounts, address = self._look(root), Address(account)
        return Account(accounts.get_nonce(address), accounts.get_balance(address), accounts.get_code(address))

    def storage(self, root: bytes, account: bytes, slot: int) -> int:
        """A storage slot of ``account`` in the state at ``root``."""
        return self._look(root).slot(account, slot)

    def prove(self, root: bytes, account: bytes, slots: Sequence[int]) -> Proof:
        """``account`` in the state at ``root``, the trie nodes that prove it, and the same of each of its ``slots``."""
        accounts, tries, key = self._look(root), self._backing.tries, self._backing.key
        entry = accounts.entry(account) or EMPTY
        storage = [
            (accounts.slot(account, slot), tries.prove(entry[2], key(slot.to_bytes(32, "big")))
             if entry[2] != EMPTY_TRIE_ROOT else ())
            for slot in slots
        ]  # fmt: skip
        nodes = tries.prove(root, key(account)) if root != EMPTY_TRIE_ROOT else ()
        return entry, nodes, storage

    def genesis(self, accounts: Mapping[bytes, int]) -> bytes:
        """The root of a state in which ``accounts`` hold their wei."""
        state = self._state(EMPTY_TRIE_ROOT)
        for account, wei in sorted(accounts.items()):
            state.set_balance(Address(account), wei)
        state.persist()
        return bytes(state.state_root)

    def apply(self, root: bytes, context: Context, tx: Transaction) -> tuple[bytes, Outcome]:
        """Run a transaction that the caller has checked; the new root and what it did. Writes nodes to the store.

        Whoever does not commit the store afterwards calls :meth:`forget`.
        """
        state = self._head
        if state is not None and state.state_root == root:
            state.execution_context = context.evm()
        else:
            state = self._state(root, context)
        self.forget()
        state.lock_changes()
        executor, computation = _run(state, tx)
        used = tx.gas - computation.get_gas_remaining()
        refund = executor.calculate_gas_refund(computation, used)
        executor.finalize_computation(_signed(tx), computation)
        state.persist()
        self._head, self._backing.head = state, state.accounts
        gas = used - refund + executor.calc_data_floor_gas(_signed(tx), used, refund)
        return bytes(state.state_root), _outcome(computation, gas)

    def call(self, root: bytes, context: Context, tx: Transaction) -> Outcome:
        """Run an unsigned transaction on a throw-away state: no nonce or balance check, no fee, nothing written.

        gas: units used before refunds, at least the calldata floor: what a limit must cover.
        """
        state = self._state(root, context)
        free = replace(tx, nonce=state.get_nonce(Address(tx.sender)), max_fee_per_gas=0, max_priority_fee_per_gas=0)
        try:
            _, computation = _run(state, free)
        except VMError as error:  # a value the sender does not have: nothing ran
            return Outcome(tx.gas, b"", (), type(error).__name__, False)
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
