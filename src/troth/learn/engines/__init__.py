"""Engines carry a call to sites and their answers back. They know nothing of learning, claims or money.

A call and an answer are bytes. Whoever calls signs what it says inside them, and whoever answers does too: an engine
is not trusted, and what it alters, replays or withholds is noticed by those who read. So one code path signs, checks
and rejects, whatever carries it: in this process, through an exchange, over Flower.

What a site's failure may do is small: a site that fails, is slow, or answers too much is absent from what comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from troth.core.errors import Misuse

MAX_CALL = MAX_ANSWER = 64 << 20
"""The most bytes of a call or an answer, unless an engine is told otherwise: 1,000,000 parameters are 8 MB."""

Answer = Callable[[bytes], bytes]
"""What a site does with a call. It may raise: the site is then absent."""
Tell = Callable[[str, str], None]
"""Told (site, why) of each site that is absent, where the engine learns why."""


class Engine(Protocol):
    """Carries one call to many sites at a time. ``EngineSuite`` in the tests holds every engine to this."""

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """Ask these sites, by DID, and wait ``patience`` seconds at most; the answers that came, in the sites' order.

        - A site named twice is asked once. Its first answer to this call counts; an answer to another call never does.
        - Absent: who did not answer in time, failed, is not known, or said more than the engine carries.
        - What arrives in the name of a site that was not asked is dropped.

        Raises Misuse for a call that is too long and for patience that is no time; never for what one site did.
        OutsideFailed where nobody can be asked at all.
        """
        ...


def asked(call: bytes, sites: Iterable[str], patience: float, most: int = MAX_CALL) -> tuple[str, ...]:
    """The sites to ask, each once. Raises Misuse for a call of more than ``most`` bytes or patience that is no time."""
    if len(call) > most:
        raise Misuse("this call is too long", expected=f"at most {most} bytes", actual=len(call))
    if not 0 < patience < math.inf:
        raise Misuse("nobody can be waited for that long", expected="a positive number of seconds", actual=patience)
    return tuple(dict.fromkeys(sites))


def sorted_out(sites: Sequence[str], answers: Iterable[tuple[str, object]], most: int = MAX_ANSWER,
               tell: Tell | None = None) -> dict[str, bytes]:
    """The first answer by each of these sites, in their order, so that nothing depends on who was quicker.

    Left out: answers by anybody else, and answers that are no bytes or more than ``most`` of them. A site is not given
    a second try: its first answer is its answer.
    """
    first: dict[str, object] = {}
    for site, answer in answers:
        first.setdefault(site, answer)
    found = {}
    for site in sites:
        answer = first.get(site)
        if type(answer) is bytes and len(answer) <= most:
            found[site] = answer
        elif site in first and tell:
            size = f"{len(answer)} bytes" if isinstance(answer, bytes) else type(answer).__name__
            tell(site, f"answered {size}; at most {most} bytes are taken")
    return found
