"""A small assembler for WebAssembly: what `wasm` needs of it, and no more.

Numbers in brackets are sections of the WebAssembly Core Specification 2.0 (binary format: chapter 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

I32, I64 = 0x7F, 0x7E
PAGE = 65536


def unsigned(value: int) -> bytes:
    """LEB128 of a number from 0 (5.2.2)."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def signed(value: int) -> bytes:
    """Signed LEB128 (5.2.2)."""
    out = bytearray()
    while True:
        low = value & 0x7F
        value >>= 7
        done = value == (-1 if low & 0x40 else 0)
        out.append(low | (0 if done else 0x80))
        if done:
            return bytes(out)


def vector(items: list[bytes]) -> bytes:
    """Its length, then its items (5.1.3)."""
    return unsigned(len(items)) + b"".join(items)


def section(number: int, content: bytes) -> bytes:
    """One section of a module (5.5.2)."""
    return bytes([number]) + unsigned(len(content)) + content


class Code:
    """The body of a function: parameters first, then locals, by number. All addresses are static offsets."""

    def __init__(self, parameters: int) -> None:
        self.body = bytearray()
        self._parameters, self._locals = parameters, list[int]()

    def local(self, kind: int) -> int:
        """A new local variable."""
        self._locals.append(kind)
        return self._parameters + len(self._locals) - 1

    def op(self, *codes: int) -> None:
        """Instructions without operands (5.4)."""
        self.body += bytes(codes)

    def get(self, local: int) -> None:
        """local.get"""
        self.body += b"\x20" + unsigned(local)

    def set(self, local: int) -> None:
        """local.set"""
        self.body += b"\x21" + unsigned(local)

    def i32(self, value: int) -> None:
        """i32.const"""
        self.body += b"\x41" + signed(value)

    def i64(self, value: int) -> None:
        """i64.const"""
        self.body += b"\x42" + signed(value)

    def load(self, offset: int, size: int = 8) -> None:
        """i64.load of so many bytes, sign-extended, at an address plus offset."""
        self.body += {8: b"\x29\x03", 4: b"\x34\x02", 2: b"\x32\x01", 1: b"\x30\x00"}[size] + unsigned(offset)

    def load_place(self, offset: int) -> None:
        """i32.load"""
        self.body += b"\x28\x02" + unsigned(offset)

    def store(self, offset: int) -> None:
        """i64.store"""
        self.body += b"\x37\x03" + unsigned(offset)

    def copy(self) -> None:
        """memory.copy: to, from, bytes (5.4.6)"""
        self.body += b"\xfc\x0a\x00\x00"

    def add(self, local: int, value: int) -> None:
        """local += value, of an i32"""
        self.get(local)
        self.i32(value)
        self.op(ADD32)
        self.set(local)

    @contextmanager
    def loop(self, local: int, end: int, step: int) -> Iterator[None]:
        """local from 0 below ``end`` by ``step``, which divides it; at least once."""
        self.i32(0)
        self.set(local)
        self.body += b"\x03\x40"
        yield
        self.add(local, step)
        self.get(local)
        self.i32(end)
        self.op(LESS32)
        self.body += b"\x0d\x00\x0b"  # br_if 0, end

    @contextmanager
    def when(self) -> Iterator[None]:
        """if … end"""
        self.body += b"\x04\x40"
        yield
        self.op(0x0B)

    @contextmanager
    def block(self) -> Iterator[None]:
        """block … end"""
        self.body += b"\x02\x40"
        yield
        self.op(0x0B)

    @contextmanager
    def endless(self) -> Iterator[None]:
        """loop … br 0; end: left by a branch."""
        self.body += b"\x03\x40"
        yield
        self.body += b"\x0c\x00\x0b"

    def leave(self, depth: int) -> None:
        """br_if"""
        self.body += b"\x0d" + unsigned(depth)

    def bytes(self) -> bytes:
        """The function as the code section holds it (5.5.13)."""
        found = vector([b"\x01" + bytes([kind]) for kind in self._locals]) + bytes(self.body) + b"\x0b"
        return unsigned(len(found)) + found


LESS32, LESS_UNSIGNED32, ADD32, MUL32 = 0x48, 0x49, 0x6A, 0x6C
LESS64, GREATER64, LESS_EQUAL64 = 0x53, 0x55, 0x57
ADD64, MUL64, SHIFT64 = 0x7C, 0x7E, 0x87
SELECT, RETURN, OR32 = 0x1B, 0x0F, 0x72


def module(code: Code, pages: int, data: bytes, places: dict[str, int]) -> bytes:
    """A module that imports nothing: ``run`` (i32) -> i32, ``memory`` of exactly so many pages which holds ``data`` at
    0, and a constant global for each of ``places``."""
    names = {"memory": b"\x02\x00", "run": b"\x00\x00"} | {
        name: b"\x03" + unsigned(number) for number, name in enumerate(places)}
    exports = [unsigned(len(name)) + name.encode() + what for name, what in names.items()]
    return b"\x00asm\x01\x00\x00\x00" + b"".join((
        section(1, vector([b"\x60" + vector([bytes([I32])]) + vector([bytes([I32])])])),
        section(3, vector([b"\x00"])),
        section(5, vector([b"\x01" + unsigned(pages) + unsigned(pages)])),
        section(6, vector([bytes([I32]) + b"\x00\x41" + signed(value) + b"\x0b" for value in places.values()])),
        section(7, vector(exports)),
        section(10, vector([code.bytes()])),
        section(11, vector([b"\x00\x41\x00\x0b" + unsigned(len(data)) + data])),
    ))
