"""Was my work used: found by name, by another listing, by records; not found; and not to be told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from troth.core.claims import Ref, Statement, Subject
from troth.core.encoding import sha256
from troth.core.errors import Misuse, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.store.commitments import Listing, commit
from troth.verify.usage import Own, touched, used

ME, OTHER = "did:key:me", "did:key:other"
WORK = [b"1,2,3", b"4,5,6", b"7,8,9"]
KEY = sha256(b"my key")


@dataclass
class Claims:
    """Claims by id, in order."""

    all: dict[bytes, Statement] = field(default_factory=dict)

    def say(self, kind: str, issuer: str = OTHER, body: dict[str, object] | None = None,
            **refs: bytes | list[bytes]) -> bytes:
        listed = [Ref(role, claim) for role, found in refs.items()
                  for claim in (found if isinstance(found, list) else [found])]
        made = Statement(kind, issuer, len(self.all), (Subject("it", {"sha256": "00" * 32}),), body or {},
                         tuple(listed))
        claim = sha256(made.to_bytes())
        self.all[claim] = made
        return claim

    def statement(self, claim: bytes) -> Statement:
        if claim not in self.all:
            raise Undecidable("not here")
        return self.all[claim]

    def listing(self, issuer: str, records: list[bytes], key: bytes, cid: str) -> bytes:
        return self.say("listing", issuer, {"cid": cid, "commitment": commit(key, records).root.hex(),
                                            "rows": len(records)})


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def mine(claims: Claims) -> bytes:
    return claims.listing(ME, WORK, KEY, "mine")


def test_found_by_name_through_others(claims: Claims, mine: bytes) -> None:
    update = claims.say("update", listing=mine)
    model = claims.say("model", aggregate=claims.say("aggregate", update=update))
    found = used(claims, mine, model)
    assert found.outcome is Outcome.UPHELD
    assert [part.split()[0] for part in found.steps[1].detail.split(" <- ")] == ["listing", "update", "aggregate",
                                                                                "model"]


def test_found_under_another_name(claims: Claims, mine: bytes) -> None:
    """Somebody lists the same ciphertext, or a stolen commitment, as its own."""
    for cid, commitment in (("mine", "00" * 32), ("other", commit(KEY, WORK).root.hex())):
        copy = claims.say("listing", OTHER, {"cid": cid, "commitment": commitment, "rows": 3})
        found = used(claims, mine, claims.say("model", data=copy))
        assert (found.outcome, found.steps[1].outcome, found.steps[2].outcome) == (
            Outcome.UPHELD, None, Outcome.UPHELD), "what another step did not find refutes nothing"
    # Zeros commit to nothing: two public listings are not the same work.
    public = claims.say("listing", ME, {"cid": "a", "commitment": "00" * 32, "rows": 1})
    other = claims.say("listing", OTHER, {"cid": "b", "commitment": "00" * 32, "rows": 1})
    assert used(claims, public, claims.say("model", data=other)).outcome is Outcome.REFUTED


def test_found_by_records(claims: Claims, mine: bytes) -> None:
    """Relisted under another key, so that no commitment tells; the records do, where they can be seen."""
    taken, key = [b"x,y,z", *WORK[:2]], sha256(b"their key")
    copy = claims.listing(OTHER, taken, key, "theirs")
    model = claims.say("model", data=copy)
    assert used(claims, mine, model).outcome is Outcome.REFUTED, "nobody looked at records"
    assert used(claims, mine, model, Own(WORK)).outcome is Outcome.UNDECIDABLE, "sealed"
    assert used(claims, mine, model, Own(WORK), lambda said: taken).outcome is Outcome.UPHELD
    opened = Listing(key, taken)
    openings = {copy: [opened.open(at, record) for at, record in enumerate(taken)]}
    found = used(claims, mine, model, Own(WORK, openings))
    assert (found.outcome, found.steps[3].detail[:6]) == (Outcome.UPHELD, "2 of 3")
    assert used(claims, mine, model, Own(WORK, openings, least=700_000)).outcome is Outcome.REFUTED
    forged = Listing(sha256(b"another"), WORK)
    with pytest.raises(Refuted, match="not of this listing"):
        used(claims, mine, model, Own(WORK, {copy: [forged.open(0, WORK[0])]}))


def test_one_record_does_not_count_three_times(claims: Claims, mine: bytes) -> None:
    copy = claims.listing(OTHER, [WORK[0]] * 3, sha256(b"k"), "theirs")
    found = used(claims, mine, claims.say("model", data=copy), Own(WORK), lambda said: [WORK[0]] * 3)
    assert found.steps[3].detail.startswith("1 of 3")


def test_not_found_and_not_to_be_told(claims: Claims, mine: bytes) -> None:
    model = claims.say("model", data=claims.listing(OTHER, [b"q"], sha256(b"k"), "theirs"))
    assert used(claims, mine, model).outcome is Outcome.REFUTED
    gap = claims.say("model", data=sha256(b"not here"))
    assert used(claims, mine, gap).outcome is Outcome.UNDECIDABLE
    with pytest.raises(Misuse, match="no listing"):
        used(claims, model, gap)
    with pytest.raises(Undecidable):
        used(claims, mine, sha256(b"nowhere"))


def test_what_an_erasure_touches(claims: Claims, mine: bytes) -> None:
    """The model and its sale are stale; the licence foresees a refund, and only the listing's issuer erases it."""
    other = claims.listing(OTHER, [b"q"], sha256(b"k"), "theirs")
    model = claims.say("model", data=[mine, other])
    money = {"money": {"price": "500"}}
    offer = claims.say("offer", OTHER, {"licence": {"erasure": "ends", "refund": 4_000}, "deal": money}, offers=model)
    stays = claims.say("offer", OTHER, {"licence": {"erasure": "stays", "refund": 0}, "deal": money}, offers=mine)
    long = claims.say("offer", OTHER, {"licence": {}, "deal": {"money": {"price": "9" * 5_000}}}, offers=mine)
    order = claims.say("order", "did:key:buyer", {}, offer=offer)
    deal = sha256(b"deal")
    claims.say("handover", OTHER, {"deal": deal.hex()}, order=order)
    claims.say("erasure", OTHER, {}, listing=mine)
    before = touched(claims.all.items(), mine)
    assert not before.erased
    claims.say("erasure", ME, {}, listing=mine)
    found = touched(claims.all.items(), mine)
    assert found.erased
    assert [kind for _, kind in found.stale] == ["model", "offer", "offer", "offer", "order", "handover"]
    by = {one.offer: one for one in found.licences}
    assert by[long].claim is None
    assert (by[offer].erasure, by[offer].claim, by[offer].holders, by[offer].deals) == (
        "ends", 200, ("did:key:buyer",), (deal,))
    assert (by[stays].erasure, by[stays].claim, by[stays].holders) == ("stays", 0, ())
    assert found.deals == (deal,)
    assert {one.offer for one in touched(claims.all.items(), other).licences} == {offer}
    with pytest.raises(Misuse):
        touched(claims.all.items(), model)
