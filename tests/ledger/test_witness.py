"""Witnesses: the protocol's answers, what is never signed, what a kill leaves, and lying witnesses and logs."""

from __future__ import annotations

import base64
import hashlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from log_parts import LOG_SIGNER, claim
from tlog_parts import KEY, MemoryTiles, Place, log_of

from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted, Undecidable
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
from troth.ledger.forks import ForkProof
from troth.ledger.log import Log
from troth.ledger.logserver import WitnessServer
from troth.ledger.monitor import Forked, Monitor
from troth.ledger.views import View
from troth.ledger.webtiles import tiles_at
from troth.ledger.wire import Site
from troth.ledger.witness import Asked, Conflict, NotSigned, Witness, add_log, logs_of
from troth.ledger.witnessing import ask

NOW = 1_800_000_000
SIGNER = NoteSigner("witness.example/w1", b"\x21" * 32, WITNESS_KEY)
LATTICE = NoteSigner("witness.example/w2", b"\x22" * 32, WITNESS_KEY_ML_DSA)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    (tmp_path / "w").mkdir()
    add_log(tmp_path / "w", KEY)
    return Witness(tmp_path / "w", SIGNER, lambda: NOW)


def asked(log: MemoryTiles, old: int, size: int | None = None) -> bytes:
    if size is not None:
        part = MemoryTiles().grow(log.data[:size])
        return Asked(old, tuple(View(part, part.checkpoint).consistency(old)), part.note()).to_bytes()
    return Asked(old, tuple(View(log, log.checkpoint).consistency(old)), log.note()).to_bytes()


def test_it_cosigns_a_log_as_it_grows(witness: Witness) -> None:
    log = log_of(300)
    old = 0
    for size in (0, 1, 7, 256, 257, 300, 300):
        note = MemoryTiles().grow(log.data[:size]).note()
        line = witness.add_checkpoint(asked(log, old, size))
        assert witnessed(note + line, [witness.key], 1) == (NOW,)
        assert witness.seen(KEY) == Checkpoint.open(note, KEY)
        old = size


def test_both_types_of_cosignature_and_what_each_covers(tmp_path: Path) -> None:
    note = cosign(cosign(log_of(5).note(), SIGNER, NOW), LATTICE, NOW + 1)
    keys = [SIGNER.verifier, LATTICE.verifier]
    assert witnessed(note, keys, 2) == (NOW, NOW + 1)
    assert Verifier.from_vkey(LATTICE.verifier.vkey()) == LATTICE.verifier
    text = Note.from_bytes(note).text
    longer = Checkpoint(KEY.name, 5, log_of(5).checkpoint.root, ("more",)).text()
    line = LATTICE.sign(text, NOW)
    assert LATTICE.verifier.verify(longer, line.value) == NOW  # extension lines are not covered (C2SP)
    for other in (Checkpoint(KEY.name, 6, log_of(5).checkpoint.root).text(),
                  Checkpoint(KEY.name, 5, bytes(32)).text(),
                  Checkpoint("example.org/other", 5, log_of(5).checkpoint.root).text()):
        with pytest.raises(Refuted):
            LATTICE.verifier.verify(other, line.value)  # replayed for another size, root or log
        with pytest.raises(Refuted):
            SIGNER.verifier.verify(other, SIGNER.sign(text, NOW).value)
    for signer in (SIGNER, LATTICE):
        value = signer.sign(text, NOW).value
        with pytest.raises(Refuted):
            signer.verifier.verify(text, (NOW + 1).to_bytes(8, "big") + value[8:])  # and for another time
    renamed = Verifier("witness.example/w9", WITNESS_KEY_ML_DSA, LATTICE.verifier.public)
    with pytest.raises(Refuted):
        renamed.verify(text, line.value)  # the name is covered


def test_the_cosigned_message_is_the_specifications_structure() -> None:
    """Built here by hand from C2SP tlog-cosignature, section "ML-DSA-44 signed message"."""
    from cryptography.hazmat.primitives.asymmetric import mldsa

    root = bytes(range(32))
    text = Checkpoint("example.com/log", 0x0102, root).text()
    value = LATTICE.sign(text, 0x0304).value
    assert value[:8] == bytes.fromhex("0000000000000304")
    assert len(value) == 8 + 2420
    message = (b"subtree/v1\n\x00" + b"\x12witness.example/w2" + bytes.fromhex("0000000000000304")
               + b"\x0fexample.com/log" + bytes(8) + bytes.fromhex("0000000000000102") + root)
    mldsa.MLDSA44PublicKey.from_public_bytes(LATTICE.verifier.public).verify(value[8:], message)


def test_one_name_does_not_count_twice() -> None:
    both = NoteSigner(SIGNER.verifier.name, b"\x22" * 32, WITNESS_KEY_ML_DSA)
    with pytest.raises(Misuse, match="one name"):
        witnessed(log_of(1).note(), [SIGNER.verifier, both.verifier], 1)


# What is refused, and changes nothing


def test_the_answers_of_the_protocol(witness: Witness) -> None:
    log = log_of(20)
    witness.add_checkpoint(asked(log, 0, 10))
    other = NoteSigner("example.org/unknown", b"\x07" * 32)
    thief = NoteSigner(KEY.name, b"\x08" * 32)
    proof = tuple(View(log, log.checkpoint).consistency(10))
    cases: list[tuple[bytes, type[Exception]]] = [
        (b"", BadInput), (b"old 1\n\n", BadInput), (b"old 01\n\n" + log.note(), BadInput),
        (b"old -1\n\n" + log.note(), BadInput), (b"old 1\nAAAA\n\n" + log.note(), BadInput),
        (b"old 1\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\n" + log.note(), BadInput),
        (b"new 1\n\n" + log.note(), BadInput), (b"old 1\n" + log.note(), BadInput),
        (Asked(10, proof, Checkpoint(other.verifier.name, 20, log.checkpoint.root).sign(other)).to_bytes(),
         Undecidable),
        (Asked(10, proof, Checkpoint(KEY.name, 20, log.checkpoint.root).sign(thief)).to_bytes(), NotSigned),
        (Asked(21, (), log.note()).to_bytes(), BadInput),
        (Asked(9, proof, log.note()).to_bytes(), Conflict),
        (Asked(0, (), log.note()).to_bytes(), Conflict),
        (Asked(10, proof[:-1], log.note()).to_bytes(), Refuted),
        (Asked(10, (*proof, bytes(32)), log.note()).to_bytes(), Refuted),
        (Asked(10, (), log.note()).to_bytes(), Refuted)]
    for body, error in cases:
        with pytest.raises(error) as found:
            witness.add_checkpoint(body)
        assert found.type is error, body[:20]
        assert witness.seen(KEY).size == 10
    with pytest.raises(Conflict) as conflict:
        witness.add_checkpoint(asked(log, 0))
    assert conflict.value.size == 10
    witness.add_checkpoint(asked(log, 10))


def test_a_fork_of_one_size_is_not_signed_and_is_proven(witness: Witness) -> None:
    witness.add_checkpoint(asked(log_of(10), 0))
    fork = log_of(10, "other", same=4)
    with pytest.raises(Conflict, match="two trees") as found:
        witness.add_checkpoint(Asked(10, (), fork.note()).to_bytes())
    assert found.value.size is None
    (file,) = (witness.directory / "forks").iterdir()
    older, newer = ForkProof.from_bytes(file.read_bytes()).check()
    assert {older.root, newer.root} == {log_of(10).checkpoint.root, fork.checkpoint.root}


def test_a_longer_fork_is_not_signed_whatever_proof_comes_with_it(witness: Witness) -> None:
    witness.add_checkpoint(asked(log_of(10), 0))
    fork = log_of(25, "other", same=4)
    for path in (tuple(View(fork, fork.checkpoint).consistency(10)),
                 tuple(View(log_of(25), log_of(25).checkpoint).consistency(10)), ()):
        with pytest.raises(Refuted):
            witness.add_checkpoint(Asked(10, path, fork.note()).to_bytes())
    with pytest.raises(Conflict):
        witness.add_checkpoint(asked(fork, 4))  # nor from where the two still agree
    assert witness.seen(KEY).root == log_of(10).checkpoint.root


def test_many_at_once_get_one_history(witness: Witness) -> None:
    one, two = log_of(12), log_of(12, "other", same=3)
    bodies = [asked(one, 0), asked(two, 0)] * 8
    gate = threading.Barrier(len(bodies))

    def act(body: bytes) -> bytes | None:
        gate.wait()
        try:
            return witness.add_checkpoint(body)
        except Conflict:
            return None

    with ThreadPoolExecutor(len(bodies)) as pool:
        signed = [body for body, line in zip(bodies, pool.map(act, bodies), strict=True) if line is not None]
    assert len(signed) == 1
    assert Asked.from_bytes(signed[0]).note == (witness.directory / "seen").iterdir().__next__().read_bytes()


def test_what_it_remembers_is_on_the_disk_before_it_signs(witness: Witness, tmp_path: Path) -> None:
    class Dies(NoteSigner):
        def sign(self, text: bytes, time: int | None = None) -> object:  # type: ignore[override]
            raise KeyboardInterrupt

    dying = Witness(witness.directory, Dies("witness.example/w1", b"\x21" * 32, WITNESS_KEY), lambda: NOW)
    with pytest.raises(KeyboardInterrupt):
        dying.add_checkpoint(asked(log_of(10), 0))
    again = Witness(witness.directory, SIGNER, lambda: NOW)  # killed between the two: it stands by what it kept
    with pytest.raises(Conflict):
        again.add_checkpoint(asked(log_of(10, "other"), 0))
    again.add_checkpoint(Asked(10, (), log_of(10).note()).to_bytes())


COSIGNER = """
import sys
sys.path[:0] = [{tests!r}, {source!r}]
from pathlib import Path
from test_witness import LOG_SIGNER, NOW, SIGNER, asked, log_of
from troth.ledger.witness import Witness
witness, log = Witness(Path({directory!r}), SIGNER, lambda: NOW), log_of(5_000)
for size in range(1, 5_000):
    witness.add_checkpoint(asked(log, size - 1, size))
    print(size, flush=True)
"""


@pytest.mark.parametrize("count", [1, 20, 60])
def test_a_killed_witness_stands_by_all_it_signed(witness: Witness, count: int) -> None:
    script = COSIGNER.format(tests=str(Path(__file__).parent), source=str(Path(__file__).parents[2] / "src"),
                             directory=str(witness.directory))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(count)]
        process.kill()
        said += map(int, process.stdout.read().split())
    seen = witness.seen(KEY)
    assert said[-1] <= seen.size <= said[-1] + 1  # killed between writing and saying, at most
    assert seen.root == View(log_of(5_000), log_of(5_000).checkpoint).root(seen.size)
    with pytest.raises(Conflict):
        witness.add_checkpoint(asked(log_of(30, "other"), 0, 30))
    witness.add_checkpoint(asked(log_of(5_000), seen.size))


def test_a_log_is_known_under_one_key(witness: Witness) -> None:
    add_log(witness.directory, KEY)
    assert list(logs_of(witness.directory)) == [KEY.name]
    with pytest.raises(Misuse):
        add_log(witness.directory, NoteSigner(KEY.name, b"\x08" * 32).verifier)
    with pytest.raises(Misuse):
        add_log(witness.directory, SIGNER.verifier)
    with pytest.raises(Misuse):
        Witness(witness.directory, LOG_SIGNER, lambda: NOW)


def test_an_ml_dsa_witness_signs_no_extension_lines(tmp_path: Path) -> None:
    add_log(tmp_path, KEY)
    root = log_of(3).checkpoint.root
    body = Asked(0, (), Checkpoint(KEY.name, 3, root, ("more",)).sign(LOG_SIGNER)).to_bytes()
    lattice = Witness(tmp_path, LATTICE, lambda: NOW)
    with pytest.raises(BadInput, match="extension"):
        lattice.add_checkpoint(body)
    assert lattice.seen(KEY).size == 0
    Witness(tmp_path, SIGNER, lambda: NOW).add_checkpoint(body)


# Over HTTP


@pytest.fixture
def server(witness: Witness) -> Iterator[WitnessServer]:
    with WitnessServer(witness) as one:
        yield one


def post(server: WitnessServer, body: bytes, path: str = "/add-checkpoint", **headers: str) -> tuple[int, str, bytes]:
    line = http.client.HTTPConnection("127.0.0.1", server.port)
    try:
        line.request("POST", path, body, headers)
        answer = line.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        line.close()


def test_statuses(server: WitnessServer) -> None:
    log = log_of(20)
    assert post(server, asked(log, 0, 10))[0] == 200
    unknown = NoteSigner("example.org/unknown", b"\x07" * 32)
    assert post(server, asked(log, 0)) == (409, "text/x.tlog.size", b"10\n")
    assert post(server, b"nonsense")[0] == 400
    assert post(server, Asked(10, (), log.note()).to_bytes())[0] == 422
    stranger = Checkpoint(unknown.verifier.name, 0, bytes(32)).sign(unknown)
    assert post(server, Asked(0, (), stranger).to_bytes())[0] == 404
    forged = Checkpoint(KEY.name, 20, bytes(32)).sign(NoteSigner(KEY.name, b"\x08" * 32))
    assert post(server, Asked(10, (), forged).to_bytes())[0] == 403
    fork = Asked(10, (), log_of(10, "other").note()).to_bytes()
    assert post(server, fork)[:2] == (409, "text/plain; charset=utf-8")
    assert post(server, asked(log, 10), Origin="http://evil.example")[0] == 403
    assert post(server, asked(log, 10), Host="evil.example")[0] == 403
    assert post(server, asked(log, 10), "/other")[0] == 404
    status, _, data = post(server, asked(log, 10))
    assert status == 200
    assert witnessed(log.note() + data, [server.witness.key], 1) == (NOW,)


def test_monitors_read_what_a_witness_saw(server: WitnessServer, tmp_path: Path) -> None:
    """Gossip: the log tells the witness one story and the monitor another."""
    log, fork = log_of(20), log_of(30, "other", same=5)
    post(server, asked(log, 0))
    place = f"{server.url}/{hashlib.sha256(KEY.name.encode()).hexdigest()}"
    monitor = Monitor(tmp_path / "m", fork, KEY)
    monitor.look()
    with pytest.raises(Forked):
        monitor.compare(tiles_at(place, private=True).note(), tiles_at(place, private=True))
    early = Monitor(tmp_path / "early", log_of(10), KEY)
    early.look()
    with pytest.raises(Pending):
        early.compare(tiles_at(place, private=True).note(), tiles_at(place, private=True))
    for other in ("x" * 64, "0" * 64, "../logs", "A" * 64):
        with pytest.raises(Undecidable):
            tiles_at(f"{server.url}/{other}", private=True).note()


def test_a_log_has_its_checkpoint_cosigned_and_keeps_that(server: WitnessServer, tmp_path: Path) -> None:
    site = Site(server.url, private=True)
    with Log.create(tmp_path / "log", LOG_SIGNER) as log:
        for start in (0, 3, 300):
            log.append([claim(n) for n in range(start, start + 3)])
            note = ask(site, log, SIGNER.verifier, NOW)
            assert note == log.note()
            assert witnessed(note, [SIGNER.verifier], 1) == (NOW,)
            assert ask(site, log, SIGNER.verifier, NOW + 5) == log.note()  # the newer line takes its place
            assert len(Note.from_bytes(log.note()).signatures) == 2
        log.verify()
        other = Witness(tmp_path / "w2", LATTICE, lambda: NOW)
        other.directory.mkdir()
        add_log(other.directory, KEY)
        with WitnessServer(other) as second:
            ask(Site(second.url, private=True), log, LATTICE.verifier, NOW)
        assert witnessed(log.note(), [SIGNER.verifier, LATTICE.verifier], 2) == (NOW, NOW)


def test_a_log_restored_from_an_old_copy_learns_it_from_its_witness(server: WitnessServer, tmp_path: Path) -> None:
    site = Site(server.url, private=True)
    for name, count in (("log", 9), ("old", 4)):
        with Log.create(tmp_path / name, LOG_SIGNER) as log:
            log.append([claim(n) for n in range(count)])
            if name == "log":
                ask(site, log, SIGNER.verifier, NOW)
            else:
                with pytest.raises(Refuted, match="seen more"):
                    ask(site, log, SIGNER.verifier, NOW)
                log.append([claim(n) for n in range(100, 110)])
                with pytest.raises(Refuted, match="another history"):
                    ask(site, log, SIGNER.verifier, NOW)


def test_witnesses_that_answer_something_else(tmp_path: Path) -> None:
    with Log.create(tmp_path / "log", LOG_SIGNER) as log, Place(log_of(1)) as place:
        log.append([claim(n) for n in range(5)])
        site, note = Site(place.url, private=True), Note.from_bytes(log.note())
        good, other = SIGNER.sign(note.text, NOW), NoteSigner("witness.example/other", b"\x31" * 32, WITNESS_KEY)
        before = log.note()
        replayed = SIGNER.sign(Checkpoint(KEY.name, 4, bytes(32)).text(), NOW)
        cases: list[tuple[int, str, bytes, type[Exception]]] = [
            (200, "text/plain", replayed.line().encode(), Refuted),
            (200, "text/plain", SIGNER.sign(note.text, NOW - 3600).line().encode(), Refuted),
            (200, "text/plain", SIGNER.sign(note.text, NOW + 3600).line().encode(), Refuted),
            (200, "text/plain", other.sign(note.text, NOW).line().encode(), OutsideFailed),
            (200, "text/plain", b"", BadInput), (200, "text/plain", b"junk\n", BadInput),
            (200, "text/plain", good.line().encode() + b"more\nlines\n", BadInput),
            (409, "text/x.tlog.size", b"6\n", Refuted), (409, "text/x.tlog.size", b"0x5\n", BadInput),
            (409, "text/plain", b"forked\n", Refuted), (422, "text/plain", b"", Refuted),
            (404, "text/plain", b"unknown log", OutsideFailed), (500, "text/plain", b"", OutsideFailed)]
        for *says, error in cases:
            place.says = tuple(says)  # type: ignore[assignment]
            with pytest.raises(error) as found:
                ask(site, log, SIGNER.verifier, NOW)
            assert found.type is error, says
            assert log.note() == before
        place.says = (200, "text/plain", other.sign(note.text, NOW).line().encode() + good.line().encode())
        ask(site, log, SIGNER.verifier, NOW)  # a stranger's line beside is dropped
        assert [line.name for line in Note.from_bytes(log.note()).signatures] == [KEY.name, SIGNER.verifier.name]


def test_requests_are_bounded() -> None:
    with pytest.raises(BadInput, match="too long"):
        Asked.from_bytes(b"old 0\n\n" + bytes(1 << 20))
