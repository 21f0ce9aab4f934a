"""A child process that works in a workspace until it is killed. It is forked: starting Python anew costs a second.

It says "ready" when it starts to work and then each thing that is acknowledged, so that the parent knows what must be
there.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from troth.app import Settings, Troth, file_subject
from troth.app.keys import rotate
from troth.identity.keystore import MIN_COST

PASSPHRASE = "correct horse"


def work(say: Callable[[str], None], action: str, directory: Path, argument: str = "") -> None:
    """Do one thing, or the same thing again and again."""
    if action == "init":
        say("ready")
        Troth.init(directory, PASSPHRASE, Settings("w", "", argument), cost=MIN_COST).close()
        say("done")
        return
    with Troth.open(directory, PASSPHRASE) as party:
        say("ready")
        if action == "attest":
            for n in range(int(argument)):
                say(party.attest("note", [file_subject("x", b"x")], {"n": n}).hex())
        elif action == "send":
            while True:
                claim = party.attest("note", [file_subject("x", b"x")], {})
                party.send([argument], [claim], [party.add("secret", b"s" * 1000, [argument])])
                say(claim.hex())
        elif action == "receive":
            for claim in party.receive():
                say(claim.hex())
        elif action == "erase":
            say(party.erase(bytes.fromhex(argument)).hex())
        elif action == "rotate":
            while True:
                say(str(rotate(party, PASSPHRASE).version))
        elif action == "bundle":
            target, _, path = argument.partition(":")
            party.bundle(bytes.fromhex(target), Path(path))
            say("done")


class Child:
    """A forked worker. ``out`` is what it says; ``wait`` gives its exit status: 0, 1 for an error, -9 for a kill."""

    def __init__(self, *words: str | Path) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(reading)
                action, directory, *rest = words
                work(lambda line: os.write(writing, line.encode() + b"\n") and None,
                     str(action), Path(directory), *map(str, rest))
                status = 0
            except BaseException:
                os.write(writing, traceback.format_exc().encode())
            finally:
                os._exit(status)  # nothing of the parent's (pytest, its files) may run in the child
        os.close(writing)
        self.out = os.fdopen(reading)

    def wait(self) -> int:
        """Its exit status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
