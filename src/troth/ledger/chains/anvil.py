"""Foundry's anvil as a backend: a development node that Troth starts, talks to on loopback, and ends.

``anvil:`` is a node that forgets, ``anvil:PATH`` one whose state is loaded from and left in ``PATH`` (JSON). The
program is the one in ``TROTH_ANVIL``, else ``anvil`` on the PATH. What to know:

- It listens on 127.0.0.1, on a port the system picks, and takes any request from this machine: it is for development.
- It ends when its chain is closed, and when the process that started it ends, however that ends.
- **State is left in the file by an orderly end only**: if anvil is killed, what happened since it started is lost. One
  process a file. Nothing of value belongs on it; the embedded chain is the one that survives a crash.
- It runs Prague's rules at a base fee of zero, so gas is that of the embedded chain and nobody needs ether.
- ``genesis_time`` is where its clock starts; without one its clock is the machine's. ``accounts`` get their wei when a
  new chain has started; its genesis block does not know of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Clock
from troth.ledger.chains import CHAIN_ID
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.chains.rpc import RpcChain, request
from troth.store.files import holding

BINARY = "TROTH_ANVIL"
HINT = "npm install @foundry-rs/anvil-linux-amd64, and put its bin/anvil on the PATH or name it in TROTH_ANVIL"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
LISTENING = "Listening on 127.0.0.1:"
FIXED = (
    "--host", "127.0.0.1", "--port", "0", "--no-cors", "--accounts", "0", "--hardfork", "prague", "--base-fee", "0",
    "--gas-price", "0", "--disable-min-priority-fee", "--order", "fifo", "--color", "never",
)  # fmt: skip
GUARD = """
exec 3<&0
( if read -r _ <&3; then exit; fi; kill -TERM $$ ) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"""
"""A shell that becomes anvil and leaves a guard behind. The guard reads what only the parent can write to: a line tells
it to stand down, the end of the pipe that the parent is gone, whether or not it could say so."""


def program() -> str:
    """Where anvil is. Raises OutsideFailed with what to install."""
    named = os.environ.get(BINARY)
    found = shutil.which(named or "anvil")
    if found is None:
        raise OutsideFailed(f"anvil is not here: {named or 'none on the PATH'}", do=HINT)
    return found


class _Process:
    """A running anvil and its guard."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = ["/bin/sh", "-c", GUARD, "anvil", program(), *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
        self._said: deque[str] = deque(maxlen=20)
        self._ports: SimpleQueue[int | None] = SimpleQueue()
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process.stdout,), name="anvil", daemon=True).start()
        try:
            self.port = self._port()
        except BaseException:
            self.stop()
            raise

    def _listen(self, output: IO[str]) -> None:
        """Read what anvil prints, for as long as it does: it stops for a reader that does not keep up."""
        with contextlib.suppress(ValueError):  # closed while it was read
            for line in output:
                self._said.append(line.strip())
                if line.startswith(LISTENING):
                    self._ports.put(int(line.removeprefix(LISTENING)))
        self._ports.put(None)

    def _port(self) -> int:
        try:
            port = self._ports.get(timeout=START_SECONDS)
        except Empty:
            port = None
        if port is None:
            raise OutsideFailed("anvil did not start", actual=" ".join(filter(None, self._said)) or "nothing said")
        return port

    @property
    def pid(self) -> int:
        """Anvil's process id."""
        return self._process.pid

    def stop(self) -> None:
        """End it in order, so that it leaves its state; kill it if it does not end. Once is enough."""
        with contextlib.suppress(OSError, ValueError):  # the guard is gone, or was told before
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class AnvilChain(RpcChain):
    """An anvil of one's own. Closing it ends the program.

    path: its state file, or None. chain_id, genesis_time, accounts: see the module; a state file has its own genesis,
    and one that differs from ``genesis_time`` is refused. options: further arguments of anvil's, such as
    ``("--no-mining",)`` or ``("--slots-in-an-epoch", "2")``.

    Raises OutsideFailed if anvil is missing, does not start, or another process uses the file; BadInput for a file
    that is no state of anvil's; Misuse for another genesis time.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        chain_id: int = CHAIN_ID,
        genesis_time: int | None = None,
        accounts: Mapping[bytes, int] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._held = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            if path is not None:
                busy = "another process runs anvil on this file"
                undo.enter_context(holding(f"{path}.lock", 0, busy))
            started = None if path is None else _genesis_time_in(path)
            if started is not None and genesis_time not in (None, started):
                raise Misuse(f"{path} is a chain with another genesis time", expected=genesis_time, actual=started,
                             do="Leave the argument out to open it as it is, or name another file")
            first = genesis_time if started is None else started
            arguments = [*FIXED, "--chain-id", str(chain_id), *options]
            arguments += ["--timestamp", str(first)] if first is not None else []
            arguments += ["--state", str(path)] if path is not None else []
            self._process = _Process(arguments)
            undo.callback(self._process.stop)
            super().__init__(f"http://127.0.0.1:{self._process.port}", chain_id=chain_id)
            if started is not None and genesis_time is None:
                self._catch_up()
            if started is None:
                for account, wei in (accounts or {}).items():
                    request(self.web3, "anvil_setBalance", "0x" + account.hex(), hex(wei))
            self._held = undo.pop_all()

    def _catch_up(self) -> None:
        """Show the machine's time again: a loaded chain's clock starts from its genesis."""
        head = request(self.web3, "eth_getBlockByNumber", "latest", False)
        request(self.web3, "evm_setTime", max(SystemClock().now(), quantity(head["timestamp"])))

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def close(self) -> None:
        """End the program. With a state file, the chain is left there."""
        super().close()
        self._held.close()


def _genesis_time_in(path: Path) -> int | None:
    """The genesis block's time in a state file; None where there is no file yet. Raises BadInput, OutsideFailed."""
    try:
        blocks = json.loads(path.read_bytes())["blocks"]
        headers = [block["header"] for block in blocks]
        return next(quantity(header["timestamp"]) for header in headers if quantity(header["number"]) == 0)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
    except (ValueError, RecursionError, LookupError, TypeError, StopIteration) as error:
        raise BadInput(f"{path} is no state of anvil's with its genesis", actual=repr(error)[:80],
                       do="Name another file") from None


def open_url(
    url: str,
    chain_id: int | None,
    genesis_time: int | None,
    accounts: Mapping[bytes, int] | None,
    clock: Clock | None,
) -> AnvilChain:
    """The chain in the file after ``anvil:``; one that forgets if there is none. Raises Misuse for a clock."""
    if clock is not None:
        raise Misuse("anvil has a clock of its own", do="Leave clock out; genesis_time sets where it starts")
    path = url.partition(":")[2]
    return AnvilChain(Path(path) if path else None, chain_id=CHAIN_ID if chain_id is None else chain_id,
                      genesis_time=genesis_time, accounts=accounts)

