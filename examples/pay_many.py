"""Three hundred people are paid by one result; then the clerk who made the list tries to keep the money.

    python examples/pay_many.py [FOLDER]

A deal holds a sponsor's reward and a clerk's stake. The clerk answers with the root of a list. Whoever could object
looks first: is the list there, all of it, and does it lead to that root? If not, two verifiers are called, and the
stake goes.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import tempfile
from pathlib import Path

from troth.app import Troth
from troth.app.paying import Listed, check_payouts, collect_payouts, publish_payouts
from troth.app.playing import play
from troth.core.errors import Refuted
from troth.core.terms import CHALLENGER, REFUTED, SLASHED, UPHELD, Ask, Pot, Result, Root, Rung, Split, Terms
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.verify.policies.voices import commit_data, reveal_data

HOUR, REWARD, STAKE, BOND = 3_600, 900, 2_000, 100
NAMES = ("sponsor", "clerk", "worker", "verifier", "other verifier")
NOTHING, COURT = bytes(32), b"\x77" * 20


def begin(sponsor: Troth, clerk: Troth, bench: tuple[Troth, ...], salt: int) -> bytes:
    """A deal: what the clerk lists is paid, unless the verifiers are called and say that it is wrong."""
    accounts = tuple(party.account for party in bench)
    assumed, rerun = sponsor.contracts["assumed"], sponsor.contracts["rerun:2"]
    pots = (Pot("reward", sponsor.account, REWARD, {UPHELD: Root(HOUR)}),
            Pot("stake", clerk.account, STAKE, {SLASHED: Split((CHALLENGER,), amounts=(STAKE // 2,))}))
    rungs = (Rung(assumed.address, assumed.codehash, (Ask("list", (clerk.account,), HOUR),), HOUR, HOUR, BOND,
                  silent=REFUTED),
             Rung(rerun.address, rerun.codehash, (Ask("commit", accounts, HOUR), Ask("reveal", None, HOUR)), HOUR))
    terms = Terms(sponsor.contracts["token"].address, pots, rungs, sponsor.chain.now() + HOUR, COURT)
    deal = sponsor.book.open_and_join(sponsor.account, terms, salt.to_bytes(32, "big"), 0)
    clerk.book.join(clerk.account, deal, 1)
    return deal


def answer(clerk: Troth, deal: bytes, listed: Listed, root: bytes, to: tuple[Troth, ...]) -> None:
    """Hand the list over, and answer the deal with a root."""
    assert listed.claim is not None
    clerk.send([party.did for party in to], [listed.claim], clerk.evidence_here([listed.claim]))
    for party in to:
        party.receive()
    result = Result(UPHELD, root=root, total=listed.payouts.total)
    clerk.book.submit_and_judge(clerk.account, deal, 0, 0, listed.claim, result.to_bytes())


def main(folder: Path) -> None:
    """An honest list, then one whose root is another's."""
    chain = EmbeddedChain(folder / "chain")
    parties = list(play(folder, NAMES, "x", chain=chain, purse=5_000, supply=50_000, cost=MIN_COST).values())
    sponsor, clerk, worker, *others = parties
    bench = tuple(others)
    contracts = sponsor.contracts
    token = Erc20(chain.web3, contracts["token"].address)
    for party in parties:
        token.approve(party.sender, contracts["book"].address, 5_000)
    people = [(hashlib.sha256(bytes([n % 256, n // 256])).digest()[:20], 2) for n in range(299)]
    due = [(worker.account, 50), *people]

    deal = begin(sponsor, clerk, bench, 1)
    listed = publish_payouts(clerk, deal, 0, due)
    answer(clerk, deal, listed, listed.payouts.tree.root, (worker, *bench))
    found = check_payouts(worker, deal, expect=due)
    print(f"the list is there: {len(found.payouts.payees)} payees, {found.payouts.total} in all")
    chain.advance(HOUR)
    worker.book.close(worker.account, deal)
    print("the worker collects", collect_payouts(worker, deal)[1])

    before = {party: token.balance(party.account) for party in parties}
    deal = begin(sponsor, clerk, bench, 2)
    listed = publish_payouts(clerk, deal, 0, due)
    own = publish_payouts(clerk, deal, 0, [(clerk.account, listed.payouts.total)])  # kept to itself
    answer(clerk, deal, listed, own.payouts.tree.root, (worker, *bench))
    try:
        check_payouts(worker, deal, expect=due)
    except Refuted as refuted:
        print("another root:", refuted.message)
    worker.book.challenge(worker.account, deal)
    said = Result(REFUTED, slashed=frozenset({clerk.account})).to_bytes()
    salts = {one: secrets.token_bytes(32) for one in bench}
    for ask in range(2):
        for one, salt in salts.items():
            data = reveal_data(said, salt) if ask else commit_data(deal, 1, one.account, said, salt)
            one.book.submit(one.account, deal, ask, 0, NOTHING, data)
    worker.book.judge(worker.account, deal)
    worker.book.close(worker.account, deal)
    print("the clerk gains", token.balance(clerk.account) - before[clerk],
          "and the worker who called", token.balance(worker.account) - before[worker])
    for party in parties:
        party.close()
    chain.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
