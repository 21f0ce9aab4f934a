"""The embedded chain's blocks, transactions, receipts and calls as JSON-RPC words them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.core.errors import BadInput
from troth.ledger.chains.blocks import Receipt, hex_bytes, logs_bloom, quantity
from troth.ledger.chains.engine import ZERO_ACCOUNT
from troth.ledger.chains.logs import log_json
from troth.ledger.chains.store import Block, StoredLog
from troth.ledger.chains.transactions import (
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
    decode_transaction,
)

ERROR_SELECTOR = bytes.fromhex("08c379a0")
"""Of ``Error(string)``, what ``require`` with a message reverts with."""
NO_UNCLES: list[str] = []


def block_json(block: Block, full: bool) -> dict[str, Any]:
    """A block, with its transaction whole or as its hash."""
    transactions: list[Any] = []
    if block.tx_hash is not None:
        transactions = [transaction_json(block) if full else "0x" + block.tx_hash.hex()]
    return {
        **block.header.to_json(),
        "hash": "0x" + block.hash.hex(),
        "size": hex(len(block.header.encode()) + len(block.tx or b"")),
        "totalDifficulty": "0x0",
        "transactions": transactions,
        "uncles": NO_UNCLES,
        "withdrawals": [],
    }


def transaction_json(block: Block) -> dict[str, Any]:
    """A block's only transaction."""
    tx = decode_transaction(block.tx or b"", block.sender)
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


def receipt_json(block: Block) -> dict[str, Any]:
    """The receipt of a block's only transaction."""
    receipt = Receipt.decode(block.receipt or b"")
    tx = decode_transaction(block.tx or b"", block.sender)
    timestamp = block.header.timestamp
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
            log_json(StoredLog(log, block.number, at, block.hash, block.tx_hash or b"", timestamp))
            for at, log in enumerate(receipt.logs)
        ],
    }


def call_of(fields: Any, chain_id: int, gas_limit: int) -> Transaction:
    """A call's fields as a transaction at no cost, with at most ``gas_limit``. Raises BadInput."""
    if not isinstance(fields, Mapping):
        raise BadInput("a call is not an object", actual=repr(fields)[:80])
    data = fields.get("input") if fields.get("input") is not None else fields.get("data")
    access = tuple(
        (hex_bytes(_part(entry, "address"), 20), tuple(_slot(slot) for slot in _part(entry, "storageKeys")))
        for entry in fields.get("accessList") or ()
    )
    leave = tuple(
        Authorization(
            quantity(_part(entry, "chainId")), hex_bytes(_part(entry, "address"), 20), quantity(_part(entry, "nonce")),
            quantity(_part(entry, "yParity")), quantity(_part(entry, "r")), quantity(_part(entry, "s")),
        )
        for entry in fields.get("authorizationList") or ()
    )  # fmt: skip
    gas, value = quantity(fields.get("gas") or 0), quantity(fields.get("value") or 0)
    if not (0 <= gas < 1 << 64 and 0 <= value < 1 << 256):
        raise BadInput("a call's gas passes 64 bits, or its value 256")
    return Transaction(
        type=SET_CODE if leave else DYNAMIC_FEE,
        chain_id=chain_id,
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas=min(gas or gas_limit, gas_limit),
        to=hex_bytes(fields["to"], 20) if fields.get("to") else b"",
        value=value,
        data=hex_bytes(data or "0x"),
        access_list=access,
        sender=hex_bytes(fields["from"], 20) if fields.get("from") else ZERO_ACCOUNT,
        authorizations=leave,
    )



def _part(entry: Any, name: str) -> Any:
    """A field that must be there."""
    if not isinstance(entry, Mapping) or name not in entry:
        raise BadInput(f"an entry of a call's list lacks {name}", actual=repr(entry)[:80])
    return entry[name]


def _slot(value: Any) -> int:
    slot = quantity(value)
    if slot >> 256:
        raise BadInput("a slot passes 256 bits", actual=f"{slot.bit_length()} bits")
    return slot
