"""Brains: a script's steps, what an endpoint says read as steps, and one behind a host; keys stay out of sight."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.agents.brain import Brain, Call, Finish, Form, Script, Seen
from troth.agents.completions import READ, Completions, step_of
from troth.agents.hosted import Hosted
from troth.core.errors import BadInput, Misuse, OutsideFailed

FORMS = (Form("search", "Look for claims.", {"type": "object", "properties": {"query": {"type": "string"}}}),)
SCRIPT = Script.of(json.dumps({"rules": [
    {"tool": "search", "arguments": {"query": "corpus"}, "why": "the owner wants one"},
    {"finish": "nothing there", "when": "^none"},
    {"tool": "claim", "arguments": {"claim": {"read": "claim ([0-9a-f]+)"}, "rows": 3}},
    {"finish": "seen"}]}).encode())


def answers(*texts: str) -> list[Seen]:
    return [Seen(Call("search", {}), text) for text in texts]


def test_a_script_takes_its_steps() -> None:
    assert SCRIPT.next("", [], FORMS) == Call("search", {"query": "corpus"}, "the owner wants one")
    assert SCRIPT.next("", answers("claim ab12 is it"), FORMS) == Call("claim", {"claim": "ab12", "rows": 3})
    assert SCRIPT.next("", answers("none here"), FORMS) == Finish("nothing there")
    assert SCRIPT.next("", answers("claim ab12", "fine"), FORMS) == Finish("seen")
    with pytest.raises(BadInput, match="nothing that was read has it"):
        SCRIPT.next("", answers("of no use"), FORMS)
    assert Script(SCRIPT.rules[:1]).next("", answers("x"), FORMS) == Finish("the script is at its end")


@pytest.mark.parametrize("text", ["[]", '{"rules":[]}', '{"rules":[1]}', '{"rules":[{"tool":"a"}]}',
                                  '{"rules":[{"finish":"a","more":1}]}', '{"rules":[{"finish":"a","when":"("}]}',
                                  '{"rules":[{"tool":"a","arguments":{"b":{"read":"("}}}]}', "{"])
def test_what_is_no_script(text: str) -> None:
    with pytest.raises(BadInput):
        Script.of(text.encode())


def completion(**message: object) -> bytes:
    return json.dumps({"choices": [{"message": message}]}).encode()


def test_an_answer_is_one_step() -> None:
    call = {"function": {"name": "search", "arguments": '{"query":"x"}'}}
    other = {"function": {"name": "pay", "arguments": "{}"}}
    assert step_of(completion(content=" why ", tool_calls=[call, other])) == Call("search", {"query": "x"}, "why")
    assert step_of(completion(content="all done", tool_calls=None)) == Finish("all done")
    assert step_of(completion(content=None)) == Finish("")


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[1]}', b'{"choices":[{"message":"x"}]}',
    completion(tool_calls=[1]), completion(tool_calls="x"), completion(tool_calls=[{"function": {"name": 1}}]),
    completion(tool_calls=[{"function": {"name": "a", "arguments": "[]"}}]),
    completion(tool_calls=[{"function": {"name": "a", "arguments": '{"a":1,"a":2}'}}]),
    completion(tool_calls=[{"function": {"name": "a", "arguments": "{"}}])])
def test_what_is_no_step(data: bytes) -> None:
    with pytest.raises(BadInput):
        step_of(data)


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["choices", "message", "tool_calls", "function", "name", "arguments",
                                         "content"]), inner, max_size=4), max_leaves=12))
def test_anything_is_a_step_or_bad_input(value: object) -> None:
    with contextlib.suppress(BadInput):
        assert isinstance(step_of(json.dumps(value).encode()), Call | Finish)


class Endpoint(HTTPServer):
    """Answers each request with what is next in its list, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.says: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, str | None, dict[str, object]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        status, data = self.server.says.pop(0)
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_is_asked_with_what_was_read(endpoint: Endpoint) -> None:
    brain: Brain = Completions(f"http://127.0.0.1:{endpoint.server_port}/v1", "small", "sk-secret")
    endpoint.says = [(200, completion(content="over")), (307, b""), (200, b"x" * (1 << 21)), (401, b"sk-secret")]
    assert brain.next("buy it", answers("a page"), FORMS) == Finish("over")
    path, key, body = endpoint.asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer sk-secret", "small")
    roles = [(one["role"], one["content"]) for one in body["messages"]]  # type: ignore[attr-defined]
    assert roles[1:] == [("user", "buy it"), ("assistant", ""), ("tool", READ + "a page")]
    assert body["tools"][0]["function"]["name"] == "search"  # type: ignore[index]
    for said in ("refuses", "too much", "refuses"):  # a redirect is not followed
        with pytest.raises(OutsideFailed, match=said) as caught:
            brain.next("buy it", [], ())
        assert "sk-secret" not in str(caught.value)
    assert "sk-secret" not in repr(brain)


def test_where_a_model_may_be() -> None:
    for url in ("http://models.example/v1", "https://models.example/v1", "ftp://127.0.0.1/", "127.0.0.1:80",
                "http://me:pw@127.0.0.1/v1"):
        with pytest.raises(Misuse):
            Completions(url, "m")
    with pytest.raises(Misuse):
        Completions("http://models.example/v1", "m", elsewhere=True)
    with pytest.raises(Misuse) as caught:
        Completions("http://127.0.0.1:1/v1", "m", "a\nX-Header: b")
    assert "X-Header" not in str(caught.value)
    Completions("https://models.example/v1", "m", elsewhere=True)
    with pytest.raises(OutsideFailed, match="did not answer"):
        Completions("http://127.0.0.1:1/v1", "m").next("", [], ())


def test_a_model_behind_a_host() -> None:
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    shown: list[tuple[list[ModelMessage], AgentInfo]] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        shown.append((messages, info))
        if len(messages) == 1:
            return ModelResponse(parts=[TextPart("why"), ToolCallPart("search", {"query": "x"}),
                                        ToolCallPart("pay", {})])
        return ModelResponse(parts=[TextPart("done")])

    brain: Brain = Hosted(FunctionModel(model))
    first = brain.next("buy it", [], FORMS)
    assert first == Call("search", {"query": "x"}, "why")
    assert isinstance(first, Call)
    assert brain.next("buy it", [Seen(first, "a page")], FORMS) == Finish("done")
    assert [one.name for one in shown[0][1].function_tools] == ["search"]
    assert shown[1][0][-1].parts[0].content == READ + "a page"  # type: ignore[union-attr]
    with pytest.raises(Misuse):
        Hosted("nobody:nothing").next("", [], ())
