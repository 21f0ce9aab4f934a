"""Keys in a token from the command line; the PIN is asked for, or comes from a file, and shows nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import softhsm

ROOT = Path(__file__).parents[2]


def test_a_claim_by_a_token(tmp_path: Path) -> None:
    configuration = softhsm.make(tmp_path / "token")
    settings = {key: value for key, value in os.environ.items() if not key.startswith("TROTH_")} | {
        "SOFTHSM2_CONF": str(configuration), "TROTH_PASSPHRASE": "correct horse"}
    subprocess.run([sys.executable, softhsm.__file__], env=settings, check=True, capture_output=True)
    (tmp_path / "pin").write_text(softhsm.PIN + "\n")
    (tmp_path / "wrong").write_text("000000")

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run([sys.executable, "-m", "troth.cli.main", *words], cwd=tmp_path, env=settings, text=True,
                              capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        assert softhsm.PIN not in done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    which = ["--library", str(softhsm.LIBRARY), "--token", softhsm.TOKEN, "--key", "ed25519"]
    did = json.loads(run("hardware", "show", *which, "--pin-file", "pin", "--json"))["did"]
    assert did.startswith("did:key:z6Mk")
    run("init", "me")
    (tmp_path / "rows.csv").write_text("1\n")
    attest = ["hardware", "attest", "dataset", "--subject", "rows.csv", "--home", "me", *which]
    claim = json.loads(run(*attest, "--pin-file", "pin", "--json"))
    assert claim["did"] == did
    assert json.loads(run("trace", claim["claim"], "--home", "me", "--json"))
    assert "wrong PIN" in run(*attest, "--pin-file", "wrong", status=2)
    assert "no PIN" in run(*attest, status=2)
    other = [*which[:3], "none", *which[4:]]
    assert "no token of this label" in run("hardware", "show", *other, "--pin-file", "pin", status=3)
    files = b"".join(path.read_bytes() for path in (tmp_path / "me").rglob("*") if path.is_file())
    assert softhsm.PIN.encode() not in files


def test_without_the_library_there_is_a_hint(tmp_path: Path) -> None:
    """The extra is not installed: the message says what to install."""
    (tmp_path / "pkcs11.py").write_text("raise ModuleNotFoundError('No module named pkcs11', name='pkcs11')\n")
    (tmp_path / "pin").write_text("1")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", str(ROOT / "src"))])
    done = subprocess.run([sys.executable, "-m", "troth.cli.main", "hardware", "show", "--library", "x", "--token", "x",
                           "--key", "x", "--pin-file", "pin"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path},
                          text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'troth[pkcs11]'" in done.stderr
