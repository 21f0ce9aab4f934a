"""A log is served, witnessed and watched over HTTP; then its keeper tells two stories, and is shown to.

    python examples/watch_a_log.py FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from troth.app import Troth, file_subject
from troth.app.tlog import check_proof, prove
from troth.core.errors import Refuted
from troth.identity.keystore import MIN_COST
from troth.ledger.checkpoints import WITNESS_KEY_ML_DSA, NoteSigner
from troth.ledger.forks import ForkProof
from troth.ledger.logserver import TileServer, WitnessServer
from troth.ledger.monitor import Forked, Monitor
from troth.ledger.tiles import TileFiles
from troth.ledger.webtiles import tiles_at
from troth.ledger.wire import Site
from troth.ledger.witness import Witness, add_log
from troth.ledger.witnessing import ask

SECRET = "no secret: an example's"


def main(folder: Path) -> None:
    """One keeper, one witness, one friend who watches."""
    keeper = Troth.init(folder / "keeper", SECRET, cost=MIN_COST)  # a cheap keystore: it is an example
    key = keeper.log.key
    (folder / "witness").mkdir()
    add_log(folder / "witness", key)
    signer = NoteSigner("example.org/witness", b"\x07" * 32, WITNESS_KEY_ML_DSA)
    witness = Witness(folder / "witness", signer, keeper.clock.now)
    with TileServer(TileFiles(keeper.root / "log")) as log, WitnessServer(witness) as asked:
        friend = Monitor(folder / "friend", tiles_at(log.url, private=True), key)  # private: it is on this machine
        claim = keeper.attest("note", [file_subject("report", b"all is well")], {})
        ask(Site(asked.url, private=True), keeper.log, witness.key, keeper.clock.now())
        print("the friend sees", friend.look().checkpoint.size, "claim")
        found, _ = check_proof(prove(keeper.log, claim), key, claim, [witness.key], 1)
        print("proven to be in the log, as one witness saw it:", found == claim)

        shutil.copytree(folder / "keeper", folder / "copy")  # the keeper begins a second story ...
        keeper.attest("note", [file_subject("report", b"all is well, still")], {})
        print("the friend sees", friend.look().checkpoint.size, "claims")
        with Troth.open(folder / "copy", SECRET) as other:
            other.attest("note", [file_subject("report", b"nothing is well")], {})
            ask(Site(asked.url, private=True), other.log, witness.key, keeper.clock.now())  # ... and tells the witness
            try:
                ask(Site(asked.url, private=True), keeper.log, witness.key, keeper.clock.now())
            except Refuted as error:
                print("the witness does not sign the other:", error.message)
            try:
                friend.compare(other.log.note())
            except Forked as error:
                older, newer = ForkProof.from_bytes(error.path.read_bytes()).check()
                print("the friend proves it to anybody: two roots at size", older.size, older.root != newer.root)
    keeper.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
