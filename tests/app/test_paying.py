"""Payouts under a root: a clerk lists the payees, verifiers look before they uphold; and what cheats get.

One set-up serves every story; each is a deal of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from troth.app import Settings, Troth
from troth.app.paying import Listed, check_payouts, collect_payouts, publish_payouts
from troth.core.claims import Evidence, Statement
from troth.core.errors import BadInput, Misuse, Pending, Refuted, TrothError, Undecidable
from troth.core.terms import (
    CHALLENGER,
    REFUTED,
    SLASHED,
    UPHELD,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    Terms,
    climber,
)
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.ledger.payouts import PAYOUTS, Payouts, PayoutsClaim, payouts_subject
from troth.verify.policies.voices import commit_data, reveal_data

NAMES = ("sponsor", "clerk", "worker", "verifier-1", "verifier-2")
VERIFIERS = NAMES[3:]
PURSE, REWARD, STAKE, FEES, BOND, HOUR = 100_000, 1_000, 3_000, 40, 100, 3_600
COURT = hashlib.sha256(b"court").digest()[:20]


class Office:
    """A sponsor pays workers by a list that a clerk answers for with a stake; verifiers can be called."""

    def __init__(self, folder: Path) -> None:
        self.chain = EmbeddedChain(folder / "chain.sqlite")
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "embedded:", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.chain, chain=self.chain) for name in NAMES}
        sponsor = self["sponsor"]
        self.contracts = sponsor.deploy(supply=PURSE * len(NAMES))
        self.token = Erc20(self.chain.web3, self.contracts["token"].address)
        for party in self.parties.values():
            party.use_contracts(self.contracts)
            if party is not sponsor:
                self.token.transfer(sponsor.sender, party.account, PURSE)
            self.token.approve(party.sender, self.contracts["book"].address, PURSE)
            for other in self.parties.values():
                if other is not party:
                    other.meet(party.introduction())
        self.count = 0

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def balances(self) -> dict[str, int]:
        return {name: self.token.balance(party.account) for name, party in self.parties.items()}

    def terms(self) -> Terms:
        sponsor, clerk, bench = self["sponsor"], self["clerk"], tuple(self[name].account for name in VERIFIERS)
        assumed, rerun = self.contracts["assumed"], self.contracts["rerun:2"]
        pots = (Pot("reward", sponsor.account, REWARD, {UPHELD: Root(HOUR)}, sponsor.account),
                Pot("stake", clerk.account, STAKE, {SLASHED: Split((CHALLENGER,), amounts=(STAKE // 2,))},
                    clerk.account),
                Pot("verifiers", climber(1), FEES, {UPHELD: Answered(1), REFUTED: Answered(1)}, sponsor.account))
        rungs = (Rung(assumed.address, assumed.codehash, (Ask("list", (clerk.account,), HOUR),), HOUR, HOUR, BOND,
                      silent=REFUTED),
                 Rung(rerun.address, rerun.codehash, 
                      (Ask("evidence", (clerk.account,), HOUR), Ask("commit", bench, HOUR), Ask("reveal", None, HOUR)),
                      HOUR))
        return Terms(self.token.address, pots, rungs, self.chain.now() + HOUR, COURT)

    def open(self) -> bytes:
        self.count += 1
        sponsor, clerk = self["sponsor"], self["clerk"]
        deal = sponsor.book.open_and_join(sponsor.account, self.terms(), self.count.to_bytes(32, "big"), 0)
        clerk.book.join(clerk.account, deal, 1)
        return deal

    def fair(self) -> tuple[tuple[bytes, int], ...]:
        """Who should be paid: the worker twice, and 60 others."""
        others = tuple((hashlib.sha256(bytes([n])).digest()[:20], 10) for n in range(60))
        worker = self["worker"].account
        return ((worker, 150), *others, (worker, 50))

    def answer(self, deal: bytes, claim: bytes, result: Result) -> None:
        clerk = self["clerk"]
        clerk.book.submit_and_judge(clerk.account, deal, 0, 0, claim, result.to_bytes())

    def hand_over(self, listed: Listed) -> None:
        clerk = self["clerk"]
        assert listed.claim is not None
        others = [party.did for party in self.parties.values() if party is not clerk]
        clerk.send(others, [listed.claim], clerk.evidence_here([listed.claim]))
        for party in self.parties.values():
            party.receive()
            assert not party.refused

    def verify(self, deal: bytes, finding: Result) -> None:
        """Both verifiers commit to what they found and reveal it."""
        data = finding.to_bytes()
        for name in VERIFIERS:
            one = self[name]
            one.book.submit(one.account, deal, 1, 0, bytes(32), commit_data(deal, 1, one.account, data, bytes(32)))
        for name in VERIFIERS:
            self[name].book.submit(self[name].account, deal, 2, 0, bytes(32), reveal_data(data, bytes(32)))
        worker = self["worker"]
        worker.book.judge(worker.account, deal)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    yield made
    for party in made.parties.values():
        party.close()
    made.chain.close()


def promised(payouts: Payouts) -> Result:
    return Result(UPHELD, root=payouts.tree.root, total=payouts.total)


def looks(office: Office, deal: bytes) -> list[type[TrothError] | None]:
    """What each verifier finds."""
    found: list[type[TrothError] | None] = []
    for name in VERIFIERS:
        try:
            check_payouts(office[name], deal, expect=office.fair())
        except TrothError as error:
            found.append(type(error))
        else:
            found.append(None)
    return found


def test_published_upheld_and_collected(office: Office) -> None:
    deal, before = office.open(), office.balances()
    with pytest.raises(Pending, match="no result"):
        check_payouts(office["verifier-1"], deal)
    listed = publish_payouts(office["clerk"], deal, 0, office.fair())
    assert listed.claim is not None
    assert publish_payouts(office["clerk"], deal, 0, office.fair()).cid == listed.cid
    office.answer(deal, listed.claim, promised(listed.payouts))
    assert looks(office, deal) == [Undecidable, Undecidable], "not handed over yet"
    office.hand_over(listed)
    assert looks(office, deal) == [None, None]
    worker = office["worker"]
    with pytest.raises(Pending, match="not closed"):
        collect_payouts(worker, deal)
    office.chain.advance(HOUR)
    worker.book.close(worker.account, deal)

    for _ in range(2):  # again is a no-op
        found, amount = collect_payouts(worker, deal)
        assert (found, amount) == (Listed(listed.payouts, listed.cid, found.claim), 200)
        assert office.balances()["worker"] == before["worker"] + 200
    with pytest.raises(Misuse, match="nothing in this list"):
        collect_payouts(office["verifier-1"], deal)
    assert collect_payouts(office["sponsor"], deal, everybody=True, cid=listed.cid)[1] == 800
    assert [office.token.balance(account) for account, _ in office.fair()[1:-1]] == [10] * 60
    assert office.balances()["worker"] == before["worker"] + 200


def another_root(office: Office, deal: bytes) -> None:
    """Publishes the fair list, and answers with the root of one that pays itself."""
    listed = publish_payouts(office["clerk"], deal, 0, office.fair())
    assert listed.claim is not None
    own = replace(listed.payouts, payees=((office["clerk"].account, REWARD),))
    office.hand_over(listed)
    office.answer(deal, listed.claim, promised(own))


def never_published(office: Office, deal: bytes) -> None:
    """The fair root, and no list: only the clerk could ever collect."""
    listed = publish_payouts(office["clerk"], deal, 0, office.fair())
    assert listed.claim is not None
    office.answer(deal, listed.claim, promised(listed.payouts))


def no_root(office: Office, deal: bytes) -> None:
    """Upheld, and nobody is paid: the pot would fall back to the sponsor."""
    office.answer(deal, bytes(32), Result(UPHELD))


def own_list(office: Office, deal: bytes) -> None:
    """Root and list agree, and pay the wrong account."""
    payees = ((office["clerk"].account, 150), *office.fair()[1:])
    listed = publish_payouts(office["clerk"], deal, 0, payees)
    assert listed.claim is not None
    office.hand_over(listed)
    office.answer(deal, listed.claim, promised(listed.payouts))


@pytest.mark.parametrize(("cheat", "finding"), [(another_root, Refuted), (never_published, Undecidable),
                                                (no_root, Refuted), (own_list, Refuted)])
def test_a_cheating_clerk_ends_poorer(office: Office, cheat: Callable[[Office, bytes], None],
                                      finding: type[TrothError]) -> None:
    """No verifier upholds it, the worker calls them, and the stake is gone."""
    before = office.balances()
    deal = office.open()
    cheat(office, deal)
    assert looks(office, deal) == [finding, finding]
    worker, clerk = office["worker"], office["clerk"]
    worker.book.challenge(worker.account, deal)
    clerk.book.submit(clerk.account, deal, 0, 0, bytes(32), b"")
    office.verify(deal, Result(REFUTED, slashed=frozenset({clerk.account})))
    worker.book.close(worker.account, deal)
    with pytest.raises(Misuse, match="nobody by a root"):
        collect_payouts(clerk, deal)
    gained = {name: after - before[name] for name, after in office.balances().items()}
    assert gained == {"sponsor": 0, "clerk": -STAKE, "worker": STAKE // 2 - FEES, "verifier-1": FEES // 2,
                      "verifier-2": FEES // 2}


def test_a_strangers_list_refutes_nothing_and_a_true_one_helps(office: Office) -> None:
    """Whoever has the list can publish it for a clerk that does not; a wrong one proves nothing against the clerk."""
    deal = office.open()
    never_published(office, deal)
    verifier = office["verifier-1"]
    publish_payouts(verifier, deal, 0, office.fair()[:-1])
    with pytest.raises(Undecidable, match="not here"):
        check_payouts(verifier, deal)
    helped = publish_payouts(verifier, deal, 0, office.fair())
    assert check_payouts(verifier, deal) == helped


def test_upper_evidence_is_nobodys_result(office: Office) -> None:
    """A clerk that answered wrongly cannot have its later evidence checked in place of its answer."""
    deal, clerk, worker = office.open(), office["clerk"], office["worker"]
    listed = publish_payouts(clerk, deal, 0, office.fair())
    office.hand_over(listed)
    no_root(office, deal)
    worker.book.challenge(worker.account, deal)
    clerk.book.submit(clerk.account, deal, 0, 0, bytes(32), promised(listed.payouts).to_bytes())
    with pytest.raises(Refuted, match="without a root"):
        check_payouts(office["verifier-1"], deal)
    # The verifiers' own verdict is: they found the list that should have been answered.
    office.verify(deal, promised(listed.payouts))
    assert check_payouts(office["verifier-1"], deal).payouts == listed.payouts


def test_what_cannot_be_published(office: Office) -> None:
    deal, clerk = office.open(), office["clerk"]
    here = [one for one, _ in clerk.claims(PAYOUTS)]
    worker = office["worker"].account
    for pot, payees, error in ((1, [(worker, 1)], Misuse), (9, [(worker, 1)], Misuse), (-1, [(worker, 1)], Misuse),
                               (0, [], BadInput), (0, [(worker, 0)], BadInput), (0, [(worker, 1 << 128)], BadInput),
                               (0, [(bytes(20), 1)], BadInput), (0, [(worker[1:], 1)], BadInput),
                               (0, [(worker, REWARD), (worker, 1)], Misuse)):
        with pytest.raises(error):
            publish_payouts(clerk, deal, pot, payees)
    for unknown in (lambda: publish_payouts(clerk, bytes(32), 0, [(worker, 1)]),
                    lambda: check_payouts(clerk, bytes(32)), lambda: collect_payouts(clerk, bytes(32))):
        with pytest.raises(Undecidable, match="no such deal"):
            unknown()
    assert [one for one, _ in clerk.claims(PAYOUTS)] == here


def test_the_claim_is_read_strictly() -> None:
    payouts = Payouts(7, b"\x01" * 20, b"\x02" * 32, 3, ((b"\x03" * 20, 5),))
    said = PayoutsClaim.about(payouts)
    item = Evidence(PAYOUTS, "bafkreib2w5pzmvpnnjedk2nhb5rrhpwkhu5kg7kfqkxmcwhtsosyqlpr7e", "raw", False)

    def statement(**bent: object) -> Statement:
        fields: dict[str, object] = {"kind": PAYOUTS, "issuer": "did:key:z", "issued_at": 1,
                                     "subjects": (payouts_subject(item),), "body": said.body(), "refs": (),
                                     "evidence": (item,)}
        return Statement(**(fields | bent))  # type: ignore[arg-type]

    assert PayoutsClaim.of(statement()) == (said, item)
    body = said.body()
    wrong: list[Statement] = [statement(body={key: value for key, value in body.items() if key != name})
                              for name in body]
    wrong += [statement(body=body | {name: value}) for name, value in (
        ("more", 1), ("pot", "3"), ("pot", True), ("total", 5), ("total", "05"), ("root", "12"), ("deal", "ZZ" * 32),
        ("book", "0x" + "01" * 20), ("chain", 7), ("chain", "-7"))]
    wrong += [statement(kind="listing"), statement(evidence=()), statement(evidence=(item, item)),
              statement(subjects=()), statement(evidence=(replace(item, sealed=True),)),
              statement(evidence=(replace(item, name="list"),)),
              statement(evidence=(replace(item, cid=item.cid[:-1] + "a"),))]
    for one in wrong:
        with pytest.raises(BadInput):
            PayoutsClaim.of(one)
