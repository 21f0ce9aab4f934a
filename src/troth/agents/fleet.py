"""A fleet: many agents under one owner, such as delivery robots. What they are paid for is an errand.

Claims: errand, arrival, and the readings of a robot in batches. An errand is a deal: the customer deposits the price
and the owner a stake; the robot says that it arrived; the customer may challenge that within the window, and then
witnesses (a recipient, a door, a neighbour) say what they saw, commit and reveal, k of n. **An errand is done only when
its ladder says so**: the robot's word, its log and its photographs are evidence, and no verdict.

Ladder: Assumed by the robot -> Rerun by the witnesses. Silence of the robot is not done: the customer has its price
back and the stake. Silence of the witnesses keeps what the robot said. What it does not settle: whether the goods were
good, and a customer who sleeps through the window.

**Charging is paid per use**: a station signs what it delivered, the tariff is the owner's, and each reading is paid
once, through the gate of the robot that charged, within its own limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from troth.agents.gate import Act
from troth.agents.journal import DONE, journal, reasons_of
from troth.agents.origins import TARGET
from troth.agents.tools import Acting, Arguments, Parameter, Tool
from troth.core import encoding
from troth.core.claims import Ref, Subject
from troth.core.encoding import from_hex, keccak256
from troth.core.errors import BadInput, Misuse, Pending, Refuted
from troth.core.terms import (
    REFUTED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
)
from troth.flows.parts import Party, Pin
from troth.identity.devices import read_reading
from troth.verify.policies.voices import commit_data, reveal_data

ERRAND, ARRIVAL = "errand", "arrival"
PRICE, STAKE, FEE = 0, 1, 2
"""Pots."""
VERDICT_PERIOD = 3600
"""Seconds."""
MAX_WITNESSES = 9
NO_BONDS = keccak256(b"troth errand: bonds of wrong challengers go here")[12:]
CHARGE, WATT_HOURS = "charge", "watt_hours"
"""The tool that pays for charging, and the value of a station's reading that is charged for."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What customer and owner agree on. Amounts in the token's smallest unit; fund_by Unix seconds; period: seconds to
    arrive, and for the witnesses to speak; window: seconds to challenge.

    robot: who says that it arrived. operator: the owner's account. what: the commitment to what is to be done, 32
    bytes, whose text both hold. fee: the witnesses', together. nonce: the deal's salt.
    """

    chain_id: int
    book: Account
    assumed: Pin
    rerun: Pin
    token: Account
    customer: Account
    operator: Account
    robot: Account
    witnesses: tuple[Account, ...]
    price: int
    stake: int
    fee: int
    bond: int
    fund_by: int
    period: int
    window: int
    what: bytes
    nonce: bytes

    def terms(self) -> Terms:
        """The deal's terms; both make them by themselves."""
        pots = (Pot("price", self.customer, self.price, {UPHELD: Split((self.operator,), amounts=(self.price,))}),
                Pot("stake", self.operator, self.stake, {REFUTED: Split((self.customer,), amounts=(self.stake,))}),
                Pot("fee", climber(1), self.fee, {UPHELD: Answered(1), REFUTED: Answered(1)}))
        said = Rung(self.assumed.address, self.assumed.codehash, (Ask(ARRIVAL, (self.robot,), self.period),),
                    VERDICT_PERIOD, self.window, self.bond, silent=REFUTED)
        seen = Rung(self.rerun.address, self.rerun.codehash,
                    (Ask("commit", self.witnesses, self.period), Ask("reveal", None, self.period)), VERDICT_PERIOD)
        return Terms(self.token, pots, (said, seen), self.fund_by, NO_BONDS)

    def deal(self) -> bytes:
        """The deal's id, known before it is opened."""
        return deal_id(self.chain_id, self.book, self.customer, self.nonce, self.terms().hash())

    def sound(self) -> None:
        """Refuse an errand in which lying pays, or that nobody could judge. Raises Misuse."""
        if min(self.price, self.fee, self.bond, self.period, self.window) < 1 or self.customer == self.operator:
            raise Misuse("an errand that moves nothing", expected="two accounts, amounts and times of at least 1")
        if self.stake <= 2 * self.price + self.fee:
            raise Misuse("a stake that does not deter", expected=f"over {2 * self.price + self.fee}: twice the price, "
                         "and the fee that a wronged customer pays first", actual=self.stake)
        parties = {self.customer, self.operator, self.robot}
        if not 1 <= len(set(self.witnesses)) == len(self.witnesses) <= MAX_WITNESSES or parties & set(self.witnesses):
            raise Misuse("witnesses who are none", expected=f"1 to {MAX_WITNESSES}, none of them a party")

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"assumed": self.assumed.json(), "bond": str(self.bond), "book": self.book.hex(),
                "chain": str(self.chain_id), "rerun": self.rerun.json(),
                "customer": self.customer.hex(), "fee": str(self.fee), "fund_by": self.fund_by,
                "nonce": self.nonce.hex(), "operator": self.operator.hex(), "period": self.period,
                "price": str(self.price), "robot": self.robot.hex(), "stake": str(self.stake),
                "token": self.token.hex(), "what": self.what.hex(), "window": self.window,
                "witnesses": [one.hex() for one in self.witnesses]}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        (assumed, bond, book, chain, customer, fee, fund_by, nonce, operator, period, price, rerun, robot, stake, token,
         what, window, witnesses) = encoding.take(
            body, assumed=dict, bond=str, book=str, chain=str, customer=str, fee=str, fund_by=int, nonce=str,
            operator=str, period=int, price=str, rerun=dict, robot=str, stake=str, token=str, what=str, window=int,
            witnesses=list)
        return cls(encoding.amount(chain), from_hex(book, 20), Pin.read(assumed), Pin.read(rerun), from_hex(token, 20),
                   from_hex(customer, 20), from_hex(operator, 20), from_hex(robot, 20),
                   tuple(from_hex(one, 20) for one in witnesses), encoding.amount(price), encoding.amount(stake),
                   encoding.amount(fee), encoding.amount(bond), fund_by, period, window, from_hex(what, 32),
                   from_hex(nonce, 32))


def order(party: Party, errand: Errand, to: Sequence[str]) -> bytes:
    """The customer orders: the price deposited, the errand signed and handed over; its claim. Raises Misuse for an
    errand that is unsound or another customer's, ActRefused where the Book refuses it.
    """
    errand.sound()
    if errand.customer != party.account:
        raise Misuse("somebody else's errand", expected=party.account.hex(), actual=errand.customer.hex())
    party.book.open_and_join(party.account, errand.terms(), errand.nonce, PRICE)
    claim = party.attest(ERRAND, [Subject("deal", {"keccak256": errand.deal().hex()})], errand.body())
    party.send(to, [claim])
    return claim


def read(party: Party, claim: bytes) -> Errand:
    """The errand of a claim. Raises BadInput for another claim, Misuse for an unsound one."""
    statement = party.statement(claim)
    if (statement.kind, statement.version) != (ERRAND, 1):
        raise BadInput("not an errand", expected=f"urn:troth:{ERRAND}:v1", actual=statement.kind)
    errand = Errand.of(dict(statement.body))
    errand.sound()
    return errand


@dataclass(frozen=True, slots=True)
class Judged:
    """By what an owner lets its stake be judged: the token, policies by address and code, and whom it believes as
    witnesses.
    """

    token: Account
    policies: tuple[Pin, ...]
    witnesses: frozenset[Account]


def accept(party: Party, claim: bytes, robots: Sequence[Account], judged: Judged) -> Errand:
    """The owner deposits the stake for one of its robots. Raises Misuse for another's robot or stake, and where the
    customer chose what judges it: another token or policy, or witnesses of whom not more than half are believed.
    """
    errand = read(party, claim)
    if errand.token != judged.token or not {errand.assumed, errand.rerun} <= set(judged.policies):
        raise Misuse("an errand in another token, or judged by other code", actual=errand.rerun.address.hex())
    known = judged.witnesses.intersection(errand.witnesses)
    if 2 * len(known) <= len(errand.witnesses):
        raise Misuse("witnesses whom the owner does not believe", expected=f"more than half of {len(errand.witnesses)}",
                     actual=len(known))
    if errand.operator != party.account or errand.robot not in robots:
        raise Misuse("an errand for another fleet", expected=party.account.hex(), actual=errand.operator.hex())
    party.book.join(party.account, errand.deal(), STAKE)
    return errand


def arrive(party: Party, claim: bytes, log: bytes, to: Sequence[str]) -> bytes:
    """The robot says that it did the errand: a claim that names its log, submitted to the deal and handed over.

    log: the batch of its readings. Raises Misuse for another robot's errand, ActRefused where it is too late.
    """
    errand = read(party, claim)
    if errand.robot != party.account:
        raise Misuse("another robot's errand", expected=errand.robot.hex(), actual=party.account.hex())
    said = party.attest(ARRIVAL, [Subject("deal", {"keccak256": errand.deal().hex()})], {"what": errand.what.hex()},
                        refs=[Ref("errand", claim), Ref("log", log)])
    party.book.submit_and_judge(party.account, errand.deal(), 0, 0, said, Result(UPHELD).to_bytes())
    party.send(to, [said])
    return said


def dispute(party: Party, claim: bytes) -> None:
    """Somebody who saw nothing arrive calls the witnesses, with the bond and their fee. Raises ActRefused."""
    party.book.challenge(party.account, read(party, claim).deal())


def witness(party: Party, claim: bytes, arrived: bool, salt: bytes, reveal: bool) -> None:
    """A witness commits to what it saw, then, once all have, reveals it. salt: 32 secret bytes, the same both times."""
    deal = read(party, claim).deal()
    found = Result(UPHELD if arrived else REFUTED).to_bytes()
    data = reveal_data(found, salt) if reveal else commit_data(deal, 1, party.account, found, salt)
    party.book.submit(party.account, deal, int(reveal), 0, claim, data)


def done(party: Party, claim: bytes) -> None:
    """Returns where the errand's ladder says that it was done. Raises Pending while it can still say otherwise, Refuted
    where it was not done, or void.
    """
    state = party.book.state(read(party, claim).deal())
    if state.status not in ("closed", "void"):
        raise Pending("an errand that its ladder has not settled", expected="closed", actual=state.status,
                      do="The robot's word is no verdict: wait until the window is over.")
    if state.final is None or state.final.outcome != UPHELD:
        raise Refuted("an errand that was not done", actual="void" if state.final is None else "refuted")


@dataclass(frozen=True, slots=True)
class Station:
    """Where robots charge. tariff: what a kilowatt-hour costs, in the token's smallest unit; the owner's word."""

    account: Account
    tariff: int


def charging(party: Party, token: Account, stations: Mapping[str, Station]) -> Tool:
    """The tool ``charge``: pay a station for what its signed reading says that it delivered. stations: by identity.

    Whether the reading is a signed claim of whom the owner named is for the loop's sources, as for all that moves
    money. A reading is paid once.
    """
    def prepare(arguments: Arguments) -> Act:
        """The act for one reading: what it delivered at the fleet's price, to the station's account.

        Raises Misuse for what no station of this fleet delivered, or was paid before; Undecidable for a reading that is
        not here.
        """
        claim = arguments["reading"]
        reading = read_reading(party.statement(claim))
        station, used = stations.get(reading.device), reading.values.get(WATT_HOURS)
        if station is None or type(used) is not int or used < 1:
            raise Misuse("not what a station of this fleet delivered", actual=reading.device,
                         expected=f"a reading of {WATT_HOURS} by one of {len(stations)} stations")
        paid = [reasons_of(party, party.statement(one.claim))["arguments"] for one in journal(party, party.did)
                if one.intent.tool == CHARGE and one.outcome is not None and one.outcome.outcome == DONE]
        if {"reading": claim.hex()} in paid:
            raise Misuse("this reading was paid already", actual=claim.hex())
        units = -(-used * station.tariff // 1000)
        return Act.pay(token, station.account, units, f"charge {used} Wh")
    return Tool(CHARGE, "Pay a charging station for what it delivered.", Acting(prepare, {"reading": TARGET}),
                {"reading": Parameter("claim", "The station's signed reading.")})
