"""Commit, then reveal: nobody copies what it could not see, and nothing that arrives stops a round or goes unnamed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from small import MONEY, OVERSEERS, SITES, VERIFIERS, Run, Small

from troth.core.claims import Ref, Statement
from troth.core.errors import Misuse, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.learn import claims as kinds
from troth.learn.arrays import State
from troth.learn.claims import OMITTED, CommitmentsClaim, Training, UpdateClaim, digest_subject
from troth.learn.lineage import UpdateRule
from troth.learn.recheck import Replay, the_evidence
from troth.learn.worth import Record


def judged(small: Small, run: Run, by: str, outcome: int) -> dict[str, int]:
    """Challenge, execute again, settle: this outcome; who gained how much."""
    small.challenge(run, by)
    small.evidence(run)
    assert small.rerun(run).outcome == outcome
    return small.settle(run)


def sign_list(small: Small, run: Run, updates: dict[str, bytes], by: str = "aggregator") -> bytes:
    """A list of commitments, by site's name, as anybody could sign one."""
    said = CommitmentsClaim(1, run.deal, tuple(sorted((small[name].did, claim) for name, claim in updates.items())))
    return small[by].attest(kinds.COMMITMENTS, digest_subject("deal", run.deal), said.body(),
                            refs=[Ref("plan", small.plan_id)])


def small_name(small: Small, claim: bytes) -> str:
    """Who said a claim."""
    return next(name for name in SITES if small[name].did == small["aggregator"].statement(claim).issuer)


def all_committed(small: Small, run: Run, names: tuple[str, ...] = SITES) -> dict[str, bytes]:
    found = {name: small.update(name, run) for name in names}
    small.receive()
    return found


# What a site does


def test_nothing_is_handed_over_before_the_list_holds_it(small: Small) -> None:
    run, site = small.open(), small.sites["site-1"]
    with pytest.raises(Misuse, match="nothing to reveal"):
        site.reveal(run.deal, 1)
    claim = site.commit(run.deal, 1, small.deltas["site-1"], 40, site.training({"python": "3.11"}))
    small.receive()
    assert site.commit(run.deal, 1, small.deltas["site-2"], 30) == claim, "a site stands by its word"
    with pytest.raises(Pending):
        site.reveal(run.deal, 1)
    update = the_evidence(small["site-1"].statement(claim), "update")
    for name in OVERSEERS:
        with pytest.raises(Undecidable):
            small[name].read(update)
    fixed = small.fix(run)
    assert small.fix(run) == fixed, "a list is signed once"
    site.reveal(run.deal, 1)
    small.receive()
    assert {hashlib.sha256(small[name].read(update)).hexdigest() for name in OVERSEERS} == {
        UpdateClaim.of(small["site-1"].statement(claim)).digest.hex()}
    output, updates = small.aggregator.aggregate(run.deal, 1)
    assert (updates, output.rejected) == ((claim,), ())


def test_a_site_cannot_commit_to_records_that_it_did_not_list(small: Small) -> None:
    run = small.open()
    with pytest.raises(Misuse, match="other records than were listed"):
        small.sites["site-1"].commit(run.deal, 1, small.deltas["site-1"], len(small.parts["site-1"]) + 1)


def test_what_is_said_of_the_training_is_read_back(small: Small) -> None:
    run, site = small.open(), small.sites["site-1"]
    quote = small["site-1"].add("quote", b"hardware says", site.overseers())
    said = Training(small.plan.clip - 1, b"\7" * 32, {"python": "3.11"})
    claim = site.commit(run.deal, 1, small.deltas["site-1"], 7, said, quote=quote)
    assert UpdateClaim.of(small["site-1"].statement(claim)).training == said
    small.receive()
    assert CommitmentsClaim.of(small["aggregator"].statement(small.fix(run))).updates == (claim,)


# What arrives and may not count


def test_every_update_that_may_not_count_is_named_with_its_reason(small: Small) -> None:
    run = small.open()
    rows = len(small.parts["site-1"])
    wrong = {"deal": {"deal": b"\1" * 32}, "round": {"round": 2}, "base": {"base": b"\1" * 32},
             "data": {"data": b"\1" * 32}, "examples": {"examples": rows + 1},
             "clip": {"training": Training(small.plan.clip + 1)}}
    named = {small.update("site-1", run, **said): why for why, said in wrong.items()}
    mine, stranger = small["site-1"], small["stranger"]
    body = UpdateClaim.of(mine.statement(next(iter(named)))).body() | {"deal": run.deal.hex()}
    subject = mine.statement(next(iter(named))).subjects
    refs = mine.statement(next(iter(named))).refs
    sealed = mine.statement(next(iter(named))).evidence
    for party, why, content, evidence in ((mine, "evidence", body, []), (stranger, "stranger", body, sealed),
                                          (mine, "unreadable", {"round": "one"}, sealed)):
        claim = party.attest("update", subject, content, refs=refs, evidence=evidence)
        party.send([small[name].did for name in OVERSEERS], [claim])
        named[claim] = why
    extra = mine.attest("update", subject, body, refs=[*refs, Ref("also", run.deal)], evidence=sealed)
    mine.send([small[name].did for name in OVERSEERS], [extra])
    named[extra] = "refs"
    run.reveals.clear()
    honest = [small.update("site-2", run), small.update("site-2", run, examples=2)]
    small.aggregate(run)
    said = CommitmentsClaim.of(small["aggregator"].statement(small.aggregator.fix(run.deal, 1)))
    assert dict(said.rejected) == named | {max(honest): "twice"}
    assert said.updates == (min(honest),)
    for verifier in small.verifiers.values():
        again = verifier.replay.sort([*named, *honest], 1, run.deal, None, verifier.seated(run.deal))
        assert again == (said.updates, said.rejected)
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_other_bytes_than_committed_and_too_long_ones_are_rejected_by_name(small: Small) -> None:
    run = small.open()
    small.update("site-1", run, digest=b"\1" * 32)
    small.update("site-2", run, training=Training(1))
    small.update("site-3", run)
    small.aggregate(run)
    assert run.output is not None
    assert dict(run.output.rejected) == {small["site-1"].did: "digest", small["site-2"].did: "norm"}
    gains = judged(small, run, "site-1", UPHELD)
    assert gains["site-1"] == -MONEY.bond - MONEY.verifier_fee
    assert gains["site-3"] == MONEY.reward, "it is all that there is"


def test_an_aggregator_that_names_another_reason_is_refuted(small: Small) -> None:
    run = small.open()
    small.update("site-1", run, inner=b"nonsense")
    small.update("site-2", run)
    small.fix(run)
    small.reveal(run)
    output, updates = small.aggregator.aggregate(run.deal, 1)
    small.publish(run, replace(output, rejected=((small["site-1"].did, "norm"),)), updates)
    assert {(result.outcome, result.slashed) for _, result in small.findings(run).values()} == {
        (REFUTED, frozenset({small["aggregator"].account}))}


# Copies and replays


def copied(small: Small, run: Run, thief: str, claim: bytes) -> bytes:
    """Somebody commits to the very bytes that another committed to."""
    said = small["aggregator"].statement(claim)
    listing = small.sites[thief].listing
    body = said.body | {"data": kinds.Listing.of(small[thief].statement(listing)).commitment.hex()}
    refs = [Ref("plan", small.plan_id), Ref("listing", listing)]
    mine = small[thief].attest("update", said.subjects, body | {"examples": 1}, refs=refs, evidence=said.evidence)
    small[thief].send([small[name].did for name in OVERSEERS], [mine])
    return mine


def test_a_copied_commitment_opens_to_nothing(small: Small) -> None:
    run = small.open()
    claims = all_committed(small, run, ("site-1", "site-2"))
    copied(small, run, "site-3", claims["site-1"])
    small.aggregate(run)
    assert run.output is not None
    assert run.output.rejected == ((small["site-3"].did, "replay"),)
    assert run.output.payments[small.index("site-3")] == 0
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_an_earlier_update_opens_in_no_other_deal(small: Small) -> None:
    before = small.open()
    old = small.update("site-1", before)
    small.update("site-2", before)
    small.aggregate(before)
    run = small.open()
    said = small["site-1"].statement(old)
    again = small["site-1"].attest("update", said.subjects, said.body | {"deal": run.deal.hex()}, refs=said.refs,
                                   evidence=said.evidence)
    small["site-1"].send([small[name].did for name in OVERSEERS], [again, old], said.evidence)
    small.update("site-2", run)
    small.aggregate(run)
    assert run.output is not None
    assert run.output.rejected == ((small["site-1"].did, "replay"),)
    assert run.output.payments[small.index("site-1")] == 0


def late(small: Small) -> tuple[Run, bytes]:
    """Two honest sites are fixed and revealed; then a third commits to a copy, which a friend showed it."""
    run = small.open()
    for name in SITES[:2]:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    copy = small.update("site-3", run, delta=small.deltas["site-1"])
    return run, copy


def test_a_late_copy_that_the_aggregator_counts_costs_it_its_stake(small: Small) -> None:
    run, copy = late(small)
    small.reveal(run)
    updates = [*small.aggregator.aggregate(run.deal, 1)[1], copy]
    output = small.aggregator.replay.run(1, None, small.aggregator.replay.gather(updates).updates)
    small.publish(run, output, updates)
    assert "not committed to in time" in str(small.sites["site-1"].doubt(run.aggregate))
    gains = judged(small, run, "site-1", REFUTED)
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["site-3"] == 0


def test_a_late_copy_that_claims_to_be_left_off_costs_its_bond(small: Small) -> None:
    run, _ = late(small)
    small.reveal(run)
    output, updates = small.aggregator.aggregate(run.deal, 1)
    small.publish(run, output, updates)
    gains = judged(small, run, "site-3", UPHELD)
    assert gains["site-3"] == -MONEY.bond - MONEY.verifier_fee
    assert gains["aggregator"] == MONEY.fee


def test_a_second_list_refutes_its_signer_and_pays_no_copy(small: Small) -> None:
    run, copy = late(small)
    small.reveal(run)
    first = small.aggregator.held(1, run.deal)
    second = sign_list(small, run, {small_name(small, claim): claim for claim in (*first.fixed, copy)})
    small["aggregator"].send([small[name].did for name in ("site-3", *VERIFIERS)], [second])
    updates = [*small.aggregator.aggregate(run.deal, 1)[1], copy]
    output = small.aggregator.replay.run(1, None, small.aggregator.replay.gather(updates).updates)
    small.publish(run, output, updates, submit=False)
    aggregate = small["aggregator"].statement(run.aggregate)
    refs = [Ref("commitments", second) if ref.role == "commitments" else ref for ref in aggregate.refs]
    run.aggregate = small["aggregator"].attest("aggregate", aggregate.subjects, aggregate.body, refs=refs,
                                               evidence=aggregate.evidence)
    small["aggregator"].send(small.aggregator.everybody(), [second, run.aggregate])
    small.aggregator.submit(run.deal, run.aggregate, output)
    small.receive()
    assert "the one list" in str(small.sites["site-1"].doubt(run.aggregate))
    gains = judged(small, run, "site-1", REFUTED)
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["site-3"] == 0


def test_two_lists_before_the_reveal_are_shown_nothing(small: Small) -> None:
    run = small.open()
    claims = all_committed(small, run)
    small.fix(run)
    small["aggregator"].send([small["site-1"].did], [sign_list(small, run, {"site-1": claims["site-1"]})])
    small.receive()
    with pytest.raises(Refuted, match="several lists"):
        small.sites["site-1"].reveal(run.deal, 1)


def test_a_forged_list_fixes_nothing(small: Small) -> None:
    run = small.open()
    claims = all_committed(small, run)
    forged = sign_list(small, run, claims, by="site-3")
    small["site-3"].send([party.did for party in small.parties.values()], [forged])
    small.receive()
    with pytest.raises(Pending):
        small.sites["site-1"].reveal(run.deal, 1)
    assert small.verifiers["verifier-1"].held(1, run.deal).fixed == frozenset()


def test_a_site_left_off_the_list_shows_nothing_and_is_paid_all_the_same(small: Small) -> None:
    run = small.open()
    claims = all_committed(small, run)
    fixed = sign_list(small, run, {name: claims[name] for name in ("site-1", "site-3")})
    small["aggregator"].send(small.aggregator.everybody(), [fixed])
    small.receive()
    with pytest.raises(Refuted, match="leaves out"):
        small.sites["site-2"].reveal(run.deal, 1)
    run.reveals = [one for one in run.reveals if one[0] != "site-2"]
    small.reveal(run)
    output, updates = small.aggregator.aggregate(run.deal, 1)
    small.publish(run, output, updates)
    assert "leaves out" in str(small.sites["site-2"].doubt(run.aggregate))
    gains = judged(small, run, "site-2", OMITTED)
    assert gains["aggregator"] == 0, "it loses its fee"
    assert gains["site-2"] > 0


# A menu: several updates of one friend are fixed, and the best is named once the others' are known


def menu(small: Small) -> tuple[Run, dict[str, bytes], bytes]:
    """Everybody committed, site-3 to a second update too; what the aggregator would rather count of it."""
    run = small.open()
    claims = all_committed(small, run)
    mean = {name: sum(small.deltas[site][name] for site in SITES) // 3 for name in small.deltas["site-1"]}
    other = small.update("site-3", run, delta=mean)
    small.receive()
    return run, claims, other


def count(small: Small, run: Run, list_: bytes, updates: list[bytes]) -> None:
    """Publish and submit an aggregate of these updates that rests on this list, as a dishonest aggregator can."""
    small.reveal(run)
    replay = small.aggregator.replay
    output = replay.run(1, None, replay.gather(updates).updates)
    small.publish(run, output, updates, submit=False)
    said = small["aggregator"].statement(run.aggregate)
    refs = [*(ref for ref in said.refs if ref.role != "commitments"), Ref("commitments", list_)]
    run.aggregate = small["aggregator"].attest("aggregate", said.subjects, said.body, refs=refs, evidence=said.evidence)
    small["aggregator"].send(small.aggregator.everybody(), [run.aggregate], said.evidence)
    small.aggregator.submit(run.deal, run.aggregate, output)
    small.receive()


def test_a_list_of_two_updates_by_one_site_is_no_list(small: Small) -> None:
    run, claims, other = menu(small)
    body = CommitmentsClaim(1, run.deal, tuple(sorted((small[name].did, claim) for name, claim in claims.items())))
    entries = [*body.body()["updates"], {"claim": other.hex(), "site": small["site-3"].did}]
    list_ = small["aggregator"].attest(
        kinds.COMMITMENTS, digest_subject("deal", run.deal),
        body.body() | {"updates": sorted(entries, key=lambda entry: (entry["site"], entry["claim"]))},
        refs=[Ref("plan", small.plan_id)])
    small["aggregator"].send(small.aggregator.everybody(), [list_])
    small.receive()
    with pytest.raises(Pending):
        small.sites["site-1"].reveal(run.deal, 1)
    count(small, run, list_, [claims["site-1"], claims["site-2"], other])
    assert "the one list" in str(small.sites["site-1"].doubt(run.aggregate))
    gains = judged(small, run, "site-1", REFUTED)
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["aggregator"] + gains["site-3"] < 0, "the two of them end poorer"


def test_a_second_update_under_a_friend_s_name_counts_for_nobody(small: Small) -> None:
    run, claims, other = menu(small)
    list_ = sign_list(small, run, claims | {"site-2": other})  # two friends, and one's place for the other's menu
    small["aggregator"].send(small.aggregator.everybody(), [list_])
    small.receive()
    count(small, run, list_, [claims["site-1"], other])
    for verifier in small.verifiers.values():
        assert verifier.held(1, run.deal).fixed == {claims["site-1"], claims["site-3"]}
    gains = judged(small, run, "site-1", REFUTED)
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["aggregator"] + gains["site-2"] + gains["site-3"] < 0, "the three of them end poorer"


def test_a_verifier_s_list_takes_one_pass_however_much_arrived(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """What strangers send costs its reading, once: not the round's base and plan again for each of them."""
    run = small.open()
    claim = small.update("site-1", run)
    said = small["site-1"].statement(claim)
    stranger = small["stranger"]
    for number in range(20):
        spam = stranger.attest("update", said.subjects, said.body | {"examples": number + 1}, refs=said.refs,
                               evidence=said.evidence)
        stranger.send([small["verifier-1"].did], [spam])
    small.receive()
    worked: list[str] = []
    base, fault = Replay.base, UpdateRule.fault

    def counted_base(replay: Replay, last: bytes | None) -> tuple[State, tuple[Record, ...]]:
        worked.append("base")
        return base(replay, last)

    def counted_fault(rule: UpdateRule, statement: Statement, round_: int, deal: bytes, base: bytes,
                      after: bytes | None) -> str | None:
        worked.append(statement.issuer)
        return fault(rule, statement, round_, deal, base, after)

    monkeypatch.setattr(Replay, "base", counted_base)
    monkeypatch.setattr(UpdateRule, "fault", counted_fault)
    witness = small.verifiers["verifier-1"].witness(run.deal, 1)
    assert CommitmentsClaim.of(small["verifier-1"].statement(witness)).updates == (claim,)
    assert worked.count("base") == 1
    assert stranger.did not in worked
