"""``troth x402 …``: a shop in a process of its own, and a buyer's commands; nothing secret is on a command line."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from agents.x402_parts import just_money
from troth.agents.x402.client import Bought
from troth.app import Settings, Troth
from troth.app.payments import token_of
from troth.cli.main import main
from troth.cli.x402 import text_of
from troth.fixed.program import Affine, Program
from troth.identity.keystore import MIN_COST

Run = Callable[..., dict[str, object]]
MODEL = Program(np.full(2, -100), np.full(2, 100), (Affine(0, np.array([[3, -2]]), np.array([5])),), "sign")
SHOP = """
[[sell]]
path = "/answer"
price = 7
program = "model.program"
show = true
[[sell]]
path = "/report"
price = 3
file = "report.txt"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """Two workspaces on a chain in a file, and the seller's shop behind the URL."""
    for name, text in (("shop.toml", SHOP), ("report.txt", "all is well"), ("input.json", "[40, 7]")):
        (tmp_path / name).write_text(text)
    (tmp_path / "model.program").write_bytes(MODEL.to_bytes())
    seller, buyer = (Troth.init(tmp_path / name, "correct horse", Settings(
        name, f"embedded:{tmp_path / 'chain'}", str(tmp_path / "exchange")), cost=MIN_COST) for name in (
            "seller", "buyer"))
    with seller, buyer:
        buyer.use_contracts(just_money(seller, 1_000))
        token_of(seller).transfer(seller.sender, buyer.account, 100)
    out = tmp_path / "said"
    serving = multiprocessing.get_context("fork").Process(target=serve, args=(tmp_path / "seller", out))
    serving.start()
    while not (out.exists() and out.read_text().endswith("\n")):
        assert serving.is_alive()
        time.sleep(0.05)
    yield str(json.loads(out.read_text())["url"])
    assert serving.pid is not None
    os.kill(serving.pid, signal.SIGINT)
    serving.join(30)
    assert serving.exitcode == 0


def serve(at: Path, out: Path) -> None:
    """The command, in a process forked from this one: its libraries are read already."""
    os.chdir(at)
    os.environ["TROTH_PASSPHRASE"] = "correct horse"
    sys.argv = ["troth", "x402", "serve", "../shop.toml", "--port", "0", "--json"]
    with out.open("w", buffering=1) as sys.stdout:
        main()


def test_selling_and_buying(run: Run, shop: str, tmp_path: Path) -> None:
    assert "nothing may be spent" in str(run("buyer", "x402", "get", f"{shop}/report", "--most", "5", status=2)["said"])
    assert run("buyer", "x402", "allow", "--payment", "7", "--day", "11", "--host", "127.0.0.1")["merchant"] == 11
    short = str(run("buyer", "x402", "get", f"{shop}/report", "--most", "5", status=2)["said"])
    assert "the hot account holds less than the price" in short
    assert "troth x402 refill" in short
    assert run("buyer", "x402", "spent")["spent_today"] == 0
    assert run("buyer", "x402", "refill", "50")["holds"] == 50
    assert run("buyer", "x402", "get", f"{shop}/report", "--most", "5")["body"] == "all is well"
    bought = run("buyer", "x402", "spent")
    assert [one["state"] for one in bought["payments"]] == ["lapsed", "settled"]  # type: ignore[attr-defined]
    nonce = bought["payments"][-1]["nonce"]  # type: ignore[index]
    assert run("buyer", "x402", "again", nonce)["body"] == "all is well"
    answer = run("buyer", "x402", "get", f"{shop}/answer", "--input", "../input.json", "--most", "7", "-o", "answer")
    assert (answer["checked"], answer["payment"]["state"]) == ("upheld", "settled")  # type: ignore[index]
    assert json.loads((tmp_path / "buyer/answer").read_text())["scores"] == ["111"]
    assert run("buyer", "x402", "check", str(answer["claim"]), "--answer", "answer")["outcome"] == "upheld"
    assert "in a day" in str(run("buyer", "x402", "get", f"{shop}/report", "--most", "5", status=2)["said"])
    spent = run("buyer", "x402", "spent")
    assert (spent["spent_today"], spent["day"], spent["holds"]) == (10, 11, 40)
    sales = run("seller", "x402", "sales")
    assert [(one["price"], one["state"]) for one in sales["sales"]] == [  # type: ignore[attr-defined]
        ("3", "served"), ("7", "served")]
    assert run("buyer", "x402", "get", f"{shop}/none", "--most", "5", status=1)
    assert run("buyer", "x402", "get", "http://shop.example/a", "--most", "5", status=2)


@pytest.mark.parametrize(("media", "body", "shown"), [
    ("text/plain", b"all is well", "all is well"), ("application/octet-stream", "é,ü\n1,2\n".encode(), "é,ü\n1,2\n"),
    ("", b"{}", "{}"), ("application/octet-stream", b"\0\xff\xff\0", None), ("text/plain", b"\x1b[2J", None)])
def test_text_is_shown_as_text_whatever_its_type_says(media: str, body: bytes, shown: str | None) -> None:
    assert text_of(Bought(200, media, body)) == shown
