"""Run in an environment of its own, for the measurement alone: a model and ezkl's settings in, a line of figures a
setting out.

``look`` compiles each setting and counts the unseen records whose label is the model's own (the first ``count`` of
them; 0 for none), without proving; ``prove`` makes keys and a proof, verifies it, and has ezkl write its verifier's
Solidity. ezkl's witness, proof and verification are three commands, and are timed apart.
"""

import asyncio
import contextlib
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
            source = step("Conv", source, constant(node["weights"]), constant(node["bias"]), kernel_shape=[3, 3],
                          strides=[1, 1], pads=[0, 0, 0, 0])
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
    if len(node["trees"]) == 1:
        matched = step("Equal", score, constant([wanted]))
    else:   # dearer; but for many trees what ezkl makes of `Equal` gives other scores than ONNX says
        matched = step("LessOrEqual", constant([[value - 0.5 for value in wanted]]), score)
    hit = step("Cast", matched, to=1)
    return step("Add", step("MatMul", hit, constant(leaves)), constant([node["bias"]]))


async def settled(value):
    return await value if inspect.isawaitable(value) else value


def peak():
    with open("/proc/self/status") as read:
        (line,) = (line for line in read if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def prepare(settings, modes):
    """Compile one setting: (rows of the circuit, its binary logarithm, what calibration chose)."""
    args = ezkl.PyRunArgs()
    args.output_visibility = "public"
    args.input_visibility, args.param_visibility = modes
    args.input_scale, args.param_scale = settings["input_scale"], settings["param_scale"]
    for name in ("decomp_base", "decomp_legs", "num_inner_cols", "check_mode", "disable_freivalds",
                 "bounded_log_lookup", "rebase_frac_zero_constants"):
        if name in settings:
            setattr(args, name, settings[name])
    assert ezkl.gen_settings("model.onnx", "settings.json", py_run_args=args)
    # What it may choose: the rows, the lookup's range and the multiplier; both scales are held.
    assert ezkl.calibrate_settings(
        "calibration.json", "model.onnx", "settings.json", settings.get("target", "resources"),
        scales=sorted({settings["input_scale"], settings["param_scale"]}))
    with open("settings.json") as read:
        said = json.load(read)
    run = said["run_args"]
    chosen = run["input_scale"], run["param_scale"]
    assert chosen == (settings["input_scale"], settings["param_scale"]), f"calibration took the scales {chosen}"
    assert ezkl.compile_circuit("model.onnx", "model.ezkl", "settings.json")
    return {"logrows": run["logrows"], "num_rows": said["num_rows"],
            "multiplier": run["scale_rebase_multiplier"]}


async def agreement(given, count):
    """(agreed, of, refused) on the first unseen records, given up once more are missed than may be of all."""
    agreed, refused, most_missed = 0, 0, given["most_missed"]
    records = list(zip(given["unseen"], given["wanted"], strict=True))[:count]
    for number, (row, wanted) in enumerate(records):
        try:
            write("one.json", {"input_data": [row]})
            await settled(ezkl.gen_witness("one.json", "model.ezkl", "one.witness"))
        except Exception:  # it says nothing finer of a number beyond its tables
            refused += 1
        else:
            with open("one.witness") as read:
                scores = [float(value) for value in json.load(read)["pretty_elements"]["rescaled_outputs"][0]]
            label = int(scores[0] > 0) if len(scores) == 1 else int(np.argmax(scores))
            agreed += label == wanted
        if number + 1 - agreed > most_missed:
            return {"agreed": agreed, "of": number + 1, "refused": refused, "eligible": False}
    return {"agreed": agreed, "of": len(records), "refused": refused, "eligible": True}


async def prove(given):
    """Setup, proof, verification; the verifier's source and what to call it with."""
    with open("settings.json") as read:
        k = json.load(read)["run_args"]["logrows"]
    ezkl.gen_srs("kzg.srs", k)
    write("input.json", {"input_data": given["unseen"][:1]})
    before = time.process_time()
    await settled(ezkl.gen_witness("input.json", "model.ezkl", "witness.json"))
    start = time.process_time()
    assert ezkl.setup("model.ezkl", "vk.key", "pk.key", "kzg.srs")
    ready = time.process_time()
    ezkl.prove("witness.json", "model.ezkl", "pk.key", "proof.json", "kzg.srs")
    proved = time.process_time()
    assert ezkl.verify("proof.json", "settings.json", "vk.key", "kzg.srs")
    found = {"witness_seconds": start - before, "setup_seconds": ready - start, "prove_seconds": proved - ready,
             "verify_seconds": time.process_time() - proved, "key_mb": os.path.getsize("pk.key") / 1e6,
             "peak_mb": peak()}
    with open("proof.json") as read:
        proof = json.load(read)
    found["proof_bytes"] = len(proof.get("hex_proof") or "0x" + bytes(proof["proof"]).hex()) // 2 - 1
    with contextlib.suppress(RuntimeError):  # it wants to download a compiler once the source is written
        await settled(ezkl.create_evm_verifier("vk.key", "settings.json", "verifier.sol", "verifier.abi", "kzg.srs"))
    ezkl.encode_evm_calldata("proof.json", "call.bytes")
    return found


def write(name, value):
    with open(name, "w") as out:
        json.dump(value, out)


async def main(folder, verb):
    given = json.load(sys.stdin)
    os.chdir(folder)
    onnx.save(graph(given), "model.onnx")
    write("calibration.json", {"input_data": [[value for row in given["calibration"] for value in row]]})
    for settings in given["settings"]:
        try:
            found = prepare(settings, given["modes"])
            if verb == "prove":
                found |= await prove(given)
            elif given["count"] > 0:
                found |= await agreement(given, given["count"])
        except BaseException as error:  # a panic of its Rust is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            found = {"failed": (str(error).strip().splitlines() or ["no reason given"])[-1][:200]}
        print(json.dumps({"settings": settings, **found}), flush=True)


asyncio.run(main(*sys.argv[1:]))
