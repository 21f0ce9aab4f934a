"""Groth16 without a prover: right proofs hold, and each thing that can be wrong with one has its own refusal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groth16_setups import Setup, first, malleated, outside_the_group
from troth.core.errors import BadInput, Refuted
from troth.verify import groth16
from troth.verify.groth16 import BASE, ORDER, Proof, VerifyingKey, verify

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "groth16" / "vectors.json").read_text())
SETUP = Setup(2)
PUBLICS = (3, ORDER - 1)
PROOF = SETUP.forge(PUBLICS)


@pytest.fixture(params=["prover's arithmetic", "without it"])
def _arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of pairing, which must answer alike."""
    if request.param == "without it":
        monkeypatch.setattr(groth16, "_native", lambda: None)


both = pytest.mark.usefixtures("_arithmetic")


def numbers(*values: object) -> bytes:
    return b"".join(int(str(value)).to_bytes(32, "big") for value in values)


def key_bytes(said: Any) -> bytes:
    """A key as snarkjs writes it, in our bytes: it has the real part first."""
    seconds = [numbers(x[1], x[0], y[1], y[0]) for x, y, _ in (said[f"vk_{name}_2"] for name in
                                                              ("beta", "gamma", "delta"))]
    return numbers(*said["vk_alpha_1"][:2]) + b"".join(seconds) + b"".join(numbers(*point[:2]) for point in said["IC"])


@both
def test_a_proof_by_others_under_a_ceremonys_key_holds_and_no_other_statement() -> None:
    said = VECTORS["semaphore"]
    key, proof = VerifyingKey(key_bytes(said["key"])), Proof(numbers(*said["points"]))
    publics = [int(value) for value in said["publics"]]
    assert key.publics == 4
    verify(key, proof, publics)
    with pytest.raises(Refuted):
        verify(key, proof, [*publics[:3], publics[3] + 1])


def test_a_proof_holds_and_so_does_its_malleated_twin() -> None:
    verify(SETUP.key, PROOF, PUBLICS)
    other = malleated(PROOF)
    assert other.data != PROOF.data
    verify(SETUP.key, other, PUBLICS)


@pytest.mark.parametrize("publics", [(4, ORDER - 1), (ORDER - 1, 3)])
def test_a_proof_of_other_publics_is_refuted(publics: Sequence[int]) -> None:
    with pytest.raises(Refuted, match="does not fit"):
        verify(SETUP.key, PROOF, publics)


def test_a_proof_under_another_key_is_refuted() -> None:
    with pytest.raises(Refuted, match="does not fit"):
        verify(Setup(2, seed=2).key, PROOF, PUBLICS)


@both
def test_a_proof_with_another_point_is_refuted() -> None:
    with pytest.raises(Refuted, match="does not fit"):
        verify(SETUP.key, Proof(PROOF.data[:192] + first(9)), PUBLICS)


@both
def test_publics_that_weigh_the_keys_points_to_nothing_are_no_trouble() -> None:
    """L at infinity: the prover of such a statement knows how the publics were weighed, and nothing breaks."""
    zero, one, two = SETUP.secrets[4:]
    publics = ((-zero - two) * pow(one, -1, ORDER) % ORDER, 1)
    verify(SETUP.key, SETUP.forge(publics), publics)
    with pytest.raises(Refuted, match="does not fit"):
        verify(SETUP.key, PROOF, publics)


def test_negated_points_are_refuted() -> None:
    y = int.from_bytes(PROOF.data[32:64], "big")
    with pytest.raises(Refuted, match="does not fit"):
        verify(SETUP.key, Proof(PROOF.data[:32] + numbers(BASE - y) + PROOF.data[64:]), PUBLICS)


@pytest.mark.parametrize(("publics", "why"), [
    ((3,), "wrong number"), ((3, 4, 5), "wrong number"), ((3, 2 * ORDER - 1), "public 1 is out of the field"),
    ((3 + ORDER, ORDER - 1), "public 0 is out of the field"), ((-1, 3), "public 0 is out of the field")])
def test_publics_that_are_none_are_bad_input(publics: Sequence[int], why: str) -> None:
    """The same residues would fit: a statement has one spelling."""
    with pytest.raises(BadInput, match=why):
        verify(SETUP.key, PROOF, publics)


@pytest.mark.parametrize("length", [0, 255, 257])
def test_a_truncated_proof_is_bad_input(length: int) -> None:
    with pytest.raises(BadInput, match="not a proof"):
        Proof((PROOF.data + b"\0")[:length])


@pytest.mark.parametrize(("at", "data", "why"), [
    (0, numbers(int.from_bytes(PROOF.data[:32], "big") + BASE), "coordinate of the proof's A is out of the field"),
    (96, numbers(BASE), "coordinate of the proof's B is out of the field"),
    (0, numbers(1, 3), "proof's A is not on its curve"),
    (192, PROOF.data[192:255] + bytes([PROOF.data[255] ^ 1]), "proof's C is not on its curve"),
    (64, PROOF.data[96:128] + PROOF.data[64:96], "proof's B is not on its curve"),
    (64, outside_the_group(), "proof's B is outside its group"),
    (0, bytes(64), "proof's A is the point at infinity"), (64, bytes(128), "proof's B is the point at infinity"),
    (192, bytes(64), "proof's C is the point at infinity")])
def test_points_that_are_none_are_bad_input(at: int, data: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        Proof(PROOF.data[:at] + data + PROOF.data[at + len(data) :])


@pytest.mark.parametrize(("at", "data", "why"), [
    (0, numbers(1, 3), "alpha is not on its curve"), (64, outside_the_group(), "beta is outside its group"),
    (192, bytes(128), "gamma is the point at infinity"), (320, numbers(BASE), "delta is out of the field"),
    (320, SETUP.key.data[192:320], "a setup that nobody finished"),
    (448, bytes(64), "point of public -1 is the point at infinity"),
    (576, bytes(64), "point of public 1 is the point at infinity")])
def test_a_key_that_is_none_is_bad_input(at: int, data: bytes, why: str) -> None:
    good = SETUP.key.data
    with pytest.raises(BadInput, match=why):
        VerifyingKey(good[:at] + data + good[at + len(data) :])


@pytest.mark.parametrize("length", [0, 447, 448, 511, 600])
def test_a_truncated_key_is_bad_input(length: int) -> None:
    with pytest.raises(BadInput, match="not a verifying key"):
        VerifyingKey(SETUP.key.data[:length])


def test_the_key_of_an_unfinished_setup_is_refused() -> None:
    """Under it A = alpha, B = beta, C = -L fits every statement."""
    with pytest.raises(BadInput, match="nobody finished"):
        VerifyingKey(key_bytes(VECTORS["unfinished"]["key"]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.integers(1, 255))
def test_no_changed_byte_of_a_proof_reads_or_fits(at: int, by: int) -> None:
    data = bytearray(PROOF.data)
    data[at] ^= by
    with pytest.raises((BadInput, Refuted)):
        verify(SETUP.key, Proof(bytes(data)), PUBLICS)
