"""ONNX: each operator against the format's own reference, whole exports against the libraries, and what is refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from torch import nn

from compute.families import FAMILIES, converted, fitted, table
from troth.compute.models import graph
from troth.compute.models.onnx import MOST_BYTES, of_onnx, read_onnx
from troth.compute.models.quantise import quantise
from troth.core.errors import BadInput

RNG = np.random.default_rng(8)


def model_of(nodes: list[Any], shape: tuple[int, ...], weights: dict[str, Any], outputs: tuple[str, ...] = ("y",),
             opset: int = 17) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    reads = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])
    writes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [reads], writes, tensors)
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def node(kind: str, reads: str, out: str = "y", domain: str = "", **said: Any) -> Any:
    return helper.make_node(kind, reads.split(), [out], domain=domain, **said)


def flat(out: str = "m") -> list[Any]:
    return [node("Flatten", out, "y")]


IMAGE = (2, 5, 6)
CASES: dict[str, tuple[list[Any], tuple[int, ...], dict[str, Any]]] = {
    "gemm": ([node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1)], (4,), {"w": floats(3, 4), "b": floats(3)}),
    "matmul, add, relu": ([node("MatMul", "x w", "a"), node("Add", "b a", "c"), node("Relu", "c", "d"),
                           node("MatMul", "d v", "y")], (4,), {"w": floats(4, 5), "b": floats(5), "v": floats(5, 3)}),
    "scale before a layer": ([node("Sub", "x m", "a"), node("Div", "a s", "b"), node("MatMul", "b w", "y")], (4,),
                             {"m": floats(4), "s": np.abs(floats(1, 4)) + 1, "w": floats(4, 3)}),
    "one minus": ([node("Sub", "one x", "a"), node("Mul", "a s", "b"), node("Neg", "b", "y")], (4,),
                  {"one": np.float32(1), "s": floats(4)}),
    "a shared map": ([node("MatMul", "x w", "a"), node("Mul", "a s", "b"), node("Relu", "a", "c"),
                      node("Relu", "b", "d"), node("Add", "c d", "y")], (4,), {"w": floats(4, 3), "s": floats(3)}),
    "conv": ([node("Conv", "x w b", "m", strides=[2, 1], pads=[1, 0, 0, 1]), *flat()], IMAGE,
             {"w": floats(3, 2, 3, 2), "b": floats(3)}),
    "conv of groups": ([node("Conv", "x w", "m", group=2, dilations=[2, 1]), *flat()], IMAGE,
                       {"w": floats(4, 1, 2, 3)}),
    "conv, same": ([node("Conv", "x w", "m", auto_pad="SAME_LOWER", strides=[2, 2]), *flat()], IMAGE,
                   {"w": floats(2, 2, 3, 4)}),
    "conv, norm": ([node("Conv", "x w", "c"), node("BatchNormalization", "c g b m v", "d"), node("Relu", "d", "m2"),
                    *flat("m2")], IMAGE, {"w": floats(3, 2, 2, 2), "g": floats(3), "b": floats(3), "m": floats(3),
                                          "v": np.abs(floats(3)) + 0.1}),
    "norm, conv": ([node("BatchNormalization", "x g b m v", "c"), node("Conv", "c w", "m2", pads=[1, 1, 1, 1]),
                    *flat("m2")], IMAGE, {"w": floats(2, 2, 3, 3), "g": floats(2), "b": floats(2), "m": floats(2),
                                          "v": np.abs(floats(2)) + 0.1}),
    "pools": ([node("MaxPool", "x", "a", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
               node("AveragePool", "a", "m", kernel_shape=[2, 2]), *flat()], IMAGE, {}),
    "padded average": ([node("AveragePool", "x", "m", kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1),
                        *flat()], IMAGE, {}),
    "global average": ([node("GlobalAveragePool", "x", "m"), *flat()], IMAGE, {}),
    "mean of an image": ([node("ReduceMean", "x", "y", axes=[-1, 2], keepdims=0)], IMAGE, {}),
    "clip": ([node("Clip", "x low high", "y")], (4,), {"low": np.float32(-0.5), "high": np.float32(0.25)}),
    "transpose, reshape": ([node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Reshape", "a s", "y")], IMAGE,
                           {"s": np.array([-1, 60])}),
    "squeeze, unsqueeze": ([node("Unsqueeze", "x ax", "a"), node("Squeeze", "a ax", "b"), node("Relu", "b", "y")], (4,),
                           {"ax": np.array([1])}),
    "sum with a shortcut": ([node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b v", "c"),
                             node("Add", "c b", "d"), node("Dropout", "d", "e"), node("Cast", "e", "y", to=1)], (4,),
                            {"w": floats(4, 3), "v": floats(3, 3)}),
    "scaler, regressor": ([node("Scaler", "x", "a", "ai.onnx.ml", offset=[1.0, 2.0], scale=[0.5, 3.0]),
                           node("LinearRegressor", "a", "y", "ai.onnx.ml", coefficients=[1.5, -2.0], intercepts=[0.25],
                                targets=1)], (2,), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_the_reference_gives(case: str) -> None:
    nodes, shape, weights = CASES[case]
    proto = model_of(nodes, shape, weights)
    rows = floats(6, *shape)
    model = of_onnx(proto.SerializeToString())
    [wanted] = ReferenceEvaluator(proto).run(None, {"x": rows})
    assert np.allclose(model.run(rows.reshape(6, -1).astype(np.float64)), wanted.reshape(6, -1), atol=1e-5)


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"])
def test_a_trees_split_goes_the_way_its_mode_says(mode: str) -> None:
    tree = {"nodes_treeids": [0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 0, 5, 3],
            "nodes_featureids": [0, 0, 0, 1, 0, 0],
            "nodes_values": [0.5, 0, 0, 0.1, 0, 0], "nodes_modes": [mode, "LEAF", "LEAF"] * 2,
            "nodes_truenodeids": [1, 0, 0, 5, 0, 0], "nodes_falsenodeids": [2, 0, 0, 3, 0, 0], "n_targets": 1,
            "target_treeids": [0, 0, 1, 1], "target_nodeids": [1, 2, 5, 3], "target_ids": [0] * 4,
            "target_weights": [1.0, 2.0, 10.0, 20.0], "base_values": [100.0]}
    proto = model_of([node("TreeEnsembleRegressor", "x", "y", "ai.onnx.ml", **tree)], (2,), {})
    edge = np.float32(0.1)
    rows = np.array([[0.5, edge], [np.nextafter(np.float32(0.5), np.float32(1)), np.nextafter(edge, np.float32(0))],
                     [0.4, np.nextafter(edge, np.float32(1))]], dtype=np.float32)
    [wanted] = ReferenceEvaluator(proto).run(None, {"x": rows})
    assert of_onnx(proto.SerializeToString()).run(rows.astype(np.float64))[:, 0].tolist() == wanted.reshape(-1).tolist()


@pytest.mark.parametrize("family", [name for name in FAMILIES if not name.startswith("binned")])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_exports_are_the_same_model(family: str) -> None:
    found, own = fitted(family), converted(family)
    proto = to_onnx(found.estimator, found.rows[:1].astype(np.float32))
    model = of_onnx(proto.SerializeToString())
    rows = found.rows.astype(np.float32).astype(np.float64)
    assert model.head == own.head
    labels, wanted = model.labels(model.run(rows)), own.labels(own.run(rows))
    if own.head == "number":
        assert np.allclose(labels, wanted, rtol=1e-4)
    else:
        assert (labels == wanted).mean() >= 0.996  # 32-bit votes that were equal in 64


class Shortcut(nn.Module):
    """A residual block with norms and groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.again, self.last = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.norm(self.first(image)))
        return self.last(torch.relu(seen + self.again(self.second(seen))).mean((2, 3)))


def exported(net: nn.Module, *shape: int) -> bytes:
    net.eval()
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, *shape),), out, dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "n"}}, opset_version=17)
    return out.getvalue()


def test_torchs_exports_are_the_same_function() -> None:
    torch.manual_seed(1)
    net = Shortcut()
    for part in (net.norm, net.again):
        part.running_mean.normal_()
        part.running_var.uniform_(0.5, 2)
    model = of_onnx(exported(net, 1, 8, 8))
    rows = RNG.normal(size=(5, 64))
    with torch.no_grad():
        wanted = net.double()(torch.tensor(rows.reshape(5, 1, 8, 8))).numpy()
    assert np.allclose(model.run(rows), wanted, atol=1e-6)


def small_cnn() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """A network that reads digits a little: enough for labels that mean something."""
    rows, truth = table("digits")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
                        nn.Flatten(), nn.Linear(32, 10), nn.LogSoftmax(1))
    step = torch.optim.Adam(net.parameters(), 0.02)
    images, labels = torch.tensor(rows[:900].reshape(-1, 1, 8, 8) / 16, dtype=torch.float32), torch.tensor(truth[:900])
    for _ in range(25):
        step.zero_grad()
        nn.functional.nll_loss(net(images), labels).backward()
        step.step()
    return net, rows / 16, truth


def test_a_small_network_of_images_keeps_its_labels() -> None:
    net, rows, truth = small_cnn()
    model = of_onnx(exported(net, 1, 8, 8))
    found = quantise(model, rows[900:1250], held_out=rows[1250:1600], truth=truth[900:1600])
    assert found.report.score_before > 700_000
    assert abs(found.report.score_before - found.report.score_after) < 10_000
    assert found.report.held_out.ppm >= 995_000 - 1_000_000 // 350


BIG = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], np.zeros(4, np.float32).tobytes(), raw=True)


def outside() -> onnx.ModelProto:
    proto = model_of([node("MatMul", "x w", "y")], (2,), {"w": floats(2, 2)})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return proto


W = {"w": floats(2, 2)}
BAD: dict[str, tuple[Any, str]] = {
    "another operator": (model_of([node("LSTM", "x w w", "y")], (2,), W), "no converter for LSTM"),
    "a made-up domain": (model_of([node("Relu", "x", "y", "evil")], (2,), {}), "no converter for Relu"),
    "weights that are none": (model_of([node("MatMul", "x w", "y")], (2,), {"w": np.array([[np.nan, 1], [1, 1]])}),
                              "'w' hold NaN"),
    "weights elsewhere": (outside(), "lie in another file"),
    "another shape": (model_of([node("MatMul", "x w", "y")], (3,), W), "weights that do not fit"),
    "an open shape": (model_of([node("MatMul", "x w", "y")], (0,), W), "without a fixed shape"),
    "softmax inside": (model_of([node("Softmax", "x", "a"), node("MatMul", "a w", "y")], (2,), W),
                       "MatMul after Softmax"),
    "a product of values": (model_of([node("MatMul", "x w", "a"), node("Mul", "a x", "y")], (2,), W),
                            "Mul of two values"),
    "many labels": (model_of([node("MatMul", "x w", "a"), node("Sigmoid", "a", "y")], (2,), W),
                    "Sigmoid over something else"),
    "rows mixed": (model_of([node("Reshape", "x s", "y")], (2,), {"s": np.array([2, -1])}), "Reshape across rows"),
    "a turned matrix": (model_of([node("Gemm", "x w", "y", transA=1)], (2,), W), "Gemm of something else"),
    "a product on the left": (model_of([node("MatMul", "w x", "y")], (2,), W), "MatMul of constants"),
    "two models": (model_of([node("MatMul", "x w", "y"), node("Relu", "y", "z")], (2,), W, ("y", "z")),
                   "outputs of different scores"),
    "rounded up": (model_of([node("MaxPool", "x", "m", kernel_shape=[2, 2], ceil_mode=1), *flat()], IMAGE, {}),
                   "does not fit its image"),
    "averages of less": (model_of([node("AveragePool", "x", "m", kernel_shape=[2, 2], pads=[1, 1, 0, 0]), *flat()],
                                  IMAGE, {}), "leaves padding out"),
    "gigabytes of padding": (model_of([node("MaxPool", "x", "m", kernel_shape=[2, 2], pads=[9**9, 0, 0, 0]), *flat()],
                                      IMAGE, {}), "a layer is out of range"),
    "a kernel of gigabytes": (model_of([node("Conv", "x w", "m", dilations=[1, 2**30], pads=[0, 2**31, 0, 2**31]),
                                        *flat()], IMAGE, {"w": floats(1, 2, 1, 3)}), "a layer is out of range"),
    "a tree without a root": (model_of([node("TreeEnsembleRegressor", "x", "y", "ai.onnx.ml", nodes_treeids=[0])], (2,),
                                       {}), "is malformed"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_converted_is_refused_by_name(case: str) -> None:
    proto, why = BAD[case]
    with pytest.raises(BadInput, match=why):
        of_onnx(proto.SerializeToString())


def test_what_is_no_model_or_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for data in (b"", b"\x00" * 40, b"PK\x03\x04 not a model", BIG.SerializeToString() * 3):
        with pytest.raises(BadInput):
            of_onnx(data)
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as out:
        out.truncate(3 << 30)  # three gigabytes that take no room on the disk
    with pytest.raises(BadInput, match=rf"at most {MOST_BYTES} bytes; found {3 << 30} bytes. Nothing of it was read"):
        read_onnx(huge)
    with pytest.raises(BadInput, match="cannot read"):
        read_onnx(tmp_path / "none.onnx")


def test_a_cut_or_flipped_file_never_gives_another_error_than_ours() -> None:
    whole = model_of(*CASES["conv, norm"]).SerializeToString()
    for at in range(0, len(whole), 7):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1:]):
            try:
                of_onnx(data)
            except BadInput:
                continue


def test_a_small_file_that_names_a_layer_many_times_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each average is a kernel of its own here: as large as a model may be, for a few bytes of file."""
    one = [node("AveragePool", "x" if not at else f"m{at - 1}", f"m{at}", kernel_shape=[1, 1]) for at in range(8)]
    large = model_of([*one, *flat("m7")], IMAGE, {}).SerializeToString()
    of_onnx(large)
    monkeypatch.setattr(graph, "MAX_WEIGHTS", 20)
    with pytest.raises(BadInput, match="too large to be converted"):
        of_onnx(large)
