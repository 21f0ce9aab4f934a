"""Terms, results and answers drawn at random, biased to be valid and to meet each other.

Unsteered, a machine of 40 steps saw 379 opens, 2 judgements and no challenge at all. So: few accounts, short periods,
a handful of results a deal that its voices mostly share, and now and then one spoiled field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from eth_abi.abi import encode

from ports.books import READINGS, TELLER, World, account, key
from troth.core.deals import Question
from troth.core.payouts import PayoutTree
from troth.core.terms import (
    CHALLENGER,
    DEPOSITOR,
    KEEP,
    KEEPER,
    NO_PARAM,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rule,
    Rung,
    Split,
    Terms,
    climber,
    payout_leaf,
    role,
)
from troth.core.typed_data import quote_digest, verdict_digest
from troth.verify.policies.mandated import Mandate, act_data
from troth.verify.policies.preimage import hash_lock
from troth.verify.policies.quote import quote_data, report_data
from troth.verify.policies.readings import Reading
from troth.verify.policies.voices import commit_data, evidence_root, reveal_data, verdict_data
from troth.verify.policies.vote import TALLY, token_param

T = TypeVar("T")

PARTIES = tuple(account(f"party {n}") for n in range(3))
BENCHES = tuple(tuple(account(f"bench {rung} {n}") for n in range(3)) for rung in (1, 2, 3))
STRANGER, COURT, POOR = (account(name) for name in ("stranger", "court", "poor"))
EVERYBODY = (*PARTIES, *(member for bench in BENCHES for member in bench), STRANGER, COURT, POOR, TELLER)
NAME_OF = {account(name): name for name in [
    *(f"party {n}" for n in range(3)), *(f"bench {rung} {n}" for rung in (1, 2, 3) for n in range(3)),
    "stranger", "court", "poor", "teller"]}
OUTCOMES = (UPHELD, REFUTED, 3)
LEAVES = 3
THREE = ("rerun2", "signed2", "quorum2", "median2", "quote2")
"""Policies that need three voices."""
AGE, LEAST = READINGS
SECRET, MEASURED = b"\x2a" * 32, b"\x4d" * 32
MANDATE = Mandate(BENCHES[2][2], PARTIES[1], "work", 9, 2**40, bytes(32))


class Draws:
    """Choices that follow from one number that Hypothesis draws.

    One draw a rule and not one a choice: ten times as fast, and a failing run shrinks to fewer rules all the same.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def pick(self, items: Sequence[T]) -> T:
        return items[self._random.randrange(len(items))]

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def some(self, items: Sequence[T], percent: int) -> list[T]:
        return [item for item in items if self.chance(percent)]


def drawn_terms(d: Draws, world: World) -> Terms:
    """Valid terms; the policies are all there is, the benches are disjoint."""
    rungs = _rungs(d, world)
    pots = [Pot("reward", PARTIES[0], d.number(1, 2000), _rules(d, len(rungs), 100), _residual(d))]
    if d.chance(80):
        pots.append(_stake(d, "stake", PARTIES[1], len(rungs)))
    if d.chance(40):
        pots.append(_stake(d, "stake 2", PARTIES[2], len(rungs)))
    if d.chance(35):
        pots.append(Pot("roots", PARTIES[0], d.number(300, 900), {
            outcome: Root(d.number(5, 60)) for outcome in (UPHELD, *d.some((REFUTED, 3, SLASHED), 25))},
            d.pick((DEPOSITOR, DEPOSITOR, STRANGER, PARTIES[1]))))
    if d.chance(50):
        pots.append(Pot("keeper", PARTIES[0], d.number(1, 31), {
            outcome: Split((KEEPER,), amounts=(d.number(1, 40),)) for outcome in d.some(OUTCOMES, 90)},
            d.pick((DEPOSITOR, KEEPER))))
    for rung in range(1, len(rungs)):
        if d.chance(60):
            pots.append(Pot(f"fee {rung}", climber(rung), d.number(1, 99), {
                outcome: Answered(rung) for outcome in d.some(OUTCOMES, 90)}, _residual(d)))
        if d.chance(40):
            pots += [_stake(d, f"seat {rung} {n}", member, len(rungs))
                     for n, member in enumerate(d.some(rungs[rung].bench, 50))]
    if d.chance(8):
        pots.append(Pot("poor", POOR, 7, {}))
    return Terms(world.token, tuple(pots), rungs, world.now() + d.number(1, 60), COURT)


def _rungs(d: Draws, world: World) -> tuple[Rung, ...]:
    count = d.pick((1, 2, 2, 3, 3, 4, 4))
    rungs: list[Rung] = []
    bond = d.number(1, 50)
    for index in range(count):
        top = index == count - 1
        name = d.pick(("assumed", "puppet", "puppet5", "signed2", "puppetx") if index == 0 else
                      ("rerun2", "rerun2", "signed2", "puppet", "puppet5", "rerun1"))
        if d.chance(20):
            name = d.pick(("preimage", "mandated") if index == 0 else ("quorum2", "median2", "quote2", "vote"))
        if name == "vote" and any(TELLER in rung.bench for rung in rungs):
            name = "median2"  # benches are disjoint, and ballots are in one place
        bench = PARTIES if index == 0 else BENCHES[index - 1]
        seats = tuple(bench[:3] if name in THREE else bench[1:2] if index == 0 else (TELLER,) if name == "vote" else
                      bench[:1] if name in ("assumed", "rerun1") else bench[:d.number(1, 2)])
        asks = []
        if name != "mandated" and d.chance(45):
            asks.append(Ask("evidence", tuple(d.some(PARTIES, 50)) or PARTIES[1:2], d.number(1, 30), d.pick((1, 1, 2))))
        asks += _voices(d, name, seats)
        silent = d.pick(OUTCOMES) if index == 0 or d.chance(30) else KEEP
        rungs.append(Rung(*world.addresses.policies[name], tuple(asks), d.number(1, 30), 0 if top else d.number(1, 30),
                          0 if top else bond, silent, _param(world, name)))
        bond = 2 * bond + d.number(0, 5)
    return tuple(rungs)


def _voices(d: Draws, name: str, seats: tuple[Account, ...]) -> list[Ask]:
    if name.startswith("rerun"):
        return [Ask("commit", seats, d.number(1, 30)), Ask("reveal", d.pick((None, seats)), d.number(1, 30))]
    if name == "signed2":
        return [Ask("verdict", seats, d.number(1, 30))]
    if name in ("quorum2", "median2"):
        return d.pick(([Ask("reading", seats, d.number(1, 30))],
                       [Ask("commit", seats, d.number(1, 30)), Ask("reveal", None, d.number(1, 30))]))
    if name == "mandated":
        return [Ask("act", seats, d.number(1, 30)), Ask("result", d.pick((None, seats)), d.number(1, 30))]
    if name in ("preimage", "quote2", "vote"):
        return [Ask(name.rstrip("2"), seats, d.number(8, 30))]
    return [Ask("result", seats, d.number(1, 30), 2 if name.startswith("puppet") and d.chance(10) else 1)]


def _param(world: World, name: str) -> bytes:
    """What a rung tells its policy, if that takes anything."""
    at = world.addresses
    return {"preimage": hash_lock(SECRET), "mandated": MANDATE.digest(at.chain_id, at.book), "quote2": MEASURED,
            "vote": token_param(world.token)}.get(name, NO_PARAM)


def _residual(d: Draws) -> Account:
    return d.pick((DEPOSITOR, DEPOSITOR, DEPOSITOR, KEEPER, PARTIES[1], STRANGER))


def _stake(d: Draws, name: str, who: Account, rungs: int) -> Pot:
    pays = dict(_rules(d, rungs, 25))
    if d.chance(60):
        pays[SLASHED] = d.pick((Split((CHALLENGER, PARTIES[0]), weights=(1, d.number(1, 3))),
                                Split((PARTIES[0], CHALLENGER, KEEPER), weights=(2, 3, 1)),
                                Split((d.pick(PARTIES), STRANGER), weights=(1, 1)), Root(d.number(5, 60))))
    amount = d.number(2, d.pick((40, 999)))
    return Pot(name, who, amount, pays, d.pick((DEPOSITOR, DEPOSITOR, DEPOSITOR, PARTIES[0])))


def _rules(d: Draws, rungs: int, percent: int) -> dict[int, Rule]:
    return {outcome: _rule(d, rungs) for outcome in d.some(OUTCOMES, percent)}


def _rule(d: Draws, rungs: int) -> Rule:
    kind = d.number(0, 6)
    if kind == 0:
        return Answered(d.number(0, rungs - 1))
    payees = [d.pick((*PARTIES, *PARTIES, KEEPER, DEPOSITOR, STRANGER, BENCHES[0][0])) for _ in range(d.number(1, 3))]
    if kind <= 2:
        return Split(tuple(payees), amounts=tuple(d.number(0, 900) for _ in payees))
    if kind <= 4:
        return Split(tuple(payees))
    weights = [d.number(1, 5) for _ in payees]
    if d.chance(70):
        payees.append(CHALLENGER)
        weights.append(d.number(1, sum(weights)))
    return Split(tuple(payees), weights=tuple(weights))


def spoiled(d: Draws, terms: Terms, world: World) -> Terms:
    """Terms with one thing wrong; the machine does not say what, both Books must."""
    first, pot = terms.rungs[0], terms.pots[0]
    top = terms.rungs[-1]
    policy = world.addresses.policies

    def rung0(**changes: Any) -> Terms:
        return replace(terms, rungs=(replace(first, **changes), *terms.rungs[1:]))

    def last(**changes: Any) -> Terms:
        return replace(terms, rungs=(*terms.rungs[:-1], replace(top, **changes)))

    def pot0(**changes: Any) -> Terms:
        return replace(terms, pots=(replace(pot, **changes), *terms.pots[1:]))

    def pays(rule: Rule, outcome: int = UPHELD) -> Terms:
        return pot0(pays={outcome: rule})

    ask = first.asks[0]
    seat = account("bench 3 0")
    ways: list[tuple[str, Callable[[], Terms]]] = [
        ("BadShape", lambda: replace(terms, pots=())),
        ("BadShape", lambda: replace(terms, pots=tuple(replace(pot, name=f"{n}") for n in range(33)))),
        ("BadShape", lambda: replace(terms, rungs=terms.rungs[:1] * 5)),
        ("BadShape", lambda: replace(terms, pots=(*terms.pots, pot))),
        ("BadShape", lambda: rung0(asks=())),
        ("BadShape", lambda: rung0(asks=(ask,) * 5)),
        ("BadShape", lambda: rung0(asks=(replace(ask, who=None),))),
        ("BadShape", lambda: rung0(asks=(replace(ask, who=tuple(role(255 - n) for n in range(33))),))),
        ("BadShape", lambda: rung0(asks=(replace(ask, slots=d.pick((0, 9))),))),
        ("BadShape", lambda: rung0(asks=(replace(ask, who=tuple(account(f"x{n}") for n in range(9)), slots=8),))),
        ("BadShape", lambda: pays(Split((STRANGER,) * 33, weights=(1,) * 33))),
        ("BadShape", lambda: pot0(pays={n: Split((STRANGER,) * 32, weights=(1,) * 32) for n in range(5)})),
        ("BadShape", lambda: pot0(pays={n: Split((STRANGER,)) for n in range(9)})),
        ("BadTimes", lambda: replace(terms, fund_by=world.now() - d.number(0, 1))),
        ("BadTimes", lambda: rung0(asks=(replace(ask, period=0), *first.asks[1:]))),
        ("BadTimes", lambda: last(verdict_period=0)),
        ("BadTimes", lambda: last(window=5)),
        ("BadTimes", lambda: rung0(window=0) if len(terms.rungs) > 1 else rung0(window=1)),
        ("BadTimes", lambda: last(verdict_period=63_072_001)),
        ("BadBond", lambda: last(bond=1)),
        ("BadBond", lambda: rung0(bond=0) if len(terms.rungs) > 1 else rung0(bond=1)),
        ("BadBond", lambda: rung0(bond=10**6) if len(terms.rungs) > 2 else last(bond=9)),
        ("BadSilent", lambda: rung0(silent=KEEP)),
        ("BadPot", lambda: pot0(amount=0)),
        ("BadPot", lambda: replace(terms, pots=(*terms.pots, Pot("x", climber(len(terms.rungs)), 1, {})))),
        ("BadPot", lambda: replace(terms, pots=(*terms.pots, Pot("x", d.pick((role(0), role(3), role(0x10))), 1, {})))),
        ("BadPot", lambda: pot0(residual=d.pick((role(0), CHALLENGER, role(4), climber(1))))),
        ("BadPot", lambda: pays(Split((), amounts=()))),
        ("BadPot", lambda: pays(Split((d.pick((role(0), role(4), role(255))),), weights=(1,)))),
        ("BadPot", lambda: pays(Split((STRANGER,), amounts=(1, 2)))),
        ("BadPot", lambda: pays(Split((STRANGER, COURT), weights=(0, 0)))),
        ("BadPot", lambda: pays(Split((STRANGER, COURT), weights=(2**127, 2**127)))),
        ("BadPot", lambda: pays(Answered(len(terms.rungs)))),
        ("BadPot", lambda: pays(Root(d.pick((0, 63_072_001))))),
        ("BadPot", lambda: pot0(pays={UPHELD: Root(5)}, residual=KEEPER)),
        ("BadPot", lambda: pays(Split((CHALLENGER, STRANGER)))),
        ("BadPot", lambda: pays(Split((CHALLENGER,), amounts=(pot.amount // 2 + 1,)))),
        ("BadPot", lambda: pays(Split((CHALLENGER, STRANGER, CHALLENGER), weights=(2, 3, 2)))),
        ("BadPot", lambda: replace(terms, pots=(*terms.pots, Pot("x", climber(1), 1, {0: Split((STRANGER,),
                                                                                              weights=(1,))})))),
        ("BadWrongBonds", lambda: replace(terms, wrong_bonds=d.pick((PARTIES[0], role(0), KEEPER, ask.who[0])))),
        ("BadWrongBonds", lambda: pays(Split((COURT,), weights=(1,)))),
        ("BadWrongBonds", lambda: pot0(residual=COURT)),
        ("BadBench", lambda: rung0(asks=(replace(ask, who=(STRANGER, STRANGER)), *first.asks[1:]))),
        ("BadBench", lambda: rung0(asks=(replace(ask, who=(role(200),)), *first.asks[1:]))),
        ("BadBench", lambda: replace(rung0(asks=(Ask("x", (seat, STRANGER), 5), *first.asks)), rungs=(
            replace(first, asks=(Ask("x", (seat, STRANGER), 5), *first.asks), window=3, bond=1),
            Rung(*policy["puppet"], (Ask("r", (seat,), 5),), 5)))),
        ("BadBench", lambda: replace(terms, rungs=(replace(first, window=3, bond=1),
                                                   Rung(*policy["puppet"], (Ask("r", (seat,), 5),), 5, 3, 2),
                                                   Rung(*policy["puppet"], (Ask("r", (seat,), 5),), 5)))),
        ("BadToken", lambda: replace(terms, token=STRANGER)),
        ("BadPolicy", lambda: last(policy=STRANGER)),
        ("BadPolicy", lambda: last(codehash=bytes(32))),
        ("BadPolicy", lambda: rung0(policy=policy["rerun2"][0], codehash=policy["rerun2"][1], asks=(
            Ask("commit", PARTIES[:1], 5), Ask("reveal", None, 5)))),
        ("BadPolicy", lambda: rung0(policy=policy["signed2"][0], codehash=policy["signed2"][1], asks=(
            Ask("result", PARTIES, 5),))),
        ("BadPolicy", lambda: rung0(policy=policy["assumed"][0], codehash=policy["assumed"][1], asks=(
            Ask("result", PARTIES[:2], 5),))),
    ]
    # By code first: each code is as likely as any other.
    codes = sorted({code for code, _ in ways})
    code = d.pick(codes)
    return d.pick([way for of, way in ways if of == code])()


@dataclass(frozen=True, slots=True)
class Story:
    """What the voices of one deal may say: a result, others that differ from it in one thing, and the root's leaves."""

    results: tuple[Result, ...]
    leaves: tuple[tuple[Account, int], ...]
    tree: PayoutTree | None

    def leaf(self, index: int) -> tuple[int, Account, int]:
        return (index, *self.leaves[index])


def drawn_story(d: Draws, world: World, deal: bytes, terms: Terms) -> Story:
    """Results for a deal: base, and base with another outcome, slashed set, value, number of values, root."""
    staked = sorted({pot.depositor for pot in terms.pots if pot.depositor[:19] != bytes(19)}
                    | {member for rung in terms.rungs[1:] for member in rung.bench})
    roots = [index for index, pot in enumerate(terms.pots) if any(isinstance(rule, Root) for rule in pot.pays.values())]
    leaves: tuple[tuple[Account, int], ...] = ()
    tree, total = None, 0
    if roots:
        leaves = tuple((d.pick(EVERYBODY), d.number(0, 100)) for _ in range(LEAVES))
        at = world.addresses
        tree = PayoutTree([payout_leaf(at.chain_id, at.book, deal, roots[0], n, *leaf)
                           for n, leaf in enumerate(leaves)])
        # Now and then less than its leaves sum to: whoever comes last gets OverTotal.
        total = max(1, sum(amount for _, amount in leaves) - d.pick((0, 0, 30)))
    values = tuple(d.number(0, 700) for _ in range(d.number(0, 3)))
    # The base must be good at every rung, and none may slash a bench above it; another result may try.
    seated = {member for rung in terms.rungs[1:] for member in rung.bench}
    base = Result(d.pick((UPHELD, UPHELD, REFUTED, 3)), values,
                  frozenset(d.some([one for one in staked if one not in seated], 15)),
                  tree.root if tree else bytes(32), total)
    others = [replace(base, outcome=d.pick([one for one in OUTCOMES if one != base.outcome])),
              replace(base, slashed=base.slashed ^ {d.pick(staked)}),
              replace(base, slashed=base.slashed ^ {d.pick(PARTIES)} if d.pick(PARTIES) in staked else base.slashed),
              replace(base, values=(*base.values, 5))]
    if values:
        # puppet5 does not tell the first two from the base.
        others += [replace(base, values=(values[0] + off, *values[1:])) for off in (1, 5, 6, 90)]
        if d.chance(30):
            # Only results that are near each other: a challenge can only be wrong, or right by a hair.
            return Story((base, *others[-4:-1]), leaves, tree)
    if tree:
        others += [replace(base, root=bytes(32), total=0), replace(base, root=b"\x77" * 32, total=50),
                   replace(base, total=max(1, base.total - 9))]
    return Story((base, *others), leaves, tree)


def bad_result(d: Draws, story: Story, terms: Terms) -> bytes:
    """An answer that is no result a deal can take."""
    base = story.results[0]
    good = base.to_bytes()
    over = max(pot.amount for pot in terms.pots) + 1
    return d.pick((
        replace(base, outcome=0).to_bytes(),
        replace(base, slashed=base.slashed | {STRANGER}).to_bytes(),
        replace(base, root=bytes(32), total=7).to_bytes(),
        replace(base, root=b"\x01" * 32, total=0).to_bytes(),
        replace(base, outcome=UPHELD, root=b"\x01" * 32, total=over).to_bytes(),
        replace(base, values=(1,) * 65).to_bytes(),
        good + b"\x00",
        good[:-1],
        good[:63] + b"\x01" + good[64:],
        b"\x00" * 32 + good,
        unsorted_result(base.outcome),
        b"junk",
    ))


def unsorted_result(outcome: int) -> bytes:
    """A result whose slashed accounts descend."""
    two = sorted(PARTIES[:2], reverse=True)
    return encode(["(uint8,uint128[],address[],bytes32,uint128)"], [(outcome, (), two, bytes(32), 0)])


def answer(d: Draws, world: World, question: Question, story: Story, who: Account, ask: int) -> bytes:
    """What ``who`` says to an ask of the rung in ``question``: mostly what the others say, or else rubbish."""
    rung = question.terms
    policy = next(name for name, at in world.addresses.policies.items() if at[0] == rung.policy)
    # One leading result a rung, that most voices share; another from rung to rung, so that challenges can be right.
    leader = (question.rung * 3 + question.deal[0]) % (len(story.results) + 2)
    result = story.results[leader if leader < len(story.results) else 0]
    if d.chance(12):
        result = d.pick(story.results)
    said = result.to_bytes() if not d.chance(6) else bad_result(d, story, Terms(
        world.token, (Pot("x", who, 1000, {}),), (rung,), 0, COURT))
    last = len(rung.asks) - 1
    if d.chance(4):
        return d.pick((b"", b"\xff" * 31, bytes(4096), said + b"\x00"))
    if policy.startswith("puppet") and ask == last:
        # Burning all gas takes the contract seconds here, so it is rare.
        rubbish = b"\x03" if d.chance(4) else d.pick((b"\x01", b"\x02", b"\x04", said))
        return rubbish if d.chance(10) else b"\x00" + said
    if policy.startswith("rerun") and ask >= last - 1:
        salt = who.ljust(32, b"\x05")
        if ask == last:
            mine = next((entry.data for entry in question.history if entry.by == who and entry.rung == question.rung
                         and entry.ask == last - 1), b"")
            # Reveals what it committed to, if that is one of the story's.
            for one in story.results:
                if not d.chance(3) and mine == commit_data(question.deal, question.rung, who, one.to_bytes(), salt):
                    return reveal_data(one.to_bytes(), salt)
            return reveal_data(said, salt)
        return commit_data(question.deal, question.rung, who, said, salt)
    if policy == "signed2" and ask == last:
        return signed_answer(d, world, question, who, said)
    if policy in ("quorum2", "median2") and rung.asks[ask].kind in ("reading", "commit", "reveal"):
        return reading_answer(d, world, question, who, ask)
    if policy == "mandated" and ask == 0:
        digest = MANDATE.digest(world.addresses.chain_id, world.addresses.book)
        signer = d.pick((*["bench 3 2"] * 9, "stranger"))
        return act_data("work", d.pick((1, 9, 9, 10)), MANDATE, key(signer).sign_digest(digest))
    if ask == last:
        if policy == "preimage":
            return SECRET if d.chance(70) else said[:32]
        if policy == "vote":
            return encode(TALLY, (d.pick((0, 150)), d.pick((100, 300)), d.pick((0, 300)), 1000, world.now() - 1))
        if policy == "quote2":
            return quote_answer(d, world, question, who, said)
    return said


def reading_answer(d: Draws, world: World, question: Question, who: Account, ask: int) -> bytes:
    """A reading near what the others read, mostly, stamped with the second of its submission; revealed as committed."""
    kind, salt = question.terms.asks[ask].kind, who.ljust(32, b"\x05")
    # The same reporter reads the same, so that it can reveal what it committed to.
    own = Draws(int.from_bytes(question.deal[:4] + who[:2] + bytes([question.rung]), "big"))
    value, confidence, age = question.deal[1] * 3 + own.pick((0, 0, 0, 1, 90)), own.pick((LEAST, 900_000)), 0
    mine = [entry.at for entry in question.history
            if (entry.by, entry.rung, entry.ask) == (who, question.rung, ask - 1)]
    now = mine[-1] if kind == "reveal" and mine else world.now()
    if d.chance(10):
        value, confidence, age = d.pick(((value + 1, confidence, 0), (value, LEAST - 1, 0),
                                         (value, confidence, AGE + 1), (value, confidence, -1)))
    data = Reading(value, confidence, now - age).data()
    if kind == "commit":
        return commit_data(question.deal, question.rung, who, data, salt)
    return reveal_data(data, salt) if kind == "reveal" else data


def quote_answer(d: Draws, world: World, question: Question, who: Account, said: bytes) -> bytes:
    """A verifier's word on a quote: mostly good; else of another measurement or by another key."""
    at = world.addresses
    measured, signer = (MEASURED, who) if d.chance(92) else d.pick(((bytes(32), who), (MEASURED, STRANGER)))
    digest = quote_digest(at.chain_id, at.book, (question.deal, question.rung), measured,
                          report_data(question.deal, question.rung, said), SECRET, 2**40)
    return quote_data(said, SECRET, 2**40, key(NAME_OF[signer]).sign_digest(digest))


def signed_answer(d: Draws, world: World, question: Question, who: Account, said: bytes) -> bytes:
    """A signed verdict: mostly good; else over other evidence, by another key, expired or with a broken signature."""
    at = world.addresses
    evidence = evidence_root(question, len(question.terms.asks) - 1)
    expiry, signer = world.now() + 1000, who
    if d.chance(8):
        flaw = d.number(0, 2)
        evidence = bytes(32) if flaw == 0 else evidence
        signer = STRANGER if flaw == 1 else who
        expiry = world.now() - 1 if flaw == 2 else expiry
    digest = verdict_digest(at.chain_id, at.book, question.deal, question.rung, evidence, said, expiry)
    signature = key(NAME_OF[signer]).sign_digest(digest)
    return verdict_data(said, expiry, signature[:-1] if d.chance(2) else signature)
