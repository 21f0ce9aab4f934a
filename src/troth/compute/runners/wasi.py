"""The little of WASI (snapshot preview 1) that a job needs, as functions of the job alone.

Programs that compilers make for ``wasm32-wasi`` expect a system around them. Here it is one whose every answer follows
from the job: standard input is the job's input; standard output its output; the clock stands at 1970; random bytes are
SHA-256 of the job's digest and a counter; there are no files, no arguments, no environment and no sockets. So such a
program gives the same bits on every machine, and there is nothing for it to reach. What is not here traps.

Numbers are WASI's: errno 0 success, 8 badf, 28 inval, 44 noent, 52 nosys; filetype 2 is a character device.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

MODULE = "wasi_snapshot_preview1"
OK, BADF, INVAL, NOENT, NOSYS = 0, 8, 28, 44, 52
_STDIN, _STDOUT, _STDERR = 0, 1, 2
MOST_PARTS = 1024
"""Buffers in one read or write."""


class Exit(Exception):
    """The program said that it is finished."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit {code}")


class Flood(Exception):
    """More output than the job may have."""


class OutOfFuel(Exception):
    """What the system did for the program is charged like the program's own work."""


class Fault(Exception):
    """An address beyond the memory."""


class Memory(Protocol):
    """A program's memory. Both raise Fault beyond its end."""

    size: int

    def read(self, begin: int, end: int) -> bytes: ...

    def write(self, data: bytes, begin: int) -> None: ...


class System:
    """One run's system. charge: takes so much fuel, or raises OutOfFuel. """

    def __init__(self, data: bytes, seed: bytes, most: int, charge: Callable[[int], None]) -> None:
        self._input, self._at = data, 0
        self._seed, self._drawn = seed, 0
        self._most, self._charge = most, charge
        self.output, self.errors = bytearray(), b""

    def functions(self) -> dict[str, tuple[str, Callable[..., int]]]:
        """name -> (parameters, ``i`` for 32 bits and ``I`` for 64; the function of (memory, parameters))."""
        def refuse(errno: int) -> Callable[..., int]:
            return lambda *_: errno

        return {
            "args_get": ("ii", refuse(OK)), "environ_get": ("ii", refuse(OK)),
            "args_sizes_get": ("ii", _nothing), "environ_sizes_get": ("ii", _nothing),
            "clock_res_get": ("ii", _word64(1)), "clock_time_get": ("iIi", _word64(0)),
            "fd_advise": ("iIIi", refuse(BADF)), "fd_close": ("i", refuse(OK)), "fd_datasync": ("i", refuse(BADF)),
            "fd_fdstat_get": ("ii", self._about), "fd_fdstat_set_flags": ("ii", refuse(OK)),
            "fd_filestat_get": ("ii", refuse(BADF)), "fd_prestat_get": ("ii", refuse(BADF)),
            "fd_prestat_dir_name": ("iii", refuse(BADF)), "fd_read": ("iiii", self._read),
            "fd_seek": ("iIii", refuse(NOSYS)), "fd_write": ("iiii", self._write),
            "path_filestat_get": ("iiiii", refuse(NOENT)), "path_open": ("iiiiiIIii", refuse(NOENT)),
            "poll_oneoff": ("iiii", refuse(NOSYS)), "proc_exit": ("i", self._exit), "random_get": ("ii", self._random),
            "sched_yield": ("", refuse(OK)),
        }

    def _parts(self, memory: Memory, at: int, count: int) -> list[tuple[int, int]]:
        self._charge(count)
        return [(_load(memory, at + 8 * i), _load(memory, at + 8 * i + 4)) for i in range(count)]

    def _read(self, memory: Memory, fd: int, at: int, count: int, told: int) -> int:
        if fd != _STDIN:
            return BADF
        if not 0 <= count <= MOST_PARTS:
            return INVAL
        begun = self._at
        for place, size in self._parts(memory, at, count):
            part = self._input[self._at : self._at + size]
            self._charge(len(part))
            memory.write(part, place)
            self._at += len(part)
        memory.write((self._at - begun).to_bytes(4, "little"), told)
        return OK

    def _write(self, memory: Memory, fd: int, at: int, count: int, told: int) -> int:
        if fd not in (_STDOUT, _STDERR):
            return BADF
        if not 0 <= count <= MOST_PARTS:
            return INVAL
        written = 0
        for place, size in self._parts(memory, at, count):
            self._charge(size)
            if fd == _STDOUT and len(self.output) + size > self._most:
                self.output += memory.read(place, place + self._most - len(self.output))
                raise Flood(f"more than {self._most} bytes of output")
            data = memory.read(place, place + size)
            if fd == _STDOUT:
                self.output += data
            else:
                self.errors = (self.errors + data[-400:])[-400:]
            written += size
        memory.write(written.to_bytes(4, "little"), told)
        return OK

    def _about(self, memory: Memory, fd: int, told: int) -> int:
        if fd not in (_STDIN, _STDOUT, _STDERR):
            return BADF
        memory.write(bytes([2]) + bytes(7) + (2 if fd == _STDIN else 64).to_bytes(8, "little") + bytes(8), told)
        return OK

    def _random(self, memory: Memory, at: int, size: int) -> int:
        self._charge(size)
        if at + size > memory.size:
            return INVAL
        blocks = -(-size // 32)
        drawn = b"".join(sha256(self._seed + (self._drawn + i).to_bytes(8, "big")).digest() for i in range(blocks))
        self._drawn += blocks
        memory.write(drawn[:size], at)
        return OK

    def _exit(self, memory: Memory, code: int) -> int:
        raise Exit(code)


def _load(memory: Memory, at: int) -> int:
    return int.from_bytes(memory.read(at, at + 4), "little")


def _nothing(memory: Memory, count: int, size: int) -> int:
    for place in (count, size):
        memory.write(bytes(4), place)
    return OK


def _word64(value: int) -> Callable[..., int]:
    def answer(memory: Memory, *given: int) -> int:
        memory.write(value.to_bytes(8, "little"), given[-1])
        return OK

    return answer
