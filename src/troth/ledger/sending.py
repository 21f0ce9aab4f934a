"""Sending transactions: the contract is asked first, the outbox remembers, the chain decides.

``Sender.send`` estimates the act before anything is written, so a contract's refusal costs nothing and comes back as
``ActRefused`` with the error the contract named. What is not refused goes through the account's outbox
(``troth.ledger.outbox``), which ``troth.ledger.tending`` carries to the chain: once, whatever crashes, and where an
expiry was given, not after it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import coincurve
from eth_hash.auto import keccak

from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, TrothError
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import Event, RpcError, event_of, request
from troth.ledger.chains.transactions import account_of
from troth.ledger.fees import Sending
from troth.ledger.outbox import EXPIRED, FAILED, FINALIZED, INCLUDED, LEVELS, PENDING, Act, Expired, Mined, Outbox, Slot
from troth.ledger.refusals import errors as known_errors
from troth.ledger.refusals import why
from troth.ledger.tending import Tender

if TYPE_CHECKING:
    from web3 import Web3

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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an act is. state: pending, included, safe, finalized, failed or expired. nonce: the one it has now.

    tx_hash, block_number, block_hash: of the transaction in a block, from included on. note: what it waits for, or why
    it failed.
    """

    act: bytes
    state: str
    nonce: int | None = None
    tx_hash: bytes | None = None
    block_number: int | None = None
    block_hash: bytes | None = None
    note: str = ""


class Acting(Protocol):
    """Has one account's acts done: ``Sender``, or ``RelayedSender`` by way of a relayer."""

    @property
    def account(self) -> bytes:
        """Whose acts."""
        ...

    def owes(self, to: bytes, data: bytes) -> bool:
        """Whether this very act is under way, or done and nobody was told."""
        ...

    def send(self, to: bytes, data: bytes, *, gas: int | None = None, not_after: int | None = None) -> Receipt:
        """Have it done, sent by ``not_after`` (the chain's time, Unix seconds) or not at all; its receipt."""
        ...


class Sender:
    """Sends one account's transactions on one chain.

    key: 32-byte secp256k1 secret; it never shows in a repr, message or log. errors: ABI entries of type ``error``
    that refusals are decoded with (other entries are passed over). outbox: where acts are remembered; None keeps them
    in memory, for as long as this object lives. how: fees, finality and patience.

    Raises BadInput for a key that is none, Misuse where the outbox knows this chain id with another genesis.
    """

    __slots__ = ("_errors", "_how", "_queue", "_tender", "account", "chain_id", "web3")

    def __init__(
        self,
        web3: Web3,
        key: bytes,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        outbox: Outbox | None = None,
        how: Sending | None = None,
    ) -> None:
        try:
            secret = coincurve.PrivateKey(key)
        except ValueError:
            raise BadInput("not a secp256k1 secret key", expected="32 bytes, not 0, below the order") from None
        self.account = account_of(secret.public_key)
        self.web3 = web3
        self._errors = tuple(errors)
        self._how = how or Sending()
        self.chain_id = quantity(request(web3, "eth_chainId"))
        genesis = request(web3, "eth_getBlockByNumber", "0x0", False)
        if genesis is None:
            raise OutsideFailed("the node does not show the chain's first block", do="Ask another node.")
        self._queue = (outbox or Outbox(None)).queue(self.chain_id, hex_bytes(genesis["hash"], 32), self.account)
        self._tender = Tender(web3, secret, self._queue, self.chain_id, how=self._how, explain=self._explain)

    def __repr__(self) -> str:
        return f"Sender(0x{self.account.hex()}, chain {self.chain_id})"

    @property
    def depth(self) -> int | None:
        """How many blocks on top make one final; None takes the node's word."""
        return self._how.depth

    # -- asking ----------------------------------------------------------------------------------------------------

    def send(self, to: bytes | None, data: bytes = b"", *, value: int = 0, gas: int | None = None,
             act: bytes | None = None, until: str = INCLUDED, not_after: int | None = None) -> Receipt:
        """Have an act done, and wait until it is; the receipt. to: None deploys ``data``. value: wei.

        gas: the limit; None estimates it. act: the caller's id for it, 1 to 64 bytes: the same id again is the same
        act, done once, with the same receipt. Without one, asking for the same again is the same act until somebody
        was told its end, and another one after that. until: included, safe or finalized. not_after: the chain's time
        (Unix seconds) after which nothing of it is broadcast any more; asked again with another, the newer counts.

        Raises ActRefused where the contract reverts (nothing was sent, unless ``gas`` was given or the state moved
        between estimate and block: then the id is used up, and asking anew takes a new one); Pending if it was not
        done in time: it is kept and goes on when asked again; Expired where ``not_after`` is over; OutsideFailed for
        anything else; Misuse for an id that stands for another act.
        """
        target, key = to or b"", self._key_of(to or b"", data, value, act)
        here_after = None if not_after is None else self._tender.here_after(not_after)
        found = self._queue.act(key)
        if found is None:
            with self._queue.turn():
                found = self._queue.act(key)  # another process may have asked meanwhile
                if found is None:
                    limit = gas if gas is not None else estimate(
                        self.web3, target, data, sender=self.account, value=value, errors=self._errors)
                    self._tender.place(Act(key, target, data, value, limit, act is not None, not_after=not_after,
                                           here_after=here_after), new=True)
        if found is not None:
            if (found.to, found.data, found.value) != (target, data, value):
                raise Misuse("this id stands for another act", actual=key.hex(), do="Take a new one.")
            if not_after is not None and here_after is not None and found.not_after != not_after:
                with self._queue.turn(), self._queue.outbox.writing(durable=True):
                    self._queue.until(key, not_after, here_after)
        return self.wait(key, until)

    def deploy(self, code: bytes, arguments: bytes = b"") -> Receipt:
        """Deploy creation ``code`` with ABI-encoded constructor arguments; ``contract`` of the receipt is set."""
        return self.send(None, code + arguments)

    def owes(self, to: bytes, data: bytes) -> bool:
        """Whether this very act, asked for without an id, is under way, or done and nobody was told."""
        what = Act(b"", to, data, 0, 0, False).what
        if self._queue.loose(what):
            self.tend()
        return self._queue.unanswered(what) is not None

    def _key_of(self, to: bytes, data: bytes, value: int, act: bytes | None) -> bytes:
        if act is not None:
            if not 1 <= len(act) <= 64:
                raise Misuse("not an act's id", expected="1 to 64 bytes", actual=len(act))
            return act
        what = Act(b"", to, data, value, 0, False).what
        found = self._queue.unanswered(what)
        if found is None and self._queue.loose(what):
            self.tend()  # a re-organisation may have taken it back: then this is the same act, not another
            found = self._queue.unanswered(what)
        if found is not None:
            return found.id
        return hashlib.sha256(what + self._queue.asked(what).to_bytes(8, "big")).digest()

    # -- what became of it -----------------------------------------------------------------------------------------

    def wait(self, act: bytes, until: str = FINALIZED, timeout: float | None = None) -> Receipt:
        """Wait until an act is at least included, safe or finalized; its receipt. timeout: seconds.

        What leaves the chain (goods, money elsewhere, a key) leaves it at ``finalized``: a block before that may be
        taken back, and a refusal in it too. Raises Misuse for an act nobody asked for; ActRefused, Pending, Expired
        and OutsideFailed as ``send``.
        """
        if until not in LEVELS[1:]:
            raise Misuse("no such state to wait for", expected=", ".join(LEVELS[1:]), actual=until)
        deadline = time.monotonic() + (self._how.wait if timeout is None else timeout)
        while True:
            found, slot = self._look(act)
            if not self._settled(found, slot):
                self.tend()
                found, slot = self._look(act)
            if slot is not None and slot.mined is not None and self._did(found, slot.mined) \
                    and LEVELS.index(slot.level) >= LEVELS.index(until):
                self._answered(found)
                return self._told(slot.mined, slot.level == FINALIZED)
            if self._settled(found, slot):
                self._answered(found)
                if found.expired:
                    raise Expired("this act expired: it was not done, and will not be", actual=found.id.hex(),
                                  expected=f"sent by {found.not_after}, the chain's time")
                raise OutsideFailed(f"this act was given up: {found.given_up}", do="Ask for it under a new id.")
            if time.monotonic() >= deadline:
                raise self._not_yet(found, slot, until)
            self._how.sleep(POLL)

    def tend(self) -> None:
        """Look after everything this account has under way: see ``troth.ledger.tending``. Safe to call at any time.

        Raises OutsideFailed if the node or the disk fails.
        """
        with self._queue.turn():
            self._tender.tend()

    def give_up(self, act: bytes, why: str) -> None:
        """Try no more to have an act done: its nonce is filled by a payment of nothing. It may still be done if a
        node holds it; ``wait`` tells which came true. Raises Misuse for an act nobody asked for, or that is done.
        """
        with self._queue.turn():
            found, slot = self._look(act)
            if slot is not None and slot.mined is not None:
                raise Misuse("this act is in a block", actual=f"block {slot.mined.block_number}")
            with self._queue.outbox.writing(durable=True):
                self._queue.give_up(found.id, why)
            self._tender.tend()

    def knows(self, act: bytes) -> bool:
        """Whether this act was asked for here."""
        return self._queue.act(act) is not None

    def acts(self) -> tuple[Progress, ...]:
        """Every act of this account that the outbox holds, oldest first, as far as was seen."""
        return tuple(self.progress(one.id) for one in self._queue.acts())

    def progress(self, act: bytes) -> Progress:
        """How far an act is, as far as was seen. Raises Misuse for an act nobody asked for."""
        found, slot = self._look(act)
        mined = None if slot is None else slot.mined
        if slot is None or mined is None:
            if found.given_up is not None and found.nonce is None:
                return Progress(act, EXPIRED, note="never sent") if found.expired else \
                    Progress(act, FAILED, note=found.given_up)
            return Progress(act, PENDING, found.nonce, note=found.given_up or self._waits_for(found))
        state, note = slot.level, ""
        if not self._did(found, mined):
            ended = EXPIRED if found.expired else FAILED
            state, note = ended if slot.level == FINALIZED else PENDING, found.given_up or ""
        elif mined.failure is not None:
            state = FAILED if slot.level == FINALIZED else slot.level
            note = ": ".join(part for part in mined.failure if part)
        return Progress(act, state, found.nonce, mined.tx_hash, mined.block_number, mined.block_hash, note)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _look(self, act: bytes) -> tuple[Act, Slot | None]:
        found = self._queue.act(act)
        if found is None:
            raise Misuse("nobody asked for this act here", actual=act.hex(), do="Send it.")
        return found, None if found.nonce is None else self._queue.slot(found.nonce)

    @staticmethod
    def _settled(act: Act, slot: Slot | None) -> bool:
        """Whether nothing can change any more how an act ended."""
        return act.given_up is not None if slot is None else slot.level == FINALIZED

    def _did(self, act: Act, mined: Mined | None) -> bool:
        """Whether the transaction in the block is the act, and not what filled its place."""
        if mined is None or act.nonce is None:
            return False
        return any(one.tx_hash == mined.tx_hash and not one.filler for one in self._queue.signed(act.nonce))

    def _answered(self, act: Act) -> None:
        if not act.named and not act.answered:
            with self._queue.outbox.writing(durable=False):
                self._queue.answer(act.id)

    @staticmethod
    def _told(mined: Mined, final: bool) -> Receipt:
        """The receipt. Raises what the contract said where it reverted."""
        if mined.failure is None:
            return receipt_of(mined.receipt)
        name, told = mined.failure
        if not name:
            raise OutsideFailed(told, do="Look at its trace.")
        do = None if final else "A re-organisation may still change that: wait until it is finalized to ask anew."
        raise ActRefused(name, told, do=do)

    def _waits_for(self, act: Act) -> str:
        seen = self._tender.sees.get(act.id)
        return seen.diagnostics() if isinstance(seen, TrothError) else seen or ""

    def _not_yet(self, act: Act, slot: Slot | None, until: str) -> TrothError:
        seen = self._tender.sees.get(act.id)
        if isinstance(seen, TrothError):
            return OutsideFailed(f"the act {act.id.hex()} is kept and not done: {seen.message}", expected=seen.expected,
                                 actual=seen.actual, do=f"{seen.do or 'Ask for it again.'} It goes on when asked.")
        if slot is not None and slot.mined is not None:
            where = f"is {slot.level} in block {slot.mined.block_number}, and not yet {until}"
        else:
            where = "is kept and in no block yet" + (f": {seen}" if seen else "")
        return Pending(f"the act {act.id.hex()} {where}", expected=f"{until} within the time given",
                       do="Ask for it again: it goes on, and is done once.")

    def _explain(self, act: Act, block: int) -> tuple[str, str]:
        """Why a mined act failed, by running it again on the state before its block, then on the one after: (the
        contract's error, what it says), the first empty where it is no refusal.
        """
        fields = _fields(self.account, act.to, act.data, act.value) | {"gas": hex(act.gas)}
        for number in (block - 1, block):
            try:
                request(self.web3, "eth_call", fields, hex(number))
            except RpcError as error:
                told = refusal(error, self._errors)
                if isinstance(told, ActRefused):
                    return told.code, told.message.removeprefix(f"{told.code}: ")
                return "", told.message
        return "", "the transaction failed and cannot be made to fail again"


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
         errors: Sequence[Mapping[str, Any]] = (), gas: int | None = None) -> bytes:
    """What the contract at ``to`` answers at the next block, with so much gas. Raises ActRefused where it reverts."""
    fields = {"from": "0x" + sender.hex(), "to": "0x" + to.hex(), "data": "0x" + data.hex()}
    if gas is not None:
        fields["gas"] = hex(gas)
    try:
        return hex_bytes(request(web3, "eth_call", fields, "latest"))
    except RpcError as error:
        raise refusal(error, errors) from error


def estimate(web3: Web3, to: bytes, data: bytes, *, sender: bytes, value: int = 0,
             errors: Sequence[Mapping[str, Any]] = ()) -> int:
    """The gas that a call takes now, by the node's estimate. Raises ActRefused where it reverts."""
    try:
        return quantity(request(web3, "eth_estimateGas", _fields(sender, to, data, value)))
    except RpcError as error:
        raise refusal(error, errors) from error


def _fields(sender: bytes, to: bytes, data: bytes, value: int) -> dict[str, str]:
    fields = {"from": "0x" + sender.hex(), "data": "0x" + data.hex()}
    if to:
        fields["to"] = "0x" + to.hex()
    if value:
        fields["value"] = hex(value)
    return fields


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
    shown = {key: _shown(value) for key, value in values.items()}
    said = why(error.data[:4]) if name[:2] != "0x" else None  # else its arguments could not be read
    if said is None:
        told = ", ".join(f"{key} = {value}" for key, value in shown.items())
        return ActRefused(name, told or "the contract refuses")
    return ActRefused(name, said.what.format_map(shown), expected=said.expected.format_map(shown) or None,
                      actual=said.actual.format_map(shown) or None, do=said.do)


def decode_revert(data: bytes, errors: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """(error name, its arguments by name) of revert ``data``; the selector in hex where no given error fits."""
    from eth_abi.abi import decode  # slow to import, needed on refusal only
    from eth_abi.exceptions import DecodingError

    for entry in (*errors, *known_errors(), ERROR_STRING, PANIC):
        if entry.get("type") != "error":
            continue
        types = [abi_type(argument) for argument in entry["inputs"]]
        if data[:4] == keccak(f"{entry['name']}({','.join(types)})".encode())[:4]:
            try:
                values = decode(types, data[4:])
            except (DecodingError, UnicodeDecodeError, OverflowError):  # whoever reverts chooses the bytes
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
