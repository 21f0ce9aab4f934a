"""What decides an agent's next step: a port, and a script that implements it.

A brain is told the owner's words, what tools there are, and what they answered so far. It says one step: a call of a
tool, with its reasons, or that it is done. It moves nothing itself, and what it says of its own confidence is asked
by nobody: there is no place for it in a step.

What a tool answered is text that was *read*. Whether an argument may move money is decided behind the brain
(``troth.agents.loop``), so a brain that believes everything it reads is a poor one, and no danger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from troth.core.encoding import decode_object, jcs, take
from troth.core.errors import BadInput

MAX_WHY = 2_000
"""Characters of a step's reasons that are kept."""
MAX_RULES = 200


@dataclass(frozen=True, slots=True)
class Form:
    """What a brain is told of a tool: its name, what it is for, and the JSON schema of its arguments."""

    name: str
    about: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """The step of calling a tool. why: the brain's reasons, in its words; they are recorded, and decide nothing."""

    tool: str
    arguments: Mapping[str, Any]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The step of having nothing left to do. text: what the owner is told."""

    text: str


Step = Call | Finish


@dataclass(frozen=True, slots=True)
class Seen:
    """A call and what came of it. text: read, whoever wrote it. done: whether the tool did what it is for."""

    call: Call
    text: str
    done: bool = True


class Brain(Protocol):
    """Decides. ``name`` is recorded with each act: which brain, not whose."""

    @property
    def name(self) -> str:
        """What this brain is called in the journal."""
        ...

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        """The next step. words: the owner's. seen: every call of this run so far, in order.

        Raises BadInput where it says nothing that is a step, OutsideFailed where it cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a script: the step, and the text that the newest answer must hold for it. when: a regular expression.

    An argument that is just ``{"read": pattern}`` takes the first group of the newest answer that the pattern finds.
    """

    step: Step
    when: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """A brain of rules: each is used once, in order; one whose ``when`` is not found in the newest answer is left out.

    The same script over the same answers takes the same steps. After the last rule it is done.
    """

    rules: tuple[Rule, ...]
    name: str = "script"

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        """The step after ``seen``. Raises BadInput for an argument that is to be read and was not there to read."""
        at = 0
        for rule in self.rules:
            before = seen[:at]
            if rule.when and not (before and re.search(rule.when, before[-1].text)):
                continue
            if isinstance(rule.step, Finish) or at == len(seen):
                return rule.step if isinstance(rule.step, Finish) else _filled(rule.step, before)
            at += 1
        return Finish("the script is at its end")

    @classmethod
    def of(cls, data: bytes, name: str = "script") -> Self:
        """Read a script: JSON ``{"rules": [{"tool", "arguments", "why", "when"} or {"finish", "when"}]}``.

        ``why`` and ``when`` may be left out. Raises BadInput.
        """
        (rules,) = take(decode_object(jcs(data)), rules=list)
        if not 1 <= len(rules) <= MAX_RULES:
            raise BadInput("not a script", expected=f"1 to {MAX_RULES} rules", actual=len(rules))
        return cls(tuple(map(_rule, rules)), name)


def _rule(value: Any) -> Rule:
    if type(value) is not dict:
        raise BadInput("not a rule", expected="an object", actual=type(value).__name__)
    if "finish" in value:
        text, when = take({"when": ""} | value, finish=str, when=str)
        return Rule(Finish(text), _pattern(when))
    tool, arguments, why, when = take({"why": "", "when": ""} | value, tool=str, arguments=dict, why=str, when=str)
    for one in arguments.values():
        if _to_read(one):
            _pattern(one["read"])
    return Rule(Call(tool, arguments, why), _pattern(when))


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise BadInput("not a pattern", expected="a regular expression", actual=f"{text!r}: {error}") from None
    return text


def _to_read(argument: Any) -> bool:
    return type(argument) is dict and argument.keys() == {"read"} and type(argument["read"]) is str


def _filled(call: Call, before: Sequence[Seen]) -> Call:
    return Call(call.tool, {name: _read(one["read"], before) if _to_read(one) else one
                            for name, one in call.arguments.items()}, call.why)


def _read(pattern: str, before: Sequence[Seen]) -> str:
    for one in reversed(before):
        found = re.search(pattern, one.text)
        if found:
            return found[1] if found.re.groups else found[0]
    raise BadInput("nothing that was read has it", expected=pattern)
