"""Secrets at rest: one passphrase opens, everything else is a clear refusal, and no write loses the old file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identities import make

from troth.core.encoding import decode_object, encode, sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable
from troth.identity import keystore
from troth.identity.hybrid import HybridIdentity

COST = keystore.MIN_COST
SECRETS = b'{"seed":"' + b"5e" * 32 + b'"}'
SEALED = keystore.seal_secrets(SECRETS, "correct horse", cost=COST)


def test_what_was_sealed_opens(tmp_path: Path) -> None:
    identity = make("alice")
    path = tmp_path / "alice.keys"
    keystore.save(path, identity.to_secrets(), "pässword", cost=COST)
    assert HybridIdentity.from_secrets(keystore.load(path, "pässword")).did == identity.did
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["alice.keys"]
    assert identity.current[0].reveal_seed().hex().encode() not in path.read_bytes()


def test_the_same_letters_typed_otherwise_open_too() -> None:
    data = keystore.seal_secrets(SECRETS, "caf\u00e9", cost=COST)
    assert keystore.open_secrets(data, "cafe\u0301") == SECRETS


@pytest.mark.parametrize("passphrase", ["Correct horse", "correct horse ", "x"])
def test_a_wrong_passphrase_is_misuse_and_shows_nothing(passphrase: str) -> None:
    with pytest.raises(Misuse, match="wrong passphrase") as refusal:
        keystore.open_secrets(SEALED, passphrase)
    assert not isinstance(refusal.value, BadInput)
    assert passphrase not in str(refusal.value).replace("passphrase", "") or passphrase == "x"
    assert "TROTH_PASSPHRASE" in str(refusal.value)


@pytest.mark.parametrize("passphrase", ["", "\ud800"])
def test_no_passphrase_at_all(passphrase: str) -> None:
    with pytest.raises(Misuse, match="passphrase"):
        keystore.seal_secrets(SECRETS, passphrase, cost=COST)
    with pytest.raises(Misuse, match="passphrase"):
        keystore.open_secrets(SEALED, passphrase)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_every_damaged_bit_is_seen(at: int, bit: int) -> None:
    data = bytearray(SEALED)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(BadInput, match="damaged or foreign"):
        keystore.open_secrets(bytes(data), "correct horse")


@pytest.mark.parametrize("size", [0, 1, len(SEALED) // 2, len(SEALED) - 1])
def test_a_truncated_file_is_seen(size: int) -> None:
    with pytest.raises(BadInput, match="damaged or foreign"):
        keystore.open_secrets(SEALED[:size], "correct horse")


def rewritten(**changes: Any) -> bytes:
    """The file with members changed by somebody who also recomputes the checksum; a dotted path reaches inside."""
    value = decode_object(SEALED)
    del value["checksum"]
    for path, change in changes.items():
        *outer, last = path.split("__")
        place = value
        for step in outer:
            place = place[step]
        place[last] = change
    return encode(value | {"checksum": sha256(encode(value)).hex()})


def test_the_rewriter_itself_is_faithful() -> None:
    assert rewritten() == SEALED


@pytest.mark.parametrize("changes", [
    {"kdf__n": 2**30}, {"kdf__n": 2**19}, {"kdf__n": 2**13}, {"kdf__n": 1}, {"kdf__n": 0}, {"kdf__n": -(2**15)},
    {"kdf__n": 20_000}, {"kdf__n": "16384"}, {"kdf__n": True}, {"kdf__n": None}, {"kdf__r": 2**20}, {"kdf__p": 2**20},
    {"kdf__name": "pbkdf2"}, {"kdf__salt": ""}, {"kdf__salt": "ab" * 15}, {"kdf__more": 1}, {"kdf": []},
    {"cipher__name": "none"}, {"cipher__nonce": "ab"}, {"cipher__more": 1}, {"cipher": "x"},
    {"ciphertext": "?"}, {"ciphertext": 1}, {"format": "troth-keystore-2"}, {"more": 1},
])
def test_parameters_out_of_bounds_are_refused_before_they_cost_anything(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="damaged or foreign"):
        keystore.open_secrets(rewritten(**changes), "correct horse")


@pytest.mark.parametrize("changes", [
    {"kdf__n": 2**15}, {"kdf__salt": "ab" * 16}, {"cipher__nonce": "ab" * 12}, {"ciphertext": ""},
    {"ciphertext": "AAAA"}, {"ciphertext": decode_object(keystore.seal_secrets(SECRETS, "other", cost=COST))[
        "ciphertext"]},
])
def test_a_rewritten_file_does_not_open(changes: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match="wrong passphrase"):
        keystore.open_secrets(rewritten(**changes), "correct horse")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)
    with pytest.raises(BadInput, match="too large"):
        keystore.load(path, "x")


@pytest.mark.parametrize("cost", [2**13, 2**19, 20_000, 0, -1])
def test_the_cost_has_bounds(cost: int) -> None:
    with pytest.raises(Misuse, match="cost out of bounds"):
        keystore.seal_secrets(SECRETS, "x", cost=cost)


def test_two_files_share_nothing() -> None:
    one, two = (decode_object(keystore.seal_secrets(SECRETS, "x", cost=COST)) for _ in range(2))
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["cipher"]["nonce"] != two["cipher"]["nonce"]
    assert one["ciphertext"] != two["ciphertext"]
    assert decode_object(keystore.seal_secrets(SECRETS, "x"))["kdf"]["n"] == keystore.DEFAULT_COST == 2**15


def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keystore.save(path, b"one", "x", cost=COST)
    before = path.read_bytes()
    with pytest.raises(Misuse, match="exists already"):
        keystore.save(path, b"two", "x", cost=COST)
    assert path.read_bytes() == before
    keystore.save(path, b"two", "x", cost=COST, replace=True)
    assert keystore.load(path, "x") == b"two"
    assert os.listdir(tmp_path) == ["keys"]


def test_absent_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(Undecidable, match="no keystore here"):
        keystore.load(tmp_path / "none", "x")
    with pytest.raises(OutsideFailed, match="could not read"):
        keystore.load(tmp_path, "x")
    with pytest.raises(OutsideFailed, match="could not write"):
        keystore.save(tmp_path / "no" / "keys", b"x", "x", cost=COST)


FULL = """
import resource, signal, sys
from pathlib import Path
from troth.core.errors import OutsideFailed
from troth.identity import keystore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    keystore.save(Path(sys.argv[1]), b"two" * 100, "x", cost=keystore.MIN_COST, replace=True)
except OutsideFailed as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The operating system refuses to write beyond 200 bytes: a real short write, as on a full disk."""
    path = tmp_path / "keys"
    keystore.save(path, b"one", "x", cost=COST)
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert "could not write the keystore" in done.stdout
    assert keystore.load(path, "x") == b"one"
    assert os.listdir(tmp_path) == ["keys"]
