"""A sponsor that calls nobody when it would have to: whoever sits in its rounds keeps the stake all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rounds_parts import PASSPHRASE, write

from troth.app.alone import Stake
from troth.app.conducting import AGGREGATOR, SPONSOR, Rounds
from troth.app.following import JOIN, Call
from troth.app.funding import token
from troth.app.masked import rounds_of
from troth.app.rounds import load
from troth.app.site import Member
from troth.app.training import Coordinator
from troth.cli.story import tampered
from troth.core.encoding import decode_object
from troth.core.errors import ActRefused
from troth.core.terms import CHALLENGE, REFUTED, UPHELD, DealState
from troth.flows import round as flow
from troth.flows.terms import round_terms


def quiet(text: str) -> None:
    """Tells nobody."""


class Uncalled:
    """One round, whose sponsor stops calling anybody at some point."""

    def __init__(self, home: Coordinator) -> None:
        self.home = home
        home.prepare()
        self.plan = home.gather()
        self.rounds: Rounds = rounds_of(home, self.plan)
        self.rounds._receive()
        self.deal = self.rounds._deal(1)
        self.before = {name: self.held(name) for name in home.members}
        self.rounds._join(1, self.deal)

    def held(self, name: str) -> int:
        party = self.home.members[name].party
        return token(party, self.home.agreed).balance(party.account)

    @property
    def state(self) -> DealState:
        return self.rounds.sponsor.state(self.deal)

    def train(self) -> None:
        """Up to the first rung's verdict, with every call that it takes."""
        start = self.state.ask_start
        self.rounds._updates(1, self.deal, start)
        self.rounds._aggregate(1, self.deal, start)
        sponsor = self.home[SPONSOR]
        sponsor.book.judge(sponsor.account, self.deal)

    def advance(self, seconds: int) -> None:
        chain: Any = self.home.chain
        chain.advance(seconds)

    def everybody(self) -> None:
        """What each seat does by itself now."""
        for member in self.home.members.values():
            member.tend()

    def dispute(self) -> None:
        """The verifiers' rung, without one call. The aggregator is the sponsor's, and answers."""
        self.rounds._receive()
        aggregator = self.rounds.aggregator.seat
        aggregator.deliver(self.deal, 1, ())
        for _ in range(2):
            self.everybody()
        assert self.state.history[-1].ask == 0, "verifiers share first, and commit in the second half of their time"
        self.advance(self.home.agreed.periods.answer // 2)
        for _ in range(2):
            self.everybody()

    def close(self) -> DealState:
        sponsor = self.home[SPONSOR]
        if self.state.rung == 1:
            sponsor.book.judge(sponsor.account, self.deal)
        self.advance(self.home.agreed.periods.window + self.home.agreed.periods.verdict)
        sponsor.book.close(sponsor.account, self.deal)
        return self.state


@pytest.fixture
def uncalled(tmp_path: Path) -> Iterator[Uncalled]:
    with Coordinator(load(write(tmp_path / "files", rounds=1)), tmp_path / "out", PASSPHRASE, say=quiet) as home:
        yield Uncalled(home)


def test_called_to_no_evidence_sites_and_verifiers_answer_and_keep_their_stakes(uncalled: Uncalled) -> None:
    """The sponsor calls the verifiers over an honest aggregate and asks no site for evidence: half of every stake that
    is missed would be its own."""
    uncalled.train()
    sponsor = uncalled.home[SPONSOR]
    sponsor.book.challenge(sponsor.account, uncalled.deal)
    uncalled.dispute()
    final = uncalled.close().final
    assert final is not None
    assert (final.outcome, final.slashed) == (UPHELD, frozenset())
    for name, before in uncalled.before.items():
        assert uncalled.held(name) >= before, name
    uncalled.everybody()
    assert not uncalled.home.members["north"]._staked.deals(), "what is closed is not looked at again"


def test_a_wrong_aggregate_that_no_site_was_asked_about_is_challenged(uncalled: Uncalled,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    real = flow.Aggregator.aggregate

    def cheat(aggregator: flow.Aggregator, deal: bytes, number: int) -> Any:
        output, updates = real(aggregator, deal, number)
        return tampered(output, aggregator.base(), aggregator.replay), updates

    monkeypatch.setattr(flow.Aggregator, "aggregate", cheat)
    uncalled.train()
    uncalled.everybody()
    assert uncalled.state.rung == 0, "there is time: the sponsor may still hand it over, and call"
    uncalled.advance(uncalled.home.agreed.periods.window // 2)
    uncalled.everybody()
    assert CHALLENGE in [one.kind for one in uncalled.state.history]
    uncalled.dispute()
    final = uncalled.close().final
    assert final is not None
    assert (final.outcome, final.slashed) == (REFUTED, frozenset({uncalled.home[AGGREGATOR].account}))


def no_second_stake(uncalled: Uncalled) -> None:
    """Its asks would come when the round is over and nobody looks."""
    home, follower = uncalled.home, uncalled.rounds.sponsor
    sponsor, north = home[SPONSOR], home.members["north"]
    seat, chain = follower.seat, home.chain
    assert chain is not None
    terms = round_terms(follower.words, seat.plan, frozenset(seat.plan.keys), chain.now() + 1)
    second = sponsor.book.open(sponsor.account, terms, bytes(32))
    held = uncalled.held("north")
    said = decode_object(north.answer(Call(JOIN, uncalled.plan, 1, second).to_bytes(sponsor)))
    assert "another deal that is open" in said["error"]
    assert uncalled.held("north") == held
    again = Member(north.party, north.agreed, north._sponsor, north._aggregator, north.holding)
    assert again._staked.deals() == {uncalled.deal: Stake(uncalled.plan, 1)}, "a restart forgets no stake"


def test_verifiers_called_over_an_aggregators_silence_do_not_lose_their_stakes_for_it(uncalled: Uncalled) -> None:
    """Nor does a site stake again while this deal is open."""
    no_second_stake(uncalled)
    uncalled.advance(uncalled.home.agreed.periods.answer + uncalled.home.agreed.periods.verdict)
    sponsor = uncalled.home[SPONSOR]
    sponsor.book.challenge(sponsor.account, uncalled.deal)
    uncalled.dispute()
    final = uncalled.close().final
    assert final is not None
    assert (final.outcome, final.slashed) == (REFUTED, frozenset({uncalled.home[AGGREGATOR].account}))


@pytest.mark.parametrize("challenged", [False, True], ids=["unchallenged", "challenged"])
def test_a_sponsor_that_leaves_keeps_nobodys_stake_in_a_deal_that_is_over(uncalled: Uncalled, challenged: bool) -> None:
    uncalled.train()
    sponsor, periods = uncalled.home[SPONSOR], uncalled.home.agreed.periods
    if challenged:
        sponsor.book.challenge(sponsor.account, uncalled.deal)
        uncalled.dispute()
        uncalled.everybody()
    patience = periods.answer + periods.verdict + 1
    for _ in range(2):  # the verdict, where one is to be had, and the close
        uncalled.advance(periods.window)
        uncalled.everybody()
        if uncalled.state.final is None:
            uncalled.advance(patience)
            uncalled.everybody()
    final = uncalled.state.final
    assert final is not None
    assert (final.outcome, final.slashed) == (UPHELD, frozenset())
    for name, before in uncalled.before.items():
        assert uncalled.held(name) >= before, name


def test_what_is_due_is_left_to_the_sponsor_for_a_while(uncalled: Uncalled) -> None:
    uncalled.train()
    uncalled.advance(uncalled.home.agreed.periods.window)
    for _ in range(2):
        uncalled.everybody()
    assert uncalled.state.final is None
    assert uncalled.close().final is not None


def test_what_fails_on_chain_is_not_tried_again_at_once(uncalled: Uncalled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token can let an act be estimated and refuse it on chain: each try costs gas."""
    uncalled.train()
    north, periods = uncalled.home.members["north"], uncalled.home.agreed.periods
    tries = list[bytes]()

    def fails(account: bytes, deal: bytes, *_: object) -> None:
        tries.append(deal)
        raise ActRefused("Reverted", "for gas")

    monkeypatch.setattr(north.party.book, "close", fails)
    uncalled.advance(periods.window)
    for waited in (1, 2):
        north.tend()
        uncalled.advance(periods.answer + periods.verdict + 1)
        for _ in range(3):
            north.tend()
        assert tries == [uncalled.deal] * waited


def test_a_seat_in_another_plan_leaves_this_plans_deals_alone(uncalled: Uncalled) -> None:
    """One workspace may have seats in several plans, one after the other: by the model of one plan, an honest aggregate
    of another is wrong, and a verdict that says so costs the stake."""
    uncalled.train()
    sponsor = uncalled.home[SPONSOR]
    sponsor.book.challenge(sponsor.account, uncalled.deal)
    uncalled.rounds.aggregator.seat.deliver(uncalled.deal, 1, ())
    before = len(uncalled.state.history)
    for member in uncalled.home.members.values():
        member._staked.note(uncalled.deal, Stake(bytes(32), 1))
    uncalled.advance(uncalled.home.agreed.periods.answer // 2)
    for _ in range(2):
        uncalled.everybody()
    uncalled.advance(uncalled.home.agreed.periods.answer // 2)
    for _ in range(2):
        uncalled.everybody()
    assert len(uncalled.state.history) == before
