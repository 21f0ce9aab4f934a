"""A SuperLink and SuperNodes on loopback, from the scripts that Troth prepares; what is started here is ended here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from troth.app.flower import Link, Node, prepare_link, prepare_node

PATIENCE = 120.0


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepared(folder: Path, sites: Sequence[str]) -> tuple[Link, list[Node]]:
    """The folders of a link and of its sites' nodes, in the order in which people do it: keys first."""
    address = free_port()
    keys = [prepare_node(folder / f"n{index}", site) for index, site in enumerate(sites)]
    link = prepare_link(folder / "link", {node.site: node.public.read_bytes() for node in keys}, port=address,
                        now=int(time.time()))
    return link, [prepare_node(node.folder, node.site, link=f"127.0.0.1:{address}", ca=link.ca.read_bytes(),
                               port=free_port()) for node in keys]


class Processes:
    """Groups of processes, each with a log; ended together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: object, given: str = "", **more: str) -> None:
        """In a process group of its own, so that it can be ended with all that it starts."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([str(one) for one in command], stdin=subprocess.PIPE, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | more)
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(given.encode())
        self.started[name] = process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self) -> list[str]:
        """Ask all to end, as people do with Ctrl-C; the command lines of those that did not (and are killed)."""
        for process in self.started.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
        left, end = dict[int, str](), time.monotonic() + 30
        for process in self.started.values():
            while (members := group_of(process.pid)) and time.monotonic() < end:
                process.poll()
                time.sleep(0.2)
            left |= members
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return list(left.values())


def once(*command: object) -> str:
    """What a script prints when it has succeeded, tried for a while: what it talks to may be starting."""
    end = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < end, done.stdout + done.stderr
        time.sleep(1)


def wait_for(port: int) -> None:
    """Until somebody listens on loopback."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise AssertionError(f"nobody listens at {port}")


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """None is left at the end, also after an error."""
    started = Processes(folder)
    try:
        yield started
    finally:
        started.end()


def group_of(leader: int) -> dict[int, str]:
    """The command lines of a process group's living processes, by id; of every process for 0."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if leader in (0, os.getpgid(int(entry.name))):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if line:  # the dead that nobody has asked after have none
                    found[int(entry.name)] = line
    return found


def memory(leader: int) -> int:
    """Resident bytes of a process group's processes, shared pages counted in each."""
    total = 0
    for pid in group_of(leader):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def run_id(printed: str) -> str:
    """The run that ``run.sh`` started."""
    said = json.loads(printed[printed.index("{"):])
    assert said["success"], said
    return str(said["run-id"])
