"""``troth log …`` beyond this party's own entries: proofs, serving, witnesses, watching other logs."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import (
    Json,
    Where,
    claim_id,
    lasting,
    log_app,
    passphrase,
    read_file,
    show,
    visible,
    whole_id,
    workspace,
    write_file,
)
from troth.core.errors import Misuse, OutsideFailed, Pending, Refuted, Undecidable

if TYPE_CHECKING:
    from troth.ledger.checkpoints import Verifier
    from troth.ledger.loopback import LoopbackServer
    from troth.ledger.monitor import Looked, Monitor

ANCHOR = "anchor:"
witness_app = typer.Typer(no_args_is_help=True, help="Witnesses: who has seen a log's checkpoints.")
log_app.add_typer(witness_app, name="witness")

Key = Annotated[str, typer.Option("--key", help="The log's verifier key (vkey).")]
Private = Annotated[bool, typer.Option("--private", help="Let the URL be on this machine or in a private network.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")]
Witnesses = Annotated[list[str] | None, typer.Option("--witness", help="A witness's vkey.")]
Threshold = Annotated[int | None, typer.Option("--threshold", min=0, help="How many witnesses; all by default.")]


@log_app.command("verify")
def log_verify(place: Annotated[str, typer.Argument(help="A directory or a URL.")], key: Key,
               witness: Witnesses = None, threshold: Threshold = None, private: Private = False,
               as_json: Json = False) -> None:
    """Check a whole tile log: every hash, every entry, the signed checkpoint. Of a log of Troth's also its journal."""
    from troth.ledger.audit import check_log, check_tiles  # start-up time: --help must not load the ledger
    from troth.ledger.checkpoints import witnessed  # start-up time
    from troth.ledger.webtiles import tiles_at

    tiles, seen_by = tiles_at(place, private=private), _keys(witness)
    note = tiles.note()
    if (Path(place) / "journal").exists():
        found = check_log(Path(place), _vkey(key))
    else:
        found = check_tiles(tiles, _vkey(key), note)  # another's log has tiles alone
    times = witnessed(note, seen_by, len(seen_by) if threshold is None else threshold)
    show({"origin": found.checkpoint.origin, "size": found.checkpoint.size, "root": found.checkpoint.root.hex(),
          "claims": found.claims, "witnesses": len(times)}, as_json)


@log_app.command("prove")
def log_prove(claim: str, output: Annotated[Path, typer.Option("-o", "--output")], home: Where = None,
              as_json: Json = False) -> None:
    """Write the proof that a claim is in this party's log (C2SP tlog-proof), under its newest checkpoint."""
    from troth.app.tlog import prove  # start-up time, as above

    with workspace(home) as party:
        proof = prove(party.log, claim_id(party, claim))
        write_file(output, proof.to_bytes())
        show({"position": proof.index, "output": str(output)}, as_json)


@log_app.command("verify-proof")
def log_verify_proof(file: Path, key: Key,
                     claim: Annotated[str | None, typer.Option("--claim", help="Which claim it must prove.")] = None,
                     witness: Witnesses = None, threshold: Threshold = None, as_json: Json = False) -> None:
    """Check, offline, that a claim is in a log and that witnesses saw it. It says nothing of the claim's signatures."""
    from troth.app.tlog import check_proof  # start-up time, as above
    from troth.ledger.logproofs import LogProof  # start-up time

    seen_by = _keys(witness)
    proof = LogProof.from_bytes(read_file(file))
    found, checkpoint = check_proof(proof, _vkey(key), None if claim is None else whole_id(claim), seen_by,
                                    len(seen_by) if threshold is None else threshold)
    show({"claim": found.hex(), "position": proof.index, "origin": checkpoint.origin, "size": checkpoint.size}, as_json)


@log_app.command("serve")
def log_serve(directory: Annotated[Path | None, typer.Argument(help="A log or a mirror; this party's log by "
                                                               "default.")] = None,
              port: Port = 7780,
              bodies: Annotated[bool, typer.Option("--bodies", help="Give out claims, not only their hashes.")] = False,
              take: Annotated[bool, typer.Option("--take", help="Take claims in that others hand over.")] = False,
              home: Where = None, as_json: Json = False) -> None:
    """Serve a log to this machine (C2SP tlog-tiles). Ctrl-C stops it. Bodies and taking in need this party's keys."""
    from troth.ledger.logserver import TileServer  # start-up time, as above
    from troth.ledger.tiles import TileFiles  # start-up time

    if directory is not None and (bodies or take):
        raise Misuse("only this party's own log gives out or takes in claims", do="Leave out the directory.")
    from troth.app.place import find  # start-up time, as above

    root = find(home or Path.cwd()) if directory is None else directory
    tiles = TileFiles(root if directory is not None else root / "log")
    tiles.note()  # there has to be a log
    if not (bodies or take):
        _serve(TileServer(tiles, port), {"log": str(root)}, as_json)
        return
    from troth.app import Troth  # start-up time, as above
    from troth.app.tlog import LogDesk  # start-up time

    secret = passphrase()
    server = TileServer(tiles, port, desk=lambda: LogDesk(Troth.open(root, secret)), gives=bodies, takes=take)
    _serve(server, {"log": str(root)}, as_json)


@log_app.command("submit")
def log_submit(url: str, claim: list[str], key: Key,
               output: Annotated[Path | None, typer.Option("-o", "--output", help="A folder for the proofs.")] = None,
               private: Private = False, home: Where = None, as_json: Json = False) -> None:
    """Hand claims to another's log over HTTP, and get its proofs that it holds them. Evidence is not sent along."""
    from troth.app.tlog import submit  # start-up time, as above
    from troth.ledger.wire import Site  # start-up time

    with workspace(home) as party:
        claims = [claim_id(party, item) for item in claim]
        proofs = submit(party, Site(url, private=private), _vkey(key), claims)
        for one, proof in zip(claims, proofs, strict=True):
            if output is not None:
                write_file(output / f"{one.hex()}.tlog-proof", proof.to_bytes())
        show({"claims": {one.hex(): proof.index for one, proof in zip(claims, proofs, strict=True)}}, as_json)


@log_app.command("watch")
def log_watch(place: Annotated[str, typer.Argument(help="A directory or a URL.")], key: Key,
              state: Annotated[Path, typer.Option("--state", help="Where the mirror is kept.")],
              about: Annotated[list[str] | None, typer.Option("--about", help="A DID, CID, digest or claim id to look "
                                                              "for.")] = None,
              compare: Annotated[list[str] | None, typer.Option("--compare", help="What others were shown: a "
                                                                "checkpoint's file, a mirror, a URL; or anchor:ACCOUNT "
                                                                "on this workspace's chain.")] = None,
              every: Annotated[int | None, lasting("--every", "Again and again, so long apart; else once.")] = None,
              private: Private = False, as_json: Json = False) -> None:
    """Follow a log: it must only grow, and tell everybody the same. Reports entries that name what you watch for.

    On a fork it writes a proof that anybody can check, and ends with status 1. With --every it outlasts outages, and
    Ctrl-C stops it.
    """
    from troth.app.tlog import bodies_at  # start-up time, as above
    from troth.ledger.monitor import Monitor  # start-up time
    from troth.ledger.webtiles import tiles_at

    vkey, tiles = _vkey(key), tiles_at(place, private=private)
    monitor, bodies = Monitor(state, tiles, vkey), bodies_at(tiles, place, vkey)
    stop = _stopping() if every is not None else threading.Event()
    while True:
        try:
            found = monitor.look(tuple(about or ()), bodies)
            compared = [_compare(monitor, one, found.checkpoint.origin, private) for one in compare or ()]
            show(_looked(found, compared), as_json)
            if every is None:
                _complain(found.unread, compared)
        except OutsideFailed as error:
            if every is None:
                raise
            typer.echo(visible(f"troth: {error}"), err=True)  # an outage: it looks again
        if every is None or stop.wait(every):
            return


@log_app.command("verify-fork")
def log_verify_fork(file: Path, key: Annotated[str | None, typer.Option("--key", help="The key you know the log by.")
                                               ] = None, as_json: Json = False) -> None:
    """Check a proof that a log forked. Status 0: it did. Without --key the proof names the key; know it yourself."""
    from troth.ledger.forks import ForkProof  # start-up time, as above

    proof = ForkProof.from_bytes(read_file(file))
    if key is not None and proof.key != _vkey(key):
        raise Refuted("the proof is about another log's key", expected=key, actual=proof.key.vkey())
    older, newer = proof.check()
    show({"forked": older.origin, "key": proof.key.vkey(), "sizes": [older.size, newer.size],
          "roots": {"signed": older.root.hex(), "implied": proof.prefix.hex()}}, as_json)


@witness_app.command("new")
def witness_new(directory: Path, name: Annotated[str, typer.Option("--name", help="Such as example.org/witness.")],
                suite: Annotated[str, typer.Option("--suite", help="ed25519 or ml-dsa-44.")] = "ed25519",
                as_json: Json = False) -> None:
    """Make a witness: its key, encrypted under the passphrase."""
    from troth.app.tlog import new_witness  # start-up time, as above

    show({"witness": str(directory), "key": new_witness(directory, name, suite, passphrase()).vkey()}, as_json)


@witness_app.command("know")
def witness_know(directory: Path, key: Annotated[list[str], typer.Argument(help="Keys of logs (vkeys).")],
                 as_json: Json = False) -> None:
    """Let a witness know logs: it cosigns for no other."""
    from troth.ledger.witness import add_log, logs_of  # start-up time, as above

    for one in key:
        add_log(directory, _vkey(one))
    show({"logs": sorted(logs_of(directory))}, as_json)


@witness_app.command("serve")
def witness_serve(directory: Path, port: Port = 7781, as_json: Json = False) -> None:
    """Serve a witness to this machine (C2SP tlog-witness): it never cosigns two views of one log. Ctrl-C stops it."""
    from troth.app.tlog import witness_signer  # start-up time, as above
    from troth.ledger.chains.clocks import SystemClock  # start-up time
    from troth.ledger.logserver import WitnessServer
    from troth.ledger.witness import Witness

    witness = Witness(directory, witness_signer(directory, passphrase()), SystemClock().now)
    _serve(WitnessServer(witness, port), {"key": witness.key.vkey()}, as_json)


@witness_app.command("ask")
def witness_ask(url: str, key: Annotated[str, typer.Option("--key", help="The witness's vkey.")],
                private: Private = False, home: Where = None, as_json: Json = False) -> None:
    """Have a witness cosign this log's newest checkpoint, and keep the cosignature in it."""
    from troth.ledger.checkpoints import Note  # start-up time, as above
    from troth.ledger.wire import Site  # start-up time
    from troth.ledger.witnessing import ask

    with workspace(home) as party:
        note = Note.from_bytes(ask(Site(url, private=private), party.log, _vkey(key), party.clock.now()))
        show({"size": party.log.size, "signed_by": [line.name for line in note.signatures[1:]]}, as_json)


def _complain(unread: int, compared: list[dict[str, Any]]) -> None:
    """What one look could not settle."""
    if unread:
        raise Undecidable("not every entry could be looked into", expected="every claim's body",
                          actual=f"{unread} withheld or forgotten", do="Ask the log's keeper to serve bodies.")
    late = [one["with"] for one in compared if one["found"] == "larger"]
    if late:
        raise Pending("others were shown more than the log shows here", actual=late[0], do="Look again.")


def _stopping() -> threading.Event:
    """Set by Ctrl-C and by SIGTERM."""
    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    return stop


def _vkey(text: str) -> Verifier:
    from troth.ledger.checkpoints import Verifier  # start-up time, as above

    return Verifier.from_vkey(text)


def _keys(texts: list[str] | None) -> tuple[Verifier, ...]:
    return tuple(_vkey(one) for one in texts or ())


def _serve(server: LoopbackServer, said: dict[str, Any], as_json: bool) -> None:
    """Say where, and wait for Ctrl-C."""
    stop = _stopping()
    with server:
        whole = {"url": server.url, **said}
        lines = [f"{name}: {value}" for name, value in whole.items()]
        typer.echo(json.dumps(whole, sort_keys=True) if as_json else "\n".join([*lines, "Ctrl-C stops it."]))
        stop.wait()


def _compare(monitor: Monitor, place: str, origin: str, private: bool) -> dict[str, Any]:
    """Compare with a file's note, another place of the log, or an anchor. Raises as ``Monitor.compare``."""
    from troth.ledger.webtiles import tiles_at  # start-up time, as above

    if place.startswith(ANCHOR):
        return _compare_anchor(monitor, place.removeprefix(ANCHOR), origin)
    file = Path(place).is_file()
    tiles = None if file else tiles_at(place, private=private)
    note = read_file(Path(place)) if tiles is None else tiles.note()
    try:
        return {"with": place, "found": "consistent", "size": monitor.compare(note, tiles).size}
    except Pending:
        return {"with": place, "found": "larger"}


def _compare_anchor(monitor: Monitor, account: str, origin: str) -> dict[str, Any]:
    from troth.app.tlog import latest_anchor  # start-up time, as above
    from troth.verify.trust import address_of  # start-up time

    with workspace(None) as party:
        size, root = latest_anchor(party, address_of(account), origin)
    try:
        monitor.compare_anchor(size, root)
        return {"with": ANCHOR + account, "found": "consistent", "size": size}
    except Pending:
        return {"with": ANCHOR + account, "found": "larger", "size": size}


def _looked(found: Looked, compared: list[dict[str, Any]]) -> dict[str, Any]:
    size = found.checkpoint.size
    return {"origin": found.checkpoint.origin, "size": size, "new": size - found.before, "unread": found.unread,
            "root": found.checkpoint.root.hex(), "compared": compared,
            "mentions": [{"position": one.position, "about": one.about, "kind": one.kind, "issuer": one.issuer,
                          "claim": None if one.claim is None else one.claim.hex()} for one in found.mentions]}
