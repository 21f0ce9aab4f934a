"""A training that is paid in a token of somebody's: nothing begins before the stakes are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rounds_parts import PASSPHRASE, write

from troth.app import Settings, Troth, funding
from troth.app.conducting import AGGREGATOR, SPONSOR
from troth.app.inviting import invite, join, open_invitation
from troth.app.rounds import Agreed, load
from troth.app.training import Coordinator
from troth.core.errors import BadInput, Misuse
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import request
from troth.ledger.chains.server import RpcServer
from troth.ledger.erc20 import Erc20
from troth.ledger.exchange import box_of
from troth.ledger.postoffice import PostServer

ROUNDS = 3


def quiet(text: str) -> None:
    """Tells nobody."""


@dataclass
class World:
    """A chain with a token that has nothing to do with Troth's contracts of a training, and a post office."""

    folder: Path
    bank: Troth
    coin: Erc20
    office: PostServer
    rest: str

    def file(self, name: str, extra: str = "", address: str = "") -> Path:
        token = f'[token]\naddress = "{address or "0x" + self.coin.address.hex()}"\n{extra}'
        return write(self.folder / name, rounds=ROUNDS, rest=self.rest + token)

    def pay(self, account: bytes, amount: int) -> None:
        self.coin.transfer(self.bank.sender, account, amount)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("funding")
    with PostServer(folder / "post") as office, EmbeddedChain(folder / "chain.sqlite") as chain, \
            RpcServer(chain, 0) as node:
        rest = f'[invited]\nsites = 2\npost = "{office.url}"\nchain = "{node.url}"\n'
        with Troth.init(folder / "bank", PASSPHRASE, Settings("bank", node.url, office.url), cost=MIN_COST) as bank:
            contracts = bank.deploy(supply=10**9)
            yield World(folder, bank, Erc20(bank.chain.web3, contracts["token"].address), office, rest)


def test_nothing_begins_before_the_stakes_are_there_and_the_book_may_take_no_more(world: World) -> None:
    file, out = load(world.file("own")), world.folder / "own-out"
    assert Agreed.of(file.agreed.json()) == file.agreed
    with Coordinator(file, out, PASSPHRASE, say=quiet) as home, pytest.raises(Misuse) as refused:
        home.prepare()
    named = {name: home.parties[name].account for name in (SPONSOR, AGGREGATOR, "verifier-1")}
    needed = {SPONSOR: 3250 * ROUNDS, AGGREGATOR: 7000, "verifier-1": 1000}
    for name, account in named.items():
        assert f"{name} 0x{account.hex()} holds 0 of {needed[name]}" in str(refused.value)
        assert quantity(request(world.coin.web3, "eth_getTransactionCount", "0x" + account.hex(), "latest")) == 0
    assert not list(out.glob("parties/*/.troth/contracts.json"))
    for name, account in named.items():
        world.pay(account, needed[name])
    with Coordinator(file, out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        home.prepare()  # again changes nothing
        assert "token" not in home[SPONSOR].contracts.named
        words = home.agreed.words(home[SPONSOR].contracts, home[SPONSOR].account)
        assert words.token == world.coin.address
        book = home[SPONSOR].contracts["book"].address
        per_round = {SPONSOR: 3250, AGGREGATOR: 7000, "verifier-1": 1000}
        for name, account in named.items():
            assert world.coin.balance(account) == needed[name]
            assert world.coin.allowance(account, book) == per_round[name] * (ROUNDS + funding.AGAIN)
        said = open_invitation(invite(home))
        sponsor = home[SPONSOR].did
    assert "bring what you stake" in "\n".join(said.terms())
    box = world.office.office.folder / "boxes" / box_of(sponsor)
    site = world.folder / "site"
    with pytest.raises(Misuse, match="stakes are not there"):
        join(said, file.path.parent / "north.csv", site, PASSPHRASE, quiet)
    assert not box.exists(), "nothing was sent"
    with Troth.open(site, PASSPHRASE) as party:
        account = party.account
    world.pay(account, 3100 + 500 + 300)
    join(said, file.path.parent / "north.csv", site, PASSPHRASE, quiet).party.close()
    assert world.coin.allowance(account, book) == 3900 * (ROUNDS + funding.AGAIN)
    assert len(list(box.iterdir())) > 0


def test_the_sponsor_may_pay_its_own_house_s_stakes(world: World) -> None:
    file, out = load(world.file("paid", 'stakes = "sponsor"\n')), world.folder / "paid-out"
    with Coordinator(file, out, PASSPHRASE, say=quiet) as home:
        with pytest.raises(Misuse, match=f"holds 0 of {3250 * ROUNDS + 7000 + 1000}"):
            home.prepare()
        world.pay(home[SPONSOR].account, 3250 * ROUNDS + 8000)
        home.prepare()
        held = {name: world.coin.balance(home[name].account) for name in home.parties}
        assert held == {SPONSOR: 3250 * ROUNDS, AGGREGATOR: 7000, "verifier-1": 1000}
        stranger = b"\x07" * 20
        home.pay_in(stranger)
        assert world.coin.balance(stranger) == 0, "nobody is given any of it for coming"


def test_an_address_without_a_token_is_told(world: World) -> None:
    file = load(world.file("none", address="0x" + "11" * 20))
    with Coordinator(file, world.folder / "none-out", PASSPHRASE, say=quiet) as home, \
            pytest.raises(BadInput, match="no token at this address"):
        home.prepare()


@pytest.mark.parametrize("table", ['address = "0x12"', "address = 5", f'address = "0x{"11" * 20}"\nstakes = "theirs"'])
def test_a_token_table_is_read_strictly(world: World, table: str) -> None:
    with pytest.raises(BadInput, match=r"\[token\]"):
        load(write(world.folder / "bad", rest=f"{world.rest}[token]\n{table}\n"))


def test_local_sites_are_paid_in_the_demonstration_token(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + f'[token]\naddress = "0x{"11" * 20}"\n')
    with pytest.raises(BadInput, match="where sites are invited"):
        load(path)
