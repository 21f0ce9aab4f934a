"""Where arguments that move money come from, in a workspace: its owner's words, and claims of whom the owner named.

The rule is ``troth.agents.origins``. What this adds is which claims are records, and of what: those signed by the
identities that the owner named, never the agent's own. Of such a claim's body, a member says what its name says:
an account under ``payee``, ``to``, ``seller``, ``provider`` or ``worker`` is a payee; a number under ``amount`` or
``price`` an amount; a deal under ``deal`` and an address under ``url`` a target. The claim's own id is a target too.

Who was named only to vouch for what is bought says that and nothing else: its evaluations are targets, by their ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from troth.agents.journal import Origin
from troth.agents.loop import Sources
from troth.agents.origins import AMOUNT, PAYEE, TARGET, Claimed, Origins, refusal
from troth.agents.tools import Acting, Arguments, Saying, Tool
from troth.core.claims import Statement
from troth.core.encoding import amount, from_hex
from troth.core.errors import BadInput, Refuted
from troth.flows.sale_words import EVALUATION

if TYPE_CHECKING:
    from troth.app import Troth

_NAMES = {name: PAYEE for name in ("payee", "to", "seller", "provider", "worker")} \
    | {name: AMOUNT for name in ("amount", "price")} | {"deal": TARGET, "url": TARGET}


def sources_of(party: Troth, signers: Collection[str], evaluators: Collection[str] = ()) -> Sources:
    """The rule for a workspace. signers: whose claims count, besides the words; the agent's own never do. evaluators:
    whose evaluations may be named, and no more of what they say counts.
    """
    trusted, vouching = frozenset(signers) - {party.did}, frozenset(evaluators) - {party.did}

    def sources(words: str, tool: Tool, arguments: Arguments) -> tuple[Origin, ...]:
        """Where each value of a call that moves money comes from.

        Raises Refuted for one that neither the words nor anything signed names.
        """
        assert isinstance(tool.work, Acting | Saying)
        # A claim's or deal's id is written without 0x.
        bare = {value.hex(): value for value in arguments.values() if type(value) is bytes and len(value) == 32}
        origins = Origins((words,), records(party, trusted, vouching), bare)
        refused = refusal(tool.name, arguments, tool.work.money, origins)
        if refused is not None:
            raise Refuted(refused.said, do="Ask the owner to say it, or to sign it.")
        found = []
        for name, kind in tool.work.money.items():
            if name in arguments:
                value = origins.of(kind, arguments[name])
                found.append(Origin(name, "claim", from_hex(value.claim, 32)) if isinstance(value, Claimed)
                             else Origin(name, "words"))
        return tuple(found)
    return sources


def records(party: Troth, trusted: Collection[str],
            vouching: Collection[str] = ()) -> Mapping[str, Mapping[object, str]]:
    """What the claims of these identities in this log say, by kind and value: the newest claim that says it.

    vouching: of these, the ids of their evaluations alone.
    """
    found: dict[str, dict[object, str]] = {PAYEE: {}, AMOUNT: {}, TARGET: {}}
    for entry in party.log.iterate() if trusted or vouching else ():
        if entry.payload is None:
            continue
        statement = Statement.from_bytes(entry.payload)
        if statement.issuer in trusted:
            found[TARGET][entry.id] = entry.id.hex()
            for kind, value in _said(statement.body):
                found[kind][value] = entry.id.hex()
        elif statement.issuer in vouching and statement.kind == EVALUATION:
            found[TARGET][entry.id] = entry.id.hex()
    return found


def _said(body: Any) -> Iterator[tuple[str, object]]:
    if isinstance(body, Mapping):
        for name, value in body.items():
            if name in _NAMES and type(value) in (str, int):
                read = str(value) if name == "url" else _read(_NAMES[name], str(value))
                if read is not None:
                    yield _NAMES[name], read
            else:
                yield from _said(value)
    elif isinstance(body, list):
        for one in body:
            yield from _said(one)


def _read(kind: str, text: str) -> object | None:
    try:
        return amount(text) if kind == AMOUNT else from_hex(text.removeprefix("0x"), 20 if kind == PAYEE else 32)
    except BadInput:
        return None  # something else under that name
