"""Where an argument that moves money came from: the owner's words, or a claim of the owner or of whom it named.

Text that an agent read is no source, and neither is what the agent says itself: a claim of its own is not one either.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from troth.agents.journal import Origin
from troth.agents.loop import Sources
from troth.agents.tools import Acting, Tool
from troth.core.errors import Refuted

if TYPE_CHECKING:
    from troth.app import Troth

_WORD = re.compile(r"[^\s,;:!?()\"'<>\[\]{}]+")


def sources_of(party: Troth, signers: Collection[str]) -> Sources:
    """The rule for a workspace. signers: whose claims may say where money goes; never the agent's own.

    An argument is founded if it stands in the owner's words as a word of its own, digits grouped by nothing, or if it
    is a value in the body of a claim of a signer. Raises Refuted for one that is neither.
    """
    trusted = frozenset(signers) - {party.did}

    def sources(words: str, tool: Tool, arguments: Mapping[str, Any]) -> tuple[Origin, ...]:
        assert isinstance(tool.work, Acting)
        said = {word.rstrip(".").lower() for word in _WORD.findall(words)}
        found = []
        for name in tool.work.money:
            value = str(arguments.get(name, "")).lower()
            if value in said:
                found.append(Origin(name, "words"))
                continue
            claim = _signed(party, trusted, value)
            if claim is None:
                raise Refuted(f"{name} of {tool.name} was only read: it stands neither in the owner's words nor in a "
                              "claim of whom the owner named", actual=value[:80],
                              do="Ask the owner to say it, or to sign it.")
            found.append(Origin(name, "claim", claim))
        return tuple(found)
    return sources


def _signed(party: Troth, trusted: Collection[str], value: str) -> bytes | None:
    if not trusted or not value:
        return None
    bare = value.removeprefix("0x")
    for entry in party.log.iterate():
        if entry.payload is None:
            continue
        statement = party.statement(entry.id)
        if statement.issuer in trusted and any(one.removeprefix("0x") == bare for one in _values(statement.body)):
            return entry.id
    return None


def _values(body: Any) -> Iterator[str]:
    if isinstance(body, Mapping):
        for one in body.values():
            yield from _values(one)
    elif isinstance(body, list):
        for one in body:
            yield from _values(one)
    elif type(body) in (str, int):
        yield str(body).lower()
