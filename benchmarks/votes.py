"""Gas of a decision by ten voters: a deal with Vote and Ballots beside OpenZeppelin's Governor with its timelock.

Both on one embedded chain (Prague rules), with one ERC20Votes token, ten voters of equal votes who have voted on
nothing before, and a decision that calls nothing that writes. The Governor is compiled here from its npm package, for
the measurement only. Deployments and delegations are not counted: each side pays them once for all decisions. Our
contracts are in use by others, as in ``gas``: the Book holds another deal's deposit, and Ballots had a poll.

Run: python -m benchmarks votes
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gas import HOUR, Bench
from troth.core.encoding import keccak256
from troth.core.terms import KEEPER, REFUTED, UPHELD, Account, Ask, Pot, Rung, Split, Terms
from troth.core.typed_data import ballot_digest
from troth.ledger.artefacts import Artefact, artefact, code_hash
from troth.ledger.ballots import FOR, Ballot, EvmBallots
from troth.ledger.deploy import code_at, create

ROOT = Path(__file__).parents[1]
TOKEN = ROOT / "tests" / "contracts" / "artefacts" / "VotesToken.json"
VOTERS = 10
DAY = 24 * HOUR
PROPOSAL = ("address[]", "uint256[]", "bytes[]")


def compiled(name: str) -> bytes:
    """A peer's creation code; needs contracts/node_modules (``make contracts``)."""
    told = subprocess.run(["node", str(ROOT / "tests/mutants/compile.mjs"), str(ROOT),
                           "../benchmarks/peers/PlainGovernor.sol", name], capture_output=True, text=True, check=True)
    return bytes.fromhex(told.stdout.strip())


def call_data(name: str, types: tuple[str, ...], *values: Any) -> bytes:
    """Calldata of any function."""
    from eth_abi.abi import encode

    return keccak256(f"{name}({','.join(types)})".encode())[:4] + encode(types, values)


class Town:
    """A chain with a token and its voters."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.owner = self.bench.senders[self.bench.owner]
        self.token, _ = create(self.owner, Artefact.read(TOKEN.read_text("utf-8")).bytecode, ("bool", True))
        self.voters = [self.bench.actor(f"voter {n}") for n in range(VOTERS)]
        self.stranger = self.bench.actor("another voter")
        for voter, votes in ((self.stranger, 10 * VOTERS), *((voter, 10) for voter in self.voters)):
            self.owner.send(self.token, call_data("mint", ("address", "uint256"), voter, votes))
            self.bench.senders[voter].send(self.token, call_data("delegate", ("address",), voter))
        self.bench.clock.advance(1)

    def act(self, by: Account, to: Account, data: bytes) -> int:
        return self.bench.senders[by].send(to, data).gas_used


def governor(town: Town) -> dict[str, int]:
    """Propose, ten votes, queue, execute."""
    bench, owner = town.bench, town.bench.owner
    timelock, _ = create(town.owner, compiled("PlainTimelock"), ("address[]", []), ("address[]", [bytes(20)]),
                         ("address", owner))
    where, _ = create(town.owner, compiled("PlainGovernor"), ("address", town.token), ("address", timelock))
    town.act(owner, timelock, call_data("grantRole", ("bytes32", "address"), keccak256(b"PROPOSER_ROLE"), where))
    what = ([town.token], [0], [call_data("totalSupply", ())])
    words = "Raise the rate"
    from eth_abi.abi import encode

    number = int.from_bytes(keccak256(encode((*PROPOSAL, "bytes32"), (*what, keccak256(words.encode())))), "big")
    found = {"propose": town.act(town.voters[0], where, call_data("propose", (*PROPOSAL, "string"), *what, words))}
    bench.clock.advance(2)
    votes = [town.act(voter, where, call_data("castVote", ("uint256", "uint8"), number, 1)) for voter in town.voters]
    bench.clock.advance(DAY)
    done = (*what, keccak256(words.encode()))
    found |= {"a vote, the first": votes[0], "a vote, a later one": votes[-1],
              "queue": town.act(owner, where, call_data("queue", (*PROPOSAL, "bytes32"), *done))}
    bench.clock.advance(2)
    found["execute"] = town.act(owner, where, call_data("execute", (*PROPOSAL, "bytes32"), *done))
    return found | {"in all": found["propose"] + sum(votes) + found["queue"] + found["execute"]}


class Deals:
    """Ballots and a policy, deployed once, and a proposer with money."""

    def __init__(self, town: Town) -> None:
        self.town, self.bench = town, town.bench
        self.proposer = self.bench.holder("proposer")
        self.where, _ = create(town.owner, artefact("Ballots").bytecode)
        policy, _ = create(town.owner, artefact("Vote").bytecode, ("address", self.where), ("uint32", 400_000),
                           ("uint32", 500_000))
        self.pinned = (policy, code_hash(code_at(self.bench.chain.web3, policy)))
        self.ballots = EvmBallots(self.bench.chain.web3, self.where, self.bench.senders.__getitem__, self.bench.book)
        # Others were here: a deposit that stays, and a poll with its one voter.
        self.bench.book.open_and_join(self.proposer, self.terms(), bytes(32), 0)
        self.decide([town.stranger])

    def terms(self) -> Terms:
        """A decision that pays two units to whoever judges and closes."""
        rung = Rung(*self.pinned, (Ask("vote", (self.where,), DAY),), HOUR, silent=REFUTED,
                    param=self.town.token.rjust(32, b"\0"))
        keeper = Split((KEEPER,), amounts=(2,))
        pot = Pot("keeper", self.proposer, 2, {UPHELD: keeper, REFUTED: keeper})
        return Terms(self.bench.token.address, (pot,), (rung,), self.bench.chain.now() + HOUR,
                     self.bench.actor("court"))

    def decide(self, voters: Sequence[Account], signed: bool = False) -> dict[str, int]:
        """Open and join, start with the first ballot, the other ballots, count, judge and close; or the ballots signed
        and in one transaction. Whoever proposes opens, whoever votes first starts.
        """
        bench, ballots, proposer = self.bench, self.ballots, self.proposer
        bench.notes.clear()
        bench.deals += 1
        deal = bench.act("open and join", proposer, bench.book.open_and_join, self.terms(),
                         bench.deals.to_bytes(32, "big"), 0)
        first, *rest = voters
        if signed:
            bench.act("start", proposer, ballots.start, deal)
            digest = ballot_digest(bench.book.chain_id, self.where, bench.book.address, deal, 0, FOR)
            said = [Ballot(voter, FOR, bench.keys[voter].sign_digest(digest)) for voter in voters]
            bench.act("ten signed ballots", proposer, ballots.cast_signed, deal, 0, said)
        else:
            bench.act("start and ballot 1", first, ballots.start, deal, FOR)
            for n, voter in enumerate(rest):
                bench.act(f"ballot {n + 2}", voter, ballots.cast, deal, 0, FOR)
        bench.clock.advance(DAY - DAY // 8)
        bench.act("count", proposer, ballots.count, deal)
        bench.act("judge and close", proposer, bench.book.judge_and_close, deal)
        final = bench.book.state(deal).final
        assert final is not None
        assert final.outcome == UPHELD
        shown = {name: gas for name, gas in bench.notes.items() if name not in {f"ballot {n}" for n in range(3, 10)}}
        return shown | {"in all": sum(bench.notes.values())}


def run(quick: bool = False) -> dict[str, Any]:
    """Gas of both, and ours as a ratio to the Governor's in the same run (``quick`` changes nothing)."""
    town = Town()
    peer, deals = governor(town), Deals(town)
    ours = {"the voters' first decision": deals.decide(town.voters), "a later one": deals.decide(town.voters),
            "a later one, signed ballots": deals.decide(town.voters, signed=True)}
    town.bench.chain.close()
    return {"governor": peer, **ours,
            "ratio": {name: round(gas["in all"] / peer["in all"], 3) for name, gas in ours.items()}}
