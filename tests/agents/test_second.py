"""Second opinions: signed by others about exactly one act, worth what the owner's limits say; its own is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from agent_world import AGENT, KEYS, RUN, SHOP, STRANGER, VERIFIERS, Steps, World, limits, pay, sure_limits

from ports.books import START, key
from troth.agents.brain import Brain, Call, Finish, Form, Seen, Step
from troth.agents.gate import Act
from troth.agents.journal import journal
from troth.agents.loop import Case, Second
from troth.agents.mcp import Peer, reads, server
from troth.agents.runs import Runs
from troth.agents.second import Judge, Shown, asking, judging, plain, voices
from troth.agents.tools import Parameter, Reading, Tool, Toolbox
from troth.core.errors import BadInput, OutsideFailed
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.limits import Asked

WORDS = f"pay 0x{SHOP.hex()} 40"
ACT = Act.pay(b"\x01" * 20, SHOP, 40, "a payment")
ASKED = Asked(1, b"\x02" * 20, 7, ACT.target, ACT.data)
SHOWN = Shown.of(ASKED, Case(WORDS, pay(SHOP, 40, "trust me"), ACT, (Seen(Call("page", {}), "hello"),)))


class Says:
    """A brain that says this step, and keeps what it was asked."""

    name = "says"

    def __init__(self, step: Step) -> None:
        self.step, self.asked = step, ""

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        self.asked = words + "".join(one.text for one in seen)
        return self.step


def test_what_a_verifier_is_shown() -> None:
    """All but the agent's reasons, which would speak for themselves."""
    assert Shown.from_bytes(SHOWN.to_bytes()) == SHOWN
    assert (SHOWN.units, SHOWN.payee, SHOWN.read) == (40, SHOP, (("page", "hello"),))
    assert b"trust me" not in SHOWN.to_bytes()
    for bad in (b"{}", SHOWN.to_bytes().replace(b'"nonce":7', b'"nonce":"7"'),
                SHOWN.to_bytes().replace(b'["page","hello"]', b'["page"]')):
        with pytest.raises(BadInput):
            Shown.from_bytes(bad)


def test_two_judges() -> None:
    assert plain(SHOWN) == 10_000
    for wrong in (replace(SHOWN, units=41), replace(SHOWN, payee=STRANGER), replace(SHOWN, words="pay nobody")):
        assert plain(wrong) == 0
    sure = Says(Call("sure", {"confidence": 9_000}))
    assert asking(sure)(SHOWN) == 9_000
    assert "hello" in sure.asked
    assert "trust me" not in sure.asked
    steps: list[Step] = [Finish("10000"), Call("pay", {"confidence": 9_000})]
    steps += [Call("sure", {"confidence": one}) for one in (10_001, -1, "9000", True, 0.9, None)]
    for step in steps:
        brain: Brain = Says(step)
        assert asking(brain)(SHOWN) == 0


def verifier(judge: Judge, pair: Secp256k1KeyPair) -> Toolbox:
    return Toolbox([judging(judge, pair, lambda: START)])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def asked_of(stack: ExitStack, *boxes: Toolbox) -> Second:
    return voices([stack.enter_context(Peer.within(f"v{n}", server(box, reads(box)))) for n, box in enumerate(boxes)])


def outcomes(world: World) -> list[tuple[str, str, int]]:
    return [(one.outcome.outcome, one.outcome.reason, one.outcome.level) for one in journal(world.party) if one.outcome]


def test_acts_need_the_word_of_others(tmp_path: Path, stack: ExitStack) -> None:
    """Two that agree let it act; the agent as its own verifier, a liar and a silent one count for nothing."""
    world = World(tmp_path, sure_limits())
    pairs = [KEYS[who] for who in VERIFIERS]

    def last_month(arguments: object) -> str:
        return said

    other = judging(asking(Says(Call("sure", {"confidence": 5_000}))), pairs[1], lambda: START).work
    assert isinstance(other, Reading)
    said = other.read({"case": SHOWN.to_bytes().decode()})  # its word on another act
    liar = Toolbox([Tool("judge", "", Reading(last_month), {"case": Parameter("text", "")})])
    good = [verifier(plain, pair) for pair in pairs]
    unsure = verifier(asking(Says(Call("sure", {"confidence": 7_999}))), pairs[1])
    cases = ((good, ("done", "", 10_000)), ([good[0], unsure], ("refused", "Unsure", 7_999)),
             ([good[0], liar], ("refused", "Unsure", 10_000)), ([good[0], good[0]], ("refused", "Unsure", 10_000)))
    with Runs(None) as runs:
        for n, (boxes, expected) in enumerate(cases):
            run = RUN[:15] + bytes([n])
            world.loop(Steps(pay(SHOP, 40)), runs, asked_of(stack, *boxes)).run(run, WORDS)
            assert outcomes(world)[-1] == expected, n
    assert world.gate.state().standing.tripped
    assert world.balance(SHOP) == 40
    assert key("an agent").public.account == AGENT
    with pytest.raises(OutsideFailed, match="not a verifier"):
        asked_of(stack, Toolbox([Tool("page", "", Reading(last_month), {})]))
    with pytest.raises(Exception, match="BadLimits"):
        limits(confidence=1, agree=1, strikes=1, verifiers=(AGENT,)).check(world.gate.account)
    world.close()
