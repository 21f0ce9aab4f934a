"""Personhood: Semaphore under the port's suite, the claims, acts as files, and who tries to act twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ports.personhood_suite import SECRETS, PersonhoodSuite
from troth.core.claims import Ref, Statement, Subject
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted
from troth.core.ports import Personhood, PersonProof
from troth.identity import semaphore as module
from troth.identity.personhood import (
    ROSTER,
    Act,
    Admission,
    Roster,
    check_acts,
    count,
    message_number,
    scope_number,
)
from troth.identity.semaphore import Semaphore

TOOLS = Path(__file__).parents[1] / "tools"
ADMITTER, GROUP, CLAIM = "did:example:town", "voters", b"\x07" * 32


class TestSemaphore(PersonhoodSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Personhood:
        return Semaphore(TOOLS)

    def test_acts_as_files(self, backend: Personhood, members: list[int]) -> None:
        """One run for many files: right ones, stolen ones, and ones for something else."""
        roster = Roster(GROUP, tuple(members), backend.root(members))
        said = statement(roster)
        number = scope_number(ADMITTER, GROUP, "mayor")
        right = Act(CLAIM, "mayor", "ann", backend.prove(SECRETS[0], members, number, message_number("ann"))).to_bytes()
        fields = decode_object(right)
        elsewhere = encode(fields | {"scope": "judge"})
        bought = encode(fields | {"message": "ben"})
        found = check_acts(backend, said, [right, elsewhere, bought, b"{}", right])
        assert isinstance(found[0], Act)
        assert found[0].to_bytes() == right
        assert [type(one) for one in found[1:]] == [Refuted, Refuted, BadInput, Act]
        roster.check(backend)
        other = statement(roster, issuer="did:example:other")  # another admitter's roster of the same members
        assert [type(one) for one in check_acts(backend, other, [right])] == [Refuted]
        hidden = replace(roster, root=roster.root + 1)
        with pytest.raises(Refuted, match="members"):
            hidden.check(backend)
        assert [type(one) for one in check_acts(backend, statement(hidden), [right])] == [Refuted]
        fewer = Roster(GROUP, tuple(members[:1]), members[0])  # of one member, the root is the member
        assert [type(one) for one in check_acts(backend, statement(fewer), [right])] == [Refuted]


def statement(roster: Roster, issuer: str = ADMITTER) -> Statement:
    return Statement(ROSTER, issuer, 1, (roster.subject(),), roster.body())


def test_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutsideFailed, match="npm install"):
        Semaphore(tmp_path)
    with pytest.raises(OutsideFailed, match="Node is not installed"):
        Semaphore(TOOLS, node="/nowhere/node").root([1])
    with pytest.raises(OutsideFailed, match="exit status 1"):
        Semaphore(TOOLS, node="false").root([1])
    with pytest.raises(OutsideFailed, match="failed"):
        Semaphore(TOOLS, node="true").root([1])
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    with pytest.raises(OutsideFailed, match="in time"):
        Semaphore(TOOLS).root([1])


def test_the_secret_goes_over_standard_input_alone(tmp_path: Path) -> None:
    """A program in Node's place writes down what others could see of it."""
    spy = tmp_path / "node"
    spy.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen\nenv >> {tmp_path}/seen\ncat /proc/$$/cmdline >> '
                   f'{tmp_path}/seen\ncat > {tmp_path}/given\necho "\\"5\\""\n')
    spy.chmod(0o700)
    assert Semaphore(TOOLS, node=str(spy)).commitment(SECRETS[0]) == 5
    assert SECRETS[0].hex() in (tmp_path / "given").read_text()
    assert SECRETS[0].hex() not in (tmp_path / "seen").read_text()
    spy.write_text('#!/bin/sh\ncat >&2\necho Error: $0 >&2\nexit 1\n')
    with pytest.raises(OutsideFailed) as found:
        Semaphore(TOOLS, node=str(spy)).commitment(SECRETS[0])
    assert SECRETS[0].hex() not in str(found.value)


# The claims


def test_claims_are_read_back_and_strictly() -> None:
    roster = Roster(GROUP, (5, 3), 9)
    assert Roster.of(statement(roster)) == roster
    admission = Admission(GROUP, 5)
    said = Statement("admission", ADMITTER, 1, (admission.subject(),), admission.body())
    assert Admission.of(said) == admission
    for bad in (replace(said, kind="roster"), replace(said, version=2), replace(said, refs=(Ref("x", CLAIM),)),
                replace(said, body={"group": GROUP}), replace(said, body=admission.body() | {"more": "1"}),
                replace(said, body=admission.body() | {"commitment": 5}),
                replace(said, body=admission.body() | {"commitment": "05"}),
                replace(said, body=admission.body() | {"commitment": str(2**256)}),
                replace(said, body=admission.body() | {"group": ""}),
                replace(said, subjects=(Subject("commitment", {"sha256": "00" * 32}),))):
        with pytest.raises(BadInput):
            Admission.of(bad)
    for change in ({"members": []}, {"members": ["5", "5"]}, {"members": [5]}, {"members": "5"}, {"root": 9},
                   {"root": "-9"}, {"group": "a\nb"}, {"members": [str(n) for n in range(1, 2**16 + 2)]}):
        with pytest.raises(BadInput):
            Roster.of(replace(statement(roster), body=roster.body() | change))


def test_a_scope_is_one_admitters_and_one_groups() -> None:
    numbers = {scope_number(*one) for one in ((ADMITTER, GROUP, "a"), (ADMITTER, GROUP, "b"), (ADMITTER, "x", "a"),
                                              ("did:example:x", GROUP, "a"), (ADMITTER, GROUP + "a", "a"))}
    assert len(numbers) == 5
    assert message_number("a") != message_number("b")


def test_acts_are_read_strictly() -> None:
    proof = PersonProof(2, 5, 6, message_number("ann"), scope_number(ADMITTER, GROUP, "mayor"), tuple(range(8)))
    act = Act(CLAIM, "mayor", "ann", proof)
    assert Act.from_bytes(act.to_bytes(), ADMITTER, GROUP) == act
    whole = decode_object(act.to_bytes())
    inner = whole["proof"]
    changes: Sequence[dict[str, object]] = (
        {"format": "x"}, {"more": 1}, {"roster": "00"}, {"message": 1}, {"message": ""}, {"scope": "a\x00"},
        {"proof": inner | {"depth": 33}}, {"proof": inner | {"depth": 0}}, {"proof": inner | {"points": ["1"] * 7}},
        {"proof": inner | {"points": ["x"] * 8}}, {"proof": inner | {"nullifier": "06"}},
        {"proof": inner | {"nullifier": str(2**256)}}, {"proof": inner | {"more": 1}}, {"message": "x" * 1025})
    for change in changes:
        with pytest.raises(BadInput):
            Act.from_bytes(encode(whole | change), ADMITTER, GROUP)


def test_nobody_is_counted_twice() -> None:
    def one(nullifier: int, message: str, scope: str = "mayor") -> Act:
        return Act(CLAIM, scope, message, PersonProof(1, 5, nullifier, 0, 0, (0,) * 8))

    assert count([one(1, "ann"), one(2, "ben"), one(3, "ann")]) == {"ann": 2, "ben": 1}
    with pytest.raises(Misuse, match="twice"):
        count([one(1, "ann"), one(1, "ben")])
    with pytest.raises(Misuse, match="scopes"):
        count([one(1, "ann"), one(2, "ann", "judge")])
