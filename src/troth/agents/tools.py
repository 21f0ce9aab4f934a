"""Tools: what an agent can do, each with typed arguments and one of three kinds of work.

- *Reading* changes nothing. It may be done again after a crash.
- *Saying* signs claims in the agent's name. It is told the intent's id, so that after a crash it can tell whether it
  was done.
- *Acting* moves money: it makes an ``Act``, and the gate decides. It names the arguments that decide where the money
  goes and how much; those must come from the owner's words or a signed claim (``troth.agents.origins``).

What any tool answers is text that was read. Arguments are checked here before a tool sees them: exactly those of its
schema, each of its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from troth.agents.brain import Form
from troth.core.encoding import amount, check, from_hex
from troth.core.errors import BadInput, Misuse

if TYPE_CHECKING:
    from troth.agents.gate import Act

Arguments = Mapping[str, Any]
MAX_TEXT = 20_000
"""Characters of an answer that a brain is shown, and of a text argument."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "flag": {"type": "boolean"},
    "amount": {"type": "string", "pattern": "^[0-9]{1,39}$"},
    "account": {"type": "string", "pattern": "^0x[0-9a-f]{40}$"},
    "claim": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "object": {"type": "object"},
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a tool. kind: text, integer, flag, amount (decimal text), account (0x and 40 hex digits), claim
    (64 hex digits; a deal's id too) or object (what a claim can hold).
    """

    kind: str
    about: str
    required: bool = True

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {**_SCHEMAS[self.kind], "description": self.about}

    def read(self, name: str, value: Any) -> Any:
        """The value, if it is of this kind: amounts as int, accounts and claims as bytes. Raises BadInput."""
        wanted = {"integer": int, "flag": bool, "object": dict}.get(self.kind, str)
        if type(value) is not wanted or len(str(value)) > MAX_TEXT:
            raise BadInput(f"wrong argument {name!r}", expected=f"{self.kind} as {wanted.__name__}",
                           actual=type(value).__name__)
        if self.kind == "amount":
            return amount(str(value))
        if self.kind == "account":
            return from_hex(str(value).removeprefix("0x"), 20)
        if self.kind == "claim":
            return from_hex(value, 32)
        if self.kind == "object":
            check(value)
        return value


@dataclass(frozen=True, slots=True)
class Reading:
    """Work that changes nothing."""

    read: Callable[[Arguments], str]


@dataclass(frozen=True, slots=True)
class Saying:
    """Work that signs claims. say: does it, for an intent. said: what it answered for that intent, None if it did not.

    ``say`` writes last what ``said`` looks for. money: as of ``Acting``, where it also pays within limits of its own.
    """

    say: Callable[[Arguments, bytes], str]
    said: Callable[[bytes], str | None]
    money: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acting:
    """Work that moves money. prepare: the act for these arguments; it sends nothing. money: the arguments that decide
    who is paid, how much and for what, and as what each is meant (``origins.PAYEE``, ``AMOUNT``, ``TARGET``).
    """

    prepare: Callable[[Arguments], Act]
    money: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. parameters None: another server's, which checks its own arguments by its own ``schema``.

    owner: who answers, where that is not Troth; shown with everything that it says.
    """

    name: str
    about: str
    work: Reading | Saying | Acting
    parameters: Mapping[str, Parameter] | None
    foreign: Mapping[str, Any] | None = None
    owner: str = ""

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise Misuse("not a tool's name", expected="small letters, digits, dots, dashes, at most 64",
                         actual=self.name)
        if isinstance(self.work, Acting | Saying) and not set(self.work.money) <= set(self.parameters or ()):
            raise Misuse("a tool that moves money by arguments it does not have", actual=", ".join(self.work.money))
        if (self.parameters is None) != (self.foreign is not None):
            raise Misuse("a tool has parameters or another's schema", actual=self.name)

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of its arguments."""
        if self.parameters is None:
            return self.foreign or {}
        return {"type": "object", "additionalProperties": False,
                "properties": {name: one.schema() for name, one in self.parameters.items()},
                "required": [name for name, one in self.parameters.items() if one.required]}

    def form(self) -> Form:
        """What a brain is told."""
        return Form(self.name, self.about, self.schema)

    def read(self, arguments: Any) -> Arguments:
        """The arguments, checked and read. Raises BadInput for one missing, surplus or of another type."""
        if type(arguments) is not dict:
            raise BadInput(f"{self.name}: not arguments", expected="an object", actual=type(arguments).__name__)
        if self.parameters is None:
            check(arguments)
            return arguments
        unknown = sorted(map(str, arguments.keys() - self.parameters.keys()))
        missing = sorted(name for name, one in self.parameters.items() if one.required and name not in arguments)
        if unknown or missing:
            raise BadInput(f"{self.name}: not these arguments", expected=", ".join(self.parameters) or "none",
                           actual=f"unknown: {', '.join(unknown) or 'none'}, missing: {', '.join(missing) or 'none'}")
        return {name: self.parameters[name].read(name, value) for name, value in arguments.items()}


class Toolbox:
    """Tools by name."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.add(*tools)

    def add(self, *tools: Tool) -> None:
        """Take in more. Raises Misuse for a name that is taken: a later tool must not pass for an earlier one."""
        for one in tools:
            if one.name in self._tools:
                raise Misuse("two tools of one name", actual=one.name)
            self._tools[one.name] = one

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def get(self, name: str) -> Tool:
        """Raises BadInput for a tool that is not here."""
        found = self._tools.get(name)
        if found is None:
            raise BadInput("no such tool", expected=", ".join(self._tools) or "none", actual=name)
        return found

    def forms(self) -> tuple[Form, ...]:
        """What a brain is told."""
        return tuple(one.form() for one in self)


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """The text, at most so many characters; what is left out is said."""
    return text if len(text) <= most else f"{text[:most]}\n[{len(text) - most} more characters are not shown]"


def lines(items: Sequence[str], none: str) -> str:
    """One a line, or that there are none."""
    return "\n".join(items) if items else none
