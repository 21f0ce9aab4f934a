"""What the consortia's examples share: their split, their table, and a whole consortium with deals on a chain."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from troth.app.playing import play
from troth.core.terms import UPHELD, Result
from troth.flows import round as flow
from troth.flows.parts import Pin, join_all
from troth.flows.roles import Role, call_plan, list_records
from troth.flows.terms import Money, Words, round_terms
from troth.identity.keystore import MIN_COST
from troth.learn import arrays, site
from troth.learn.claims import Plan, Seat, VerdictClaim
from troth.learn.data import Part, scaling
from troth.learn.draws import permutation, seed_of
from troth.learn.round import RoundOutput
from troth.learn.sets import VALIDATION_TEST_SITES, Consortium, cut
from troth.learn.study import FLOATS, POOLED, TOGETHER, Question, Study, compare
from troth.learn.training import dense
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

DATA = Path(__file__).parent / "data"
MONEY = Money(reward=3_000, fee=200, keeper=50, site_stake=2_100, aggregator_stake=7_000, verifier_stake=1_000,
              verifier_fee=300, bond=500)
PURSE = 40_000
COMMONS = hashlib.sha256(b"bonds of wrong challengers go here").digest()[:20]


def by_group(data: Part, group: Sequence[int], seed: int) -> Consortium:
    """Each site holds a group of the records: of every group and class 20 % are validation and 30 % test."""
    sites: list[list[int]] = [[] for _ in range(max(group) + 1)]
    validation: list[int] = []
    test: list[int] = []
    for own in range(len(sites)):
        for label in range(len(data.schema.classes)):
            members = np.flatnonzero((np.asarray(group) == own) & (data.labels == label)).tolist()
            order = [members[k] for k in permutation(seed_of(seed), f"group {own} class {label}", len(members))]
            for rows, found in zip((validation, test, sites[own]), cut(order, VALIDATION_TEST_SITES), strict=True):
                rows += found
    parts = [data.rows(sorted(rows)) for rows in (*sites, validation, test)]
    return Consortium(tuple(parts[:-2]), parts[-2], parts[-1])


def show(study: Study) -> None:
    """A table of means, 95 % intervals, and how far Troth is ahead, split by split."""
    print(f"{study.data}: {len(study.seeds)} splits, {study.rounds} rounds, {study.rule}")
    for row in study.rows:
        lead = study.lead(TOGETHER, row.name)
        ahead = "" if row.name == TOGETHER else f"   Troth ahead by {percent(lead.mean)} ± {percent(lead.margin)}"
        print(f"  {row.name:32} {percent(row.mean)} ± {percent(row.margin)}{ahead}")


def percent(ppm: int) -> str:
    """Parts per million as percent."""
    return f"{ppm / 10_000:.2f}"


def best_member(study: Study) -> str:
    """Which member is best alone, by its mean."""
    alone = [row for row in study.rows if row.name not in (POOLED, FLOATS, TOGETHER)]
    return max(alone, key=lambda row: row.mean).name


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for."""

    folder: Path
    seeds: range
    save: Path | None
    play: bool


def asked(about: str | None, first: int) -> Asked:
    """Read the command line that all three examples share. first: the seed of the first split."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="where the workspaces go; a new temporary one by default")
    parser.add_argument("--seeds", type=int, default=10, help="how many splits (default 10)")
    parser.add_argument("--save", type=Path, help="put the study into this JSON file, and play no deals")
    found = parser.parse_args()
    folder = found.folder or Path(mkdtemp())
    return Asked(folder, range(first, first + found.seeds), found.save, found.save is None)


def ask(name: str, question: Question, words: Asked) -> Study:
    """Run a study, show it, and keep it under ``name`` where a file was named."""
    study = compare(question, words.seeds)
    show(study)
    if words.save:
        whole = json.loads(words.save.read_text()) if words.save.exists() else {}
        fit = question.run.fit
        whole[name] = {**study.to_json(), "best_member": best_member(study), "measure": question.measure.__name__,
                       "fit": {**fit.json(), "clip": fit.clip}, "hidden": list(question.run.hidden),
                       "leads": {row.name: {"mean_ppm": lead.mean, "margin_ppm": lead.margin} for row in study.rows
                                 if row.name != TOGETHER and (lead := study.lead(TOGETHER, row.name))}}
        words.save.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    return study


class Play:
    """A consortium whose every round is a deal on an embedded chain: workspaces, listings, plan, seats.

    A clock that is moved instead of waited for, one verifier, and an exchange through a folder are what makes it short.
    """

    def __init__(self, folder: Path, question: Question, seed: int, rounds: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.question, self.split = question, question.split(seed)
        self.members = {name.removesuffix(" alone"): part for name, part in
                        zip(question.members, self.split.sites, strict=True)}
        self.chain = EmbeddedChain(folder / "chain.sqlite")
        names = (*self.members, "sponsor", "aggregator", "verifier")
        self.parties = play(folder, names, "play money", chain=self.chain, purse=PURSE, supply=PURSE * len(names),
                            quorum=1, cost=MIN_COST)
        sponsor = self.parties["sponsor"]
        contracts = sponsor.contracts
        self.token = Erc20(self.chain.web3, contracts["token"].address)
        for party in self.parties.values():
            self.token.approve(party.sender, contracts["book"].address, 100 * PURSE)
        self._plan(rounds)
        pins = (Pin(contracts[name].address, contracts[name].codehash) for name in ("assumed", "rerun:1"))
        self.words = Words(self.token.address, sponsor.account, COMMONS, *pins, MONEY)
        self.slashed: set[str] = set()
        self.before = self.balances()

    def _plan(self, rounds: int) -> None:
        """Sealed listings of the members, the sponsor's public one, and the plan that names task, fit and seats."""
        sponsor, listings = self.parties["sponsor"], {}
        for name, part in self.members.items():
            sealing = self.parties[name].seal_records(part.to_bytes(), part.to_bytes().splitlines()[1:])
            listings[name] = list_records(self.parties[name], part, sealing.commitment, sealing.evidence)
            self.parties[name].send([sponsor.did], [listings[name]])
        sponsor.receive()
        public = sponsor.add("records", self.split.validation.to_bytes())
        validation = list_records(sponsor, self.split.validation, bytes(32), public)
        seats = {name: Seat(party.did, party.account) for name, party in self.parties.items()}
        run, task = self.question.run, dense(self.split.validation, self.question.run.hidden)
        self.plan = Plan(tuple(sorted((seats[name] for name in self.members), key=lambda seat: seat.did)),
                         seats["aggregator"], (seats["verifier"],), rounds, MONEY.reward, run.rule, run.fit.clip,
                         bytes(32), "open", task.json(), run.fit.json())
        plan = call_plan(sponsor, self.plan, validation, listings.values())
        sponsor.send([party.did for party in self.parties.values() if party is not sponsor],
                     [*listings.values(), validation, plan], [public])
        self._receive()
        self.sites = {name: flow.Site(self.parties[name], plan, listing=listings[name]) for name in self.members}
        self.aggregator = flow.Aggregator(self.parties["aggregator"], plan)
        self.verifier = flow.Verifier(self.parties["verifier"], plan)
        self.sponsor = Role(sponsor, plan)

    def _receive(self) -> None:
        for party in self.parties.values():
            party.receive()

    def balances(self) -> dict[str, int]:
        """Everybody's tokens."""
        return {name: self.token.balance(party.account) for name, party in self.parties.items()}

    def name_of(self, account: bytes) -> str:
        """A party's name by its account."""
        return next(name for name, party in self.parties.items() if party.account == account)

    def round(self, number: int, poisoner: str | None = None, withholds: str | None = None,
              lies: bool = False) -> RoundOutput:
        """One deal from its opening to its payments.

        poisoner: trains on turned labels, scaled. withholds: keeps its update from the verifier. lies: the aggregator
        publishes another model than the one that the updates give.
        """
        sponsor, book = self.parties["sponsor"], self.parties["sponsor"].book
        active = [name for name in self.members if name not in self.slashed]
        seated = frozenset(self.parties[name].did for name in active)
        terms = round_terms(self.words, self.plan, seated, self.chain.now())
        deal = book.open(sponsor.account, terms, number.to_bytes(32, "big"))
        for name in (*active, "sponsor", "aggregator", "verifier"):
            join_all(self.parties[name], deal)
        for name in active:
            seat, part = self.sites[name], self.members[name]
            train = site.poisoned if name == poisoner else site.train
            delta = train(seat.replay.task, seat.base(), part, scaling(seat.replay.validation), self.question.run.fit)
            seat.commit(deal, number, delta, len(part))
        self._receive()
        self.aggregator.fix(deal, number)
        self._receive()
        for name in active:
            self.sites[name].reveal(deal, number, withhold=name == withholds)
        self._receive()
        honest, updates = self.aggregator.aggregate(deal, number)
        output = backwards(honest, self.aggregator) if lies else honest
        aggregate = self.aggregator.publish(deal, number, output, updates)
        self.aggregator.submit(deal, aggregate, output)
        self._receive()
        caller, why = self._doubt(active, aggregate)
        if caller:
            print(f"round {number}: {caller} calls the verifier, because {why}")
            aggregate, output = self._rerun(deal, number, aggregate, caller, [n for n in active if n != withholds])
        self.chain.advance(self.words.periods.window)
        book.close(sponsor.account, deal)
        final = book.state(deal).final or Result(UPHELD)
        taken = sorted(self.name_of(account) for account in final.slashed)
        self.slashed |= set(taken)
        for seat in (*self.sites.values(), self.aggregator, self.verifier, self.sponsor):
            seat.last = aggregate
        print(f"round {number}: score {percent(output.score)} on the public records"
              + (f"; stake forfeited: {', '.join(taken)}" if taken else ""))
        return output

    def _doubt(self, active: Sequence[str], aggregate: bytes) -> tuple[str | None, str]:
        """The first member with a reason to call the verifier."""
        missing = self.verifier.missing(aggregate)
        for name in active:
            if missing and self.parties[name].did not in missing:
                return name, "the verifier does not hold an update that was counted"
            reason = self.sites[name].doubt(aggregate)
            if reason:
                return name, reason
        return None, ""

    def _rerun(self, deal: bytes, number: int, aggregate: bytes, caller: str,
               delivering: Sequence[str]) -> tuple[bytes, RoundOutput]:
        """A bond is posted, evidence handed over, the round executed again; training goes on from what was found."""
        self.parties[caller].book.challenge(self.parties[caller].account, deal)
        for name in delivering:
            seat, party = self.sites[name], self.parties[name]
            own = [claim for claim in seat.updates(number, deal) if party.statement(claim).issuer == party.did]
            seat.deliver(deal, number, [item for claim in own for item in party.statement(claim).evidence])
        self.aggregator.deliver(deal, number, self.aggregator.party.statement(aggregate).evidence)
        self._receive()
        self.verifier.share(deal, number)
        if len(delivering) < len(self.sites) - len(self.slashed):
            self.chain.advance(self.words.periods.answer)
        output, result = self.verifier.find(aggregate)
        claim, salt = self.verifier.commit(aggregate, output, result)
        self.verifier.reveal(claim, salt)
        self.parties["sponsor"].book.judge(self.parties["sponsor"].account, deal)
        self._receive()
        said = {claim: VerdictClaim.of(self.aggregator.party.statement(claim))}
        corrected = flow.correct(self.aggregator, aggregate, said, result)
        self._receive()
        return corrected, output

    def end(self) -> Mapping[str, int]:
        """Who gained what over the whole consortium; shown, and closed."""
        gains = {name: after - self.before[name] for name, after in self.balances().items()}
        for name, gain in gains.items():
            print(f"{name} gains {gain}")
        for party in self.parties.values():
            party.close()
        self.chain.close()
        return gains


def backwards(honest: RoundOutput, aggregator: flow.Aggregator) -> RoundOutput:
    """The aggregator's cheat: a model pushed the wrong way, whose own figures are told truthfully to look honest."""
    replay = aggregator.replay
    wrong = {name: array - 6 * (honest.params[name] - array) for name, array in aggregator.base().items()}
    return replace(honest, params=wrong, digest=arrays.digest(wrong), score=replay.task.score(wrong, replay.inputs()),
                   loss=replay.task.loss(wrong, replay.inputs()))
