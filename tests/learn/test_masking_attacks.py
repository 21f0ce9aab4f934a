"""Masked sums against a server that lies and sites that break the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from ports.sums import World, drive, seeded, total, world
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.fixed.numbers import IntArray
from troth.learn.masking import masks, parcels, vss
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.port import Fault, Session, SumSite
from troth.learn.masking.proceedings import Proceedings
from troth.learn.masking.server import BonawitzServer, check_transcript, sites_at_fault
from troth.learn.masking.site import BonawitzSite
from troth.learn.masking.wire import Message, Phase, bundle, sign, unbundle
from troth.store.wrapping import RecipientKey


@pytest.fixture(scope="module")
def five() -> World:
    return world(5)


WAY = Bonawitz()
Sites = Mapping[str, SumSite]


def start(people: World, **wrong: type[BonawitzSite]) -> tuple[Session, BonawitzServer, dict[str, SumSite],
                                                               list[IntArray]]:
    """A session in which some sites are of another make: s0 … s4 by their place."""
    session = people.session()
    vectors = people.vectors(session)
    sites: dict[str, SumSite] = {}
    for place, (signer, vector) in enumerate(zip(people.signers, vectors, strict=True)):
        sites[signer.did] = wrong.get(f"s{place}", BonawitzSite)(session, signer, people.keys, vector)
    return session, WAY.server(session, people.keys), sites, vectors


def ask(server: BonawitzServer, sites: Sites, but: Iterable[str] = ()) -> dict[str, bytes]:
    return {did: sites[did].answer(call) for did, call in server.calls().items() if did not in set(but)}


def until(server: BonawitzServer, sites: Sites, phase: Phase) -> None:
    """Everything before this phase, by the rules."""
    drive(server, sites, steps=phase - 1)
    assert server.phase is phase


def messages(server: BonawitzServer, phase: Phase) -> list[Message]:
    return list(server._proceedings.heard[phase].values())


# A server that lies.

def test_another_key_is_not_believed(five: World) -> None:
    """A server that could put its own keys in place of a site's would open the parcels."""
    session, server, sites, _ = start(five)
    until(server, sites, Phase.SHARES)
    own = [RecipientKey.generate().public().data for _ in five.dids]
    honest = messages(server, Phase.KEYS)
    victim, place = sites[five.dids[0]], 0
    rest = [one.with_parts((place,)) for one in honest]
    swapped = replace(honest[1], parts={place: own[0]})
    with pytest.raises(BadInput, match="not what was signed"):
        victim.answer(bundle(session.id, [swapped, *(one for one in rest if one.sender != 1)]))
    stranger = world(9).signers
    forged = sign(next(one for one in stranger if one.did not in five.dids), Phase.KEYS, session.id, 1, b"", own)
    unsigned = replace(forged, signatures=honest[1].signatures)
    anothers = replace(sign(five.signers[2], Phase.KEYS, session.id, 1, b"", own))
    for lie in (forged, unsigned, anothers, replace(forged, signatures=())):
        with pytest.raises(Refuted, match="does not count"):
            victim.answer(bundle(session.id, [lie.with_parts((place,)), *(one for one in rest if one.sender != 1)]))
    victim.answer(server.calls()[five.dids[0]])  # and it goes on when it is asked rightly


def test_a_site_shown_other_keys_stops_everybody(five: World) -> None:
    """Server and site 1 together: site 1 signs two sets of keys, one for each half of the others."""
    session, server, sites, _ = start(five)
    until(server, sites, Phase.SHARES)
    honest = messages(server, Phase.KEYS)
    other = sign(five.signers[1], Phase.KEYS, session.id, 1, b"", [
        RecipientKey.generate().public().data if place != 1 else b"" for place in range(5)])
    answers = {}
    for place, did in enumerate(five.dids):
        shown = [other if one.sender == 1 and place in (3, 4) else one for one in honest]
        answers[did] = sites[did].answer(bundle(session.id, [one.with_parts((place,)) for one in shown]))
    dealt = [Message.from_bytes(one) for one in answers.values()]
    for place, did in enumerate(five.dids):  # whoever is shown what the other half says sees it, or sees too few
        for shown in (dealt, dealt[:3], dealt[3:]):
            with pytest.raises((Refuted, Undecidable)):
                sites[did].answer(bundle(session.id, [one.with_parts((place,)) for one in shown]))
    with pytest.raises(Undecidable):  # nor do enough remain of those who saw the same
        server.take({did: answers[did] for did in five.dids[2:]})


def test_another_rounds_messages_are_not_taken(five: World) -> None:
    _, before, old, _ = start(five)
    until(before, old, Phase.UNMASK)
    session = five.session(context=2)
    server = WAY.server(session, five.keys)
    sites = five.sites(WAY, session, five.vectors(session))
    for phase in Phase:
        if phase is not Phase.KEYS:
            stale = messages(before, Phase(phase - 1))
            with pytest.raises(BadInput, match="not messages of this sum"):
                sites[five.dids[0]].answer(bundle(stale[0].session, stale))
            with pytest.raises(Undecidable, match="too few"):  # in this round's cover
                sites[five.dids[0]].answer(bundle(session.id, stale))
        server.take(ask(server, sites))


def test_who_is_said_to_have_dropped_and_has_not(five: World) -> None:
    """The server says that site 4, whose vector it has, dropped out: it gets the masks of 4's pairs. It then wants the
    share of its self mask too, in a second round of the same questions. Nobody gives both."""
    session, server, sites, vectors = start(five)
    until(server, sites, Phase.MASKED)
    answers = ask(server, sites)
    masked = {did: Message.from_bytes(answer) for did, answer in answers.items()}
    server.take({did: answer for did, answer in answers.items() if did != five.dids[4]})
    agreed = ask(server, sites)
    with pytest.raises(Misuse):  # a second set of survivors, with 4 among them, is not signed
        sites[five.dids[0]].answer(bundle(session.id, [one.with_parts(()) for one in masked.values()]))
    server.take(agreed)
    server.take(ask(server, sites))
    found = server.result()
    assert found.included == five.dids[:4]
    assert (found.total == total(five, vectors, found)).all()
    shown = server._proceedings.reveals
    assert all(4 in one.seeds for one in shown.values())  # the pairs' masks are known …
    words = masks.from_bytes(masked[five.dids[4]].parts[0], session).copy()
    for place, one in shown.items():
        masks.apply(words, one.seeds[4], subtract=place > 4)
    assert not (masks.to_vector(words) == vectors[4]).any()  # … the vector is not: its self mask is still on it
    for did in five.dids[:4]:
        with pytest.raises(Misuse):
            sites[did].answer(bundle(session.id, messages(server, Phase.MASKED)))
    # No share of 4's self secret was shown by anybody, and the shares shown do not lead to it.
    secret = vss.recover({place + 1: one.shares[4] for place, one in shown.items()}, session.threshold)
    masks.apply(words, masks.seed(secret.to_bytes(32, "big"), session, "self", server._proceedings.keys_view, 4),
                subtract=True)
    assert not (masks.to_vector(words) == vectors[4]).any()


def test_two_sets_of_survivors_get_no_shares(five: World) -> None:
    """The server shows some sites that 4 is in, the others that it is gone, hoping for a share of both kinds from t."""
    session, server, sites, _ = start(five)
    until(server, sites, Phase.MASKED)
    masked = [Message.from_bytes(one).with_parts(()) for one in ask(server, sites).values()]
    whole, less = bundle(session.id, masked), bundle(session.id, masked[:4])
    signed = {did: Message.from_bytes(sites[did].answer(whole if place < 3 else less))
              for place, did in enumerate(five.dids[:4])}
    for did in five.dids[:4]:
        with pytest.raises((Refuted, Undecidable)):
            sites[did].answer(bundle(session.id, signed.values()))
        for some in ([five.dids[0], five.dids[1], five.dids[2]], [five.dids[3]]):
            with pytest.raises((Refuted, Undecidable)):  # of one mind, but fewer than the threshold
                sites[did].answer(bundle(session.id, [signed[one] for one in some]))


def test_a_site_left_out_says_so(five: World) -> None:
    session, server, sites, _ = start(five)
    for phase in (Phase.KEYS, Phase.SHARES, Phase.CONFIRM, Phase.MASKED):
        until_here = ask(server, sites)
        server.take(until_here)
        private = (0,) if phase in (Phase.KEYS, Phase.SHARES) else ()
        others = [one.with_parts(private) for one in messages(server, phase) if one.sender != 0]
        with pytest.raises(Refuted, match="leaves this site out"):
            sites[five.dids[0]].answer(bundle(session.id, others))


def test_too_few_are_not_gone_on_with(five: World) -> None:
    session, server, sites, _ = start(five)
    for phase in Phase:
        if phase is not Phase.KEYS:
            some = [one.with_parts((0,)) for one in messages(server, Phase(phase - 1))][:session.threshold - 1]
            with pytest.raises(Undecidable, match="too few"):
                sites[five.dids[0]].answer(bundle(session.id, some))
        server.take(ask(server, sites))


def test_parcels_are_not_tampered_with_nor_withheld(five: World) -> None:
    session, server, sites, _ = start(five)
    until(server, sites, Phase.CONFIRM)
    call = server.calls()[five.dids[0]]
    honest = unbundle(call, session.id)
    parcel = bytearray(honest[1].parts[0])
    parcel[-1] ^= 1
    with pytest.raises(BadInput, match="not what was signed"):
        sites[five.dids[0]].answer(bundle(session.id, [
            honest[0], replace(honest[1], parts={0: bytes(parcel)}), *honest[2:]]))
    with pytest.raises(BadInput, match="withholds"):
        sites[five.dids[0]].answer(bundle(session.id, [honest[0], honest[1].with_parts(()), *honest[2:]]))


def test_a_phase_is_not_asked_for_again_nor_skipped(five: World) -> None:
    session, server, sites, _ = start(five)
    first = server.calls()[five.dids[0]]
    until(server, sites, Phase.MASKED)
    site = sites[five.dids[0]]
    assert isinstance(site, BonawitzSite)
    assert not site.spent
    with pytest.raises(Misuse, match="out of turn"):
        site.answer(first)
    with pytest.raises(TrothError):
        site.answer(bundle(session.id, messages(server, Phase.KEYS)))
    until_end = server
    while until_end.phase is not None:
        until_end.take(ask(server, sites))
    with pytest.raises(Misuse):
        site.answer(first)
    assert site.spent
    assert (site._shares, site._seeds, site._channel, site._secrets) == ({}, {}, {}, (0, 0))


# Sites that break the rules: each is named, and the others' sum comes out.

class BadShares(BonawitzSite):
    """Deals one site a share that lies on no polynomial."""

    __slots__ = ()

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, sealed = super()._deal(trial)
        key = trial.heard[Phase.KEYS][2].parts.get(self._index, b"")
        wrong = vss.Share(5, 6)
        material = b"m" * 32 if self._index > 2 else b""
        sealed[2] = parcels.seal(self._session, trial.keys_view, self._index, 2, key, (wrong, wrong, material))
        return head, sealed


class BadBackup(BonawitzSite):
    """Deals one site a share of its backup secret that lies on no polynomial; the other is right."""

    __slots__ = ()

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        dealt: dict[int, tuple[vss.Share, ...]] = {}
        real, vss.deal = vss.deal, lambda *given: _kept(real(*given), dealt)
        try:
            head, sealed = super()._deal(trial)
        finally:
            vss.deal = real
        key = trial.heard[Phase.KEYS][2].parts[self._index]
        material = b"m" * 32
        seed = parcels.pair_seed(material, self._session, trial.keys_view, 2, 3)
        sealed[2] = parcels.seal(self._session, trial.keys_view, self._index, 2, key, (
            dealt[3][0], replace(dealt[3][1], value=5), material))
        return head[:-32] + parcels.tag(self._session, 2, 3, seed), sealed


def _kept(found: tuple[bytes, dict[int, vss.Share]],
          kept: dict[int, tuple[vss.Share, ...]]) -> tuple[bytes, dict[int, vss.Share]]:
    for place, share in found[1].items():
        kept[place] = (*kept.get(place, ()), share)
    return found


class Garbage(BonawitzSite):
    """Deals one site bytes that are no parcel."""

    __slots__ = ()

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, sealed = super()._deal(trial)
        return head, [b"nothing" if place == 2 else one for place, one in enumerate(sealed)]


class WrongTag(BonawitzSite):
    """Signs a tag that is not its seed's."""

    __slots__ = ()

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, sealed = super()._deal(trial)
        return head[:-32] + bytes(32), sealed


class NoPoint(BonawitzSite):
    """Commits to something that is no point."""

    __slots__ = ()

    def _deal(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, sealed = super()._deal(trial)
        return head[:32] + b"\7" * 33 + head[65:], sealed


class WeakKey(BonawitzSite):
    """Gives one site a key to which nothing can be sealed."""

    __slots__ = ()

    def _keys(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, publics = super()._keys(trial)
        return head, [one[:-32] + bytes(32) if place == 2 else one for place, one in enumerate(publics)]


class Liar(BonawitzSite):
    """Complains about an honest dealer."""

    __slots__ = ()

    def _confirm(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, box = super()._confirm(trial)
        return head[:32] + b"\1\2" + self._channel[2].seed, box


class LiarWithAnotherKey(BonawitzSite):
    """Complains about an honest dealer, and shows a key that it did not publish."""

    __slots__ = ()

    def _confirm(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, box = super()._confirm(trial)
        return head[:32] + b"\1\2" + bytes(32), box


class Short(BonawitzSite):
    """Masks a vector of another length."""

    __slots__ = ()

    def _mask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, vectors = super()._mask(trial)
        return head, [vectors[0][:-4]]


class WrongShare(BonawitzSite):
    """Shows a share that it was not dealt."""

    __slots__ = ()

    def _unmask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, parts = super()._unmask(trial)
        return head[:40] + bytes([head[40] ^ 1]) + head[41:], parts


class Surplus(BonawitzSite):
    """Says more than there is to say."""

    __slots__ = ()

    def _agree(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, parts = super()._agree(trial)
        return head + b"\0", parts


class BadBox(BonawitzSite):
    """Puts nothing into its backup box."""

    __slots__ = ()

    def _confirm(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
        head, box = super()._confirm(trial)
        return head, [bytes(len(box[0]))]


@pytest.mark.parametrize(("make", "phase", "reason", "included"), [
    (BadShares, "shares", "bad parcel to site 2", False),
    (BadBackup, "shares", "bad parcel to site 2", False),
    (Garbage, "shares", "bad parcel to site 2", False),
    (WrongTag, "shares", "bad parcel to site 2", False),
    (NoPoint, "shares", "malformed", False),
    (WeakKey, "keys", "unusable key", False),
    (Liar, "confirm", "false complaint about site 2", False),
    (LiarWithAnotherKey, "confirm", "false complaint about site 2", False),
    (Short, "masked", "vector of another length", False),
    (Surplus, "agree", "malformed", True),
    (WrongShare, "unmask", "wrong share of site 0", True),
], ids=["bad shares", "bad backup", "garbage", "wrong tag", "no point", "weak key", "liar", "liar with another key",
        "short", "surplus", "wrong share"])
def test_a_site_that_breaks_the_rules_is_named(five: World, make: type[BonawitzSite], phase: str, reason: str,
                                               included: bool) -> None:
    session, server, sites, vectors = start(five, s3=make)
    drive(server, sites)
    found = server.result()
    assert found.faults == (Fault(five.dids[3], phase, reason),)
    assert sites_at_fault(found.faults) == (five.dids[3],)
    assert (five.dids[3] in found.included) is included
    assert len(found.included) == (5 if included else 4)
    assert (found.total == total(five, vectors, found)).all()
    assert check_transcript(server.transcript(), five.keys, session) == found  # anybody sees who it was


def test_faults_beyond_what_the_threshold_bears_stop_the_sum_and_are_named(five: World) -> None:
    _, server, sites, _ = start(five, s3=Garbage, s4=Liar)
    with pytest.raises(Undecidable, match="too few"):
        drive(server, sites)
    assert sites_at_fault(server.faults) == five.dids[3:]


def test_a_bad_box_matters_only_where_survivors_are_silent(five: World) -> None:
    session, server, sites, vectors = start(five, s3=BadBox)
    until(server, sites, Phase.MASKED)
    server.take(ask(server, sites, five.dids[3:4]))
    server.take(ask(server, sites))
    server.take(ask(server, sites))
    assert (server.result().total == vectors[0] + vectors[1] + vectors[2] + vectors[4]).all()
    assert check_transcript(server.transcript(), five.keys, session) == server.result()

    people = world(7)  # five of seven are enough here, and one that masked is silent at the end
    session, server, sites, vectors = start(people, s3=BadBox)
    until(server, sites, Phase.MASKED)
    server.take(ask(server, sites, people.dids[3:4]))
    server.take(ask(server, sites))
    server.take(ask(server, sites, people.dids[6:]))
    for _ in range(2):
        with pytest.raises(Undecidable, match="cannot be taken away"):
            server.result()
    assert server.faults == (Fault(people.dids[3], "confirm", "bad backup box"),)


def test_a_wrong_seed_is_named(five: World) -> None:
    class WrongSeed(BonawitzSite):
        __slots__ = ()

        def _unmask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
            self._seeds[4] = bytes(32)
            return super()._unmask(trial)

    people = world(7)
    session, server, sites, vectors = start(people, s3=WrongSeed)
    until(server, sites, Phase.MASKED)
    server.take(ask(server, sites, people.dids[4:5]))
    drive(server, sites)
    found = server.result()
    assert found.faults == (Fault(people.dids[3], "unmask", "wrong seed with site 4"),)
    assert (found.total == total(people, vectors, found)).all()  # the box gave what the site did not
    assert check_transcript(server.transcript(), people.keys, session) == found


def test_who_masks_beyond_the_bound_is_seen_but_not_named(five: World) -> None:
    """What lies behind the masks nobody sees: a site can poison the sum within the bound, and this is beyond it."""
    class Huge(BonawitzSite):
        __slots__ = ()

        def _mask(self, trial: Proceedings) -> tuple[bytes, list[bytes]]:
            self._vector = np.full(5, 1 << 30, np.int64)
            return super()._mask(trial)

    _, server, sites, _ = start(five, s3=Huge)
    drive(server, sites)
    with pytest.raises(Undecidable, match="beyond what the vectors' bound allows"):
        server.result()


# Shares.

def test_a_parcel_is_for_one_place_of_one_session(five: World) -> None:
    session, other, key, view = five.session(), five.session(context=2), RecipientKey.generate(), b"v" * 32
    share = vss.Share(5, 6)
    parcel = parcels.seal(session, view, 3, 2, key.public().data, (share, share, b"m" * 32))
    assert parcels.open_parcel(session, view, 3, 2, parcel, key.seed) == (share, share, b"m" * 32)
    assert parcels.open_parcel(other, view, 3, 2, parcel, key.seed) is None
    assert parcels.open_parcel(session, b"w" * 32, 3, 2, parcel, key.seed) is None
    assert parcels.open_parcel(session, view, 4, 2, parcel, key.seed) is None
    assert parcels.open_parcel(session, view, 3, 1, parcel, key.seed) is None
    assert parcels.open_parcel(session, view, 3, 2, parcel, bytes(32)) is None


def test_shares_lead_to_the_secret_and_fewer_to_nothing() -> None:
    random = seeded(5)
    secret = vss.scalar(random)
    commitments, shares = vss.deal(secret, 3, [1, 2, 4, 7], random)
    assert vss.well_formed(commitments, 3)
    assert all(vss.holds(commitments, x, share) for x, share in shares.items())
    for left_out in shares:
        assert vss.recover({x: share for x, share in shares.items() if x != left_out}, 3) == secret
    assert vss.recover({1: shares[1], 2: shares[2]}, 2) != secret
    assert not vss.holds(commitments, 3, shares[1])
    for wrong in (vss.Share(shares[1].value + 1, shares[1].blind), vss.Share(shares[1].value, shares[1].blind + 1),
                  vss.Share(0, shares[1].blind), vss.Share(shares[1].value, vss.ORDER),
                  vss.Share(shares[1].value + vss.ORDER, shares[1].blind)):
        assert not vss.holds(commitments, 1, wrong)
    assert str(secret) not in repr(shares)


@pytest.mark.parametrize("wrong", [b"", b"\2" + b"\xff" * 32, b"\7" + bytes(32), b"\4" + bytes(64)],
                         ids=["none", "off", "prefix", "long"])
def test_commitments_that_are_no_points(wrong: bytes) -> None:
    commitments, _ = vss.deal(5, 2, [1], seeded(1))
    assert vss.well_formed(commitments, 2)
    assert not vss.well_formed(commitments[:33] + wrong, 2)
    assert not vss.well_formed(commitments, 1)


def test_commitments_hide_the_secret() -> None:
    """Two dealings of one secret commit to different points: nobody can try secrets out on them."""
    first, _ = vss.deal(5, 2, [1], seeded(1))
    second, _ = vss.deal(5, 2, [1], seeded(2))
    assert first[:33] != second[:33]
