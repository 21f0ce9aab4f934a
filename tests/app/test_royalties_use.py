"""Was my work used, asked of a bundle; sealed listings; and what an erasure leaves."""

from __future__ import annotations

from places import Place, meet

from troth.app.royalties import check_use, touched_by
from troth.core.claims import Ref, Subject
from troth.core.verdicts import Outcome
from troth.learn.claims import Listing, digest_subject

RECORDS = b"word,label\nhaus,1\nmaus,0\nlaus,1\n"
SUBJECT = [Subject("it", {"sha256": "11" * 32})]


def test_a_bundle_is_asked_and_a_changed_one_is_not_believed(place: Place) -> None:
    """The maker's bundle names the annotator's listing; another of its models does not; a changed byte is refuted."""
    maker, annotator = place.make("maker"), place.make("annotator")
    annotator.use_contracts(maker.deploy())
    meet(maker, annotator)
    sealing = annotator.seal_records(RECORDS, RECORDS.splitlines()[1:])
    said = Listing(sealing.evidence.cid, 3, True, sealing.commitment, {"columns": ["word"]})
    listing = annotator.attest("listing", digest_subject("records", bytes(32)), said.body(),
                               evidence=[sealing.evidence])
    annotator.send([maker.did], [listing])
    maker.receive()
    theirs = maker.attest("run", SUBJECT, {"number": 1}, refs=[Ref("data", listing)])
    other = maker.attest("run", SUBJECT, {"number": 2})
    stolen = maker.add("records", RECORDS)
    copied = maker.attest("listing", digest_subject("records", bytes(32)), Listing(
        stolen.cid, 3, False, bytes(32), {"columns": ["word"]}).body(), evidence=[stolen])
    quiet = maker.attest("run", SUBJECT, {"number": 3}, refs=[Ref("data", copied)])
    maker.anchor()
    trust = annotator.trust({"maker": [maker.did], "annotator": [annotator.did]}, maker.log_pin(), {"name": "attested"})
    found = {}
    for name, target in (("theirs", theirs), ("other", other), ("quiet", quiet)):
        path = place.root / name
        maker.bundle(target, path)
        found[name] = check_use(annotator, listing, path, trust).outcome
    assert found == {"theirs": Outcome.UPHELD, "other": Outcome.REFUTED, "quiet": Outcome.REFUTED}
    own = check_use(annotator, listing, place.root / "quiet", trust, RECORDS.splitlines()[1:])
    assert (own.outcome, own.steps[4].detail) == (Outcome.UPHELD, "3 of 3 records are in it, byte for byte")
    assert check_use(annotator, listing, place.root / "theirs").outcome is Outcome.UNDECIDABLE, "nobody vouches for it"
    data = (place.root / "theirs").read_bytes()
    assert data.count(b'"number":1') == 1
    (place.root / "changed").write_bytes(data.replace(b'"number":1', b'"number":9'))
    assert check_use(annotator, listing, place.root / "changed", trust).outcome is Outcome.REFUTED

    annotator.send([maker.did], [annotator.erase(listing)])
    maker.receive()
    after = touched_by(maker, listing)
    assert (after.erased, after.stale) == (True, ((theirs, "run"),))
    assert maker.trace(theirs).stale
    assert not maker.trace(other).stale
