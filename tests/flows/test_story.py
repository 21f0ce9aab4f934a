"""The main job, whole, with each cheat: who cheats ends poorer, everybody else is paid, and anyone can check it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from troth.app import Troth, verify_bundle
from troth.cli import story as telling
from troth.core.errors import Undecidable
from troth.core.verdicts import Outcome
from troth.learn.study import POISONER
from troth.ledger.exchange import FolderExchange, Parcel
from troth.verify.trust import Trust


class Quiet:
    """A teller that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def chapter(self, number: int, title: str) -> None:
        self.lines.append(f"{number}. {title}")

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, done: int, of: int, what: str) -> None:
        self.lines.append(what)


class Told:
    """A finished story with every parcel that passed."""

    def __init__(self, out: Path, cheat: str, patch: pytest.MonkeyPatch) -> None:
        self.parcels: list[Parcel] = []
        send = FolderExchange.send

        def watched(exchange: FolderExchange, to: str, parcel: Parcel) -> Path:
            self.parcels.append(parcel)
            return send(exchange, to, parcel)

        patch.setattr(FolderExchange, "send", watched)
        self.story = telling.Story(out, Quiet(), cheat)
        self.story.prepare()
        self.story.list_data()
        self.story.promise()
        self.story.train()
        self.story.settle()
        self.bundle, trust = self.story.publish()
        self.trust = Trust.from_bytes(trust.read_bytes())

    def gain(self, name: str) -> int:
        return self.story.after[name] - self.story.before[name]


@pytest.fixture(scope="module", params=telling.CHEATS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with pytest.MonkeyPatch.context() as patch:
        found = Told(tmp_path_factory.mktemp("story") / "out", request.param, patch)
        yield found
        found.story.close()


def test_the_cheater_is_named_and_ends_poorer(told: Told) -> None:
    cheater = {"aggregator": "aggregator", "hospital": "hospital-1", "verifier": "verifier-3"}.get(told.story.cheat)
    caught = told.story.challenge
    if cheater is None:
        assert caught is None
        # The aggregator has each round judged, and the keeper's half for that.
        assert told.gain("aggregator") == telling.ROUNDS * (telling.MONEY.fee + telling.MONEY.keeper // 2)
        return
    assert caught is not None
    assert cheater in caught["slashed"]
    stake = {"aggregator": telling.MONEY.aggregator_stake, "hospital-1": telling.MONEY.site_stake,
             "verifier-3": telling.MONEY.verifier_stake}[cheater]
    most = telling.ROUNDS * (telling.MONEY.fee + telling.MONEY.keeper)
    others = {"aggregator": most, "verifier-3": 0}
    if cheater in others:
        assert told.gain(cheater) <= others[cheater] - stake
    else:  # a withholding hospital still earns in the rounds where it is honest, and loses more than the round's pay
        paid = sum(record.final.values[told.story.plan.keys.index(told.story[cheater].did)]
                   for record in told.story.rounds if record.round != telling.CHEAT_ROUND)
        assert told.gain(cheater) == paid - stake


def test_the_poisoner_ends_poorer_and_honest_hospitals_richer(told: Told) -> None:
    for index, name in enumerate(told.story.names("hospital")):
        if index == POISONER:
            assert told.gain(name) <= -telling.MONEY.site_stake
        elif not (told.story.cheat == "hospital" and index == 0):
            assert told.gain(name) > 0


def test_no_token_appears_or_vanishes(told: Told) -> None:
    assert sum(told.story.before.values()) == sum(told.story.after.values()) == told.story.token.total()
    assert told.story.after["Book"] == 0


def test_pay_follows_measured_contribution(told: Told) -> None:
    for record in told.story.rounds:
        smoothed = [0 if seat in record.output.slashed else max(0, value)
                    for seat, value in enumerate(record.output.smoothed)]
        order = sorted(range(len(smoothed)), key=lambda seat: smoothed[seat])
        assert [record.final.values[seat] for seat in order] == sorted(record.final.values)
        assert sum(record.final.values) <= telling.MONEY.reward


def test_no_key_and_no_record_ever_crosses(told: Told) -> None:
    story = told.story
    records = {line for part in story.split.sites for line in part.to_bytes().splitlines()[1:]}
    secrets = set()
    for party in story.parties.values():
        identity = party.identity
        pairs = (*identity.current, *identity.following, identity.account)
        secrets |= {pair.reveal_seed() for pair in pairs} | {item.secret for item in identity.recipients}
    crossed = [*told.parcels]
    assert len(crossed) > 100
    everything = b"\n".join(
        piece for parcel in crossed
        for piece in (*parcel.documents, *(claim.payload for claim in parcel.claims), *parcel.blocks.values(),
                      *parcel.keys.values()))
    everything += (story.out / "chain.sqlite").read_bytes() + told.bundle.read_bytes()
    public = set(story.split.validation.to_bytes().splitlines())
    assert any(line in everything for line in public), "the search itself must be able to find a record"
    assert not [line for line in records - public if line in everything]
    assert not [secret for secret in secrets if secret in everything or secret.hex().encode() in everything]


def test_nobody_but_aggregator_and_verifiers_reads_an_update(told: Told) -> None:
    story = told.story
    name = story.names("hospital")[3]
    claim, statement = next((claim, statement) for claim, statement in story[name].claims("update")
                            if statement.issuer == story[name].did)
    evidence = statement.evidence[0]
    data = story[name].read(evidence)
    for reader in ("aggregator", "verifier-1", "verifier-2", "verifier-3"):
        assert story[reader].read(evidence) == data
    for stranger in ("sponsor", "regulator", "hospital-1"):
        with pytest.raises(Undecidable):
            story[stranger].read(evidence)
    assert story["sponsor"].statement(claim) == statement


def test_the_bundle_checks(told: Told) -> None:
    story = told.story
    upheld = verify_bundle(told.bundle, told.trust)
    assert upheld.outcome is Outcome.UPHELD, [step for step in upheld.steps if step.outcome is not Outcome.UPHELD]
    assert any(step.outcome is None and "sealed" in step.detail for step in upheld.steps)
    again = verify_bundle(told.bundle, told.trust, story["verifier-1"])
    assert again.outcome is Outcome.UPHELD
    assert "re-executed" in str(again.json())
    assert verify_bundle(told.bundle, None).outcome is Outcome.UNDECIDABLE


def test_erasure_makes_the_model_stale(told: Told) -> None:
    story = told.story
    assert not story["sponsor"].trace(story.model).stale
    name = story.names("hospital")[telling.ERASER]
    evidence = story[name].statement(story.listings[name]).evidence[0]
    story[name].read(evidence)
    story.erase()
    with pytest.raises(Undecidable):
        story[name].read(evidence)
    graph = story["sponsor"].trace(story.model)
    assert graph.stale
    kept = [node for node in graph.nodes if not node.stale]
    assert kept, "what does not rest on the erased records stays fresh"
    others = {story.listings[other] for other in story.listings if other != name}
    assert others <= {node.id for node in kept}


def test_a_workspace_opens_again_as_it_was(told: Told) -> None:
    sponsor = told.story["sponsor"]
    with Troth.open(told.story.out / "parties" / "sponsor", telling.PASSPHRASE, chain=told.story.chain) as again:
        assert (again.did, again.log.size) == (sponsor.did, sponsor.log.size)
        assert again.statement(told.story.model) == sponsor.statement(told.story.model)
