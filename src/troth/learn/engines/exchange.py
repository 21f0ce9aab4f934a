"""The engine for sites that reach outward alone: calls and answers are letters in mailboxes.

A call lies in the mailbox ``<site>#calls``, an answer in ``<caller>#answers``. Anybody can put something there, so each
letter is a ``Message``: signed by who writes it, for one reader, about one call. What is unsigned, by somebody else, or
about another call is taken away unread. The exchange can drop and delay letters; a site is then absent.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from troth.core.errors import BadInput, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import Signer
from troth.identity.keybook import KeyBook
from troth.identity.messages import Message
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Answer, Tell, asked, sorted_out
from troth.ledger.exchange import Exchange

CALL, ANSWER = "troth-call-1", "troth-answer-1"
CALLS, ANSWERS = "#calls", "#answers"
ID = 32
LOOK = 20.0
"""Seconds that one look into a mailbox waits."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes and reads letters: its mailboxes, its signature, and whose documents it knows, as of now."""

    exchange: Exchange
    signer: Signer
    keys: Callable[[], KeyBook]

    def write(self, purpose: str, to: str, id_: bytes, data: bytes) -> None:
        """Put a letter into a mailbox. Raises OutsideFailed where the exchange does not take it."""
        body = hashlib.sha256(to.encode()).digest() + id_ + data
        box = to + (CALLS if purpose == CALL else ANSWERS)
        self.exchange.put(box, Message.sign(purpose, body, self.signer).to_bytes())

    def letters(self, purpose: str, patience: float) -> Iterator[tuple[str, bytes, bytes]]:
        """(sender, call, data) of each letter that waits; taken away once the next one is asked for."""
        box = self.signer.did + (CALLS if purpose == CALL else ANSWERS)
        mine = hashlib.sha256(self.signer.did.encode()).digest()
        for place in self.exchange.waiting(box, patience):
            try:
                data = self.exchange.read(place)
                if data is None:
                    continue
                message = Message.from_bytes(data)
                message.check(purpose, self.keys())
            except (BadInput, Refuted, Undecidable):
                self.exchange.done(place, refused=True)
                continue
            if message.body[:ID] == mine and len(message.body) >= 2 * ID:
                yield message.sender, message.body[ID : 2 * ID], message.body[2 * ID :]
            self.exchange.done(place)


class ExchangeEngine:
    """Calls sites through an exchange. writer: the caller."""

    def __init__(self, writer: Writer, *, most: int = MAX_ANSWER, tell: Tell | None = None) -> None:
        self._writer, self._most, self._tell = writer, most, tell or _nobody

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """As ``Engine.ask``. Raises OutsideFailed where the exchange takes no call for anybody."""
        names = asked(call, sites, patience, MAX_CALL)
        end, id_ = time.monotonic() + patience, secrets.token_bytes(ID)
        failed: OutsideFailed | None = None
        left = set[str]()
        for name in names:
            try:
                self._writer.write(CALL, name, id_, call)
                left.add(name)
            except OutsideFailed as error:
                failed = error
                self._tell(name, error.message)
        if failed is not None and not left:
            raise failed
        come: list[tuple[str, bytes]] = []
        while left and (rest := end - time.monotonic()) > 0:
            for sender, about, answer in self._writer.letters(ANSWER, min(rest, LOOK)):
                if about == id_ and sender in left:
                    come.append((sender, answer))
                    left.discard(sender)
        for name in names:
            if name in left:
                self._tell(name, "did not answer in time")
        return sorted_out(names, come, self._most, self._tell)


def answer_letters(writer: Writer, answer: Answer, callers: Callable[[], Sequence[str]], patience: float,
                   tell: Tell | None = None) -> int:
    """Answer the calls that wait, or the first that come within ``patience``; how many were answered.

    callers: who may call, by DID; anybody else's calls are taken away. A call stays until it is answered, so that one
    that a crash cut off is answered again. Where ``answer`` raises nothing is answered, and the caller goes on without.
    Raises OutsideFailed where the exchange cannot be used.
    """
    answered = 0
    for sender, id_, call in writer.letters(CALL, patience):
        if sender not in callers():
            continue
        try:
            said = answer(call)
        except TrothError as error:
            if tell:
                tell(sender, str(error))
            continue
        except Exception as error:  # whatever a user's own training code raises: this site is absent, and goes on
            if tell:
                tell(sender, f"{type(error).__name__}: {error}")
            continue
        if type(said) is not bytes or len(said) > MAX_ANSWER:
            if tell:
                tell(sender, "what was to be answered is no answer")
            continue
        writer.write(ANSWER, sender, id_, said)
        answered += 1
    return answered


def _nobody(site: str, why: str) -> None:
    """Tells nobody."""
