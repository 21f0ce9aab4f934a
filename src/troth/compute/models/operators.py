"""The operators of ONNX that are read, each as nodes in real numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from troth.compute.models.ensembles import linear_scores, tree_scores
from troth.compute.models.graph import Operator, Reader, Vector
from troth.compute.models.real import Clip, Conv, Gather, Maximum, Sum, shifted_trees, windows
from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray
from troth.fixed.program import MAX_WEIGHTS


def _gemm(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x, weights, bias = reader.vector(node), reader.constant(node, 1), reader.constant(node, 2)
    if said.get("transA") or len(x.shape) != 1:
        raise BadInput("Gemm of something else than rows", expected="(rows, features), transA=0", actual=x.shape)
    weights = np.asarray(weights if said.get("transB") else weights.T, dtype=np.float64) * said.get("alpha", 1.0)
    wide = np.zeros(len(weights)) if bias is None else np.broadcast_to(
        np.asarray(bias, dtype=np.float64).reshape(-1) * said.get("beta", 1.0), (len(weights),)).copy()
    return reader.map(x, weights, wide, (len(weights),))


def _matmul(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x, weights = reader.vector(node), reader.constant(node, 1)
    if weights.ndim != 2 or len(x.shape) != 1:
        raise BadInput("MatMul of something else than rows and a matrix", expected="(rows, features) by (features, "
                       "outputs)", actual=f"{x.shape} by {weights.shape}")
    return reader.map(x, weights.T.astype(np.float64), np.zeros(weights.shape[1]), (weights.shape[1],))


def _elementwise(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    kind = node.op_type
    if kind == "Neg":
        return _scaled(reader, reader.vector(node), np.array(-1.0), np.array(0.0))
    both = [reader.vectors.get(name) for name in node.input]
    if all(one is not None for one in both):
        if kind != "Add":
            raise BadInput(f"{kind} of two values of the input", expected="Add alone")
        left, right = (reader.settled(reader.vector(node, place)) for place in (0, 1))
        if left.shape != right.shape:
            raise BadInput("Add of two shapes", expected=left.shape, actual=right.shape)
        return reader.add(Sum(left.node, right.node), left.shape)
    place = 0 if both[0] is not None else 1
    x, value = reader.vector(node, place), np.asarray(reader.constant(node, 1 - place), dtype=np.float64)
    if kind == "Add":
        return _scaled(reader, x, np.array(1.0), value)
    if kind == "Sub":
        return _scaled(reader, x, np.array(1.0), -value) if place == 0 else _scaled(reader, x, np.array(-1.0), value)
    if kind == "Mul":
        return _scaled(reader, x, value, np.array(0.0))
    if place == 1 or (value == 0).any():
        raise BadInput("Div by a value of the input, or by 0", expected="a constant divisor")
    return _scaled(reader, x, 1.0 / value, np.array(0.0))


def _scaled(reader: Reader, x: Vector, scale: FloatArray, offset: FloatArray) -> Vector:
    """``x * scale + offset``, broadcast over the shape with rows."""
    try:
        wide, more = (np.broadcast_to(part[0] if part.ndim == len(x.shape) + 1 and part.shape[0] == 1 else part,
                                      x.shape).reshape(-1) for part in (scale, offset))
    except ValueError:
        raise BadInput("shapes that do not fit", expected=x.shape, actual=f"{scale.shape}, {offset.shape}") from None
    before = np.ones(x.width) if x.scale is None else x.scale
    added = np.zeros(x.width) if x.offset is None else x.offset
    return replace(x, scale=before * wide, offset=added * wide + more)


def _norm(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.vector(node)
    gain, bias, mean, spread = (np.asarray(reader.constant(node, place), dtype=np.float64) for place in (1, 2, 3, 4))
    if said.get("training_mode") or (spread < 0).any() or gain.shape != x.shape[:1]:
        raise BadInput("BatchNormalization in training, or that does not fit", expected=x.shape[:1], actual=gain.shape)
    scale = gain / np.sqrt(spread + said.get("epsilon", 1e-5))
    more = (len(x.shape) - 1) * (1,)
    return _scaled(reader, x, scale.reshape(-1, *more), (bias - mean * scale).reshape(-1, *more))


def _conv(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x, weights, bias = reader.settled(reader.vector(node)), reader.constant(node, 1), reader.constant(node, 2)
    if weights.ndim != 4 or len(x.shape) != 3:
        raise BadInput("Conv of something else than an image", expected="(channels, height, width)", actual=x.shape)
    groups, out = int(said.get("group", 1)), len(weights)
    if x.shape[0] != weights.shape[1] * groups or out % groups:
        raise BadInput("Conv of other channels", expected=x.shape[0], actual=weights.shape[1] * groups)
    kernel: FloatArray = np.zeros(_room(out, x.shape[0], *_spread(weights.shape[2:], said)))
    down, across = said.get("dilations", (1, 1))
    each, fewer = out // groups, weights.shape[1]
    for group in range(groups):  # what a group does not see has weight 0
        rows, columns = slice(group * each, (group + 1) * each), slice(group * fewer, (group + 1) * fewer)
        kernel[rows, columns, ::down, ::across] = weights[rows]
    wide = np.zeros(out) if bias is None else np.asarray(bias, dtype=np.float64)
    return _convolved(reader, x, kernel, wide, said)


def _spread(size: Sequence[int], said: Mapping[str, Any]) -> tuple[int, int]:
    down, across = said.get("dilations", (1, 1))
    return (size[0] - 1) * down + 1, (size[1] - 1) * across + 1


def _convolved(reader: Reader, x: Vector, kernel: FloatArray, bias: FloatArray, said: Mapping[str, Any]) -> Vector:
    stride, pad = _grid(x, kernel.shape[2:], said)
    channels, height, width = x.shape
    node = Conv(x.node, kernel, bias, (channels, height, width), stride, pad)
    places = ((height + pad[0] + pad[2] - kernel.shape[2]) // stride[0] + 1,
              (width + pad[1] + pad[3] - kernel.shape[3]) // stride[1] + 1)
    return reader.add(node, (len(kernel), *places))


def _grid(x: Vector, kernel: Sequence[int], said: Mapping[str, Any]
          ) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """(stride, pad). Raises BadInput for a window that does not fit."""
    down, across = said.get("strides", (1, 1))
    auto = said.get("auto_pad", b"NOTSET").decode()
    top, left, bottom, right = said.get("pads", (0, 0, 0, 0))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        need = [max((-(-size // step) - 1) * step + part - size, 0)
                for size, step, part in zip(x.shape[1:], (down, across), kernel, strict=True)]
        upper = auto == "SAME_UPPER"
        top, left = (part // 2 if upper else -(-part // 2) for part in need)
        bottom, right = need[0] - top, need[1] - left
    if said.get("ceil_mode") or min(down, across) < 1 or min(top, left, bottom, right) < 0 or (
            x.shape[1] + top + bottom < kernel[0] or x.shape[2] + left + right < kernel[1]):
        raise BadInput("a window that does not fit its image", expected="ceil_mode=0, pads from 0", actual=x.shape)
    _room(x.shape[0], (x.shape[1] + top + bottom - kernel[0]) // down + 1,
          (x.shape[2] + left + right - kernel[1]) // across + 1, *kernel)
    return (down, across), (top, left, bottom, right)


def _room(*sizes: int) -> tuple[int, ...]:
    """The sizes. Raises BadInput where an array of them were more than a program holds: a small file may ask for
    gigabytes."""
    if min(sizes) < 1 or math.prod(sizes) > MAX_WEIGHTS:
        raise BadInput("a layer is out of range", expected=f"1 to {MAX_WEIGHTS} values", actual=sizes)
    return sizes


def _clip(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.settled(reader.vector(node))
    if node.op_type == "Relu":
        return reader.add(Clip(x.node), x.shape)
    low, high = (said.get(name, reader.constant(node, place)) for name, place in (("min", 1), ("max", 2)))
    bounds = [float(default if one is None else np.asarray(one).reshape(())) for one, default in
              ((low, -np.inf), (high, np.inf))]
    if not bounds[0] <= bounds[1]:
        raise BadInput("Clip to no range", expected="min at most max", actual=bounds)
    return reader.add(Clip(x.node, *bounds), x.shape)


def _max_pool(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.settled(_image(reader, node))
    kernel = _spread(said["kernel_shape"], said)
    if max(said.get("dilations", (1, 1))) > 1 or len([name for name in node.output if name]) > 1:
        raise BadInput("MaxPool with gaps or places", expected="dilations=1, one output")
    stride, pad = _grid(x, kernel, said)
    seen, places = windows(x.shape[0], (x.shape[1], x.shape[2]), kernel, stride, pad)
    groups = seen.transpose(1, 0, 2).reshape(-1, seen.shape[2])
    first = groups.max(axis=1, keepdims=True)  # padding never wins: an element of the window stands for it
    if (first < 0).any():
        raise BadInput("MaxPool over padding alone", expected="an element in each window")
    return reader.add(Maximum(x.node, np.where(groups < 0, first, groups)), (x.shape[0], *places))


def _image(reader: Reader, node: Any) -> Vector:
    x = reader.vector(node)
    if len(x.shape) != 3:
        raise BadInput(f"{node.op_type} of something else than an image", expected="(channels, height, width)",
                       actual=x.shape)
    return x


def _average(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = _image(reader, node)
    whole = node.op_type != "AveragePool"
    kernel = tuple(x.shape[1:]) if whole else tuple(said["kernel_shape"])
    padded = any(said.get("pads", ())) or said.get("auto_pad", b"NOTSET").startswith(b"SAME")
    if not whole and (max(said.get("dilations", (1, 1))) > 1 or (padded and not said.get("count_include_pad"))):
        raise BadInput("AveragePool with gaps, or that leaves padding out", expected="no pads, or count_include_pad=1")
    x = reader.settled(x)
    _grid(x, kernel, {} if whole else said)
    _room(x.shape[0], x.shape[0], *kernel)
    mean = np.eye(x.shape[0])[:, :, None, None] * np.full(kernel, 1.0 / math.prod(kernel))
    out = _convolved(reader, x, mean, np.zeros(x.shape[0]), {} if whole else said)
    if node.op_type == "ReduceMean" and not said.get("keepdims", 1):
        return replace(out, shape=out.shape[:1])
    return out


def _reduce_mean(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    axes = said.get("axes", reader.constant(node, 1))
    x = _image(reader, node)
    if axes is None or sorted(int(axis) % (len(x.shape) + 1) for axis in np.asarray(axes).reshape(-1)) != [2, 3]:
        raise BadInput("ReduceMean over something else than an image", expected="axes 2 and 3", actual=axes)
    return _average(reader, node, said)


def _reshaped(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x, kind = reader.vector(node), node.op_type
    if kind in ("Identity", "Dropout", "Cast"):
        return x
    if kind == "Flatten":
        if said.get("axis", 1) != 1:
            raise BadInput("Flatten of the rows", expected="axis=1", actual=said["axis"])
        return replace(x, shape=(x.width,))
    if kind == "Reshape":
        wanted = [int(size) for size in np.asarray(reader.constant(node, 1)).reshape(-1)]
        sizes = [x.shape[place - 1] if size == 0 and 0 < place <= len(x.shape) else size
                 for place, size in enumerate(wanted)][1:]
        if sizes.count(-1) == 1:
            rest = -math.prod(sizes)
            sizes = [x.width // rest if size == -1 and rest else size for size in sizes]
        if wanted[:1] not in ([-1], [0], [1]) or not sizes or math.prod(sizes) != x.width:
            raise BadInput("Reshape across rows", expected=f"(rows, …) of {x.width} values", actual=wanted)
        return replace(x, shape=tuple(sizes))
    axes = said.get("axes", reader.constant(node, 1))
    places = [] if axes is None else [int(axis) for axis in np.asarray(axes).reshape(-1)]
    if kind == "Unsqueeze":
        grown = [1, *x.shape]
        for axis in sorted(axis % (len(grown) + len(places)) for axis in places):
            grown.insert(axis, 1)
        return replace(x, shape=tuple(grown[1:]))
    kept = [size for place, size in enumerate(x.shape, 1)
            if not (place in [axis % (len(x.shape) + 1) for axis in places] and size == 1)]
    return replace(x, shape=tuple(kept) or (1,))


def _transposed(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.settled(reader.vector(node))
    order = list(said.get("perm", range(len(x.shape), -1, -1)))
    if order[0] != 0:
        raise BadInput("Transpose of the rows", expected="the rows first", actual=order)
    inner = [place - 1 for place in order[1:]]
    places = np.arange(x.width).reshape(x.shape).transpose(inner)
    return reader.add(Gather(x.node, np.ascontiguousarray(places.reshape(-1))), places.shape)


def _final(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.vector(node)
    axis = said.get("axis", 0 if node.op_type == "ArgMax" else -1)
    single = node.op_type == "Sigmoid"
    if len(x.shape) != 1 or (x.width == 1) != single or not (single or axis in (-1, 1)):
        raise BadInput(f"{node.op_type} over something else than the scores", actual=x.shape,
                       expected="axis 1, and Sigmoid of one score alone")
    return replace(x, final=node.op_type)


def _scaler(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.vector(node)
    scale = np.asarray(said.get("scale", [1.0]), dtype=np.float64)
    return _scaled(reader, x, scale, -np.asarray(said.get("offset", [0.0]), dtype=np.float64) * scale)


def _ensemble(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    x = reader.vector(node)
    into = x.scale is not None and bool((x.scale > 0).all())
    source = x if into else reader.settled(x)
    found, classes = tree_scores(node.op_type, said, source.node, x.width)
    if into and x.scale is not None and x.offset is not None:
        found = shifted_trees(found, x.scale, x.offset)
    reader.classes = classes
    return replace(reader.add(found, (len(found.bias),)), final="Label" if classes else "")


def _linear(reader: Reader, node: Any, said: Mapping[str, Any]) -> Vector:
    weights, bias, classes = linear_scores(node.op_type, said)
    reader.classes = classes
    return replace(reader.map(reader.vector(node), weights, bias, (len(weights),)), final="Label" if classes else "")


OPERATORS: Mapping[str, Operator] = {
    "Gemm": _gemm, "MatMul": _matmul, "Add": _elementwise, "Sub": _elementwise, "Mul": _elementwise,
    "Div": _elementwise, "Neg": _elementwise, "BatchNormalization": _norm, "Conv": _conv, "Relu": _clip, "Clip": _clip,
    "MaxPool": _max_pool, "AveragePool": _average, "GlobalAveragePool": _average, "ReduceMean": _reduce_mean,
    "Flatten": _reshaped, "Reshape": _reshaped, "Squeeze": _reshaped, "Unsqueeze": _reshaped, "Identity": _reshaped,
    "Dropout": _reshaped, "Cast": _reshaped, "Transpose": _transposed, "Softmax": _final, "LogSoftmax": _final,
    "Sigmoid": _final, "ArgMax": _final, "Scaler": _scaler, "TreeEnsembleClassifier": _ensemble,
    "TreeEnsembleRegressor": _ensemble, "LinearClassifier": _linear, "LinearRegressor": _linear,
}
