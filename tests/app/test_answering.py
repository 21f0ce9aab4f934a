"""Answers for pay between two workspaces on one chain, by the commands; and who signs an answer again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from troth.app import Settings, Troth
from troth.app.answering import Offered, ask, give
from troth.app.proving import check
from troth.cli.main import app
from troth.core.errors import BadInput, Misuse, Refuted, TrothError
from troth.core.verdicts import Outcome
from troth.fixed.program import Affine, Program
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

MODEL = Program(np.full(2, -100), np.full(2, 100), (Affine(0, np.array([[3, -2]]), np.array([5])),), "sign",
                features=("age", "dose"))
PURSE, PRICE, STAKE = 1_000, 100, 300
Run = Callable[..., dict[str, object]]


class Two:
    """A buyer and a provider, opened for each act as a command would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(1_700_000_000)
        self.chain = EmbeddedChain(folder / "chain", clock=self.clock)
        with ExitStack() as opened:
            buyer, provider = (opened.enter_context(Troth.init(
                folder / name, "x", Settings(name, "embedded:", str(folder / "post")), cost=MIN_COST, clock=self.clock,
                chain=self.chain)) for name in ("buyer", "provider"))
            contracts = buyer.deploy(supply=2 * PURSE)
            provider.use_contracts(contracts)
            self.token = Erc20(self.chain.web3, contracts["token"].address)
            self.token.transfer(buyer.sender, provider.account, PURSE)
            for one in (buyer, provider):
                one.bind_account()
            buyer.meet(provider.introduction())
            provider.meet(buyer.introduction())
            self.accounts = (buyer.account, provider.account)

    def open(self, name: str) -> Troth:
        return Troth.open(self.folder / name, "x", clock=self.clock, chain=self.chain)

    def balances(self) -> tuple[int, ...]:
        """The buyer's and the provider's."""
        return tuple(self.token.balance(one) for one in self.accounts)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    made = Two(tmp_path_factory.mktemp("answering"))
    (made.folder / "model.program").write_bytes(MODEL.to_bytes())
    (made.folder / "input.json").write_text(json.dumps({"age": 40, "dose": 7}))
    with made.chain:
        yield made


@pytest.fixture
def act(two: Two, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of a party's; both share this process's chain and clock."""
    monkeypatch.setattr(typer.testing, "_get_command", get_command)
    monkeypatch.setattr("troth.cli.answering.workspace", lambda home: two.open(Path(home).name))
    monkeypatch.chdir(two.folder)

    def command(party: str, *words: str, status: int = 0) -> dict[str, object]:
        done = CliRunner().invoke(app, ["answer", *words, "--home", party, "--json"])
        if status:
            assert isinstance(done.exception, TrothError), (words, done.output)
            assert done.exception.exit_status == status, (words, done.exception)
            return {"said": str(done.exception)}
        assert done.exception is None, (words, done.output, done.exception)
        return dict(json.loads(done.stdout))

    return command


def offered(act: Run, *more: str, file: str = "offer") -> None:
    act("provider", "offer", "model.program", "-o", file, "--price", str(PRICE), "--stake", str(STAKE), *more)


def test_a_question_with_its_input_is_answered_and_paid(two: Two, act: Run) -> None:
    offered(act)
    buyer, provider = two.balances()
    (two.folder / "wrong.json").write_text("[101, 0]")
    assert "-100 to 100" in str(act("buyer", "ask", "offer", "wrong.json", status=2)["said"])
    act("buyer", "ask", "offer", status=2)   # no input
    question = str(act("buyer", "ask", "offer", "input.json")["question"])
    assert "not answered" in str(act("buyer", "show", question, status=4)["said"])
    (two.folder / "other.program").write_bytes(replace(MODEL, steps=(
        Affine(0, np.array([[3, -1]]), np.array([5])),)).to_bytes())
    assert "not what the question is about" in str(
        act("provider", "give", "offer", question, "other.program", status=2)["said"])
    assert two.balances() == (buyer - PRICE, provider)   # nothing staked
    made = Offered.from_bytes((two.folder / "offer").read_bytes())
    with two.open("provider") as provider_, pytest.raises(Misuse, match="not the price"):
        give(provider_, replace(made, price=replace(made.price, price=PRICE + 1)), bytes.fromhex(question), MODEL)
    answer = act("provider", "give", "offer", question, "model.program")["answer"]
    assert act("buyer", "show", question) == {"answer": answer, "numbers": [111], "output": "scores"}
    assert two.balances() == (buyer - PRICE, provider + PRICE)
    with two.open("buyer") as party:
        mine = bytes.fromhex(str(answer))
        assert check(party, mine).outcome is Outcome.UPHELD
        said = party.statement(mine)
        again = check(party, party.attest("answer", said.subjects, said.body, refs=said.refs, evidence=said.evidence))
        assert again.outcome is Outcome.REFUTED
        assert "signed again by somebody else" in again.steps[-1].detail


@pytest.mark.slow   # the embedded chain pairs for two seconds, four times an answer
def test_a_question_about_a_hidden_record_and_one_that_nobody_answers(two: Two, act: Run) -> None:
    act("provider", "offer", "model.program", "-o", "no", "--price", "1", "--stake", "1", "--weights", "all", status=2)
    buyer, provider = two.balances()
    offered(act, "--record", "input.json", "--output", "label", "--weights", "committed")
    question = str(act("buyer", "ask", "offer")["question"])
    act("buyer", "ask", "offer", "input.json", status=2)   # the record is the provider's
    act("provider", "give", "offer", question, "model.program", "--record", "input.json")
    assert act("buyer", "show", question)["numbers"] == [1]
    late = str(act("buyer", "ask", "offer", "--fund", "60")["question"])
    act("buyer", "take-back", late, status=4)
    two.clock.advance(90_000)
    assert act("buyer", "take-back", late)["taken"]
    assert two.balances() == (buyer - PRICE, provider + PRICE)


def test_an_offer_is_read_strictly(two: Two, act: Run) -> None:
    offered(act)
    before = two.balances()
    data = (two.folder / "offer").read_bytes()
    made = Offered.from_bytes(data)
    assert made.to_bytes() == data
    for broken in (b"{}", data.replace(b":3600", b':"3600"'), data.replace(b'"ranges":[[', b'"ranges":[[[')):
        with pytest.raises(BadInput):
            Offered.from_bytes(broken)
    (two.folder / "broken").write_bytes(data[:-5])
    assert "broken" in str(act("buyer", "ask", "broken", "input.json", status=2)["said"])
    with two.open("buyer") as buyer, pytest.raises(Refuted, match="another account"):
        ask(buyer, replace(made, account=buyer.account), [40, 7])
    with two.open("buyer") as buyer, pytest.raises(Refuted, match="deposit is not there"):
        ask(buyer, replace(made, price=replace(made.price, price=PURSE + 1)), [40, 7])
    assert two.balances() == before
