"""What was signed in a masked sum, phase by phase, and what follows: who counts, who is at fault, and the sum.

The same code runs at each site (on messages without the parts of others), at the server and at whoever checks a
transcript, so the three cannot disagree on who is in.

Heads, by phase; ``view`` is the digest of the messages of the phase before, so nobody goes on who saw other ones:

=======  =====================================================================================  ====================
phase    head                                                                                   parts
=======  =====================================================================================  ====================
keys     none                                                                                   a public key a place
shares   view, commitments to the self secret and to the backup secret, a tag an earlier place  a parcel a place
confirm  view, u8 count, each: u8 dealer, the key (32) that shows its parcel to be bad          the backup box
masked   view                                                                                   the masked vector
agree    view: this is the set of survivors                                                     none
unmask   view, then for each site that confirmed, in order: a share (64) of the self secret of  none
         one in the set, or of the backup secret of one that is not, and the pair's seed (32)
=======  =====================================================================================  ====================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.ports import KeyHistory
from troth.learn.masking import masks, vss
from troth.learn.masking.parcels import SHARE, open_parcel, tag, usable
from troth.learn.masking.port import Fault, Session
from troth.learn.masking.wire import Message, Phase, Reader, view
from troth.store.wrapping import RecipientKey

VIEW = 32


@dataclass(frozen=True, slots=True)
class Dealing:
    """What a site commits to when it deals: 33 bytes a point; tags by place of the earlier site."""

    self_secret: bytes
    backup: bytes
    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reveal:
    """What a survivor shows: shares by place, of the self or the backup secret, and seeds of pairs with the gone."""

    shares: Mapping[int, vss.Share] = field(repr=False)
    seeds: Mapping[int, bytes] = field(repr=False)


class _Fault(Exception):
    """A signed message that breaks the rules. Never leaves this module."""


@dataclass(slots=True, eq=False)
class Proceedings:
    """One sum so far. heard: the messages that count, by phase and sender. faulty: those that prove a fault, kept as
    evidence. faults: what was proven. members: who is in now. confirmed: who masks with whom, once complaints are
    settled."""

    session: Session
    keys: KeyHistory
    heard: dict[Phase, dict[int, Message]] = field(default_factory=dict)
    faulty: list[Message] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    dealings: dict[int, Dealing] = field(default_factory=dict)
    complaints: dict[int, tuple[tuple[int, bytes], ...]] = field(default_factory=dict, repr=False)
    reveals: dict[int, Reveal] = field(default_factory=dict, repr=False)
    members: tuple[int, ...] = ()
    confirmed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.members = self.members or tuple(range(len(self.session.sites)))

    def copy(self) -> Proceedings:
        """The same so far, to go on with and perhaps drop. Messages are shared: they are immutable."""
        return replace(self, heard={phase: dict(found) for phase, found in self.heard.items()},
                       faulty=list(self.faulty), faults=list(self.faults), dealings=dict(self.dealings),
                       complaints=dict(self.complaints), reveals=dict(self.reveals))

    # Who is in.

    @property
    def phase(self) -> Phase | None:
        """The phase whose messages come next; None after the last."""
        return Phase(len(self.heard) + 1) if len(self.heard) < len(Phase) else None

    def view(self, phase: Phase) -> bytes:
        """The digest of a phase's messages."""
        return view(self.heard[phase].values())

    @property
    def keys_view(self) -> bytes:
        """What every key is bound to: the public keys as everybody saw them."""
        return self.view(Phase.KEYS)

    @property
    def active(self) -> tuple[int, ...]:
        """Whose vectors are in the sum."""
        return tuple(sorted(self.heard[Phase.MASKED]))

    @property
    def gone(self) -> tuple[int, ...]:
        """Who masked with the others, and whose vector is not in the sum."""
        return tuple(index for index in self.confirmed if index not in self.heard[Phase.MASKED])

    def blame(self, index: int, phase: Phase, reason: str) -> None:
        """Write down a fault, once."""
        fault = Fault(self.session.sites[index], phase.name.lower(), reason)
        if fault not in self.faults:
            self.faults.append(fault)

    # Messages.

    def accept(self, phase: Phase, messages: Iterable[Message]) -> tuple[int, ...]:
        """Take in a phase's messages; the senders that count.

        A message of another session, phase or view, of nobody who is in, or without its sender's signatures, is as if
        it had not come: nothing shows that the sender is to blame. One that its sender signed and that breaks the rules
        is a fault. Raises Undecidable where fewer than the threshold are left, Misuse out of turn.
        """
        if phase is not self.phase:
            raise Misuse("a phase out of turn", expected=self.phase, actual=phase)
        found: dict[int, Message] = {}
        for message in sorted(messages, key=lambda one: one.sender):
            if not self.genuine(phase, message) or message.sender in found:
                continue
            if phase is not Phase.KEYS and message.head[:VIEW] != self.view(Phase(phase - 1)):
                continue  # it was shown other messages, by whomever
            try:
                self._read(message)
            except _Fault as fault:
                self.faulty.append(message)
                self.blame(message.sender, phase, str(fault))
                continue
            found[message.sender] = message
        if len(found) < self.session.threshold:
            raise self._too_few(phase, len(found))
        self.heard[phase] = found
        self.members = tuple(found)
        return self.members

    def _too_few(self, phase: Phase, count: int) -> Undecidable:
        return Undecidable(f"too few sites in phase {phase.name.lower()} of a masked sum: it does not come out",
                           expected=f"at least {self.session.threshold}", actual=count,
                           do="Sum again under another context, with vectors that were not unmasked in this one.")

    def genuine(self, phase: Phase, message: Message) -> bool:
        """Whether a message is one of this session and phase, by somebody who is in, signed by that one."""
        if (message.phase, message.session) != (phase, self.session.id) or message.sender not in self.members:
            return False
        try:
            self.keys.verify(self.session.sites[message.sender], message.signed_bytes(), message.signatures)
        except (Refuted, Undecidable, BadInput):
            return False
        return True

    def add_parts(self, message: Message) -> None:
        """Put parts of a message heard earlier beside those at hand. Raises Refuted for one that was not heard."""
        held = self.heard.get(message.phase, {}).get(message.sender)
        if held is None or held.digest != message.digest:
            raise Refuted("an exhibit that is no message of this sum", expected="a message already seen",
                          actual=f"{message.phase.name.lower()} of site {message.sender}")
        parts = {**held.parts, **message.parts}
        self.heard[message.phase][message.sender] = Message(
            held.phase, held.session, held.sender, held.head, held.digests, held.signatures, parts)

    def _read(self, message: Message) -> None:
        """Check and keep what a message says. Raises _Fault."""
        count, sender, parts = len(self.session.sites), message.sender, message.parts
        expected = {Phase.KEYS: count, Phase.SHARES: count, Phase.CONFIRM: 1, Phase.MASKED: 1}.get(message.phase, 0)
        if len(message.digests) != expected:
            raise _Fault("malformed")
        reader = Reader(message.head)
        try:
            if message.phase is not Phase.KEYS:
                reader.take(VIEW)
            if message.phase is Phase.SHARES:
                self.dealings[sender] = self._dealing(reader, sender)
            elif message.phase is Phase.CONFIRM:
                self.complaints[sender] = self._complaints(reader, sender)
            elif message.phase is Phase.UNMASK:
                self.reveals[sender] = self._reveal(reader, sender)
            reader.end()
        except BadInput:
            raise _Fault("malformed") from None
        if message.phase is Phase.KEYS and not all(
                usable(part) for place, part in parts.items() if place != sender):
            raise _Fault("unusable key")
        if message.phase is Phase.MASKED and 0 in parts and len(parts[0]) != (
                masks.word_size(self.session) * self.session.length):
            raise _Fault("vector of another length")

    def _dealing(self, reader: Reader, sender: int) -> Dealing:
        threshold = self.session.threshold
        points = [reader.take(vss.POINT * threshold) for _ in range(2)]
        if not all(vss.well_formed(one, threshold) for one in points):
            raise _Fault("malformed")
        return Dealing(points[0], points[1], tuple(reader.take(32) for _ in range(sender)))

    def _complaints(self, reader: Reader, sender: int) -> tuple[tuple[int, bytes], ...]:
        found = tuple((reader.number("B"), reader.take(32)) for _ in range(reader.number("B")))
        dealers = [dealer for dealer, _ in found]
        if dealers != sorted(set(dealers)) or not set(dealers) <= set(self.heard[Phase.SHARES]) - {sender}:
            raise _Fault("malformed")
        return found

    def _reveal(self, reader: Reader, sender: int) -> Reveal:
        shares, seeds = {}, {}
        for index in self.confirmed:
            shares[index] = vss.Share.from_bytes(reader.take(SHARE))
            dealt = self.dealings[index]
            active = index in self.heard[Phase.MASKED]
            if not vss.holds(dealt.self_secret if active else dealt.backup, sender + 1, shares[index]):
                raise _Fault(f"wrong share of site {index}")
            if not active:
                seeds[index] = reader.take(masks.SEED)
                if not self.is_seed(sender, index, seeds[index]):
                    raise _Fault(f"wrong seed with site {index}")
        return Reveal(shares, seeds)

    def is_seed(self, one: int, other: int, seed: bytes) -> bool:
        """Whether this is the pair's seed, by the tag that the later site signed when it dealt."""
        return tag(self.session, one, other, seed) == self.dealings[max(one, other)].tags[min(one, other)]

    # Complaints.

    def exhibits(self) -> dict[Phase, dict[int, tuple[int, ...]]]:
        """The parts that show whether the complaints are right: by phase and sender, the parts' places."""
        found: dict[Phase, dict[int, tuple[int, ...]]] = {Phase.KEYS: {}, Phase.SHARES: {}}
        for complainer in self.heard[Phase.CONFIRM]:
            for dealer, _ in self.complaints[complainer]:
                for phase, sender, place in ((Phase.KEYS, complainer, dealer), (Phase.SHARES, dealer, complainer)):
                    found[phase][sender] = (*found[phase].get(sender, ()), place)
        return found

    def settle(self) -> None:
        """Judge every complaint: the dealer is at fault where its parcel is bad, the complainer where it is not.

        Raises BadInput where an exhibit is missing, Undecidable where too few are left.
        """
        out = set()
        for complainer in sorted(self.heard[Phase.CONFIRM]):
            for dealer, key in self.complaints[complainer]:
                if self._upheld(complainer, dealer, key):
                    self.blame(dealer, Phase.SHARES, f"bad parcel to site {complainer}")
                    out.add(dealer)
                else:
                    self.blame(complainer, Phase.CONFIRM, f"false complaint about site {dealer}")
                    out.add(complainer)
        self.confirmed = self.members = tuple(sorted(set(self.heard[Phase.CONFIRM]) - out))
        if len(self.confirmed) < self.session.threshold:
            raise self._too_few(Phase.CONFIRM, len(self.confirmed))

    def _upheld(self, complainer: int, dealer: int, key: bytes) -> bool:
        public = self.heard[Phase.KEYS][complainer].parts.get(dealer)
        parcel = self.heard[Phase.SHARES][dealer].parts.get(complainer)
        if public is None or parcel is None:
            raise BadInput("a complaint without its exhibits", expected="the key and the parcel it is about")
        return RecipientKey(key).public().data == public and self.parcel(dealer, complainer, parcel, key) is None

    def parcel(self, dealer: int, recipient: int, parcel: bytes,
               key: bytes) -> tuple[vss.Share, vss.Share, bytes] | None:
        """A parcel's (share of the self secret, share of the backup secret, pair's seed or nothing); None if it is bad.

        Bad is one that does not open, shares off the committed polynomials, or a seed that is not the signed tag's.
        """
        found = open_parcel(self.session, self.keys_view, dealer, recipient, parcel, key)
        if found is None:
            return None
        dealt, (self_share, backup_share, material) = self.dealings[dealer], found
        if not (vss.holds(dealt.self_secret, recipient + 1, self_share)
                and vss.holds(dealt.backup, recipient + 1, backup_share)):
            return None
        if dealer < recipient:
            return found
        seed = masks.seed(material, self.session, "pair", self.keys_view, recipient, dealer)
        return (self_share, backup_share, seed) if self.is_seed(dealer, recipient, seed) else None
