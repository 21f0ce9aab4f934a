"""One state machine for deals: it drives ``MemoryBook`` and, if it has one, the contract side by side.

After every act, accepted or refused:

- both Books gave the same answer: the same value, or a refusal with the same code;
- both show the same deal, and the same balance and credit of every account;
- a refused act changed nothing;
- nobody but who acted has less, and that one only by what joining or challenging costs (a ghost ledger per deal);
- what a Book holds is exactly what its open deals, roots and credits come to.

At the end time goes to every deal's cap, and every deal closes.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from ports.books import MemoryWorld, World, key
from stateful import labels
from stateful.drawn import (
    BENCHES,
    COURT,
    EVERYBODY,
    NAME_OF,
    PARTIES,
    POOR,
    STRANGER,
    Draws,
    Story,
    answer,
    drawn_story,
    drawn_terms,
    spoiled,
)
from troth.core.deals import Deal, Question, phase, window_start
from troth.core.errors import ActRefused
from troth.core.ports import Consent
from troth.core.terms import SUBMISSION, Account, Terms, deal_id, is_role
from troth.core.typed_data import join_digest

CLAIM = b"\x22" * 32
COUNTS: Counter[str] = Counter()
RICH = 10**9
SEEDS = st.integers(0, 2**32 - 1)
# What is tried out of turn (see ``strange``): what can just be wrong in that status first.
STRANGE = {"funding": (0, 1, 1, 1, 1, 1, 2, 5, 6, 8, 9), "running": (0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9),
           "closed": (0, 1, 2, 5, 6, 8, 9, 9, 9, 9, 9), "void": (0, 1, 2, 5, 6, 8, 9)}


def endow(world: World) -> None:
    """Everybody is rich, and all but one let the Book take all of it."""
    for who in EVERYBODY:
        world.fund(who, RICH, approve=0 if who == POOR else None)


SHORT = {"submit_and_judge": "both", "submit_and_close": "all three", "judge_and_close": "judge and close",
         "join_with_consent": "consent"}
JOINS = {"join": "join", "join_with_consent": "join by consent", "join_with_permit": "join with a permit"}


class DealMachine(RuleBasedStateMachine):
    """``worlds`` gives a fresh MemoryWorld and its endowed twin (or None)."""

    deals = Bundle("deals")
    spoils = 3

    def worlds(self) -> tuple[MemoryWorld, World | None]:
        return MemoryWorld(), None

    @initialize()
    def begin(self) -> None:
        self.memory, self.twin = self.worlds()
        self.book = self.memory.book
        self.stories: dict[bytes, Story] = {}
        self.opened: list[tuple[Account, Terms, bytes]] = []
        self.held: dict[bytes, int] = {}
        self.failing: set[Account] = set()
        # What was done and what came of it, for whoever wants to replay it.
        self.trace: list[tuple[Any, ...]] = []
        endow(self.memory)
        self.supply = sum(self.memory.balance(who) for who in self.accounts())

    def both(self) -> list[World]:
        return [self.memory, *([self.twin] if self.twin else [])]

    def accounts(self) -> list[Account]:
        return [*EVERYBODY, self.memory.addresses.book, self.memory.addresses.owner]

    # -- acts ---------------------------------------------------------------------------------------------------------

    def act(self, name: str, who: Account, *arguments: Any, pays: Account | None = None) -> bool:
        """Do one act on every Book and check everything that must hold; whether it was accepted."""
        before = self.snapshot()
        deal = arguments[0] if arguments and type(arguments[0]) is bytes else None
        old = before[0].get(deal) if deal else None
        told = perform(self.memory, name, who, arguments)
        note(f"{self.memory.now()} {NAME_OF.get(who)} {name} {told} {arguments}")
        if self.twin is not None:
            assert perform(self.twin, name, who, arguments) == told
        what = SHORT.get(name, name)
        if name == "open_and_join" and told[0] == "done":
            now = self.book._deals[told[1]]
            self.held[told[1]] = sum(now.terms.pots[index].amount for index in now.joined)
        if told[0] == "refused":
            COUNTS[f"{what} refused {told[1]}"] += 1
            assert self.snapshot() == before
        else:
            self.count(name, who, old, arguments, sum(before[1].values()))
        if name == "open_and_join":
            self.check_entry(before, told)
        else:
            self.check_money(name, before, deal, old, pays or who, told[0] == "done")
        if self.twin is not None:
            self.check_twin(deal)
        self.trace.append(("act", name, who, arguments, told, tuple(map(self.memory.balance, self.accounts()))))
        return told[0] == "done"

    def snapshot(self) -> tuple[Any, ...]:
        ledger = self.memory.ledger
        return (dict(self.book._deals), dict(self.book._credits), dict(ledger._balances), dict(ledger._allowances),
                self.book._stopped)

    def check_entry(self, before: tuple[Any, ...], told: tuple[str, Any]) -> None:
        """A deal opened and joined at once: each depositor that joined lost its pots, and nobody else anything."""
        costs: Counter[Account] = Counter()
        if told[0] == "done":
            now = self.book._deals[told[1]]
            for index in now.joined:
                costs[now.terms.pots[index].depositor] += now.terms.pots[index].amount
        own = self.memory.addresses.book
        for who in self.accounts():
            if who != own:
                assert before[2].get(who, 0) - self.memory.balance(who) == costs[who]
        assert self.memory.balance(own) == sum(self.held.values()) + sum(self.book._credits.values())

    def check_money(self, name: str, before: tuple[Any, ...], deal: bytes | None, old: Deal | None, payer: Account,
                    done: bool) -> None:
        """The ghost ledger: who lost what, and where all of it is."""
        was = before[2]
        lost = {who: was.get(who, 0) - self.memory.balance(who) for who in self.accounts()}
        assert sum(lost.values()) == 0
        own = self.memory.addresses.book
        cost = 0
        if done and old is not None and name in JOINS:
            cost = next(pot.amount for index, pot in enumerate(old.terms.pots)
                        if index in self.book._deals[old.id].joined - old.joined)
        if done and old is not None and name == "challenge":
            cost = old.terms.rungs[old.rung].bond + sum(
                pot.amount for pot in old.terms.pots if pot.depositor == bytes(19) + bytes([0x11 + old.rung]))
        assert lost.get(payer, 0) == cost or lost[payer] < 0 == cost
        assert all(loss <= 0 for who, loss in lost.items() if who not in (payer, own))
        credited = sum(self.book._credits.values()) - sum(before[1].values())
        if deal is not None and deal in self.held:
            # What the deal gave out went to balances or to credits.
            self.held[deal] -= lost[own] + credited
            assert self.held[deal] >= 0
            now = self.book._deals[deal]
            if now.status in ("closed", "void"):
                assert self.held[deal] == sum(kept.left for kept in now.kept)
        assert self.memory.balance(own) == sum(self.held.values()) + sum(self.book._credits.values())

    def check_twin(self, deal: bytes | None) -> None:
        """Both Books show the same. Overridden where there is a twin."""

    def count(self, name: str, who: Account, old: Deal | None, arguments: tuple[Any, ...], credits: int) -> None:
        """Label an accepted act."""
        found: list[str] = [name]
        new = self.book._deals[arguments[0]] if old is not None else None
        if old is not None and new is not None:
            if name in JOINS:
                found = [JOINS[name]]
                found += ["join: the deal starts"] * (new.status == "running")
            elif name == "submit":
                found = labels.of_submit(old, new)
            elif name == "submit_and_judge":
                found = ["both"]
            elif name in ("submit_and_close", "judge_and_close"):
                judged = replace(old, history=new.history)
                found = [SHORT[name], *labels.of_close(judged, new, who, self.ticks(old))]
            elif name == "judge":
                found = labels.of_judge(new)
            elif name == "challenge":
                found = labels.of_challenge(old)
            elif name == "close":
                found = labels.of_close(old, new, who, self.ticks(old))
            elif name == "collect_many":
                found = ["collect many"] + ["collect many: some are paid"] * (len(arguments[2]) > sum(
                    len(kept.collected) for kept in new.kept) - sum(len(kept.collected) for kept in old.kept))
            elif name == "sweep":
                kept = next(kept for kept in new.kept if kept.pot == arguments[1])
                found = ["sweep", *["sweep to wrong_bonds"] * (kept.residual == COURT)]
        elif name == "open_and_join":
            found = ["open and join"] + ["open and join: with consents"] * bool(arguments[3])
        elif name == "stop":
            found = ["stop" if arguments[0] else "restart"]
        if sum(self.book._credits.values()) > credits:
            found = [*found, "a transfer fails"]
        for label in found:
            COUNTS[label] += 1

    def ticks(self, deal: Deal) -> list[int]:
        names = {address: name for name, (address, _) in self.memory.addresses.policies.items()}
        return [labels.TICKS.get(names[rung.policy], 0) for rung in deal.terms.rungs]

    # -- rules --------------------------------------------------------------------------------------------------------

    @rule(target=deals, seed=SEEDS)
    def open(self, seed: int) -> bytes:
        """Open a deal on valid terms, and perhaps run it for a while."""
        d = Draws(seed)
        terms = drawn_terms(d, self.memory)
        salt = len(self.opened).to_bytes(32, "big")
        who = self.at_once(d, terms, salt) if d.chance(50) else None
        if who is None:
            who = PARTIES[0]
            assert self.act("open", who, terms, salt)
            self.held[next(reversed(self.book._deals))] = 0
        deal = next(reversed(self.book._deals))
        if self.twin is not None:
            assert self.twin.book.state(deal).terms == terms
        self.opened.append((who, terms, salt))
        self.stories[deal] = drawn_story(d, self.memory, deal, terms)
        self.run(d, deal, d.pick((0, 12, 30, 60)))
        return deal

    def at_once(self, d: Draws, terms: Terms, salt: bytes) -> Account | None:
        """Open and join in one act, some with consents, some of them bad; who opened, or None if it was refused."""
        own = [index for index, pot in enumerate(terms.pots) if pot.depositor in NAME_OF]
        pot = d.pick(own)
        who, at = terms.pots[pot].depositor, self.memory.addresses
        deal = deal_id(at.chain_id, at.book, who, salt, terms.hash())
        consents = []
        for index in [one for one in own if one != pot and d.chance(60)] + [pot] * d.chance(5):
            expiry = self.memory.now() + d.pick((0, 50))
            digest = join_digest(at.chain_id, at.book, deal, index, terms.token, terms.pots[index].amount, expiry)
            signer = STRANGER if d.chance(5) else terms.pots[index].depositor
            consents.append(Consent(index, expiry, key(NAME_OF[signer]).sign_digest(digest)))
        if d.chance(10):
            self.act("open_and_join", STRANGER, terms, salt, d.pick((pot, len(terms.pots))), ())
        return who if self.act("open_and_join", who, terms, salt, pot, tuple(consents)) else None

    @rule(deal=deals, seed=SEEDS)
    def open_spoiled(self, deal: bytes, seed: int) -> None:
        """Terms with something wrong, and the same deal twice."""
        d = Draws(seed)
        terms = drawn_terms(d, self.memory)
        for n in range(self.spoils):
            self.act("open", STRANGER, spoiled(d, terms, self.memory), bytes([1, n]) * 16)
        if d.chance(50):
            who, again, salt = d.pick(self.opened)
            if again.fund_by > self.memory.now():
                self.act("open", who, again, salt)

    @rule(deal=deals, seed=SEEDS)
    def go(self, deal: bytes, seed: int) -> None:
        """Several of the most likely acts on one deal."""
        d = Draws(seed)
        self.run(d, deal, d.pick((2, 15, 40)))

    @rule(deal=deals, seed=SEEDS)
    def hostile(self, deal: bytes, seed: int) -> None:
        """Acts that should mostly be refused."""
        d = Draws(seed)
        for _ in range(12):
            self.strange(d, deal)

    @rule(deal=deals, seed=SEEDS)
    def boundary(self, deal: bytes, seed: int) -> None:
        """Time goes to just before, at, or just after the next boundary of a deal; then something is tried there."""
        d = Draws(seed)
        self.jump(d, deal, d.pick((-1, 0, 0, 1)))
        self.strange(d, deal)
        self.step(d, deal)

    @rule(deal=deals, seed=SEEDS)
    def stopped(self, deal: bytes, seed: int) -> None:
        """The Book is stopped for a while: nothing but open and join notices."""
        d = Draws(seed)
        self.act("stop", self.memory.addresses.owner, True)
        self.act("open", PARTIES[0], drawn_terms(d, self.memory), bytes(32))
        found = self.book._deals[deal]
        if found.status == "funding":
            self.act("join", found.terms.pots[0].depositor, deal, 0)
        else:
            self.step(d, deal)
        self.act("stop", self.memory.addresses.owner, False)

    @rule(who=st.sampled_from((*PARTIES, STRANGER, BENCHES[0][0])), seed=SEEDS)
    def block(self, who: Account, seed: int) -> None:
        """The token refuses an account for a while, or no longer; what was credited is withdrawn."""
        if who not in self.failing:
            self.fail(who, True)
            return
        owed = self.book.credit(self.memory.token, who)
        self.act("withdraw", who, self.memory.token)
        self.fail(who, False)
        if owed:
            self.act("withdraw", who, self.memory.token)
        self.act("withdraw", who, self.memory.token)

    def fail(self, who: Account, failing: bool) -> None:
        (self.failing.add if failing else self.failing.discard)(who)
        self.trace.append(("fail", who, failing))
        for world in self.both():
            world.fail(who, failing)

    # -- what is likely -----------------------------------------------------------------------------------------------

    def run(self, d: Draws, deal: bytes, steps: int) -> None:
        for _ in range(steps):
            self.step(d, deal)

    def step(self, d: Draws, deal: bytes) -> None:
        """The next act that this deal waits for."""
        found = self.book._deals[deal]
        if d.chance(12):
            self.strange(d, deal)
        elif found.status == "funding":
            self.fund(d, found)
        elif found.status == "running":
            self.proceed(d, found)
        else:
            self.after(d, found)

    def fund(self, d: Draws, deal: Deal) -> None:
        now = self.memory.now()
        open_pots = [index for index, pot in enumerate(deal.terms.pots)
                     if index not in deal.joined and not is_role(pot.depositor)]
        if now >= deal.terms.fund_by:
            self.act("close", d.pick(EVERYBODY), deal.id)
            return
        if d.chance(4):
            self.jump(d, deal.id, d.pick((-1, 0)))
            return
        pot = d.pick(open_pots)
        depositor = deal.terms.pots[pot].depositor
        if d.chance(15):
            self.consent(d, deal, pot, depositor)
        elif not self.act("join", depositor, deal.id, pot):
            self.recover(depositor)

    def recover(self, who: Account) -> None:
        """An account that could not pay can, next time: no deal waits for ever on one that the token blocks."""
        if who in self.failing:
            self.fail(who, False)
        elif who == POOR:
            self.trace.append(("fund", who, 0, 20))
            for world in self.both():
                world.fund(POOR, 0, approve=20)

    def consent(self, d: Draws, deal: Deal, pot: int, signer: Account) -> None:
        at = self.memory.addresses
        expiry = self.memory.now() + d.pick((0, 50))
        amount = deal.terms.pots[pot].amount
        digest = join_digest(at.chain_id, at.book, deal.id, pot, at.tokens["token"], amount, expiry)
        signature = key(NAME_OF[signer]).sign_digest(digest)
        depositor = deal.terms.pots[pot].depositor
        self.act("join_with_consent", STRANGER, deal.id, pot, expiry, signature, pays=depositor)

    def proceed(self, d: Draws, deal: Deal) -> None:
        now, rung = self.memory.now(), deal.terms.rungs[deal.rung]
        at = phase(deal, now)
        if at.frozen_at is None:
            if d.chance(5):
                self.jump(d, deal.id, d.pick((-1, 0)))
            else:
                self.answer(d, deal, at.ask)
            return
        starts = window_start(deal, now)
        if starts is not None and d.chance(15):
            self.act("judge", d.pick(EVERYBODY), deal.id)
            self.strange_challenge(d, deal, STRANGER)
            return
        judge = d.pick((*EVERYBODY, PARTIES[1], rung.bench[0]))
        if starts is None:
            name = "judge_and_close" if d.chance(30 if rung.window == 0 else 2) else "judge"
            if d.chance(15) or not self.act(name, judge, deal.id):
                self.jump(d, deal.id, d.pick((-1, 0, 0)))
            elif d.chance(10):
                self.act("judge", judge, deal.id)
        elif now < starts + rung.window:
            if not d.chance(65):
                self.jump(d, deal.id, d.pick((-1, 0, 0)))
            elif not self.act("challenge", who := d.pick((*PARTIES, STRANGER, STRANGER)), deal.id):
                self.recover(who)
        else:
            self.act("close", d.pick(EVERYBODY), deal.id)

    def answer(self, d: Draws, deal: Deal, ask: int) -> None:
        """Somebody answers who has not yet, mostly in time for the others."""
        rung = deal.terms.rungs[deal.rung]
        filled = {(entry.by, entry.slot) for entry in deal.history
                  if entry.kind == SUBMISSION and entry.rung == deal.rung and entry.ask == ask}
        empty = [(who, slot) for who in rung.asked(ask) for slot in range(rung.asks[ask].slots)
                 if (who, slot) not in filled]
        who, slot = d.pick(empty)
        said = self.said(d, deal, who, ask)
        last = ask == len(rung.asks) - 1
        more = last and d.chance(25 if len(empty) == 1 else 3)
        closes = more and d.chance(30 if rung.window == 0 else 25)
        name = "submit_and_close" if closes else "submit_and_judge" if more else "submit"
        self.act(name, who, deal.id, ask, slot, CLAIM, said)

    def said(self, d: Draws, deal: Deal, who: Account, ask: int) -> bytes:
        rung = deal.terms.rungs[deal.rung]
        question = Question(deal.id, deal.rung, rung, self.memory.now(), deal.history)
        return answer(d, self.memory, question, self.stories[deal.id], who, ask)

    def after(self, d: Draws, deal: Deal) -> None:
        """Collect and sweep what a closed deal keeps."""
        story = self.stories[deal.id]
        if deal.kept and d.chance(30):
            self.strange_collect(d, deal, d.pick(EVERYBODY))
            return
        for kept in deal.kept:
            if not kept.swept and self.memory.now() >= kept.ends:
                self.act("sweep", d.pick(EVERYBODY), deal.id, kept.pot)
                return
            left = [index for index in range(len(story.leaves)) if index not in kept.collected]
            if story.tree is not None and left and not d.chance(15):
                index = d.pick(left)
                self.act("collect", STRANGER, deal.id, kept.pot, story.leaf(index), story.tree.proof(index))
                return
        self.jump(d, deal.id, 0)

    def boundaries(self, deal: Deal) -> list[int]:
        if deal.status == "funding":
            return [deal.terms.fund_by]
        if deal.status != "running":
            return [kept.ends for kept in deal.kept]
        rung, at = deal.terms.rungs[deal.rung], phase(deal, self.memory.now())
        if at.frozen_at is None:
            return [at.ask_start + rung.asks[at.ask].period]
        starts = window_start(deal, self.memory.now())
        return [at.frozen_at + rung.verdict_period] if starts is None else [starts + rung.window]

    def jump(self, d: Draws, deal: bytes, off: int) -> None:
        """Time goes to the next boundary of this deal, or one second off it."""
        times = [time + off for time in self.boundaries(self.book._deals[deal]) if time + off > self.memory.now()]
        if times:
            self.until(min(times))

    def until(self, time: int) -> None:
        self.trace.append(("until", time))
        for world in self.both():
            world.until(time)

    # -- what should be refused ---------------------------------------------------------------------------------------

    def strange(self, d: Draws, deal: bytes) -> None:
        """One act that is mostly wrong at this moment."""
        found = self.book._deals[deal]
        who = d.pick(EVERYBODY)
        kind = d.pick(STRANGE[found.status])
        if kind == 0:
            unknown = b"\x99" * 32
            name, arguments = d.pick((("join", (0,)), ("submit", (0, 0, CLAIM, b"")), ("judge", ()),
                                      ("judge_and_close", ()), ("submit_and_close", (0, 0, CLAIM, b"")),
                                      ("challenge", ()), ("close", ()), ("collect", (0, (0, who, 1), ())),
                                      ("sweep", (0,))))
            self.act(name, who, unknown, *arguments)
        elif kind == 1:
            self.strange_join(d, found, who)
        elif kind in (2, 3, 4):
            self.strange_submit(d, found, who)
        elif kind == 5:
            self.act(d.pick(("judge", "judge", "judge_and_close")), who, deal)
        elif kind in (6, 7):
            self.strange_challenge(d, found, who)
        elif kind == 8:
            label = "close refused NotYet: funding" if found.status == "funding" else None
            done = self.act("close", who, deal)
            if label and not done:
                COUNTS[label] += 1
        else:
            self.strange_collect(d, found, who)

    def strange_join(self, d: Draws, found: Deal, who: Account) -> None:
        pots = range(len(found.terms.pots))
        at = self.memory.addresses
        pot = d.pick([*pots, *found.joined, *found.joined])
        depositor = found.terms.pots[pot].depositor
        if d.chance(15):
            # This token takes no signatures: a permit does no harm, an authorization brings nothing.
            actor = who if is_role(depositor) else d.pick((who, depositor))
            self.act("join_with_permit", actor, found.id, pot, self.memory.now(), bytes(65))
            self.act("join_with_authorization", who, found.id, pot, 0, 2**64, bytes(65), pays=depositor)
            return
        if d.chance(60):
            # Nobody can act as a role: a fee pot is tried by somebody else.
            actor = who if is_role(depositor) else d.pick((who, depositor))
            self.act("join", actor, found.id, d.pick((pot, pot, len(found.terms.pots))))
            return
        expiry = self.memory.now() + d.pick((-1, 50))
        if pot in found.joined:
            expiry = 2**64 - 1  # refused for what it is, not for its time
        signer = depositor if depositor in NAME_OF and d.chance(50) else STRANGER
        digest = join_digest(at.chain_id, at.book, d.pick((found.id, bytes(32))), pot, at.tokens["token"], 5, expiry)
        signature = key(NAME_OF[signer]).sign_digest(digest)
        self.act("join_with_consent", who, found.id, pot, expiry, signature, pays=depositor)

    def strange_submit(self, d: Draws, found: Deal, who: Account) -> None:
        rung = found.terms.rungs[found.rung]
        at = phase(found, self.memory.now()) if found.status == "running" else None
        ask = d.number(0, len(rung.asks)) if at is None or d.chance(35) else min(at.ask, len(rung.asks) - 1)
        done = [entry for entry in found.history if entry.kind == SUBMISSION and entry.rung == found.rung
                and entry.ask == ask]
        named = d.pick((*rung.asked(ask), *(entry.by for entry in done), who, who))
        slot = 0 if d.chance(70) else d.number(0, 9)
        frozen = at is not None and at.frozen_at is not None
        data = bytes(4097) if d.chance(10) else b"\x02" + bytes(31)
        refused = COUNTS["submit refused TooLate"]
        name = d.pick(("submit", "submit", "submit", "submit_and_judge", "submit_and_close"))
        self.act(name, named, found.id, ask, slot, CLAIM, data)
        if frozen and COUNTS["submit refused TooLate"] > refused:
            COUNTS["submit refused TooLate: frozen"] += 1

    def strange_challenge(self, d: Draws, found: Deal, who: Account) -> None:
        above = [member for rung in found.terms.rungs[found.rung + 1:] for member in rung.bench]
        window = found.status == "running" and window_start(found, self.memory.now()) is not None
        self.act("challenge", d.pick((COURT, *above[:2], POOR) if window else (who, COURT, POOR, *above[:2])), found.id)

    def strange_collect(self, d: Draws, found: Deal, who: Account) -> None:
        story = self.stories[found.id]
        pot = d.pick([*(kept.pot for kept in found.kept), *range(len(found.terms.pots))])
        what = d.number(0, 7)
        if what == 0:
            self.act("stop", d.pick((STRANGER, PARTIES[0])), True)
        elif what == 1:
            self.act("withdraw", who, self.memory.token)
        elif what in (2, 3) or story.tree is None:
            self.act("sweep", who, found.id, pot)
        else:
            index = d.number(0, len(story.leaves) - 1)
            leaf, proof = story.leaf(index), story.tree.proof(index)
            if d.chance(30):
                leaf = d.pick(((index, who, leaf[2]), (index + 3, *leaf[1:]), (*leaf[:2], leaf[2] + 1)))
            if d.chance(40):
                other = d.number(0, len(story.leaves) - 1)
                good = (story.leaf(other), story.tree.proof(other))
                self.act("collect_many", who, found.id, pot, d.pick(((good,), (good, good), (good, (leaf, proof)))))
                return
            self.act("collect", who, found.id, pot, leaf, proof)

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Every deal closes by its cap, and everything is paid out but what nobody may take."""
        if not hasattr(self, "held"):
            return
        for who in list(self.failing):
            self.fail(who, False)
        for deal in self.held:
            found = self.book._deals[deal]
            if found.status in ("funding", "running"):
                if self.memory.now() < found.terms.closes_by:
                    self.until(found.terms.closes_by)
                assert self.act("close", STRANGER, deal)
        for deal in self.held:
            for kept in self.book._deals[deal].kept:
                if not kept.swept:
                    self.until(max(kept.ends, self.memory.now()))
                    assert self.act("sweep", STRANGER, deal, kept.pot)
        for who in EVERYBODY:
            if self.book.credit(self.memory.token, who):
                assert self.act("withdraw", who, self.memory.token)
        assert self.memory.balance(self.memory.addresses.book) == 0
        assert sum(self.memory.balance(who) for who in EVERYBODY) == self.supply


def perform(world: World, name: str, who: Account, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """("done", what the act gave) or ("refused", the code)."""
    try:
        return "done", getattr(world.book, name)(who, *arguments)
    except ActRefused as error:
        return "refused", error.code


DEEP = os.environ.get("TROTH_STATEFUL") == "deep"
