"""The embedded chain's JSON-RPC, as a web3.py provider.

Results and errors have the shapes and codes of geth's: 3 for a revert, with its data; -32000 for a transaction or
call that cannot be carried out; -32601 for an unknown method; -32602 for parameters that cannot be read. There are
no unlocked accounts: transactions come signed. Time cannot be moved from here, only by ``EmbeddedChain.advance``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCError, RPCResponse

from troth.core.errors import BadInput
from troth.ledger.chains.blocks import Receipt, hex_all, hex_bytes, logs_bloom, quantity
from troth.ledger.chains.engine import ZERO_ACCOUNT, Outcome
from troth.ledger.chains.logs import LogFilter, log_json
from troth.ledger.chains.store import Block, StoredLog
from troth.ledger.chains.transactions import (
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Rejected,
    Transaction,
    decode_transaction,
)

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain

REVERTED, FAILED, NO_METHOD, BAD_PARAMETERS = 3, -32000, -32601, -32602
ERROR_SELECTOR = bytes.fromhex("08c379a0")
"""Of ``Error(string)``, what ``require`` with a message reverts with."""
NO_UNCLES: list[str] = []


class _Failed(Exception):
    """A call or estimate that did not succeed."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.error)


@dataclass(slots=True)
class _Filter:
    """A filter being polled: what it looks for (None: new blocks) and the first block not yet told."""

    logs: LogFilter | None
    last: int | None
    next: int


class EmbeddedProvider(JSONBaseProvider):
    """``make_request(method, params)`` answers from the chain in this process. Filters belong to the provider."""

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__()
        self.chain = chain
        self._filters: dict[str, _Filter] = {}
        self._names = itertools.count(1)
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "troth-embedded/prague",
            "net_version": lambda: str(chain.chain_id),
            "net_listening": lambda: True,
            "eth_chainId": lambda: hex(chain.chain_id),
            "eth_accounts": lambda: [],
            "eth_syncing": lambda: False,
            "eth_gasPrice": lambda: "0x0",
            "eth_maxPriorityFeePerGas": lambda: "0x0",
            "eth_feeHistory": self._fee_history,
            "eth_blockNumber": lambda: hex(chain.head().number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockTransactionCountByNumber": lambda tag: self._count(self._find(tag)),
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getBalance": lambda account, tag="latest": hex(self._account(account, tag).balance),
            "eth_getTransactionCount": lambda account, tag="latest": hex(self._account(account, tag).nonce),
            "eth_getCode": lambda account, tag="latest": "0x" + self._account(account, tag).code.hex(),
            "eth_getStorageAt": self._storage,
            "eth_getProof": self._proof,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": lambda raw: "0x" + chain.submit(hex_bytes(raw)).hex(),
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "eth_newFilter": self._new_filter,
            "eth_newBlockFilter": lambda: self._install(None, None),
            "eth_getFilterChanges": self._filter_changes,
            "eth_getFilterLogs": self._filter_logs,
            "eth_uninstallFilter": lambda name: self._filters.pop(name, None) is not None,
        }

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one JSON-RPC request. Raises OutsideFailed where the chain's file fails."""
        handler = self._methods.get(method)
        if handler is None:
            return self._error(NO_METHOD, f"the method {method} does not exist/is not available")
        try:
            result = handler(*params)
        except BadInput as error:
            return self._error(FAILED if isinstance(error, Rejected) else BAD_PARAMETERS, error.diagnostics())
        except TypeError as error:
            return self._error(BAD_PARAMETERS, f"{method}: {error}")
        except _Failed as failure:
            return self._failure(failure.outcome)
        return {"jsonrpc": "2.0", "id": next(self.request_counter), "result": result}

    def _error(self, code: int, message: str, data: str | None = None) -> RPCResponse:
        error: RPCError = {"code": code, "message": message}
        if data is not None:
            error["data"] = data
        return {"jsonrpc": "2.0", "id": next(self.request_counter), "error": error}

    def _failure(self, outcome: Outcome) -> RPCResponse:
        if not outcome.reverted:
            return self._error(FAILED, f"execution failed: {outcome.error}")
        reason = revert_reason(outcome.output)
        message = "execution reverted" if reason is None else f"execution reverted: {reason}"
        return self._error(REVERTED, message, "0x" + outcome.output.hex())

    # -- blocks ----------------------------------------------------------------------------------------------------

    def _find(self, tag: Any) -> Block | None:
        """The block a tag, number, hash or EIP-1898 object names; None if there is none."""
        if isinstance(tag, Mapping):
            if tag.get("blockHash") is not None:
                with self.chain.reading() as store:
                    return store.block_by_hash(hex_bytes(tag["blockHash"], 32))
            tag = tag.get("blockNumber")
        if tag in ("latest", "pending", "safe", "finalized"):
            return self.chain.head()
        if isinstance(tag, str) and len(tag) == 66:
            return self._find({"blockHash": tag})
        with self.chain.reading() as store:
            return store.block(0 if tag == "earliest" else quantity(tag))

    def _there(self, tag: Any) -> Block:
        block = self._find(tag)
        if block is None:
            raise BadInput("block not found", actual=tag, do=f"The head is block {self.chain.head().number}")
        return block

    def _number(self, tag: Any) -> int:
        """A block's number for a range, which may lie ahead of the head."""
        if isinstance(tag, str) and tag.startswith("0x") and len(tag) < 66:
            return quantity(tag)
        return quantity(tag) if isinstance(tag, int) else self._there(tag).number

    def _block_by_number(self, tag: Any, full: bool = False) -> dict[str, Any] | None:
        return self._pending_json() if tag == "pending" else self._block_json(self._find(tag), full)

    def _block_by_hash(self, digest: Any, full: bool = False) -> dict[str, Any] | None:
        return self._block_json(self._find({"blockHash": digest}), full)

    def _block_json(self, block: Block | None, full: bool) -> dict[str, Any] | None:
        if block is None:
            return None
        transactions: list[Any] = []
        if block.tx_hash is not None:
            transactions = [self._transaction_json(block) if full else "0x" + block.tx_hash.hex()]
        return {
            **block.header.to_json(),
            "hash": "0x" + block.hash.hex(),
            "size": hex(len(block.header.encode()) + len(block.tx or b"")),
            "totalDifficulty": "0x0",
            "transactions": transactions,
            "uncles": NO_UNCLES,
            "withdrawals": [],
        }

    def _pending_json(self) -> dict[str, Any]:
        """The next block were it mined now, empty: what has no hash yet is null, as with geth."""
        header = self.chain.next_header()
        block = Block(header.number, b"", header, None, None, None, None, None)
        nothing = dict.fromkeys(("hash", "nonce", "miner"))
        return {**(self._block_json(block, False) or {}), **nothing}

    @staticmethod
    def _count(block: Block | None) -> str | None:
        return None if block is None else hex(int(block.tx is not None))

    def _fee_history(self, count: Any, newest: Any, percentiles: Any = None) -> dict[str, Any]:
        last = self._there(newest).number
        first = max(0, last - quantity(count) + 1)
        with self.chain.reading() as store:
            blocks = [block for number in range(first, last + 1) if (block := store.block(number)) is not None]
        history: dict[str, Any] = {
            "oldestBlock": hex(first),
            "baseFeePerGas": ["0x0"] * (len(blocks) + 1),
            "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
        }
        if percentiles:
            history["reward"] = [["0x0"] * len(percentiles) for _ in blocks]
        return history

    # -- state and calls -------------------------------------------------------------------------------------------

    def _account(self, account: Any, tag: Any) -> Any:
        return self.chain.account(hex_bytes(account, 20), self._there(tag))

    def _storage(self, account: Any, slot: Any, tag: Any = "latest") -> str:
        value = self.chain.storage(hex_bytes(account, 20), quantity(slot), self._there(tag))
        return "0x" + value.to_bytes(32, "big").hex()

    def _proof(self, account: Any, slots: Any, tag: Any = "latest") -> dict[str, Any]:
        """An account and some of its storage with trie nodes up to the block's state root (EIP-1186)."""
        address, keys = hex_bytes(account, 20), [quantity(slot) for slot in slots]
        entry, nodes, storage = self.chain.prove(address, keys, self._there(tag))
        nonce, balance, root, code_hash = entry
        return {
            "address": "0x" + address.hex(), "nonce": hex(nonce), "balance": hex(balance),
            "storageHash": "0x" + root.hex(), "codeHash": "0x" + code_hash.hex(), "accountProof": hex_all(nodes),
            "storageProof": [
                {"key": hex(key), "value": hex(value), "proof": hex_all(path)}
                for key, (value, path) in zip(keys, storage, strict=True)
            ],
        }  # fmt: skip

    def _past(self, tag: Any) -> Block | None:
        """The block a call runs after: None means as the next block."""
        return None if tag in ("latest", "pending") else self._there(tag)

    def _call(self, fields: Any, tag: Any = "latest") -> str:
        tx = self._unsigned(fields)
        outcome = self.chain.call(tx, self._past(tag))
        if outcome.error is not None:
            raise _Failed(outcome)
        return "0x" + outcome.output.hex()

    def _estimate(self, fields: Any, tag: Any = "latest") -> str:
        limit, outcome = self.chain.estimate(self._unsigned(fields), self._past(tag))
        if outcome.error is not None:
            raise _Failed(outcome)
        return hex(limit)

    def _unsigned(self, fields: Any) -> Transaction:
        """A call's fields as a transaction at no cost."""
        if not isinstance(fields, Mapping):
            raise BadInput("a call is not an object", actual=repr(fields)[:80])
        data = fields.get("input") if fields.get("input") is not None else fields.get("data")
        access = tuple(
            (hex_bytes(entry["address"], 20), tuple(quantity(slot) for slot in entry["storageKeys"]))
            for entry in fields.get("accessList") or ()
        )
        leave = tuple(
            Authorization(
                quantity(entry["chainId"]), hex_bytes(entry["address"], 20), quantity(entry["nonce"]),
                quantity(entry["yParity"]), quantity(entry["r"]), quantity(entry["s"]),
            )
            for entry in fields.get("authorizationList") or ()
        )  # fmt: skip
        return Transaction(
            type=SET_CODE if leave else DYNAMIC_FEE,
            chain_id=self.chain.chain_id,
            nonce=0,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=quantity(fields.get("gas") or 0) or self.chain.gas_limit,
            to=hex_bytes(fields["to"], 20) if fields.get("to") else b"",
            value=quantity(fields.get("value") or 0),
            data=hex_bytes(data or "0x"),
            access_list=access,
            sender=hex_bytes(fields["from"], 20) if fields.get("from") else ZERO_ACCOUNT,
            authorizations=leave,
        )

    # -- transactions ----------------------------------------------------------------------------------------------

    def _block_of(self, tx_hash: Any) -> Block | None:
        with self.chain.reading() as store:
            return store.block_of(hex_bytes(tx_hash, 32))

    def _transaction(self, tx_hash: Any) -> dict[str, Any] | None:
        block = self._block_of(tx_hash)
        return None if block is None else self._transaction_json(block)

    @staticmethod
    def _transaction_json(block: Block) -> dict[str, Any]:
        tx = decode_transaction(block.tx or b"")
        result: dict[str, Any] = {
            **_place(block),
            "type": hex(tx.type),
            "chainId": hex(tx.chain_id),
            "from": "0x" + tx.sender.hex(),
            "to": "0x" + tx.to.hex() if tx.to else None,
            "nonce": hex(tx.nonce),
            "gas": hex(tx.gas),
            "gasPrice": hex(_price(tx)),
            "value": hex(tx.value),
            "input": "0x" + tx.data.hex(),
            "v": hex(tx.v),
            "r": hex(tx.r),
            "s": hex(tx.s),
        }
        result["hash"] = result.pop("transactionHash")
        if tx.type != LEGACY:
            result["yParity"] = hex(tx.y_parity)
            result["accessList"] = [
                {"address": "0x" + address.hex(), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
                for address, slots in tx.access_list
            ]
        if tx.type in (DYNAMIC_FEE, SET_CODE):
            result["maxFeePerGas"] = hex(tx.max_fee_per_gas)
            result["maxPriorityFeePerGas"] = hex(tx.max_priority_fee_per_gas)
        if tx.type == SET_CODE:
            result["authorizationList"] = [
                {"chainId": hex(one.chain_id), "address": "0x" + one.address.hex(), "nonce": hex(one.nonce),
                 "yParity": hex(one.y_parity), "r": hex(one.r), "s": hex(one.s)}
                for one in tx.authorizations
            ]  # fmt: skip
        return result

    def _receipt(self, tx_hash: Any) -> dict[str, Any] | None:
        block = self._block_of(tx_hash)
        return None if block is None else _receipt_json(block)

    def _block_receipts(self, tag: Any) -> list[dict[str, Any]] | None:
        block = self._find(tag)
        if block is None:
            return None
        return [] if block.tx is None else [_receipt_json(block)]

    # -- logs and filters ------------------------------------------------------------------------------------------

    def _logs(self, query: Any) -> list[dict[str, object]]:
        wanted = LogFilter.parse(query, self._number)
        with self.chain.reading() as store:
            return wanted.run(store)

    def _new_filter(self, query: Any) -> str:
        wanted = LogFilter.parse(query, self._number)
        ends = isinstance(query.get("toBlock"), (int, str)) and str(query["toBlock"])[:2] == "0x"
        return self._install(wanted, wanted.last if ends else None)

    def _install(self, logs: LogFilter | None, last: int | None) -> str:
        name = hex(next(self._names))
        after = self.chain.head().number + 1
        self._filters[name] = _Filter(logs, last, max(after, logs.first) if logs else after)
        return name

    def _filter(self, name: Any) -> _Filter:
        found = self._filters.get(name)
        if found is None:
            raise BadInput("filter not found", actual=name, do="Make it anew: filters live as long as their provider")
        return found

    def _filter_changes(self, name: Any) -> list[Any]:
        found = self._filter(name)
        head = self.chain.head().number
        first, last = found.next, head if found.last is None else min(head, found.last)
        found.next = max(first, head + 1)
        with self.chain.reading() as store:
            if found.logs is None:
                return ["0x" + digest.hex() for digest in store.hashes(first, last)]
            return list(found.logs.run(store, first, last))

    def _filter_logs(self, name: Any) -> list[Any]:
        found = self._filter(name)
        if found.logs is None:
            raise BadInput("a block filter has no logs", actual=name, do="Use eth_getFilterChanges")
        head = self.chain.head().number
        with self.chain.reading() as store:
            return list(found.logs.run(store, None, head if found.last is None else found.last))


def revert_reason(data: bytes) -> str | None:
    """The message of an ``Error(string)`` revert; None for any other data."""
    length = int.from_bytes(data[36:68], "big")
    if data[:4] != ERROR_SELECTOR or int.from_bytes(data[4:36], "big") != 32 or len(data) < 68 + length:
        return None
    return data[68 : 68 + length].decode("utf-8", "replace")


def _price(tx: Transaction) -> int:
    """Wei per gas actually paid, at a base fee of zero."""
    return min(tx.max_fee_per_gas, tx.max_priority_fee_per_gas)


def _place(block: Block) -> dict[str, Any]:
    """Where a block's only transaction stands."""
    return {
        "blockHash": "0x" + block.hash.hex(),
        "blockNumber": hex(block.number),
        "transactionHash": "0x" + (block.tx_hash or b"").hex(),
        "transactionIndex": "0x0",
    }


def _receipt_json(block: Block) -> dict[str, Any]:
    receipt = Receipt.decode(block.receipt or b"")
    tx = decode_transaction(block.tx or b"")
    header = block.header.encode()
    return {
        **_place(block),
        "type": hex(receipt.type),
        "status": hex(receipt.status),
        "from": "0x" + (block.sender or b"").hex(),
        "to": "0x" + tx.to.hex() if tx.to else None,
        "contractAddress": "0x" + block.created.hex() if block.created else None,
        "gasUsed": hex(block.header.gas_used),
        "cumulativeGasUsed": hex(receipt.cumulative_gas),
        "effectiveGasPrice": hex(_price(tx)),
        "logsBloom": "0x" + logs_bloom(receipt.logs).hex(),
        "logs": [
            log_json(StoredLog(log, block.number, at, block.hash, block.tx_hash or b"", header))
            for at, log in enumerate(receipt.logs)
        ],
    }
