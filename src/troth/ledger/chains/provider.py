"""The embedded chain's JSON-RPC, as a web3.py provider.

Results and errors have the shapes and codes of geth's: 3 for a revert, with its data; -32000 for a transaction or
call that cannot be carried out; -32601 for an unknown method; -32602 for parameters that cannot be read. There are
no unlocked accounts: transactions come signed. Time cannot be moved from here, only by ``EmbeddedChain.advance``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCError, RPCResponse

from troth.core.errors import BadInput
from troth.ledger.chains.blocks import hex_all, hex_bytes, quantity
from troth.ledger.chains.engine import Outcome
from troth.ledger.chains.filters import Filters
from troth.ledger.chains.logs import LogFilter
from troth.ledger.chains.shapes import block_json, call_of, receipt_json, revert_reason, transaction_json
from troth.ledger.chains.store import Block
from troth.ledger.chains.transactions import Rejected, Transaction

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain

REVERTED, FAILED, NO_METHOD, BAD_PARAMETERS = 3, -32000, -32601, -32602
MAX_FEE_HISTORY = 1_024
BLOCK_BITS = 63


class _Failed(Exception):
    """A call or estimate that did not succeed."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.error)


class EmbeddedProvider(JSONBaseProvider):
    """``make_request(method, params)`` answers from the chain in this process; safe for threads.

    Filters belong to the provider, and end when nobody has asked for them for five minutes.
    """

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__()
        self.chain = chain
        filters = Filters(chain, self._number)
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
            "eth_getBlockTransactionCountByHash": lambda digest: self._count(self._find({"blockHash": digest})),
            "eth_getTransactionByBlockNumberAndIndex": lambda tag, at: self._only(self._find(tag), at),
            "eth_getTransactionByBlockHashAndIndex": lambda tag, at: self._only(self._find({"blockHash": tag}), at),
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
            "eth_newFilter": filters.logs,
            "eth_newBlockFilter": filters.blocks,
            "eth_getFilterChanges": filters.changes,
            "eth_getFilterLogs": filters.whole,
            "eth_uninstallFilter": filters.uninstall,
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
        except TypeError as error:  # parameters of other shapes than the method takes
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
            return store.block(0 if tag == "earliest" else _sized(tag, BLOCK_BITS))

    def _there(self, tag: Any) -> Block:
        block = self._find(tag)
        if block is None:
            raise BadInput("block not found", actual=tag, do=f"The head is block {self.chain.head().number}")
        return block

    def _number(self, tag: Any) -> int:
        """A block's number for a range, which may lie ahead of the head."""
        if isinstance(tag, str) and tag.startswith("0x") and len(tag) < 66:
            return _sized(tag, BLOCK_BITS)
        return _sized(tag, BLOCK_BITS) if isinstance(tag, int) else self._there(tag).number

    def _block_by_number(self, tag: Any, full: bool = False) -> dict[str, Any] | None:
        return self._pending_json() if tag == "pending" else self._block(self._find(tag), full)

    def _block_by_hash(self, digest: Any, full: bool = False) -> dict[str, Any] | None:
        return self._block(self._find({"blockHash": digest}), full)

    @staticmethod
    def _block(block: Block | None, full: bool) -> dict[str, Any] | None:
        return None if block is None else block_json(block, full)

    def _pending_json(self) -> dict[str, Any]:
        """The next block were it mined now, empty: what has no hash yet is null, as with geth."""
        header = self.chain.next_header()
        block = Block(header.number, b"", header, None, None, None, None, None)
        nothing = dict.fromkeys(("hash", "nonce", "miner"))
        return {**block_json(block, False), **nothing}

    @staticmethod
    def _count(block: Block | None) -> str | None:
        return None if block is None else hex(int(block.tx is not None))

    def _fee_history(self, count: Any, newest: Any, percentiles: Any = None) -> dict[str, Any]:
        last = self._there(newest).number
        first = max(0, last - min(quantity(count), MAX_FEE_HISTORY) + 1)
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
        value = self.chain.storage(hex_bytes(account, 20), _sized(slot, 256), self._there(tag))
        return "0x" + value.to_bytes(32, "big").hex()

    def _proof(self, account: Any, slots: Any, tag: Any = "latest") -> dict[str, Any]:
        """An account and some of its storage with trie nodes up to the block's state root (EIP-1186)."""
        address, keys = hex_bytes(account, 20), [_sized(slot, 256) for slot in slots]
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
        return call_of(fields, self.chain.chain_id, self.chain.gas_limit)

    # -- transactions ----------------------------------------------------------------------------------------------

    def _block_of(self, tx_hash: Any) -> Block | None:
        with self.chain.reading() as store:
            return store.block_of(hex_bytes(tx_hash, 32))

    def _transaction(self, tx_hash: Any) -> dict[str, Any] | None:
        block = self._block_of(tx_hash)
        return None if block is None else transaction_json(block)

    def _only(self, block: Block | None, index: Any) -> dict[str, Any] | None:
        """A block's transaction at ``index``, of which it has at most one."""
        return None if block is None or block.tx is None or quantity(index) else transaction_json(block)

    def _receipt(self, tx_hash: Any) -> dict[str, Any] | None:
        block = self._block_of(tx_hash)
        return None if block is None else receipt_json(block)

    def _block_receipts(self, tag: Any) -> list[dict[str, Any]] | None:
        block = self._find(tag)
        if block is None:
            return None
        return [] if block.tx is None else [receipt_json(block)]

    # -- logs and filters ------------------------------------------------------------------------------------------

    def _logs(self, query: Any) -> list[dict[str, object]]:
        wanted = LogFilter.parse(query, self._number)
        with self.chain.reading() as store:
            return wanted.run(store)


def _sized(value: Any, bits: int) -> int:
    """A JSON-RPC integer of at most ``bits`` bits. Raises BadInput."""
    number = quantity(value)
    if number >> bits:
        raise BadInput(f"an integer passes {bits} bits", actual=f"{number.bit_length()} bits")
    return number
