"""Small WebAssembly modules for tests, in text. Each is compiled where it is used."""

from __future__ import annotations

from functools import cache

_HEAD = """
(module
 (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
 (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_open"
  (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
 (memory (export "memory") 2)
 (data (i32.const 100) "new")
 (func $say (param $at i32) (param $size i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $size))
  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
 (func (export "_start") (local $i i32) (local $n i32)
"""
_BODIES = {
    "reverse": """(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 60000))
  (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
  (local.set $n (i32.load (i32.const 8)))
  (block (loop
   (br_if 1 (i32.ge_u (local.get $i) (local.get $n)))
   (i32.store8 (i32.add (i32.const 65536) (local.get $i))
    (i32.load8_u (i32.sub (i32.add (i32.const 1023) (local.get $n)) (local.get $i))))
   (local.set $i (i32.add (local.get $i) (i32.const 1))) (br 0)))
  (call $say (i32.const 65536) (local.get $n))""",
    "fail": "unreachable",
    "exit": "(call $exit (i32.const 7))",
    "forever": "(loop (br 0))",
    "swell": "(loop (br_if 0 (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable",
    "flood": "(loop (call $say (i32.const 100) (i32.const 4000)) (br 0))",
    "remember": """(call $say (i32.const 100) (i32.const 3)) (i32.store (i32.const 100) (i32.const 0))""",
    "deep": "(call $say (i32.const -8) (i32.const 64))",
    "chance": """(drop (call $random (i32.const 1024) (i32.const 40)))
  (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 1064))) (call $say (i32.const 1024) (i32.const 48))""",
    "greedy": "(loop (drop (call $random (i32.const 1024) (i32.const 100000))) (br 0))",
    "open": """(i32.store (i32.const 200) (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 3)
   (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 300)))
  (call $say (i32.const 200) (i32.const 4))""",
    "connect": "(drop (call $accept (i32.const 3) (i32.const 0) (i32.const 300)))",
    "recurse": "(call $dig)",
    "nan": """(f64.store (i32.const 200) (f64.div (f64.const 0) (f64.const 0)))
  (f32.store (i32.const 208) (f32.div (f32.const -0) (f32.const 0))) (call $say (i32.const 200) (i32.const 12))""",
}

# Adds the input's bytes into a number of 64 bits, one byte a step, after `churn` turns that change its memory.
_STEPPED = """
(module
 (memory (export "memory") 1)
 (global $hidden (mut i32) (i32.const 0))
 (func (export "input") (param i32) (result i32) (i32.store (i32.const 8) (local.get 0)) (i32.const 1024))
 (func (export "step") (result i32) (local $i i32)
  (local.set $i (i32.load (i32.const 12)))
  (if (i32.ge_u (local.get $i) (i32.load (i32.const 8))) (then (return (i32.const 0))))
  (i64.store (i32.const 16) (i64.add (i64.mul (i64.load (i32.const 16)) (i64.const 31))
   (i64.load8_u (i32.add (i32.const 1024) (local.get $i)))))
  (global.set $hidden (i32.add (global.get $hidden) (i32.const 1)))
  (i32.store (i32.const 24) (global.get $hidden))
  (i32.store (i32.const 12) (i32.add (local.get $i) (i32.const 1)))
  (i32.const 1))
 (func (export "output") (result i64) (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 8)))
)
"""


@cache
def command(name: str) -> bytes:
    """A module that reads standard input and writes standard output."""
    import wasmtime

    dig = "(func $dig (call $dig) (drop (i32.add (i32.const 1) (i32.const 1))))"
    return bytes(wasmtime.wat2wasm(f"{_HEAD}{_BODIES[name]}) {dig})"))


@cache
def stepped() -> bytes:
    """A module whose every step anybody can execute."""
    import wasmtime

    return bytes(wasmtime.wat2wasm(_STEPPED))


@cache
def endless() -> bytes:
    """A stepped module that is never done."""
    import wasmtime

    return bytes(wasmtime.wat2wasm('''(module (memory (export "memory") 1)
 (func (export "input") (param i32) (result i32) (i32.const 0))
 (func (export "step") (result i32) (i32.const 1))
 (func (export "output") (result i64) (i64.const 0)))'''))


def summed(given: bytes) -> bytes:
    """What ``stepped`` makes of this input."""
    total = 0
    for byte in given:
        total = (31 * total + byte) % 2**64
    return total.to_bytes(8, "little")
