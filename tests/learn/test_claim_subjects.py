"""A claim is about what its body says: nobody can publish one file's figures under another file's digest."""

from __future__ import annotations

import pytest

from troth.core.claims import Statement, Subject
from troth.core.errors import BadInput
from troth.learn.claims import AggregateClaim, ModelClaim, Training, UpdateClaim, digest_subject

MINE, OTHER = b"\x01" * 32, b"\x02" * 32
CASES = [
    ("model", "params", ModelClaim(MINE, 8, 960_000, 6_000)),
    ("update", "update", UpdateClaim(1, bytes(32), bytes(32), MINE, 10, bytes(32), Training(1))),
    ("aggregate", "params", AggregateClaim(1, bytes(32), bytes(32), {"params": MINE.hex()})),
]


@pytest.mark.parametrize(("kind", "name", "said"), CASES)
def test_the_subject_is_the_body_digest(kind: str, name: str, said: ModelClaim | UpdateClaim | AggregateClaim) -> None:
    def statement(*subjects: Subject) -> Statement:
        return Statement(kind, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", 1, subjects, said.body())

    (mine,), (other,), (renamed,) = (digest_subject(*found) for found in ((name, MINE), (name, OTHER), ("file", MINE)))
    assert type(said).of(statement(mine)) == said
    for wrong in ((other,), (renamed,), (mine, other)):
        with pytest.raises(BadInput, match="subject"):
            type(said).of(statement(*wrong))
