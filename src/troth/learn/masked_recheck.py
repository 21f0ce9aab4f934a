"""Executing rounds behind masks again: as `recheck.Replay`, from the transcripts of the sums instead of from updates.

An aggregate's *sums* are what its transcripts give, each checked in full. One counts only if every site in it said
beforehand, in an update claim that the aggregate names, that it takes part. So an aggregator cannot put anybody into a
sum, or say of one that it dropped out who did not: the transcript shows who is in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from troth.core.encoding import take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.ports import Finding, KeyHistory, Statements
from troth.core.terms import UPHELD, Result
from troth.core.verdicts import Outcome
from troth.identity import did as dids
from troth.learn import arrays
from troth.learn.claims import UNSUMMED, AggregateClaim, Training, UpdateClaim
from troth.learn.lineage import RoundStep, path
from troth.learn.masked_round import (
    PROTOCOL,
    MaskedInput,
    owed_behind,
    round_name,
    run_masked_round,
    sessions,
)
from troth.learn.masking.kept import read_transcripts
from troth.learn.masking.port import Session, Summed
from troth.learn.masking.server import check_transcript
from troth.learn.masking.terms import Terms
from troth.learn.privacy.client import SiteNoise
from troth.learn.privacy.mechanisms import Mechanism
from troth.learn.recheck import Opener, Replay, record_of, the_evidence
from troth.learn.round import Owed, RoundOutput

TRANSCRIPTS = "transcripts"
"""The name of an aggregate's evidence that holds them."""
MOST_VERSIONS = 256
"""Changes of keys that a reader follows."""


class AnyVersion:
    """Keys of whichever version an issuer has had: a sum is checked long after it, and its sites change keys.

    Whoever stole old keys can forge old sums' messages with them, and needs the aggregator's claim besides.
    """

    def __init__(self, keys: KeyHistory) -> None:
        self._keys = keys

    def verify(self, issuer: str, message: bytes, signatures: Iterable[tuple[str, bytes]],
               version: int | None = None) -> None:
        """As `KeyHistory.verify`; without ``version`` any of the issuer's documents will do."""
        given = tuple(signatures)
        try:
            self._keys.verify(issuer, message, given, version)
            return
        except Refuted:
            if version is not None or issuer.startswith(dids.KEY):
                raise
        for number in range(MOST_VERSIONS):
            try:
                self._keys.verify(issuer, message, given, number)
                return
            except Refuted:
                continue
            except Undecidable:
                break
        raise Refuted("no version of this issuer's keys signed this", actual=issuer)


@dataclass(frozen=True, slots=True)
class Shown:
    """What an aggregate's transcripts show. transcripts, sums: one a group, None where none counts. false: the reasons
    for which one that is there does not."""

    transcripts: tuple[bytes | None, ...]
    sums: tuple[Summed | None, ...]
    false: tuple[str, ...]

    @property
    def included(self) -> frozenset[str]:
        """Who is in a sum."""
        return frozenset(did for one in self.sums if one is not None for did in one.included)


class MaskedReplay(Replay):
    """One plan's rounds behind masks, re-executable. keys: of whoever signed the transcripts' messages."""

    def __init__(self, source: Statements, plan_id: bytes, open_: Opener, keys: KeyHistory) -> None:
        super().__init__(source, plan_id, open_)
        self._keys = AnyVersion(keys)

    @property
    def terms(self) -> Terms:
        """What the plan fixes of these rounds. Raises Misuse for a plan with open updates."""
        if self.plan.masking is None:
            raise Misuse("this plan's updates are open", expected="privacy masked or grouped", actual=self.plan.privacy)
        return self.plan.masking

    @property
    def noise(self) -> SiteNoise | None:
        """Each site's share of noise; None where the plan asks for none."""
        asked = self.terms.noise
        return None if asked is None else SiteNoise(self.plan.clip, asked.sigma, asked.relied)

    @property
    def mechanism(self) -> Mechanism | None:
        """What a round does to each record of a site, for its privacy ledger; None without noise."""
        return None if self.noise is None else self.noise.of_records(sum(prod(shape) for _, shape in self.task.layout))

    def seed(self, round_: int) -> bytes:
        """What a round draws from."""
        return hashlib.sha256(self.plan.seed + round_.to_bytes(4, "big")).digest()

    def sessions(self, round_: int, deal: bytes, last: bytes | None, seated: frozenset[str]) -> tuple[Session, ...]:
        """The sums of a round, as everybody knows them once its deal is: nobody chooses who is asked."""
        named = round_name(self.plan_id, deal, round_, arrays.digest(self.base(last)[0]))
        return sessions(self.terms, sorted(seated), self.seed(round_), named, self.task, self.plan.clip)

    def session(self, did: str, round_: int, deal: bytes, last: bytes | None, seated: frozenset[str]) -> Session:
        """The sum that a site's vector goes into. Raises Misuse for one without a seat in this deal."""
        found = next((one for one in self.sessions(round_, deal, last, seated) if did in one.sites), None)
        if found is None:
            raise Misuse("this site has no seat in this round", actual=did)
        return found

    def said(self, claims: Iterable[bytes], round_: int, deal: bytes, last: bytes | None,
             seated: frozenset[str]) -> dict[str, bytes]:
        """The update claim of each site that said it takes part in its sum of this round, by DID."""
        asked = self.mechanism
        own = {did: one.id for one in self.sessions(round_, deal, last, seated) for did in one.sites}
        fits = self.fit((claim for claim in claims if self._here(claim)), round_, deal, last, seated)
        found = {self._source.statement(claim).issuer: claim for claim in fits}
        words = {did: UpdateClaim.of(self._source.statement(claim)) for did, claim in found.items()}
        return {did: claim for did, claim in found.items() if words[did].digest == own[did]
                and (asked is None or _spends(words[did].training, asked))}

    def shown(self, transcripts: tuple[bytes | None, ...], said: Iterable[str],
              of: tuple[Session, ...]) -> Shown:
        """Check transcripts in full. said: who said that it takes part."""
        kept: list[bytes | None] = []
        sums: list[Summed | None] = []
        false, known = [], frozenset(said)
        for data, session in zip(transcripts, of, strict=False):
            found = None
            try:
                found = None if data is None else check_transcript(data, self._keys, session)
            except (Refuted, BadInput, Undecidable) as error:
                false.append(error.message)
            if found is not None and not known.issuperset(found.included):
                false.append("a sum with a site that did not say that it takes part")
                found = None
            kept.append(None if found is None else data)
            sums.append(found)
        if len(transcripts) != len(of):
            false.append("transcripts of other sums than the round's")
        missing = len(of) - len(sums)
        return Shown((*kept, *[None] * missing), (*sums, *[None] * missing), tuple(false))

    def shows(self, step: RoundStep, seated: frozenset[str]) -> Shown:
        """What an aggregate's own transcripts show. Raises Undecidable where they are not here for this party."""
        claim, bases = step.claim, step.statement.all_refs("base")
        last = bases[0] if bases else None
        of = self.sessions(claim.round, claim.deal, last, seated)
        said = self.said(step.statement.all_refs("update"), claim.round, claim.deal, last, seated)
        try:
            data = self._open(the_evidence(step.statement, TRANSCRIPTS))
            if hashlib.sha256(data).digest() != claim.transcripts:
                raise Refuted("the transcripts are not those that the claim names")
            found = read_transcripts(data)
        except (Refuted, BadInput) as error:
            return Shown((None,) * len(of), (None,) * len(of), (error.message,))
        return self.shown(found, said, of)

    def sum_up(self, round_: int, last: bytes | None, sums: tuple[Summed | None, ...],
               seated: frozenset[str]) -> RoundOutput:
        """Execute a round that starts from aggregate ``last`` from its sums."""
        state, history = self.base(last)
        return run_masked_round(MaskedInput(
            self.task, state, self.plan.keys, sums, self.validation, self.seed(round_), self.plan.reward, self.terms,
            history, self.plan.rule, self.plan.clip, frozenset(self.plan.keys) - seated))

    def again(self, step: RoundStep, seated: frozenset[str]) -> tuple[RoundOutput, Shown]:
        """Execute again the round that an aggregate claims. Raises Undecidable where its transcripts are not here."""
        bases = step.statement.all_refs("base")
        found = self.shows(step, seated)
        return self.sum_up(step.claim.round, bases[0] if bases else None, found.sums, seated), found

    def due(self, claim: AggregateClaim, before: tuple[RoundStep, ...]) -> Owed:
        """As for open updates; who broke the protocol stands in ``rejected``, and only the transcripts show it."""
        keys, rejected = self.plan.keys, claim.result.get("rejected")
        if type(rejected) is not list:
            raise BadInput("an aggregate without its rejected", expected="a list")
        guilty = frozenset(keys.index(did) for did, reason in (take(one, site=str, reason=str) for one in rejected)
                           if reason == PROTOCOL and did in keys)
        away = frozenset(keys.index(did) for did in frozenset(keys) - self._seated(before))
        history = (*(record_of(step.claim) for step in before), record_of(claim))
        return owed_behind(self.terms, history, guilty, away, self.plan.reward)

    def outcome(self, claim: AggregateClaim) -> int:
        """The outcome that an aggregate's own words come to. Raises BadInput."""
        return UPHELD if any(claim.flags("counted")) else UNSUMMED

    def found(self, step: RoundStep, seated: frozenset[str],
              submitted: Result | None) -> tuple[RoundOutput, Result, Shown]:
        """A verifier's finding on an aggregate; its output, and the transcripts that count.

        Refuted, the aggregator's account slashed: its transcripts are not here for the verifiers, or not those that its
        claim names, or not of this round's sums; one does not check, or sums somebody who did not say so; it names
        other updates than those in the sums; it submitted another result than its claim's; or running the round again
        gives another. Else it stands as it says.
        """
        bases = step.statement.all_refs("base")
        last, claim = bases[0] if bases else None, step.claim
        try:
            output, shown = self.again(step, seated)
        except Undecidable:
            output, shown = self.nothing(claim.round, claim.deal, last, seated)
        named = self.said(step.statement.all_refs("update"), claim.round, claim.deal, last, seated)
        true = (not shown.false and frozenset(named) == shown.included
                and len(named) == len(step.statement.all_refs("update"))
                and self._promises(claim, seated, submitted) and output.to_json() == dict(claim.result))
        return output, (self.result(self.outcome(claim), output, seated) if true
                        else self.refuted(output, seated)), shown

    def nothing(self, round_: int, deal: bytes, last: bytes | None,
                seated: frozenset[str]) -> tuple[RoundOutput, Shown]:
        """A round of which no sum is shown: the model stays, and earlier rounds' pay."""
        none = (None,) * len(self.sessions(round_, deal, last, seated))
        return self.sum_up(round_, last, none, seated), Shown(none, none, ("no transcripts were handed over",))

    def seated_at(self, step: RoundStep) -> frozenset[str]:
        """The sites that no aggregate before this one found guilty: its deal's, as the plan leads to it."""
        return self._seated(path(self._source, step.id)[:-1])

    def _seated(self, before: Iterable[RoundStep]) -> frozenset[str]:
        out = {seat for step in before for seat in step.claim.numbers("slashed")}
        return frozenset(did for seat, did in enumerate(self.plan.keys) if seat not in out)


def _spends(training: Training, asked: Mechanism) -> bool:
    return training.privacy is not None and training.privacy.mechanism == asked


def recheck_masked(source: Statements, plan_id: bytes, open_: Opener, keys: KeyHistory | None,
                   steps: Iterable[RoundStep]) -> Iterator[Finding]:
    """As `recheck_bundle.RecheckRounds`, for rounds behind masks: one finding a round."""
    replay = None if keys is None else MaskedReplay(source, plan_id, open_, keys)
    for step in steps:
        name = f"round {step.claim.round}"
        if replay is None:
            yield Finding(name, None, "not re-executed: the keys of whoever signed the sums' messages are not here")
            continue
        try:
            output, shown = replay.again(step, replay.seated_at(step))
        except Undecidable as error:
            yield Finding(name, None, f"not re-executed: {error.message}")
            continue
        if shown.false:
            yield Finding(name, Outcome.REFUTED, f"its transcripts do not show its sums: {shown.false[0]}")
        elif output.to_json() != dict(step.claim.result):
            yield Finding(name, Outcome.REFUTED, f"re-execution gives {output.digest.hex()[:16]}…, "
                          f"the claim says {step.claim.params.hex()[:16]}…")
        else:
            yield Finding(name, Outcome.UPHELD, f"summed again from {sum(one is not None for one in shown.sums)} of "
                          f"{len(shown.sums)} transcripts and re-executed: the same bits and payments")
