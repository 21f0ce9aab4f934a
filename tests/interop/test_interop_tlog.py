"""The tile log against other implementations, both ways: aics-tlog reads and writes tiles, aics-witness is a witness
and a client of one, proofbundle checks log proofs and cosigns with ML-DSA-44."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.conftest import run
from troth.app.tlog import prove
from troth.core import merkle
from troth.core.claims import Statement, Subject
from troth.core.errors import Refuted
from troth.identity.hybrid import HybridIdentity
from troth.identity.signers import attest
from troth.ledger import batches
from troth.ledger.audit import check_tiles
from troth.ledger.checkpoints import (
    WITNESS_KEY,
    WITNESS_KEY_ML_DSA,
    Checkpoint,
    Note,
    NoteSigner,
    Verifier,
    cosign,
    witnessed,
)
from troth.ledger.log import Log
from troth.ledger.logserver import TileServer, WitnessServer
from troth.ledger.tiles import TileFiles
from troth.ledger.views import View
from troth.ledger.wire import Site
from troth.ledger.witness import Witness, add_log
from troth.ledger.witnessing import ask

PythonOf = Callable[[str], Path]
SIGNER = NoteSigner("example.org/log", b"\x01" * 32)
ED = NoteSigner("witness.example/ed", b"\x21" * 32, WITNESS_KEY)
LATTICE = NoteSigner("witness.example/lattice", b"\x22" * 32, WITNESS_KEY_ML_DSA)
ISSUER = HybridIdentity.create()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(tmp_path / "log", SIGNER) as one:
        grow(one, 300)
        yield one


def grow(log: Log, count: int) -> None:
    said = [Statement("note", ISSUER.did, log.size + n, (Subject("x", {"sha256": f"{n:064x}"}),), {"n": log.size + n})
            for n in range(count)]
    log.append([attest(one, ISSUER.signer()) for one in said[:2]])


    log.append_batch(batches.build(said[2:], ISSUER.signer(), 7))


def now() -> int:
    return int(time.time())


@pytest.fixture
def peer(python_of: PythonOf) -> Callable[..., str]:
    """Run aics-tlog's command line."""
    return lambda *words: run(python_of("tlog"), "-m", "aics_tlog", *words)


@pytest.fixture
def script(python_of: PythonOf) -> Callable[..., object]:
    """Run a function of tools/tlog_peer.py."""
    return lambda act, **given: json.loads(run(python_of("tlog"), "tlog_peer.py", act, given=json.dumps(given)))


def test_another_client_reads_our_log_over_http(log: Log, peer: Callable[..., str], tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(log.note())
    key = ("--log-key", SIGNER.verifier.vkey())
    with TileServer(TileFiles(tmp_path / "log")) as server:
        place = ("--tiles", server.url + "/")
        peer("verify-checkpoint", *place, *key, "--origin", log.origin)
        leaf = tmp_path / "leaf"
        for position in (0, 255, 256, 299):
            leaf.write_bytes(log.leaf(position))
            peer("verify-inclusion", "--leaf", leaf, "--index", position, *place, *key)
        grow(log, 700)
        peer("verify-consistency", "--old-checkpoint", old, *place, *key)
        with pytest.raises(AssertionError):  # and it sees what is wrong
            peer("verify-inclusion", "--leaf", leaf, "--index", 298, *place, *key)


def test_we_read_tiles_that_another_writer_made(peer: Callable[..., str], tmp_path: Path) -> None:
    entries = [f"entry {n}" for n in range(1_000)]
    (tmp_path / "leaves").write_text("\n".join(entries) + "\n")
    peer("build-tiles", "--leaves", tmp_path / "leaves", "--out", tmp_path / "made")
    data = [entry.encode() for entry in entries]
    found = Checkpoint(SIGNER.verifier.name, 1_000, merkle.root(data))
    assert check_tiles(TileFiles(tmp_path / "made"), SIGNER.verifier, found.sign(SIGNER)).claims == 1_000
    view = View(TileFiles(tmp_path / "made"), found)
    assert [entry for index in range(4) for entry in view.entries(index)] == data


@contextmanager
def their_witness(python: Path, directory: Path) -> Iterator[tuple[str, Verifier]]:
    """aics-witness serving on loopback, knowing our log."""
    config = ("--config", directory / "witness.json")
    base = [str(python), "-m", "aics_witness"]
    said = run(*base, "init", *config, "--name", "witness.example/theirs", "--listen", "127.0.0.1:0")
    key = Verifier.from_vkey(next(word for line in said.splitlines() for word in line.split() if "theirs+" in word))
    run(*base, "add-log", *config, "--origin", SIGNER.verifier.name, "--vkey", SIGNER.verifier.vkey())
    with subprocess.Popen([*base, "serve", *map(str, config)], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stderr is not None
        try:
            lines = iter(process.stderr.readline, "")
            url = next(word.rstrip("/,") for line in lines for word in line.split() if word.startswith("http://127"))
            yield url, key
        finally:
            process.terminate()
            process.wait(30)


def test_another_witness_cosigns_our_log(log: Log, python_of: PythonOf, tmp_path: Path) -> None:
    with their_witness(python_of("tlog"), tmp_path) as (url, key):
        site = Site(url, private=True)
        for count in (0, 5, 600):
            if count:
                grow(log, count)
            ask(site, log, key, now())
            assert len(witnessed(log.note(), [key], 1)) == 1
        with Log.create(tmp_path / "fork", SIGNER) as fork:
            grow(fork, 1_000)
            before = fork.note()
            with pytest.raises(Refuted):
                ask(site, fork, key, now())
            assert fork.note() == before


def test_another_client_gets_our_witness_to_cosign(log: Log, script: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    add_log(tmp_path / "w", SIGNER.verifier)
    witness = Witness(tmp_path / "w", ED, now)
    with TileServer(TileFiles(tmp_path / "log")) as tiles, WitnessServer(witness) as server:
        for count in (0, 400):
            if count:
                grow(log, count)
            line = str(script("feed", log=tiles.url + "/", key=SIGNER.verifier.vkey(), witness=server.url,
                              witness_key=ED.verifier.vkey()))
            assert len(witnessed(log.note() + line.encode(), [ED.verifier], 1)) == 1
            assert witness.seen(SIGNER.verifier).size == log.size


def test_another_verifier_accepts_our_log_proofs_with_both_types_of_witness(
        log: Log, script: Callable[..., object]) -> None:
    log.cosign(cosign(cosign(log.note(), ED, now()), LATTICE, now()), [ED.verifier, LATTICE.verifier])
    leaf = log.leaf(200)
    proof = prove(log, leaf[:32]).to_bytes().decode()
    given = {"key": SIGNER.verifier.vkey(), "witnesses": [ED.verifier.vkey(), LATTICE.verifier.vkey()], "threshold": 2}
    found = script("check", proof=proof, leaf=leaf.hex(), **given)
    assert isinstance(found, dict)
    assert (found["ok"], found["tree_size"], found["index"]) == (True, log.size, 200)
    other = script("check", proof=proof, leaf=log.leaf(201).hex(), **given)
    assert isinstance(other, dict)
    assert not other["ok"]


def test_we_accept_anothers_ml_dsa_cosignature(log: Log, script: Callable[..., object]) -> None:
    made = script("cosign", note=log.note().decode(), seed="33" * 32, name="witness.example/theirs", time=now())
    assert isinstance(made, dict)
    key, note = Verifier.from_vkey(made["key"]), made["note"].encode()
    assert key == NoteSigner("witness.example/theirs", b"\x33" * 32, WITNESS_KEY_ML_DSA).verifier
    assert len(witnessed(note, [key], 1)) == 1
    changed = Note.from_bytes(note)
    text = Checkpoint(log.origin, log.size + 1, Checkpoint.from_text(changed.text).root).text()
    with pytest.raises(Refuted):
        witnessed(Note(text, changed.signatures).to_bytes(), [key], 1)


