"""Relayed acts: an account signs what it wants done, anybody carries it to the chain and pays for it.

The chain's side is ``contracts/src/Forwarder.sol`` (OpenZeppelin's ERC2771Forwarder): it checks the EIP-712 signature,
takes each of a signer's nonces once and in order, and calls the target with the signer's account appended. A target
that trusts the forwarder (the Book, the Anchor) then takes the act as the signer's own.

What a request does not do: it pays nobody for carrying it; it does not say who may carry it, and who has it can; it
cannot be taken back but by having another request with the same nonce carried first. A relayer can withhold it, never
change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import coincurve

from troth.core.encoding import decode_object, encode, from_hex, keccak256, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted
from troth.core.terms import Account
from troth.core.times import moment
from troth.core.typed_data import forward_digest
from troth.ledger.artefacts import artefact
from troth.ledger.chains.transactions import CURVE_ORDER, account_of
from troth.ledger.sending import Receipt, Sender, call, estimate

if TYPE_CHECKING:
    from web3 import Web3

VERSION = 1
REQUEST_GAS = 16_000_000
"""The most gas a request may ask for: with the forwarder's own it fits a transaction's 2^24 (EIP-7825)."""
BATCH_GAS = 16_600_000
OWN_GAS, EACH_GAS = 60_000, 40_000
"""Gas of the forwarder, for a transaction and for each request in it, calldata apart."""
LIFE = 3_600
_STRUCT = "(address,address,uint256,uint256,uint48,bytes,bytes)"
_EXECUTE = keccak256(f"execute({_STRUCT})".encode())[:4]
_BATCH = keccak256(f"executeBatch({_STRUCT}[],address)".encode())[:4]
_NONCES = keccak256(b"nonces(address)")[:4]
_EXECUTED = keccak256(b"ExecutedForwardRequest(address,uint256,bool)")


@dataclass(frozen=True, slots=True)
class Request:
    """A call that ``signer`` wants made. nonce: the signer's with this forwarder. gas: for the call alone. deadline:
    Unix seconds. signature: r ‖ s ‖ v, 65 bytes; empty until signed. Requests carry no ether.
    """

    chain_id: int
    forwarder: Account
    signer: Account
    to: Account
    gas: int
    nonce: int
    deadline: int
    data: bytes
    signature: bytes = b""

    def digest(self) -> bytes:
        """What is signed, 32 bytes; also the relayer's id for the act."""
        return forward_digest(self.chain_id, self.forwarder, self.signer, self.to, self.gas, self.nonce, self.deadline,
                              self.data)

    def encode(self) -> bytes:
        """The request's file: canonical JSON, bytes in lowercase hex."""
        return encode({"chain": self.chain_id, "data": self.data.hex(), "deadline": self.deadline,
                       "forwarder": self.forwarder.hex(), "from": self.signer.hex(), "gas": self.gas,
                       "nonce": self.nonce, "signature": self.signature.hex(), "to": self.to.hex(),
                       "version": VERSION})

    @classmethod
    def decode(cls, data: bytes) -> Request:
        """Read exactly what ``encode`` writes. Raises BadInput."""
        kinds = {"version": int, "chain": int, "gas": int, "nonce": int, "deadline": int, "forwarder": str, "from": str,
                 "to": str, "data": str, "signature": str}
        version, chain_id, gas, nonce, deadline, *texts = take(decode_object(data), **kinds)
        if version != VERSION:
            raise BadInput("a request of another version", expected=VERSION, actual=version)
        if chain_id < 1 or gas < 1 or nonce < 0 or not 0 <= deadline < 1 << 48:
            raise BadInput("not a request", expected="a chain id, gas, a nonce and a deadline of 48 bits",
                           actual=(chain_id, gas, nonce, deadline))
        forwarder, signer, to = (from_hex(text, 20) for text in texts[:3])
        return cls(chain_id, forwarder, signer, to, gas, nonce, deadline, from_hex(texts[3]), from_hex(texts[4], 65))

    def struct(self) -> tuple[Any, ...]:
        """As the forwarder takes it; the nonce is the forwarder's to know."""
        return (self.signer, self.to, 0, self.gas, self.deadline, self.data, self.signature)


class RelayedSender:
    """Acts for an account that pays no gas: what it is to send becomes a signed request, given to ``carry``.

    key: 32-byte secp256k1 secret. errors: to decode refusals with. now: the chain's time. life: seconds that a request
    is good for.
    """

    def __init__(self, web3: Web3, key: bytes, forwarder: Account, carry: Callable[[Request], Receipt], *,
                 chain_id: int, now: Callable[[], int], life: int = LIFE,
                 errors: Sequence[Mapping[str, Any]] = ()) -> None:
        try:
            self._key = coincurve.PrivateKey(key)
        except ValueError:
            raise BadInput("not a secp256k1 secret key", expected="32 bytes, not 0, below the order") from None
        self.account = account_of(self._key.public_key)
        self.web3, self.forwarder, self.chain_id = web3, forwarder, chain_id
        self._carry, self._now, self._life, self._errors = carry, now, life, tuple(errors)

    def __repr__(self) -> str:
        return f"RelayedSender(0x{self.account.hex()}, chain {self.chain_id})"

    def owes(self, to: bytes, data: bytes) -> bool:
        """Never: what a relayer has under way is the relayer's to know."""
        return False

    def send(self, to: bytes, data: bytes, *, gas: int | None = None, not_after: int | None = None) -> Receipt:
        """Sign a request for it, good until ``not_after`` at most, and have it carried. Raises what ``carry`` does."""
        return self._carry(self.request(to, data, gas, not_after))

    def request(self, to: bytes, data: bytes, gas: int | None = None, not_after: int | None = None) -> Request:
        """The signed request. gas: for the call; None estimates it. Raises ActRefused where the contract reverts."""
        deadline = self._now() + self._life
        if gas is None:
            # A quarter more than it takes now: the state it meets may differ.
            gas = estimate(self.web3, to, data + self.account, sender=self.forwarder, errors=self._errors) * 5 // 4
        unsigned = Request(self.chain_id, self.forwarder, self.account, to, min(gas, REQUEST_GAS),
                           nonce_of(self.web3, self.forwarder, self.account),
                           deadline if not_after is None else min(deadline, not_after), data)
        signature = self._key.sign_recoverable(unsigned.digest(), hasher=None)
        return replace(unsigned, signature=signature[:64] + bytes((signature[64] + 27,)))


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a request in a batch: done, refused (by the contract; its nonce is used up), or skipped (by the
    forwarder: late, or its nonce was used meanwhile).
    """

    request: Request
    outcome: str


class Relayer:
    """Carries requests to the chain, and pays for it.

    targets: the contracts it carries calls to; anything else is refused, since whoever signs decides what the relayer
    pays for. now: the chain's time. most_gas: what one request may take, the forwarder's part and its calldata
    included; times the sender's ceiling on fees it is the most wei that a request can cost. errors: to decode the
    targets' refusals with.
    """

    def __init__(self, sender: Sender, forwarder: Account, targets: Iterable[Account], *, now: Callable[[], int],
                 most_gas: int = BATCH_GAS, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        self.sender, self.forwarder, self.targets = sender, forwarder, frozenset(targets)
        self._now, self.most_gas = now, most_gas
        self._errors = (*errors, *artefact("Forwarder").errors)

    def check(self, one: Request, *, nonce: int | None = None, dry: bool = True) -> None:
        """Whether the forwarder would carry it now, and its target take it.

        1. It is for this chain, this forwarder and one of the targets, and asks for no more gas than fits, or than
           this relayer pays for.
        2. Its signer signed it, as it stands.
        3. It is not late.
        4. Its nonce is the signer's next (``nonce``: as if that were).
        5. dry: the target would not refuse the act, and does it with the gas that the signer gave it.

        Raises Refuted, for a nonce to come Pending, ActRefused with the target's error.
        """
        # 1
        for what, expected, found in (("chain", self.sender.chain_id, one.chain_id),
                                      ("forwarder", self.forwarder.hex(), one.forwarder.hex())):
            if expected != found:
                raise Refuted(f"a request for another {what}", expected=expected, actual=found)
        if one.to not in self.targets:
            raise Refuted("a request to a contract that is not carried to", actual=one.to.hex(),
                          expected=" or ".join(sorted(target.hex() for target in self.targets)))
        if one.gas > REQUEST_GAS:
            raise Refuted("a request for more gas than is carried", expected=f"at most {REQUEST_GAS}", actual=one.gas)
        cost = _limit([one], _execute(one))
        if cost > self.most_gas:
            raise Refuted("this request could cost more gas than this relayer pays for", actual=cost,
                          expected=f"at most {self.most_gas}", do="Raise [relay] gas to carry it.")
        # 2
        if recovered(one) != one.signer:
            raise Refuted("the signature is not over this request by its signer", expected=one.signer.hex(),
                          do="Ask for it again: it was altered, or signed by another key.")
        # 3
        if one.deadline < self._now():
            raise Refuted("the request is late", expected=f"before {moment(one.deadline, self._now())}",
                          do="Ask its signer for a new one.")
        # 4
        following = nonce_of(self.sender.web3, self.forwarder, one.signer) if nonce is None else nonce
        if one.nonce < following:
            raise Refuted("this request, or another in its place, was carried already", expected=f"nonce {following}",
                          actual=f"nonce {one.nonce}")
        if one.nonce > following:
            raise Pending("an earlier request of this signer comes first", expected=f"nonce {following}",
                          actual=f"nonce {one.nonce}", do="Carry that one, then this.")
        # 5
        if dry:
            web3, data = self.sender.web3, _execute(one)
            call(web3, one.to, one.data + one.signer, sender=self.forwarder, errors=self._errors)
            call(web3, self.forwarder, data, sender=self.sender.account, errors=self._errors, gas=_limit([one], data))

    def carry(self, one: Request) -> Receipt:
        """Check a request and carry it; again is the same act. Raises as ``check`` does, and as ``Sender.send``.

        If the act fails after all, all of it is undone and the nonce stays unused.
        """
        if not self.sender.knows(one.digest()):  # else it goes on, whatever the chain says of the nonce
            self.check(one)
        data = _execute(one)
        return self.sender.send(self.forwarder, data, gas=_limit([one], data), act=one.digest())

    def carry_all(self, requests: Sequence[Request]) -> tuple[Carried, ...]:
        """Carry several in one transaction. What has become of each: one that fails does not hold up the others.

        A signer's requests go in the order of their nonces, each checked as if those before it were carried; only a
        signer's first is run beforehand. Raises as ``check`` does for one that cannot be carried now (nothing is
        sent), Misuse for none, or for more gas than fits a transaction.
        """
        from eth_abi.abi import encode as abi  # takes 0.2 s to load

        ordered = sorted(requests, key=lambda one: (one.signer, one.nonce))
        if not ordered:
            raise Misuse("nothing to carry", expected="one request or more")
        batch = keccak256(b"".join(one.digest() for one in ordered))
        if not self.sender.knows(batch):
            following: dict[Account, int] = {}
            for one in ordered:
                self.check(one, nonce=following.get(one.signer), dry=one.signer not in following)
                following[one.signer] = one.nonce + 1
        # With somebody to pay back to, the forwarder skips what it cannot carry; else one late request stops all.
        data = _BATCH + abi([f"{_STRUCT}[]", "address"], [[one.struct() for one in ordered], self.sender.account])
        limit = _limit(ordered, data)
        if limit > BATCH_GAS:
            raise Misuse("too much for one transaction", expected=f"at most {BATCH_GAS} gas", actual=limit,
                         do="Carry fewer at once.")
        receipt = self.sender.send(self.forwarder, data, gas=limit, act=batch)
        done = {(event.log.topics[1][12:], int.from_bytes(event.log.data[:32], "big")): event.log.data[63] == 1
                for event in receipt.logs
                if event.log.address == self.forwarder and event.log.topics[0] == _EXECUTED}
        words = {True: "done", False: "refused", None: "skipped"}
        return tuple(Carried(one, words[done.get((one.signer, one.nonce))]) for one in ordered)


def recovered(one: Request) -> Account | None:
    """Whose signature a request carries; None for one that is malformed, or malleable (EIP-2)."""
    signature, s = one.signature, int.from_bytes(one.signature[32:64], "big")
    if len(signature) != 65 or signature[64] not in (27, 28) or s > CURVE_ORDER // 2:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature[:64] + bytes((signature[64] - 27,)),
                                                             one.digest(), hasher=None)
    except ValueError:
        return None
    return account_of(key)


def nonce_of(web3: Web3, forwarder: Account, signer: Account) -> int:
    """The signer's next nonce with the forwarder. Raises OutsideFailed where there is no forwarder."""
    answer = call(web3, forwarder, _NONCES + signer.rjust(32, b"\x00"))
    if len(answer) != 32:
        raise OutsideFailed("no forwarder at this address", actual=forwarder.hex(), do="Check the contracts.")
    return int.from_bytes(answer, "big")


def _execute(one: Request) -> bytes:
    """Calldata that carries one request."""
    from eth_abi.abi import encode as abi  # takes 0.2 s to load

    return _EXECUTE + abi([_STRUCT], [one.struct()])


def _limit(requests: Sequence[Request], data: bytes) -> int:
    """Gas for a transaction: every call gets what was asked for it although one in 64 parts stays behind (EIP-150),
    and calldata is paid by its floor (EIP-7623).
    """
    zeros = data.count(0)
    floor = 10 * (zeros + 4 * (len(data) - zeros))
    return 21_000 + floor + OWN_GAS + sum(one.gas + one.gas // 60 + EACH_GAS for one in requests)


class _Signed(Exception):
    """Leaves an act of the Book where a transaction would be sent, with the request in its place."""

    def __init__(self, one: Request) -> None:
        self.request = one
        super().__init__()


def signed_request(web3: Web3, key: bytes, forwarder: Account, act: Callable[[RelayedSender], object], *, chain_id: int,
                   now: Callable[[], int], life: int = LIFE, errors: Sequence[Mapping[str, Any]] = ()) -> Request:
    """The request for whatever ``act`` does with a sender, signed and not carried: the file to give to a relayer.

    Raises ActRefused where the contract would refuse it now, Misuse for an act that sends nothing.
    """
    def stop(one: Request) -> Receipt:
        raise _Signed(one)

    sender = RelayedSender(web3, key, forwarder, stop, chain_id=chain_id, now=now, life=life, errors=errors)
    try:
        act(sender)
    except _Signed as signed:
        return signed.request
    raise Misuse("this sends nothing, so there is nothing to relay")
