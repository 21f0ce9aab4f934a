"""The terms of a deal: what each party promises before anything is done. See docs/reference/deals.md, section 1.

Accounts are 20 bytes, amounts and times integers. Everything that is hashed or sent on chain has one ABI form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from troth.core.encoding import keccak256
from troth.core.errors import BadInput
from troth.core.packed import Reader, Writer

Account = bytes

UPHELD = 1
REFUTED = 2
SLASHED = 0  # in Pot.pays: the rule for a depositor that was slashed
NO_PARAM = bytes(32)  # in Rung.param: this deal tells the policy nothing
KEEP = 0  # in Rung.silent: silence keeps the result below


def role(number: int) -> Account:
    """The address that stands for a role; addresses up to 0x…ff are never accounts."""
    return bytes(19) + bytes([number])


CHALLENGER = role(1)
KEEPER = role(2)
DEPOSITOR = role(3)


def climber(rung: int) -> Account:
    """The depositor of a fee pot: whoever challenges rung ``rung`` - 1."""
    return role(0x10 + rung)


def is_role(account: Account) -> bool:
    """Whether this address stands for a role (or is zero) and can be no account."""
    return account[:19] == bytes(19)


def label(text: str) -> bytes:
    """A name as bytes32. Raises BadInput beyond 31 bytes of UTF-8 or for an empty name."""
    data = text.encode()
    if not 1 <= len(data) <= 31 or b"\x00" in data:
        raise BadInput("not a name", expected="1 to 31 bytes of UTF-8 without zeros", actual=repr(text))
    return data.ljust(32, b"\x00")


def unlabel(data: bytes) -> str:
    """The text of a bytes32 name. Raises BadInput for one that is no UTF-8, is empty, or holds a zero."""
    text = data.rstrip(b"\x00")
    if not text or b"\x00" in text:
        raise BadInput("not a name", expected="1 to 31 bytes of UTF-8 without zeros", actual=data.hex(),
                       do="This deal was not opened by Troth; it cannot be shown.")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise BadInput("a name that is no UTF-8", actual=data.hex(),
                       do="This deal was not opened by Troth; it cannot be shown.") from None


@dataclass(frozen=True, slots=True)
class Split:
    """Pays ``payees`` in order: ``amounts``, or shares by ``weights``, or (both None) the verdict's values."""

    payees: tuple[Account, ...]
    amounts: tuple[int, ...] | None = None
    weights: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """Pays equal seats to those of the rung's bench who answered, if the rung gave a verdict."""

    rung: int


@dataclass(frozen=True, slots=True)
class Root:
    """Pays many by the verdict's Merkle root, collected within ``term`` seconds of the close."""

    term: int


Rule = Split | Answered | Root


@dataclass(frozen=True, slots=True)
class Pot:
    """A deposit and what each outcome does with it. ``pays``: outcome (or SLASHED) to rule."""

    name: str
    depositor: Account
    amount: int
    pays: Mapping[int, Rule]
    residual: Account = DEPOSITOR


@dataclass(frozen=True, slots=True)
class Ask:
    """Who is asked for which kind of claim, and for how many seconds. ``who`` None: the accounts asked before."""

    kind: str
    who: tuple[Account, ...] | None
    period: int
    slots: int = 1

    def abi(self) -> tuple[Any, ...]:
        """The tuple that a policy is given."""
        return (label(self.kind), self.who or (), self.period, self.slots)


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of judgement. ``policy`` is pinned by address and code hash; ``silent`` KEEP or an outcome.

    param: 32 bytes that this deal tells its policy beforehand, such as a hash lock; zeros for a policy that takes none.
    """

    policy: Account
    codehash: bytes
    asks: tuple[Ask, ...]
    verdict_period: int
    window: int = 0
    bond: int = 0
    silent: int = KEEP
    param: bytes = NO_PARAM

    def abi(self) -> tuple[Any, ...]:
        """The tuple that a policy is given."""
        return (self.policy, self.codehash, tuple(ask.abi() for ask in self.asks), self.verdict_period, self.window,
                self.bond, self.silent, self.param)

    def asked(self, index: int) -> tuple[Account, ...]:
        """The accounts that ask ``index`` names, through asks that repeat the one before."""
        for ask in reversed(self.asks[: index + 1]):
            if ask.who:  # None and () are the same on chain
                return ask.who
        return ()

    @property
    def bench(self) -> tuple[Account, ...]:
        """The accounts of the last ask."""
        return self.asked(len(self.asks) - 1)

    @property
    def life(self) -> int:
        """The longest this rung can take, in seconds."""
        return sum(ask.period for ask in self.asks) + self.verdict_period + self.window


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised. ``wrong_bonds`` is no party's account; ``fund_by`` Unix seconds."""

    token: Account
    pots: tuple[Pot, ...]
    rungs: tuple[Rung, ...]
    fund_by: int
    wrong_bonds: Account

    def to_bytes(self) -> bytes:
        """The one form that is hashed and sent on chain. Raises BadInput for terms that have none."""
        out = Writer(self.accounts())
        out.account(self.token)
        out.number(self.fund_by, 8)
        out.account(self.wrong_bonds)
        out.number(len(self.rungs), 1)
        for rung in self.rungs:
            out.part(partial(_write_rung, out, rung))
        out.number(len(self.pots), 1)
        for pot in self.pots:
            out.part(partial(_write_pot, out, pot))
        return out.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Terms:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        source = Reader(data)
        token, fund_by, wrong_bonds = source.account(), source.number(8), source.account()
        rungs = tuple(source.part(partial(_read_rung, source)) for _ in range(source.number(1)))
        pots = tuple(source.part(partial(_read_pot, source)) for _ in range(source.number(1)))
        source.end()
        return cls(token, pots, rungs, fund_by, wrong_bonds)

    def accounts(self) -> frozenset[Account]:
        """Every address that stands anywhere in the terms, roles among them."""
        found = {self.token, self.wrong_bonds}
        for pot in self.pots:
            found |= {pot.depositor, pot.residual}
            found.update(payee for rule in pot.pays.values() if isinstance(rule, Split) for payee in rule.payees)
        for rung in self.rungs:
            found.add(rung.policy)
            found.update(account for ask in rung.asks for account in ask.who or ())
        return frozenset(found)

    def hash(self) -> bytes:
        """The terms' hash."""
        return keccak256(self.to_bytes())

    def pot(self, name: str) -> int:
        """Index of the pot with this name. Raises BadInput."""
        for index, pot in enumerate(self.pots):
            if pot.name == name:
                return index
        raise BadInput("no such pot", expected=", ".join(pot.name for pot in self.pots), actual=name)

    @property
    def closes_by(self) -> int:
        """Unix time at which the deal can be closed at the latest."""
        return self.fund_by + sum(rung.life for rung in self.rungs)


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict's content. ``slashed`` is kept as a set; ``total`` is the sum of the leaves under ``root``."""

    outcome: int
    values: tuple[int, ...] = ()
    slashed: frozenset[Account] = frozenset()
    root: bytes = bytes(32)
    total: int = 0

    def to_bytes(self) -> bytes:
        """ABI form; slashed ascend."""
        # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
        from eth_abi.abi import encode

        return encode([RESULT], [(self.outcome, self.values, sorted(self.slashed), self.root, self.total)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Result:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        # Imported here for the same reason.
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            (outcome, values, slashed, root, total), = decode([RESULT], data)
            accounts = frozenset(bytes.fromhex(account[2:]) for account in slashed)
            found = cls(outcome, tuple(values), accounts, bytes(root), total)
        except (DecodingError, OverflowError, ValueError) as error:
            raise BadInput("not a result", expected=RESULT, actual=error) from None
        if found.to_bytes() != data:
            raise BadInput("a result in another than its one form", expected="strictly ascending slashed, no slack")
        return found


EntryKind = Literal[1, 2, 3]
SUBMISSION: EntryKind = 1
VERDICT: EntryKind = 2
CHALLENGE: EntryKind = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a deal's history (section 4)."""

    kind: EntryKind
    by: Account
    rung: int
    ask: int
    slot: int
    at: int
    claim: bytes
    data: bytes

    @property
    def head(self) -> bytes:
        """One word: kind, rung, ask, slot, time and account."""
        return bytes((self.kind, self.rung, self.ask, self.slot)) + self.at.to_bytes(8, "big") + self.by

    @property
    def content(self) -> bytes:
        """The hash of claim and data."""
        return keccak256(self.claim + self.data)

    def abi(self) -> tuple[Any, ...]:
        """The tuple that a policy is given."""
        return (self.kind, self.by, self.rung, self.ask, self.slot, self.at, self.claim, self.data)


@dataclass(frozen=True, slots=True)
class DealState:
    """Where a deal stands, the same from every Book.

    status: "funding", "running", "closed" or "void". joined: indices of the pots deposited. rung, ask: the current
    ones as last stored (time alone may have passed them). history: every entry, in order.
    """

    terms: Terms
    status: Literal["funding", "running", "closed", "void"]
    joined: frozenset[int]
    rung: int
    ask: int
    ask_start: int
    history: tuple[Entry, ...]
    final: Result | None


ASK = "(bytes32,address[],uint32,uint8)"
RUNG = f"(address,bytes32,{ASK}[],uint32,uint32,uint128,uint8,bytes32)"
RESULT = "(uint8,uint128[],address[],bytes32,uint128)"
ENTRY = "(uint8,address,uint8,uint8,uint8,uint64,bytes32,bytes)"


def deal_id(chain_id: int, book: Account, opener: Account, salt: bytes, terms_hash: bytes) -> bytes:
    """The deal's id: a hash, never a counter, so that a re-organisation cannot reassign it."""
    return _hash(("uint256", "address", "address", "bytes32", "bytes32"), (chain_id, book, opener, salt, terms_hash))


def history_hash(previous: bytes, entry: Entry) -> bytes:
    """The history's hash after one more entry."""
    return keccak256(previous + entry.head + entry.content)


def payout_leaf(chain_id: int, book: Account, deal: bytes, pot: int, index: int, account: Account,
                amount: int) -> bytes:
    """Leaf of a payout tree: hashed twice, so that no inner node can pass for a leaf."""
    types = ("uint256", "address", "bytes32", "uint8", "uint256", "address", "uint128")
    return keccak256(_hash(types, (chain_id, book, deal, pot, index, account, amount)))


def kind_of(rule: Rule) -> int:
    """0 amounts, 1 weights, 2 values, 3 answered, 4 root. Raises BadInput for a split by amounts and by weights."""
    if isinstance(rule, Answered):
        return 3
    if isinstance(rule, Root):
        return 4
    if rule.amounts is not None and rule.weights is not None:
        raise BadInput("a split by amounts and by weights", expected="one of them", do="Leave the other None.")
    return 0 if rule.amounts is not None else 1 if rule.weights is not None else 2


def _write_rung(out: Writer, rung: Rung) -> None:
    out.account(rung.policy)
    out.word(rung.codehash)
    out.number(rung.verdict_period, 4)
    out.number(rung.window, 4)
    out.amount(rung.bond)
    out.number(rung.silent, 1)
    out.number(rung.param != NO_PARAM, 1)
    if rung.param != NO_PARAM:
        out.word(rung.param)
    out.number(len(rung.asks), 1)
    for ask in rung.asks:
        out.number(ask.period, 4)
        out.number(ask.slots, 1)
        out.accounts(ask.who or ())
        out.label(label(ask.kind))


def _read_rung(source: Reader) -> Rung:
    policy, codehash = source.account(), source.word()
    verdict_period, window, bond, silent = source.number(4), source.number(4), source.amount(), source.number(1)
    given = source.number(1)
    param = source.word() if given else NO_PARAM
    if given > 1 or (given == 1 and param == NO_PARAM):
        raise BadInput("a policy's parameter in another than its one form", expected="0, or 1 and a word that is not 0")
    asks = tuple(_read_ask(source) for _ in range(source.number(1)))
    return Rung(policy, codehash, asks, verdict_period, window, bond, silent, param)


def _read_ask(source: Reader) -> Ask:
    period, slots, who = source.number(4), source.number(1), source.accounts()
    return Ask(unlabel(source.label()), who or None, period, slots)


def _write_pot(out: Writer, pot: Pot) -> None:
    out.account(pot.depositor)
    out.amount(pot.amount)
    out.account(pot.residual)
    out.label(label(pot.name))
    out.number(len(pot.pays), 1)
    for outcome in sorted(pot.pays):
        rule = pot.pays[outcome]
        out.number(outcome, 1)
        out.number(kind_of(rule), 1)
        if isinstance(rule, Answered):
            out.number(rule.rung, 1)
        elif isinstance(rule, Root):
            out.number(rule.term, 4)
        else:
            out.accounts(rule.payees)
            numbers = rule.amounts if rule.amounts is not None else rule.weights
            if numbers is not None:
                out.number(len(numbers), 1)
                for number in numbers:
                    out.amount(number)


def _read_pot(source: Reader) -> Pot:
    depositor, amount, residual, name = source.account(), source.amount(), source.account(), unlabel(source.label())
    pays: dict[int, Rule] = {}
    for _ in range(source.number(1)):
        outcome = source.number(1)
        if pays and outcome <= max(pays):
            raise BadInput("rules that do not ascend by outcome", expected="each outcome once, ascending")
        pays[outcome] = _read_rule(source, source.number(1))
    return Pot(name, depositor, amount, pays, residual)


def _read_rule(source: Reader, kind: int) -> Rule:
    if kind == 3:
        return Answered(source.number(1))
    if kind == 4:
        return Root(source.number(4))
    if kind > 4:
        raise BadInput("an unknown kind of rule", expected="0 to 4", actual=kind)
    payees = source.accounts()
    if kind == 2:
        return Split(payees)
    numbers = tuple(source.amount() for _ in range(source.number(1)))
    return Split(payees, numbers if kind == 0 else None, numbers if kind == 1 else None)


def _hash(types: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
    from eth_abi.abi import encode

    return keccak256(encode(types, values))
