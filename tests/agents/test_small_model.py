"""A real model, small and offline, behind a real server: the plumbing of both brains that ask one. Not its judgement.

``make small-model`` installs and runs it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import FUNDS, RUN, World

from troth.agents.brain import Brain, Call, Finish, Seen
from troth.agents.completions import Completions
from troth.agents.hosted import Hosted
from troth.agents.journal import journal
from troth.agents.runs import Runs

PYTHON = Path(__file__).parents[2] / "build" / "llm-venv" / "bin" / "python"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON.exists(), reason="make small-model installs it")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process = subprocess.Popen([PYTHON, str(Path(__file__).parent / "model_server.py")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def brains(url: str) -> list[Brain]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    host = OpenAIChatModel("smollm2", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none"),
                           settings={"max_tokens": 24})
    return [Completions(f"{url}/v1", "smollm2", max_tokens=24), Hosted(host)]


def test_it_answers_with_a_step(url: str) -> None:
    seen = [Seen(Call("page", {"name": "front"}, "to look"), "hello")]
    for brain in brains(url):
        for before in ([], seen):
            step = brain.next("Say hello.", before, ())
            assert isinstance(step, Finish)
            assert step.text
        assert brain.name == "smollm2"


def test_it_runs_in_the_loop(url: str, tmp_path: Path) -> None:
    """Whatever it says, it moves no money: it was told of nobody to pay."""
    world = World(tmp_path, pages={"front": "hello"})
    with Runs(tmp_path / "runs") as runs:
        ended = world.loop(brains(url)[0], runs).run(RUN, "Look at the page named front, and say what it says.", most=3)
    assert ended.text
    assert all(one.outcome and one.outcome.outcome == "refused" for one in journal(world.party))
    assert world.balance(world.gate.account) == FUNDS
    world.close()
