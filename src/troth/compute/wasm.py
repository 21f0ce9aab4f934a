"""Programs as WebAssembly: the same integers as `Program.run`, in a module that imports nothing.

`module_of` writes the module: 64-bit integer arithmetic, loops with fixed ends, one memory that never grows. The
module checks the inputs' range itself. `compute.wasm_run` runs it.

``run(rows)`` reads ``rows`` rows of inputs at ``input`` and writes their scores at ``output``, both as little-endian
64-bit integers. It returns 0, or the number of the first row (from 1) that lies beyond the model's range, or -1 for
more rows than ``rows`` says it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from troth.compute import wasmcode as w
from troth.compute.wasmcode import PAGE, Code
from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Step, Sum, Tree

MOST_MEMORY = 1 << 28
MOST_ROWS = 1024
_ROWS_BYTES = 1 << 20


class _Layout:
    """Where things lie in memory: constants first, then vectors, then rows of inputs and outputs."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.end = 0

    def constant(self, array: IntArray, size: int = 8) -> int:
        """Keep integers of so many bytes each; their address."""
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += np.ascontiguousarray(array).astype(f"<i{size}").tobytes()
        return at

    def room(self, count: int) -> int:
        """Room for so many 64-bit integers after the constants; its address."""
        at = self.end = max(self.end, len(self.data) + -len(self.data) % 8)
        self.end += 8 * count
        if self.end > MOST_MEMORY:
            raise BadInput("a program is too large for WebAssembly here", expected=f"at most {MOST_MEMORY} bytes",
                           actual=self.end)
        return at


def width_of(array: IntArray) -> int:
    """Bytes that hold each of these integers."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    return next(size for size in (1, 2, 4, 8) if -(1 << 8 * size - 1) <= low and high < 1 << 8 * size - 1)


class _Writer:
    """Code of one program. Vectors lie one after another; all loops count bytes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = Code(1)
        self.layout = _Layout()
        self.i, self.j, self.k, self.p, self.q = (self.code.local(w.I32) for _ in range(5))
        self.row, self.from_, self.to = (self.code.local(w.I32) for _ in range(3))
        self.acc, self.value = self.code.local(w.I64), self.code.local(w.I64)
        self.fuel = 0
        """Instructions of one row, at most."""

    def module(self) -> bytes:
        """The whole module. Raises BadInput beyond MOST_MEMORY."""
        program, layout = self.program, self.layout
        tables = [self.constants(step) for step in program.steps]
        low, high = layout.constant(program.low), layout.constant(program.high)
        vectors = [layout.room(len(one[0])) for one in program.ranges]
        pads = [layout.room(_padded(step)) if isinstance(step, Conv) and any(step.pad) else -1
                for step in program.steps]
        features, outputs = len(program.low), program.outputs
        rows = max(1, min(MOST_ROWS, _ROWS_BYTES // (8 * (features + outputs))))
        begin, out = layout.room(rows * features), layout.room(rows * outputs)
        code = self.code
        code.get(0)
        code.i32(rows + 1)
        code.op(w.LESS_UNSIGNED32)
        with code.when():
            code.i32(begin)
            code.set(self.from_)
            code.i32(out)
            code.set(self.to)
            code.i32(0)
            code.set(self.row)
            with code.block(), code.endless():
                code.get(self.row)
                code.get(0)
                code.op(w.LESS32, 0x45)  # i32.eqz
                code.leave(1)
                self.take_in(vectors[0], low, high, features)
                for step, table, target, pad in zip(program.steps, tables, vectors[1:], pads, strict=True):
                    self.step(step, table, [vectors[one] for one in _sources(step)], target, pad)
                self.hand_out(vectors[-1], outputs)
                code.add(self.row, 1)
            code.i32(0)
            code.op(w.RETURN)
        code.i32(-1)
        pages = -(-layout.end // PAGE)
        return w.module(code, pages, bytes(layout.data), {"input": begin, "output": out, "rows": rows})

    def take_in(self, vector: int, low: int, high: int, features: int) -> None:
        """Copy one row of inputs; return its number where a value is out of range."""
        code = self.code
        code.i32(vector)
        code.get(self.from_)
        code.i32(8 * features)
        code.copy()
        code.add(self.from_, 8 * features)
        with code.loop(self.i, 8 * features, 8):
            for bound, less in ((low, w.LESS64), (high, w.GREATER64)):
                code.get(self.i)
                code.load(vector)
                code.get(self.i)
                code.load(bound)
                code.op(less)
            code.op(w.OR32)
            with code.when():
                code.get(self.row)
                code.i32(1)
                code.op(w.ADD32, w.RETURN)
        self.fuel += 20 + 36 * features  # a copy takes fuel by the byte

    def hand_out(self, vector: int, outputs: int) -> None:
        code = self.code
        code.get(self.to)
        code.i32(vector)
        code.i32(8 * outputs)
        code.copy()
        code.add(self.to, 8 * outputs)
        self.fuel += 20 + 8 * outputs

    # ---- steps ----

    def constants(self, step: Step) -> tuple[int, ...]:
        """Put a step's numbers into the data; their addresses and sizes."""
        put = self.layout.constant
        if isinstance(step, Affine | Conv):
            size = width_of(step.weights)
            found = put(step.weights, size), size, put(step.bias)
            return (*found, put(_kernel(step), 4)) if isinstance(step, Conv) else found
        if isinstance(step, Maximum):
            return (put(step.groups * 8, 4),)
        if isinstance(step, Gather):
            return (put(step.places * 8, 4),)
        return self.trees(step) if isinstance(step, Forest) else ()

    def trees(self, forest: Forest) -> tuple[int, ...]:
        """Nodes as records: threshold (8 bytes); the feature's place in bytes, -1 at a leaf; left; right; the leaf's
        values (4 bytes each)."""
        layout, size = self.layout, max([1, *(width_of(tree.leaf) for tree in forest.trees)])
        roots = []
        for tree in forest.trees:
            leaves = layout.constant(tree.leaf, size)
            begin = len(layout.data) + -len(layout.data) % 8
            records = np.zeros(len(tree.feature), dtype=[("t", "<i8"), ("f", "<i4"), ("l", "<i4"), ("r", "<i4"),
                                                         ("v", "<i4")])
            records["t"] = tree.threshold
            records["f"] = np.where(tree.feature < 0, -1, tree.feature * 8)
            records["l"], records["r"] = begin + tree.left * 24, begin + tree.right * 24
            records["v"] = leaves + np.arange(len(tree.feature)) * size * tree.leaf.shape[1]
            layout.data += bytes(-len(layout.data) % 8) + records.tobytes()
            roots.append(begin)
        return layout.constant(np.array(roots or [0], dtype=np.int64), 4), size, layout.constant(forest.bias)

    def step(self, step: Step, table: tuple[int, ...], sources: Sequence[int], target: int, pad: int) -> None:
        """One step over one row."""
        source = sources[0]
        if isinstance(step, Affine):
            self.affine(step, table, source, target)
        elif isinstance(step, Conv):
            self.convolve(step, table, source, target, pad)
        elif isinstance(step, Forest):
            self.forest(step, table, source, target)
        elif isinstance(step, Maximum):
            self.largest(step, table[0], source, target)
        else:
            self.each(step, table, sources, target)

    def multiply(self, size: int, address: int, local: int, source: int, offset: int = 0) -> None:
        """acc += weight at p, times the value at ``local``; p moves on."""
        code = self.code
        code.get(self.acc)
        code.get(self.p)
        code.load(address, size)
        code.get(local)
        code.load(source + offset)
        code.op(w.MUL64, w.ADD64)
        code.set(self.acc)
        code.add(self.p, size)

    def affine(self, step: Affine, table: tuple[int, ...], source: int, target: int) -> None:
        """Code for weights times input plus bias: ``target`` gets one i64 an output.

        table: where weights, their width and the bias lie. All addresses are bytes.
        """
        code, (weights, size, bias) = self.code, table
        outs, ins = step.weights.shape
        code.i32(0)
        code.set(self.p)
        with code.loop(self.i, 8 * outs, 8):
            code.get(self.i)
            code.load(bias)
            code.set(self.acc)
            with code.loop(self.j, 8 * ins, 8):
                self.multiply(size, weights, self.j, source)
            code.get(self.i)
            code.get(self.acc)
            code.store(target)
        self.fuel += 8 + outs * (24 + 24 * ins)

    def convolve(self, step: Conv, table: tuple[int, ...], source: int, target: int, pad: int) -> None:
        """Code for a convolution: one i64 a channel and place at ``target``.

        pad: where an image with its border is put together first, or -1 for none.
        """
        code, (weights, size, bias, kernel) = self.code, table
        (channels, height, width), (top, left, _, _) = step.shape, step.pad
        wide = _wide(step)
        if pad >= 0:  # what surrounds the image is never written, so it stays zero
            code.i32(pad + 8 * (top * wide + left))
            code.set(self.q)
            code.i32(source)
            code.set(self.p)
            tall = height + step.pad[0] + step.pad[2]
            with code.loop(self.i, channels, 1):
                with code.loop(self.j, height, 1):
                    code.get(self.q)
                    code.get(self.p)
                    code.i32(8 * width)
                    code.copy()
                    code.add(self.p, 8 * width)
                    code.add(self.q, 8 * wide)
                code.add(self.q, 8 * wide * (tall - height))
            self.fuel += channels * (20 + height * (30 + 8 * width))
            source = pad
        rows, columns = step.places
        count = step.weights[0].size
        code.i32(target)
        code.set(self.to_place)
        code.i32(0)
        code.set(self.window)
        with code.loop(self.i, 8 * len(step.bias), 8), code.loop(self.j, rows, 1), code.loop(self.k, columns, 1):
            self.one_place(step, (weights, size, bias, kernel), source, count, wide)
        self.fuel += len(step.bias) * rows * columns * (60 + 28 * count) + 40 * len(step.bias) * (rows + 1)

    @cached_property
    def to_place(self) -> int:
        """Where the next value of a Conv goes."""
        return self.code.local(w.I32)

    @cached_property
    def window(self) -> int:
        """A counter over a window's elements."""
        return self.code.local(w.I32)

    def one_place(self, step: Conv, table: tuple[int, ...], source: int, count: int, wide: int) -> None:
        """One element of a Conv: i counts channels in eights, j rows, k columns."""
        code, (weights, size, bias, kernel) = self.code, table
        code.get(self.i)
        code.load(bias)
        code.set(self.acc)
        code.get(self.i)
        code.i32(count * size)
        code.op(w.MUL32)
        code.i32(3)
        code.op(0x75)  # i32.shr_s: i counts in eights
        code.set(self.p)
        code.get(self.j)
        code.i32(8 * step.stride[0] * wide)
        code.op(w.MUL32)
        code.get(self.k)
        code.i32(8 * step.stride[1])
        code.op(w.MUL32, w.ADD32)
        code.set(self.q)
        with code.loop(self.window, 4 * count, 4):
            code.get(self.acc)
            code.get(self.p)
            code.load(weights, size)
            code.get(self.q)
            code.get(self.window)
            code.load_place(kernel)
            code.op(w.ADD32)
            code.load(source)
            code.op(w.MUL64, w.ADD64)
            code.set(self.acc)
            code.add(self.p, size)
        code.get(self.to_place)
        code.get(self.acc)
        code.store(0)
        code.add(self.to_place, 8)

    def largest(self, step: Maximum, table: int, source: int, target: int) -> None:
        """Code for the greatest value of each group of places; ``table`` holds the places as i32."""
        code, (outs, count) = self.code, step.groups.shape
        code.i32(0)
        code.set(self.p)
        with code.loop(self.i, 8 * outs, 8):
            code.i64(-(1 << 63))
            code.set(self.acc)
            with code.loop(self.j, count, 1):
                code.get(self.p)
                code.load_place(table)
                code.load(source)
                code.set(self.value)
                self.bounded(self.value, self.acc, w.GREATER64)
                code.add(self.p, 4)
            code.get(self.i)
            code.get(self.acc)
            code.store(target)
        self.fuel += 8 + outs * (24 + 26 * count)

    def bounded(self, first: int, second: int, comparison: int) -> None:
        """acc = first where it compares so with the second, else the second."""
        code = self.code
        code.get(first)
        code.get(second)
        code.get(first)
        code.get(second)
        code.op(comparison, w.SELECT)
        code.set(self.acc)

    def each(self, step: Step, table: tuple[int, ...], sources: Sequence[int], target: int) -> None:
        """Rescale, Clamp, Gather and Sum: element by element."""
        code = self.code
        count = len(step.places) if isinstance(step, Gather) else len(self.program.ranges[step.source][0])
        with code.loop(self.i, 8 * count, 8):
            code.get(self.i)
            if isinstance(step, Gather):
                code.i32(1)
                code.op(0x75)  # i32.shr_s: the table counts in fours
                code.load_place(table[0])
            code.load(sources[0])
            if isinstance(step, Rescale):
                code.i64(1 << step.bits - 1)
                code.op(w.ADD64)
                code.i64(step.bits)
                code.op(w.SHIFT64)
            elif isinstance(step, Sum):
                code.get(self.i)
                code.load(sources[1])
                code.op(w.ADD64)
            code.set(self.acc)
            if isinstance(step, Clamp):
                for bound, comparison in ((step.low, w.GREATER64), (step.high, w.LESS64)):
                    code.i64(bound)
                    code.set(self.value)
                    self.bounded(self.acc, self.value, comparison)
            code.get(self.i)
            code.get(self.acc)
            code.store(target)
        self.fuel += 8 + 40 * count

    def forest(self, step: Forest, table: tuple[int, ...], source: int, target: int) -> None:
        """Code that adds up the leaves that each tree leads to, on top of the bias.

        table: where roots, their count and bias lie.
        """
        code, (roots, size, bias) = self.code, table
        outs = len(step.bias)
        code.i32(target)
        code.i32(bias)
        code.i32(8 * outs)
        code.copy()
        self.fuel += 16 + 8 * outs
        if not step.trees:
            return
        with code.loop(self.i, 4 * len(step.trees), 4):
            code.get(self.i)
            code.load_place(roots)
            code.set(self.p)
            with code.block(), code.endless():
                code.get(self.p)
                code.load_place(8)
                code.set(self.q)
                code.get(self.q)
                code.i32(0)
                code.op(w.LESS32)
                code.leave(1)
                for place in (12, 16):
                    code.get(self.p)
                    code.load_place(place)
                code.get(self.q)
                code.load(source)
                code.get(self.p)
                code.load(0)
                code.op(w.LESS_EQUAL64, w.SELECT)
                code.set(self.p)
            code.get(self.p)
            code.load_place(20)
            code.set(self.q)
            with code.loop(self.j, 8 * outs, 8):
                code.get(self.j)
                code.get(self.j)
                code.load(target)
                code.get(self.q)
                code.load(0, size)
                code.op(w.ADD64)
                code.store(target)
                code.add(self.q, size)
        self.fuel += sum(30 + 24 * (depth(tree) + 1) + 20 * outs for tree in step.trees)


def _sources(step: Step) -> tuple[int, ...]:
    return (step.source, step.other) if isinstance(step, Sum) else (step.source,)


def _wide(step: Conv) -> int:
    return step.shape[2] + step.pad[1] + step.pad[3]


def _padded(step: Conv) -> int:
    return step.shape[0] * (step.shape[1] + step.pad[0] + step.pad[2]) * _wide(step)


def _kernel(step: Conv) -> IntArray:
    """How many bytes each weight's element lies from a window's first, in the padded image."""
    _, channels, tall, across = step.weights.shape
    c, y, x = np.meshgrid(np.arange(channels), np.arange(tall), np.arange(across), indexing="ij")
    height = step.shape[1] + step.pad[0] + step.pad[2]
    return np.asarray(8 * ((c * height + y) * _wide(step) + x).reshape(-1), dtype=np.int64)


def depth(tree: Tree) -> int:
    """Splits from the root to the deepest leaf."""
    deep = np.zeros(len(tree.feature), dtype=np.int64)
    for at in np.flatnonzero(tree.feature >= 0):  # parents come first
        deep[[tree.left[at], tree.right[at]]] = deep[at] + 1
    return int(deep.max())


def module_of(program: Program) -> bytes:
    """The module of a program; equal programs have equal modules. Raises BadInput for one beyond MOST_MEMORY."""
    return _Writer(program).module()


def needs_of(program: Program) -> tuple[int, int]:
    """What its module needs: instructions a row at the most, and bytes of memory. Raises BadInput as `module_of`."""
    writer = _Writer(program)
    writer.module()
    return writer.fuel, -(-writer.layout.end // PAGE) * PAGE
