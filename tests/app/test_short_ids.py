"""Ids by their first digits: found among what is here, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from places import Place, attest

from troth.app import Troth, short_ids
from troth.app.short_ids import LEAST, claim_of
from troth.core.errors import BadInput, Misuse, Undecidable


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Troth]:
    place = Place(tmp_path)
    yield place.make("me")
    place.close()


def test_a_claim_by_its_first_digits(party: Troth) -> None:
    claims = [attest(party, str(n)) for n in range(20)]
    for claim in claims:
        for length in (LEAST, LEAST + 1, 63, 64):
            assert claim_of(party, claim.hex()[:length]) == claim
    assert claim_of(party, f"0x{claims[0].hex()[:18].upper()}") == claims[0]
    assert claim_of(party, "ab" * 32) == bytes.fromhex("ab" * 32)  # a whole id is taken as it is


@pytest.mark.parametrize("text", ["", "123456789abcdef", "nothexdigits", "0x", "ab" * 33, "1234567812345678 "])
def test_what_is_no_id(party: Troth, text: str) -> None:
    with pytest.raises(BadInput, match="no id of a claim"):
        claim_of(party, text)


def test_a_prefix_of_nothing_here(party: Troth) -> None:
    claim = attest(party, "one").hex()
    with pytest.raises(Undecidable, match="no claim here begins") as told:
        claim_of(party, claim[:16] + ("0" if claim[16] != "0" else "1"))
    assert "troth pull" in str(told.value)


def test_a_prefix_of_several_names_them(party: Troth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ids that share sixteen digits take too long to make: a shorter prefix shows the same."""
    monkeypatch.setattr(short_ids, "LEAST", 1)
    claims = [attest(party, str(n)).hex() for n in range(17)]
    digit = next(digit for digit in "0123456789abcdef" if sum(one[0] == digit for one in claims) > 1)
    alike = [one for one in claims if one[0] == digit]
    with pytest.raises(Misuse, match=f"{len(alike)} claims begin with these digits") as told:
        claim_of(party, digit)
    assert [one in str(told.value) for one in alike[:5]] == [True] * min(5, len(alike))
    assert [one.hex() for one in party.log.beginning(digit)] == alike
