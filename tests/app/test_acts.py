"""A workspace's acts: its outbox outlives it, and its settings say what may be paid and what is final."""

from __future__ import annotations

from pathlib import Path

import pytest

from troth.app import Settings, Troth
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.sending import Sender

TO = b"\x44" * 20


def made(path: Path, **chain: str) -> Troth:
    return Troth.init(path, "x", Settings("w", f"embedded:{path / 'chain'}", "", **chain), cost=MIN_COST)


def test_an_act_is_remembered_by_the_workspace(tmp_path: Path) -> None:
    with made(tmp_path) as party:
        first = party.sender.send(TO, b"\x01", act=b"once")
    with Troth.open(tmp_path, "x") as again:
        assert again.sender.send(TO, b"\x01", act=b"once") == first
        assert [one.state for one in again.sender.acts()] == ["finalized"]
        assert again.chain.web3.eth.block_number == first.block_number
        contracts = again.deploy()
        assert {one.state for one in again.sender.acts()} == {"finalized"}  # deployments go through it too
        assert len(again.sender.acts()) == 1 + len(contracts.named)


def test_a_workspace_on_another_chain_of_the_same_id_is_refused(tmp_path: Path) -> None:
    with made(tmp_path) as party:
        party.sender.send(TO, act=b"here")
    for part in tmp_path.glob("chain*"):
        part.unlink()
    EmbeddedChain(tmp_path / "chain", genesis_time=1).close()
    with Troth.open(tmp_path, "x") as again, pytest.raises(Misuse, match="another chain"):
        again.sender.send(TO, act=b"there")


def test_what_may_be_paid_and_what_is_final_are_settings(tmp_path: Path) -> None:
    settings = Settings("w", "embedded:", "", max_fee="7", finality="12")
    (tmp_path / "troth.toml").write_text(settings.text())
    assert Settings.load(tmp_path / "troth.toml", {}) == settings
    changed = Settings.load(tmp_path / "troth.toml", {"TROTH_CHAIN_MAX_FEE": "8", "TROTH_CHAIN_FINALITY": ""})
    assert (changed.number("max_fee"), changed.number("finality")) == (8, None)
    for wrong in ("-1", "1e9", "five", "1 000", "０"):
        with pytest.raises(BadInput, match="no number"):
            Settings(max_fee=wrong).number("max_fee")


def test_a_depth_holds_back_what_the_node_calls_final(tmp_path: Path) -> None:
    with made(tmp_path, finality="3") as party:
        party.sender.send(TO, act=b"deep")
        assert party.sender.progress(b"deep").state == "included"
        for _ in range(3):
            party.chain.mine()  # type: ignore[attr-defined]
        party.sender.tend()
        assert party.sender.progress(b"deep").state == "finalized"


def test_no_contracts_no_requests(tmp_path: Path) -> None:
    with made(tmp_path) as party:
        with pytest.raises(Misuse, match="no such act"):
            party.request("state", bytes(32))
        with pytest.raises(Undecidable, match="knows no contracts"):
            party.request("join", bytes(32), 0)
        assert isinstance(party.sender, Sender)
