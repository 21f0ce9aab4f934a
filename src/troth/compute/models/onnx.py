"""ONNX files as models in real numbers: the operators that scikit-learn's exports and small networks need.

Read: Gemm, MatMul, Add, Sub, Mul, Div, Neg, Conv, BatchNormalization (folded), Relu, Clip, MaxPool, AveragePool,
GlobalAveragePool, ReduceMean over an image, Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Identity, Dropout, Cast;
of ``ai.onnx.ml`` Scaler, LinearClassifier, LinearRegressor, TreeEnsembleClassifier, TreeEnsembleRegressor. At the end
Softmax, LogSoftmax, Sigmoid, ArgMax and what makes labels of them are dropped into the head. Any other operator is
refused by name, before anything is converted.

Nothing in a file is run. A file's size is looked at before it is read; weights in other files are refused.
"""

from __future__ import annotations

from pathlib import Path

from troth.compute.models.graph import Reader
from troth.compute.models.operators import OPERATORS
from troth.compute.models.real import Real
from troth.core.errors import BadInput, OutsideFailed, unreadable

MOST_BYTES = 1 << 28
"""256 MiB: more weights than a program may have."""


def read_onnx(path: Path) -> Real:
    """A file. Raises BadInput for one that is too large or not there, OutsideFailed where it cannot be read, else as
    `of_onnx`."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise BadInput(f"{path.name} is too large to be converted", expected=f"at most {MOST_BYTES} bytes",
                           actual=f"{size} bytes", do="Nothing of it was read.")
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    return of_onnx(data)


def of_onnx(data: bytes) -> Real:
    """A serialised ModelProto. Raises BadInput for what is none, for other operators and shapes, for weights outside
    the file and for weights that are no finite numbers; OutsideFailed without the library."""
    try:
        # Imported here: an extra, and a second to load.
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise OutsideFailed("the library onnx is not installed", do="pip install 'troth[onnx]'") from None
    if len(data) > MOST_BYTES:
        raise BadInput("a model is too large to be converted", expected=f"at most {MOST_BYTES} bytes", actual=len(data))
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError:
        raise BadInput("not an ONNX model", expected="a serialised ModelProto") from None
    if not graph.node or not graph.output:
        raise BadInput("not an ONNX model", expected="a graph with nodes and outputs")
    return Reader(onnx, graph, OPERATORS).read()
