"""Workspaces to try things with: ready for deals among themselves, and on no chain but an embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from troth.app import Settings, Troth, file_subject
from troth.app.playing import CHAIN, play
from troth.core.errors import Misuse
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"


def company(folder: Path, *names: str, **more: Any) -> dict[str, Troth]:
    return play(folder, names, PASSPHRASE, cost=MIN_COST, **more)


def holdings(parties: dict[str, Troth]) -> list[int]:
    first = next(iter(parties.values()))
    coin = Erc20(first.chain.web3, first.contracts["token"].address)
    return [coin.balance(party.account) for party in parties.values()]


def test_they_know_each_other_and_hold_money(tmp_path: Path) -> None:
    with EmbeddedChain(None) as chain:
        parties = company(tmp_path, "anna", "ben", "carl c", chain=chain, purse=50, supply=200)
        assert holdings(parties) == [100, 50, 50]
        for party in parties.values():
            assert [party.account_of(other.did) for other in parties.values()] == [
                other.account for other in parties.values()]
        anna, ben, _ = parties.values()
        sealed = anna.add("note", b"for ben", [ben.did])
        anna.send([ben.did], [anna.attest("note", [file_subject("note", b"it")], {}, evidence=[sealed])], [sealed])
        ben.receive()
        assert ben.read(sealed) == b"for ben"
        for party in parties.values():
            party.close()


def test_called_again_it_adds_and_repeats_nothing(tmp_path: Path) -> None:
    first = company(tmp_path, "anna", "ben", purse=50)
    dids, sizes = [party.did for party in first.values()], [party.log.size for party in first.values()]
    for party in first.values():
        party.close()
    again = company(tmp_path, "anna", "ben", "carl", purse=50)
    assert [party.did for party in again.values()][:2] == dids
    new = [party.log.size - size for party, size in zip(again.values(), sizes, strict=False)]
    assert new == [1, 1], "carl's binding"
    assert holdings(again)[1:] == [50, 50]
    for party in again.values():
        party.close()


def test_no_other_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misuse, match="embedded chain alone"):
        company(tmp_path, "anna", chain=cast(EmbeddedChain, object()))
    monkeypatch.setenv("TROTH_CHAIN_URL", "https://chain.example")
    with pytest.raises(Misuse, match="TROTH_CHAIN_URL"):
        company(tmp_path, "anna")
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_of_another_chain_is_left_alone(tmp_path: Path) -> None:
    Troth.init(tmp_path / "ben", PASSPHRASE, Settings("ben", "https://chain.example"), cost=MIN_COST).close()
    with pytest.raises(Misuse, match="another chain"):
        company(tmp_path, "anna", "ben")
    assert [path.name for path in tmp_path.iterdir()] == ["ben"]


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a b", "a-b"), ("../a",), ("",), (CHAIN,), ("exchange",)])
def test_names_that_make_no_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(Misuse, match="make no workspaces"):
        company(tmp_path, *names)
    assert list(tmp_path.iterdir()) == []
