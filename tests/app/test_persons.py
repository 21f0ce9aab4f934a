"""Persons among workspaces: a town admits two people, they vote, and nobody votes twice or learns who."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from troth.app import Troth, file_subject
from troth.app.persons import Box, act_once, admit, admitted, name_group, new_person
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.identity.keystore import MIN_COST
from troth.identity.semaphore import PRIME

TOOLS = Path(__file__).parents[1] / "tools"
SECRET = "correct horse"


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Troth:
    monkeypatch.setenv("TROTH_PERSONHOOD_PACKAGES", str(TOOLS))
    for name in ("town", "ann", "ben"):
        Troth.init(tmp_path / name, SECRET, cost=MIN_COST).close()
    return Troth.open(tmp_path / "town", SECRET)


def test_one_ballot_a_person(town: Troth, tmp_path: Path) -> None:
    people = {name: Troth.open(tmp_path / name, SECRET) for name in ("ann", "ben")}
    commitments = {name: new_person(party, SECRET, cost=MIN_COST) for name, party in people.items()}
    with pytest.raises(Misuse, match="already"):
        new_person(people["ann"], SECRET)
    for name in people:
        admit(town, commitments[name], "voters")
    with pytest.raises(Misuse, match="before"):
        admit(town, commitments["ann"], "voters")
    roster = name_group(town, "voters")
    for party in people.values():
        party.meet(town.introduction())
        party.meet(town.parcel([roster]))
    ballots = [act_once(people[name], SECRET, roster, "mayor", said).to_bytes()
               for name, said in (("ann", "yes"), ("ben", "no"), ("ann", "no"))]
    for ballot in ballots:  # a ballot names nobody
        assert not any(party.did.encode() in ballot or str(commitments[name]).encode() in ballot
                       for name, party in people.items())
    box = Box.create(tmp_path / "box", town, roster, "mayor")
    first = box.take(ballots[0])
    box.take(ballots[0])  # the same again changes nothing
    with pytest.raises(Refuted, match="acted in this scope already"):
        box.take(ballots[2])
    with ThreadPoolExecutor(2) as pool:  # two processes at once would do no better than two threads
        results = [task.exception() for task in [pool.submit(box.take, ballots[n]) for n in (1, 2)]]
    assert [type(one) for one in results] == [type(None), Refuted]
    assert dict(box.count()) == {"yes": 1, "no": 1}
    assert dict(Box(tmp_path / "box", people["ben"]).count()) == {"yes": 1, "no": 1}  # anybody with the roster counts
    fields = decode_object(ballots[1])
    for changed in (fields | {"scope": "judge"}, fields | {"message": "yes"}, fields | {"roster": "00" * 32},
                    fields | {"proof": fields["proof"] | {"nullifier": "7"}}):
        with pytest.raises(Refuted):
            box.take(encode(changed))
    with pytest.raises(BadInput):
        box.take(bytes(1 << 15))
    kept = tmp_path / "box" / "acts" / str(first.proof.nullifier)
    kept.write_bytes(encode(decode_object(ballots[0]) | {"message": "no"}))  # the keeper of the box cheats
    with pytest.raises(Refuted, match="does not hold"):
        box.count()
    assert not [path for path in (tmp_path / "box" / "acts").iterdir() if path.name.startswith(".")]
    for party in people.values():
        party.close()
    town.close()


@pytest.mark.parametrize("commitment", [0, PRIME, PRIME + 1, 1 << 255])
def test_a_number_that_is_no_commitment_does_not_end_a_group(town: Troth, commitment: int) -> None:
    """Admitted, it could not be taken back, and no roster could be made of the group any more."""
    with town, pytest.raises(Misuse, match="not a commitment"):
        admit(town, commitment, "voters")


def test_a_claim_by_hand_that_admits_nobody_hides_no_other(town: Troth) -> None:
    with town:
        admit(town, 5, "voters")
        town.attest("admission", [file_subject("x", b"x")], {"surplus": 1})
        admit(town, 6, "voters")
        assert admitted(town, "voters") == (5, 6)


def test_what_is_not_there(town: Troth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Undecidable, match="no person"):
        act_once(town, SECRET, bytes(32), "mayor", "yes")
    with pytest.raises(Undecidable, match="no box"):
        Box(tmp_path / "none", town)
    with pytest.raises(Misuse, match="nobody"):
        name_group(town, "voters")
    claim = admit(town, 5, "voters")
    with pytest.raises(BadInput, match="roster"):
        Box.create(tmp_path / "box", town, claim, "mayor")
    town.close()
    monkeypatch.delenv("TROTH_PERSONHOOD_PACKAGES")
    with Troth.open(tmp_path / "town", SECRET) as unset, pytest.raises(Misuse, match="no backend"):
        name_group(unset, "voters")
