"""Tending an outbox: the one place that signs for an account, broadcasts, and reads what the chain made of it.

One pass (``Tender.tend``, held in the account's turn) does, for every slot that is not finalized, by nonce:

1. A transaction seen in a block: is the block still the chain's? If so, how sure is it to stay? If not, the slot is
   pending again.
2. A nonce that the chain has used: which version took it? Its receipt must stand in the block that it names. If none
   of ours did, and the block that used the nonce is finalized, the other transaction is looked up there; only then
   does the act get a new slot.
3. A nonce that the chain has not used: the newest version is broadcast again, the same bytes. The one whose turn it is
   is signed again for more, once patience is over. Of an act that was given up, or whose time is over (``not_after``),
   nothing is broadcast again: a payment of nothing takes its place, if it can be signed for more than the act was.
4. A nonce before those, that is nobody's: it is filled by a payment of nothing to oneself.

Then acts without a slot get one, as far as the ceiling on fees allows. Every signature is on the disk before the node
sees it, and none is ever made for an act whose slot could still be mined: so an act is done once at most, whatever
crashes, and as long as somebody tends the outbox and its time lasts, once at least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import coincurve
from eth_hash.auto import keccak

from troth.core.errors import BadInput, OutsideFailed, TrothError
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import RpcError, next_time, request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction
from troth.ledger.fees import Heads, Sending, lowest
from troth.ledger.outbox import EXPIRED, PENDING, Act, Expired, Mined, Queue, Signed, Slot

if TYPE_CHECKING:
    from web3 import Web3

AGAIN = 20.0
"""Seconds after which a transaction that is in no block is broadcast again, whether the node has it or not."""
GAPS = 16
"""Gaps filled in one pass at most: a node that lags far behind shows some that are none."""
FILLER_GAS = 21_000
KNOWN = ("already known", "known transaction", "already imported", "already exists", "already in mempool")
LOW = ("nonce too low", "nonce is too low", "old nonce")
WAITING = ("underpriced", "nonce too high", "nonce gap", "less than block base fee", "fee cap less")
"""Answers that ask for patience: another version is in the node's pool, or an earlier nonce is missing there, or the
base fee has risen."""
NEVER = ("intrinsic gas", "gas limit", "initcode size", "floor data gas", "not an eoa", "invalid chain id",
         "oversized data")
"""Answers to a transaction that no fee and no patience will make acceptable."""


class Tender:
    """Signs and sends for the account of a key. explain: (act, block number) -> why it reverted there.

    sees: what the last pass could not resolve, in words, by act; for messages.
    """

    def __init__(self, web3: Web3, key: coincurve.PrivateKey, queue: Queue, chain_id: int, *, how: Sending,
                 explain: Callable[[Act, int], tuple[str, str]]) -> None:
        self.web3, self.queue, self.fees = web3, queue, how.fees
        self.sees: dict[bytes | None, TrothError | str] = {}
        self._key, self._chain_id = key, chain_id
        self._depth, self._clock, self._explain = how.depth, how.clock, explain
        self._told: dict[bytes, float] = {}
        self._time: int | None = None
        self._free = False

    # -- one pass --------------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Look at everything that is not finalized, and do what is due. In turn."""
        self.sees.clear()
        self._time = None
        heads = Heads(self.web3, self._depth)
        slots = self.queue.unfinished()
        if slots:
            used = self.count("latest")
            slots = [slot for slot in (self._follow(one, used, heads) for one in slots) if slot is not None]
            if slots:
                self._fill_gaps(used, slots[0].nonce)
            for slot in slots:
                self._push(slot, slot.nonce == used)
        for act in self.queue.waiting():
            if self._late(act):
                self._expire(act)
            else:
                self.place(act)

    def count(self, block: str) -> int:
        """How many nonces the account has used, by a block tag."""
        return quantity(request(self.web3, "eth_getTransactionCount", _hex(self.queue.account), block))

    def _follow(self, slot: Slot, used: int, heads: Heads) -> Slot | None:
        """Write down where the chain has the slot; the slot if its transaction is in no block and may get into one."""
        mined = slot.mined
        if mined is not None:
            if _stands(heads.block(mined.block_number), mined.tx_hash, mined.block_hash):
                level = heads.level(mined.block_number)
                if level != slot.level:
                    self._mark(slot, level, mined)
                return None
            self._mark(slot, PENDING, None)  # a re-organisation took the block away
            for one in self.queue.signed(slot.nonce):
                self._told.pop(one.tx_hash, None)
            slot = Slot(slot.nonce, slot.act, PENDING, None)
        if slot.nonce >= used:
            return slot
        mined = self._mined(slot, heads)
        if mined is not None:
            self._mark(slot, heads.level(mined.block_number), mined)
        elif slot.act not in self.sees:
            self._taken(slot, heads)
        return None

    def _mark(self, slot: Slot, level: str, mined: Mined | None) -> None:
        with self.queue.outbox.writing(durable=False):
            self.queue.mark(slot.nonce, level, mined)

    def _mined(self, slot: Slot, heads: Heads) -> Mined | None:
        """The version of a slot that a block holds, if there is one and its receipt is true."""
        for one in reversed(self.queue.signed(slot.nonce)):
            receipt: Mapping[str, Any] | None = request(self.web3, "eth_getTransactionReceipt", _hex(one.tx_hash))
            if receipt is None:
                continue
            number, digest = quantity(receipt["blockNumber"]), hex_bytes(receipt["blockHash"], 32)
            if hex_bytes(receipt["transactionHash"], 32) != one.tx_hash \
                    or not _stands(heads.block(number), one.tx_hash, digest):
                self.sees[slot.act] = OutsideFailed(
                    "the node's receipt is not in the block that it names", expected=f"block {number} with it",
                    actual=f"receipt of 0x{one.tx_hash.hex()}", do="Ask again; if it stays so, ask another node.")
                continue
            failure = None
            act = None if slot.act is None or one.filler else self.queue.act(slot.act)
            if act is not None and quantity(receipt["status"]) != 1:
                failure = self._explain(act, number)
            return Mined(one.tx_hash, number, digest, receipt, failure)
        return None

    def _taken(self, slot: Slot, heads: Heads) -> None:
        """Let go of a nonce that another transaction of this key has for ever."""
        final = heads.number("finalized")
        if final < 0 or self.count(hex(final)) <= slot.nonce:
            self.sees[slot.act] = "another transaction of this account used its nonce; it waits until that is final"
            return
        number = lowest(lambda block: self.count(hex(block)) > slot.nonce, final)
        block = request(self.web3, "eth_getBlockByNumber", hex(number), True)
        ours = {one.tx_hash for one in self.queue.signed(slot.nonce)}
        for entry in block["transactions"] if block else ():
            if hex_bytes(entry["from"], 20) == self.queue.account and quantity(entry["nonce"]) == slot.nonce:
                if hex_bytes(entry["hash"], 32) not in ours:
                    with self.queue.outbox.writing(durable=True):
                        self.queue.take(slot)
                return  # ours: the node will have its receipt in a while
        self.sees[slot.act] = OutsideFailed(
            f"the node says nonce {slot.nonce} is used and does not show by what", actual=f"block {number}",
            do="Ask a node that keeps past blocks and states.")

    # -- expiry ----------------------------------------------------------------------------------------------------

    def here_after(self, not_after: int) -> float:
        """A time of the chain on this machine's clock. Raises OutsideFailed."""
        here = self._clock()  # first: an answer that takes its time must not make it later than it is
        return here + (not_after - next_time(self.web3))

    def _late(self, act: Act) -> bool:
        """Whether an act must not be broadcast any more, by the chain's time in this pass or this machine's clock."""
        if act.not_after is None or act.here_after is None:
            return False
        if self._time is None:
            self._time = next_time(self.web3)
        return self._time > act.not_after or self._clock() > act.here_after

    def _expire(self, act: Act) -> Act:
        """Give up an act whose time is over; one that nobody has seen is done with, and asking for it is another."""
        with self.queue.outbox.writing(durable=True):
            self.queue.give_up(act.id, EXPIRED)
            if act.nonce is None:
                self.queue.answer(act.id)
        return replace(act, given_up=EXPIRED)

    # -- broadcasting ----------------------------------------------------------------------------------------------

    def _push(self, slot: Slot, next_in_line: bool) -> None:
        """Broadcast what was signed; sign again for more where it waited long enough."""
        versions = self.queue.signed(slot.nonce)
        latest, act = versions[-1], None if slot.act is None else self.queue.act(slot.act)
        if act is not None and act.given_up is None and self._late(act):
            act = self._expire(act)
        filling = act is not None and act.given_up is not None and not latest.filler
        if filling or (next_in_line and self._clock() - latest.at >= self.fees.patience):
            better = self._again(slot, latest, act, filling)
            if better is not None:
                latest = better
        now = self._clock()
        if now - self._told.get(latest.tx_hash, now - AGAIN) >= AGAIN or (next_in_line and not self._known(latest)):
            self._tell(latest, act)

    def _known(self, signed: Signed) -> bool:
        """Whether the node has the transaction, in its pool or in a block."""
        return request(self.web3, "eth_getTransactionByHash", _hex(signed.tx_hash)) is not None

    def _again(self, slot: Slot, latest: Signed, act: Act | None, filling: bool) -> Signed | None:
        """The next version of a slot, kept; None where nothing is to be gained, or the ceiling forbids it."""
        base, tip = self._market()
        if not (base or tip or filling):
            return None
        # Where gas is free there is no pool that would ask a replacement to pay more, and an account may hold nothing.
        offer = self.fees.filler if filling else self.fees.more
        fees = offer(latest.fee, latest.tip, base, tip) if base or tip else (latest.fee, latest.tip)
        if fees is None:
            if latest.fee < base:
                self.sees[slot.act] = self._too_dear(base)
            return None
        done = None if act is None or act.given_up is not None else act
        better = self._sign(slot.nonce, done, *fees)
        with self.queue.outbox.writing(durable=True):
            self.queue.sign(better)
        return better

    def _tell(self, signed: Signed, act: Act | None) -> None:
        """Hand bytes that were stored to the node, unless it is too late for them; the next pass fills their place.

        What it answers is no proof of anything but a refusal for ever.
        """
        if act is not None and not signed.filler and (act.given_up is not None or self._late(act)):
            return
        id_ = None if act is None else act.id
        try:
            request(self.web3, "eth_sendRawTransaction", _hex(signed.raw))
        except RpcError as error:
            reason = error.reason.lower()
            if any(words in reason for words in NEVER) and id_ is not None and not signed.filler:
                with self.queue.outbox.writing(durable=True):
                    self.queue.give_up(id_, f"the node refuses it for good: {error.reason}")
            elif any(words in reason for words in WAITING):
                self.sees.setdefault(id_, f"the node answers: {error.reason}")
            elif not any(words in reason for words in (*KNOWN, *LOW)):
                self.sees[id_] = error
                return  # not taken: again at the next pass
        self._told[signed.tx_hash] = self._clock()

    def _fill_gaps(self, used: int, first: int) -> None:
        """Fill the nonces before ``first`` that are neither the chain's, nor ours, nor in the node's pool.

        Only once the transaction that they hold up has waited its patience: another's may be on its way.
        """
        if used >= first or used < self.queue.first_unsettled():  # none, or a node that lags
            return
        missing = [nonce for nonce in range(used, first) if self.queue.slot(nonce) is None][:GAPS]
        if not missing or self._clock() - self.queue.signed(first)[-1].at < self.fees.patience:
            return
        if self.count("pending") > missing[0]:
            return
        fees = self.fees.first(*self._market())
        if fees is None:
            return
        fillers = [self._sign(nonce, None, *fees) for nonce in missing]
        with self.queue.outbox.writing(durable=True):
            for filler in fillers:
                self.queue.open(filler.nonce, None, filler)
        for filler in fillers:
            self._tell(filler, None)

    # -- new slots -------------------------------------------------------------------------------------------------

    def place(self, act: Act, *, new: bool = False) -> None:
        """Give an act a slot, sign and broadcast it. new: it is not in the outbox yet.

        An act that would cost more than the ceiling is kept and waits. Raises OutsideFailed for a new one that the
        account cannot pay, Expired for one whose time is over: nothing is kept.
        """
        if new:
            self._time = None
            if self._late(act):
                raise Expired("the time of this act is over: nothing was sent", actual=self._time,
                              expected=f"{act.not_after} or earlier, the chain's time")
        base, tip = self._market()
        fees, signed = self.fees.first(base, tip), None
        if fees is None:
            self.sees[act.id] = self._too_dear(base)
        elif self._affordable(act, fees[0], new):
            used, settled = self.count("pending"), self.queue.first_unsettled()
            if used < settled:
                self.sees[act.id] = OutsideFailed(
                    "the node knows less of this account than was final", expected=f"{settled} transactions or more",
                    actual=used,
                    do="Wait until it has caught up. If it has, the chain was set back: use a new workspace.")
            else:
                signed = self._sign(max(used, self.queue.first_unused()), act, *fees)
        with self.queue.outbox.writing(durable=True):
            if new:
                self.queue.add(act)
            if signed is not None:
                self.queue.open(signed.nonce, act.id, signed)
        if signed is not None:
            self._tell(signed, act)

    def _affordable(self, act: Act, fee: int, new: bool) -> bool:
        cost = act.gas * fee + act.value
        if cost == 0:
            return True
        balance = quantity(request(self.web3, "eth_getBalance", _hex(self.queue.account), "latest"))
        if balance >= cost:
            return True
        poor = OutsideFailed("insufficient funds for gas and value", expected=f"{cost} wei", actual=f"{balance} wei",
                             do=f"Pay some to 0x{self.queue.account.hex()}.")
        if new:
            raise poor
        self.sees[act.id] = poor
        return False

    def _sign(self, nonce: int, act: Act | None, fee: int, tip: int) -> Signed:
        """A signed transaction for the slot; None: a payment of nothing to oneself."""
        to, data, value, gas = (self.queue.account, b"", 0, FILLER_GAS) if act is None else \
            (act.to, act.data, act.value, act.gas)
        unsigned = Transaction(DYNAMIC_FEE, self._chain_id, nonce, tip, fee, gas, to, value, data)
        raw = unsigned.signed(self._key, self.queue.account).encode()
        return Signed(bytes(keccak(raw)), nonce, raw, fee, tip, self._clock(), act is None)

    def _market(self) -> tuple[int, int]:
        """(base fee, usual tip) in wei per gas; a chain that once asked for none is taken to ask for none."""
        if self._free:
            return 0, 0
        base = quantity(request(self.web3, "eth_getBlockByNumber", "latest", False).get("baseFeePerGas") or 0)
        price = 0 if base else quantity(request(self.web3, "eth_gasPrice"))
        if not base and not price:
            self._free = True
            return 0, 0
        return base or price, quantity(request(self.web3, "eth_maxPriorityFeePerGas"))

    def _too_dear(self, base: int) -> str:
        return (f"the base fee is {base} wei per gas and the ceiling {self.fees.ceiling}: it waits until the fee falls,"
                " or [chain] max_fee is raised")


def _stands(block: Mapping[str, Any] | None, tx_hash: bytes, block_hash: bytes) -> bool:
    """Whether a block of the chain has this hash and holds the transaction."""
    if block is None or hex_bytes(block["hash"], 32) != block_hash:
        return False
    held = block["transactions"]
    if not isinstance(held, list):
        raise BadInput("not a block", expected="a list of transactions", actual=type(held).__name__)
    return _hex(tx_hash) in held


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
