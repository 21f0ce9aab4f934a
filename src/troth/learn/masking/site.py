"""A site's end of a masked sum (Bonawitz et al. 2017, with verifiable shares and a phase that confirms them).

1. **keys**: a fresh public key for each peer, signed by the identity.
2. **shares**: on the signed keys of all: shares of two secrets to each peer, sealed and signed, with commitments; and
   from the later site of a pair to the earlier, the material of their mask's seed.
3. **confirm**: every parcel is opened and checked; a bad one is shown. Its own pairs' seeds go into a box under the
   backup secret.
4. **masked**: vector + mask of its self secret + masks of its pairs with all who confirmed, one's added, the other's
   taken away.
5. **agree**: it signs whose masked vectors the server says it has: once.
6. **unmask**: where at least the threshold signed that very set, it shows, for each site, *either* its share of the
   self secret, if the site is in the set, *or* its share of the backup secret, if it is not. The server is never asked
   which: it follows from what was signed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.ports import KeyHistory, Signer
from troth.fixed.numbers import IntArray
from troth.learn.masking import masks, parcels, vss
from troth.learn.masking.port import Random, Session
from troth.learn.masking.proceedings import Proceedings
from troth.learn.masking.wire import Message, Phase, sign, unbundle
from troth.store.wrapping import SEED_LENGTH, RecipientKey


class BonawitzSite:
    """One site in one session. Its secrets live in memory only, and until it has shown its shares: one that crashed has
    dropped out, unless a journal kept what it drew and said (`kept.KeptSite`)."""

    __slots__ = ("_channel", "_index", "_last", "_own", "_proceedings", "_random", "_secrets", "_seeds", "_session",
                 "_shares", "_signer", "_vector")

    def __init__(self, session: Session, signer: Signer, keys: KeyHistory, vector: IntArray,
                 random: Random = os.urandom) -> None:
        self._session, self._signer, self._random = session, signer, random
        self._index = session.index(signer.did)
        self._vector = session.check_vector(vector).copy()
        self._proceedings = Proceedings(session, keys)
        self._own: dict[Phase, Message] = {}
        self._last = (b"", b"")
        self._channel: dict[int, RecipientKey] = {}
        self._secrets = (0, 0)
        self._seeds: dict[int, bytes] = {}
        self._shares: dict[int, tuple[vss.Share, vss.Share]] = {}

    def __repr__(self) -> str:
        return f"BonawitzSite({self._signer.did}, {len(self._own)} of {len(Phase)} phases)"

    @property
    def spent(self) -> bool:
        """Whether this site has shown shares. Then its vector must not go into another sum: a server that says this one
        failed may have had it, and the difference of two sums over other sites would be the vector of one."""
        return Phase.UNMASK in self._own

    @property
    def phase(self) -> Phase | None:
        """The phase that this site speaks in next; None after the last."""
        return Phase(len(self._own) + 1) if len(self._own) < len(Phase) else None

    def resume(self, call: bytes, said: bytes) -> None:
        """Hear a call again that was answered by ``said`` before a restart, with the random bytes of then.

        What was said then is what this site stands by: sealing draws its own random bytes. Raises Undecidable where it
        would say something else now, and what ``answer`` raises.
        """
        phase = Phase(len(self._own) + 1)
        again, before = Message.from_bytes(self.answer(call)), Message.from_bytes(said)
        if (again.phase, again.head, len(again.digests)) != (before.phase, before.head, len(before.digests)):
            raise Undecidable("this part of a sum cannot be gone on with", expected=before.head.hex()[:32],
                              actual=again.head.hex()[:32], do="Take part in the next round.")
        self._own[phase], self._last = before, (hashlib.sha256(call).digest(), said)

    def answer(self, call: bytes) -> bytes:
        """The answer to a server's call; the same call again gets the same answer.

        Raises BadInput for bytes that are no call of this session, Refuted for one that shows the server lying,
        Undecidable for one with fewer sites than the threshold, Misuse after the last phase.
        """
        name = hashlib.sha256(call).digest()
        if name == self._last[0]:
            return self._last[1]
        if len(self._own) == len(Phase):
            raise Misuse("this site has done its part of the sum", expected="no further call")
        phase = Phase(len(self._own) + 1)
        messages = unbundle(call, self._session.id)
        trial = self._proceedings.copy()
        if phase is Phase.KEYS:
            if messages:
                raise BadInput("the first call of a sum holds no messages", actual=len(messages))
        else:
            self._hear(trial, Phase(phase - 1), messages)
        steps = (self._keys, self._deal, self._confirm, self._mask, self._agree, self._unmask)
        head, parts = steps[phase - 1](trial)
        message = sign(self._signer, phase, self._session.id, self._index, head, parts)
        self._proceedings, self._own[phase] = trial, message
        self._last = (name, message.to_bytes())
        return self._last[1]

    def _hear(self, trial: Proceedings, phase: Phase, messages: Sequence[Message]) -> None:
        """Take in what the server passed on. Every message must count, and its own must be among them."""
        now = [one for one in messages if one.phase is phase]
        if not now:
            raise Misuse("a call out of turn", expected=f"messages of phase {phase.name.lower()}",
                         actual=[one.phase.name.lower() for one in messages])
        counted = trial.accept(phase, now)
        if len(counted) != len(now):
            raise Refuted("the server passed on a message that does not count", expected="messages of this phase, "
                          "signed by sites still in, that saw what this site saw",
                          actual=[self._session.sites[one.sender] for one in now if one.sender not in counted])
        own = trial.heard[phase].get(self._index)
        if phase is not Phase.AGREE and (own is None or own.digest != self._own[phase].digest):
            raise Refuted("the server leaves this site out, or passes on what it did not say",
                          expected=f"this site's message of phase {phase.name.lower()}")
        for exhibit in messages:
            if exhibit.phase is not phase:
                trial.add_parts(exhibit)

    def _keys(self, _: Proceedings) -> tuple[bytes, list[bytes]]:
        places = range(len(self._session.sites))
        self._channel = {place: RecipientKey(self._random(SEED_LENGTH)) for place in places if place != self._index}
        return b"", [self._channel[place].public().data if place in self._channel else b"" for place in places]

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        session, own, seen = self._session, self._index, trial.keys_view
        places = [place + 1 for place in trial.members]
        self_secret, backup = self._secrets = vss.scalar(self._random), vss.scalar(self._random)
        commitments, self_shares = vss.deal(self_secret, session.threshold, places, self._random)
        backups, backup_shares = vss.deal(backup, session.threshold, places, self._random)
        self._shares[own] = self_shares[own + 1], backup_shares[own + 1]
        tags, sealed = [bytes(32)] * own, [b""] * len(session.sites)
        for place, message in trial.heard[Phase.KEYS].items():
            if place == own:
                continue
            material = b""
            if place < own:
                material = self._random(masks.SEED)
                self._seeds[place] = parcels.pair_seed(material, session, seen, own, place)
                tags[place] = parcels.tag(session, own, place, self._seeds[place])
            sealed[place] = parcels.seal(session, seen, own, place, _part(message, own),
                                         (self_shares[place + 1], backup_shares[place + 1], material))
        return b"".join([seen, commitments, backups, *tags]), sealed

    def _confirm(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        complaints = []
        for dealer, message in trial.heard[Phase.SHARES].items():
            if dealer == self._index:
                continue
            key = self._channel[dealer].seed
            found = trial.parcel(dealer, self._index, _part(message, self._index), key)
            if found is None:
                complaints.append(bytes([dealer]) + key)
                continue
            self._shares[dealer] = found[:2]
            if dealer > self._index:
                self._seeds[dealer] = found[2]
        key = parcels.box_key(self._secrets[1], self._session, trial.keys_view, self._index)
        box = parcels.seal_box(key, self._session, self._seeds)
        return b"".join([trial.view(Phase.SHARES), bytes([len(complaints)]), *complaints]), [box]

    def _mask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        trial.settle()
        if self._index not in trial.confirmed:
            raise Refuted("this site is held to be at fault", actual=[one.reason for one in trial.faults])
        words = masks.to_words(self._vector, masks.word_size(self._session))
        masks.apply(words, self_seed(self._secrets[0], self._session, trial.keys_view, self._index))
        for place in trial.confirmed:
            if place != self._index:
                masks.apply(words, self._seeds[place], subtract=place < self._index)
        return trial.view(Phase.CONFIRM), [words.tobytes()]

    def _agree(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        return trial.view(Phase.MASKED), []

    def _unmask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        shown = [trial.view(Phase.AGREE)]
        active, gone = set(trial.active), set(trial.gone)
        if active & gone or active | gone != set(trial.confirmed):  # cannot be; were it so, both shares might be shown
            raise Refuted("a site is both in the sum and gone", expected="one of the two")
        for place in trial.confirmed:
            self_share, backup_share = self._shares[place]
            shown.append(self_share.to_bytes() if place in active else backup_share.to_bytes() + self._seeds[place])
        self._channel, self._shares, self._seeds, self._secrets = {}, {}, {}, (0, 0)
        return b"".join(shown), []


def self_seed(secret: int, session: Session, keys_view: bytes, index: int) -> bytes:
    """The seed of a site's self mask."""
    return masks.seed(secret.to_bytes(vss.SCALAR, "big"), session, "self", keys_view, index)


def _part(message: Message, index: int) -> bytes:
    if index not in message.parts:
        raise BadInput("the server withholds a part", expected=f"part {index} of site {message.sender}'s message",
                       do="Ask the server to send the call whole.")
    return message.parts[index]
