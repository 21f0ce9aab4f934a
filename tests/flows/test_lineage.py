"""Bundles properly signed by the real parties, but lying: the policy refutes each, and says what it found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest

from troth.core.claims import Evidence, Ref, Statement, claim_id
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD, Result
from troth.core.verdicts import Outcome
from troth.learn import arrays, site
from troth.learn import claims as kinds
from troth.learn.claims import (
    AggregateClaim,
    CommitmentsClaim,
    Listing,
    ModelClaim,
    Plan,
    Seat,
    Training,
    UpdateClaim,
    VerdictClaim,
    found_digest,
    seal_update,
)
from troth.learn.data import scaling
from troth.learn.dense import Dense
from troth.learn.lineage import FederatedModel
from troth.learn.recheck import Replay
from troth.learn.sets import BREAST_CANCER, Consortium, consortium
from troth.verify.trace import ERASURE, trace
from troth.verify.view import raw_cid

LINEAR = Dense(30, 2)

SITES, AGGREGATOR, SPONSOR = ("did:s1", "did:s2", "did:s3"), "did:agg", "did:sponsor"
VERIFIERS = ("did:v1", "did:v2", "did:v3")
ROLES: Mapping[str, tuple[str, ...]] = {"hospital": SITES, "sponsor": (SPONSOR,), "aggregator": (AGGREGATOR,),
                                        "verifier": VERIFIERS}
Edit = Callable[[Statement], Statement]


@cache
def split() -> Consortium:
    return consortium(1)


def seat(did: str) -> Seat:
    return Seat(did, did.encode().ljust(20, b"\0"))


@dataclass
class Story:
    """A ``ClaimView`` over two rounds, the second corrected. ``edits``: what a liar changes of a claim before signing.

    Signatures, places and evidence digests are checked before a policy sees a bundle; that is not repeated here.
    """

    edits: Mapping[str, Edit] = field(default_factory=dict)
    said: dict[bytes, Statement] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    target: bytes = b""

    def say(self, name: str, kind: str, issuer: str, body: Mapping[str, Any], refs: list[Ref],
            evidence: tuple[Evidence, ...] = (), subject: bytes = bytes(32)) -> bytes:
        about = kinds.digest_subject({"update": "update", "commitments": "deal"}.get(kind, "params"), subject)
        statement = Statement(kind, issuer, 5, about, body, tuple(refs), evidence)
        statement = self.edits.get(name, lambda same: same)(statement)
        claim = claim_id(statement.to_bytes())
        self.said[claim], self.names[name] = statement, claim
        return claim

    def keep(self, name: str, data: bytes, *, sealed: bool = False) -> Evidence:
        cid = raw_cid(hashlib.sha256(data).digest())
        self.blobs[cid] = data
        return Evidence(name, cid, "raw", sealed)

    def statement(self, claim: bytes) -> Statement:
        if claim not in self.said:
            raise Undecidable("not here", expected=claim.hex())
        return self.said[claim]

    def blob(self, cid: str) -> bytes | None:
        return self.blobs.get(cid)

    def tell(self) -> Story:
        """Say everything, honestly but for ``edits``."""
        public = self.keep("records", split().validation.to_bytes())
        listings = [self.say(f"listing {did}", "listing", did,
                             Listing(raw_cid(did.encode().ljust(32)), 200, True, bytes(32),
                                     BREAST_CANCER.json()).body(), [])
                    for did in SITES]
        validation = self.say("validation", "listing", SPONSOR, Listing(
            public.cid, len(split().validation), False, bytes(32), BREAST_CANCER.json()).body(), [], (public,))
        plan = Plan(tuple(map(seat, SITES)), seat(AGGREGATOR), tuple(map(seat, VERIFIERS)), 2, 300, "nnm+trimmed_mean",
                    site.DEFAULT_CLIP, bytes(32), "open")
        plan_id = self.say("plan", "plan", SPONSOR, plan.body(),
                           [Ref("validation", validation), *(Ref("listing", one) for one in listings)])
        last: bytes | None = None
        for number in (1, 2):
            last = self._round(number, plan_id, listings, last)
        steps = AggregateClaim.of(self.said[last])
        state = self.blobs[self.said[last].evidence[0].cid]
        inputs = scaling(split().validation).inputs(split().validation)
        decoded = arrays.decode(state)
        body = ModelClaim(steps.params, 2, LINEAR.score(decoded, inputs), LINEAR.loss(decoded, inputs)).body()
        self.target = self.say("model", "model", SPONSOR, body, [Ref("plan", plan_id), Ref("aggregate", last)],
                               (self.keep("params", state),), steps.params)
        return self

    def _round(self, number: int, plan_id: bytes, listings: list[bytes], last: bytes | None) -> bytes:
        replay = Replay(self, plan_id, lambda item: self.blobs[item.cid])
        base, deal = replay.base(last)[0], bytes([number]) * 32
        after = [Ref("base", last)] if last else []
        updates = []
        for did, part, listing in zip(SITES, split().sites, listings, strict=False):
            data = seal_update(did, deal, number, bytes(32), arrays.encode(
                site.train(LINEAR, base, part, scaling(split().validation), site.Fit())))
            said = UpdateClaim(number, deal, arrays.digest(base), hashlib.sha256(data).digest(), len(part), bytes(32),
                               Training(site.DEFAULT_CLIP, environment={"python": "3"}))
            updates.append(self.say(f"update {number} {did}", "update", did, said.body(),
                                    [Ref("plan", plan_id), Ref("listing", listing), *after],
                                    (self.keep("update", data, sealed=True),), said.digest))
        output = replay.run(number, last, replay.gather(updates).updates)
        fixed = CommitmentsClaim(number, deal, tuple(zip(SITES, updates, strict=True)))
        list_ = self.say(f"list {number}", "commitments", AGGREGATOR, fixed.body(), [Ref("plan", plan_id)],
                         subject=deal)
        refs = [Ref("plan", plan_id), *after, Ref("commitments", list_), *(Ref("update", claim) for claim in updates)]
        params = self.keep("params", arrays.encode(output.params), sealed=True)
        if number == 2:
            wrong = AggregateClaim(number, deal, arrays.digest(base), {**output.to_json(), "params": "11" * 32})
            replaced = self.say("wrong", "aggregate", AGGREGATOR, wrong.body(), refs, (params,), b"\x11" * 32)
            result = Result(REFUTED, output.payments, frozenset({seat(AGGREGATOR).account})).to_bytes()
            verdict = VerdictClaim(deal, 1, number, REFUTED, output.digest,
                                   found_digest(output.to_json()), result)
            verdicts = [self.say(f"verdict {did}", "verdict", did, verdict.body(),
                                 [Ref("of", replaced), Ref("plan", plan_id)]) for did in VERIFIERS[:2]]
            refs += [Ref("corrects", replaced), *(Ref("verdict", claim) for claim in verdicts)]
        claim = AggregateClaim(number, deal, arrays.digest(base), output.to_json())
        return self.say(f"aggregate {number}", "aggregate", AGGREGATOR, claim.body(), refs, (params,), output.digest)


def judge(edits: Mapping[str, Edit] | None = None) -> list[str]:
    story = Story(edits or {}).tell()
    found = FederatedModel().judge(story, ROLES, {})
    assert {finding.outcome for finding in found} == {Outcome.UPHELD}
    return [finding.name for finding in found]


def body(**changes: Any) -> Edit:
    return lambda said: replace(said, body={**said.body, **changes})


def result(**changes: Any) -> Edit:
    return lambda said: replace(said, body={**said.body, "result": {**said.body["result"], **changes}})


def by(issuer: str) -> Edit:
    return lambda said: replace(said, issuer=issuer)


def without(role: str, keep: int = 0) -> Edit:
    def act(said: Statement) -> Statement:
        kept = [ref for ref in said.refs if ref.role == role][:keep]
        return replace(said, refs=(*(ref for ref in said.refs if ref.role != role), *kept))
    return act


def more(*refs: Ref) -> Edit:
    return lambda said: replace(said, refs=(*said.refs, *refs))


def renamed(said: Statement) -> Statement:
    """Each update under another site's name."""
    updates = said.body["updates"]
    sites = [one["site"] for one in updates]
    moved = zip(updates, [*sites[1:], sites[0]], strict=True)
    return body(updates=sorted(({**one, "site": site} for one, site in moved), key=lambda one: one["site"]))(said)


def verdicts(act: Edit) -> dict[str, Edit]:
    return {f"verdict {did}": act for did in VERIFIERS[:2]}


def test_the_honest_story_is_upheld() -> None:
    assert judge() == ["plan", "path", "updates", "corrections", "published model"]


@pytest.mark.parametrize(("edits", "says"), [
    # The plan
    ({"plan": lambda said: body(sites=[*said.body["sites"][:2], seat("did:x").json()])(said)}, "listing of each site"),
    ({"plan": body(verifiers=[seat(one).json() for one in ("did:v1", "did:v2", "did:own")])}, "does not name"),
    ({"plan": body(aggregator=seat("did:own").json())}, "does not name"),
    ({"listing did:s1": by("did:s2")}, "listing of each site"),
    ({"validation": by("did:s1")}, "sponsor's own listing"),
    ({"validation": body(cid=raw_cid(bytes(32)))}, "sponsor's own listing"),
    ({"validation": lambda said: replace(said, body={**said.body, "rows": 3})}, "not what its claim says|not the list"),
    # The path
    ({"aggregate 2": without("base")}, "started from"),
    ({"aggregate 1": body(base="22" * 32)}, "may not|untrained"),
    ({"aggregate 1": more(Ref("base", bytes(32)))}, "started from"),
    ({"aggregate 2": body(base="22" * 32)}, "did not start from"),
    ({"aggregate 2": by("did:s1")}, "another aggregator"),
    ({"aggregate 1": body(round=2)}, "follow|started from"),
    ({"model": body(rounds=1)}, "not the last round"),
    ({"model": lambda said: replace(body(params="33" * 32)(said),
                                    subjects=kinds.digest_subject("params", b"\x33" * 32))},
     "not the last round"),
    ({"model": by("did:s1")}, "another than who called"),
    # Updates
    ({"update 1 did:s1": body(round=2)}, "another round"),
    ({"update 1 did:s1": body(deal="44" * 32)}, "another deal"),
    ({"update 1 did:s1": body(base="44" * 32)}, "another model"),
    ({"update 1 did:s1": by("did:x")}, "no seat"),
    ({"update 1 did:s1": by("did:s2")}, "rests on something else"),
    ({"update 1 did:s1": more(Ref("also", bytes(32)))}, "rests on something else"),
    ({"update 1 did:s1": without("plan")}, "rests on something else"),
    ({"update 1 did:s1": lambda said: replace(said, evidence=())}, "other evidence"),
    ({"update 1 did:s1": body(data="44" * 32)}, "other data"),
    ({"update 1 did:s1": body(examples=201)}, "more records than its sender listed"),
    ({"update 1 did:s1": body(clip=site.DEFAULT_CLIP + 1)}, "longer than the plan allows"),
    ({"list 1": lambda said: body(updates=said.body["updates"][1:])(said)}, "committed to before"),
    ({"list 1": renamed}, "committed to before"),
    ({"list 1": lambda said: body(updates=said.body["updates"] + said.body["updates"][2:])(said)},
     "its aggregator's list"),
    ({"list 1": by("did:s1")}, "its aggregator's list"),
    ({"list 1": body(round=2)}, "its aggregator's list"),
    ({"list 1": without("plan")}, "its aggregator's list"),
    ({"aggregate 1": result(slashed=[0])}, "lost its seat"),
    # Corrections
    ({"aggregate 2": without("verdict")}, "without enough verdicts"),
    ({"aggregate 2": without("verdict", 1)}, "without enough verdicts"),
    ({"aggregate 2": without("corrects")}, "corrects"),
    (verdicts(by("did:own")), "without enough verdicts"),
    (verdicts(by("did:v1")), "without enough verdicts"),
    (verdicts(by(AGGREGATOR)), "without enough verdicts"),
    (verdicts(without("of")), "without enough verdicts"),
    (verdicts(lambda said: replace(said, refs=(Ref("of", bytes(32)), *said.refs[1:]))), "without enough verdicts"),
    (verdicts(body(params="55" * 32)), "without enough verdicts"),
    (verdicts(body(deal="55" * 32)), "without enough verdicts"),
    (verdicts(body(round=1)), "without enough verdicts"),
    (verdicts(body(outcome=UPHELD)), "without enough verdicts"),
    (verdicts(body(result=Result(REFUTED, (300, 0, 0)).to_bytes().hex())), "without enough verdicts"),
    ({"aggregate 2": result(payments=["300", "0", "0"])}, "without enough verdicts"),
    # Nobody else's verdict vouches for what later rounds are paid and slashed by.
    ({"aggregate 2": result(contributions=[10**9, 0, 0])}, "without enough verdicts"),
    ({"aggregate 2": result(ceilings=[-1, -1, -1])}, "without enough verdicts"),
    ({"aggregate 2": result(slashed=[0])}, "without enough verdicts"),
    ({"wrong": body(deal="66" * 32)}, "another round"),
    ({"wrong": by("did:s1")}, "another round"),
    # The model
    ({"model": body(score_ppm=999_999)}, "does not score"),
    ({"model": body(loss=1)}, "does not score"),
])
def test_a_lie_is_refuted_by_name(edits: Mapping[str, Edit], says: str) -> None:
    with pytest.raises(Refuted, match=says):
        judge(edits)


@pytest.mark.parametrize("edits", [
    {"plan": body(verifiers=[seat("did:v1").json()] * 3)},  # one verifier with three voices
    {"plan": body(verifiers=[seat(one).json() for one in ("did:v1", "did:v2", AGGREGATOR)])},
    {"plan": body(verifiers=[])},
    {"aggregate 1": result(contributions=["a", "b", "c"])},
    {"aggregate 1": result(slashed="none")},
])
def test_what_cannot_be_read_is_no_model(edits: Mapping[str, Edit]) -> None:
    with pytest.raises(BadInput):
        judge(edits)


def test_parameters_that_are_not_in_the_bundle_are_undecidable() -> None:
    story = Story().tell()
    story.blobs.clear()
    with pytest.raises(Undecidable):
        FederatedModel().judge(story, ROLES, {})


# Trace


def erasure(issuer: str, *listings: bytes) -> Statement:
    refs = tuple(Ref("listing", claim) for claim in listings)
    return Statement(ERASURE, issuer, 9, kinds.digest_subject("records", bytes(32)), {}, refs)


def test_an_erasure_makes_stale_what_rests_on_it_and_nothing_else() -> None:
    story = Story().tell()
    graph = trace(story, story.target, [erasure("did:s1", story.names["listing did:s1"])])
    stale = {node.id for node in graph.nodes if node.stale}
    assert {story.names[name] for name in ("model", "plan", "update 1 did:s1", "aggregate 2")} <= stale
    assert not {story.names[name] for name in ("validation", "listing did:s2")} & stale
    assert [node.id for node in graph.nodes if node.erased] == [story.names["listing did:s1"]]


def test_an_erasure_by_somebody_else_or_of_what_is_no_listing_does_nothing() -> None:
    story = Story().tell()
    for said in (erasure("did:s2", story.names["listing did:s1"]), erasure(SPONSOR, story.names["plan"]),
                 erasure("did:s1", bytes(32)), erasure("did:s1")):
        assert not trace(story, story.target, [said]).stale


def test_missing_claims_are_shown_and_each_claim_once() -> None:
    story = Story().tell()
    del story.said[story.names["update 1 did:s1"]]
    graph = trace(story, story.target, [])
    assert [node.id for node in graph.nodes if node.statement is None] == [story.names["update 1 did:s1"]]
    assert len({node.id for node in graph.nodes}) == len(graph.nodes)
    assert graph.nodes[0].id == story.target
    depths = {node.id: node.depth for node in graph.nodes}
    assert all(depths[edge.to] <= depths[edge.source] + 1 for edge in graph.edges)
