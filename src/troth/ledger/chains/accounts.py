"""Accounts and storage as the EVM reads and writes them: one flat view with an undo journal over the state tries.

py-evm's own goes through eight layers of key-value tables for each access and rehashes tries key by key, which took
two thirds of a transaction's time. Here what was read or written stays in a dictionary, a checkpoint is a length of
the journal, and the tries are touched on first reads and once when the transaction is over.

Rules kept: original values for net gas metering are those at the start of the transaction (EIP-2200), warm sets and
transient storage fall back with their frame (EIP-2929, EIP-1153), emptied accounts leave the trie (EIP-161).
"""

from __future__ import annotations

import itertools
from typing import Any, cast

from eth.abc import AccountDatabaseAPI, MetaWitnessAPI
from eth.typing import JournalDBCheckpoint
from eth_hash.auto import keccak
from eth_typing import Address, Hash32

from troth.core.errors import OutsideFailed
from troth.ledger.chains import rlpcodec as rlp
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT
from troth.ledger.chains.store import BlockStore
from troth.ledger.chains.tries import Tries

NO_CODE = keccak(b"")
Entry = tuple[int, int, bytes, bytes]
"""An account: nonce, balance, storage root, code hash."""
EMPTY: Entry = (0, 0, EMPTY_TRIE_ROOT, NO_CODE)
REMEMBERED = 1 << 16
"""Accounts and slots kept between transactions before starting afresh."""
_ABSENT = object()


class Backing:
    """What account views of one chain share: its table, its tries, and the view at the head to read through."""

    def __init__(self, store: BlockStore) -> None:
        self.store = store
        self.tries = Tries(store.node, store.put_node)
        self.head: FlatAccounts | None = None
        self.hashes: dict[bytes, bytes] = {}

    def key(self, name: bytes) -> bytes:
        """The trie key of an account or a padded slot: its hash, remembered."""
        digest = self.hashes.get(name)
        if digest is None:
            if len(self.hashes) > REMEMBERED:
                self.hashes.clear()
            digest = self.hashes[name] = bytes(keccak(name))
        return digest


class FlatAccounts(AccountDatabaseAPI):
    """The accounts at one state root and the changes made on top since. See ``AccountDatabaseAPI`` for each method.

    Values are checked where they enter a transaction, not again at each access.
    """

    def __init__(self, db: Any, state_root: Hash32) -> None:
        self._backing = cast(Backing, db)
        self._root: bytes = state_root
        head = self._backing.head
        self._below = head if head is not None and head.state_root == state_root else None
        self._accounts: dict[bytes, Entry | None] = {}
        self._slots: dict[bytes, dict[int, int]] = {}
        self._wiped: dict[bytes, bool] = {}
        self._changed: set[bytes] = set()
        self._written: dict[bytes, set[int]] = {}
        self._codes: dict[bytes, bytes] = {}
        self._originals: dict[tuple[bytes, int], int] = {}
        self._warm: dict[object, bool] = {}
        self._transient: dict[tuple[bytes, int], bytes] = {}
        self._journal: list[tuple[dict[Any, Any], Any, Any]] = []
        self._marks: dict[int, int] = {}
        self._names = itertools.count()

    @property
    def state_root(self) -> Hash32:
        return Hash32(self._root)

    @state_root.setter
    def state_root(self, value: Hash32) -> None:
        if value != self._root:
            raise OutsideFailed("a view of accounts was moved to another state", expected=self._root.hex())

    def has_root(self, state_root: bytes) -> bool:
        return state_root == EMPTY_TRIE_ROOT or self._backing.store.node(state_root) is not None

    # -- the journal -----------------------------------------------------------------------------------------------

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Change one entry of a table, so that it can be undone."""
        self._journal.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def record(self) -> JournalDBCheckpoint:
        name = next(self._names)
        self._marks[name] = len(self._journal)
        return cast(JournalDBCheckpoint, name)

    def commit(self, checkpoint: JournalDBCheckpoint) -> None:
        del self._marks[cast(int, checkpoint)]

    def discard(self, checkpoint: JournalDBCheckpoint) -> None:
        mark = self._marks.pop(cast(int, checkpoint))
        while len(self._journal) > mark:
            table, key, before = self._journal.pop()
            if before is _ABSENT:
                del table[key]
            else:
                table[key] = before

    def lock_changes(self) -> None:
        """A transaction begins: nothing before it can be undone, and its warm sets are empty."""
        self._journal.clear()
        self._marks.clear()
        self._originals.clear()
        self._warm.clear()
        self._transient.clear()

    # -- accounts --------------------------------------------------------------------------------------------------

    def entry(self, address: bytes) -> Entry | None:
        """The account, or None if it does not exist."""
        found = self._accounts.get(address, _ABSENT)
        if found is not _ABSENT:
            return cast("Entry | None", found)
        if self._below is not None:
            loaded = self._below.entry(address)
        else:
            raw = self._backing.tries.get(self._root, self._backing.key(address))
            loaded = _entry(raw) if raw else None
        self._accounts[address] = loaded
        return loaded

    def _put(self, address: bytes, entry: Entry | None) -> None:
        self.entry(address)  # an undone change falls back to what was read, never to a later state
        self._changed.add(address)
        self._set(self._accounts, address, entry)

    def _change(self, address: bytes, nonce: int | None = None, balance: int | None = None,
                code_hash: bytes | None = None) -> None:
        old = self.entry(address) or EMPTY
        self._put(address, (
            old[0] if nonce is None else nonce,
            old[1] if balance is None else balance,
            old[2],
            old[3] if code_hash is None else code_hash,
        ))  # fmt: skip

    def get_balance(self, address: Address) -> int:
        return (self.entry(address) or EMPTY)[1]

    def set_balance(self, address: Address, balance: int) -> None:
        if not 0 <= balance < 1 << 256:
            raise OverflowError("a balance leaves 256 bits")
        self._change(address, balance=balance)

    def get_nonce(self, address: Address) -> int:
        return (self.entry(address) or EMPTY)[0]

    def set_nonce(self, address: Address, nonce: int) -> None:
        self._change(address, nonce=nonce)

    def increment_nonce(self, address: Address) -> None:
        self._change(address, nonce=self.get_nonce(address) + 1)

    def get_code_hash(self, address: Address) -> Hash32:
        return Hash32((self.entry(address) or EMPTY)[3])

    def get_code(self, address: Address) -> bytes:
        digest = (self.entry(address) or EMPTY)[3]
        if digest == NO_CODE:
            return b""
        code = self._codes.get(digest) or self._backing.store.node(digest)
        if code is None:
            raise OutsideFailed(f"the chain's state lacks code {digest.hex()}", do="Restore the file from a copy")
        return code

    def set_code(self, address: Address, code: bytes) -> None:
        digest = bytes(keccak(code))
        self._codes[digest] = code
        self._change(address, code_hash=digest)

    def delete_code(self, address: Address) -> None:
        self._change(address, code_hash=NO_CODE)

    def account_exists(self, address: Address) -> bool:
        return self.entry(address) is not None

    def account_has_code_or_nonce(self, address: Address) -> bool:
        entry = self.entry(address) or EMPTY
        return entry[0] != 0 or entry[3] != NO_CODE

    def account_is_empty(self, address: Address) -> bool:
        entry = self.entry(address) or EMPTY
        return entry[:2] == (0, 0) and entry[3] == NO_CODE

    def touch_account(self, address: Address) -> None:
        self._change(address)

    def delete_account(self, address: Address) -> None:
        self.delete_storage(address)
        self._put(address, None)

    # -- storage ---------------------------------------------------------------------------------------------------

    def _table(self, address: bytes) -> dict[int, int]:
        table = self._slots.get(address)
        if table is None:
            table = self._slots[address] = {}
        return table

    def slot(self, address: bytes, slot: int) -> int:
        """A storage slot's present value."""
        table = self._table(address)
        value = table.get(slot)
        if value is None:
            value = table[slot] = 0 if address in self._wiped else self._stored(address, slot)
        return value

    def _stored(self, address: bytes, slot: int) -> int:
        if self._below is not None:
            return self._below.slot(address, slot)
        root = (self.entry(address) or EMPTY)[2]
        if root == EMPTY_TRIE_ROOT:
            return 0
        raw = self._backing.tries.get(root, self._backing.key(slot.to_bytes(32, "big")))
        return rlp.as_int(rlp.decode(raw), "a stored value") if raw else 0

    def get_storage(self, address: Address, slot: int, from_journal: bool = True) -> int:
        value = self.slot(address, slot)
        return value if from_journal else self._originals.get((address, slot), value)

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        before = self.slot(address, slot)
        self._originals.setdefault((address, slot), before)
        self._written.setdefault(address, set()).add(slot)
        self._set(self._slots[address], slot, value)

    def delete_storage(self, address: Address) -> None:
        """Empty the account's storage; it is asked for at the end of a transaction, or for an account that is new."""
        entry = self.entry(address)
        if entry is not None and entry[2] != EMPTY_TRIE_ROOT:
            self._put(address, (entry[0], entry[1], EMPTY_TRIE_ROOT, entry[3]))
            self._set(self._wiped, address, True)
        for slot in self._table(address):
            self._set(self._slots[address], slot, 0)

    # -- warm sets and transient storage ---------------------------------------------------------------------------

    def is_address_warm(self, address: Address) -> bool:
        return address in self._warm

    def mark_address_warm(self, address: Address) -> None:
        if address not in self._warm:
            self._set(self._warm, address, True)

    def is_storage_warm(self, address: Address, slot: int) -> bool:
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: Address, slot: int) -> None:
        if (address, slot) not in self._warm:
            self._set(self._warm, (address, slot), True)

    def get_transient(self, address: bytes, slot: int) -> bytes:
        """A slot of EIP-1153's storage."""
        return self._transient.get((address, slot), b"")

    def set_transient(self, address: bytes, slot: int, value: bytes) -> None:
        """Write a slot of EIP-1153's storage."""
        self._set(self._transient, (address, slot), value)

    # -- roots -----------------------------------------------------------------------------------------------------

    def make_state_root(self) -> Hash32:
        """Take what was written into the tries; the root of the state (32 bytes)."""
        key, update = self._backing.key, self._backing.tries.update
        for address, slots in self._written.items():
            entry = self.entry(address)
            if entry is None:
                continue
            table = self._slots[address]
            changes = {key(slot.to_bytes(32, "big")): _stored_form(table[slot]) for slot in sorted(slots)}
            self._accounts[address] = (entry[0], entry[1], update(entry[2], changes), entry[3])
            self._changed.add(address)
        accounts = {key(address): _account_form(self.entry(address)) for address in sorted(self._changed)}
        self._root = update(self._root, accounts)
        self._written.clear()
        self._changed.clear()
        self._wiped.clear()
        self._below = None
        return Hash32(self._root)

    def persist(self) -> MetaWitnessAPI:
        """Bring every change into the tries. There is no witness: nobody here asks for one."""
        self.make_state_root()
        for digest, code in self._codes.items():
            self._backing.store.put_node(digest, code)
        self._codes.clear()
        self.lock_changes()
        if len(self._accounts) + sum(map(len, self._slots.values())) > REMEMBERED:
            self._accounts.clear()
            self._slots.clear()
        return cast(MetaWitnessAPI, None)


def _entry(raw: bytes) -> Entry:
    nonce, balance, root, code_hash = rlp.decode_list(raw)
    return (
        rlp.as_int(nonce, "a nonce"),
        rlp.as_int(balance, "a balance"),
        rlp.as_bytes(root, "a storage root", 32),
        rlp.as_bytes(code_hash, "a code hash", 32),
    )


def _account_form(entry: Entry | None) -> bytes:
    """An account as its trie holds it; nothing where there is none."""
    if entry is None:
        return b""
    return rlp.encode((rlp.integer(entry[0]), rlp.integer(entry[1]), entry[2], entry[3]))


def _stored_form(value: int) -> bytes:
    return rlp.encode(rlp.integer(value)) if value else b""
