"""The server's end of a masked sum, and the transcript from which anybody sums again, bit for bit.

The server carries messages. It is trusted with nothing but bringing them: it can stop a sum, and nothing more.

A transcript is the session's bytes (u32 size before them) and a bundle of every message that counted or proves a fault.
Public keys and parcels are left out of it where nobody complained, and boxes of those who stayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.ports import KeyHistory
from troth.learn.masking import masks, parcels, vss
from troth.learn.masking.port import Fault, Session, Summed
from troth.learn.masking.proceedings import Proceedings
from troth.learn.masking.site import self_seed
from troth.learn.masking.wire import Message, Phase, Reader, block, bundle, unbundle


class BonawitzServer:
    """The server of one session.

    alike: every site is asked the same, with the sealed parts of all, as engines carry one call to many
    (`troth.learn.engines`); else each gets the parts for itself, which is fewer bytes.
    """

    __slots__ = ("_alike", "_proceedings", "_session")

    def __init__(self, session: Session, keys: KeyHistory, *, alike: bool = False) -> None:
        self._session, self._alike = session, alike
        self._proceedings = Proceedings(session, keys)

    @property
    def phase(self) -> Phase | None:
        """What is asked for now; None when all is said."""
        return self._proceedings.phase

    def calls(self) -> Mapping[str, bytes]:
        """What to ask each site now: the messages of the phase before, each with the part for that site."""
        found, phase = self._proceedings, self._proceedings.phase
        if phase is None:
            return {}
        if phase is Phase.KEYS:
            return {site: bundle(self._session.id, ()) for site in self._session.sites}
        before = found.heard[Phase(phase - 1)].values()
        sites = [self._session.sites[place] for place in found.members]
        if phase not in (Phase.SHARES, Phase.CONFIRM):
            exhibits = self._exhibits() if phase is Phase.MASKED else []
            bare = [message.with_parts(()) for message in before]
            return dict.fromkeys(sites, bundle(self._session.id, [*exhibits, *bare]))
        if self._alike:
            return dict.fromkeys(sites, bundle(self._session.id, before))
        return {site: bundle(self._session.id, [message.with_parts((place,)) for message in before])
                for site, place in zip(sites, found.members, strict=True)}

    def _exhibits(self) -> list[Message]:
        return [self._proceedings.heard[phase][sender].with_parts(places)
                for phase, senders in self._proceedings.exhibits().items() for sender, places in senders.items()]

    def take(self, answers: Mapping[str, bytes]) -> None:
        """The answers that came in time, by DID. What cannot be read or is another's counts as not come.

        Raises Undecidable where too few are left, Misuse when all is said.
        """
        phase = self._proceedings.phase
        if phase is None:
            raise Misuse("this sum has all its messages", expected="no further answers")
        messages = []
        for site, answer in answers.items():
            try:
                message = Message.from_bytes(answer)
            except BadInput:
                continue
            whole = len(message.parts) == len(message.digests)
            if whole and self._session.sites[message.sender:message.sender + 1] == (site,):
                messages.append(message)
        self._proceedings.accept(phase, messages)
        if phase is Phase.CONFIRM:
            self._proceedings.settle()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults proven so far, also where the sum does not come out."""
        return tuple(self._proceedings.faults)

    def result(self) -> Summed:
        """The sum. Raises Pending before the last phase, Undecidable where what was shown is not enough."""
        if self._proceedings.phase is not None:
            raise Pending("this sum still waits for answers", expected=self._proceedings.phase.name.lower(),
                          do="Ask the sites in `calls`, and `take` their answers.")
        return total(self._proceedings)

    def transcript(self) -> bytes:
        """What `check_transcript` takes. Raises Pending as `result`."""
        self.result()
        found = self._proceedings
        exhibits, gone = found.exhibits(), set(found.gone)
        kept = [*found.faulty]
        for phase, messages in found.heard.items():
            for sender, message in messages.items():
                whole = phase is Phase.MASKED or (phase is Phase.CONFIRM and sender in gone)
                kept.append(message if whole else message.with_parts(exhibits.get(phase, {}).get(sender, ())))
        return block("I", self._session.to_bytes()) + bundle(self._session.id, kept)


def check_transcript(data: bytes, keys: KeyHistory, session: Session) -> Summed:
    """The sum that a transcript gives, with every signature, set, complaint and share checked.

    session: the sum that the reader asks about; what the transcript says of itself must be the same.

    1. The session is the one asked about, and every message is of it.
    2. Phase by phase, each message is signed by its site, saw the messages before it, and counts or proves a fault.
    3. Complaints are judged from the keys shown.
    4. At least the threshold signed the one set of survivors.
    5. Shares lie on the committed polynomials; seeds are the tags'. The secrets follow from the shares, the masks from
       the secrets, and the sum from the masked vectors whose digests are signed.

    Raises BadInput for bytes that are no transcript, Refuted for one of another session or with messages that do not
    count, Undecidable where the sum does not follow.
    """
    reader = Reader(data)
    said = reader.block("I")
    if said != session.to_bytes():
        raise Refuted("a transcript of another sum", expected=session.id.hex(),
                      actual=Session.from_bytes(said).id.hex())
    messages = unbundle(data[4 + len(said):], session.id)
    found = Proceedings(session, keys)
    for phase in Phase:
        now = [one for one in messages if one.phase is phase]
        counted = found.accept(phase, now)
        surplus = {one.sender for one in now} - set(counted) - {one.sender for one in found.faulty
                                                                if one.phase is phase}
        if surplus:
            raise Refuted("a transcript with messages that do not count", expected="none",
                          actual=[session.sites[sender] for sender in sorted(surplus) if sender < len(session.sites)])
        if phase is Phase.CONFIRM:
            found.settle()
    return total(found)


def total(found: Proceedings) -> Summed:
    """The sum that follows from a session in which all was said. Raises Undecidable where it does not, BadInput for a
    masked vector that is missing."""
    session, seen = found.session, found.keys_view
    words = masks.to_words(np.zeros(session.length, np.int64), masks.word_size(session))
    for place in found.active:
        masked = found.heard[Phase.MASKED][place].parts.get(0)
        if masked is None:
            raise BadInput("a masked vector is missing", expected=f"the vector of {session.sites[place]}")
        words += masks.from_bytes(masked, session)
        masks.apply(words, self_seed(_secret(found, place), session, seen, place), subtract=True)
    for gone in found.gone:
        for place, seed in _pair_seeds(found, gone).items():
            # `place` added this mask where it comes first on the roster, and took it away where it comes later.
            masks.apply(words, seed, subtract=place < gone)
    vector = masks.to_vector(words)
    if len(vector) and max(int(vector.max()), -int(vector.min())) > session.bound * len(found.active):
        raise Undecidable("the sum is beyond what the vectors' bound allows: some site masked something else",
                          expected=f"at most {session.bound * len(found.active)}", actual="more",
                          do="Make new vectors and sum again; who it was cannot be seen behind the masks.")
    sites = session.sites
    return Summed(vector, tuple(sites[place] for place in found.active),
                  tuple(site for place, site in enumerate(sites) if place not in found.active), tuple(found.faults))


def _secret(found: Proceedings, place: int) -> int:
    """A site's self secret if it is in the sum, its backup secret if it is not."""
    shares = {sender + 1: reveal.shares[place] for sender, reveal in found.reveals.items()
              if sender in found.heard[Phase.UNMASK]}
    return vss.recover(shares, found.session.threshold)


def _pair_seeds(found: Proceedings, gone: int) -> dict[int, bytes]:
    """The seeds that a site that has gone shared with those in the sum: as they showed them, or else from its box."""
    seeds = {place: found.reveals[place].seeds[gone] for place in found.active if place in found.heard[Phase.UNMASK]}
    missing = [place for place in found.active if place not in seeds]
    if not missing:
        return seeds
    box = found.heard[Phase.CONFIRM][gone].parts.get(0)
    if box is None:
        raise BadInput("a backup box is missing", expected=f"the box of {found.session.sites[gone]}")
    key = parcels.box_key(_secret(found, gone), found.session, found.keys_view, gone)
    opened = parcels.open_box(key, found.session, box)
    for place in missing:
        if opened is None or not found.is_seed(gone, place, opened[place]):
            found.blame(gone, Phase.CONFIRM, "bad backup box")
            raise Undecidable("the masks of a site that has gone cannot be taken away",
                              expected="its backup box, or the word of everybody in the sum",
                              actual=found.session.sites[gone],
                              do="Make new vectors and sum them without it; its own box shows its fault.")
        seeds[place] = opened[place]
    return seeds


def sites_at_fault(faults: Iterable[Fault]) -> tuple[str, ...]:
    """Who broke the protocol, each once, in ascending order."""
    return tuple(sorted({fault.site for fault in faults}))
