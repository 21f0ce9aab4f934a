"""The wire between workers: PyTorch's gloo, pair by pair, in groups that form again when somebody is lost.

**Meeting.** A small store (PyTorch's ``TCPStore``) where workers find each other; run by whoever starts the session,
not by a worker, so that any worker may die. A group is an *attempt*: whoever is there signs in, and once all workers
are, or more than half are and nobody came for ``grace`` seconds, the first to say so fixes the roster.

**Exchange.** Every member sends to every other one directly: none passes on another's bytes, so nobody can change them
on the way but the network. A dead member's connection breaks at once, a silent one's after ``wait`` seconds; either
breaks the attempt for all, and the next one forms.

**What is open.** Plain TCP, on loopback unless asked otherwise. Whoever reaches the meeting can sign in as anybody or
write nonsense there, which delays and proves nothing: what counts is signed. Values travel in the clear; across
machines, put a tunnel (WireGuard, SSH) under it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.adapters.torch import library

POLL = 0.05


class Broken(Exception):
    """This attempt is over: a member is lost. Caught by the worker, who joins the next."""


def _only_here(address: str, beyond_this_machine: bool) -> None:
    if not ipaddress.ip_address(address).is_loopback and not beyond_this_machine:
        raise Misuse("plain TCP beyond this machine", expected="a loopback address", actual=address,
                     do="Use a tunnel's address and say beyond_this_machine=True.")


def _distributed() -> Any:
    library()
    # Imported here: an extra, and seconds to load.
    import torch.distributed

    return torch.distributed


class Meeting:
    """Listens until closed. address: an IP address, loopback unless ``beyond_this_machine``. port 0: any free one."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, *, beyond_this_machine: bool = False) -> None:
        _only_here(address, beyond_this_machine)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(256)
        except OSError as error:
            listening.close()
            raise OutsideFailed("the meeting cannot listen", actual=error, do="Take another port.") from None
        self.address, self.port = address, int(listening.getsockname()[1])
        # the socket is handed over: by itself the store would listen on every address of the machine
        self._store = _distributed().TCPStore(address, self.port, is_master=True, wait_for_workers=False,
                                              master_listen_fd=listening.detach())

    def close(self) -> None:
        """Stop listening."""
        self._store = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. grace: for latecomers once enough are there. wait: for one member's bytes; longer than its local steps.
    meet: for enough workers to come at all."""

    grace: float = 5.0
    wait: float = 600.0
    meet: float = 3600.0


class Group:
    """The members of one attempt. Indices are places in the session's workers."""

    def __init__(self, attempt: int, members: tuple[int, ...], mine: int, process_group: Any, wait: float) -> None:
        self.attempt, self.members, self.mine = attempt, members, mine
        self._wait = timedelta(seconds=wait)
        self.sent = 0
        """Bytes handed to the wire, sizes included."""
        self._group, self._tag = process_group, 0

    def exchange(self, send: bytes | Mapping[int, bytes], most: int) -> dict[int, bytes | None]:
        """Everybody's bytes but one's own, by index; None for more than ``most``. Raises Broken.

        send: the same to all, or by index (nothing to those not named).
        """
        torch = library()
        others = [index for index in self.members if index != self.mine]
        out = {index: send if isinstance(send, bytes) else send.get(index, b"") for index in others}
        sizes = {index: torch.zeros(1, dtype=torch.int64) for index in others}
        self._swap({index: torch.tensor([len(data)]) for index, data in out.items()}, sizes)
        wanted = {index: int(size) for index, size in sizes.items()}
        buffers = {index: torch.empty(size, dtype=torch.uint8) for index, size in wanted.items() if 0 < size <= most}
        self._swap({index: torch.frombuffer(bytearray(data), dtype=torch.uint8) for index, data in out.items() if data},
                   buffers)
        self.sent += sum(8 + len(data) for data in out.values())
        return {index: b"" if not wanted[index] else np.asarray(buffers[index]).tobytes() if index in buffers else None
                for index in others}

    def _swap(self, out: Mapping[int, Any], into: Mapping[int, Any]) -> None:
        self._tag += 1
        rank = {index: place for place, index in enumerate(self.members)}
        try:
            waiting = [self._group.recv([tensor], rank[index], self._tag) for index, tensor in into.items()]
            waiting += [self._group.send([tensor], rank[index], self._tag) for index, tensor in out.items()]
            for work in waiting:
                work.wait(self._wait)
        except RuntimeError as error:  # gloo's word for a connection that closed and for one that timed out
            self._group = None
            raise Broken(str(error)) from None


class Link:
    """One worker's way to the others. mine: its place among ``count`` workers. address: where it listens itself."""

    def __init__(self, meeting: tuple[str, int], mine: int, count: int, patience: Patience | None = None, *,
                 address: str = "127.0.0.1", beyond_this_machine: bool = False) -> None:
        _only_here(address, beyond_this_machine)
        if not 0 <= mine < count:
            raise BadInput("no place among the workers", expected=f"0 to {count - 1}", actual=mine)
        self.mine, self._count, self._address = mine, count, address
        self.patience = patience or Patience()
        self._distributed = _distributed()
        self._store = self._told(lambda: self._distributed.TCPStore(
            meeting[0], meeting[1], is_master=False, wait_for_workers=False,
            timeout=timedelta(seconds=max(1.0, self.patience.grace))))

    @staticmethod
    def _told(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RuntimeError as error:
            raise OutsideFailed("the meeting does not answer", actual=str(error).splitlines()[0],
                                do="Start it again; every worker goes on from its last sync.") from None

    def _here(self, attempt: int, index: int) -> bool:
        return bool(self._told(lambda: self._store.check([f"{attempt}/here/{index}"])))

    def _roster(self, attempt: int) -> tuple[int, ...] | None:
        if not self._told(lambda: self._store.check([f"{attempt}/roster"])):
            return None
        text = self._told(lambda: self._store.get(f"{attempt}/roster")).decode(errors="replace")
        try:
            found = json.loads(text)
        except ValueError:
            return ()
        proper = type(found) is list and all(type(i) is int and 0 <= i < self._count for i in found)
        return tuple(sorted(set(found))) if proper else ()

    def waiting(self, attempt: int, but: Collection[int]) -> bool:
        """Whether somebody waits for the attempt after this one."""
        return any(self._here(attempt + 1, index) for index in range(self._count) if index not in but)

    def join(self, after: int, quorum: int, never: Collection[int], meet: float | None = None) -> Group:
        """The next group that has this worker in it, at least ``quorum`` members and none of ``never``.

        Raises OutsideFailed when too few come, or the meeting is gone.
        """
        until = time.monotonic() + (self.patience.meet if meet is None else meet)
        attempt = after
        while True:
            attempt += 1
            if self._roster(attempt) is not None:  # fixed before: if it names this worker, then an earlier life of it
                continue
            members = self._sign_in(attempt, quorum, never, until)
            if self.mine not in members or len(members) < quorum or set(members) & set(never):
                continue
            try:
                return Group(attempt, members, self.mine, self._connect(attempt, members),
                             self.patience.wait)
            except RuntimeError:  # a member died before all were connected
                continue

    def _sign_in(self, attempt: int, quorum: int, never: Collection[int], until: float) -> tuple[int, ...]:
        self._told(lambda: self._store.set(f"{attempt}/here/{self.mine}", b"1"))
        seen: tuple[int, ...] = ()
        since = time.monotonic()
        able = [index for index in range(self._count) if index not in never]
        while True:
            found = self._roster(attempt)
            if found is not None:
                return found
            here = tuple(index for index in able if self._here(attempt, index))
            now = time.monotonic()
            if here != seen:
                seen, since = here, now
            if len(here) == len(able) or (len(here) >= quorum and now - since > self.patience.grace):
                said = json.dumps(here)
                self._told(partial(self._store.compare_set, f"{attempt}/roster", "", said))
            elif now > until:
                raise OutsideFailed("too few workers came", expected=f"{quorum} of {self._count}", actual=len(here),
                                    do="Start them again; every worker goes on from its last sync.")
            else:
                time.sleep(POLL)

    def _connect(self, attempt: int, members: tuple[int, ...]) -> Any:
        gloo = self._distributed.ProcessGroupGloo
        options = gloo._Options()
        options._devices = [gloo.create_device(hostname=self._address)]
        options._timeout = timedelta(seconds=max(5.0, 2 * self.patience.grace))  # to connect
        options._threads = 1
        store = self._distributed.PrefixStore(f"{attempt}/gloo", self._store)
        return gloo(store, members.index(self.mine), len(members), options)
