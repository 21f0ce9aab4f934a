"""Bytes kept for ever as the code of an account: verifying keys and programs. Twin of contracts' ``Data``.

A name is the Keccak-256 of the code that creates the account, so it is of the bytes; with the contract that made the
account it says where they are. Anybody publishes, nobody changes or removes. A name says which bytes, not what they are
worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.core.encoding import keccak256
from troth.core.errors import Misuse, OutsideFailed
from troth.core.terms import Account
from troth.ledger.deploy import code_at
from troth.ledger.sending import Sender

if TYPE_CHECKING:
    from web3 import Web3

MAX_KEPT = 24_575
"""Bytes: what an account's code may hold (EIP-170), less the one that stops whoever calls it."""


def kept_name(data: bytes) -> bytes:
    """What these bytes are called on every chain. Raises Misuse for more than an account's code holds."""
    if len(data) > MAX_KEPT:
        raise Misuse("too much for the code of an account", expected=f"at most {MAX_KEPT} bytes", actual=len(data),
                     do="Use a smaller model, or prove its answers instead.")
    size = (len(data) + 1).to_bytes(2, "big")
    return keccak256(b"\x61" + size + bytes.fromhex("80600a5f395ff3") + b"\0" + data)


def kept_at(maker: Account, name: bytes) -> Account:
    """The account that keeps what is called so, if ``maker`` was given it."""
    return keccak256(b"\xff" + maker + bytes(32) + name)[12:]


def publish(sender: Sender, maker: Account, data: bytes) -> bytes:
    """Keep the bytes, unless they are there; their name. maker: a contract ``Keys`` or ``Programs``.

    Raises Misuse as ``kept_name`` does, ActRefused where the contract does not take them.
    """
    name = kept_name(data)
    if load(sender.web3, maker, name) is None:
        # Imported here: eth_abi takes 0.2 s to load, and most commands publish nothing.
        from eth_abi.abi import encode

        sender.send(maker, keccak256(b"publish(bytes)")[:4] + encode(["bytes"], [data]))
    return name


def load(web3: Web3, maker: Account, name: bytes) -> bytes | None:
    """The bytes called so, or None where nobody published them. Raises OutsideFailed for other bytes at their place."""
    code = code_at(web3, kept_at(maker, name))
    if not code:
        return None
    if code[:1] != b"\0" or kept_name(code[1:]) != name:
        raise OutsideFailed("the chain shows other bytes than are called so", expected=name.hex(), do="Check the node.")
    return code[1:]
