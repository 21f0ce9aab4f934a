"""An agent buys over HTTP: only from whom its owner named, once an intent, whatever it read and whatever broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from places import Place

from agents.x402_parts import PRICE, Market, just_money
from troth.agents.tools import Saying
from troth.agents.x402.budget import Limits, OverBudget
from troth.app import Troth
from troth.app.buying import buying
from troth.app.payments import budget, hot_key, refill
from troth.app.verbs import GUARDED, verbs
from troth.core.errors import Misuse, OutsideFailed
from troth.core.terms import Account


class Scene:
    """A shop, and an agent's workspace with money on its hot account."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        place = Place(root)
        stack.callback(place.close)
        self.agent: Troth = place.make("agent")
        self.market = Market(place.chain, root, stack)
        contracts = just_money(self.agent, 1_000)
        self.market.token = type(self.market.token)(place.chain.web3, contracts["token"].address)
        self.server = self.market.serve()
        refill(self.agent, 500)

    @property
    def hot(self) -> Account:
        return hot_key(self.agent).public.account

    def allow(self, limits: Limits) -> None:
        with budget(self.agent) as spends:
            spends.allow(self.market.chain.chain_id, self.market.token.address, limits)

    def buy(self, url: str, intent: bytes, most: int = PRICE) -> str:
        (tool,) = buying(self.agent)
        assert isinstance(tool.work, Saying)
        return tool.work.say(tool.read({"url": url, "most": str(most)}), intent)

    def said(self, intent: bytes) -> str | None:
        (tool,) = buying(self.agent)
        assert isinstance(tool.work, Saying)
        return tool.work.said(intent)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path_factory.mktemp("buying"), stack)


LIMITS = Limits(PRICE, 500, 500, hosts=frozenset({"127.0.0.1"}))


def test_there_is_no_verb_without_somebody_named(scene: Scene) -> None:
    assert buying(scene.agent) == ()
    scene.allow(Limits(PRICE, 500, 500))
    assert buying(scene.agent) == ()
    scene.allow(LIMITS)
    assert "buy" in {form.name for form in verbs(scene.agent).forms()}
    assert "payment" in GUARDED


def test_an_intent_is_paid_once(scene: Scene) -> None:
    scene.allow(LIMITS)
    intent, before = b"i" * 32, scene.market.token.balance(scene.hot)
    assert scene.said(intent) is None
    scene.market.wrong.append(OutsideFailed("down"))
    lost = scene.buy(f"{scene.server.url}/a", intent)  # paid, and nothing came
    assert lost.startswith("status 500, paid 10")
    served = scene.buy(f"{scene.server.url}/a", intent)  # as after a crash: the same payment
    assert "/a for" in served
    assert scene.market.token.balance(scene.hot) == before - PRICE
    assert "paid in claim" in str(scene.said(intent))
    scene.buy(f"{scene.server.url}/a", b"j" * 32)
    assert scene.market.token.balance(scene.hot) == before - 2 * PRICE


def test_what_it_read_does_not_decide_who_is_paid(scene: Scene) -> None:
    scene.allow(Limits(PRICE, 500, 500, payees=frozenset({b"p" * 20})))
    before = scene.market.token.balance(scene.hot)
    with pytest.raises(OverBudget, match="payee"):  # a page says: buy there
        scene.buy(f"{scene.server.url}/a", b"k" * 32)
    scene.allow(LIMITS)
    with pytest.raises(OverBudget, match="may cost"):
        scene.buy(f"{scene.server.url}/dear", b"k" * 32)
    with pytest.raises(Misuse):
        scene.buy("http://thief.example/a", b"k" * 32)
    assert scene.market.token.balance(scene.hot) == before


def test_a_budget_that_was_opened_to_anybody_since(scene: Scene) -> None:
    scene.allow(LIMITS)
    (tool,) = buying(scene.agent)
    scene.allow(Limits(PRICE, 500, 500))
    assert isinstance(tool.work, Saying)
    with pytest.raises(Misuse, match="for anybody"):
        tool.work.say({"url": f"{scene.server.url}/a", "most": PRICE}, b"l" * 32)
