"""Commands of `troth`, each in a process of its own, forked from one whose libraries are read already.

Starting Python and reading web3 and an EVM takes two seconds of processor for each command, and the tests start
hundreds. In the process that is forked nothing has run but imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LIBRARIES = ("troth.app", "troth.app.onchain", "troth.ledger.chains.engine", "web3", "eth_account",
             "pydantic.type_adapter")
"""What most commands read besides the command line itself."""
TIMEOUT = 120


def run(*words: str, at: Path, env: Mapping[str, str], status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `troth` in a folder, with this environment and no other; it must end with ``status``, and without a trace."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        asked = {"words": words, "at": str(at), "env": dict(env), "out": out.name, "err": err.name}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        done = subprocess.CompletedProcess(words, int(server.stdout.readline()), out.read(), err.read())
    assert done.returncode == status, (words, done)
    assert "Traceback" not in done.stderr, (words, done)
    return done


@cache
def _server() -> subprocess.Popen[str]:
    """The process to fork from; it ends with this one."""
    return subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    for library in LIBRARIES:
        __import__(library)
    from troth.cli.main import main

    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
            main()
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(asked: dict[str, Any]) -> None:
    """What a new process would have found."""
    signal.alarm(TIMEOUT)
    random.seed()
    os.chdir(asked["at"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, path in enumerate((os.devnull, asked["out"], asked["err"])):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.argv = ["troth", *asked["words"]]


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
