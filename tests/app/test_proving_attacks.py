"""A claim of an answer whose issuer lies, under a policy that names whom and what to believe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from troth.app import Settings, Troth
from troth.app.proving import prove
from troth.core.claims import Statement
from troth.core.errors import Undecidable
from troth.core.ports import Finding
from troth.core.verdicts import Outcome
from troth.fixed.program import Affine, Program
from troth.identity.keystore import MIN_COST
from troth.verify.answers import Answer, check_answer

MODEL, OTHER = (Program(np.full(2, -4), np.full(2, 3), (Affine(0, np.array([[weight, 1]]), np.array([0])),), "number")
                for weight in (2, 3))


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troth]:
    folder = tmp_path_factory.mktemp("liar")
    with Troth.init(folder / "home", "x", Settings("liar", f"embedded:{folder / 'chain'}", str(folder / "exchange")),
                    cost=MIN_COST) as found:
        yield found


def checked(party: Troth, statement: Statement, *believed: bytes) -> list[Finding]:
    return list(check_answer(statement, party.read, frozenset(believed)))


def test_scores_counted_from_elsewhere_are_not_upheld(liar: Troth) -> None:
    made = prove(liar, MODEL, (3, -2))
    said = made.answer
    believed = said.reading
    assert {one.outcome for one in checked(liar, liar.statement(made.claim), believed)} == {Outcome.UPHELD}
    # The same proof and the same publics, and scores that are 100 higher.
    lie = replace(said, scores=tuple(score + 100 for score in said.scores),
                  ranges=tuple((low + 100, high + 100) for low, high in said.ranges))
    assert (lie.publics, lie.model) == (said.publics, said.model)
    with pytest.raises(Undecidable, match="nobody you believe"):
        checked(liar, replace(liar.statement(made.claim), body=lie.body()), believed)
    for other in (replace(said, says=("something else",)), replace(said, output="label")):
        assert Answer.of(replace(liar.statement(made.claim), body=other.body())) == other
        with pytest.raises(Undecidable, match="nobody you believe"):
            checked(liar, replace(liar.statement(made.claim), body=other.body()), believed)


def test_a_program_that_nobody_named_is_not_upheld_for_being_executed_again(liar: Troth) -> None:
    believed = prove(liar, MODEL, (3, -2), seconds=0)
    other = prove(liar, OTHER, (3, -2), seconds=0)
    assert checked(liar, liar.statement(believed.claim), MODEL.digest)[0].outcome is Outcome.UPHELD
    with pytest.raises(Undecidable, match="nobody you believe"):
        checked(liar, liar.statement(other.claim), MODEL.digest)
