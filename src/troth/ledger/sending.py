"""Sending transactions: one estimate, one raw send, one receipt.

The estimate runs the act before anything is written, so a contract's refusal costs nothing and comes back as
``ActRefused`` with the error the contract named. The nonce is read from the chain at each send; a durable outbox
(re-sending the same bytes after a crash) is not here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import coincurve
from eth_hash.auto import keccak

from troth.core.errors import ActRefused, BadInput, OutsideFailed, Pending, TrothError
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import Event, RpcError, event_of, request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, account_of

if TYPE_CHECKING:
    from web3 import Web3

WAIT = 120.0
"""Seconds to wait for a receipt."""
POLL = 0.25
ERROR_STRING = {"type": "error", "name": "Error", "inputs": [{"name": "reason", "type": "string"}]}
PANIC = {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction that succeeded. gas_used in units; contract: the account it created, if any."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    contract: bytes | None
    logs: tuple[Event, ...]


class Sender:
    """Sends one account's transactions on one chain.

    key: 32-byte secp256k1 secret; it never shows in a repr, message or log. errors: ABI entries of type ``error``
    that refusals are decoded with (other entries are passed over). sleep: how to wait between polls.

    Raises BadInput for a key that is none.
    """

    __slots__ = ("_errors", "_key", "_sleep", "_tip", "_wait", "account", "chain_id", "web3")

    def __init__(
        self,
        web3: Web3,
        key: bytes,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        wait: float = WAIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            self._key = coincurve.PrivateKey(key)
        except ValueError:
            raise BadInput("not a secp256k1 secret key", expected="32 bytes, not 0, below the order") from None
        self.account = account_of(self._key.public_key)
        self.web3 = web3
        self._errors = tuple(errors)
        self._wait, self._sleep = wait, sleep
        self.chain_id = quantity(request(web3, "eth_chainId"))
        self._tip: int | None = None

    def __repr__(self) -> str:
        return f"Sender(0x{self.account.hex()}, chain {self.chain_id})"

    def send(self, to: bytes | None, data: bytes = b"", *, value: int = 0, gas: int | None = None) -> Receipt:
        """Send, wait until mined, and return the receipt. to: None deploys ``data``. value: wei.

        gas: the limit; None estimates it. Raises ActRefused where the contract reverts (nothing was sent, unless
        ``gas`` was given or the state moved between estimate and send), Pending if no block took it in time,
        OutsideFailed for anything else.
        """
        try:
            limit = self._estimate(to, data, value) if gas is None else gas
            priority, fee = self._fees()
            nonce = quantity(request(self.web3, "eth_getTransactionCount", self._hex(self.account), "pending"))
            target = to or b""
            unsigned = Transaction(DYNAMIC_FEE, self.chain_id, nonce, priority, fee, limit, target, value, data)
            raw = unsigned.signed(self._key, self.account).encode()
            tx_hash = hex_bytes(request(self.web3, "eth_sendRawTransaction", self._hex(raw)), 32)
        except RpcError as error:
            raise refusal(error, self._errors) from error
        receipt = self._await(tx_hash)
        if quantity(receipt["status"]) != 1:
            self._explain(to, data, value, limit, quantity(receipt["blockNumber"]))
        return receipt_of(receipt)

    def deploy(self, code: bytes, arguments: bytes = b"") -> Receipt:
        """Deploy creation ``code`` with ABI-encoded constructor arguments; ``contract`` of the receipt is set."""
        return self.send(None, code + arguments)

    @staticmethod
    def _hex(data: bytes) -> str:
        return "0x" + data.hex()

    def _fields(self, to: bytes | None, data: bytes, value: int) -> dict[str, str]:
        fields = {"from": self._hex(self.account), "data": self._hex(data)}
        if to:
            fields["to"] = self._hex(to)
        if value:
            fields["value"] = hex(value)
        return fields

    def _estimate(self, to: bytes | None, data: bytes, value: int) -> int:
        return quantity(request(self.web3, "eth_estimateGas", self._fields(to, data, value)))

    def _fees(self) -> tuple[int, int]:
        """(tip, most in all) in wei per gas; a chain that once asked for none is taken to ask for none."""
        if self._tip == 0:
            return 0, 0
        price = quantity(request(self.web3, "eth_gasPrice"))
        self._tip = quantity(request(self.web3, "eth_maxPriorityFeePerGas")) if price else 0
        return self._tip, 2 * price

    def _await(self, tx_hash: bytes) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._wait
        while True:
            receipt: Mapping[str, Any] | None = request(self.web3, "eth_getTransactionReceipt", self._hex(tx_hash))
            if receipt is not None:
                return receipt
            if time.monotonic() >= deadline:
                raise Pending(
                    f"transaction 0x{tx_hash.hex()} was sent and is in no block yet",
                    expected=f"a receipt within {self._wait:g} s",
                    do="Ask for its receipt again before sending anything else from this account",
                )
            self._sleep(POLL)

    def _explain(self, to: bytes | None, data: bytes, value: int, gas: int, block: int) -> None:
        """Raise why a mined transaction failed, by running it again on the state before its block."""
        fields = self._fields(to, data, value) | {"gas": hex(gas)}
        try:
            request(self.web3, "eth_call", fields, hex(block - 1))
        except RpcError as error:
            raise refusal(error, self._errors) from error
        raise OutsideFailed("the transaction failed and cannot be made to fail again", do="Look at its trace")


def receipt_of(entry: Mapping[str, Any]) -> Receipt:
    """A JSON-RPC receipt. Raises BadInput."""
    created = entry.get("contractAddress")
    return Receipt(
        hex_bytes(entry["transactionHash"], 32),
        quantity(entry["blockNumber"]),
        hex_bytes(entry["blockHash"], 32),
        quantity(entry["gasUsed"]),
        hex_bytes(created, 20) if created else None,
        tuple(event_of(log) for log in entry["logs"]),
    )


def call(web3: Web3, to: bytes, data: bytes, *, sender: bytes = bytes(20),
         errors: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """What the contract at ``to`` answers at the next block. Raises ActRefused where it reverts."""
    fields = {"from": "0x" + sender.hex(), "to": "0x" + to.hex(), "data": "0x" + data.hex()}
    try:
        return hex_bytes(request(web3, "eth_call", fields, "latest"))
    except RpcError as error:
        raise refusal(error, errors) from error


def refusal(error: RpcError, errors: Sequence[Mapping[str, Any]]) -> TrothError:
    """A node's error as ours: a revert is ActRefused with the contract's error as its code; the rest is OutsideFailed.

    A panic (an assertion or an arithmetic overflow) is a contract's fault, not a refusal.
    """
    if error.code != 3 and not error.data and "revert" not in error.reason:
        return error
    if not error.data:
        return ActRefused("Reverted", "the contract reverted without saying why")
    name, values = decode_revert(error.data, errors)
    if name == "Panic":
        return OutsideFailed(f"the contract failed: panic {int(values['code']):#x}")
    told = ", ".join(f"{key} = {_shown(value)}" for key, value in values.items())
    return ActRefused(name, told or "the contract refuses")


def decode_revert(data: bytes, errors: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """(error name, its arguments by name) of revert ``data``; the selector in hex where no given error fits."""
    from eth_abi.abi import decode  # slow to import, needed on refusal only
    from eth_abi.exceptions import DecodingError

    for entry in (*errors, ERROR_STRING, PANIC):
        if entry.get("type") != "error":
            continue
        types = [abi_type(argument) for argument in entry["inputs"]]
        if data[:4] == keccak(f"{entry['name']}({','.join(types)})".encode())[:4]:
            try:
                values = decode(types, data[4:])
            except DecodingError:
                break
            names = [argument.get("name") or str(at) for at, argument in enumerate(entry["inputs"])]
            return str(entry["name"]), dict(zip(names, values, strict=True))
    return "0x" + data[:4].hex(), {"data": data[4:]}


def abi_type(argument: Mapping[str, Any]) -> str:
    """An ABI argument's canonical type, tuples spelled out."""
    kind = str(argument["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(part) for part in argument['components'])}){kind[5:]}"


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
