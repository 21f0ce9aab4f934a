"""Sales with a proof that the key fits: a wrong key is refused before anything is paid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sale_parts import DATA, MONEY, VERIFIERS, Market

from small_fit import small
from troth.app import fitting as app
from troth.compute.statements.statement import Proven
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.flows import sale as flow
from troth.flows.sale_bench import join_bench
from troth.flows.sale_deal import FIT
from troth.flows.sale_fit import Fitting

pytest.importorskip("zksnake")
WRONG = bytes(range(32))


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    found = Market(tmp_path_factory.mktemp("fit"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def seller() -> Fitting:
    return small()


@pytest.fixture(scope="module")
def buyer(seller: Fitting) -> Fitting:
    return replace(seller, prover=None, keys=None)


def handed(market: Market, fitting: Fitting | None, data_key: bytes | None = None) -> bytes:
    """A handover of a new order of the buyer's."""
    offers = [claim for claim, _ in market["buyer"].claims("offer")]
    if not offers:
        offers.append(market.sells())
        market.shows(offers[0], ["buyer"])
    party, offer, order = market["seller"], offers[0], market.orders(offers[0])
    key = data_key or market.data_key(party.statement(offer).body["cid"])
    claim = flow.hand(party, order, market.root("seller"), key, party.identity.account.sign_digest, market.world.now(),
                      fitting)
    market.receive()
    return claim


def pays(market: Market, handover: bytes, fitting: Fitting) -> None:
    flow.fund(market["buyer"], handover, market.root("buyer"), market.world.now(), fitting)


def refused(market: Market, handover: bytes, fitting: Fitting, why: str) -> None:
    """The buyer does not pay, and nothing moved."""
    before = market.holds()
    with pytest.raises(Refuted, match=why):
        pays(market, handover, fitting)
    assert market.holds() == before


def test_a_key_that_is_proven_is_paid_and_opens(market: Market, seller: Fitting, buyer: Fitting) -> None:
    before = market.holds()
    handover = handed(market, seller)
    market.funds(handover)   # a buyer that asks for no proof buys as ever
    market.reveals(handover)
    found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    assert (found.outcome, found.data) == (UPHELD, DATA)
    assert flow.key_of(market["buyer"], handover, market.root("buyer")) == found.data_key
    market.ends(handover)
    assert market.holds()["seller"] == before["seller"] + MONEY.price
    again = handed(market, seller)
    pays(market, again, buyer)
    assert market.holds()["buyer"] == before["buyer"] - 2 * MONEY.price


def test_a_wrong_key_is_refused_before_it_is_paid(market: Market, seller: Fitting, buyer: Fitting) -> None:
    with pytest.raises(Refuted, match="does not fit"):   # by an honest seller's own program, before it proves
        handed(market, seller, WRONG)
    refused(market, handed(market, None, WRONG), buyer, "no proof came")
    refused(market, handed(market, None), buyer, "no proof came")


@dataclass(frozen=True, slots=True)
class Sends(Fitting):
    """A seller that sends this, whatever it is."""

    sent: bytes = b""

    def prove(self, *_: object) -> bytes:
        return self.sent


def proof_in(market: Market, handover: bytes, name: str = "buyer") -> bytes:
    return market[name].read(market[name].statement(handover).evidence[1])


def test_proofs_of_something_else_are_refused(market: Market, seller: Fitting, buyer: Fitting) -> None:
    good = proof_in(market, handed(market, seller))
    refused(market, handed(market, Sends(b"", sent=good), WRONG), buyer, "another context")
    # By a seller that makes the keys itself, and one that changes what it hands over.
    own = seller.prover
    assert own is not None
    keys = own.setup(seller.statement.circuit)
    refused(market, handed(market, replace(seller, verifying=keys.verifying, keys=keys)), buyer, "another key")
    real = Proven.from_bytes(good)
    other = replace(real, publics=real.publics | {"handed0": real.publics["handed0"] + 1})
    refused(market, handed(market, Sends(b"", sent=other.to_bytes())), buyer, "another context")

    @dataclass(frozen=True, slots=True)
    class Changes(Fitting):
        def prove(self, *what: object) -> bytes:
            made = Proven.from_bytes(Fitting.prove(self, *what))  # type: ignore[arg-type]
            return replace(made, publics=made.publics | {"handed0": 5}).to_bytes()

    changes = Changes(seller.verifying, seller.prover, seller.keys, seller.check_with, seller.statement)
    refused(market, handed(market, changes), buyer, "does not hold")
    with pytest.raises(BadInput):
        pays(market, handed(market, Sends(b"", sent=b"{}")), buyer)
    with pytest.raises(Misuse, match="nothing to prove with"):
        handed(market, buyer)


def test_the_proven_key_opens_where_e_does_not(market: Market, seller: Fitting, buyer: Fitting,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """A seller that proves a right key and hands over another in E gains nothing: no dispute is needed."""
    wraps = flow.hand_over
    monkeypatch.setattr(flow, "hand_over", lambda key, *rest: wraps(WRONG, *rest))
    handover = handed(market, seller)
    monkeypatch.undo()
    pays(market, handover, buyer)
    market.receive()
    for name in VERIFIERS:
        join_bench(market[name], handover)
    market.reveals(handover)
    found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    assert (found.outcome, found.data) == (UPHELD, DATA)
    assert flow.key_of(market["buyer"], handover, market.root("buyer")) == found.data_key


def test_a_proof_that_nobody_can_open_keeps_no_buyer_from_complaining(market: Market, monkeypatch: pytest.MonkeyPatch
                                                                      ) -> None:
    """To a buyer that asked for none: it is passed over, and the wrong key found as ever."""
    add, own = market["seller"].add, market["seller"].did
    monkeypatch.setattr(market["seller"], "add", lambda name, data, to=None: add(name, data, to and [own]))
    for sent, key in ((b"none", WRONG), (b"none", None)):
        handover = handed(market, Sends(b"", sent=sent), key)
        with pytest.raises(Undecidable):
            proof_in(market, handover)
        market.funds(handover)
        market.reveals(handover)
        found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
        assert found.outcome == (UPHELD if key is None else REFUTED)
        if key is None:
            assert flow.key_of(market["buyer"], handover, market.root("buyer")) == found.data_key
        else:
            assert flow.complain(market["buyer"], handover, market.root("buyer"))


def test_who_looks_on_cannot_open_with_the_secret(market: Market, seller: Fitting) -> None:
    """The proof is what hides the key under a secret that everybody sees: it is sealed to the buyer."""
    handover = handed(market, seller)
    market.funds(handover)
    market.reveals(handover)
    assert [(one.name, one.sealed) for one in market["seller"].statement(handover).evidence] == [
        ("handed", False), (FIT, True)]
    market["buyer"].send([market["other"].did], [handover], market["buyer"].statement(handover).evidence)
    market.receive()
    for name in ("verifier-1", "other"):
        with pytest.raises(Undecidable):
            proof_in(market, handover, name)


def test_its_cost_is_said_beforehand(tmp_path: Path) -> None:
    found = app.estimate()
    assert found.constraints == app.CONSTRAINTS
    assert 30 < found.setup < 120
    assert found.memory < 2 << 30
    for side in (app.for_buyer, app.for_seller):
        with pytest.raises(Undecidable, match="no key"):
            side(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_real_proof_is_sold_by(market: Market, tmp_path: Path) -> None:
    """Minutes: 175,000 constraints, keys from a folder as `make` leaves them."""
    app.make(tmp_path)
    seller, buyer = app.for_seller(tmp_path), app.for_buyer(tmp_path)
    assert abs(seller.statement.circuit.constraints - app.CONSTRAINTS) < 1_000
    with pytest.raises(Refuted, match="does not fit"):
        handed(market, seller, WRONG)
    handover = handed(market, seller)
    pays(market, handover, buyer)
    market.receive()
    for name in VERIFIERS:
        join_bench(market[name], handover)
    market.reveals(handover)
    assert flow.receive_goods(market["buyer"], handover, market.root("buyer")).data == DATA
