"""Run in an environment of its own, for the measurement alone: nodes on standard input, ezkl's figures out."""

import asyncio
import inspect
import json
import os
import sys
import time

import ezkl
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def graph(given):
    """The model as ONNX; trees in matrix form: compare, match the path, take the leaf."""
    nodes, weights, names = [], [], ["x"]

    def constant(array):
        weights.append(numpy_helper.from_array(np.asarray(array, dtype=np.float32), f"w{len(weights)}"))
        return weights[-1].name

    def step(kind, *inputs, **attributes):
        nodes.append(helper.make_node(kind, list(inputs), [f"v{len(nodes)}"], **attributes))
        return f"v{len(nodes) - 1}"

    image = any(node["kind"] == "Conv" for node in given["nodes"])
    for node in given["nodes"]:
        source = names[node["source"]]
        if node["kind"] == "Affine":
            if image:
                source = step("Flatten", source)
            source = step("Gemm", source, constant(np.array(node["weights"]).T), constant(node["bias"]))
        elif node["kind"] == "Conv":
            source = step("Conv", source, constant(node["weights"]), constant(node["bias"]), kernel_shape=[3, 3])
        elif node["kind"] == "Clip":
            source = step("Relu", source)
        elif node["kind"] == "Maximum":
            source = step("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2])
        elif node["kind"] == "Forest":
            source = forest(node, source, step, constant, given["inputs"])
        names.append(source)
    shape = [1, 1, 8, 8] if image else [1, given["inputs"]]
    made = helper.make_graph(nodes, "model", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                             [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, None)], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def forest(node, source, step, constant, inputs):
    compare, bounds, paths, wanted, leaves = [], [], [], [], []
    for tree in node["trees"]:
        inner = [at for at, feature in enumerate(tree["feature"]) if feature >= 0]
        first = len(compare)
        for at in inner:
            compare.append(tree["feature"][at])
            bounds.append(tree["threshold"][at])

        def walk(at, path, first=first, inner=inner, tree=tree):
            if tree["feature"][at] < 0:
                paths.append(path)
                wanted.append(sum(1 for side in path.values() if side > 0))
                leaves.append(tree["leaf"][at])
                return
            place = first + inner.index(at)
            walk(tree["left"][at], path | {place: 1})
            walk(tree["right"][at], path | {place: -1})

        walk(0, {})
    choose, match = np.zeros((inputs, len(compare))), np.zeros((len(compare), len(paths)))
    for place, feature in enumerate(compare):
        choose[feature, place] = 1
    for place, path in enumerate(paths):
        for at, side in path.items():
            match[at, place] = side
    left = step("Cast", step("LessOrEqual", step("MatMul", source, constant(choose)), constant([bounds])), to=1)
    score = step("MatMul", left, constant(match))
    hit = step("Cast", step("Equal", score, constant([wanted])), to=1)
    return step("Add", step("MatMul", hit, constant(leaves)), constant([node["bias"]]))


async def settled(value):
    return await value if inspect.isawaitable(value) else value


def peak():
    with open("/proc/self/status") as read:
        (line,) = (line for line in read if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def main(folder):
    given = json.load(sys.stdin)
    os.chdir(folder)
    model = graph(given)
    onnx.save(model, "model.onnx")
    rows = [list(map(float, row)) for row in given["rows"]]
    with open("input.json", "w") as out:
        json.dump({"input_data": rows[:1]}, out)
    args = ezkl.PyRunArgs()
    args.input_visibility = given["committed"] or "private"
    args.output_visibility = "public"
    args.param_visibility = given["committed"] or "fixed"
    settings = given["settings"]
    args.input_scale = args.param_scale = settings["scale"]
    args.decomp_base, args.decomp_legs = settings["decomp_base"], settings["decomp_legs"]
    assert ezkl.gen_settings("model.onnx", "settings.json", py_run_args=args)
    await settled(ezkl.calibrate_settings("input.json", "model.onnx", "settings.json",
                                          "resources", scales=[settings["scale"]]))
    assert ezkl.compile_circuit("model.onnx", "model.ezkl", "settings.json")
    with open("settings.json") as read:
        k = json.load(read)["run_args"]["logrows"]
    ezkl.gen_srs("kzg.srs", k)
    await settled(ezkl.gen_witness("input.json", "model.ezkl", "witness.json"))
    start = time.process_time()
    assert ezkl.setup("model.ezkl", "vk.key", "pk.key", "kzg.srs")
    ready = time.process_time()
    ezkl.prove("witness.json", "model.ezkl", "pk.key", "proof.json", "kzg.srs")
    proved = time.process_time()
    assert ezkl.verify("proof.json", "settings.json", "vk.key", "kzg.srs")
    with open("proof.json") as read:
        proof = json.load(read)
    hexed = proof.get("hex_proof") or "0x" + bytes(proof["proof"]).hex()
    print(json.dumps({"logrows": k, "setup_seconds": ready - start, "prove_seconds": proved - ready,
                      "verify_seconds": time.process_time() - proved, "key_mb": os.path.getsize("pk.key") / 1e6,
                      "proof_bytes": len(hexed) // 2 - 1,
                      "peak_mb": peak()}))


asyncio.run(main(sys.argv[1]))
