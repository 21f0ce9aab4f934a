"""A jury and its seats as contracts on a chain: the same acts and refusals as ``MemoryJury`` and ``MemorySeat``.

Fees and stakes are wei that the acting account sends along. Every act is first run on the present state, so that a
refusal costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from troth.core.encoding import keccak256
from troth.core.errors import OutsideFailed
from troth.core.jury_state import MOST_TRIED, Dispute, Jury, Round, Rules, Ticket, Vote
from troth.core.seats import resolved
from troth.core.terms import Account
from troth.ledger.artefacts import artefact
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import RpcError, get_logs, request
from troth.ledger.deploy import Spec
from troth.ledger.evm import GAS, EvmBook
from troth.ledger.evmcodec import account_of, decode, encoded_call
from troth.ledger.receipts import header_at
from troth.ledger.sending import Receipt, Sender, call, refusal

if TYPE_CHECKING:
    from web3 import Web3

ROUND_STARTED = keccak256(b"RoundStarted(uint256,uint256,uint256,uint256,bytes)")
CREATED = keccak256(b"DisputeCreation(uint256,address)")
ASKED = keccak256(b"CaseAsked(bytes32,uint256,address)")
_TICKETS = "(address,uint40,uint32,uint24)[]"
_ROUND = ("uint256", "uint256", "uint256", "uint256", "uint256", "uint256", "bool", "address", "uint256", "bytes32",
          "(address,uint32)[]")
_VOTE = "(bytes32,uint16,uint8,bool,bool)"
_PAGE = 512
_RULES = "(uint96,uint96,uint64,uint32,uint32,uint32,uint32,uint8,uint8,address)"


class Contract:
    """Calls of one contract by signature. senders: the Sender of an account that acts."""

    def __init__(self, web3: Web3, address: Account, senders: Callable[[Account], Sender], name: str) -> None:
        self.web3, self.address = web3, address
        self._senders = senders
        self._errors = [*artefact(name).errors, *artefact("Book").errors, *artefact("Jury").errors]

    def read(self, name: str, types: tuple[str, ...], values: tuple[Any, ...], answers: tuple[str, ...]) -> Any:
        """What a view answers: one value, or a tuple of them. Raises ActRefused where it reverts."""
        found = decode(answers, call(self.web3, self.address, encoded_call(name, types, values), errors=self._errors))
        return found[0] if len(found) == 1 else found

    def send(self, by: Account, name: str, types: tuple[str, ...], values: tuple[Any, ...], value: int = 0) -> Receipt:
        """One act. Raises ActRefused with the contract's code, and nothing was sent."""
        data = encoded_call(name, types, values)
        fields = {"from": "0x" + by.hex(), "to": "0x" + self.address.hex(), "data": "0x" + data.hex(),
                  "value": hex(value)}
        try:
            request(self.web3, "eth_call", fields, "latest")
        except RpcError as error:
            raise refusal(error, self._errors) from error
        return self._senders(by).send(self.address, data, value=value, gas=GAS)


def court_spec() -> Spec:
    """The policy ``court``, to ``extend`` a Book's contracts with."""
    return Spec("court", "Court", (("uint128", 0),))


def jury_spec(rules: Rules) -> Spec:
    """A court of drawn jurors, ``jury``."""
    values = (rules.unit, rules.penalty, rules.fee, rules.draw, rules.commit, rules.reveal, rules.appeal, rules.delay,
              rules.rounds, rules.sink)
    return Spec("jury", "Jury", ((_RULES, values),))


def seat_spec(book: Account, court: Account, longest: int, prefix: bytes, name: str = "seat") -> Spec:
    """A seat of a court on a Book's benches. longest: of a case there, in seconds; prefix: how its extra data begins.

    Of a ``Jury``: its ``rules.longest``, and the seats of a first round in 32 bytes.
    """
    return Spec(name, "Seat", (("address", book), ("address", court), ("uint32", longest), ("bytes", prefix)))


def jobs_spec(book: Account) -> Spec:
    """``jobs``: a Book's deals as ERC-8183 jobs."""
    return Spec("jobs", "Jobs", (("address", book),))


class EvmJury(Contract):
    """``Jury`` at an address (sections 1 to 4). first_block: where its events begin."""

    def __init__(self, web3: Web3, address: Account, senders: Callable[[Account], Sender], *, chain_id: int,
                 first_block: int = 0) -> None:
        super().__init__(web3, address, senders, "Jury")
        self.chain_id = chain_id
        self._first = first_block
        self.rules = self._rules()

    def _rules(self) -> Rules:
        names = ("unit", "penalty", "fee", "drawPeriod", "commitPeriod", "revealPeriod", "appealTime", "delay",
                 "maxRounds")
        numbers = [self.read(name, (), (), ("uint256",)) for name in names]
        unit, penalty, fee, draw, commit, reveal, appeal, delay, rounds = numbers
        return Rules(unit, penalty, fee, draw, commit, reveal, appeal, delay, rounds,
                     account_of(self.read("sink", (), (), ("address",))))

    # -- the pool

    def stake(self, by: Account, value: int) -> None:
        """Stake ``value`` wei in tickets. Raises ActRefused, as every act."""
        self.send(by, "stake", (), (), value)

    def unstake(self, by: Account, tickets: tuple[int, ...]) -> None:
        """Take tickets out of the pool and ask for their stake."""
        self.send(by, "unstake", ("uint256[]",), (tickets,))

    def take(self, by: Account, tickets: tuple[int, ...]) -> None:
        """Credit the stake of tickets asked for a draw period ago."""
        self.send(by, "take", ("uint256[]",), (tickets,))

    # -- disputes

    def create_dispute(self, by: Account, choices: int, extra: bytes, value: int) -> int:
        """Ask the court; the dispute's number."""
        sent = self.send(by, "createDispute", ("uint256", "bytes"), (choices, extra), value)
        return int.from_bytes(next(one.log.topics[1] for one in sent.logs if one.log.topics[0] == CREATED), "big")

    def seed(self, by: Account, dispute: int) -> None:
        """Record the last round's seed from its seed block's header."""
        number = self.seed_block(dispute)
        head = quantity(request(self.web3, "eth_blockNumber"))
        header = header_at(self.web3, number) if number <= head else b""
        self.send(by, "seed", ("uint256", "bytes"), (dispute, header))

    def seed_block(self, dispute: int) -> int:
        """The block that the last round's draw waits for."""
        return int(self.read("roundOf", ("uint256", "uint256"), (dispute, self._rounds(dispute) - 1), _ROUND)[2])

    def rearm(self, by: Account, dispute: int) -> None:
        """Set a later seed block where the first was missed."""
        self.send(by, "rearm", ("uint256",), (dispute,))

    def draw(self, by: Account, dispute: int, extra: bytes, most: int = MOST_TRIED) -> None:
        """Look at up to ``most`` more candidates. extra: that of ``create_dispute``; ``extra_of`` reads it."""
        self.send(by, "draw", ("uint256", "bytes", "uint256"), (dispute, extra, most))

    def commit(self, by: Account, dispute: int, digest: bytes, value: int) -> None:
        """Commit a vote: its ``vote_hash``, and its ``deposit`` in wei."""
        self.send(by, "commit", ("uint256", "bytes32"), (dispute, digest), value)

    def reveal(self, by: Account, dispute: int, choice: int, salt: bytes) -> None:
        """Reveal it."""
        self.send(by, "reveal", ("uint256", "uint256", "bytes32"), (dispute, choice, salt))

    def denounce(self, by: Account, dispute: int, juror: Account, choice: int, salt: bytes) -> None:
        """Void a vote that became known too early."""
        self.send(by, "denounce", ("uint256", "address", "uint256", "bytes32"), (dispute, juror, choice, salt))

    def appeal(self, by: Account, dispute: int, extra: bytes, value: int) -> None:
        """Ask for a larger jury. extra: that of ``create_dispute``."""
        self.send(by, "appeal", ("uint256", "bytes"), (dispute, extra), value)

    def execute_ruling(self, by: Account, dispute: int) -> None:
        """Tell whoever asked the final ruling."""
        self.send(by, "executeRuling", ("uint256",), (dispute,))

    def settle(self, by: Account, dispute: int, number: int) -> None:
        """Pay and release a round's jurors."""
        self.send(by, "settle", ("uint256", "uint256"), (dispute, number))

    def withdraw(self, by: Account) -> None:
        """Pay the caller's credit."""
        self.send(by, "withdraw", (), ())

    # -- reads

    def arbitration_cost(self, extra: bytes) -> int:
        """What a dispute costs, in wei."""
        return int(self.read("arbitrationCost", ("bytes",), (extra,), ("uint256",)))

    def appeal_cost(self, dispute: int) -> int:
        """What its next round costs, in wei."""
        return int(self.read("appealCost", ("uint256", "bytes"), (dispute, b""), ("uint256",)))

    def deposit(self, dispute: int, juror: Account) -> int:
        """What this juror's commit in the last round must bring, in wei."""
        return int(self.read("deposit", ("uint256", "address"), (dispute, juror), ("uint256",)))

    def dispute_status(self, dispute: int) -> int:
        """0 waiting, 1 appealable, 2 solved."""
        return int(self.read("disputeStatus", ("uint256",), (dispute,), ("uint8",)))

    def current_ruling(self, dispute: int) -> int:
        """The ruling that stands, or would without another appeal."""
        return int(self.read("currentRuling", ("uint256",), (dispute,), ("uint256",)))

    def vote_hash(self, dispute: int, number: int, juror: Account, choice: int, salt: bytes) -> bytes:
        """What to commit."""
        types = ("uint256", "uint256", "address", "uint256", "bytes32")
        return bytes(self.read("voteHash", types, (dispute, number, juror, choice, salt), ("bytes32",)))

    def credit(self, account: Account) -> int:
        """Wei that wait for ``withdraw``."""
        return int(self.read("credit", ("address",), (account,), ("uint256",)))

    def extra_of(self, dispute: int) -> bytes:
        """The extra data of a dispute, from the events. Raises OutsideFailed where the node keeps none."""
        found = get_logs(self.web3, addresses=(self.address,), first=self._first,
                         topics=(ROUND_STARTED, dispute.to_bytes(32, "big")))
        if not found:
            raise OutsideFailed("the node has no event of this dispute", do="Ask one that keeps all events.")
        return bytes(decode(("uint256", "uint256", "uint256", "bytes"), found[0].log.data)[3])

    def dispute(self, dispute: int) -> Dispute:
        """One dispute as it stands."""
        arbitrated, choices, executed, extra, rounds = self._head(dispute)
        return Dispute(account_of(arbitrated), choices, bytes(extra),
                       tuple(self._round(dispute, number) for number in range(rounds)), executed)

    def state(self, accounts: tuple[Account, ...] = ()) -> Jury:
        """The whole court, with the credits of ``accounts``. Many calls: to look at, and to compare."""
        count = self.read("disputeCount", (), (), ("uint256",))
        credits = {one: amount for one in accounts if (amount := self.credit(one))}
        rows = self._paged("ticketsOf", (), _TICKETS)
        tickets = tuple(Ticket(account_of(juror), leaving, serving, not place and not leaving)
                        for juror, leaving, place, serving in rows)
        places = {place: one for one, (_, _, place, _) in enumerate(rows) if place}
        return Jury(self.rules, self.chain_id, self.address, tickets, tuple(places[one] for one in sorted(places)),
                    tuple(self.dispute(number) for number in range(count)), MappingProxyType(credits))

    def pool_at(self, when: int) -> tuple[int, ...]:
        """The tickets that were in the pool at the end of a past second: what rounds of the next one are drawn from."""
        return tuple(self._paged("poolAt", (when,), "uint256[]"))

    def _paged(self, name: str, of: tuple[int, ...], answer: str) -> list[Any]:
        types = (*["uint48"] * len(of), "uint256", "uint256")
        found: list[Any] = []
        while True:
            page = self.read(name, types, (*of, len(found), _PAGE), (answer,))
            found += page
            if len(page) < _PAGE:
                return found

    def _rounds(self, dispute: int) -> int:
        return int(self._head(dispute)[4])

    def _head(self, dispute: int) -> Any:
        return self.read("disputeOf", ("uint256",), (dispute,), ("address", "uint256", "bool", "bytes32", "uint256"))

    def _round(self, dispute: int, number: int) -> Round:
        start, drawn_at, seed_block, _, tried, size, settled, payer, paid, seed, taken = self.read(
            "roundOf", ("uint256", "uint256"), (dispute, number), _ROUND)
        seats = tuple((account_of(juror), ticket) for juror, ticket in taken)
        votes = {juror: self._vote(dispute, number, juror) for juror, _ in seats}
        return Round(start, seed_block, self.pool_at(start - 1), size, account_of(payer), paid,
                     b"" if seed == bytes(32) else bytes(seed), tried, seats, drawn_at, MappingProxyType(votes),
                     settled)

    def _vote(self, dispute: int, number: int, juror: Account) -> Vote:
        digest, weight, choice, revealed, told = self.read(
            "voteOf", ("uint256", "uint256", "address"), (dispute, number, juror), (_VOTE,))
        return Vote(weight, b"" if digest == bytes(32) else bytes(digest), choice if revealed else None, told)


class EvmSeat(Contract):
    """``Seat`` at an address (section 5), on the benches of ``book``'s deals."""

    def __init__(self, book: EvmBook, address: Account, senders: Callable[[Account], Sender]) -> None:
        super().__init__(book.web3, address, senders, "Seat")
        self._book = book
        self.longest = int(self.read("longest", (), (), ("uint32",)))
        self.court = account_of(self.read("arbitrator", (), (), ("address",)))

    def ask(self, by: Account, deal: bytes, results: tuple[bytes, ...], value: int) -> int:
        """Bring a deal's case to the court, paying exactly its fee; the dispute's number. Raises ActRefused."""
        sent = self.send(by, "ask", ("bytes", "bytes", "bytes[]"), (*self._book.brought(deal), results), value)
        return int.from_bytes(next(one.log.topics[2] for one in sent.logs if one.log.topics[0] == ASKED), "big")

    def cost(self, by: Account, deal: bytes) -> int:
        """What ``ask`` costs, in wei."""
        return int(self.read("cost", ("address", "bytes", "bytes"), (by, *self._book.brought(deal)), ("uint256",)))

    def extra_data(self, payer: Account, deal: bytes) -> bytes:
        """What the court is told."""
        types = ("address", "bytes", "bytes")
        return bytes(self.read("extraData", types, (payer, *self._book.brought(deal)), ("bytes",)))

    def answer(self, by: Account, deal: bytes, results: tuple[bytes, ...]) -> None:
        """Carry the ruling to the Book. By anyone. results: as asked with. Raises ActRefused."""
        made_of, _ = self._book.brought(deal)
        self.send(by, "answer", ("bytes", "bytes[]"), (made_of, resolved(results, self._book.state(deal).history)))
