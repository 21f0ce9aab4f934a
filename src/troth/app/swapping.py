"""Swaps across two chains for a workspace: the second chain, what both parties agree on, and what is next."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from troth.app.registered import Registered
from troth.core.encoding import amount, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import Account

if TYPE_CHECKING:
    from troth.flows.swap import Leg, Maker, Swap, Taker
    from troth.ledger.chains import Chain
    from troth.ledger.deploy import Contracts
    from troth.ledger.evm import EvmBook
    from troth.ledger.sending import Sender

MARGIN = 600
FUND = 3_600
"""Seconds that each party has for its deposit."""


@dataclass(frozen=True, slots=True)
class Half:
    """One leg as a person wishes it. other_party: the taker's account there. finality: seconds; None if known."""

    token: Account
    amount: int
    other_party: Account
    finality: int | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What the maker proposes. gives: on the workspace's own chain; gets: on the other."""

    gives: Half
    gets: Half
    margin: int = MARGIN
    fund: int = FUND

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Wish:
        """From the TOML file of docs/reference/swap.md. Raises BadInput."""
        known = {"margin": MARGIN, "fund": FUND} | dict(body)
        fund, gets, gives, margin = take(known, fund=int, gets=dict, gives=dict, margin=int)
        return cls(_half(gives, "to"), _half(gets, "from"), margin, fund)


def _half(body: dict[str, Any], party: str) -> Half:
    finality = body.pop("finality", None)
    if finality is not None and type(finality) is not int:
        raise BadInput("not a finality", expected="seconds, an integer", actual=finality)
    text, other, token = take(body, **{"amount": str, party: str, "token": str})
    return Half(from_hex(token.removeprefix("0x").lower(), 20), amount(text),
                from_hex(other.removeprefix("0x").lower(), 20), finality)


@dataclass(frozen=True, slots=True)
class ChainSide:
    """``flows.swap.Side`` on a chain."""

    chain: Chain
    book: EvmBook
    sender: Sender

    def now(self) -> int:
        """The time the next block carries."""
        return self.chain.now()

    def final(self, deal: bytes) -> bool:
        """Whether the contract stored the same of the deal at the last final block as it does now."""
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.fees import Heads
        from troth.ledger.outbox import FINALIZED

        number = Heads(self.chain.web3, self.sender.depth).number(FINALIZED)
        return number >= 0 and self.book.unchanged_since(deal, number)

    def allow(self, token: Account, amount: int) -> None:
        """Approve the Book."""
        # Imported here for the same reason.
        from troth.ledger.erc20 import Erc20

        Erc20(self.chain.web3, token).approve(self.sender, self.book.address, amount)

    def until(self, not_after: int) -> EvmBook:
        """The deals, through an outbox that broadcasts nothing later."""
        return self.book.until(not_after)


def _patient(swap: Swap) -> None:
    """Refuse another's file that takes blocks for final sooner than is known of their chains: its gap is too short."""
    # Imported here for the same reason.
    from troth.ledger.chains.profiles import profile_of

    for leg in (swap.first, swap.second):
        known = profile_of(leg.chain_id)
        if leg.finality < known.finality:
            raise Misuse(f"this swap takes blocks of {known.name} for final too soon", actual=f"{leg.finality} s",
                         expected=f"at least {known.finality} s", do="Ask its maker for another proposal.")


class Swapping(Registered):
    """What a workspace does for a swap. The other chain is ``[chain] other``."""

    @cached_property
    def other_chain(self) -> Chain:
        """The second chain. Raises Misuse where none is set."""
        if not self.settings.other:
            raise Misuse("a swap needs a second chain", do="Set [chain] other in troth.toml or TROTH_CHAIN_OTHER.")
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.chains.pins import open_pinned

        return open_pinned(self.settings.other, self.root / "chains.json")

    def propose_swap(self, wish: Wish, other: Contracts) -> Swap:
        """What this party, as the maker, proposes; nothing moves. other: the contracts on the other chain.

        Raises Misuse for what cannot be safe for both, OutsideFailed where the contracts are not Troth's.
        """
        # Imported here for the same reason.
        from troth.flows.parts import Pin
        from troth.flows.swap import Leg, Swap
        from troth.ledger.chains.profiles import profile_of
        from troth.verify.policies.preimage import hash_lock

        nonce = secrets.token_bytes(32)
        chains = (self.chain, self.other_chain)
        waits = [profile_of(chain.chain_id).finality if half.finality is None else half.finality
                 for chain, half in zip(chains, (wish.gives, wish.gets), strict=True)]
        now, there = (chain.now() for chain in chains)
        second_by = there + waits[0] + wish.fund
        second_period = 3 * waits[1] + 2 * wish.margin
        # The first deadline counts from the deposit, which may come at once.
        first_period = max(now, there) - now + second_by - there + second_period + sum(waits) + wish.margin
        pins = [Pin.of(found["preimage"]) for found in (self.contracts, other)]
        me, gives, gets = self.account, wish.gives, wish.gets
        first = Leg(chains[0].chain_id, chains[0].genesis_hash, self.contracts["book"].address, pins[0], gives.token,
                    me, gives.other_party, gives.amount, now + wish.fund, first_period, waits[0], self.contracts.block)
        second = Leg(chains[1].chain_id, chains[1].genesis_hash, other["book"].address, pins[1], gets.token,
                     gets.other_party, me, gets.amount, second_by, second_period, waits[1], other.block)
        swap = Swap(first, second, hash_lock(self._swap_secret(nonce)), wish.margin, nonce)
        swap.check(now, there)
        self._outlasts(swap, maker=True)
        self._outlasts(swap, maker=False)
        for leg in (first, second):
            self._side(leg)
        return swap

    def swap_seat(self, swap: Swap) -> Maker | Taker:
        """This party's seat in a swap. Raises Undecidable for somebody else's swap, OutsideFailed where the contracts
        that it names are not Troth's; before this party's deposit also Misuse where its maker takes blocks for final
        sooner than they are, or an outage of a chain could outlast the time that this party has to reveal on it.
        """
        # Imported here for the same reason.
        from troth.flows.swap import Maker, Taker

        first, second = self._side(swap.first), self._side(swap.second)
        if (swap.first.giver, swap.second.getter) == (self.account, self.account):
            maker = Maker(swap, first, second, self._swap_secret(swap.nonce))
            if not maker.first.funded:
                self._outlasts(swap, maker=True)
            return maker
        if (swap.first.getter, swap.second.giver) == (self.account, self.account):
            taker = Taker(swap, first, second)
            if not taker.second.funded:  # afterwards nothing may keep it from its money
                _patient(swap)
                self._outlasts(swap, maker=False)
            return taker
        raise Undecidable("this swap is not this party's", actual=self.account.hex(),
                          expected=f"{swap.first.giver.hex()} or {swap.second.giver.hex()}")

    def swap_standing(self, swap: Swap) -> dict[str, Any]:
        """Where both legs stand."""
        # Imported here for the same reason.
        from troth.flows.swap import standing

        return standing(swap, self._side(swap.first), self._side(swap.second))

    def _outlasts(self, swap: Swap, *, maker: bool) -> None:
        """Compare the time to reveal (the maker: finality and margin; the taker: the gap between the deadlines) with
        the longest outage known of that chain. Raises Misuse.
        """
        if maker:
            leg, left = swap.second, swap.second.finality + swap.margin
        else:
            leg, left = swap.first, swap.gap
        outage = self.outage(leg.chain_id)
        if outage and left <= outage:
            who = "maker" if maker else "taker"
            raise Misuse(f"an outage of chain {leg.chain_id} could outlast the {who}'s time to reveal",
                         actual=f"{left} s", expected=f"more than {outage} s",
                         do="Agree on a longer margin, or set [chain] outage to what you accept.")

    def _swap_secret(self, nonce: bytes) -> bytes:
        # Made anew when needed: nothing secret is written down for a swap.
        return sha256(b"troth/swap/v1\n" + self.identity.account.reveal_seed() + nonce)

    def _side(self, leg: Leg) -> ChainSide:
        # Imported here for the same reason.
        from troth.ledger.deploy import check_book
        from troth.ledger.fees import Heads
        from troth.ledger.outbox import FINALIZED

        found = {(chain.chain_id, chain.genesis_hash): chain for chain in (self.other_chain, self.chain)}
        chain = found.get((leg.chain_id, leg.genesis))
        if chain is None:
            raise Misuse("neither chain of this workspace is the swap's",
                         expected=f"chain {leg.chain_id} with genesis {leg.genesis.hex()}",
                         actual=", ".join(f"chain {one} with genesis {genesis.hex()}" for one, genesis in found))
        check_book(chain.web3, leg.book, {"Preimage": (leg.preimage.address, leg.preimage.codehash)})
        sender = self.sender if chain is self.chain else self._sender_on(chain)
        # The file is the other party's. One that names a block after this party's own deposit would hide it, and the
        # secret with it: what is final now is before anything that is still to be done.
        since = max(0, min(leg.since, Heads(chain.web3, sender.depth).number(FINALIZED)))
        return ChainSide(chain, self._book_on(chain, leg.book, sender, since), sender)
