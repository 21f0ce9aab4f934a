"""A site's own process: it opens its workspace, answers at its door, and reaches nothing but the chain."""

from __future__ import annotations

import json
import resource
import signal
import sys
import threading
from pathlib import Path

from troth.app import Troth
from troth.app.flower import Node, open_door
from troth.app.rounds import load
from troth.app.site import Holding, Member
from troth.learn.claims import LISTING
from troth.learn.tables import read_table
from troth.ledger.chains import open_chain


def main(settings: Path) -> None:
    """settings: what the test wrote for this site. The passphrase comes on standard input."""
    said = json.loads(settings.read_text())
    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    file = load(Path(said["file"]))
    with open_chain(said["chain"]) as chain, Troth.open(Path(said["home"]), sys.stdin.readline().strip(), chain=chain,
                                                        clock=chain) as party:
        listing = next(claim for claim, one in party.claims(LISTING) if one.issuer == party.did)
        member = Member(party, file.agreed, (said["sponsor"], bytes.fromhex(said["account"])), said["aggregator"],
                        Holding(lambda: read_table(Path(said["data"]), file.agreed.schema), listing), print)
        with open_door(party, member.answer, Node(Path(said["node"]), party.did), print,
                       courier=True) as door:
            print("open", flush=True)
            door.serve(stop.is_set)
        print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
