"""The Book as a contract on a chain of the Ethereum family: the same port and the same refusals as ``MemoryBook``.

Terms and histories are read from the contract's events alone, and checked against the hashes that it stores, so an
incomplete or lying answer of a node is noticed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from troth.core.deals_terms import readable
from troth.core.errors import ActRefused, BadInput, OutsideFailed
from troth.core.ports import Consent, ProvenLeaf
from troth.core.terms import RESULT, Account, DealState, Entry, Result, Terms, deal_id, history_hash
from troth.ledger.artefacts import artefact
from troth.ledger.chains.profiles import outlives
from troth.ledger.chains.rpc import Event, get_logs, request
from troth.ledger.evmcodec import (
    CLOSED,
    DEAL,
    JOINED,
    LEAF_COLLECTED,
    OPENED,
    RECORD,
    RECORDED,
    ROOT_SWEPT,
    calldata,
    deal_bytes,
    decode,
    entry_of,
    long_history,
    result_of,
    short_history,
)
from troth.ledger.sending import Acting, Receipt, call, estimate

if TYPE_CHECKING:
    from web3 import Web3

GAS = 16_700_000
"""The limit every act is sent with. Only what is used is paid, a policy must be left its whole 5,000,000, the widest
deal's close needs most of it, and a transaction may have 2^24 (EIP-7825)."""

ACTS = ("open", "open_and_join", "join", "join_with_consent", "join_with_permit", "join_with_authorization", "submit",
        "submit_and_judge", "submit_and_close", "judge", "judge_and_close", "challenge", "close", "collect",
        "collect_many", "sweep", "withdraw", "stop")
"""What an account can do on the Book, by the names of ``EvmBook``'s methods."""

Status = Literal["funding", "running", "closed", "void"]
_STATUS: tuple[Status | None, ...] = (None, "funding", "running", "closed", "void")


@dataclass(slots=True)
class _Seen:
    """What a deal's events have said so far. made_of: what its id is made of, as acts bring it. last: the newest event,
    to ask for newer ones and to notice a re-org.
    """

    terms: Terms
    made_of: bytes
    last: Event
    history: list[Entry] = field(default_factory=list)
    final: Result | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the contract stores of a deal."""

    history: bytes
    status: Status
    rung: int
    ask: int
    start: int
    joined: frozenset[int]


class EvmBook:
    """``troth.core.ports.Book`` over a deployed contract.

    senders: what has an account's acts done (``Sender``, or ``RelayedSender``). first_block: where the Book's events
    begin. gas: the limit of every act; None takes the node's estimate and a fifth, for where gas has a price, as an
    account must hold what its limit could cost. outage: seconds for which the chain can keep an act out; deals with a
    shorter period are neither opened nor joined (Misuse; docs/reference/rollups.md).
    """

    def __init__(self, web3: Web3, address: Account, senders: Callable[[Account], Acting], *, chain_id: int,
                 first_block: int = 0, gas: int | None = GAS, outage: int = 0) -> None:
        self.web3 = web3
        self.address = address
        self.chain_id = chain_id
        self._senders = senders
        self._first = first_block
        self._gas = gas
        self._outage = outage
        self._not_after: int | None = None
        self._seen: dict[bytes, _Seen] = {}
        self._errors = artefact("Book").errors

    def until(self, not_after: int) -> EvmBook:
        """This Book, whose acts are sent by then (the chain's time, Unix seconds) or not at all."""
        other = copy.copy(self)
        other._not_after = not_after
        return other

    # -- acts ------------------------------------------------------------------------------------------------------

    def open(self, by: Account, terms: Terms, salt: bytes) -> bytes:
        """Section 2. Raises ActRefused; BadInput for values that no contract could be given."""
        if len(salt) != 32:
            raise BadInput("not a salt", expected="32 bytes", actual=f"{len(salt)} bytes")
        readable(terms)
        outlives(terms, self._outage)
        self._send(by, calldata("open", salt, terms.to_bytes()))
        return deal_id(self.chain_id, self.address, by, salt, terms.hash())

    def open_and_join(self, by: Account, terms: Terms, salt: bytes, pot: int,
                      consents: Sequence[Consent] = ()) -> bytes:
        """``open``, ``join`` and others' consents, all or nothing. Raises ActRefused; BadInput as ``open`` does."""
        if len(salt) != 32:
            raise BadInput("not a salt", expected="32 bytes", actual=f"{len(salt)} bytes")
        readable(terms)
        outlives(terms, self._outage)
        self._send(by, calldata("openAndJoin", salt, terms.to_bytes(), _byte(pot),
                                [(_byte(one.pot), one.expiry, one.signature) for one in consents]))
        return deal_id(self.chain_id, self.address, by, salt, terms.hash())

    def join(self, by: Account, deal: bytes, pot: int) -> None:
        """Section 3, by the depositor. Raises ActRefused."""
        self._send(by, calldata("join", self._bearable(deal), _byte(pot)))

    def join_with_consent(self, by: Account, deal: bytes, pot: int, expiry: int, signature: bytes) -> None:
        """Section 3, by anybody with the depositor's signature over ``typed_data.join_digest``. Raises ActRefused."""
        self._send(by, calldata("joinWithConsent", self._bearable(deal), _byte(pot), expiry, signature))

    def join_with_permit(self, by: Account, deal: bytes, pot: int, deadline: int, signature: bytes) -> None:
        """Section 3, by the depositor with its ERC-2612 permit for the pot's amount. Raises ActRefused; BadInput for a
        signature that is not 65 bytes.
        """
        self._send(by, calldata("joinWithPermit", self._bearable(deal), _byte(pot), deadline, *_vrs(signature)))

    def join_with_authorization(self, by: Account, deal: bytes, pot: int, valid_after: int, valid_before: int,
                                signature: bytes) -> None:
        """Section 3, by anybody with the depositor's ERC-3009 authorization. Raises ActRefused; BadInput for a
        signature that is not 65 bytes.
        """
        self._send(by, calldata("joinWithAuthorization", self._bearable(deal), _byte(pot), valid_after, valid_before,
                                *_vrs(signature)))

    def submit(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> None:
        """Section 4. Raises ActRefused."""
        self._send(by, calldata("submit", self.made_of(deal), ask, slot, _claim(claim), data))

    def submit_and_judge(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit`` and ``judge``, both or nothing. Raises ActRefused."""
        return self._submitted("submitAndJudge", by, deal, ask, slot, claim, data)

    def submit_and_close(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit``, ``judge`` and ``close``, all three or nothing. Raises ActRefused."""
        return self._submitted("submitAndClose", by, deal, ask, slot, claim, data)

    def judge(self, by: Account, deal: bytes) -> Result:
        """Section 5. Raises ActRefused."""
        return self._judged("judge", by, deal)

    def judge_and_close(self, by: Account, deal: bytes) -> Result:
        """``judge`` and ``close``, both or nothing. Raises ActRefused."""
        return self._judged("judgeAndClose", by, deal)

    def challenge(self, by: Account, deal: bytes) -> None:
        """Section 7. Raises ActRefused."""
        self._send(by, calldata("challenge", self.made_of(deal)))

    def close(self, by: Account, deal: bytes) -> None:
        """Section 8. Raises ActRefused."""
        seen = self._read(deal)
        self._send(by, calldata("close", seen.made_of, short_history(seen.history)))

    def collect(self, by: Account, deal: bytes, pot: int, leaf: tuple[int, Account, int],
                proof: tuple[bytes, ...]) -> None:
        """Section 9. Raises ActRefused."""
        self._send(by, calldata("collect", deal, _byte(pot), *leaf, proof))

    def collect_many(self, by: Account, deal: bytes, pot: int, leaves: Sequence[ProvenLeaf]) -> None:
        """Section 9: all of them, but those collected already, or nothing. Raises ActRefused."""
        self._send(by, calldata("collectMany", deal, _byte(pot), [(*leaf, proof) for leaf, proof in leaves]))

    def sweep(self, by: Account, deal: bytes, pot: int) -> None:
        """Section 9. Raises ActRefused."""
        self._send(by, calldata("sweep", deal, _byte(pot)))

    def withdraw(self, by: Account, token: Account) -> None:
        """Section 9. Raises ActRefused."""
        self._send(by, calldata("withdraw", token))

    def stop(self, by: Account, stopped: bool) -> None:
        """Section 10. Raises ActRefused."""
        self._send(by, calldata("stop", stopped))

    # -- reading ---------------------------------------------------------------------------------------------------

    def state(self, deal: bytes) -> DealState:
        """Where the deal stands. Raises ActRefused for an unknown one, OutsideFailed if the node's events do not lead
        to what the contract stores.
        """
        # Twice: a block between the two questions is no contradiction.
        for again in (True, False):
            seen = self._read(deal)
            stored = self._stored(deal)
            if stored.history == seen.digest:
                return DealState(seen.terms, stored.status, stored.joined, stored.rung, stored.ask, stored.start,
                                 tuple(seen.history), seen.final)
            if not again:
                break
        self._seen.pop(deal, None)
        raise OutsideFailed("the node's events do not lead to the deal that the Book stores",
                            expected=stored.history.hex(), actual=seen.digest.hex(),
                            do="Ask another node, or one that keeps all events.")

    def unchanged_since(self, deal: bytes, block: int) -> bool:
        """Whether the contract stored the same of the deal after ``block`` as it does now. Raises OutsideFailed."""
        fields = {"to": "0x" + self.address.hex(), "data": "0x" + calldata("deals", deal).hex()}
        now, then = (request(self.web3, "eth_call", fields, tag) for tag in ("latest", hex(block)))
        return bool(now == then)

    def credit(self, token: Account, account: Account) -> int:
        """What waits for ``withdraw``, in the token's smallest unit."""
        return int.from_bytes(call(self.web3, self.address, calldata("credit", token, account)), "big")

    def brought(self, deal: bytes) -> tuple[bytes, bytes]:
        """What the deal's id is made of, and its whole history, as contracts beside the Book take them."""
        seen = self._read(deal)
        return seen.made_of, long_history(seen.history)

    def opened(self) -> tuple[bytes, ...]:
        """The ids of every deal of this Book, oldest first."""
        events = get_logs(self.web3, addresses=(self.address,), topics=(OPENED,), first=self._first)
        return tuple(event.log.topics[1] for event in events)

    def estimate(self, by: Account, act: Literal["judge", "close"], deal: bytes) -> int:
        """The gas that judging or closing takes now, by the node's estimate. Raises ActRefused."""
        seen = self._read(deal)
        history = long_history(seen.history) if act == "judge" else short_history(seen.history)
        data = calldata(act, seen.made_of, history)
        return estimate(self.web3, self.address, data, sender=by, errors=self._errors)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _send(self, by: Account, data: bytes) -> Receipt:
        """Run the act on the present state, so that a refusal costs nothing, then send it.

        One that is under way from an earlier try, or was done and nobody was told, is neither run nor sent again.
        """
        sender, gas = self._senders(by), self._gas
        if not sender.owes(self.address, data):
            if gas is None:
                # A fifth to spare: the state may move before a block takes it.
                needed = estimate(self.web3, self.address, data, sender=by, errors=self._errors)
                gas = min(GAS, needed + needed // 5)
            else:
                call(self.web3, self.address, data, sender=by, errors=self._errors)
        return sender.send(self.address, data, gas=gas, not_after=self._not_after)

    def _submitted(self, act: str, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        seen = self._read(deal)
        return _verdict(self._send(by, calldata(act, seen.made_of, long_history(seen.history), ask, slot,
                                                _claim(claim), data)))

    def _judged(self, act: str, by: Account, deal: bytes) -> Result:
        seen = self._read(deal)
        return _verdict(self._send(by, calldata(act, seen.made_of, long_history(seen.history))))

    def _stored(self, deal: bytes) -> _Stored:
        history, state = decode(DEAL, call(self.web3, self.address, calldata("deals", deal)))
        status, _, rung, ask, joined, start, _, _ = state
        if not 0 <= status < len(_STATUS):
            raise OutsideFailed("not a Book", expected="a status of 0 to 4", actual=status)
        known = _STATUS[status]
        if known is None:
            raise ActRefused("Unknown", "there is no such deal", actual=deal.hex())
        pots = frozenset(index for index in range(32) if joined >> index & 1)
        return _Stored(bytes(history), known, rung, ask, start, pots)

    def _bearable(self, deal: bytes) -> bytes:
        seen = self._read(deal)
        outlives(seen.terms, self._outage)
        return seen.made_of

    def made_of(self, deal: bytes) -> bytes:
        """What the deal's id is made of, as every act brings it: opener, salt, terms. Raises ActRefused."""
        found = self._seen.get(deal)
        return found.made_of if found is not None else self._read(deal).made_of

    def _read(self, deal: bytes) -> _Seen:
        """The deal's events up to now, added to those already seen; from the start again after a re-organisation."""
        seen = self._seen.get(deal)
        first = self._first if seen is None else seen.last.block_number
        events = get_logs(self.web3, addresses=(self.address,), topics=(None, deal), first=first)
        if seen is not None and seen.last not in events:
            del self._seen[deal]
            return self._read(deal)
        if seen is not None:
            events = events[events.index(seen.last) + 1 :]
        for event in events:
            seen = self._after(seen, deal, event)
        if seen is None:
            raise ActRefused("Unknown", "there is no such deal", actual=deal.hex())
        self._seen[deal] = seen
        return seen

    def _after(self, seen: _Seen | None, deal: bytes, event: Event) -> _Seen:
        """What is known after one more event of the deal."""
        topic, data = event.log.topics[0], event.log.data
        if topic == OPENED:
            return self._opened(deal, event)
        if seen is None:
            raise OutsideFailed("the deal's first event is missing", actual=f"block {event.block_number}",
                                do="Give the block at which the Book was deployed, and a node that keeps its events.")
        seen.last = event
        if topic == RECORDED:
            entry = entry_of(*decode(RECORD, data))
            seen.history.append(entry)
            seen.digest = history_hash(seen.digest, entry)
        elif topic == CLOSED:
            status, value = decode(("uint8", RESULT), data)
            seen.final = result_of(value) if _STATUS[status] == "closed" else None
        elif topic not in (JOINED, LEAF_COLLECTED, ROOT_SWEPT):
            raise OutsideFailed("an event that no Book emits", actual=topic.hex(), do="Check the Book's address.")
        return seen

    def _opened(self, deal: bytes, event: Event) -> _Seen:
        """A deal from its first event, whose terms must be those that the id commits to."""
        opener = event.log.topics[2][12:]
        salt, data = decode(("bytes32", "bytes"), event.log.data)
        terms = Terms.from_bytes(data)
        if deal_id(self.chain_id, self.address, opener, salt, terms.hash()) != deal:
            raise OutsideFailed("the node's terms are not those of this deal", expected=deal.hex(),
                                do="Check the Book's address and the chain, or ask another node.")
        return _Seen(terms, deal_bytes(opener, salt, terms), event, digest=deal)


def senders_of(known: Mapping[Account, Acting]) -> Callable[[Account], Acting]:
    """What acts for an account among ``known``; what it returns raises BadInput for any other account."""

    def find(account: Account) -> Acting:
        found = known.get(account)
        if found is None:
            raise BadInput("no key for this account here", actual=account.hex(),
                           expected=", ".join(sorted(one.hex() for one in known)))
        return found

    return find


def _verdict(receipt: Receipt) -> Result:
    """The result that an act recorded."""
    recorded = [event for event in receipt.logs if event.log.topics[0] == RECORDED]
    return Result.from_bytes(entry_of(*decode(RECORD, recorded[-1].log.data)).data)


def _claim(claim: bytes) -> bytes:
    if len(claim) != 32:
        raise BadInput("not a claim id", expected="32 bytes", actual=f"{len(claim)} bytes")
    return claim


def _vrs(signature: bytes) -> tuple[int, bytes, bytes]:
    """A signature as tokens take one: v (27 or 28), r, s."""
    if len(signature) != 65:
        raise BadInput("not a signature of a key", expected="65 bytes: r, s, v", actual=f"{len(signature)} bytes")
    return signature[64], signature[:32], signature[32:64]


def _byte(pot: int) -> int:
    """A pot's index as the contract takes one; no deal has a pot 255."""
    return pot if 0 <= pot < 255 else 255
