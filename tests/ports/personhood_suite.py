"""What every backend of the port ``Personhood`` must do. Its runs are slow, so they are made once and shared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from troth.core.errors import BadInput, Misuse
from troth.core.ports import Personhood, PersonProof

SECRETS = [bytes([n]) * 32 for n in (1, 2, 3)]
SCOPE, MESSAGE = 2**255 + 7, 2**254 + 1


class PersonhoodSuite:
    """Inherit it, and give a ``backend`` and the ``proofs`` below by fixtures of wider scope."""

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Personhood:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def members(cls, backend: Personhood) -> list[int]:
        return [backend.commitment(secret) for secret in SECRETS]

    @pytest.fixture(scope="class")
    @classmethod
    def proofs(cls, backend: Personhood, members: list[int]) -> list[PersonProof]:
        """The first person acts twice in one scope, and the second once."""
        return [backend.prove(SECRETS[0], members, SCOPE, MESSAGE), backend.prove(SECRETS[0], members, SCOPE, 5),
                backend.prove(SECRETS[1], members, 6, MESSAGE)]

    def test_what_is_proven_holds(self, backend: Personhood, members: list[int], proofs: list[PersonProof]) -> None:
        assert backend.holds(proofs) == (True,) * 3
        assert {one.root for one in proofs} == {backend.root(members)}
        assert [(one.scope, one.message) for one in proofs] == [
            (SCOPE, MESSAGE), (SCOPE, 5), (6, MESSAGE)]

    def test_a_nullifier_is_one_persons_in_one_scope(self, proofs: list[PersonProof]) -> None:
        first, again, other = (one.nullifier for one in proofs)
        assert first == again
        assert first != other

    def test_nothing_changed_holds(self, backend: Personhood, proofs: list[PersonProof]) -> None:
        one = proofs[0]
        prime = 21888242871839275222246405745257275088548364400416034343698204186575808495617
        changed = [replace(one, message=one.message + 1), replace(one, scope=one.scope + 1),
                   replace(one, nullifier=proofs[2].nullifier), replace(one, nullifier=one.nullifier + 1),
                   replace(one, nullifier=one.nullifier + prime), replace(one, root=one.root + prime),
                   replace(one, root=one.root + 1), replace(one, depth=one.depth + 1), replace(one, depth=0),
                   replace(one, points=proofs[1].points), replace(one, points=one.points[:-1]),
                   replace(one, points=(0,) * 8), replace(one, points=(1, *one.points[1:]))]
        assert backend.holds([*changed, one]) == (False,) * len(changed) + (True,)
        assert backend.holds([]) == ()

    def test_strangers_and_groups_that_are_none(self, backend: Personhood, members: list[int]) -> None:
        with pytest.raises(Misuse):
            backend.prove(SECRETS[2], members[:2], SCOPE, MESSAGE)
        with pytest.raises(Misuse):
            backend.commitment(b"short")
        for group in ([], [members[0], members[0]], [0], [2**256]):
            with pytest.raises(BadInput):
                backend.root(group)
