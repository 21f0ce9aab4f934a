"""Log proofs (C2SP tlog-proof): read and written exactly, checked, and every change refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_parts import KEY, log_of

from troth.app.tlog import check_proof
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.ledger.checkpoints import WITNESS_KEY, NoteSigner, cosign
from troth.ledger.logproofs import LogProof
from troth.ledger.views import View

WITNESS = NoteSigner("witness.example/w", b"\x21" * 32, WITNESS_KEY)
LOG = log_of(300)
PROOF = LogProof(77, tuple(View(LOG, LOG.checkpoint).inclusion(77)), cosign(LOG.note(), WITNESS, 9), b"more")


@given(st.integers(0, 299), st.none() | st.binary(max_size=80))
def test_proofs_are_read_back_and_hold(index: int, extra: bytes | None) -> None:
    found = LogProof(index, tuple(View(LOG, LOG.checkpoint).inclusion(index)), LOG.note(), extra)
    assert LogProof.from_bytes(found.to_bytes()) == found
    assert found.check(LOG.data[index], KEY) == LOG.checkpoint
    with pytest.raises(Refuted):
        found.check(LOG.data[(index + 1) % 300], KEY)


def test_the_lines_are_the_specifications() -> None:
    lines = PROOF.to_bytes().split(b"\n")
    assert lines[:3] == [b"c2sp.org/tlog-proof@v1", b"extra bW9yZQ==", b"index 77"]
    assert [base64.b64decode(line) for line in lines[3:3 + len(PROOF.path)]] == list(PROOF.path)
    assert lines[3 + len(PROOF.path)] == b""
    assert PROOF.to_bytes().endswith(b"\n\n" + PROOF.note)


def test_witnesses_are_counted() -> None:
    PROOF.check(LOG.data[77], KEY, [WITNESS.verifier], 1)
    other = NoteSigner("witness.example/x", b"\x22" * 32, WITNESS_KEY)
    with pytest.raises(Undecidable, match="too few"):
        PROOF.check(LOG.data[77], KEY, [WITNESS.verifier, other.verifier], 2)


def test_the_leaf_travels_along_and_has_to_be_proven() -> None:
    with pytest.raises(BadInput, match="leaf"):
        check_proof(PROOF, KEY, None)
    log = log_of(0).grow([bytes([n]) * 64 for n in range(9)])
    path = tuple(View(log, log.checkpoint).inclusion(4))
    good = LogProof(4, path, log.note(), log.data[4])
    assert check_proof(good, KEY, log.data[4][:32])[0] == log.data[4][:32]
    with pytest.raises(Refuted, match="another claim"):
        check_proof(good, KEY, bytes(32))
    with pytest.raises(Refuted):
        check_proof(LogProof(4, path, log.note(), log.data[5]), KEY, None)


@settings(max_examples=80)
@given(st.data())
def test_no_changed_byte_proves_anything_else(data: st.DataObject) -> None:
    whole = PROOF.to_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 127))
    try:
        found = LogProof.from_bytes(bytes(changed))
        found.check(LOG.data[77], KEY, [WITNESS.verifier], 1)
    except (BadInput, Refuted, Undecidable):
        return
    assert (found.index, found.path, found.note) == (PROOF.index, PROOF.path, PROOF.note)  # extra is not authenticated


@pytest.mark.parametrize("change", [
    lambda data: data[1:], lambda data: data.replace(b"@v1", b"@v2"),
    lambda data: data.replace(b"index 77", b"index 077"),
    lambda data: data.replace(b"index 77", b"index -1"), lambda data: data.replace(b"index 77\n", b""),
    lambda data: data.replace(b"extra ", b"extra  "), lambda data: data.replace(b"\nindex", b"\n\nindex"),
    lambda data: data.replace(b"index 77\n", b"index 77\nAAAA\n"), lambda data: data.replace(b"\n\n", b"\n", 1),
    lambda data: data.replace(b"index 77\n", b"index 77\n" + (base64.b64encode(bytes(32)) + b"\n") * 64),
    lambda data: data.replace(b"index 77", b"index " + b"9" * 5000), lambda data: data + bytes(1 << 18)])
def test_texts_that_are_no_proof(change: object) -> None:
    with pytest.raises((BadInput, Refuted)):
        LogProof.from_bytes(change(PROOF.to_bytes())).check(LOG.data[77], KEY)  # type: ignore[operator]
