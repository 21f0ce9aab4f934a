"""The small consortium behind masks: four sites, so that one may drop out of a sum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from small import Run, Small

from troth.core.errors import TrothError
from troth.core.terms import Result
from troth.fixed.numbers import IntArray
from troth.flows import masked
from troth.learn.arrays import flatten
from troth.learn.masking.journal import SumJournal
from troth.learn.masking.terms import MASKED, Terms
from troth.learn.masking.wire import Phase
from troth.learn.privacy.mechanisms import Spent
from troth.learn.round import RoundOutput

FOUR = ("site-1", "site-2", "site-3", "site-4")
Twist = Callable[[Phase, str, bytes], bytes | None]
"""What becomes of a site's answer on its way; None: it does not arrive."""


class Behind(Small):
    """Every method is one step of a round behind masks."""

    sites: dict[str, masked.Site]  # type: ignore[assignment]
    aggregator: masked.Aggregator
    verifiers: dict[str, masked.Verifier]  # type: ignore[assignment]

    def __init__(self, folder: Path, names: tuple[str, ...] = FOUR, masking: Terms = Terms(MASKED)) -> None:  # noqa: B008
        super().__init__(folder, names, masking)
        self.journals: dict[str, SumJournal] = {}
        self.renew()
        self.verifiers = {name: masked.Verifier(verifier.party, self.plan_id)
                          for name, verifier in self.verifiers.items()}
        self.dids = {self[name].did: name for name in names}

    def renew(self) -> None:
        """Journals that know of no earlier attack: each is a round 1 of the plan, whose vector goes into one sum."""
        for journal in self.journals.values():
            journal.close()
        self.journals = {name: SumJournal(self[name].root / f"sums-{self.count}.sqlite")
                         for name in (*self.names, "aggregator")}
        self.sites = {name: self.site(name) for name in self.names}
        self.aggregator = masked.Aggregator(self["aggregator"], self.plan_id, journal=self.journals["aggregator"])

    def open(self, join: Iterable[str] | None = None) -> Run:
        run = super().open(join)
        self.renew()
        return run

    def close(self) -> None:
        for journal in self.journals.values():
            journal.close()
        super().close()

    def site(self, name: str) -> masked.Site:
        """A site as a new process finds it."""
        return masked.Site(self[name], self.plan_id, listing=self.listings[name], journal=self.journals[name],
                           signer=self[name].identity.signer())

    def vector(self, name: str) -> tuple[IntArray, Spent | None]:
        return flatten(self.deltas[name]), None

    def say(self, run: Run, names: Collection[str] | None = None) -> dict[str, bytes]:
        """These sites say that they take part."""
        claims = {name: self.sites[name].take_part(run.deal, 1, lambda name=name: self.vector(name),  # type: ignore[misc]
                                                   len(self.parts[name]))
                  for name in (self.names if names is None else names)}
        self.receive()
        return claims

    def carry(self, run: Run, twist: Twist | None = None, refused: list[str] | None = None) -> masked.Ask:
        """An engine: it brings calls to the sites and answers back; a site that refuses is absent."""
        def ask(call: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
            found = {}
            for did in dids:
                name = self.dids[did]
                try:
                    answer: bytes | None = self.sites[name].sum(run.deal, 1, call)
                except TrothError as error:
                    if refused is not None:
                        refused.append(f"{name}: {error.message}")
                    continue
                if twist is not None and answer is not None:
                    answer = twist(phase, name, answer)
                if answer is not None:
                    found[did] = answer
            return found
        return ask

    def sums(self, run: Run, twist: Twist | None = None, refused: list[str] | None = None) -> tuple[bytes | None, ...]:
        """The round's transcripts."""
        return self.aggregator.sum_up(run.deal, 1, self.carry(run, twist, refused))[0]

    def conclude(self, run: Run, transcripts: tuple[bytes | None, ...]) -> RoundOutput:
        """The honest aggregate, published and submitted."""
        shown = self.aggregator.shown(run.deal, 1, transcripts)
        output = self.aggregator.replay.sum_up(1, None, shown.sums, self.aggregator.seated(run.deal))
        self.claim(run, output, shown)
        return output

    def claim(self, run: Run, output: RoundOutput, shown: masked.Shown) -> None:
        """An aggregate as its aggregator could claim it, published and submitted."""
        run.output, run.aggregate = output, self.aggregator.state(run.deal, 1, output, shown)
        self.aggregator.submit(run.deal, run.aggregate, output)
        self.receive()

    def honest(self, run: Run) -> None:
        self.say(run)
        self.conclude(run, self.sums(run))

    def judged(self, run: Run, by: str = "site-1", missing: Collection[str] = ()) -> tuple[Result, dict[str, int]]:
        """Challenge, execute again, settle: the result; who gained how much."""
        self.challenge(run, by)
        self.evidence(run, missing)
        result = self.rerun(run)
        return result, self.settle(run)


def silent(name: str, since: Phase) -> Twist:
    """A site that is not heard of from a phase on."""
    return lambda phase, site, answer: None if site == name and phase >= since else answer
