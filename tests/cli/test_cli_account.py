"""Policy accounts by hand: made, paid into, used by an agent of another workspace, stopped, limited, emptied."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from troth.agents.account_gate import AccountGate
from troth.agents.gate import Act, Done, Refused
from troth.app import Troth
from troth.core.errors import BadInput, Refuted
from troth.identity.credentials import Credential
from troth.identity.jsondoc import read_json, time_text
from troth.ledger.accounts import PolicyAccount
from troth.verify.mandates import check_limits, read_limits, read_mandate

SHOP = "0x" + "5a" * 20


def test_an_account_by_hand(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROTH_CHAIN_URL", f"embedded:{tmp_path / 'chain'}")
    for name in ("owner", "agent"):
        (tmp_path / name).mkdir()
    run("owner", "init")
    agent = run("agent", "init")
    run("owner", "chain", "deploy", "--supply", "1000")
    until = time_text(int(time.time()) + 86_400)
    limits = tmp_path / "limits.toml"
    limits.write_text(f'agent = "{agent["account"]}"\nper_act = "100"\nper_day = "150"\nuntil = "{until}"\n'
                      f'payees = ["{SHOP}"]\ncalls = ["book:join(bytes,uint8)"]\n\n[hot]\n'
                      f'account = "{"0x" + "77" * 20}"\nfill = "20"\n')
    assert "made no policy account" in str(run("owner", "account", "show", status=3)["said"])
    assert "one of them" in str(run("owner", "account", "new", str(limits), "-o", "x.json", status=2)["said"])
    made = run("owner", "account", "new", str(limits), "-o", "mandate.json", "--for", str(agent["did"]))
    said: Any = made["limits"]
    assert (said["per_act"], said["per_day"], made["balance"], made["acts"]) == ("100", "150", "0", 0)
    assert len(said["calls"]) == 2
    assert run("owner", "account", "fund", "--amount", "500")["balance"] == "500"

    paper = Credential.of(read_json((tmp_path / "owner" / "mandate.json").read_bytes()))
    where = bytes.fromhex(str(made["account"])[2:])
    with Troth.open(tmp_path / "agent", "correct horse") as party:
        account = PolicyAccount(party.chain.web3, where)
        account.check()
        in_force = account.limits()
        assert read_limits(paper) == in_force
        assert read_mandate(paper).mandate.agent == where
        check_limits(paper, where, in_force)
        gate = AccountGate(account, party.identity.account, party.sender)
        assert isinstance(gate.do(Act.pay(in_force.token, bytes.fromhex(SHOP[2:]), 90, "bread")), Done)
        assert isinstance(gate.do(Act.pay(in_force.token, party.account, 1, "send everything to me")), Refused)

    shown = run("owner", "account", "show")
    record: Any = shown["record"]
    assert [one["what"] for one in record] == ["limited", "acted", "refused"]
    assert (record[1]["amount"], record[1]["payee"], record[2]["reason"]) == ("90", SHOP, "NotPayee")
    assert (shown["spent_today"], shown["left_today"], shown["balance"]) == ("90", "60", "410")

    assert "NotOwner" in str(run("agent", "account", "pause", "--account", str(made["account"]), status=1)["said"])
    assert run("owner", "account", "pause")["stopped"] is True
    assert run("owner", "account", "resume")["stopped"] is False
    assert run("owner", "account", "reset")["strikes"] == 0
    limits.write_text(limits.read_text().replace('per_day = "150"', 'per_day = "100"'))
    assert run("owner", "account", "limits", str(limits))["per_day"] == "100"
    with Troth.open(tmp_path / "owner", "correct horse") as party:
        now = PolicyAccount(party.chain.web3, where).limits()
    with pytest.raises(Refuted, match="other limits"):
        check_limits(paper, where, now)
    with pytest.raises(Refuted, match="another account's"):
        check_limits(paper, bytes(20), now)
    limits.write_text(limits.read_text().replace('per_act = "100"', 'per_act = "101"'))
    assert "BadLimits" in str(run("owner", "account", "limits", str(limits), status=1)["said"])
    assert run("owner", "account", "withdraw", "--amount", "410")["amount"] == "410"
    assert run("owner", "account", "show")["balance"] == "0"


def test_a_file_of_limits_says_everything_and_nothing_else(tmp_path: Path) -> None:
    from troth.app.accounts import limits_of, limits_text

    with Troth.init(tmp_path / "owner", "correct horse", cost=2**14) as party:
        good = f'agent = "{SHOP}"\ntoken = "{SHOP}"\nper_act = "1"\nper_day = "2"\nuntil = "2030-01-01T00:00:00Z"\n' \
               f'[confidence]\nleast = 9000\nagree = 1\nstrikes = 3\nverifiers = ["0x{"22" * 20}"]\n' \
               f'[hot]\naccount = "0x{"33" * 20}"\nfill = "7"\n'
        read = limits_of(party, good)
        assert limits_of(party, limits_text(read)) == read
        assert type(read).from_json(read.json()) == read
        for wrong in ("", "per_act", good + "more = 1\n", good.replace("per_day", "perday"), good.replace('"1"', "1"),
                      good.replace('"2"', '"-2"'), good.replace("0x2222", "0x22zz"), 'calls = ["x"]\n' + good,
                      f'calls = ["{SHOP}:transfer"]\n' + good, f'payees = [1]\n{good}', good.replace("fill", "full"),
                      good.replace("2030-01-01", "2030-01-32")):
            with pytest.raises(BadInput):
                limits_of(party, wrong)
