"""A jury and its seats in memory: the executable specification of docs/reference/court.md, beside the contracts.

The rules are ``troth.core.jury`` and ``troth.core.seats``; here are the money (wei), the clock, the blocks, and
atomicity: an act computes everything first and writes last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from troth.core import jury as rules_of
from troth.core.errors import ActRefused, BadInput
from troth.core.jury_state import MOST_TRIED, Case, Dispute, Jury, Rules
from troth.core.ports import Clock
from troth.core.seats import check_time, choices_hash, claim_of, involved, resolved
from troth.core.terms import Account
from troth.ledger.memory import MemoryBook
from troth.ledger.memory_token import MemoryToken


class Blocks(Protocol):
    """A chain's blocks, as far as a draw needs them."""

    def number(self) -> int:
        """The number of the block that the next act is in."""
        ...

    def randomness(self, number: int) -> bytes:
        """PREVRANDAO of a past block, 32 bytes."""
        ...


class MemoryJury:
    """A court of drawn jurors, an ERC-792 arbitrator (sections 1 to 4). wei: everybody's money on this chain.

    arbitrables: contracts that are told rulings, by account; who asks without being there is told nothing.
    """

    def __init__(self, clock: Clock, blocks: Blocks, wei: MemoryToken, rules: Rules, *, chain_id: int,
                 address: Account) -> None:
        self.address = address
        self.rules = rules
        self.wei = wei
        self.arbitrables: dict[Account, Callable[[int, int], None]] = {}
        self._clock, self._blocks = clock, blocks
        self._jury = Jury(rules, chain_id, address)

    # -- the pool

    def stake(self, by: Account, value: int) -> None:
        """Stake ``value`` wei in tickets. Raises ActRefused, as every act."""
        self._paid(by, value, rules_of.stake(self._jury, by, value, self._clock.now()))

    def unstake(self, by: Account, tickets: tuple[int, ...]) -> None:
        """Take tickets out of the pool and ask for their stake."""
        self._jury = rules_of.unstake(self._jury, by, tickets, self._clock.now())

    def take(self, by: Account, tickets: tuple[int, ...]) -> None:
        """Credit the stake of tickets asked for a draw period ago."""
        self._jury = rules_of.take(self._jury, by, tickets, self._clock.now())

    # -- disputes

    def create_dispute(self, by: Account, choices: int, extra: bytes, value: int) -> int:
        """Ask the court; the dispute's number."""
        self._paid(by, value, rules_of.create(self._jury, by, choices, extra, value, self._clock.now(),
                                              self._blocks.number()))
        return len(self._jury.disputes) - 1

    def seed(self, by: Account, dispute: int) -> None:
        """Record the last round's seed from its seed block."""
        now, block = self._clock.now(), self._blocks.number()
        drawn = self._blocks.randomness(rules_of.seed_block(self._jury, dispute, now, block))
        self._jury = rules_of.seed(self._jury, dispute, drawn, now, block)

    def rearm(self, by: Account, dispute: int) -> None:
        """Set a later seed block where the first was missed."""
        self._jury = rules_of.rearm(self._jury, dispute, self._clock.now(), self._blocks.number())

    def draw(self, by: Account, dispute: int, extra: bytes, most: int = MOST_TRIED) -> None:
        """Look at up to ``most`` more candidates. extra: that of ``create_dispute``."""
        self._jury = rules_of.draw(self._jury, dispute, extra, most, self._clock.now())

    def commit(self, by: Account, dispute: int, digest: bytes, value: int) -> None:
        """Commit a vote: its ``vote_hash``, and its ``deposit`` in wei."""
        self._paid(by, value, rules_of.commit(self._jury, by, dispute, digest, value, self._clock.now()))

    def reveal(self, by: Account, dispute: int, choice: int, salt: bytes) -> None:
        """Reveal it."""
        self._jury = rules_of.reveal(self._jury, by, dispute, choice, salt, self._clock.now())

    def denounce(self, by: Account, dispute: int, juror: Account, choice: int, salt: bytes) -> None:
        """Void a vote that became known too early."""
        self._jury = rules_of.denounce(self._jury, dispute, juror, choice, salt, self._clock.now())

    def appeal(self, by: Account, dispute: int, extra: bytes, value: int) -> None:
        """Ask for a larger jury. extra: that of ``create_dispute``."""
        self._paid(by, value, rules_of.appeal(self._jury, by, dispute, extra, value, self._clock.now(),
                                              self._blocks.number()))

    def execute_ruling(self, by: Account, dispute: int) -> None:
        """Tell whoever asked the final ruling."""
        after, ruling = rules_of.execute(self._jury, dispute, self._clock.now())
        told = self.arbitrables.get(after.disputes[dispute].arbitrated)
        if told is not None:
            told(dispute, ruling)
        self._jury = after

    def settle(self, by: Account, dispute: int, number: int) -> None:
        """Pay and release a round's jurors."""
        self._jury = rules_of.settle(self._jury, dispute, number, self._clock.now())

    def withdraw(self, by: Account) -> None:
        """Pay the caller's credit."""
        after, amount = rules_of.withdraw(self._jury, by)
        self.wei.transfer(self.address, by, amount)
        self._jury = after

    # -- reads

    def state(self) -> Jury:
        """The whole court."""
        return self._jury

    def dispute(self, dispute: int) -> Dispute:
        """One dispute as it stands."""
        return self._jury.disputes[dispute]

    def credit(self, account: Account) -> int:
        """Wei that wait for ``withdraw``."""
        return self._jury.credits.get(account, 0)

    def arbitration_cost(self, extra: bytes) -> int:
        """What a dispute costs, in wei."""
        return rules_of.cost(self._jury, extra)

    def appeal_cost(self, dispute: int) -> int:
        """What its next round costs, in wei."""
        return rules_of.appeal_cost(self._jury, dispute)

    def deposit(self, dispute: int, juror: Account) -> int:
        """What this juror's commit in the last round must bring, in wei."""
        return rules_of.deposit(self._jury, dispute, juror)

    def dispute_status(self, dispute: int) -> int:
        """0 waiting, 1 appealable, 2 solved."""
        return {"appeal": 1, "solved": 2}.get(
            rules_of.phase(self._jury, self._jury.disputes[dispute], self._clock.now()), 0)

    def current_ruling(self, dispute: int) -> int:
        """The ruling that stands, or would without another appeal."""
        return rules_of.ruling(self._jury, self._jury.disputes[dispute], self._clock.now()) or 0

    def vote_hash(self, dispute: int, number: int, juror: Account, choice: int, salt: bytes) -> bytes:
        """What to commit."""
        return rules_of.vote_hash(self._jury, dispute, number, juror, choice, salt)

    def _paid(self, by: Account, value: int, after: Jury) -> None:
        self.wei.transfer(by, self.address, value)
        self._jury = after


class Arbitrator(Protocol):
    """As much of an ERC-792 court as a seat needs."""

    address: Account

    def arbitration_cost(self, extra: bytes) -> int: ...

    def create_dispute(self, by: Account, choices: int, extra: bytes, value: int) -> int: ...


@dataclass(slots=True)
class _Case:
    dispute: int
    results: tuple[bytes, ...]
    ruling: int | None = None


class MemorySeat:
    """The account of a court on benches (section 5). Register ``rule`` with its court's ``arbitrables``.

    longest: of a case at that court, in seconds. prefix: how its extra data begins.
    """

    def __init__(self, clock: Clock, book: MemoryBook, court: Arbitrator, wei: MemoryToken, *, address: Account,
                 longest: int, prefix: bytes) -> None:
        self.address = address
        self.longest = longest
        self.prefix = prefix
        self._clock, self._book, self._court, self._wei = clock, book, court, wei
        self._cases: dict[bytes, _Case] = {}

    def ask(self, by: Account, deal: bytes, results: tuple[bytes, ...], value: int) -> int:
        """Bring a deal's case to the court, paying exactly its fee; the dispute's number. Raises ActRefused."""
        state = self._book.state(deal)
        if state.status != "running":
            raise ActRefused("NotRunning", "the deal does not run", actual=state.status)
        rung = state.terms.rungs[state.rung]
        if rung.bench != (self.address,):
            raise ActRefused("NotOurs", "another bench judges this rung")
        check_time(rung, state.ask, state.ask_start, self.longest, self._clock.now())
        if choices_hash(results) != rung.param:
            raise ActRefused("BadResults", "not the results that the terms fix", expected=rung.param.hex())
        if deal in self._cases:
            raise ActRefused("Asked", "the court has this case")
        extra = self.extra_data(by, deal)
        fee = self._court.arbitration_cost(extra)
        if value != fee:
            raise ActRefused("WrongFee", "not the court's fee", expected=fee, actual=value)
        self._wei.transfer(by, self.address, value)
        try:
            dispute = self._court.create_dispute(self.address, len(results), extra, value)
        except ActRefused:
            self._wei.transfer(self.address, by, value)
            raise
        self._cases[deal] = _Case(dispute, resolved(results, state.history))
        return dispute

    def cost(self, by: Account, deal: bytes) -> int:
        """What ``ask`` costs, in wei."""
        return self._court.arbitration_cost(self.extra_data(by, deal))

    def extra_data(self, payer: Account, deal: bytes) -> bytes:
        """What the court is told."""
        state = self._book.state(deal)
        return self.prefix + Case(1, payer, involved(state.terms, state.history)).encode()[32:]

    def rule(self, dispute: int, ruling: int) -> None:
        """What the court calls. A ruling beyond the choices counts as none."""
        for case in self._cases.values():
            if case.dispute == dispute:
                case.ruling = ruling if ruling <= len(case.results) else 0
                return
        raise BadInput("no such case", actual=dispute)

    def answer(self, by: Account, deal: bytes, results: tuple[bytes, ...]) -> None:
        """Carry the ruling to the Book. By anyone. results: as asked with. Raises ActRefused."""
        case = self._cases.get(deal)
        if case is None or case.ruling is None:
            raise ActRefused("NotRuled", "the court has not told its ruling", do="Execute it there once it is final.")
        if resolved(results, self._book.state(deal).history) != case.results:
            raise ActRefused("BadResults", "not the results that the case was asked with")
        if not case.ruling or not case.results[case.ruling - 1]:
            raise ActRefused("NoRuling", "the court ruled for nobody", do="The rung stays silent.")
        last = len(self._book.state(deal).terms.rungs[self._book.state(deal).rung].asks) - 1
        claim = claim_of(self._book.chain_id, self._court.address, case.dispute, case.ruling)
        self._book.submit(self.address, deal, last, 0, claim, case.results[case.ruling - 1])
