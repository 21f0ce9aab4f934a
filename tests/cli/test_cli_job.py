"""Jobs from the command line: computing that is executed again, work that is reviewed, and a machine of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ports.wat_modules import stepped, summed
from troth.app import Settings, Troth
from troth.cli.main import app
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

PASSPHRASE = "correct horse"  # as in conftest.py
Run = Callable[..., dict[str, object]]
NAMES = ("client", "maker", "cheat", "anna", "ben")
PURSE = 10_000


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Five workspaces on one chain, with money; where the chain lies."""
    path = tmp_path / "chain.sqlite"
    with EmbeddedChain(path) as chain:
        parties = [Troth.init(tmp_path / name, PASSPHRASE, Settings(name, f"embedded:{path}", str(tmp_path / "post")),
                              cost=MIN_COST, clock=chain, chain=chain) for name in NAMES]
        contracts = parties[0].deploy(supply=PURSE * len(NAMES))
        token = Erc20(chain.web3, contracts["token"].address)
        for party in parties:
            party.use_contracts(contracts)
            if party is not parties[0]:
                token.transfer(parties[0].sender, party.account, PURSE)
        for party in parties:
            party.close()
    return path


def wait(chain: Path, seconds: int) -> None:
    with EmbeddedChain(chain) as found:
        found.advance(seconds)


@pytest.mark.slow
def test_machines_are_found_hired_and_judged(chain: Path, tmp_path: Path, run: Run) -> None:
    client = str(run("client", "id", "show")["did"])
    dids = {}
    for name, price in (("maker", "100"), ("cheat", "90")):
        run(name, "job", "offer", "--does", "wasm", "--price", price, "--stake", "1000", "--cpus", "4", "--gpu",
            "Some Card=16GiB", "--to", client)
        dids[name] = str(run(name, "id", "show")["did"])
    assert "no such form of job" in str(run("maker", "job", "offer", "--does", "annotation", "--price", "1", "--stake",
                                            "9", status=2)["said"])
    for name in ("anna", "ben"):
        run(name, "job", "offer", "--does", "review", "--price", "0", "--stake", "100", "--to", client)
        dids[name] = str(run(name, "id", "show")["did"])
    run("client", "pull")
    offers = run("client", "job", "find", "wasm", "--price", "100", "--gpu", "some card")["offers"]
    assert [(one["did"], one["why"]) for one in offers][:2] == [(dids["cheat"], ""), (dids["maker"], "")]  # type: ignore[union-attr]
    (tmp_path / "client" / "sum.wasm").write_bytes(stepped())
    (tmp_path / "client" / "given").write_bytes(b"some bytes")
    (tmp_path / "client" / "JOB.toml").write_text(f"""
what = "sum these bytes"
reviewers = ["{dids['anna']}", "{dids['ben']}"]
form = "wasm"
code = "sum.wasm"
input = "given"
price = "100"
[money]
fee = "20"
[limits]
fuel = 100000000
[periods]
work = 600
window = 600
review = 600
""")
    said = run("client", "job", "order", "JOB.toml")
    assert said["provider"] == dids["cheat"], "the cheapest that fits"
    order = str(said["claim"])
    for name in ("cheat", "anna", "ben"):
        run(name, "pull")
    assert run("cheat", "job", "do", order, status=4)["said"].startswith("not everybody has taken a seat")  # type: ignore[attr-defined]
    assert [run(name, "job", "review", order)["did"] for name in ("anna", "ben")] == ["taken", "taken"]
    (tmp_path / "cheat" / "made-up").write_bytes(bytes(8))
    run("cheat", "job", "deliver", order, "made-up")
    run("client", "pull")
    assert run("client", "job", "check", order, status=1)["said"].startswith("executed again: other bytes")  # type: ignore[attr-defined]
    run("client", "job", "refuse", order, "--why", "other bytes")
    for name in ("cheat", "anna", "ben"):
        run(name, "pull")
    assert run("anna", "job", "review", order, status=4)["said"].startswith("the provider has not shown")  # type: ignore[attr-defined]
    run("cheat", "job", "deliver", order, "made-up")
    for did in ("committed", "revealed"):
        assert [run(name, "job", "review", order)["did"] for name in ("anna", "ben")] == [did, did]
    ended = run("client", "job", "settle", order)
    assert (ended["outcome"], ended["slashed"]) == ("refunded", [dids["cheat"]])
    # The next one goes to somebody else, though the cheat is cheaper.
    offers = run("client", "job", "find", "wasm", "--price", "100")["offers"]
    assert [one["did"] for one in offers if not one["why"]] == [dids["maker"]]  # type: ignore[union-attr]
    order = str(run("client", "job", "order", "JOB.toml")["claim"])
    for name in ("maker", "anna", "ben"):
        run(name, "pull")
        run(name, "job", "take", order)
    told = CliRunner().invoke(app, ["job", "show", order]).stdout
    assert re.search(r"waits for \w+ until \d{4}-\d\d-\d\d \d\d:\d\d UTC \(in .*\)", told), told
    ran = run("maker", "job", "do", order)
    assert (ran["ending"], ran["same_everywhere"]) == ("done", True)
    run("client", "pull")
    assert run("client", "job", "check", order)["outcome"] == "upheld"
    run("client", "job", "get", order, "-o", "sum")
    assert (tmp_path / "client" / "sum").read_bytes() == summed(b"some bytes")
    assert run("client", "job", "show", order[:16])["milestones"][0]["status"] == "running"  # type: ignore[index]
    wait(chain, 600)
    assert run("maker", "job", "settle", order)["outcome"] == "paid"
    assert len(run("client", "job", "show")["orders"]) == 2  # type: ignore[arg-type]


@pytest.mark.slow
def test_annotation_that_is_reviewed_first(chain: Path, tmp_path: Path, run: Run) -> None:
    dids = {name: str(run(name, "id", "show")["did"]) for name in NAMES}
    run("maker", "job", "offer", "--does", "work", "--price", "10", "--stake", "1000", "--to", dids["client"])
    for name in ("anna", "ben"):
        run(name, "job", "offer", "--does", "review", "--price", "0", "--stake", "100", "--to", dids["client"])
    run("client", "pull")
    (tmp_path / "client" / "brief.txt").write_text("name what is in these pictures")
    (tmp_path / "client" / "JOB.toml").write_text(f"""
what = "name what is in these pictures"
provider = "{dids['maker']}"
reviewers = ["{dids['anna']}", "{dids['ben']}"]
models = {{ "{dids['ben']}" = "a small model" }}
review = "first"
brief = "brief.txt"
milestones = [{{ name = "first half", price = "100" }}, {{ name = "second half", price = "100" }}]
[money]
fee = "20"
""")
    order = str(run("client", "job", "order", "JOB.toml")["claim"])
    for name in ("maker", "anna", "ben"):
        run(name, "pull")
        run(name, "job", "take", order)
    (tmp_path / "maker" / "labels.csv").write_text("1,cat\n")
    run("maker", "job", "deliver", order, "labels.csv", "--why", "half of them")
    for name in ("client", "anna", "ben"):
        run(name, "pull")
    run("anna", "job", "get", order, "-o", "seen.csv")
    assert (tmp_path / "anna" / "seen.csv").read_text() == "1,cat\n"
    run("ben", "job", "review", order, status=2)
    run("ben", "job", "review", order, "--refuse", status=2)
    run("ben", "job", "review", order, "--accept", "--confidence", "9100")
    run("anna", "job", "review", order, "--accept", "--why", "all right")
    assert run("maker", "job", "settle", order)["outcome"] == "paid"
    run("client", "job", "fund", order, "--milestone", "1")
    assert [one["status"] for one in run("client", "job", "show", order)["milestones"]] == ["closed", "funding"]  # type: ignore[union-attr]


def test_a_job_for_oneself(tmp_path: Path, run: Run) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "sum.wasm").write_bytes(stepped())
    (tmp_path / "here" / "given").write_bytes(b"abc")
    found = run("here", "job", "run", "sum.wasm", "given")
    assert (bytes.fromhex(str(found["output"])), found["same_everywhere"]) == (summed(b"abc"), True)
    assert "out of fuel" in str(run("here", "job", "run", "sum.wasm", "given", "--fuel", "9", status=1)["said"])
    (tmp_path / "here" / "hostile.py").write_text("print(open('/etc/passwd').read())")
    assert "No such file" in str(run("here", "job", "run", "hostile.py", status=1)["said"])
    assert "cannot be told" in str(run("here", "job", "run", "given", status=2)["said"])
    assert "not a size" in str(run("here", "job", "run", "sum.wasm", "--memory", "lots", status=2)["said"])


