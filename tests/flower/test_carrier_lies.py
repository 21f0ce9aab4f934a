"""A carrier's operator alters, replays, swaps and withholds what it carries: a round each, and training goes on.

The lies are told where any carrier could tell them: below the courier, above the sites. Flower's operator sees these
bytes and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from flower.rounds import SITES, Both, round_file
from troth.app.conducting import SPONSOR
from troth.app.following import Call
from troth.app.training import Coordinator
from troth.core.encoding import decode_object
from troth.identity.messages import Message
from troth.learn.engines import Answer, Engine
from troth.learn.engines.courier import CourierEngine, couriered, pack, unpack
from troth.learn.engines.inprocess import InProcessEngine

LIES = ("none", "alters the call", "alters the answer", "replays an answer", "swaps answers", "withholds")


class Operator:
    """Lies about one site, in the calls for updates: another way each round."""

    def __init__(self, engine: Engine, victim: str) -> None:
        self._engine, self.victim = engine, victim
        self._joined: Mapping[str, bytes] = {}

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        said = decode_object(Message.from_bytes(unpack(call)[0]).body)
        if said["act"] != "update":
            found = self._engine.ask(call, sites, patience)
            self._joined = found if said["act"] == "join" else self._joined
            return found
        return self._lie(LIES[said["round"] - 1], call, sites, patience)

    def _lie(self, lie: str, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        honest = [site for site in sites if site != self.victim]
        if lie == "alters the call":
            changed = call.replace(b"update", b"reveal", 1) if b"update" in call else flipped(call, 40)
            return dict(self._engine.ask(call, honest, patience)) | dict(
                self._engine.ask(changed, [self.victim], patience))
        found = dict(self._engine.ask(call, sites, patience))
        if lie == "alters the answer":
            said, arrived, *letters = unpack(found[self.victim])
            letters[1::2] = [flipped(letter, len(letter) // 2) for letter in letters[1::2]]
            found[self.victim] = pack([said, arrived, *letters])
        elif lie == "replays an answer":
            found[self.victim] = self._joined[self.victim]
        elif lie == "swaps answers":
            found[self.victim] = found[honest[0]]
        elif lie == "withholds":
            del found[self.victim]
        return found


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_lies_of_a_carrier_cost_its_victim_a_round_and_change_nothing(tmp_path: Path) -> None:
    file = round_file(tmp_path, rounds=len(LIES))
    said: list[str] = []

    def engine(local: Mapping[str, Answer]) -> Engine:
        sites = {home[name].did: name for name in SITES}
        carried: dict[str, Answer] = {}
        for did, name in sites.items():
            home[name].settings = replace(home[name].settings, exchange=str(tmp_path / "mail" / name))
            home[name]._exchange = None
            carried[did] = couriered(local[did], home[name].exchange, did, home[name].keybook.dids)
        operator = Operator(InProcessEngine(carried), home[SITES[0]].did)
        verifiers = {did: answer for did, answer in local.items() if did not in sites}
        return Both(CourierEngine(operator, home[SPONSOR].exchange), list(sites), InProcessEngine(verifiers))

    with Coordinator(file, tmp_path / "out", "x", say=said.append, engine=engine) as home:
        home.prepare()
        rows = home.run(home.gather())
        victim = home[SITES[0]].did
        for lie, row in zip(LIES, rows, strict=True):
            assert row.outcome == 1, lie
            assert row.counted == (3 if lie == "none" else 2), lie
            assert victim in row.paid, lie  # by its worth, which is smoothed over rounds: nothing is taken from it
            assert all(amount > 0 for did, amount in row.paid.items() if did != victim), lie
        assert [row.round for row in rows] == list(range(1, len(LIES) + 1))
        # The altered call was noticed by the site, the altered letters by whoever took them in.
        assert any("does not update" in line for line in said), said


def test_a_call_is_its_sponsors(tmp_path: Path) -> None:
    """What an operator signs itself, in the sponsor's place, is answered with a refusal."""
    file = round_file(tmp_path, rounds=1)
    with Coordinator(file, tmp_path / "out", "x", say=lambda text: None) as home:
        home.prepare()
        plan = home.gather()
        home.seats(plan)
        member = home.members[SITES[0]]
        call = Call("join", plan, 1, bytes(32))
        forged = call.to_bytes(home[SITES[1]])
        assert "only the sponsor calls" in str(decode_object(member.answer(forged)))
        good = call.to_bytes(home[SPONSOR])
        for at in range(0, len(good), len(good) // 12):
            assert "error" in decode_object(member.answer(flipped(good, at)))
