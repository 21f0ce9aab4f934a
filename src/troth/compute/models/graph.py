"""A graph of ONNX as nodes in real numbers: the walk, its values, and where scalings go."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from troth.compute.models.real import Affine, Conv, Node, Real, one_score
from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray
from troth.fixed.program import MAX_WEIGHTS

MOST_DIAGONAL = 2048
"""Values of a scaling that no layer takes in."""
_LABELS = ("ArrayFeatureExtractor", "ZipMap", "Cast", "Reshape", "Squeeze", "Identity", "Flatten", "LabelEncoder",
           "Normalizer")
"""What may follow the scores: it makes labels of them."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A value that depends on the input: ``node``'s vector times ``scale`` plus ``offset`` (elementwise, not yet part
    of any node), in this shape without the rows. final: an operator that only a head may follow ('' for none)."""

    node: int
    shape: tuple[int, ...]
    scale: FloatArray | None = None
    offset: FloatArray | None = None
    final: str = ""

    @property
    def width(self) -> int:
        return math.prod(self.shape)


Operator = Callable[["Reader", Any, Mapping[str, Any]], Vector]
"""Adds an operator's nodes: (reader, node, attributes) -> its value. Raises BadInput."""


@dataclass(slots=True)
class Reader:
    """Walks a graph in its order; each operator adds nodes. onnx: the library. operators: by name."""

    onnx: Any
    graph: Any
    operators: Mapping[str, Operator]
    nodes: list[Node] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, Vector] = field(default_factory=dict)
    to_come: Counter[str] = field(default_factory=Counter)
    classes: tuple[str, ...] = ()
    held: int = 0

    def read(self) -> Real:
        """The whole graph. Raises BadInput."""
        known = {*self.operators, *_LABELS, "Constant", "Concat"}
        unknown = sorted({node.op_type for node in self.graph.node if node.op_type not in known or
                          node.domain not in ("", "ai.onnx", "ai.onnx.ml")})
        if unknown:
            raise BadInput(f"no converter for {', '.join(unknown)}", expected=", ".join(sorted(self.operators)),
                           do="Export the model with these operators alone.")
        for tensor in self.graph.initializer:
            self.constants[tensor.name] = self.array(tensor)
        inputs = [one for one in self.graph.input if one.name not in self.constants]
        if len(inputs) != 1:
            raise BadInput("a model of another number of inputs", expected=1, actual=len(inputs))
        shape = tuple(size.dim_value for size in inputs[0].type.tensor_type.shape.dim)[1:]
        if not shape or min(shape) < 1 or math.prod(shape) > 1 << 20:
            raise BadInput("an input without a fixed shape", actual=shape,
                           expected="(rows, features) or (rows, channels, height, width)",
                           do="Export it with fixed sizes; only the rows may vary.")
        self.vectors[inputs[0].name] = Vector(0, shape)
        self.widths.append(math.prod(shape))
        self.to_come.update(name for node in self.graph.node for name in node.input)
        self.to_come.update(one.name for one in self.graph.output)
        for node in self.graph.node:
            try:
                self.step(node)
            except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:  # attributes that are none
                raise BadInput(f"{node.op_type} is malformed", actual=ascii(str(error)[:60])) from None
        return self.finished()

    def array(self, tensor: Any) -> Any:
        """A tensor's values, floats as 64 bits. Raises BadInput."""
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise BadInput(f"the weights {tensor.name!r} lie in another file", expected="weights in the model's file",
                           do="Save it with save_as_external_data=False.")
        try:
            found = self.onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError):
            raise BadInput(f"the weights {tensor.name[:40]!a} cannot be read") from None
        if found.dtype.kind == "f" or found.dtype.name == "bfloat16":
            with np.errstate(invalid="ignore"):  # a NaN that signals is refused below
                found = found.astype(np.float64)
            if not np.isfinite(found).all() and found.size > 1:
                raise BadInput(f"the weights {tensor.name!r} hold NaN or infinity", expected="finite numbers",
                               do="The model is broken; train it again.")
        return found

    # ---- values ----

    def step(self, node: Any) -> None:
        """One operator. Raises BadInput."""
        self.to_come.subtract(node.input)
        said = {one.name: self.onnx.helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant":
            value = said.get("value", said.get("value_float", said.get("value_ints", said.get("value_int"))))
            self.constants[node.output[0]] = (self.array(value) if isinstance(value, self.onnx.TensorProto)
                                              else np.asarray(value))
            return
        reads = [self.vectors.get(name) for name in node.input]
        if self.both_classes(node, reads):
            return
        last = next((one for one in reads if one is not None and one.final), None)
        if last is not None or (node.op_type in _LABELS and node.op_type not in self.operators):
            if last is None or last.final == "1 - Sigmoid" or node.op_type not in (*_LABELS, "ArgMax"):
                raise BadInput(f"{node.op_type} after {last.final if last else 'no scores'}",
                               expected="nothing but labels after the scores")
            out = replace(last, final=node.op_type if node.op_type == "ArgMax" else last.final)
        elif node.op_type not in self.operators:
            raise BadInput(f"{node.op_type} of something else than one probability", expected="1 - p, p")
        else:
            out = self.operators[node.op_type](self, node, said)
        for name in node.output:
            if name:
                self.vectors[name] = out

    def both_classes(self, node: Any, reads: Sequence[Vector | None]) -> bool:
        """One probability made two, (1 - p, p), as scikit-learn's exports do: still the one score."""
        finals = [one.final if one is not None else "" for one in reads]
        first = reads[-1] if reads else None
        if first is None:
            return False
        if node.op_type == "Sub" and finals == ["", "Sigmoid"] and bool((self.constant(node, 0) == 1).all()):
            self.vectors[node.output[0]] = replace(first, final="1 - Sigmoid")
        elif node.op_type == "Concat" and finals == ["1 - Sigmoid", "Sigmoid"]:
            self.vectors[node.output[0]] = first
        else:
            return False
        return True

    def vector(self, node: Any, place: int = 0) -> Vector:
        """The value at this input. Raises BadInput where it is a constant."""
        found = self.vectors.get(node.input[place]) if place < len(node.input) else None
        if found is None:
            raise BadInput(f"{node.op_type} of constants", expected="a value of the model's input")
        return found

    def constant(self, node: Any, place: int) -> Any:
        """The constant at this input, None where it is left out. Raises BadInput where it is no constant."""
        if place >= len(node.input) or not node.input[place]:
            return None
        if node.input[place] not in self.constants:
            raise BadInput(f"{node.op_type} with a second value of the input", expected="constants",
                           actual=node.input[place])
        return self.constants[node.input[place]]

    def add(self, node: Node, shape: tuple[int, ...]) -> Vector:
        """One node more. Raises BadInput where all together hold more than a program does: a small file may name a
        large layer many times over."""
        values = (getattr(node, one.name) for one in fields(node))
        self.held += sum(value.size for value in values if isinstance(value, np.ndarray))
        if self.held > 2 * MAX_WEIGHTS:
            raise BadInput("a model is too large to be converted", expected=f"at most {2 * MAX_WEIGHTS} values",
                           actual=self.held)
        self.nodes.append(node)
        self.widths.append(math.prod(shape))
        return Vector(len(self.nodes), shape)

    def settled(self, x: Vector) -> Vector:
        """The same value without a pending scaling: taken into the map before it, or by a map of its own."""
        if x.scale is None or x.offset is None:
            return x
        last = self.nodes[-1] if x.node == len(self.nodes) and x.node else None
        used = any(x.node in (one.source, getattr(one, "other", -1)) for one in self.nodes) or (
            any(self.to_come[name] for name, one in self.vectors.items() if one.node == x.node and one.scale is None))
        if isinstance(last, Affine) and not used:
            self.nodes[-1] = replace(last, weights=last.weights * x.scale[:, None],
                                     bias=last.bias * x.scale + x.offset)
            return replace(x, scale=None, offset=None)
        if isinstance(last, Conv) and not used:
            scale, offset = (part.reshape(len(last.bias), -1) for part in (x.scale, x.offset))
            if (scale == scale[:, :1]).all() and (offset == offset[:, :1]).all():
                self.nodes[-1] = replace(last, weights=last.weights * scale[:, 0, None, None, None],
                                         bias=last.bias * scale[:, 0] + offset[:, 0])
                return replace(x, scale=None, offset=None)
        if x.width > MOST_DIAGONAL:
            raise BadInput("a scaling of an image that no layer takes in", expected=f"at most {MOST_DIAGONAL} values",
                           actual=x.width, do="Scale the rows before, or put it after a Conv.")
        return self.add(Affine(x.node, np.diag(x.scale), x.offset), x.shape)

    def map(self, x: Vector, weights: FloatArray, bias: FloatArray, shape: tuple[int, ...]) -> Vector:
        """An affine map of all values, which takes a pending scaling in."""
        if weights.shape[1] != x.width or weights.shape[0] != math.prod(shape):
            raise BadInput("weights that do not fit", expected=f"{x.width} inputs", actual=weights.shape)
        if x.scale is not None and x.offset is not None:
            weights, bias = weights * x.scale, bias + weights @ x.offset
        return self.add(Affine(x.node, np.ascontiguousarray(weights), bias), shape)

    # ---- the end ----

    def finished(self) -> Real:
        """The model, its head from what the outputs are. Raises BadInput."""
        ends = [self.vectors.get(one.name) for one in self.graph.output]
        if None in ends or not ends:
            raise BadInput("an output that does not depend on the input",
                           actual=[one.name for one in self.graph.output])
        found = [one for one in ends if one is not None]
        if any((one.node, one.scale is None) != (found[0].node, found[0].scale is None) for one in found):
            raise BadInput("outputs of different scores", expected="one vector of scores, and labels of it",
                           actual=[one.name for one in self.graph.output])
        finals = {one.final for one in found}
        x = self.settled(found[0])
        if not self.nodes or x.node != len(self.nodes):
            raise BadInput("the scores are not the last thing computed", expected="a model that ends in its scores")
        if x.width == 1:
            head = "sign" if finals - {""} else "number"
            return Real(self.widths[0], tuple(self.nodes), head, (), self.classes)
        return one_score(Real(self.widths[0], tuple(self.nodes), "largest", (), self.classes))
