"""A consortium's model in a workspace, as a round leaves it: claims, public validation records, parameters."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from troth.app import Troth
from troth.core.claims import Ref
from troth.fixed.numbers import ONE
from troth.learn import arrays
from troth.learn.claims import Listing, ModelClaim, Plan, Seat, digest_subject
from troth.learn.data import scaling
from troth.learn.sets import BREAST_CANCER, breast_cancer


def trained_state() -> dict[str, np.ndarray]:
    """A logistic regression over the first 120 records, as a round's state."""
    part = breast_cancer().rows(range(120))
    table = scaling(part).apply(part.features) / ONE
    fitted = LogisticRegression().fit(table, part.labels)
    return {"bias": np.rint(fitted.intercept_ * ONE).astype(np.int64),
            "weights": np.rint(fitted.coef_[0] * ONE).astype(np.int64)}


def published(party: Troth, state: dict[str, np.ndarray], digest: bytes | None = None) -> bytes:
    """A model claim as a round leaves it, of a plan whose validation records are public."""
    part = breast_cancer().rows(range(120))
    records = party.add("records", part.to_bytes())
    listing = party.attest("listing", digest_subject("records", bytes(32)), Listing(
        records.cid, len(part), False, bytes(32), BREAST_CANCER.json()).body(), evidence=[records])
    seats = [Seat(f"did:s{at}", bytes([at]) * 20) for at in range(3)]
    plan = Plan(tuple(seats), Seat("did:a", b"a" * 20), (Seat("did:v", b"v" * 20),), 1, 300, "mean", 1 << 16, bytes(32),
                "open")
    planned = party.attest("plan", digest_subject("plan", bytes(32)), plan.body(), refs=[Ref("validation", listing)])
    named = arrays.digest(state) if digest is None else digest
    return party.attest("model", digest_subject("params", named), ModelClaim(named, 1, 0, 0).body(), refs=[
        Ref("plan", planned)], evidence=[party.add("params", arrays.encode(state))])
