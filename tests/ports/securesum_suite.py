"""The suite of ``SecureSum``: what every way to sum secretly does, inherited by each one's tests."""

from __future__ import annotations

import numpy as np
import pytest

from ports.sums import World, drive, total, world
from troth.core.errors import BadInput, Misuse, Pending, TrothError, Undecidable
from troth.learn.masking.port import SecureSum, run


class SecureSumSuite:
    """A backend's tests inherit this, and give ``way``."""

    @pytest.fixture
    def four(self) -> World:
        return world(4)

    def test_the_sum(self, way: SecureSum, four: World) -> None:
        session = four.session(length=33)
        vectors = four.vectors(session)
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        with pytest.raises(Pending):
            server.result()
        found = run(server, lambda calls: {did: sites[did].answer(call) for did, call in calls.items()})
        assert found.included == four.dids
        assert found.dropped == ()
        assert found.faults == ()
        assert found.total.dtype == np.int64
        assert (found.total == np.sum(vectors, axis=0)).all()

    def test_the_ends_of_the_bound(self, way: SecureSum, four: World) -> None:
        session = four.session(length=2)
        vectors = [np.array([session.bound, -session.bound], np.int64)] * 4
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        drive(server, sites)
        assert server.result().total.tolist() == [4 * session.bound, -4 * session.bound]

    def test_a_site_that_never_answers(self, way: SecureSum, four: World) -> None:
        session = four.session()
        vectors = four.vectors(session)
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        drive(server, sites, lambda _, did, answer: None if did == four.dids[2] else answer)
        found = server.result()
        assert found.dropped == (four.dids[2],)
        assert (found.total == total(four, vectors, found)).all()

    def test_noise_for_an_answer_is_none(self, way: SecureSum, four: World) -> None:
        session = four.session()
        vectors = four.vectors(session)
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        drive(server, sites, lambda _, did, answer: answer[:-1] if did == four.dids[3] else answer)
        assert server.result().dropped == (four.dids[3],)

    def test_too_few(self, way: SecureSum, four: World) -> None:
        session = four.session()
        sites, server = four.sites(way, session, four.vectors(session)), way.server(session, four.keys)
        with pytest.raises(Undecidable):
            drive(server, sites, lambda _, did, answer: answer if did in four.dids[:2] else None)
        with pytest.raises((Pending, Undecidable)):
            server.result()

    def test_the_same_call_gets_the_same_answer(self, way: SecureSum, four: World) -> None:
        session = four.session()
        vectors = four.vectors(session)
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        while calls := server.calls():
            answers = {did: sites[did].answer(call) for did, call in calls.items()}
            assert answers == {did: sites[did].answer(call) for did, call in calls.items()}
            server.take(answers)
        assert (server.result().total == np.sum(vectors, axis=0)).all()

    def test_noise_for_a_call_is_refused_and_changes_nothing(self, way: SecureSum, four: World) -> None:
        session = four.session()
        vectors = four.vectors(session)
        sites, server = four.sites(way, session, vectors), way.server(session, four.keys)
        while calls := server.calls():
            for did, call in calls.items():
                for wrong in (b"", call[:-1], call + b"\0", bytes([call[0] ^ 1]) + call[1:]):
                    with pytest.raises(TrothError):
                        sites[did].answer(wrong)
            server.take({did: sites[did].answer(call) for did, call in calls.items()})
        assert (server.result().total == np.sum(vectors, axis=0)).all()

    def test_vectors_that_may_not_be_summed(self, way: SecureSum, four: World) -> None:
        session = four.session(length=2)
        for wrong in (np.zeros(3, np.int64), np.zeros(2), np.array([0, session.bound + 1]), np.zeros((1, 2), np.int64),
                      np.array([-(2**63), 0])):
            with pytest.raises(BadInput):
                way.site(session, four.signers[0], four.keys, wrong)

    def test_a_stranger(self, way: SecureSum, four: World) -> None:
        session = four.session(length=2)
        other = next(one for one in world(9).signers if one.did not in four.dids)
        with pytest.raises(Misuse):
            way.site(session, other, four.keys, np.zeros(2, np.int64))

    def test_no_secret_in_a_repr(self, way: SecureSum, four: World) -> None:
        session = four.session(length=2)
        vector = np.array([123456, 654321], np.int64)
        assert "123456" not in repr(way.site(session, four.signers[0], four.keys, vector))

    def test_its_cost_can_be_asked_for(self, way: SecureSum) -> None:
        small, large = way.cost(10, 1_000), way.cost(10, 1_000_000)
        assert 0 < small.sent < large.sent
        assert 0 < small.site_seconds < large.site_seconds
        assert large.factor >= 1
