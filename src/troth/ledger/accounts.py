"""Policy accounts on a chain: made, read, used, and what they recorded (docs/reference/policy-account.md).

The contracts are ``contracts/src/agents``; the rules, in Python, ``troth.ledger.limits``. Limits are read from the
account's own events and checked against the hash that it stores, so that a node cannot show others. An account that
others made is looked at before it is believed: its code must be a clone of Troth's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, OutsideFailed, TrothError, Undecidable
from troth.core.terms import Account
from troth.core.typed_data import owned_digest
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.artefacts import artefact
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import Event, RpcError, get_logs, request
from troth.ledger.deploy import Spec, code_at
from troth.ledger.evmcodec import account_of, decode, encoded_call
from troth.ledger.limits import LIMITS, REASONS, Asked, Limits, Standing, Voice, asked_digest, placed
from troth.ledger.sending import Acting, Receipt, call, decode_revert, refusal

if TYPE_CHECKING:
    from web3 import Web3

ACCOUNTS = Spec("accounts", "PolicyAccounts")
"""What makes policy accounts. One serves everybody."""
_CLONE = bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
"""What stands before and behind the address in the code of a clone (ERC-1167); the owner follows."""
_ACT, _VOICES = "(address,bytes,uint64)", "(uint8,uint16,uint64,bytes)[]"
_STANDING = ("uint64", "uint128", "uint32", "uint8", "bool", "bool")
_LIMITS_SET = keccak256(b"LimitsSet(bytes32,bytes)")
_ACTED = keccak256(b"Acted(uint64,address,bytes4,uint256,address)")
_REFUSED = keccak256(b"Refused(uint64,address,uint8,uint256,bytes)")
_TRIPPED = keccak256(b"BreakerTripped(uint64)")
_RESET = keccak256(b"BreakerReset()")
_STOPPED = keccak256(b"StopSet(bool)")
_OWNER_ACTED = keccak256(b"OwnerActed(address,bytes)")
_WITHDRAWN = keccak256(b"Withdrawn(address,address,uint256)")
_MADE = keccak256(b"AccountMade(address,address,bytes32)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of what an account recorded, oldest first. what: acted, refused, tripped, reset, stopped, resumed,
    limited, withdrawn or owner.

    target: whom it called or would have called. amount, payee: what counted, in the token's smallest unit. reason: of a
    refusal (``limits.REASONS``). nonce: the act's; None for what the owner did. data: of a refusal, the call that was
    asked for; of the owner's act, the call; of limits, their ABI form.
    """

    what: str
    block: int
    tx: bytes
    nonce: int | None = None
    target: Account = b""
    amount: int = 0
    payee: Account = b""
    reason: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedAct:
    """An act as anybody may bring it to the account. limits: their ABI form."""

    account: Account
    limits: bytes
    target: Account
    data: bytes
    deadline: int
    voices: tuple[tuple[int, int, int, bytes], ...]
    signature: bytes

    @classmethod
    def sign(cls, key: Secp256k1KeyPair, asked: Asked, limits: Limits, voices: Sequence[Voice],
             deadline: int) -> SignedAct:
        """The agent's. deadline: the last second in which it may be brought. Nobody can leave a voice out."""
        heard = placed(limits, voices)
        return cls(asked.account, limits.to_bytes(), asked.target, asked.data, deadline, heard,
                   key.sign_digest(asked_digest(asked, heard, deadline)))

    def calldata(self) -> bytes:
        """What is sent to the account."""
        return encoded_call("act", ("bytes", _ACT, _VOICES, "bytes"),
                            (self.limits, (self.target, self.data, self.deadline), self.voices, self.signature))


class PolicyAccount:
    """One account. first: a block that is not after the one it was made in."""

    def __init__(self, web3: Web3, address: Account, *, first: int = 0) -> None:
        self.web3, self.address, self.first = web3, address, first
        self.chain_id = quantity(request(web3, "eth_chainId"))
        self._limits: Limits | None = None

    def check(self) -> None:
        """Refuse what is no clone of Troth's code. Raises OutsideFailed.

        It says nothing of the limits, nor of who the owner is: read those.
        """
        code, before, behind = code_at(self.web3, self.address), *_CLONE
        runs = code[len(before) : len(before) + 20]
        if code[:-20] != before + runs + behind or not artefact("PolicyAccount").same_code(code_at(self.web3, runs)):
            raise OutsideFailed(f"0x{self.address.hex()} is not one of Troth's policy accounts", expected="its clone",
                                actual=f"{len(code)} bytes of code", do="Check the chain and the address.")

    # -- reading ---------------------------------------------------------------------------------------------------

    def owner(self) -> Account:
        """Who set the limits."""
        return self._ask("owner()")[12:]

    def limits(self) -> Limits:
        """Those in force. Raises Undecidable where the node does not show the event that set them."""
        found = self._ask("limitsHash()")
        if self._limits is None or self._limits.hash != found:
            for event in reversed(get_logs(self.web3, addresses=(self.address,), topics=(_LIMITS_SET, found),
                                           first=self.first)):
                (data,) = decode(("bytes",), event.log.data)
                if keccak256(data) == found:
                    self._limits = Limits.from_bytes(data)
                    return self._limits
            raise Undecidable("the node does not show the limits of this account", expected=found.hex(),
                              do="Ask a node that keeps its logs from the account's beginning.")
        return self._limits

    def standing(self) -> Standing:
        """What it remembers."""
        nonce, spent, day, strikes, stopped, tripped = decode(_STANDING, self._ask("standing()"))
        return Standing(nonce, day, spent, strikes, stopped, tripped)

    def asked(self, target: Account, data: bytes) -> Asked:
        """An act as the account's next."""
        return Asked(self.chain_id, self.address, self.standing().nonce, target, data)

    def entries(self, first: int | None = None) -> tuple[Entry, ...]:
        """What it recorded, from a block on."""
        found = get_logs(self.web3, addresses=(self.address,), first=self.first if first is None else first)
        return tuple(_entry(event) for event in found)

    # -- acting ----------------------------------------------------------------------------------------------------

    def bring(self, sender: Acting, act: SignedAct) -> tuple[Entry, ...]:
        """Send an act, whoever signed it; what the account recorded of it. A refusal that it records is no error.

        Raises ActRefused where the account does nothing, or the call fails.
        """
        return tuple(_entry(event) for event in self._send(sender, act.calldata()).logs
                     if event.log.address == self.address)

    def stop(self, sender: Acting, stopped: bool = True) -> Receipt:
        """The owner's stop button, and back. Raises ActRefused NotOwner."""
        return self._send(sender, encoded_call("stop", ("bool",), (stopped,)))

    def reset(self, sender: Acting) -> Receipt:
        """Forget the strikes and close the breaker. Raises ActRefused NotOwner."""
        return self._send(sender, encoded_call("reset", (), ()))

    def limit(self, sender: Acting, limits: Limits) -> Receipt:
        """Other limits. Raises ActRefused NotOwner, BadLimits."""
        return self._send(sender, encoded_call("limit", (LIMITS,), (limits.abi(),)))

    def withdraw(self, sender: Acting, token: Account, to: Account, amount: int) -> Receipt:
        """Take money out. Raises ActRefused NotOwner, and where the token refuses."""
        return self._send(sender, encoded_call("withdraw", ("address", "address", "uint256"), (token, to, amount)))

    def execute(self, sender: Acting, target: Account, data: bytes) -> Receipt:
        """The owner's own call: no limit holds. Raises ActRefused NotOwner, Failed."""
        return self._send(sender, encoded_call("execute", ("address", "bytes"), (target, data)))

    def owned(self, digest: bytes, key: Secp256k1KeyPair) -> bytes:
        """The owner's signature by which the account signs a digest (ERC-1271), such as a mandate's. Not the agent's.
        """
        return key.sign_digest(owned_digest(self.chain_id, self.address, digest))

    def _ask(self, signature: str) -> bytes:
        found = call(self.web3, self.address, keccak256(signature.encode())[:4])
        if len(found) < 32:
            raise OutsideFailed(f"0x{self.address.hex()} is no policy account", actual=found.hex() or "no answer",
                                do="Check the chain and the address.")
        return found

    def _send(self, sender: Acting, data: bytes) -> Receipt:
        return send(sender, self.address, data)


class PolicyAccounts:
    """The contract that makes accounts. first: a block that is not after the one it was deployed in."""

    def __init__(self, web3: Web3, address: Account, *, first: int = 0) -> None:
        self.web3, self.address, self.first = web3, address, first

    def address_of(self, owner: Account, salt: bytes) -> Account:
        """Where an owner's account with this salt is, or will be."""
        data = encoded_call("accountOf", ("address", "bytes32"), (owner, salt))
        return call(self.web3, self.address, data)[12:]

    def make(self, sender: Acting, salt: bytes, limits: Limits) -> PolicyAccount:
        """The sender's account with this salt (32 bytes), with its first limits. Raises ActRefused; BadInput for no
        salt, or for limits that have no form.
        """
        if len(salt) != 32:
            raise BadInput("not a salt", expected="32 bytes", actual=f"{len(salt)} bytes")
        limits.check(self.address_of(sender.account, salt))
        receipt = send(sender, self.address, encoded_call("make", ("bytes32", LIMITS), (salt, limits.abi())))
        made = PolicyAccount(self.web3, self.address_of(sender.account, salt), first=receipt.block_number)
        made.check()
        return made

    def of(self, owner: Account) -> tuple[PolicyAccount, ...]:
        """An owner's accounts, oldest first."""
        found = get_logs(self.web3, addresses=(self.address,), topics=(_MADE, owner.rjust(32, b"\0")), first=self.first)
        return tuple(PolicyAccount(self.web3, event.log.topics[2][12:], first=event.block_number) for event in found)


def send(sender: Acting, to: Account, data: bytes) -> Receipt:
    """Send, with a refusal in the account's own words, and in a Book's where its call failed. Raises ActRefused."""
    try:
        return sender.send(to, data)
    except ActRefused as error:
        cause = error.__cause__
        if not isinstance(cause, RpcError) or not cause.data:
            raise
        raise _told(cause) from cause


def _told(error: RpcError) -> TrothError:
    """A sender knows its own contract's errors; these are the account's."""
    told = refusal(error, artefact("PolicyAccount").errors)
    if not isinstance(told, ActRefused) or told.code != "Failed":
        return told
    (answer,) = decode(("bytes",), error.data[4:])
    name, values = decode_revert(answer, artefact("Book").errors)
    return ActRefused("Failed", f"the call failed: {values.get('reason', name)}" if answer else "the call failed")


def _entry(event: Event) -> Entry:
    kind, topics, data = event.log.topics[0], event.log.topics, event.log.data
    found: dict[str, Any] = {}
    if kind == _ACTED:
        _, amount, payee = decode(("bytes4", "uint256", "address"), data)
        found = {"what": "acted", "nonce": _number(topics[1]), "target": topics[2][12:], "amount": amount,
                 "payee": account_of(payee)}
    elif kind == _REFUSED:
        reason, _, asked = decode(("uint8", "uint256", "bytes"), data)
        if not 0 < reason < len(REASONS):
            raise OutsideFailed("a refusal that no account writes", actual=reason, do="Check the address and the node.")
        found = {"what": "refused", "nonce": _number(topics[1]), "target": topics[2][12:], "reason": REASONS[reason],
                 "data": asked}
    elif kind == _TRIPPED:
        found = {"what": "tripped", "nonce": decode(("uint64",), data)[0]}
    elif kind == _RESET:
        found = {"what": "reset"}
    elif kind == _STOPPED:
        found = {"what": "stopped" if decode(("bool",), data)[0] else "resumed"}
    elif kind == _LIMITS_SET:
        found = {"what": "limited", "data": decode(("bytes",), data)[0]}
    elif kind == _OWNER_ACTED:
        found = {"what": "owner", "target": topics[1][12:], "data": decode(("bytes",), data)[0]}
    elif kind == _WITHDRAWN:
        found = {"what": "withdrawn", "target": topics[1][12:], "payee": topics[2][12:],
                 "amount": decode(("uint256",), data)[0]}
    else:
        raise OutsideFailed("an event that no account writes", actual=kind.hex(), do="Check the address and the node.")
    return Entry(block=event.block_number, tx=event.tx_hash, **found)


def _number(topic: bytes) -> int:
    return int.from_bytes(topic, "big")
