"""A round deal over Flower: a SuperLink, three SuperNodes with TLS and node keys, three sites' own processes, payouts.

The same round over the in-process engine, from a copy of everything as it was before: the same bits.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from flower.rounds import SITES, Both, round_file
from flower.running import group_of, memory, once, prepared, processes, run_id
from troth.app.conducting import AGGREGATOR, SPONSOR, Row
from troth.app.flower import over_flower
from troth.app.funding import token
from troth.app.rounds import RoundFile
from troth.app.training import Coordinator
from troth.learn import arrays
from troth.learn.engines import Answer, Engine
from troth.learn.engines.inprocess import InProcessEngine
from troth.ledger.chains.server import RpcServer

PASSPHRASE = "play money in a test"
FIGURES = Path(__file__).parents[2] / "build" / "flower.json"


def balances(home: Coordinator) -> dict[str, int]:
    return {name: token(party, home.agreed).balance(party.account) for name, party in home.parties.items()}


def in_process(file: RoundFile, out: Path) -> tuple[Row, dict[str, int], float]:
    with Coordinator(file, out, PASSPHRASE, say=lambda text: None) as home:
        home.prepare()
        plan = home.gather()
        before, begin = balances(home), time.monotonic()
        (row,) = home.run(plan)
        spent = time.monotonic() - begin
        return row, {name: amount - before[name] for name, amount in balances(home).items()}, spent


def test_a_round_deal_over_flower(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("f")  # short: sockets lie in it
    file = round_file(folder)
    with Coordinator(file, folder / "out", PASSPHRASE, say=lambda text: None) as home:
        home.prepare()
        home.gather()
        dids = {name: home[name].did for name in SITES}
    shutil.copytree(folder / "out", folder / "copy")
    link, nodes = prepared(folder, list(dids.values()))
    here: list[Both] = []

    with processes(folder) as started, Coordinator(
            file, folder / "out", PASSPHRASE, say=print, engine=lambda local: _both(local)) as home:
        home.prepare()
        plan = home.gather()
        assert home.chain is not None
        before = balances(home)

        def _both(local: Mapping[str, Answer]) -> Engine:
            verifiers = {did: answer for did, answer in local.items() if did not in dids.values()}
            here.append(Both(engine, list(dids.values()), InProcessEngine(verifiers)))
            return here[-1]

        with RpcServer(home.chain, 0) as rpc, over_flower(home[SPONSOR], link, lambda *said: print(*said),
                                                          courier=True) as engine:
            begin = time.monotonic()
            started.start("link", link.folder / "superlink.sh")
            once(link.folder / "register.sh")
            for name, node in zip(SITES, nodes, strict=True):
                started.start(f"node-{name}", node.folder / "supernode.sh")
                settings = {"file": str(file.path), "chain": rpc.url, "home": str(folder / "out/parties" / name),
                            "sponsor": home[SPONSOR].did, "account": home[SPONSOR].account.hex(),
                            "aggregator": home[AGGREGATOR].did, "data": str(file.sites[name]),
                            "node": str(node.folder)}
                (folder / f"{name}.json").write_text(json.dumps(settings))
                mail = folder / "mail" / name
                mail.mkdir(parents=True)
                started.start(name, sys.executable, Path(__file__).parent / "site.py", folder / f"{name}.json",
                              given=f"{PASSPHRASE}\n", TROTH_EXCHANGE_PATH=str(mail))
            run_id(once(link.folder / "run.sh"))
            ready = time.monotonic() - begin
            begin = time.monotonic()
            try:
                (row,) = home.run(plan)
            except BaseException:
                for name in started.started:
                    print(f"--- {name}\n{started.log(name)[-3000:]}")
                raise
            spent = time.monotonic() - begin
            lines = group_of(0).values()
            taken = {name: memory(started.started[f"node-{name}"].pid) for name in SITES}
        gained = {name: amount - before[name] for name, amount in balances(home).items()}
        mine = [claim for claim, said in home[AGGREGATOR].claims("update") if said.issuer in dids.values()]
        model = home[AGGREGATOR].read(home[AGGREGATOR].statement(row.aggregate).evidence[0])
        assert started.end() == []

    # The deal was carried out: every site's update was counted, and the sponsor paid what was promised.
    assert (row.counted, row.rejected, row.outcome, len(mine)) == (3, (), 1, 3)
    assert sum(row.paid.values()) <= 3_000 < sum(row.paid.values()) + 3
    assert {name: gained[name] for name in SITES} == {name: row.paid[did] for name, did in dids.items()}
    assert all(gained[name] > 0 for name in SITES)
    assert arrays.digest(arrays.decode(model)) == row.params

    # No secret was on a command line, and nothing went through but by the doors.
    shown = "\n".join(lines)
    assert PASSPHRASE not in shown
    assert not re.search(r"--token[ =]", shown)
    for name in SITES:
        assert list((folder / "mail" / name).iterdir())

    # The in-process engine gives the same bits from the same updates.
    monkeypatch.setenv("TROTH_EXCHANGE_PATH", str(folder / "copy/exchange"))
    again, gained_again, direct = in_process(file, folder / "copy")
    assert (again.params, again.loss, again.score) == (row.params, row.loss, row.score)
    assert (gained_again, again.counted) == (gained, 3)

    figures = {"calls": len(here[0].seconds), "direct_seconds": round(direct, 2), "per_call_seconds":
               [round(one, 1) for one in here[0].seconds], "ready_seconds": round(ready, 1),
               "round_seconds": round(spent, 1), "node_bytes": max(taken.values()),
               "site_bytes": max(int(re.search(r"memory (\d+)", started.log(name))[1]) * 1024  # type: ignore[index]
                                 for name in SITES)}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
