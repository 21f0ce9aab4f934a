"""Every schedule that once took money it should not have, each named after the attack, on every Book.

The table is the one that the rules of docs/reference/deals.md were distilled from. Each test ends with what the
adversary has, in numbers. Not here because nothing of it is built: drawn juries (benches are named in the terms) and
the preimage sale. Hybrid signatures through a rotation are tests/identity's.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ports.books import World, account, key
from troth.core.errors import ActRefused
from troth.core.payouts import PayoutTree
from troth.core.terms import (
    CHALLENGER,
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
    history_hash,
    payout_leaf,
)
from troth.core.typed_data import verdict_digest
from troth.verify.policies.voices import commit_data, reveal_data, verdict_data

CLIENT, WORKER, CHEAT, COURT = (account(name) for name in ("client", "worker", "cheat", "court"))
VERIFIERS = tuple(account(f"verifier {n}") for n in range(3))
JURORS = tuple(account(f"juror {n}") for n in range(3))
KEEP_ALIVE = account("keeper")
SALT = bytes(32)
CLAIM = b"\x11" * 32
HOUR = 3600
PAY, STAKE, FEE, BOND = 1000, 2500, 60, 300

GOOD = Result(UPHELD)
BAD = Result(REFUTED, slashed=frozenset({WORKER}))


def job(world: World, *, verifier_stakes: bool = False, top: str = "signed2") -> Terms:
    """Work for pay: the worker's word, above it a re-execution by 2 of 3, above that a jury of 3."""
    policy = world.addresses.policies
    pots = [
        Pot("reward", CLIENT, PAY, {UPHELD: Split((WORKER,), amounts=(PAY,))}),
        Pot("stake", WORKER, STAKE, {SLASHED: Split((CHALLENGER, CLIENT), weights=(1, 1))}),
        Pot("keeper", CLIENT, 20, {outcome: Split((KEEPER,), amounts=(20,)) for outcome in (UPHELD, REFUTED)}),
        Pot("fee", climber(1), FEE, {outcome: Answered(1) for outcome in (UPHELD, REFUTED)}),
    ]
    if verifier_stakes:
        pots += [Pot(f"seat {n}", verifier, 100, {SLASHED: Split((CLIENT,), amounts=(100,))})
                 for n, verifier in enumerate(VERIFIERS)]
    last = (Ask("verdict", JURORS, HOUR),)
    rungs = (
        Rung(*policy["assumed"], (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, BOND, REFUTED),
        Rung(*policy["rerun2"], (Ask("evidence", (WORKER,), HOUR), Ask("commit", VERIFIERS, HOUR),
                                 Ask("reveal", VERIFIERS, HOUR)), HOUR, HOUR, 2 * BOND),
        Rung(*policy[top], last, HOUR),
    )
    return Terms(world.token, tuple(pots), rungs, world.now() + HOUR, COURT)


def start(world: World, terms: Terms) -> bytes:
    """Everybody has money, the deal is open and joined."""
    for who in (CLIENT, WORKER, CHEAT, *VERIFIERS, *JURORS, KEEP_ALIVE):
        world.fund(who)
    deal = world.book.open(CLIENT, terms, SALT)
    for index, pot in enumerate(terms.pots):
        if pot.depositor != climber(1):
            world.book.join(pot.depositor, deal, index)
    return deal


def refused(code: str, act: object, *arguments: object) -> None:
    """The act is refused with this code."""
    with pytest.raises(ActRefused) as error:
        act(*arguments)  # type: ignore[operator]
    assert error.value.code == code


def claims(world: World, deal: bytes, result: Result = GOOD) -> None:
    """The worker claims and is believed for now."""
    world.book.submit(WORKER, deal, 0, 0, CLAIM, result.to_bytes())
    world.book.judge(KEEP_ALIVE, deal)


def salt_of(verifier: Account) -> bytes:
    return verifier.ljust(32, b"\x01")


def commits(world: World, deal: bytes, said: dict[Account, Result]) -> None:
    for verifier, result in said.items():
        data = commit_data(deal, 1, verifier, result.to_bytes(), salt_of(verifier))
        world.book.submit(verifier, deal, 1, 0, CLAIM, data)


def reveals(world: World, deal: bytes, said: dict[Account, Result]) -> None:
    for verifier, result in said.items():
        world.book.submit(verifier, deal, 2, 0, CLAIM, reveal_data(result.to_bytes(), salt_of(verifier)))


def rerun(world: World, deal: bytes, said: dict[Account, Result], *, evidence: bool = True) -> None:
    """Evidence, commits and reveals, and the verdict on them."""
    if evidence:
        world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    else:
        world.advance(HOUR)
    commits(world, deal, said)
    if len(said) < len(VERIFIERS):
        world.advance(HOUR)
    reveals(world, deal, said)
    if len(said) < len(VERIFIERS):
        world.advance(HOUR)
    world.book.judge(KEEP_ALIVE, deal)


def end(world: World, deal: bytes, terms: Terms) -> Result:
    """Everything is over and paid."""
    world.until(terms.closes_by)
    world.book.close(KEEP_ALIVE, deal)
    final = world.book.state(deal).final
    assert final is not None
    return final


def gained(world: World, who: Account) -> int:
    """What the account has more than it came with."""
    return world.balance(who) - 10**9


def test_spend_anothers_approval(world: World) -> None:
    """A deal that names a victim as depositor, and pays the attacker on silence, gets nothing out of its approval."""
    victim = account("victim")
    world.fund(victim)
    world.fund(CHEAT)
    terms = replace(job(world), pots=(Pot("loot", victim, PAY, {REFUTED: Split((CHEAT,), amounts=(PAY,))}),))
    deal = world.book.open(CHEAT, terms, SALT)
    refused("NotDepositor", world.book.join, CHEAT, deal, 0)
    world.until(terms.closes_by)
    world.book.close(CHEAT, deal)
    assert world.book.state(deal).status == "void"
    assert gained(world, victim) == 0
    assert gained(world, CHEAT) == 0


def test_late_challenge_no_jury(world: World) -> None:
    """A challenge at the last second still gets every ask its whole period."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.advance(HOUR - 1)
    world.book.challenge(CLIENT, deal)
    world.advance(HOUR - 1)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    world.advance(HOUR - 1)
    commits(world, deal, dict.fromkeys(VERIFIERS, BAD))
    world.advance(HOUR - 1)
    reveals(world, deal, dict.fromkeys(VERIFIERS, BAD))
    world.advance(HOUR - 1)
    world.book.judge(KEEP_ALIVE, deal)
    assert end(world, deal, terms).outcome == REFUTED
    assert gained(world, WORKER) == -STAKE


def test_early_close(world: World) -> None:
    """A claim that came on time cannot be closed over before it could be judged and challenged."""
    terms = job(world)
    deal = start(world, terms)
    world.advance(HOUR - 1)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, GOOD.to_bytes())
    refused("NotYet", world.book.close, CHEAT, deal)
    world.advance(HOUR - 1)
    refused("NotYet", world.book.close, CHEAT, deal)
    world.book.judge(KEEP_ALIVE, deal)
    world.advance(HOUR - 1)
    refused("NotYet", world.book.close, CHEAT, deal)
    world.advance(1)
    world.book.close(KEEP_ALIVE, deal)
    assert gained(world, WORKER) == PAY
    assert gained(world, CLIENT) == -PAY - 20
    assert gained(world, KEEP_ALIVE) == 20


def test_evidence_moves(world: World) -> None:
    """A worker that lied cannot post the truth once it is challenged."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    refused("TooLate", world.book.submit, WORKER, deal, 0, 0, CLAIM, BAD.to_bytes())
    world.book.challenge(CLIENT, deal)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"the lie")
    refused("TooLate", world.book.submit, WORKER, deal, 0, 0, CLAIM, b"the truth")
    commits(world, deal, dict.fromkeys(VERIFIERS, BAD))
    reveals(world, deal, dict.fromkeys(VERIFIERS, BAD))
    before = world.book.state(deal).history
    refused("TooLate", world.book.submit, WORKER, deal, 0, 0, CLAIM, b"the truth")
    assert world.book.state(deal).history == before
    world.book.judge(KEEP_ALIVE, deal)
    end(world, deal, terms)
    assert gained(world, WORKER) == -STAKE
    assert gained(world, CLIENT) == STAKE - FEE - 20


def test_one_claim_a_slot(world: World) -> None:
    """While an ask still runs, a filled slot stays as it is."""
    policy = world.addresses.policies
    rung = Rung(*policy["puppet"], (Ask("result", (WORKER,), HOUR, slots=2),), HOUR, silent=REFUTED)
    deal = start(world, replace(job(world), pots=job(world).pots[:3], rungs=(rung,)))
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"first")
    refused("Duplicate", world.book.submit, WORKER, deal, 0, 0, CLAIM, b"second")
    refused("BadSlot", world.book.submit, WORKER, deal, 0, 2, CLAIM, b"third")
    assert [entry.data for entry in world.book.state(deal).history] == [b"first"]


def test_judge_before_the_last_voice(world: World) -> None:
    """Two voices are a quorum, but nobody may judge before the third had its time."""
    terms = job(world, verifier_stakes=True)
    deal = start(world, terms)
    claims(world, deal, BAD)
    world.book.challenge(CHEAT, deal)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    said = {VERIFIERS[0]: BAD, VERIFIERS[1]: BAD, VERIFIERS[2]: GOOD}
    commits(world, deal, said)
    reveals(world, deal, dict(list(said.items())[:2]))
    refused("TooEarly", world.book.judge, CHEAT, deal)
    reveals(world, deal, dict(list(said.items())[2:]))
    found = world.book.judge(KEEP_ALIVE, deal)
    assert found.slashed == {WORKER, VERIFIERS[2]}
    end(world, deal, terms)
    # The challenge was wrong: what only a bench member lost does not make it right.
    assert gained(world, CHEAT) == -BOND - FEE + FEE // 3
    # No challenger was right, so that half of the worker's stake goes to nobody of this deal.
    assert gained(world, COURT) + 10**9 == BOND + STAKE // 2
    assert gained(world, VERIFIERS[2]) == -100


def signed(world: World, deal: bytes, evidence: bytes, juror: int, result: Result, by: str | None = None) -> bytes:
    """The data of a signed verdict in rung 2, signed by ``by`` (the juror itself)."""
    expiry = world.now() + 10 * HOUR
    at = world.addresses
    digest = verdict_digest(at.chain_id, at.book, deal, 2, evidence, result.to_bytes(), expiry)
    return verdict_data(result.to_bytes(), expiry, key(by or f"juror {juror}").sign_digest(digest))


def to_jury(world: World, deal: bytes, appellant: Account, verdict: Result) -> bytes:
    """Claim, challenge, re-execution and an appeal; the evidence root before the jury's ask."""
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, verdict))
    world.book.challenge(appellant, deal)
    return digest_of(world, deal)


def digest_of(world: World, deal: bytes) -> bytes:
    digest = deal
    for entry in world.book.state(deal).history:
        digest = history_hash(digest, entry)
    return digest


def test_judge_picks_signers(world: World) -> None:
    """Signatures are submitted by their signers; whoever judges brings none and leaves none out."""
    terms = job(world)
    deal = start(world, terms)
    evidence = to_jury(world, deal, WORKER, BAD)
    # A friend's verdict under the wrong name, then two real ones that confirm the refutation.
    refused("NotNamed", world.book.submit, CHEAT, deal, 0, 0, CLAIM, signed(world, deal, evidence, 0, GOOD))
    world.book.submit(JURORS[0], deal, 0, 0, CLAIM, signed(world, deal, evidence, 0, GOOD))
    world.book.submit(JURORS[1], deal, 0, 0, CLAIM, signed(world, deal, evidence, 1, GOOD, by="cheat"))
    refused("TooEarly", world.book.judge, CHEAT, deal)
    world.book.submit(JURORS[2], deal, 0, 0, CLAIM, signed(world, deal, evidence, 2, BAD))
    refused("NoVerdict", world.book.judge, CHEAT, deal)
    assert end(world, deal, terms).outcome == REFUTED
    assert gained(world, WORKER) == -STAKE  # the jury was silent: its bond comes back, the stake does not


def test_signed_verdicts_decide(world: World) -> None:
    """Two of three signatures over the evidence decide; over other evidence, or of another deal, they are no voices."""
    terms = job(world)
    deal = start(world, terms)
    evidence = to_jury(world, deal, WORKER, BAD)
    world.book.submit(JURORS[0], deal, 0, 0, CLAIM, signed(world, deal, evidence, 0, BAD))
    world.book.submit(JURORS[1], deal, 0, 0, CLAIM, signed(world, deal, bytes(32), 1, GOOD))
    world.book.submit(JURORS[2], deal, 0, 0, CLAIM, signed(world, deal, evidence, 2, BAD))
    assert world.book.judge(KEEP_ALIVE, deal) == BAD
    end(world, deal, terms)
    assert gained(world, WORKER) == -STAKE - 2 * BOND
    assert gained(world, COURT) + 10**9 == 2 * BOND


def test_withheld_data(world: World) -> None:
    """A worker that withholds its evidence loses its stake although the verifiers could not decide."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    world.until(terms.closes_by)
    final = end(world, deal, terms)
    assert (final.outcome, final.slashed) == (UPHELD, {WORKER, *VERIFIERS})
    assert gained(world, WORKER) == -STAKE
    assert gained(world, CLIENT) == STAKE - 20  # the challenge was right: bond, its half and the client's half


def test_withheld_data_without_a_stake(world: World) -> None:
    """Nor is one who staked nothing paid for work that it does not show."""
    terms = job(world)
    terms = replace(terms, pots=(terms.pots[0], *terms.pots[2:]))
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    end(world, deal, terms)
    assert gained(world, WORKER) == 0
    assert gained(world, CLIENT) == -20


def test_sleeping_verifiers(world: World) -> None:
    """A client that challenges honest work, while the verifiers sleep, pays all the same."""
    terms = job(world, verifier_stakes=True)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    assert end(world, deal, terms).outcome == UPHELD
    assert gained(world, WORKER) == PAY
    assert gained(world, CLIENT) == -PAY - 20 + 300  # bond and fee back, no reward; the sleepers' stakes
    assert [gained(world, verifier) for verifier in VERIFIERS] == [-100, -100, -100]


def test_stalled_jury(world: World) -> None:
    """A refuted cheat appeals and the jury stalls: the refutation stands."""
    terms = job(world)
    deal = start(world, terms)
    to_jury(world, deal, WORKER, BAD)
    assert end(world, deal, terms).outcome == REFUTED
    assert gained(world, WORKER) == -STAKE


def test_emptied_bench(world: World) -> None:
    """A verifier of the rung above cannot challenge and so leave its own bench."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    refused("BenchMember", world.book.challenge, VERIFIERS[0], deal)
    refused("BenchMember", world.book.challenge, JURORS[2], deal)
    assert gained(world, VERIFIERS[0]) == 0


@pytest.mark.parametrize("poison", [b"", b"\xff" * 64, reveal_data(b"\x01", bytes(32)), bytes(4096)])
def test_poisoned_answer(world: World, poison: bytes) -> None:
    """A malformed reveal is an absent voice: the other two decide, and the poisoner's stake is gone."""
    terms = job(world, verifier_stakes=True)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    commits(world, deal, dict.fromkeys(VERIFIERS, BAD))
    world.book.submit(VERIFIERS[0], deal, 2, 0, CLAIM, poison)
    reveals(world, deal, dict.fromkeys(VERIFIERS[1:], BAD))
    assert world.book.judge(KEEP_ALIVE, deal).slashed == {WORKER, VERIFIERS[0]}
    end(world, deal, terms)
    assert gained(world, VERIFIERS[0]) == -100
    assert gained(world, VERIFIERS[1]) == FEE // 3
    assert gained(world, WORKER) == -STAKE


@pytest.mark.parametrize("poison", [b"\x01", b"\x02", b"\x03", b"\x04", b"\x00junk", b"\x09"])
def test_failing_policy_holds_nothing_open(world: World, poison: bytes) -> None:
    """A policy that reverts, burns its gas, answers too much or nonsense is a silent one."""
    policy = world.addresses.policies
    rung = Rung(*policy["puppet"], (Ask("result", (WORKER,), HOUR),), HOUR, silent=REFUTED)
    terms = replace(job(world), pots=job(world).pots[:3], rungs=(rung,))
    deal = start(world, terms)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, poison)
    code = {1: "PolicyFailed", 2: "NoVerdict", 3: "PolicyFailed", 4: "PolicyFailed"}.get(poison[0], "BadResult")
    refused(code, world.book.judge, WORKER, deal)
    assert end(world, deal, terms) == Result(REFUTED)
    assert gained(world, WORKER) == 0
    assert gained(world, CLIENT) == -20


def test_free_ride(world: World) -> None:
    """There is one challenger: a cheat's second account cannot join an honest challenge with a larger bond."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CLIENT, deal)
    refused("TooEarly", world.book.challenge, CHEAT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, BAD))
    end(world, deal, terms)
    assert gained(world, CHEAT) == 0
    assert gained(world, CLIENT) == STAKE - 20 - FEE


def test_self_challenge(world: World) -> None:
    """A cheat that challenges itself first gets back no more than half of its stake."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CHEAT, deal)  # the worker's second account
    rerun(world, deal, dict.fromkeys(VERIFIERS, BAD))
    end(world, deal, terms)
    assert gained(world, WORKER) + gained(world, CHEAT) == -STAKE + STAKE // 2 - FEE
    greedy = Pot("stake", WORKER, STAKE, {SLASHED: Split((CHALLENGER, CLIENT, CHALLENGER), weights=(26, 49, 25))})
    refused("BadPot", world.book.open, WORKER, replace(job(world), pots=(greedy,)), SALT)


def test_free_appeal(world: World) -> None:
    """A wrong bond never comes back to the side that lost it."""
    terms = job(world)
    refused("BadWrongBonds", world.book.open, WORKER, replace(terms, wrong_bonds=WORKER), SALT)
    deal = start(world, terms)
    world.fund(COURT)
    claims(world, deal, GOOD)
    refused("WrongBonds", world.book.challenge, COURT, deal)
    world.book.challenge(CHEAT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, GOOD))
    end(world, deal, terms)
    assert gained(world, CHEAT) == -BOND - FEE
    assert gained(world, COURT) == BOND
    assert gained(world, WORKER) == PAY


@pytest.mark.parametrize(("policy", "off", "right"), [("puppet5", 5, False), ("puppet5", -6, True),
                                                      ("puppet", 1, True), ("puppetx", 1, True)])
def test_one_unit_off(world: World, policy: str, off: int, right: bool) -> None:
    """A value that differs by no more than the challenged policy's tick makes no challenger right."""
    code = world.addresses.policies
    rungs = (Rung(*code[policy], (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, BOND, REFUTED),
             Rung(*code["puppet"], (Ask("result", VERIFIERS, HOUR),), HOUR))
    terms = replace(job(world), rungs=rungs, pots=(Pot("reward", CLIENT, PAY, {UPHELD: Split((WORKER,))}),))
    deal = start(world, terms)
    world.book.submit_and_judge(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD, (500,)).to_bytes())
    world.book.challenge(CHEAT, deal)
    for verifier in VERIFIERS:
        world.book.submit(verifier, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD, (500 + off,)).to_bytes())
    world.book.judge(KEEP_ALIVE, deal)
    end(world, deal, terms)
    assert gained(world, CHEAT) == (0 if right else -BOND)
    assert gained(world, WORKER) == 500 + off


def test_right_but_unpaid(world: World) -> None:
    """A verdict corrected only in who is slashed makes the challenger right."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.book.challenge(CHEAT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, replace(GOOD, slashed=frozenset({WORKER}))))
    end(world, deal, terms)
    assert gained(world, CHEAT) == STAKE // 2 - FEE
    assert gained(world, WORKER) == -STAKE


def test_ground_draw(world: World) -> None:
    """Whenever the challenge comes, the same bench is asked: there is no draw to grind."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.advance(HOUR // 2 + 1)
    world.book.challenge(CHEAT, deal)
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"evidence")
    refused("NotNamed", world.book.submit, account("stranger"), deal, 1, 0, CLAIM, b"")
    commits(world, deal, dict.fromkeys(VERIFIERS, GOOD))
    assert {entry.by for entry in world.book.state(deal).history if entry.rung == 1} == {WORKER, *VERIFIERS}


def root_deal(world: World, total: int, leaves: list[tuple[Account, int]]) -> tuple[Terms, bytes, PayoutTree]:
    """A deal that pays many under one root, claimed by the worker."""
    rung = Rung(*world.addresses.policies["assumed"], (Ask("result", (WORKER,), HOUR),), HOUR, silent=REFUTED)
    terms = replace(job(world), rungs=(rung,), pots=(Pot("many", CLIENT, PAY, {UPHELD: Root(HOUR)}),
                                                    Pot("other", CLIENT, PAY, {})))
    deal = start(world, terms)
    tree = PayoutTree([payout_leaf(world.addresses.chain_id, world.addresses.book, deal, 0, n, who, amount)
                       for n, (who, amount) in enumerate(leaves)])
    data = Result(UPHELD, root=tree.root, total=total).to_bytes()
    world.book.submit(WORKER, deal, 0, 0, CLAIM, data)
    return terms, deal, tree


def test_root_over_pot(world: World) -> None:
    """A root that pays 1,200 out of 1,000 is refused as a verdict when it says so, and at collection when it lies."""
    leaves = [(CHEAT, 600), (WORKER, 600)]
    terms, deal, _ = root_deal(world, 1200, leaves)
    refused("BadResult", world.book.judge, CHEAT, deal)
    assert end(world, deal, terms) == Result(REFUTED)
    assert gained(world, CLIENT) == 0


def test_root_that_lies_about_its_total(world: World) -> None:
    """Leaves beyond the total take nothing from another pot or deal; the rest goes back after the term."""
    leaves = [(CHEAT, 600), (WORKER, 600), (KEEP_ALIVE, 400)]
    terms, deal, tree = root_deal(world, PAY, leaves)
    refused("NoRoot", world.book.collect, CHEAT, deal, 0, (0, CHEAT, 600), tree.proof(0))
    world.book.judge(KEEP_ALIVE, deal)
    end(world, deal, terms)
    world.book.collect(CHEAT, deal, 0, (0, CHEAT, 600), tree.proof(0))
    refused("Collected", world.book.collect, CHEAT, deal, 0, (0, CHEAT, 600), tree.proof(0))
    refused("BadProof", world.book.collect, CHEAT, deal, 0, (3, CHEAT, 600), tree.proof(0))
    refused("BadProof", world.book.collect, CHEAT, deal, 0, (2, CHEAT, 400), tree.proof(2))
    refused("OverTotal", world.book.collect, CHEAT, deal, 0, (1, WORKER, 600), tree.proof(1))
    refused("NoRoot", world.book.collect, CHEAT, deal, 1, (1, WORKER, 600), tree.proof(1))
    refused("NotYet", world.book.sweep, CHEAT, deal, 0)
    world.advance(HOUR)
    refused("TooLate", world.book.collect, KEEP_ALIVE, deal, 0, (2, KEEP_ALIVE, 400), tree.proof(2))
    world.book.sweep(CHEAT, deal, 0)
    refused("Swept", world.book.sweep, CHEAT, deal, 0)
    assert (gained(world, CHEAT), gained(world, CLIENT), gained(world, WORKER)) == (600, -600, 0)
    assert world.balance(world.addresses.book) == 0


def test_counter_ids(world: World) -> None:
    """A deal's id does not depend on what was opened before it; the same terms twice need another salt."""
    terms = job(world)
    first = world.book.open(CLIENT, terms, b"\x01" * 32)
    second = world.book.open(CLIENT, terms, b"\x02" * 32)
    refused("Exists", world.book.open, CLIENT, terms, b"\x01" * 32)
    for salt, found in ((b"\x01" * 32, first), (b"\x02" * 32, second)):
        assert found == deal_id(world.addresses.chain_id, world.addresses.book, CLIENT, salt, terms.hash())


def test_blocked_transfer_holds_nobody_up(world: World) -> None:
    """A payee that the token refuses is credited; everybody else is paid at once."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, GOOD)
    world.fail(WORKER)
    end(world, deal, terms)
    assert gained(world, WORKER) == -STAKE
    assert world.book.credit(world.token, WORKER) == PAY + STAKE
    refused("TransferFailed", world.book.withdraw, WORKER, world.token)
    world.fail(WORKER, False)
    world.book.withdraw(WORKER, world.token)
    refused("Nothing", world.book.withdraw, WORKER, world.token)
    assert gained(world, WORKER) == PAY


def test_stop_holds_nobody_up(world: World) -> None:
    """A stopped Book opens and joins nothing, and everything else goes on."""
    terms = job(world)
    deal = start(world, terms)
    refused("NotOwner", world.book.stop, CHEAT, True)
    world.book.stop(world.addresses.owner, True)
    refused("Stopped", world.book.open, CLIENT, terms, b"\x01" * 32)
    refused("Stopped", world.book.join, CLIENT, deal, 0)
    claims(world, deal, GOOD)
    world.book.challenge(CHEAT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, GOOD))
    end(world, deal, terms)
    world.book.stop(world.addresses.owner, False)
    refused("NotFunding", world.book.join, CLIENT, deal, 0)
    assert gained(world, WORKER) == PAY
