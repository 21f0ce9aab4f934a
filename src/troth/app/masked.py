"""Rounds behind masks in workspaces: a site's part in the sums, and the coordinator's side of them.

Each workspace keeps its journal of sums in ``sums.sqlite``: a site that was killed goes on in the sum it was in, and
never puts a vector into another one of the same round.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from troth.app import privacy
from troth.app.conducting import OpenRounds, Rounds
from troth.app.following import EVIDENCE, JOIN, SUM, TAKE, UPDATE, Call
from troth.app.running import environment
from troth.app.site import Act, Member, in_words, purpose
from troth.core.claims import from_base64
from troth.core.errors import BadInput, Misuse
from troth.core.terms import DealState, Result
from troth.fixed.numbers import IntArray
from troth.flows import masked as flow
from troth.flows.roles import Role, SiteRole
from troth.learn.arrays import flatten
from troth.learn.claims import VerdictClaim
from troth.learn.data import Part
from troth.learn.masking.journal import SumJournal
from troth.learn.masking.terms import OPEN
from troth.learn.masking.wire import Phase
from troth.learn.privacy.mechanisms import Spent

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.rounds import Agreed
    from troth.app.training import Coordinator

FILE = "sums.sqlite"


def journal_of(party: Troth) -> SumJournal:
    """A workspace's journal of sums; close it. Raises BadInput, OutsideFailed."""
    return SumJournal(party.root / FILE)


class MaskedMember(Member):
    """Answers calls for one seat in a plan without open updates."""

    _journal: SumJournal | None = None

    def _seat(self, plan: bytes) -> Role:
        if self.holding is None:
            return flow.Verifier(self.party, plan)
        if self._journal is None:
            self._journal = journal_of(self.party)
        return flow.Site(self.party, plan, listing=self.holding.listing, journal=self._journal,
                         signer=self.party.identity.signer())

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
        self._journal, self._follower = None, None

    def _acts(self) -> dict[str, Act]:
        if isinstance(self.follower.seat, SiteRole):
            return {JOIN: self._join, UPDATE: self._update, SUM: self._sum, TAKE: self._take, EVIDENCE: self._evidence}
        return super()._acts()

    def _behind(self) -> flow.Site:
        site = self._site()
        if not isinstance(site, flow.Site):
            raise Misuse("this site's updates are open")
        return site

    def _say_so(self, site: SiteRole, call: Call) -> str:
        part, spent = self._records(), list[Spent]()

        def make() -> tuple[IntArray, Spent | None]:
            vector, found = self._vector(call.deal, call.round, part)
            spent.extend([found] if found else [])
            return vector, found

        self._behind().take_part(call.deal, call.round, make, len(part), environment())
        return in_words(spent[0] if spent else None)

    def _vector(self, deal: bytes, round_: int, part: Part) -> tuple[IntArray, Spent | None]:
        """The update, with its share of noise where the plan asks for one, which is charged to the records first."""
        site = self._behind()
        noise = site.replay.noise
        if noise is None:
            delta, spent = self.trained(site, round_, part)
            return flatten(delta), spent
        with privacy.opened(self.party) as ledger:
            charged = ledger.charge(self._held().listing, noise.of_records(site.session(round_, deal).length),
                                    purpose(site, round_))
        return noise.add_to(flatten(self._plainly(site, round_, part))), charged

    def _take(self, call: Call, state: DealState) -> str:
        found, site = super()._take(call, state), self._behind()
        entry = site.submitted(call.deal)
        if found == "fine" and entry is not None and site.unsummed(entry.claim):
            self.say(f"round {call.round}: the aggregator says that no sum came out, and this site showed its shares "
                     "for one: nobody can prove which; ask before the next round")
        return found

    def _sum(self, call: Call, state: DealState) -> str:
        site = self._behind()
        self._running(call, state)
        return base64.b64encode(site.sum(call.deal, call.round, call.data)).decode()


class MaskedRounds(Rounds):
    """Rounds whose updates nobody but their owners sees."""

    def _summing(self) -> flow.Aggregator:
        seat = self._aggregating()
        if not isinstance(seat, flow.Aggregator):
            raise Misuse("this plan's updates are open")
        return seat

    def _updates(self, number: int, deal: bytes, start: int) -> None:
        """Who takes part says so, in a third of the answer's time at most."""
        if set(self._summing().said(number, deal)) != set(self._sites(deal)):
            self._ask(UPDATE, number, deal, self._sites(deal), until=start + self.agreed.periods.answer // 3)
            self._receive()

    def _output(self, number: int, deal: bytes, start: int) -> bytes:
        aggregator, answer = self._summing(), self.agreed.periods.answer

        def ask(call: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
            # The six phases share what is left but for a sixth, in which the aggregate is made and submitted.
            until = start + answer // 3 + phase * answer // 12
            return _decoded(self._ask(SUM, number, deal, dids, until, call))

        transcripts, failed = aggregator.sum_up(deal, number, ask)
        for why in failed:
            self.home.say(f"round {number}: {why}")
        return aggregator.conclude(deal, number, transcripts)

    def _corrected(self, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim], result: Result) -> None:
        flow.correct(self._summing(), wrong, verdicts, result)


def _decoded(answers: Mapping[str, str]) -> dict[str, bytes]:
    found = {}
    for did, text in answers.items():
        try:
            found[did] = from_base64(text)
        except BadInput:  # an answer that is none: the site is absent
            continue
    return found


def member_of(party: Troth, agreed: Agreed, *words: Any, **named: Any) -> Member:
    """The member that answers calls in plans of this privacy mode; arguments as `Member`."""
    kind: Callable[..., Member] = Member if agreed.privacy == OPEN else MaskedMember
    return kind(party, agreed, *words, **named)


def rounds_of(home: Coordinator, plan: bytes) -> Rounds:
    """The rounds of a plan of this coordinator's privacy mode."""
    return (OpenRounds if home.agreed.privacy == OPEN else MaskedRounds)(home, plan)
