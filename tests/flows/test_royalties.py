"""Royalties from end to end: shared by contribution, collected, and what it costs to short somebody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from flows.royalty_world import COMMONS, HOUR, MONEY, World
from troth.app.paying import collect_payouts
from troth.app.reputation import reputation
from troth.core.claims import Ref, Subject
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Result, Rung, Split, Terms
from troth.flows import royalties
from troth.flows.royalty_words import Part, RoyaltyClaim

KEEPER = MONEY.keeper


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("royalties"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def things(world: World) -> tuple[bytes, bytes, bytes]:
    """Anna's and Ben's listings, and the maker's model on both: it passes on 40 %, 3 to 1."""
    anna, ben = world.listing("anna"), world.listing("ben")
    model = world.trained("maker", anna, ben)
    world.say("maker", world.contribution(model, {anna: 3, ben: 1}))
    return anna, ben, model


def cheat(world: World, model: bytes, parts: dict[bytes, int]) -> royalties.Run:
    """A payer whose claim and list pay these parts, whatever the lineage says."""
    maker = world["maker"]
    right = royalties.due(maker, model, 1_000, maker.accounts_of)
    said = tuple(Part(claim, world.account(claim), amount) for claim, amount in sorted(parts.items()) if amount)
    owed = replace(world.owed(model, ()), contributions=right.contributions)
    return world.start(royalties.say(maker, RoyaltyClaim(owed, said), world.everybody(maker)))


def gains(world: World, before: dict[str, int]) -> dict[str, int]:
    return {name: after - before[name] for name, after in world.balances().items()}


def test_shared_checked_and_collected(world: World, things: tuple[bytes, bytes, bytes]) -> None:
    anna, ben, model = things
    before = world.balances()
    run = world.run(world.owed(model, ()))
    royalties.answer(world["maker"], run.claim)
    found = world.checked("anna", run.deal)
    assert found.faults == ()
    assert {part.claim: part.amount for part in found.said.parts} == {anna: 300, ben: 100, model: 600}
    world.close_run(run.deal)
    for name in ("anna", "ben"):
        for _ in range(2):  # again is a no-op
            collect_payouts(world[name], run.deal)
    assert gains(world, before) == {"maker": -400 - KEEPER + KEEPER // 2, "anna": 300 + KEEPER - KEEPER // 2,
                                    "ben": 100, "verifier-1": 0, "verifier-2": 0}


def test_who_shorts_a_contributor_loses_its_stake_and_the_contributor_is_paid(
        world: World, things: tuple[bytes, bytes, bytes]) -> None:
    anna, ben, model = things
    before = world.balances()
    run = cheat(world, model, {anna: 60, ben: 340, model: 600})
    royalties.answer(world["maker"], run.claim)
    assert world.checked("ben", run.deal).faults == world.checked("anna", run.deal).faults
    first, share = min((anna, 300), (ben, 100))
    assert f"{first.hex()[:16]} is due {share} " in world.checked("anna", run.deal).faults[0]
    world.verify(run.deal, "anna")
    for name in ("anna", "ben"):
        collect_payouts(world[name], run.deal)
    assert gains(world, before) == {"maker": -400 - MONEY.stake - KEEPER, "anna": 300 + MONEY.stake // 2
                                    - MONEY.fee + KEEPER, "ben": 100, "verifier-1": MONEY.fee // 2,
                                    "verifier-2": MONEY.fee // 2}
    # And it is remembered: who judged was paid for it against a stake, who shorted lost one.
    seen = reputation(world["anna"])
    assert seen.of(world["verifier-1"].account).roles == {"verifier": MONEY.fee // 2}
    assert (seen.of(world["maker"].account).lost, seen.of(world["maker"].account).score) == (MONEY.stake, 0)


@pytest.mark.slow
def test_another_root_than_it_said_and_no_answer_at_all(world: World, things: tuple[bytes, bytes, bytes]) -> None:
    """Saying the right thing and paying another, or nobody: the same end."""
    _, _, model = things
    for how in ("nobody", "silence"):
        before = world.balances()
        run = world.run(world.owed(model, ()))
        if how == "nobody":
            royalties.answer(world["maker"], run.claim, Result(UPHELD))
            assert "another root" in world.checked("ben", run.deal).faults[0]
            world.verify(run.deal, "ben", silent_payer=True)
        else:
            world.chain.advance(2 * 3_600)
            world.verify(run.deal, "ben", silent_payer=True)
        for name in ("anna", "ben"):
            collect_payouts(world[name], run.deal)
        made = gains(world, before)
        assert (made["maker"], made["anna"], made["ben"]) == (
            -400 - MONEY.stake - KEEPER, 300, 100 + MONEY.stake // 2 - MONEY.fee + KEEPER), how


@pytest.mark.slow
def test_a_wrong_challenge_costs_its_bond(world: World, things: tuple[bytes, bytes, bytes]) -> None:
    _, _, model = things
    before = world.balances()
    run = world.run(world.owed(model, ()))
    royalties.answer(world["maker"], run.claim)
    world.verify(run.deal, "ben")
    collect_payouts(world["anna"], run.deal, everybody=True)
    assert gains(world, before) == {"maker": -400 - KEEPER, "anna": 300, "ben": 100 - MONEY.bond - MONEY.fee + KEEPER,
                                    "verifier-1": MONEY.fee // 2, "verifier-2": MONEY.fee // 2}


def test_an_omitted_ancestor_is_refuted_and_paid(world: World) -> None:
    """The model's own claim names both listings; its maker's contribution leaves Ben out."""
    anna, ben = world.listing("anna"), world.listing("ben")
    model = world.trained("maker", anna, ben)
    world.say("maker", world.contribution(model, {anna: 3}))
    maker = world["maker"]
    assert "leaves out what the thing rests on" in royalties.due(maker, model, 1_000, maker.accounts_of).notes[0]
    run = cheat(world, model, {anna: 400, model: 600})
    before = world.balances()
    royalties.answer(maker, run.claim)
    assert "is due 200" in world.checked("ben", run.deal).faults[0]
    world.verify(run.deal, "ben")
    for name in ("anna", "ben"):
        collect_payouts(world[name], run.deal)
    made = gains(world, before)
    assert (made["anna"], made["ben"]) == (200, 200 + MONEY.stake // 2 - MONEY.fee + KEEPER), "in equal parts"
    assert made["maker"] == 0, "its deposits were gone before, and nothing came back"


def test_less_than_the_named_sale_came_to(world: World, things: tuple[bytes, bytes, bytes]) -> None:
    """The sale came to 1,000; the payer says 500, and deposits accordingly. What is there is shared by what is due."""
    _, _, model = things
    maker, buyer = world["maker"], world["ben"]
    assumed = world.contracts["assumed"]
    rung = Rung(assumed.address, assumed.codehash, (Ask("goods", (maker.account,), HOUR),), HOUR, silent=REFUTED)
    price = Pot("price", buyer.account, 1_000, {UPHELD: Split((maker.account,), amounts=(1_000,))})
    terms = Terms(world.token.address, (price,), (rung,), world.chain.now() + HOUR, COMMONS)
    sale = buyer.book.open_and_join(buyer.account, terms, bytes(32), 0)
    right = royalties.due(maker, model, 1_000, maker.accounts_of)
    owed = replace(world.owed(model, right.contributions, amount=500), sale=(sale, 0))
    half = royalties.due(maker, model, 500, maker.accounts_of)
    run = world.start(royalties.say(maker, RoyaltyClaim(owed, half.parts), world.everybody(maker)))
    with pytest.raises(Undecidable, match="not closed"):
        world.checked("anna", run.deal)
    maker.book.submit_and_close(maker.account, sale, 0, 0, bytes(32), Result(UPHELD).to_bytes())
    royalties.answer(maker, run.claim)
    assert world.checked("anna", run.deal).faults[0] == "the sale came to 1000, not to 500"
    before = world.balances()
    world.verify(run.deal, "anna")
    for name in ("anna", "ben"):
        collect_payouts(world[name], run.deal)
    made = gains(world, before)
    other = replace(owed, payer=buyer.account)
    assert "pays it nothing" in royalties.price_of(world["anna"], other)[1]
    assert (made["anna"], made["ben"], made["maker"]) == (150 + MONEY.stake // 2 - MONEY.fee + KEEPER, 50, 0)


def test_a_payer_that_mends_a_makers_lie_is_upheld(world: World) -> None:
    """The lie is the claim's; who pays what is right in its place has nothing to answer for."""
    anna, ben = world.listing("anna"), world.listing("ben")
    model = world.trained("maker", anna, ben)
    world.say("maker", world.contribution(model, {anna: 3}))
    run = world.run(world.owed(model, ()))
    royalties.answer(world["maker"], run.claim)
    found = world.checked("ben", run.deal)
    assert (found.faults, len(found.notes)) == ((), 1)
    assert {part.claim: part.amount for part in found.said.parts} == {anna: 200, ben: 200, model: 600}


def test_who_says_two_things_loses_its_say(world: World) -> None:
    """A second contribution, when there is something to pay, that keeps more or favours somebody else: also back-dated.
    """
    anna, ben = world.listing("anna"), world.listing("ben")
    model = world.trained("maker", anna, ben)
    first = world.say("maker", world.contribution(model, {anna: 9, ben: 1}))
    world.chain.advance(60)
    maker = world["maker"]
    again = world.say("maker", world.contribution(model, {anna: 9, ben: 1}))
    found = royalties.due(maker, model, 1_000, maker.accounts_of)
    assert {part.claim: part.amount for part in found.parts} == {anna: 360, ben: 40, model: 600}, "the same again"
    stranger = world.say("ben", replace(world.contribution(model, {anna: 0, ben: 1}), account=world["ben"].account))
    second = world.say("maker", world.contribution(model, {anna: 1, ben: 1}, passes=100_000))
    found = royalties.due(maker, model, 1_000, maker.accounts_of)
    assert set(found.contributions) == {first, again, second}
    assert stranger not in found.contributions
    assert "different things" in found.notes[0]
    assert {part.claim: part.amount for part in found.parts} == {anna: 200, ben: 200, model: 600}
    with pytest.raises(Misuse, match="another lineage"):
        royalties.state_run(maker, world.owed(model, (second,)), maker.accounts_of, [])


def test_a_licence_sets_what_is_passed_on_at_least(world: World) -> None:
    """Anna's offer asks for 25 %, the maker ordered under it and passes on 10 %; a stranger's offer sets nothing."""
    anna = world.listing("anna")
    model = world.trained("maker", anna)
    subject = [Subject("it", {"sha256": "22" * 32})]
    for name, rate in (("anna", 2_500), ("ben", 9_000)):
        offer = world.give(world[name], world[name].attest("offer", subject, {"licence": {"royalty": rate}},
                                                           refs=[Ref("listing", anna)]))
        world.give(world["maker"], world["maker"].attest("order", subject, {"for": rate}, refs=[Ref("offer", offer)]))
    world.say("maker", world.contribution(model, {anna: 1}, passes=100_000))
    found = royalties.due(world["ben"], model, 1_000, world["ben"].accounts_of)
    assert "ask for 250000" in found.notes[0]
    assert {part.claim: part.amount for part in found.parts} == {anna: 250, model: 750}


def test_a_share_at_another_account_is_refuted(world: World) -> None:
    anna = world.listing("anna")
    model = world.trained("maker", anna)
    said = world.contribution(model, {anna: 1})
    world.say("maker", replace(said, rows=(replace(said.rows[0], account=world["ben"].account),)))
    maker = world["maker"]
    found = royalties.due(maker, model, 1_000, maker.accounts_of)
    assert "somebody else's account" in found.notes[0]
    assert {part.account: part.amount for part in found.parts} == {world["anna"].account: 400, maker.account: 600}


def test_a_diamond_of_models(world: World) -> None:
    """Two models on Anna's listing, a third on both: she is paid once for all, to the unit."""
    anna = world.listing("anna")
    left, right = world.trained("ben", anna), world.trained("maker", anna)
    top = world.trained("maker", left, right)
    world.say("ben", world.contribution(left, {anna: 1}, passes=500_000))
    world.say("maker", world.contribution(right, {anna: 1}, passes=500_000))
    with pytest.raises(Undecidable, match="has not said"):
        royalties.due(world["anna"], top, 3, world["anna"].accounts_of)
    world.say("maker", world.contribution(top, {left: 1, right: 1}, passes=1_000_000))
    found = royalties.due(world["anna"], top, 3, world["anna"].accounts_of)
    assert sum(part.amount for part in found.parts) == 3
    assert {part.claim: part.amount for part in royalties.due(
        world["ben"], top, 1_000, world["ben"].accounts_of).parts} == {anna: 500, left: 250, right: 250}


def test_what_is_no_run_is_refused(world: World, things: tuple[bytes, bytes, bytes]) -> None:
    anna, _, model = things
    maker = world["maker"]
    owed = replace(world.owed(model, ()),
                   contributions=royalties.due(maker, model, 1_000, maker.accounts_of).contributions)
    with pytest.raises(Misuse, match="stake does not deter"):
        royalties.state_run(maker, replace(owed, amount=4_000), maker.accounts_of, [])
    with pytest.raises(Misuse, match="somebody else's"):
        royalties.state_run(world["ben"], owed, maker.accounts_of, [])
    with pytest.raises(Misuse, match="nothing of this"):
        royalties.state_run(world["anna"], replace(owed, target=anna, payer=world["anna"].account, contributions=()),
                            maker.accounts_of, [])
    run = royalties.state_run(maker, owed, maker.accounts_of, [])
    statement = maker.statement(run.claim)
    said = RoyaltyClaim.of(statement)
    assert said.deal == run.deal
    for change in ({"amount": "1001"}, {"deal": "00" * 32}, {"parts": []}, {"fund_by": said.owed.fund_by + 1},
                   {"more": 1}, {"sale": [{"deal": "00" * 32, "pot": 0}]}):
        with pytest.raises(BadInput):
            RoyaltyClaim.of(replace(statement, body=dict(statement.body) | change))
    with pytest.raises(BadInput):
        RoyaltyClaim.of(replace(statement, refs=statement.refs[:1]))
