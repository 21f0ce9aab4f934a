"""Contribution claims about a model of rounds, and about records: what each liar changes, and what is right instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from test_lineage import SITES, SPONSOR, Story, seat, split

from troth.core.claims import Evidence, Ref, Statement, Subject, claim_id
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.learn.claims import Listing, digest_subject
from troth.learn.contributions import (
    CONTRIBUTION,
    DECLARED,
    NEIGHBOURS,
    ROUNDS,
    Contribution,
    Row,
    by_records,
    by_rounds,
    checked,
    lineage,
    settled,
    sources,
)
from troth.learn.data import Part

SUBJECT = (Subject("it", {"sha256": "00" * 32}),)
Lie = Callable[[Contribution], Contribution]


def accounts(did: str) -> tuple[bytes, ...]:
    return () if did == "did:unbound" else (seat(did).account, b"\x99" * 20)


@cache
def story() -> Story:
    return Story().tell()


def say(source: Story, said: Contribution, issuer: str = SPONSOR) -> bytes:
    statement = Statement(CONTRIBUTION, issuer, 9, SUBJECT, said.body(), tuple(said.refs()))
    claim = claim_id(statement.to_bytes())
    source.said[claim] = statement
    return claim


def honest(source: Story) -> Contribution:
    rows = tuple(Row(claim, account, weight)
                 for claim, (account, weight) in sorted(by_rounds(source, source.target).items()))
    return Contribution(source.target, seat(SPONSOR).account, ROUNDS, 300_000, rows)


def test_weights_are_what_the_rounds_pay() -> None:
    source = story()
    said = honest(source)
    assert checked(source, say(source, said), accounts) == said
    assert sum(row.weight for row in said.rows) == 300, "the plan's reward"
    assert {row.account for row in said.rows} == {seat(did).account for did in SITES}
    assert sources(source, source.target) == tuple(row.claim for row in said.rows)
    share = said.share()
    assert share.keeps * 3 == sum(share.passes.values()) * 7
    assert Contribution.of(source.said[say(source, said)]) == said
    tree = lineage(source, source.target, {source.target: said}, accounts)
    assert tree.accounts[source.target] == seat(SPONSOR).account


def first_row(said: Contribution, **changes: object) -> Contribution:
    return replace(said, rows=(replace(said.rows[0], **changes), *said.rows[1:]))  # type: ignore[arg-type]


LIES: dict[str, Lie] = {
    "weights are not what": lambda said: first_row(said, weight=said.rows[0].weight + 1),
    "leaves out what": lambda said: replace(said, rows=said.rows[1:]),
    "names what the thing does not": lambda said: replace(said, rows=tuple(sorted(
        (*said.rows, Row(bytes(32), seat(SPONSOR).account, 1)), key=lambda row: row.claim))),
    "somebody else's account": lambda said: first_row(said, account=seat(SPONSOR).account),
    "another measure": lambda said: replace(said, method=DECLARED),
}


@pytest.mark.parametrize("what", list(LIES))
def test_a_maker_that_lies_is_refuted_and_the_rounds_decide(what: str) -> None:
    source = story()
    said = honest(source)
    claim = say(source, LIES[what](said))
    with pytest.raises(Refuted, match=what):
        checked(source, claim, accounts)
    right, why = settled(source, claim, accounts)
    assert what in str(why)
    assert (right.rows, right.passes) == (said.rows, said.passes)


def test_the_makers_own_account_and_another_makers_word() -> None:
    source = story()
    said = honest(source)
    with pytest.raises(Refuted, match="somebody else's account"):
        checked(source, say(source, replace(said, account=b"\x55" * 20)), accounts)
    stranger = say(source, said, issuer=SITES[0])
    for judge in (checked, settled):
        with pytest.raises(Refuted, match="for its maker"):
            judge(source, stranger, accounts)  # type: ignore[operator]
    with pytest.raises(Undecidable, match="where this contributor is paid"):
        checked(source, say(source, said), lambda did: ())


@pytest.mark.parametrize("change", [
    {"passes_ppm": 1_000_001}, {"passes_ppm": -1}, {"method": "guess"}, {"neighbours": 3}, {"weights": ["1"]},
    {"weights": [1, 1, 1]},
    {"weights": ["-1", "1", "1"]}, {"weights": ["01", "1", "1"]}, {"payees": []}, {"more": 1}, {"account": "00"},
], ids=str)
def test_what_is_no_contribution(change: dict[str, object]) -> None:
    statement = story().said[say(story(), honest(story()))]
    with pytest.raises(BadInput):
        Contribution.of(replace(statement, body=dict(statement.body) | change))


@pytest.mark.parametrize("turn", ["reversed", "twice", "no target", "one more"])
def test_references_have_one_form(turn: str) -> None:
    statement = story().said[say(story(), honest(story()))]
    refs = {"reversed": statement.refs[::-1], "twice": (*statement.refs, statement.refs[-1]),
            "no target": statement.refs[1:], "one more": (*statement.refs, Ref("other", bytes(32)))}[turn]
    with pytest.raises(BadInput):
        Contribution.of(replace(statement, refs=refs))


# ---- records ----

class Records(Story):
    """Two public listings, a validation part, and a run that was trained on the two."""

    def list_part(self, did: str, part: Part, *, sealed: bool = False) -> bytes:
        data = part.to_bytes()
        item = self.keep("records", data, sealed=sealed)
        body = Listing(item.cid, len(part), sealed, bytes(32), part.schema.json()).body()
        statement = Statement("listing", did, 5, digest_subject("records", bytes(32)), body, (), (item,))
        claim = claim_id(statement.to_bytes())
        self.said[claim] = statement
        return claim

    def read(self, item: Evidence) -> bytes:
        if item.sealed:
            raise Undecidable("sealed")
        return self.blobs[item.cid]


def test_records_are_measured_again_by_who_can_read_them() -> None:
    source = Records()
    parts = [source.list_part(did, part) for did, part in zip(SITES[:2], split().sites, strict=False)]
    validation = source.list_part(SPONSOR, split().validation)
    run = Statement("run", SPONSOR, 5, SUBJECT, {}, tuple(Ref("data", one) for one in parts))
    target = claim_id(run.to_bytes())
    source.said[target] = run
    weights = by_records(source, parts, validation, 5, source.read)
    rows = tuple(Row(claim, seat(source.said[claim].issuer).account, weights[claim]) for claim in sorted(parts))
    said = Contribution(target, seat(SPONSOR).account, NEIGHBOURS, 500_000, rows, 5, validation)
    assert min(weights.values()) > 0
    assert checked(source, say(source, said), accounts, source.read) == said
    lie = say(source, replace(said, rows=(replace(rows[0], weight=rows[0].weight * 2), rows[1])))
    assert checked(source, lie, accounts) is not None, "without the records nobody can tell"
    with pytest.raises(Refuted, match="knn-shapley gives"):
        checked(source, lie, accounts, source.read)
    right, _ = settled(source, lie, accounts, source.read)
    assert right.rows == rows
    omits = say(source, replace(said, rows=rows[:1]))
    assert settled(source, omits, accounts, source.read)[0].rows == rows
    assert [row.weight for row in settled(source, omits, accounts)[0].rows] == [1, 1], "equal where nobody can measure"
    # A validation part that is the maker's own choice is named, so everybody sees by what was measured.
    assert Contribution.of(source.said[lie]).validation == validation
    sealed = source.list_part(SITES[2], split().sites[2], sealed=True)
    with pytest.raises(Undecidable):
        by_records(source, [*parts, sealed], validation, 5, source.read)
