"""What every place of ballots must do, on every Book: the abstract suite of ``troth.ledger.ballots.Ballots``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import pytest

from ports.books import VOTING, World, account, key
from troth.core.errors import ActRefused
from troth.core.terms import KEEPER, REFUTED, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms
from troth.core.typed_data import ballot_digest
from troth.ledger.ballots import ABSTAIN, AGAINST, FOR, GRACE, NONE, Ballot, Ballots
from troth.verify.policies.vote import token_param

DAY = 86_400
CLOSES = DAY - DAY // 8
PROPOSER, WHALE, RIVAL, COURT = (account(name) for name in ("proposer", "whale", "rival", "court"))
HOLDERS = tuple(account(f"holder {n}") for n in range(4))
NAMES = {account(f"holder {n}"): f"holder {n}" for n in range(4)} | {WHALE: "whale", RIVAL: "rival"}
SALT = b"\x05" * 32


class Polling(ABC):
    """A world with ballots and a token that votes."""

    world: World
    ballots: Ballots
    policy: tuple[Account, bytes]
    token: Account
    """The token whose clock counts seconds; ``blocks`` is one that counts blocks."""
    blocks: Account

    @abstractmethod
    def hold(self, who: Account, amount: int, token: Account | None = None) -> None:
        """Give an account tokens that it votes with itself."""

    @abstractmethod
    def transfer(self, who: Account, to: Account, amount: int) -> None:
        """Move tokens; the receiver votes with them itself."""

    @abstractmethod
    def delegate(self, who: Account, to: Account) -> None:
        """Let another vote with what an account holds."""

    @abstractmethod
    def next_block(self) -> None:
        """The block in which something was done is over."""

    def terms(self, token: Account | None = None) -> Terms:
        """A decision: nothing is paid but whoever judges and closes."""
        rung = Rung(*self.policy, (Ask("vote", (self.ballots.address,), DAY),), DAY, silent=REFUTED,
                    param=token_param(token or self.token))
        both = Split((KEEPER,), amounts=(10,))
        return Terms(self.world.token, (Pot("keeper", PROPOSER, 10, {UPHELD: both, REFUTED: both}),), (rung,),
                     self.world.now() + DAY, COURT)

    def asked(self, terms: Terms | None = None, salt: bytes = SALT) -> bytes:
        """Four holders of 100 each, a deal that runs since just now, and a poll on it."""
        deal = self.opened(terms, salt)
        self.ballots.start(RIVAL, deal)
        return deal

    def opened(self, terms: Terms | None = None, salt: bytes = SALT) -> bytes:
        if salt == SALT:
            self.world.fund(PROPOSER)
            for who in HOLDERS:
                self.hold(who, 100)
                self.hold(who, 100, self.blocks)
            self.world.advance(1)
            self.next_block()
        deal: bytes = self.world.book.open(PROPOSER, terms or self.terms(), salt)  # type: ignore[attr-defined]
        self.world.book.join(PROPOSER, deal, 0)  # type: ignore[attr-defined]
        return deal

    def signed(self, who: Account, deal: bytes, choice: int, *, rung: int = 0, by: Account | None = None,
               chain_id: int | None = None, where: Account | None = None, book: Account | None = None) -> Ballot:
        at = self.world.addresses
        digest = ballot_digest(at.chain_id if chain_id is None else chain_id, where or self.ballots.address,
                               book or at.book, deal, rung, choice)
        return Ballot(who, choice, key(NAMES[by or who]).sign_digest(digest))

    def votes(self, deal: bytes, rung: int = 0) -> tuple[int, int, int]:
        found = self.ballots.tally(deal, rung)
        assert found is not None
        return found.votes


def refused(code: str, act: Callable[..., object], *arguments: object) -> None:
    """The act is refused with this code."""
    with pytest.raises(ActRefused) as error:
        act(*arguments)
    assert error.value.code == code


class BallotsSuite(ABC):
    """Inherit it and give ``polling``."""

    @pytest.fixture
    @abstractmethod
    def polling(self) -> Polling: ...

    def test_a_decision(self, polling: Polling) -> None:
        """Votes, by transaction and by signature, a tally, a verdict, a close; each by anybody."""
        ballots, book, deal = polling.ballots, polling.world.book, polling.asked()
        ballots.cast(HOLDERS[0], deal, 0, FOR)
        ballots.cast(HOLDERS[1], deal, 0, AGAINST)
        ballots.cast_signed(RIVAL, deal, 0, [polling.signed(HOLDERS[2], deal, FOR),
                                             polling.signed(HOLDERS[3], deal, ABSTAIN)])
        assert polling.votes(deal) == (100, 200, 100)
        refused("TooEarly", ballots.count, RIVAL, deal)
        polling.world.advance(CLOSES)
        ballots.count(RIVAL, deal)
        assert book.judge(RIVAL, deal) == Result(UPHELD)
        book.close(RIVAL, deal)
        assert polling.world.balance(RIVAL) == 10
        assert polling.world.balance(ballots.address) == 0
        assert book.state(deal).history[0].by == ballots.address

    def test_the_first_ballot_comes_with_the_start(self, polling: Polling) -> None:
        """Of whoever starts, if it likes; one that does not count is refused with the start, and nothing happened."""
        ballots, deal = polling.ballots, polling.opened()
        refused("NoVotes", ballots.start, RIVAL, deal, FOR)
        refused("BadChoice", ballots.start, HOLDERS[0], deal, NONE + 1)
        assert ballots.tally(deal, 0) is None
        ballots.start(HOLDERS[0], deal, AGAINST)
        assert polling.votes(deal) == (100, 0, 0)
        refused("Voted", ballots.cast, HOLDERS[0], deal, 0, FOR)

    def test_no_quorum_is_silence(self, polling: Polling) -> None:
        """Fewer than a fifth decided nothing: the terms say what silence means."""
        assert VOTING[0] == 200_000
        ballots, book, deal = polling.ballots, polling.world.book, polling.asked()
        for who in HOLDERS:
            ballots.cast(who, deal, 0, AGAINST)
        polling.world.advance(CLOSES)
        ballots.count(RIVAL, deal)
        refused("NoVerdict", book.judge, RIVAL, deal)
        polling.world.advance(DAY)
        book.close(RIVAL, deal)
        assert book.state(deal).final.outcome == REFUTED

    def test_nobody_counts(self, polling: Polling) -> None:
        """A tally that was not submitted in time is none, and nobody else can submit one."""
        ballots, book, deal = polling.ballots, polling.world.book, polling.asked()
        ballots.cast(HOLDERS[0], deal, 0, FOR)
        refused("NotNamed", book.submit, RIVAL, deal, 0, 0, SALT, bytes(160))
        polling.world.advance(DAY)
        refused("TooLate", ballots.count, RIVAL, deal)
        refused("NoVerdict", book.judge, RIVAL, deal)

    def test_once_each(self, polling: Polling) -> None:
        """By transaction, by signature, the same or another choice: the first counts, and no more."""
        ballots, deal = polling.ballots, polling.asked()
        ballots.cast(HOLDERS[0], deal, 0, FOR)
        refused("Voted", ballots.cast, HOLDERS[0], deal, 0, FOR)
        refused("Voted", ballots.cast, HOLDERS[0], deal, 0, AGAINST)
        again = [polling.signed(HOLDERS[0], deal, AGAINST), polling.signed(HOLDERS[1], deal, FOR)]
        ballots.cast_signed(RIVAL, deal, 0, [*again, *again])
        ballots.cast_signed(RIVAL, deal, 0, again)
        refused("Voted", ballots.cast, HOLDERS[1], deal, 0, FOR)
        assert polling.votes(deal) == (0, 200, 0)

    def test_votes_are_those_of_the_snapshot(self, polling: Polling) -> None:
        """What moves after the ask began is not voted with twice, and what is bought or borrowed then not at all."""
        ballots, deal = polling.ballots, polling.asked()
        polling.hold(WHALE, 10_000)
        ballots.cast(HOLDERS[0], deal, 0, FOR)
        polling.transfer(HOLDERS[0], RIVAL, 100)
        polling.delegate(HOLDERS[1], WHALE)
        polling.world.advance(1)
        refused("NoVotes", ballots.cast, RIVAL, deal, 0, FOR)
        refused("NoVotes", ballots.cast, WHALE, deal, 0, AGAINST)
        ballots.cast(HOLDERS[1], deal, 0, FOR)
        assert polling.votes(deal) == (0, 200, 0)

    def test_delegated_before_counts_for_the_delegate(self, polling: Polling) -> None:
        polling.hold(WHALE, 50)
        for who in HOLDERS:
            polling.hold(who, 100)
        polling.delegate(HOLDERS[0], WHALE)
        deal = polling.asked()
        ballots = polling.ballots
        refused("NoVotes", ballots.cast, HOLDERS[0], deal, 0, AGAINST)
        ballots.cast(WHALE, deal, 0, FOR)
        assert polling.votes(deal) == (0, 250, 0)

    def test_nobody_picks_the_snapshot(self, polling: Polling) -> None:
        """With a clock of seconds it is the second before the ask began, whoever starts the poll and when."""
        deal = polling.opened()
        begun = polling.world.now()
        polling.hold(WHALE, 10_000)
        polling.world.advance(DAY // 2)
        polling.ballots.start(WHALE, deal)
        found = polling.ballots.tally(deal, 0)
        assert found is not None
        assert (found.snapshot, found.closes, found.token) == (begun - 1, begun + CLOSES, polling.token)
        refused("NoVotes", polling.ballots.cast, WHALE, deal, 0, FOR)
        refused("Started", polling.ballots.start, WHALE, deal)

    def test_blocks_are_counted_for_a_while(self, polling: Polling) -> None:
        """A token that counts blocks says nothing of the second before: its snapshot is fixed soon, or never."""
        deal = polling.opened(polling.terms(polling.blocks))
        polling.next_block()
        polling.ballots.start(RIVAL, deal)
        polling.next_block()
        polling.ballots.cast(HOLDERS[0], deal, 0, FOR)
        assert polling.votes(deal) == (0, 100, 0)
        late = polling.opened(polling.terms(polling.blocks), b"\x06" * 32)
        polling.world.advance(GRACE)
        refused("TooLate", polling.ballots.start, WHALE, late)

    def test_after_the_vote(self, polling: Polling) -> None:
        """In the last eighth nobody votes, and no poll starts."""
        ballots, deal = polling.ballots, polling.asked()
        other = polling.opened(salt=b"\x06" * 32)
        polling.world.advance(CLOSES - 1)
        ballots.cast(HOLDERS[0], deal, 0, FOR)
        polling.world.advance(1)
        refused("TooLate", ballots.cast, HOLDERS[1], deal, 0, AGAINST)
        refused("TooLate", ballots.cast_signed, RIVAL, deal, 0, [polling.signed(HOLDERS[1], deal, AGAINST)])
        refused("TooLate", ballots.start, RIVAL, other)
        refused("NoPoll", ballots.count, RIVAL, other)
        ballots.count(RIVAL, deal)
        refused("TooLate", ballots.count, RIVAL, deal)
        assert polling.votes(deal) == (0, 100, 0)

    def test_ballots_for_another_poll(self, polling: Polling) -> None:
        """A signature is good for one deal, rung, choice, Book, chain and place of ballots."""
        ballots, deal = polling.ballots, polling.asked()
        other = polling.asked(salt=b"\x06" * 32)
        one = HOLDERS[0]
        ballots.cast_signed(RIVAL, other, 0, [
            polling.signed(one, deal, FOR), polling.signed(one, other, FOR, rung=1),
            polling.signed(one, other, FOR, by=RIVAL), polling.signed(one, other, FOR, chain_id=1),
            polling.signed(one, other, FOR, where=RIVAL), polling.signed(one, other, FOR, book=RIVAL),
            replace(polling.signed(one, other, FOR), choice=AGAINST), polling.signed(one, other, 3),
            polling.signed(RIVAL, other, FOR), Ballot(one, FOR, b""), Ballot(one, FOR, bytes(65))])
        assert polling.votes(other) == (0, 0, 0)
        ballots.cast(one, other, 0, FOR)
        ballots.cast(one, deal, 0, AGAINST)
        assert (polling.votes(other), polling.votes(deal)) == ((0, 100, 0), (100, 0, 0))
        refused("NoPoll", ballots.cast, one, deal, 1, FOR)
        refused("NoPoll", ballots.cast_signed, one, deal, 1, [])
        refused("BadChoice", ballots.cast, HOLDERS[1], deal, 0, 3)

    def test_a_poll_needs_a_rung_that_asks_it(self, polling: Polling) -> None:
        """Holders may delegate while an ask before the vote runs: the snapshot is of when the vote itself begins."""
        terms = polling.terms()
        rung = terms.rungs[0]
        first = replace(rung, asks=(Ask("evidence", (PROPOSER,), DAY), *rung.asks))
        deal = polling.opened(replace(terms, rungs=(first,)))
        refused("TooEarly", polling.ballots.start, RIVAL, deal)
        polling.world.advance(DAY)
        polling.ballots.start(RIVAL, deal)
        found = polling.ballots.tally(deal, 0)
        assert found is not None
        assert found.snapshot == polling.world.now() - 1
        assumed = Rung(*polling.world.addresses.policies["assumed"], (Ask("result", (PROPOSER,), DAY),), DAY,
                       silent=REFUTED)
        other = polling.opened(replace(polling.terms(), rungs=(assumed,)), b"\x06" * 32)
        refused("NotAsked", polling.ballots.start, RIVAL, other)
        polling.world.advance(DAY)
        polling.world.advance(DAY)
        polling.world.book.close(RIVAL, other)  # type: ignore[attr-defined]
        refused("BadTerms", polling.ballots.start, RIVAL, other)
        assert polling.ballots.tally(other, 0) is None

    def test_a_token_without_votes(self, polling: Polling) -> None:
        """Its poll never starts, and the rung is silent."""
        deal = polling.opened(polling.terms(account("no token")))
        refused("Reverted", polling.ballots.start, RIVAL, deal)
