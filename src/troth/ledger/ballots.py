"""Where the holders of a token vote on a rung (docs/reference/deals.md, section 11, "Vote").

``MemoryBallots`` is the executable specification beside the contract ``Ballots``; ``EvmBallots`` speaks to the latter.
Both submit the tally to the Book as their own answer to the rung's last ask, so that a policy sees it frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from troth.core.deals import phase
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput
from troth.core.ports import Clock
from troth.core.terms import Account, Rung
from troth.core.typed_data import ballot_digest
from troth.identity.keys import recover_account
from troth.ledger.artefacts import artefact
from troth.ledger.evm import EvmBook
from troth.ledger.evmcodec import encoded_call
from troth.ledger.memory import MemoryBook
from troth.ledger.sending import Receipt, Sender, call

if TYPE_CHECKING:
    from web3 import Web3

AGAINST, FOR, ABSTAIN, NONE = range(4)
"""Choices; ``NONE`` is no ballot."""
GRACE = 600
"""Of a token that counts blocks: how many seconds after the ask began its snapshot may be fixed."""
COUNTING = 8
"""The part of the ask in which the tally is submitted, and nobody votes."""
MOST = 2**128 - 1


@dataclass(frozen=True, slots=True)
class Ballot:
    """A choice and who signed it: ``troth.core.typed_data.ballot_digest``."""

    voter: Account
    choice: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """A poll: the token, its snapshot in the token's clock, when voting ends (Unix seconds), votes by choice."""

    token: Account
    snapshot: int
    closes: int
    votes: tuple[int, int, int]


class Ballots(Protocol):
    """Polls of the rungs of one Book. Every act happens whole or raises ActRefused and changes nothing."""

    address: Account

    def start(self, by: Account, deal: bytes, choice: int = NONE) -> None:
        """Fix the snapshot of the deal's current rung; anybody, once. choice: the caller's own ballot with it."""
        ...

    def cast(self, by: Account, deal: bytes, rung: int, choice: int) -> None:
        """Vote with all the votes the caller had at the snapshot, once and for all."""
        ...

    def cast_signed(self, by: Account, deal: bytes, rung: int, ballots: Sequence[Ballot]) -> None:
        """Bring signed ballots; those that do not count are passed over."""
        ...

    def count(self, by: Account, deal: bytes) -> None:
        """Submit the tally to the Book, once nobody can vote any more."""
        ...

    def tally(self, deal: bytes, rung: int) -> Tally | None:
        """Where a poll stands; None before its start."""
        ...


def poll_id(book: Account, deal: bytes, rung: int) -> bytes:
    """The poll of a rung of a deal of a Book: the claim under which its tally is submitted."""
    return keccak256(book.rjust(32, b"\x00") + deal + rung.to_bytes(32, "big"))


class MemoryVotes:
    """A token's votes with their past (ERC-5805), in its smallest unit. seconds: whether its clock counts seconds;
    else ``block`` is what it counts, and whoever uses it moves that.

    Votes count for who holds them until they are delegated to somebody: unlike ERC20Votes, nobody need delegate first.
    """

    def __init__(self, clock: Clock, *, seconds: bool = True) -> None:
        self.seconds = seconds
        self.block = 1
        self._clock = clock
        self._held: dict[Account, int] = {}
        self._delegate: dict[Account, Account] = {}
        self._past: dict[Account | None, list[tuple[int, int]]] = {}

    def clock(self) -> int:
        """The present timepoint (ERC-6372)."""
        return self._clock.now() if self.seconds else self.block

    def mint(self, account: Account, amount: int) -> None:
        """Create ``amount`` for ``account``."""
        self._held[account] = self._held.get(account, 0) + amount
        self._write(None, amount)
        self._write(self._delegate.get(account, account), amount)

    def transfer(self, owner: Account, to: Account, amount: int) -> None:
        """Move what ``owner`` holds, with its votes. Raises ActRefused TransferFailed."""
        if self._held.get(owner, 0) < amount:
            raise ActRefused("TransferFailed", "not enough of the token", expected=amount,
                             actual=self._held.get(owner, 0))
        self._held[owner] -= amount
        self._held[to] = self._held.get(to, 0) + amount
        self._write(self._delegate.get(owner, owner), -amount)
        self._write(self._delegate.get(to, to), amount)

    def delegate(self, owner: Account, to: Account) -> None:
        """Let ``to`` vote with what ``owner`` holds."""
        held = self._held.get(owner, 0)
        self._write(self._delegate.get(owner, owner), -held)
        self._delegate[owner] = to
        self._write(to, held)

    def past_votes(self, account: Account, at: int) -> int:
        """What ``account`` could vote with at the end of timepoint ``at``, which is past."""
        return self._at(account, at)

    def past_supply(self, at: int) -> int:
        """All votes there were at the end of timepoint ``at``."""
        return self._at(None, at)

    def _write(self, account: Account | None, change: int) -> None:
        past = self._past.setdefault(account, [])
        past.append((self.clock(), (past[-1][1] if past else 0) + change))

    def _at(self, account: Account | None, at: int) -> int:
        if at >= self.clock():
            raise BadInput("votes of a time that is not past", expected=f"below {self.clock()}", actual=at)
        return next((votes for time, votes in reversed(self._past.get(account, [])) if time <= at), 0)


@dataclass(slots=True)
class _Poll:
    token: Account
    snapshot: int
    closes: int
    votes: list[int] = field(default_factory=lambda: [0, 0, 0])
    voted: set[Account] = field(default_factory=set)


class MemoryBallots:
    """``Ballots`` over a ``MemoryBook``.

    tokens: the tokens that can vote. contract_signs: (account, digest, signature) -> whether a contract account accepts
    the signature (ERC-1271); by default there are none.
    """

    def __init__(self, clock: Clock, book: MemoryBook, address: Account, tokens: Mapping[Account, MemoryVotes],
                 contract_signs: Callable[[Account, bytes, bytes], bool] = lambda account, digest, signature: False,
                 ) -> None:
        self.address = address
        self._clock, self._book, self._tokens, self._contract_signs = clock, book, tokens, contract_signs
        self._polls: dict[bytes, _Poll] = {}

    def start(self, by: Account, deal: bytes, choice: int = NONE) -> None:
        """See ``Ballots``. Raises ActRefused: BadTerms, NotAsked, TooEarly, TooLate, Started, BadChoice, NoVotes;
        Reverted for a token without votes.
        """
        rung, index, ask, begun = self._asked(deal)
        if ask < len(rung.asks) - 1:
            raise ActRefused("TooEarly", "an ask before the vote still runs")
        now, period = self._clock.now(), rung.asks[-1].period
        closes = begun + period - period // COUNTING
        if ask == len(rung.asks) or now >= closes:
            raise ActRefused("TooLate", "voting is over", expected=f"before {closes}", actual=now)
        poll = poll_id(self._book.address, deal, index)
        if poll in self._polls:
            raise ActRefused("Started", "the snapshot is fixed already")
        token = self._tokens.get(rung.param[12:])
        if token is None:
            raise ActRefused("Reverted", "no token that votes", actual=rung.param[12:].hex())
        if not token.seconds and now >= begun + GRACE:
            raise ActRefused("TooLate", "the snapshot was to be fixed soon after the ask began",
                             expected=f"before {begun + GRACE}", actual=now)
        found = _Poll(rung.param[12:], begun - 1 if token.seconds else token.clock() - 1, closes)
        if choice != NONE:
            self._choose(found, by, choice)
        self._polls[poll] = found

    def cast(self, by: Account, deal: bytes, rung: int, choice: int) -> None:
        """See ``Ballots``. Raises ActRefused: NoPoll, TooLate, BadChoice, Voted, NoVotes."""
        found = self._open(deal, rung)
        self._choose(found, by, choice)

    def cast_signed(self, by: Account, deal: bytes, rung: int, ballots: Sequence[Ballot]) -> None:
        """See ``Ballots``. Raises ActRefused: NoPoll, TooLate."""
        found = self._open(deal, rung)
        for one in ballots:
            digest = ballot_digest(self._book.chain_id, self.address, self._book.address, deal, rung, one.choice)
            signed = (recover_account(digest, one.signature) == one.voter
                      or self._contract_signs(one.voter, digest, one.signature))
            if signed and one.choice in (AGAINST, FOR, ABSTAIN) and one.voter not in found.voted:
                self._cast(found, one.voter, one.choice)

    def count(self, by: Account, deal: bytes) -> None:
        """See ``Ballots``. Raises ActRefused: BadTerms, NotAsked, NoPoll, TooEarly, TooMany, and what the Book says."""
        # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
        from eth_abi.abi import encode

        rung, index, _, _ = self._asked(deal)
        poll = poll_id(self._book.address, deal, index)
        found = self._polls.get(poll)
        if found is None:
            raise ActRefused("NoPoll", "nobody started a poll on this rung")
        if self._clock.now() < found.closes:
            raise ActRefused("TooEarly", "holders can still vote", expected=f"from {found.closes}")
        supply = self._tokens[found.token].past_supply(found.snapshot)
        if supply > MOST:
            raise ActRefused("TooMany", "more votes than a tally holds", expected=f"up to {MOST}", actual=supply)
        data = encode(("uint128", "uint128", "uint128", "uint128", "uint48"), (*found.votes, supply, found.snapshot))
        self._book.submit(self.address, deal, len(rung.asks) - 1, 0, poll, data)

    def tally(self, deal: bytes, rung: int) -> Tally | None:
        """See ``Ballots``."""
        found = self._polls.get(poll_id(self._book.address, deal, rung))
        if found is None:
            return None
        against, yes, abstain = found.votes
        return Tally(found.token, found.snapshot, found.closes, (against, yes, abstain))

    def _asked(self, deal: bytes) -> tuple[Rung, int, int, int]:
        """The current rung, its index, the ask that runs (their number: none), and when it began."""
        found = self._book.state(deal)
        if found.status != "running":
            raise ActRefused("BadTerms", "the deal does not run", actual=found.status)
        rung = found.terms.rungs[found.rung]
        if rung.bench != (self.address,):
            raise ActRefused("NotAsked", "this rung asks somebody else", expected=self.address.hex())
        at = phase(found, self._clock.now())
        return rung, found.rung, at.ask, at.ask_start

    def _open(self, deal: bytes, rung: int) -> _Poll:
        found = self._polls.get(poll_id(self._book.address, deal, rung))
        if found is None:
            raise ActRefused("NoPoll", "nobody started a poll on this rung")
        if self._clock.now() >= found.closes:
            raise ActRefused("TooLate", "voting is over", expected=f"before {found.closes}")
        return found

    def _choose(self, found: _Poll, by: Account, choice: int) -> None:
        if choice not in (AGAINST, FOR, ABSTAIN):
            raise ActRefused("BadChoice", "not a choice", expected="0 against, 1 for, 2 abstains", actual=choice)
        if by in found.voted:
            raise ActRefused("Voted", "this account has voted", actual=by.hex())
        if not self._cast(found, by, choice):
            raise ActRefused("NoVotes", "no votes at the snapshot", actual=by.hex(),
                             do="Votes count for whom they were delegated to before the ask began.")

    def _cast(self, found: _Poll, voter: Account, choice: int) -> bool:
        weight = self._tokens[found.token].past_votes(voter, found.snapshot)
        if not weight:
            return False
        if found.votes[choice] + weight > MOST:
            raise ActRefused("TooMany", "more votes than a tally holds", expected=f"up to {MOST}")
        found.voted.add(voter)
        found.votes[choice] += weight
        return True


class EvmBallots:
    """``Ballots`` over the contract at ``address``, for the deals of ``book``.

    senders: the Sender of an account that acts.
    """

    def __init__(self, web3: Web3, address: Account, senders: Callable[[Account], Sender], book: EvmBook) -> None:
        self.address = address
        self._web3, self._senders, self._book = web3, senders, book
        self._errors = (*artefact("Ballots").errors, *artefact("Book").errors)

    def start(self, by: Account, deal: bytes, choice: int = NONE) -> None:
        """See ``Ballots``."""
        self._send(by, "start", ("address", "bytes", "uint8"), self._book.address, self._book.made_of(deal), choice)

    def cast(self, by: Account, deal: bytes, rung: int, choice: int) -> None:
        """See ``Ballots``."""
        self._send(by, "cast", ("address", "bytes32", "uint8", "uint8"), self._book.address, deal, rung, choice)

    def cast_signed(self, by: Account, deal: bytes, rung: int, ballots: Sequence[Ballot]) -> None:
        """See ``Ballots``."""
        self._send(by, "castSigned", ("address", "bytes32", "uint8", "(address,uint8,bytes)[]"), self._book.address,
                   deal, rung, [(one.voter, one.choice, one.signature) for one in ballots])

    def count(self, by: Account, deal: bytes) -> None:
        """See ``Ballots``."""
        self._send(by, "count", ("address", "bytes"), self._book.address, self._book.made_of(deal))

    def tally(self, deal: bytes, rung: int) -> Tally | None:
        """See ``Ballots``."""
        # Imported here for the same reason.
        from eth_abi.abi import decode

        data = encoded_call("polls", ("bytes32",), (poll_id(self._book.address, deal, rung),))
        token, snapshot, closes, votes = decode(("address", "uint48", "uint48", "uint128[3]"),
                                                call(self._web3, self.address, data))
        against, yes, abstain = votes
        return Tally(bytes.fromhex(token[2:]), snapshot, closes, (against, yes, abstain)) if closes else None

    def _send(self, by: Account, name: str, types: Sequence[str], *values: object) -> Receipt:
        """Run the act on the present state, so that a refusal costs nothing, then send it."""
        data = encoded_call(name, types, values)
        call(self._web3, self.address, data, sender=by, errors=self._errors)
        return self._senders(by).send(self.address, data)
