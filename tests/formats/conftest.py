"""Workspaces on no chain, a model's directory, keys of others, and a lineage as a round of training leaves it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from formats_parts import PASSPHRASE, FixedClock, Lineage

from troth.app import Settings, Troth
from troth.core.claims import Ref
from troth.formats.foreign import ForeignKey
from troth.identity.keystore import MIN_COST
from troth.learn.claims import (
    LISTING,
    MODEL,
    PLAN,
    UPDATE,
    Listing,
    ModelClaim,
    Plan,
    Seat,
    Training,
    UpdateClaim,
    digest_subject,
)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def make(tmp_path: Path, clock: FixedClock) -> Iterator[Callable[[str], Troth]]:
    """Makes workspaces."""
    made: list[Troth] = []

    def one(name: str) -> Troth:
        made.append(Troth.init(tmp_path / name, PASSPHRASE, Settings(name, "", ""), cost=MIN_COST, clock=clock))
        return made[-1]

    yield one
    for party in made:
        party.close()


@pytest.fixture
def party(make: Callable[[str], Troth]) -> Troth:
    return make("sponsor")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's directory: weights below a folder, a card, and what git leaves."""
    folder = tmp_path / "model"
    (folder / "weights").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "README.md").write_text("# a model\n")
    (folder / "weights" / "a.bin").write_bytes(bytes(range(256)) * 8)
    (folder / "weights" / "β.bin").write_bytes(b"two")
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


@pytest.fixture(scope="session")
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def public(private: ec.EllipticCurvePrivateKey) -> ForeignKey:
    return ForeignKey.checked(private.public_key())


@pytest.fixture
def lineage(party: Troth) -> Lineage:
    """Two listings, a plan, an update and a model, in one party's log: the shape of a round, without the chain."""
    rows = b"age,score\n41,7\n38,9\n"
    public = party.add("records", rows)
    schema = {"classes": ["low", "high"], "columns": ["age", "score"], "media_type": "text/csv", "source": "made up"}
    open_ = Listing(public.cid, 2, False, bytes(32), schema)
    validation = party.attest(LISTING, digest_subject("records", hashlib.sha256(public.cid.encode()).digest()),
                              open_.body(), evidence=[public])
    sealing = party.seal_records(rows, rows.splitlines()[1:])
    hidden = Listing(sealing.evidence.cid, 2, True, sealing.commitment, schema)
    sealed = party.attest(LISTING, digest_subject("records", hashlib.sha256(hidden.cid.encode()).digest()),
                          hidden.body(), evidence=[sealing.evidence])
    seats = [Seat(f"did:key:z{letter}", bytes([number]) * 20) for number, letter in enumerate("abc")]
    plan = Plan((Seat(party.did, bytes([9]) * 20),), seats[0], tuple(seats[1:]), 1, 3_000, "nnm+trimmed_mean", 131_072,
                bytes(32), "open")
    plan_id = party.attest(PLAN, digest_subject("seed", bytes(32)), plan.body(),
                           refs=[Ref("validation", validation), Ref("listing", sealed)])
    delta = hashlib.sha256(b"update").digest()
    update = UpdateClaim(1, bytes(32), bytes(32), delta, 2, sealing.commitment, Training(131_072))
    update_id = party.attest(UPDATE, digest_subject("update", delta), update.body(),
                             refs=[Ref("plan", plan_id), Ref("listing", sealed)])
    params = b"weights"
    digest = hashlib.sha256(params).digest()
    said = ModelClaim(digest, 1, 964_601, 6_242)
    model = party.attest(MODEL, digest_subject("params", digest), said.body(),
                         refs=[Ref("plan", plan_id), Ref("aggregate", update_id)])
    return Lineage(party, model, validation, sealed, params)
