"""Bundles in files, for this verifier and for any other: what was right or wrong when written still is.

``python tests/verify/test_vectors_bundle.py`` writes them anew from the attacks (only after a change of format).
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import forge
import pytest

from troth.core.errors import BadInput
from troth.core.verdicts import Outcome
from troth.ledger.bundle import TAGS, _scan
from troth.verify.bundle import verify
from troth.verify.trust import Trust

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"
LONGEST = 8000


def judged(data: bytes, trust: Trust | None) -> dict[str, Any] | None:
    """The first step that stops it and how; None if none does before step 8."""
    try:
        report = verify(io.BytesIO(data), trust, policies=forge.POLICIES)
    except BadInput as error:
        return {"step": int(str(error).split()[1]), "outcome": "malformed"}
    for step in report.steps:
        if step.outcome not in (None, Outcome.UPHELD):
            return None if trust is None and step.n >= 8 else {"step": step.n, "outcome": step.outcome.value}
    return None


def load() -> tuple[bytes, Trust, list[dict[str, Any]]]:
    return ((FOLDER / "honest.troth").read_bytes(), Trust.from_bytes((FOLDER / "trust.json").read_bytes()),
            json.loads((FOLDER / "cases.json").read_text()))


HONEST, TRUST, CASES = load() if FOLDER.exists() else (b"", Trust(), [])


def test_the_honest_vector_is_upheld() -> None:
    assert verify(io.BytesIO(HONEST), TRUST, policies=forge.POLICIES).outcome is Outcome.UPHELD
    assert judged(HONEST, None) is None
    assert {case["step"] for case in CASES} >= set(range(1, 10))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_changed_vector_is_stopped_where_it_says(case: dict[str, Any]) -> None:
    data = edited(case)
    assert judged(data, TRUST) == {"step": case["step"], "outcome": case["outcome"]}
    assert judged(data, None) == case["alone"]


def edits(data: bytes, honest: bytes) -> list[dict[str, Any]]:
    """What turns the honest bundle into this one, section by section where the frame still stands."""
    try:
        spans, own = _scan(io.BytesIO(data)), _scan(io.BytesIO(honest))
        pairs = [piece for tag in TAGS for piece in (
            (honest[own[tag][0] - 8 : own[tag][0]], data[spans[tag][0] - 8 : spans[tag][0]], own[tag][0] - 8),
            (honest[slice(*own[tag])], data[slice(*spans[tag])], own[tag][0]))]
    except BadInput:
        pairs = [(honest, data, 0)]
    return [edit(old, new, at) for old, new, at in pairs if old != new]


def edit(old: bytes, new: bytes, at: int) -> dict[str, Any]:
    shorter = min(len(old), len(new))
    start = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    end = next((n for n in range(shorter - start) if old[-1 - n] != new[-1 - n]), shorter - start)
    return {"offset": at + start, "delete": len(old) - end - start, "insert": new[start : len(new) - end].hex()}


def edited(case: dict[str, Any]) -> bytes:
    """The honest bundle with a case's edits, the last one first so that offsets hold."""
    data = HONEST
    for one in reversed(case["edits"]):
        data = data[: one["offset"]] + bytes.fromhex(one["insert"]) + data[one["offset"] + one["delete"] :]
    return data


def write() -> None:
    """Write the vectors from the attacks that an outsider makes on one honest bundle."""
    # Imported here: only writing needs the attacks, and reading must not depend on them.
    from test_tampering import CASES as ATTACKS
    from test_tampering import HONEST as STORY

    FOLDER.mkdir(parents=True, exist_ok=True)
    honest, found = STORY.parts.to_bytes(), []
    for attack in ATTACKS:
        data, trust = attack.make()
        changes = edits(data, honest)
        if trust == STORY.trust and changes and sum(len(one["insert"]) for one in changes) <= LONGEST:
            found.append({"name": attack.name.replace("_", " "), "edits": changes, **(judged(data, trust) or {}),
                          "alone": judged(data, None)})
    (FOLDER / "honest.troth").write_bytes(honest)
    (FOLDER / "trust.json").write_bytes(STORY.trust.to_bytes())
    (FOLDER / "cases.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    write()
