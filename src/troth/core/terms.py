"""The terms of a deal: what each party promises before anything is done. See docs/reference/deals.md, section 1.

Accounts are 20 bytes, amounts and times integers. Everything that is hashed or sent on chain has one ABI form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from troth.core.encoding import keccak256
from troth.core.errors import BadInput

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
    """The text of a bytes32 name."""
    return data.rstrip(b"\x00").decode()


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

    def abi(self) -> tuple[Any, ...]:
        """The tuple that is hashed and sent on chain; rules ascend by outcome."""
        rules = tuple(_rule(outcome, self.pays[outcome]) for outcome in sorted(self.pays))
        return (label(self.name), self.depositor, self.amount, self.residual, rules)

    def hash(self) -> bytes:
        """The pot's hash, as ``join`` carries it."""
        return _hash((POT,), (self.abi(),))


@dataclass(frozen=True, slots=True)
class Ask:
    """Who is asked for which kind of claim, and for how many seconds. ``who`` None: the accounts asked before."""

    kind: str
    who: tuple[Account, ...] | None
    period: int
    slots: int = 1

    def abi(self) -> tuple[Any, ...]:
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
        return (self.policy, self.codehash, tuple(ask.abi() for ask in self.asks), self.verdict_period, self.window,
                self.bond, self.silent, self.param)

    def hash(self) -> bytes:
        """The rung's hash."""
        return _hash((RUNG,), (self.abi(),))

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

    def abi(self) -> tuple[Any, ...]:
        return (self.token, self.fund_by, self.wrong_bonds, tuple(pot.abi() for pot in self.pots),
                tuple(rung.abi() for rung in self.rungs))

    def head(self) -> tuple[Any, ...]:
        """(token, fund_by, wrong_bonds, pot hashes, rung hashes): what ``join`` carries besides its pot."""
        return (self.token, self.fund_by, self.wrong_bonds, tuple(pot.hash() for pot in self.pots),
                tuple(rung.hash() for rung in self.rungs))

    def hash(self) -> bytes:
        """The terms' hash."""
        return _hash(("address", "uint64", "address", "bytes32[]", "bytes32[]"), self.head())

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

    def abi(self) -> tuple[Any, ...]:
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
RULE = "(uint8,uint8,uint8,uint32,address[],uint128[])"
POT = f"(bytes32,address,uint128,address,{RULE}[])"
RUNG = f"(address,bytes32,{ASK}[],uint32,uint32,uint128,uint8,bytes32)"
TERMS = f"(address,uint64,address,{POT}[],{RUNG}[])"
RESULT = "(uint8,uint128[],address[],bytes32,uint128)"
ENTRY = "(uint8,address,uint8,uint8,uint8,uint64,bytes32,bytes)"


def deal_id(chain_id: int, book: Account, opener: Account, salt: bytes, terms_hash: bytes) -> bytes:
    """The deal's id: a hash, never a counter, so that a re-organisation cannot reassign it."""
    return _hash(("uint256", "address", "address", "bytes32", "bytes32"), (chain_id, book, opener, salt, terms_hash))


def history_hash(previous: bytes, entry: Entry) -> bytes:
    """The history's hash after one more entry."""
    return keccak256(previous + _hash((ENTRY,), (entry.abi(),)))


def payout_leaf(chain_id: int, book: Account, deal: bytes, pot: int, index: int, account: Account,
                amount: int) -> bytes:
    """Leaf of a payout tree: hashed twice, so that no inner node can pass for a leaf."""
    types = ("uint256", "address", "bytes32", "uint8", "uint256", "address", "uint128")
    return keccak256(_hash(types, (chain_id, book, deal, pot, index, account, amount)))


def _rule(outcome: int, rule: Rule) -> tuple[Any, ...]:
    if isinstance(rule, Answered):
        return (outcome, 3, rule.rung, 0, (), ())
    if isinstance(rule, Root):
        return (outcome, 4, 0, rule.term, (), ())
    if rule.amounts is not None and rule.weights is not None:
        raise BadInput("a split by amounts and by weights", expected="one of them", do="Leave the other None.")
    kind = 0 if rule.amounts is not None else 1 if rule.weights is not None else 2
    return (outcome, kind, 0, 0, rule.payees, rule.amounts or rule.weights or ())


def _hash(types: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
    from eth_abi.abi import encode

    return keccak256(encode(types, values))
