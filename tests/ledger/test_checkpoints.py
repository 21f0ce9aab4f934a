"""Checkpoints: every outside checkpoint and consistency step, strict reading, witnesses, attacks."""

import base64
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_parts import LOG_SIGNER, ORIGIN, VECTOR_KEY, VECTORS

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.ledger.audit import check_tiles
from troth.ledger.checkpoints import (
    LOG_KEY,
    WITNESS_KEY,
    Checkpoint,
    Note,
    NoteSigner,
    Verifier,
    cosign,
    witnessed,
)
from troth.ledger.tiles import TileFiles

SIZES = range(16)
NOTE = Checkpoint(ORIGIN, 3, b"\x05" * 32).sign(LOG_SIGNER)
WITNESSES = [NoteSigner(f"witness.example/w{n}", bytes([n]) * 32, WITNESS_KEY) for n in (10, 11, 12)]
KEYS = [witness.verifier for witness in WITNESSES]

# The example of C2SP's signed-note page.
EXAMPLE = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""  # noqa: E501


def outside(size: int) -> bytes:
    return (VECTORS / f"checkpoint.{size}").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_every_outside_checkpoint(size: int) -> None:
    data = outside(size)
    found = Checkpoint.open(data, VECTOR_KEY)
    assert (found.origin, found.size) == ("example.com/log/testdata", size)
    assert Note.from_bytes(data).to_bytes() == data
    assert found.text() == Note.from_bytes(data).text
    assert merkle.root_at(size, TileFiles(VECTORS).node(size)) == found.root
    assert check_tiles(TileFiles(VECTORS), VECTOR_KEY, data).claims == size


def test_the_outside_log_as_it_stands() -> None:
    audit = check_tiles(TileFiles(VECTORS), VECTOR_KEY)
    assert audit.checkpoint == Checkpoint.open(outside(15), VECTOR_KEY)


@pytest.mark.parametrize(("old", "new"), list(itertools.combinations_with_replacement(SIZES, 2)))
def test_every_outside_consistency_step(old: int, new: int) -> None:
    first, second = Checkpoint.open(outside(old), VECTOR_KEY), Checkpoint.open(outside(new), VECTOR_KEY)
    path = merkle.consistency_proof(old, new, TileFiles(VECTORS).node(new))
    merkle.verify_consistency(old, new, first.root, second.root, path)
    if old != new and old:
        with pytest.raises(Refuted):
            merkle.verify_consistency(old, new, second.root, first.root, path)


@pytest.mark.parametrize("size", range(1, 16))
def test_every_outside_inclusion(size: int) -> None:
    files, root = TileFiles(VECTORS), Checkpoint.open(outside(size), VECTOR_KEY).root
    for index, entry in enumerate(files.entries(0, size)):
        path = merkle.inclusion_proof(index, size, files.node(size))
        merkle.verify_inclusion(merkle.leaf_hash(entry), index, size, path, root)


def test_the_outside_key_is_read_and_written() -> None:
    assert Verifier.from_vkey(VECTOR_KEY.vkey()) == VECTOR_KEY
    assert VECTOR_KEY.key_id.hex() == "33d7b496"
    assert VECTOR_KEY.kind == LOG_KEY


def test_the_specifications_note_is_read_and_written() -> None:
    note = Note.from_bytes(EXAMPLE.encode())
    assert note.text.endswith("ed è subito sera.\n".encode())
    assert note.to_bytes() == EXAMPLE.encode()
    assert (note.signatures[0].name, note.signatures[0].key_id.hex()) == ("quasimodo.example/salvatore", "367ba04b")


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert Checkpoint.open(checkpoint.sign(LOG_SIGNER), LOG_SIGNER.verifier) == checkpoint
    longer = Checkpoint(ORIGIN, size, root, ("more", "and more"))
    assert Checkpoint.open(longer.sign(LOG_SIGNER), LOG_SIGNER.verifier) == longer


@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_no_changed_byte_is_accepted(at: int, flip: int) -> None:
    changed = bytearray(NOTE)
    changed[at] ^= flip
    with pytest.raises((BadInput, Refuted, Undecidable)):
        Checkpoint.open(bytes(changed), LOG_SIGNER.verifier)


@given(st.integers(0, len(NOTE) - 1))
def test_no_truncated_note_is_accepted(end: int) -> None:
    with pytest.raises(BadInput):
        Checkpoint.open(NOTE[:end], LOG_SIGNER.verifier)


@pytest.mark.parametrize("text", [
    "", "\n", "o\n1\n", "o\n01\nROOT\n", "o\n-1\nROOT\n", "o\n+1\nROOT\n", "o\n 1\nROOT\n", "o\n1 \nROOT\n",
    "o\n١\nROOT\n", "o\n9223372036854775808\nROOT\n", "o\n" + "9" * 5000 + "\nROOT\n", "\n1\nROOT\n", "o\n1\nROOT\n\n",
    "o\n1\nAAAA\n", "o\n1\nROOT=\n", "o\n1\n\n", "o\n1\nROOT \n", "o\n1\nROOT"])
def test_texts_that_are_no_checkpoint(text: str) -> None:
    with pytest.raises(BadInput):
        Checkpoint.from_text(text.replace("ROOT", base64.b64encode(bytes(32)).decode()).encode())


@pytest.mark.parametrize("change", [
    lambda note: note + b"\n", lambda note: note[:-1], lambda note: note.replace(b"\n", b"\r\n"),
    lambda note: note.replace("—".encode(), b"-"), lambda note: note.replace(b"example.org/log ", b"example.org/log  "),
    lambda note: note.replace(b"=\n", b"\n"), lambda note: note + b"\xff\n", lambda note: note + b"junk\n",
    lambda note: note + "— \n".encode(), lambda note: note + "— name AAAA\n".encode(), lambda note: b"",
    lambda note: note + "— na+me AAAAAAAA\n".encode(), lambda note: note * 3000,
    lambda note: note + note.splitlines(keepends=True)[-1] * 64])
def test_notes_that_are_not_read(change: object) -> None:
    with pytest.raises(BadInput):
        Note.from_bytes(change(NOTE))  # type: ignore[operator]


def test_a_note_may_start_with_an_empty_line_but_no_checkpoint_does() -> None:
    assert Note.from_bytes(b"\n" + NOTE).to_bytes() == b"\n" + NOTE
    with pytest.raises(BadInput):
        Checkpoint.open(b"\n" + NOTE, LOG_SIGNER.verifier)


def test_a_foreign_signature_beside_the_logs_is_ignored_and_alone_is_not_enough() -> None:
    other = NoteSigner("elsewhere.example", b"\x09" * 32)
    note = Note.from_bytes(NOTE)
    both = Note(note.text, (other.sign(note.text), *note.signatures)).to_bytes()
    assert Checkpoint.open(both, LOG_SIGNER.verifier).size == 3
    with pytest.raises(Undecidable):
        Checkpoint.open(Note(note.text, (other.sign(note.text),)).to_bytes(), LOG_SIGNER.verifier)


def test_a_wrong_signature_of_the_right_name_is_refuted_even_beside_a_right_one() -> None:
    note = Note.from_bytes(NOTE)
    right = note.signatures[0]
    wrong = type(right)(right.name, right.key_id, bytes(64))
    for lines in ((wrong,), (wrong, right), (right, wrong)):
        with pytest.raises(Refuted):
            Checkpoint.open(Note(note.text, lines).to_bytes(), LOG_SIGNER.verifier)


def test_a_thief_of_the_name_has_another_key() -> None:
    thief = NoteSigner(ORIGIN, b"\x08" * 32)
    with pytest.raises(Undecidable):
        Checkpoint.open(Checkpoint(ORIGIN, 3, bytes(32)).sign(thief), LOG_SIGNER.verifier)


def test_a_log_signs_for_no_other_origin() -> None:
    with pytest.raises(Misuse):
        Checkpoint("example.org/other", 3, bytes(32)).sign(LOG_SIGNER)
    text = Checkpoint("example.org/other", 3, bytes(32)).text()
    with pytest.raises(Refuted, match="another log"):
        Checkpoint.open(Note(text, (LOG_SIGNER.sign(text),)).to_bytes(), LOG_SIGNER.verifier)


@pytest.mark.parametrize("text", [
    "", "a", "a+b", "a+b+c", "+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "example.com/log/testdata+33d7b497+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "example.com/log/testdata+33D7B496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "example.com/log/testdata+33d7b496+AuHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx ",
    "example.com/log testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkk"])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Verifier.from_vkey(text)


def test_witnesses_say_when() -> None:
    note = NOTE
    for time, witness in zip((30, 10, 20), WITNESSES, strict=True):
        note = cosign(note, witness, time)
    assert Checkpoint.open(note, LOG_SIGNER.verifier).size == 3
    assert witnessed(note, KEYS, 3) == (10, 20, 30)
    assert witnessed(NOTE, KEYS, 0) == ()
    assert witnessed(cosign(NOTE, WITNESSES[0], 5), KEYS, 1) == (5,)
    with pytest.raises(Undecidable, match="too few"):
        witnessed(cosign(NOTE, WITNESSES[0], 5), KEYS, 2)


def test_one_witness_does_not_count_twice() -> None:
    twice = cosign(cosign(NOTE, WITNESSES[0], 5), WITNESSES[0], 6)
    assert witnessed(twice, KEYS, 1) == (6,)
    with pytest.raises(Undecidable):
        witnessed(twice, KEYS, 2)
    renamed = Verifier("witness.example/alias", WITNESS_KEY, KEYS[0].public)
    with pytest.raises(Misuse, match="distinct"):
        witnessed(twice, [KEYS[0], renamed], 2)
    with pytest.raises(Misuse):
        witnessed(twice, [LOG_SIGNER.verifier], 1)
    for threshold in (-1, 4):
        with pytest.raises(Misuse, match="threshold"):
            witnessed(twice, KEYS, threshold)


def test_a_witness_signature_covers_time_and_text() -> None:
    note = Note.from_bytes(cosign(NOTE, WITNESSES[0], 5))
    *rest, signature = note.signatures
    later = type(signature)(signature.name, signature.key_id, (6).to_bytes(8, "big") + signature.value[8:])
    with pytest.raises(Refuted):
        witnessed(Note(note.text, (*rest, later)).to_bytes(), KEYS, 1)
    other = Checkpoint(ORIGIN, 4, b"\x05" * 32).text()
    with pytest.raises(Refuted):
        witnessed(Note(other, (*rest, signature)).to_bytes(), KEYS, 1)


def test_a_log_key_is_no_witness_and_a_witness_no_log() -> None:
    assert Verifier("a", LOG_KEY, bytes(32)).key_id != Verifier("a", WITNESS_KEY, bytes(32)).key_id
    with pytest.raises(Misuse):
        WITNESSES[0].sign(b"text\n")
    with pytest.raises(Misuse):
        LOG_SIGNER.sign(b"text\n", 5)
    with pytest.raises(Undecidable):
        Checkpoint.open(NOTE, WITNESSES[0].verifier)


def test_a_signer_shows_no_secret(tmp_path: Path) -> None:
    import pickle

    assert (b"\x01" * 32).hex() not in repr(LOG_SIGNER) + repr(vars(NoteSigner))
    with pytest.raises(Misuse):
        pickle.dumps(LOG_SIGNER)
    with pytest.raises(TrothError):
        NoteSigner(ORIGIN, b"short")


def test_impossible_checkpoints_are_not_signed() -> None:
    for size, root, more in ((-1, bytes(32), ()), (2**63, bytes(32), ()), (1, bytes(31), ()), (1, bytes(32), ("",)),
                             (1, bytes(32), ("a\nb",))):
        bad = Checkpoint(ORIGIN, size, root, more)
        with pytest.raises(Misuse):
            bad.sign(LOG_SIGNER)
