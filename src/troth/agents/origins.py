"""Where the values of a call come from: the owner's words, a claim, or text that the agent read.

An agent reads web pages, mails and files, and whoever wrote them wants it to do things. Whatever model it runs cannot
be trusted to tell an order from a sentence. So the arguments that move money (whom, how much, what is changed) are not
looked at for sense but for where they come from:

- ``Owned``: it stands in the owner's own words, or in the owner's address book under a name that does;
- ``Claimed``: a record that the owner trusts says it, as that kind of thing: an account that the owner paid before is a
  payee, the sender of a payment is not, since anybody can send a penny;
- ``Read``: anything else. A call with such an argument needs the owner's approval.

A number may be computed: ``Origins.compute`` takes an expression over values that it types itself, and its result comes
from the least trusted of them.

What this does not do: it does not know what the owner meant. A number that stands in the words for one thing can be
used for another; the account's caps and payees bound what that costs. Words that the owner pasted are the owner's.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from types import MappingProxyType

from troth.agents.gate import Refused
from troth.core.errors import BadInput

PAYEE, AMOUNT, TARGET = "payee", "amount", "target"
"""What an argument that moves money says: whom it pays, how much it is, what it changes."""
NOT_OWNERS = "NotOwners"
"""The reason of a call that needs approval."""
MOST = 1000
_NUMBER = re.compile(r"(?<![\w.-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|-\d|\.\d)")


@dataclass(frozen=True, slots=True)
class Owned:
    """The owner's. words: those that hold it."""

    value: object
    words: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A trusted record's. claim: what names it, such as a claim's id in hex."""

    value: object
    claim: str


@dataclass(frozen=True, slots=True)
class Read:
    """What the agent read, made up, or got from either. source: what is known of it."""

    value: object
    source: str = "unknown"


Value = Owned | Claimed | Read


@dataclass(frozen=True, slots=True)
class Origins:
    """Types the plain values that a model hands to a tool, for one thing that the owner asked for.

    words: what the owner said, in full. records: what trusted claims say, by kind (PAYEE, AMOUNT, TARGET) and value:
    the claim. known: the owner's address book, name to value; a name counts where it stands in the words.
    """

    words: Sequence[str]
    records: Mapping[str, Mapping[object, str]] = field(default_factory=dict)
    known: Mapping[str, object] = field(default_factory=dict)

    def of(self, kind: str, value: object) -> Value:
        """Where a value comes from, as an argument of this kind; of a list or an object, of its least trusted part."""
        if isinstance(value, (Owned, Claimed, Read)):
            raise BadInput("a value that says itself where it comes from", expected="the plain value", actual=value)
        if isinstance(value, Mapping):
            return self._whole(kind, value, (*value.keys(), *value.values()))
        if isinstance(value, (list, tuple)):
            return self._whole(kind, value, value)
        for words in self.words:
            if says(words, value):
                return Owned(value, words)
            for name, meant in self.known.items():
                if same(meant, value) and says(words, name):
                    return Owned(value, words)
        for said, claim in self.records.get(kind, {}).items():
            if same(said, value):
                return Claimed(value, claim)
        return Read(value)

    def compute(self, kind: str, expression: str) -> Value:
        """A number from an expression over numbers (``+ - * /``, brackets), each of which must have an origin.

        Dividing by a plain whole number needs none: it only makes less. Raises BadInput for any other expression.
        """
        if len(expression) > MOST:
            raise BadInput("an expression too long", expected=f"at most {MOST} characters", actual=len(expression))
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
            with localcontext() as context:
                context.traps[Overflow] = True
                return self._computed(kind, tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError, InvalidOperation, DivisionByZero,
                Overflow) as error:
            raise BadInput("not an expression", expected="numbers, + - * / and brackets", actual=error) from None

    def _computed(self, kind: str, node: ast.expr) -> Value:
        number = _literal(node)
        if number is not None:
            return derived(number, self.of(kind, number))
        if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATORS:
            raise BadInput("not an expression", expected="numbers, + - * / and brackets", actual=ast.dump(node)[:60])
        left, by = self._computed(kind, node.left), _literal(node.right)
        if isinstance(node.op, ast.Div) and by is not None and by >= 1 and by == by.to_integral_value():
            return derived(_decimal(left) / by, left)
        right = self._computed(kind, node.right)
        return derived(_OPERATORS[type(node.op)](_decimal(left), _decimal(right)), left, right)

    def _whole(self, kind: str, value: object, parts: Iterable[object]) -> Value:
        return derived(value, *(self.of(kind, part) for part in parts))


def derived(value: object, *parts: Value) -> Value:
    """A value that was made of others: it comes from the least trusted of them; of nothing, from nobody."""
    for part in parts:
        if isinstance(part, Read):
            return Read(value, part.source)
    for part in parts:
        if isinstance(part, Claimed):
            return Claimed(value, part.claim)
    return Owned(value, parts[0].words) if parts and isinstance(parts[0], Owned) else Read(value)


def unsaid(arguments: Mapping[str, Value]) -> tuple[str, ...]:
    """The arguments that come from neither the owner nor a claim."""
    return tuple(name for name, value in arguments.items() if isinstance(value, Read))


def refusal(tool: str, arguments: Mapping[str, object], money: Mapping[str, str], origins: Origins,
            sums: Mapping[str, str] = MappingProxyType({})) -> Refused | None:
    """Why a call needs the owner's approval, or None. money: which arguments move money, and as what (PAYEE, …).

    sums: of arguments that were computed, the expression (``Origins.compute``), which must give the argument.
    An argument that is not given moves nothing; None counts as not given. A list or an object is looked into.
    Raises BadInput for an expression that is none.
    """
    typed = {}
    for name, kind in money.items():
        value = arguments.get(name)
        if value is None:
            continue
        typed[name] = origins.of(kind, value)
        if isinstance(typed[name], Read) and name in sums:
            computed = origins.compute(kind, sums[name])
            if same(computed.value, value):
                typed[name] = computed
    wrong = unsaid(typed)
    if not wrong:
        return None
    told = ", ".join(f"{name} {_shown(typed[name].value)}" for name in wrong)
    return Refused(NOT_OWNERS, f"{tool}: {told} comes neither from the owner's words nor from a claim")


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else repr(value)


def says(words: str, value: object) -> bool:
    """Whether words hold a value: a number as a number, whatever its spelling; a text whole, not as part of a word."""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, (int, float, Decimal)):
        return any(_exact(one.replace(",", "")) == _exact(value) for one in _NUMBER.findall(words))
    if isinstance(value, bytes):
        return says(words.lower(), "0x" + value.hex())
    if not isinstance(value, str) or not value.strip():
        return False
    # A word that goes on is another word: GB29 is not in GB291, nor 10 in 10.5.
    return re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\w)", words) is not None


def same(one: object, other: object) -> bool:
    """Whether two plain values are the same: numbers as numbers, and a truth value is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return _exact(one) == _exact(other)
    return type(one) is type(other) and one == other


def _exact(value: int | float | str | Decimal) -> Decimal:
    """A number as it is written: 0.1 is a tenth."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _literal(node: ast.expr) -> Decimal | None:
    """The number that stands there, if one does."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        found = _exact(node.value)
        return found if found.is_finite() else None
    return None


def _decimal(value: Value) -> Decimal:
    assert isinstance(value.value, Decimal)
    return value.value


_OPERATORS: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
