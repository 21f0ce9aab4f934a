"""A chain of the Ethereum family inside the process, kept in one SQLite file: no node to install or to run.

Every transaction is mined at once, in a block of its own, under Prague's rules; headers, receipts and state roots
are real, so receipt proofs to a block hash check with ordinary tools. What it is not, and what to know:

- **Its time is its operator's word**: blocks carry the injected clock plus whatever :meth:`EmbeddedChain.advance`
  added. Timestamps never fall; several blocks may share one (a chain that adds a second per transaction would run
  ahead of the clock and past deadlines).
- **Gas is metered and limited but free**: the base fee is fixed at zero, so an account needs no ether to act. A
  transaction that offers a tip pays it to the zero account.
- ``prevrandao`` is the hash of the parent's hash: anybody can predict it, no draw may rest on it.
- No system contracts (EIP-4788, EIP-2935), blobs or withdrawals. The rules stop at Prague.
- A transaction with a nonce ahead of the account's is refused, since there is no pool for it to wait in.
- Past states are kept: the file grows by one to a few kB a block.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eth_hash.auto import keccak

from troth.core.closing import Closing
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Clock
from troth.ledger.chains import CHAIN_ID, Finality, Place
from troth.ledger.chains import rlpcodec as rlp
from troth.ledger.chains.blocks import (
    EMPTY_TRIE_ROOT,
    EMPTY_UNCLES_HASH,
    Header,
    Receipt,
    logs_bloom,
    single_root,
)
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.chains.engine import DELEGATION, ZERO_ACCOUNT, Account, Context, Engine, Outcome, Proof
from troth.ledger.chains.store import Block, BlockStore
from troth.ledger.chains.transactions import (
    MAX_INITCODE,
    Rejected,
    Transaction,
    contract_address,
    decode_transaction,
)

if TYPE_CHECKING:
    from web3 import Web3

    from troth.ledger.chains.provider import EmbeddedProvider

GAS_LIMIT = 30_000_000
"""Of a block, hence of a transaction: as anvil's, and as main net's when Prague began."""
BASE_FEE = 0
NO_REQUESTS_HASH = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""SHA-256 of nothing: the requests hash of a block without requests (EIP-7685)."""
BLOCK_HASH_DEPTH = 256
WRITE_SPARE = 2_301


class EmbeddedChain(Closing):
    """An EVM chain in ``path``, or in memory where that is None. Safe for threads and for several processes a file.

    chain_id: of a new file, where None is the default; checked against an old one's. genesis_time: Unix seconds of
    block 0; None is the clock's now. accounts: wei by 20-byte account at genesis. These only take effect on a new
    file; one that differs from an existing file's is refused. clock: where time comes from; the machine's by default.

    Raises Misuse if the file is another chain, BadInput if it is no chain file, OutsideFailed if it cannot be opened.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        chain_id: int | None = None,
        genesis_time: int | None = None,
        accounts: Mapping[bytes, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.chain_id = CHAIN_ID if chain_id is None else chain_id
        self.gas_limit = GAS_LIMIT
        self.path = path
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._store = BlockStore(path)
        self._engine = Engine(self._store)
        self._web3: Web3 | None = None
        try:
            with self._lock, self._store.writing():
                if self._store.head() is None:
                    self._create(self._clock.now() if genesis_time is None else genesis_time, accounts or {})
                else:
                    self._check_same(chain_id, genesis_time, accounts)
        except BaseException:
            self._store.close()
            raise

    def _create(self, genesis_time: int, accounts: Mapping[bytes, int]) -> None:
        if any(len(account) != 20 for account in accounts):
            raise BadInput("a genesis account has the wrong length", expected="20 bytes")
        if any(wei < 0 for wei in accounts.values()) or sum(accounts.values()) >= 1 << 256:
            raise BadInput("genesis wei is negative or does not fit 256 bits", actual=sum(accounts.values()))
        root = self._engine.genesis(accounts)
        header = _header(bytes(32), root, 0, genesis_time, None)
        raw = header.encode()
        self._store.add_block(Block(0, bytes(keccak(raw)), header, None, None, None, None, None), raw, ())
        self._store.set_meta("chain_id", str(self.chain_id))
        self._store.set_meta("accounts", _accounts_text(accounts))
        self._store.set_meta("offset", "0")

    def _check_same(
        self, chain_id: int | None, genesis_time: int | None, accounts: Mapping[bytes, int] | None
    ) -> None:
        genesis = self._store.block(0)
        if genesis is None:
            raise BadInput(f"{self.path} has no genesis block", do="Restore it from a copy, or name another file")
        asked: dict[str, tuple[str, str | None]] = {}
        if chain_id is not None:
            asked["chain id"] = (str(chain_id), self._store.meta("chain_id"))
        if genesis_time is not None:
            asked["genesis time"] = (str(genesis_time), str(genesis.header.timestamp))
        if accounts is not None:
            asked["genesis accounts"] = (_accounts_text(accounts), self._store.meta("accounts"))
        for what, (wanted, found) in asked.items():
            if wanted != found:
                raise Misuse(
                    f"{self.path} is a chain with another {what}",
                    expected=wanted,
                    actual=found,
                    do="Leave the argument out to open it as it is, or name another file",
                )
        self.chain_id = int(self._store.meta("chain_id") or self.chain_id)

    # -- life ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file. Every block mined stays."""
        with self._lock:
            self._store.close()

    @property
    def web3(self) -> Web3:
        """A web3.py instance on this chain."""
        if self._web3 is None:
            from web3 import Web3  # web3 takes most of a second to import

            self._web3 = Web3(self.provider)
        return self._web3

    @property
    def provider(self) -> EmbeddedProvider:
        """A new web3.py provider on this chain, also the plain JSON-RPC face: ``provider.make_request``."""
        from troth.ledger.chains.provider import EmbeddedProvider  # imports web3

        return EmbeddedProvider(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[BlockStore]:
        """The store, held against this process's other threads."""
        with self._lock:
            yield self._store

    @property
    def genesis_hash(self) -> bytes:
        """The 32-byte hash of block 0."""
        with self._lock:
            return self._store.hashes(0, 0)[0]

    def finality(self) -> Finality:
        """The head three times: a block that was told is never replaced."""
        head = self.head()
        place = Place(head.number, head.hash, head.header.timestamp)
        return Finality(place, place, place)

    # -- time ------------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The timestamp the next block would carry, Unix seconds."""
        with self._lock:
            return self._now(self.head())

    def _now(self, head: Block) -> int:
        return max(head.header.timestamp, self._clock.now() + int(self._store.meta("offset") or 0))

    def advance(self, seconds: int) -> int:
        """Move the chain's clock forward for every later block, in every process on this file; the new :meth:`now`.

        Raises Misuse for a negative step.
        """
        if seconds < 0:
            raise Misuse("a chain's time does not go back", expected="0 seconds or more", actual=seconds)
        with self._lock, self._store.writing():
            head = self.head()
            target = self._now(head) + seconds
            self._store.set_meta("offset", str(target - self._clock.now()))
            return target

    # -- blocks ----------------------------------------------------------------------------------------------------

    def head(self) -> Block:
        """The last block."""
        with self._lock:
            head = self._store.head()
        if head is None:
            raise OutsideFailed(f"the chain file {self.path} lost its blocks")
        return head

    def next_header(self) -> Header:
        """The header of an empty block mined now."""
        with self._lock:
            head = self.head()
            return _header(head.hash, head.header.state_root, head.number + 1, self._now(head), None)

    def mine(self) -> Block:
        """Append an empty block: a place for the chain's present time to be pinned to."""
        with self._lock, self._store.writing():
            return self._append(self.head())

    def submit(self, raw: bytes) -> bytes:
        """Check, run and mine a signed transaction; its hash. A revert is mined too, with status 0.

        Raises Rejected, with nothing written, for one that a node would not take.
        """
        tx = decode_transaction(raw)
        tx_hash = bytes(keccak(raw))
        with self._lock:
            try:
                with self._store.writing():
                    head = self.head()
                    self._check(tx, tx_hash, head)
                    self._append(head, tx, raw, tx_hash)
            except BaseException:
                self._engine.forget()
                raise
        return tx_hash

    def _check(self, tx: Transaction, tx_hash: bytes, head: Block) -> None:
        """Refuse what a node refuses, before anything is written; messages as geth words them."""
        if tx.chain_id != self.chain_id:
            raise Rejected("invalid chain id for signer", expected=self.chain_id, actual=tx.chain_id)
        if self._store.block_of(tx_hash) is not None:
            raise Rejected("already known")
        if tx.gas > GAS_LIMIT:
            raise Rejected("exceeds block gas limit", expected=f"at most {GAS_LIMIT}", actual=tx.gas)
        least = max(tx.intrinsic_gas, tx.floor_gas)
        if tx.gas < least:
            raise Rejected("intrinsic gas too low", expected=f"at least {least}", actual=tx.gas)
        if not tx.to and len(tx.data) > MAX_INITCODE:
            raise Rejected("max initcode size exceeded", expected=f"at most {MAX_INITCODE}", actual=len(tx.data))
        if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
            raise Rejected("max priority fee per gas higher than max fee per gas")
        sender = self._engine.account(head.header.state_root, tx.sender)
        if tx.nonce != sender.nonce:
            which, do = "low" if tx.nonce < sender.nonce else "high", "Read the nonce again and sign anew"
            raise Rejected(f"nonce too {which}", expected=sender.nonce, actual=tx.nonce, do=do)
        if sender.code and not sender.code.startswith(DELEGATION):
            raise Rejected("sender not an eoa", expected="an account without code of its own (EIP-3607, EIP-7702)")
        cost = tx.gas * tx.max_fee_per_gas + tx.value
        if sender.balance < cost:
            found = f"{sender.balance} wei"
            raise Rejected("insufficient funds for gas * price + value", expected=f"{cost} wei", actual=found)

    def _append(
        self, head: Block, tx: Transaction | None = None, raw: bytes = b"", tx_hash: bytes | None = None
    ) -> Block:
        """Run ``tx`` on top of ``head`` and store the block, under the file's write lock."""
        context = self._next_context(head)
        if tx is None:
            header = _header(head.hash, head.header.state_root, context.number, context.timestamp, None)
            encoded = header.encode()
            block = Block(context.number, bytes(keccak(encoded)), header, None, None, None, None, None)
            self._store.add_block(block, encoded, ())
            return block
        root, outcome = self._engine.apply(head.header.state_root, context, tx)
        entry = Receipt(tx.type, outcome.error is None, outcome.gas, outcome.logs)
        receipt = entry.encode()
        header = _header(head.hash, root, context.number, context.timestamp, (raw, receipt, entry))
        encoded = header.encode()
        created = None if tx.to else contract_address(tx.sender, tx.nonce)
        block = Block(
            context.number, bytes(keccak(encoded)), header, raw, tx_hash, tx.sender, receipt, created
        )
        self._store.add_block(block, encoded, outcome.logs)
        return block

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, tx: Transaction, at: Block | None = None) -> Outcome:
        """Run an unsigned transaction and keep nothing.

        at: None runs it as the next block would, at :meth:`now`; a block runs it on the state after that block, with
        that block's own number and time.
        """
        with self._lock:
            base = at or self.head()
            context = self._next_context(base) if at is None else self._context_of(base)
            outcome = self._engine.call(base.header.state_root, context, tx)
            self._store.drop_pending()
        return outcome

    def estimate(self, tx: Transaction, at: Block | None = None) -> tuple[int, Outcome]:
        """A gas limit that ``tx`` succeeds with, and what it did at the limit of a block (where it failed, no other
        limit helps).

        A limit must cover more than what is used: a write asks for 2,300 units to spare (EIP-2200), and an inner
        call gets at most 63/64 of what is left (EIP-150). The guess is run before it is given; if it falls short, the
        limit is found by bisection to within 1/64.
        """
        cap = min(tx.gas or GAS_LIMIT, GAS_LIMIT)
        full = self.call(replace(tx, gas=cap), at)
        if full.error is not None:
            return full.gas, full
        if full.gas == max(tx.intrinsic_gas, tx.floor_gas):
            return full.gas, full  # no instruction ran: nothing asks for more
        low, high = full.gas - 1, cap
        guess = min(cap, full.gas + WRITE_SPARE + (full.gas // 32 if full.nested else 0))
        while high - low > max(1, high >> 6):
            if self.call(replace(tx, gas=guess), at).error is not None:
                low = guess
            elif low < full.gas:
                return guess, full
            else:
                high = guess
            guess = (low + high) // 2
        return high, full

    def _next_context(self, head: Block) -> Context:
        return self._context(head.number + 1, self._now(head), head.hash)

    def _context_of(self, block: Block) -> Context:
        return self._context(block.number, block.header.timestamp, block.header.parent_hash)

    def _context(self, number: int, timestamp: int, parent_hash: bytes) -> Context:
        return Context(
            chain_id=self.chain_id,
            number=number,
            timestamp=timestamp,
            gas_limit=GAS_LIMIT,
            coinbase=ZERO_ACCOUNT,
            mix_hash=bytes(keccak(parent_hash)),
            base_fee=BASE_FEE,
            ancestors=lambda: reversed(self._store.hashes(max(0, number - BLOCK_HASH_DEPTH), number - 1)),
        )

    # -- state -----------------------------------------------------------------------------------------------------

    def account(self, account: bytes, at: Block | None = None) -> Account:
        """Nonce, wei and code of ``account`` after ``at`` (None: the head)."""
        with self._lock:
            return self._engine.account((at or self.head()).header.state_root, account)

    def storage(self, account: bytes, slot: int, at: Block | None = None) -> int:
        """A storage slot of ``account`` after ``at`` (None: the head)."""
        with self._lock:
            return self._engine.storage((at or self.head()).header.state_root, account, slot)

    def prove(self, account: bytes, slots: Sequence[int], at: Block | None = None) -> Proof:
        """``account`` after ``at`` (None: the head) with the trie nodes that prove it and each of ``slots``."""
        with self._lock:
            return self._engine.prove((at or self.head()).header.state_root, account, slots)


def _accounts_text(accounts: Mapping[bytes, int]) -> str:
    return json.dumps({account.hex(): str(wei) for account, wei in sorted(accounts.items())})


def _header(
    parent: bytes, root: bytes, number: int, timestamp: int, content: tuple[bytes, bytes, Receipt] | None
) -> Header:
    """A Prague header; content: the transaction's bytes, its receipt's bytes and the receipt, or None if empty."""
    transactions_root = single_root(content[0]) if content else EMPTY_TRIE_ROOT
    receipts_root = single_root(content[1]) if content else EMPTY_TRIE_ROOT
    bloom = logs_bloom(content[2].logs) if content else bytes(256)
    gas_used = content[2].cumulative_gas if content else 0
    return Header(
        (
            parent,
            EMPTY_UNCLES_HASH,
            ZERO_ACCOUNT,
            root,
            transactions_root,
            receipts_root,
            bloom,
            b"",
            rlp.integer(number),
            rlp.integer(GAS_LIMIT),
            rlp.integer(gas_used),
            rlp.integer(timestamp),
            b"",
            bytes(keccak(parent)),
            bytes(8),
            rlp.integer(BASE_FEE),
            EMPTY_TRIE_ROOT,
            b"",
            b"",
            bytes(32),
            NO_REQUESTS_HASH,
        )
    )


def open_url(
    url: str,
    chain_id: int | None,
    genesis_time: int | None,
    accounts: Mapping[bytes, int] | None,
    clock: Clock | None,
) -> EmbeddedChain:
    """The chain in the file after ``embedded:``; in memory if there is none."""
    path = url.partition(":")[2]
    return EmbeddedChain(
        Path(path) if path else None,
        chain_id=chain_id,
        genesis_time=genesis_time,
        accounts=accounts,
        clock=clock,
    )
