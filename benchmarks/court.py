"""Gas of every act of a jury and its seat, of a whole case, and of a job's publication, on the embedded chain.

Every slot is cold at the start of a transaction, and wei is already held. A case is a first jury of 3 seats, each
another juror's, in a pool of 12 tickets. The peer is an ERC-20 transfer to a holder in the same run.

Run: python -m benchmarks court
"""

from __future__ import annotations

from typing import Any

from troth.core.encoding import keccak256
from troth.core.jury_state import Rules
from troth.core.seats import court_rung, encoded
from troth.core.terms import REFUTED, SLASHED, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.court import EvmJury, EvmSeat, court_spec, jobs_spec, jury_spec, seat_spec
from troth.ledger.deploy import deploy, extend
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook
from troth.ledger.jobs import EvmJobs
from troth.ledger.sending import Receipt, Sender

START, HOUR = 1_700_000_000, 3600
SEATS, JURORS = 3, 12


class Meter(Sender):
    """Notes the gas of everything that it sends."""

    notes: list[int]

    def send(self, to: bytes | None, data: bytes = b"", **options: Any) -> Receipt:
        receipt = super().send(to, data, **options)
        self.notes.append(receipt.gas_used)
        return receipt


class Bench:
    """A chain with a Book, a jury, its seat, and actors by name who have wei and money."""

    def __init__(self) -> None:
        names = ("owner", "client", "worker", "sink", *(f"juror {n}" for n in range(JURORS)))
        keys = {name: Secp256k1KeyPair(keccak256(b"court " + name.encode())) for name in names}
        self.at: dict[str, Account] = {name: key.public.account for name, key in keys.items()}
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(None, clock=self.clock, accounts=dict.fromkeys(self.at.values(), 10**20))
        self.notes: list[int] = []
        self.senders: dict[Account, Meter] = {}
        for name, key in keys.items():
            meter = Meter(self.chain.web3, key.reveal_seed())
            meter.notes = self.notes
            self.senders[self.at[name]] = meter
        owner = self.senders[self.at["owner"]]
        self.rules = Rules(10**16, 10**15, 10**14, HOUR, HOUR, HOUR, HOUR, 2, 3, self.at["sink"])
        contracts = extend(owner, deploy(owner), court_spec(), jury_spec(self.rules))
        book, court = contracts["book"].address, contracts["jury"].address
        self.contracts = extend(owner, contracts, jobs_spec(book),
                                seat_spec(book, court, self.rules.longest, SEATS.to_bytes(32, "big")))
        find = self.senders.__getitem__
        self.book = EvmBook(self.chain.web3, book, find, chain_id=self.chain.chain_id)
        self.jury = EvmJury(self.chain.web3, court, find, chain_id=self.chain.chain_id)
        self.seat = EvmSeat(self.book, self.contracts["seat"].address, find)
        self.jobs = EvmJobs(self.book, self.contracts["jobs"].address, find)
        self.token = Erc20(self.chain.web3, self.contracts["token"].address)
        for name in ("client", "worker"):
            self.token.transfer(owner, self.at[name], 10**9)
            self.token.approve(self.senders[self.at[name]], book, 10**9)

    def gas(self, do: Any, *arguments: Any) -> int:
        """The gas of one act."""
        self.notes.clear()
        do(*arguments)
        return sum(self.notes)

    def to_court(self) -> bytes:
        """A job of two rungs, the worker's word and the court; it is claimed, upheld and challenged."""
        client, worker = self.at["client"], self.at["worker"]
        policy = self.contracts["assumed"], self.contracts["court"]
        choices = (Result(UPHELD), Result(REFUTED, slashed=frozenset({worker})))
        pots = (Pot("reward", client, 1000, {UPHELD: Split((worker,), amounts=(1000,))}),
                Pot("stake", worker, 2500, {SLASHED: Split((client,), weights=(1,))}))
        rungs = (Rung(policy[0].address, policy[0].codehash, (Ask("result", (worker,), HOUR),), HOUR, HOUR, 100,
                      REFUTED),
                 court_rung((policy[1].address, policy[1].codehash), self.contracts["seat"].address, choices,
                            self.rules.longest + HOUR, HOUR))
        terms = Terms(self.token.address, pots, rungs, self.chain.now() + HOUR, self.at["sink"])
        self.results = encoded(choices)
        deal = self.book.open(client, terms, bytes(32))
        self.book.join(client, deal, 0)
        self.book.join(worker, deal, 1)
        self.book.submit(worker, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())
        self.book.judge(client, deal)
        self.book.challenge(client, deal)
        return deal


def run(quick: bool = False) -> dict[str, Any]:
    """Gas by act, of a whole case, and that as so many ERC-20 transfers. ``quick`` changes nothing: gas is exact."""
    bench = Bench()
    client, owner = bench.at["client"], bench.at["owner"]
    jurors = [bench.at[f"juror {n}"] for n in range(JURORS)]
    gas: dict[str, int] = {}
    gas["peer: ERC-20 transfer"] = bench.gas(bench.token.transfer, bench.senders[owner], client, 1)
    for juror in jurors:
        gas["stake, 1 ticket"] = bench.gas(bench.jury.stake, juror, bench.rules.unit)
    bench.clock.advance(1)
    deal = bench.to_court()
    gas["jobs: publish"] = bench.gas(bench.jobs.publish, client, deal, 0)
    cost, extra = bench.seat.cost(client, deal), bench.seat.extra_data(client, deal)
    gas["seat: ask"] = bench.gas(bench.seat.ask, client, deal, bench.results, cost)
    for _ in range(bench.rules.delay + 1):
        bench.chain.mine()
    gas["seed"] = bench.gas(bench.jury.seed, client, 0)
    gas["draw, 3 seats"] = bench.gas(bench.jury.draw, client, 0, extra)
    seated = sorted({juror for juror, _ in bench.jury.state().disputes[0].rounds[0].seats})
    for juror in seated:
        gas["commit"] = bench.gas(bench.jury.commit, juror, 0, bench.jury.vote_hash(0, 0, juror, 2, bytes(32)),
                                  bench.jury.deposit(0, juror))
    bench.clock.advance(bench.rules.commit)
    for juror in seated:
        gas["reveal"] = bench.gas(bench.jury.reveal, juror, 0, 2, bytes(32))
    bench.clock.advance(bench.rules.reveal + bench.rules.appeal)
    gas["executeRuling"] = bench.gas(bench.jury.execute_ruling, client, 0)
    gas["settle, 3 seats"] = bench.gas(bench.jury.settle, client, 0, 0)
    gas["withdraw"] = bench.gas(bench.jury.withdraw, seated[0])
    gas["seat: answer"] = bench.gas(bench.seat.answer, client, deal, bench.results)
    gas["jobs: follow"] = bench.gas(bench.jobs.follow, client, deal)
    ticket = next(n for n, one in enumerate(bench.jury.state().tickets) if one.juror == jurors[0])
    gas["unstake, 1 ticket"] = bench.gas(bench.jury.unstake, jurors[0], (ticket,))
    bench.clock.advance(bench.rules.draw)
    gas["take, 1 ticket"] = bench.gas(bench.jury.take, jurors[0], (ticket,))
    acts = ("seat: ask", "seed", "draw, 3 seats", "executeRuling", "settle, 3 seats", "seat: answer")
    case = sum(gas[name] for name in acts) + len(seated) * (gas["commit"] + gas["reveal"])
    return {"gas": gas, "case": {"jurors": len(seated), "gas": case,
                                 "transfers": round(case / gas["peer: ERC-20 transfer"], 1)}}
