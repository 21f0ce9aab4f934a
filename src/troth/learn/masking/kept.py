"""The ends of masked sums that survive a restart: what is said stands in the journal before it leaves.

And several sums at a time, as the groups of a round are summed: each phase is one call to all of their sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from troth.core.encoding import sha256
from troth.core.errors import Misuse, Undecidable
from troth.core.ports import KeyHistory, Signer
from troth.learn.masking.journal import Part, SumJournal
from troth.learn.masking.port import Session
from troth.learn.masking.server import BonawitzServer
from troth.learn.masking.site import BonawitzSite
from troth.learn.masking.wire import Phase, Reader, block

MAGIC = b"troth-sums-1\n"
Ask = Callable[[bytes, Sequence[str], Phase], Mapping[str, bytes]]
"""Carries one call to these sites and brings the answers that came in time, by DID."""


class _Drawn:
    """The random bytes of a sum, from its seed: a stream a phase, so that a refused call moves no later one."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.turn(Phase.KEYS)

    def turn(self, phase: Phase) -> None:
        key = sha256(b"troth/masking/stream/1\n" + bytes([phase]) + self._seed)
        self._stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def __call__(self, count: int) -> bytes:
        return self._stream.update(bytes(count))


class KeptSite:
    """A site's end of one sum, from its part in the journal. Made anew after a restart it goes on where it was.

    Raises Refuted where the part is in another sum, and what `BonawitzSite` raises.
    """

    __slots__ = ("_drawn", "_journal", "_session", "_site")

    def __init__(self, session: Session, signer: Signer, keys: KeyHistory, part: Part, journal: SumJournal) -> None:
        self._session, self._journal = session, journal
        if part.session != session.id:
            raise Misuse("a part in another sum", expected=session.id.hex(), actual=part.session.hex())
        self._site: BonawitzSite | None = None
        if part.seed is None or part.vector is None:
            return
        self._drawn = _Drawn(part.seed)
        self._site = BonawitzSite(session, signer, keys, part.vector, self._drawn)
        for phase, said in zip(Phase, journal.said(session.id), strict=False):
            if said.call is None:
                raise Undecidable("a part of a sum whose calls are gone", actual=session.id.hex())
            self._drawn.turn(phase)
            self._site.resume(said.call, said.answer)

    def __repr__(self) -> str:
        return f"KeptSite({self._site})"

    def answer(self, call: bytes) -> bytes:
        """The answer to a call; to one that was answered before, in whatever process, the same. Raises as
        `BonawitzSite.answer`, Misuse for another call once the sum is over."""
        name = self._session.id
        before = self._journal.answered(name, call)
        if before is not None:
            return before
        if self._site is None:
            raise Misuse("this site's part of the sum is over", expected="no further call")
        phase = self._site.phase
        if phase is None:
            raise Misuse("this site has done its part of the sum", expected="no further call")
        self._drawn.turn(phase)
        answer = self._site.answer(call)
        self._journal.say(name, phase, call, answer)
        return answer


def split_calls(data: bytes) -> Mapping[bytes, bytes]:
    """The calls of several sums, by session. Raises BadInput."""
    reader, found = Reader(data), dict[bytes, bytes]()
    reader.expect(MAGIC)
    for _ in range(reader.number("H")):
        session = reader.take(32)
        found[session] = reader.block("I")
    reader.end()
    return found


def _join_calls(calls: Mapping[bytes, bytes]) -> bytes:
    head = MAGIC + len(calls).to_bytes(2, "little")
    return head + b"".join(session + block("I", call) for session, call in calls.items())


class Sums:
    """Several sums over different sites, each phase of all of them at once.

    sites: whom to ask; who is on a roster and not among them has dropped out from the start.
    """

    def __init__(self, sessions: Sequence[Session], keys: KeyHistory, sites: Sequence[str],
                 journal: SumJournal) -> None:
        self._sessions, self._journal, self._sites = tuple(sessions), journal, frozenset(sites)
        self._servers = {one.id: BonawitzServer(one, keys, alike=True) for one in sessions}
        self._failed = dict[bytes, str]()

    def run(self, ask: Ask) -> tuple[bytes | None, ...]:
        """Sum to the end; each sum's transcript, in order, None where too few sites stayed. ``failed`` says why."""
        for phase in Phase:
            calls = {name: dict(server.calls()) for name, server in self._servers.items() if name not in self._failed}
            asked = {name: [did for did in found if did in self._sites] for name, found in calls.items()}
            heard = {name: self._journal.heard(name, phase) for name in calls}
            waiting = [name for name in calls if heard[name] is None]
            if waiting:
                dids = [did for name in waiting for did in asked[name]]
                whole = _join_calls({name: next(iter(calls[name].values())) for name in waiting})
                answers = ask(whole, dids, phase)
                for name in waiting:
                    heard[name] = self._journal.hear(name, phase, {
                        did: answers[did] for did in asked[name] if did in answers})
            for name in calls:
                try:
                    self._servers[name].take(heard[name] or {})
                except Undecidable as error:
                    self._failed[name] = error.message
        return tuple(map(self._transcript, self._sessions))

    def _transcript(self, session: Session) -> bytes | None:
        if session.id in self._failed:
            return None
        try:
            return self._servers[session.id].transcript()
        except Undecidable as error:
            self._failed[session.id] = error.message
            return None

    @property
    def failed(self) -> tuple[str, ...]:
        """Why sums did not come out, in order."""
        return tuple(self._failed[one.id] for one in self._sessions if one.id in self._failed)


def write_transcripts(transcripts: Sequence[bytes | None]) -> bytes:
    """A round's transcripts as one piece of evidence, in the order of its sums; nothing for one that did not come out.
    """
    return MAGIC + len(transcripts).to_bytes(2, "little") + b"".join(block("I", one or b"") for one in transcripts)


def read_transcripts(data: bytes) -> tuple[bytes | None, ...]:
    """What `write_transcripts` wrote. Raises BadInput."""
    reader = Reader(data)
    reader.expect(MAGIC)
    found = tuple(reader.block("I") or None for _ in range(reader.number("H")))
    reader.end()
    return found
