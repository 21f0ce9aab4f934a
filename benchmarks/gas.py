"""Gas of every act of the Book and of an anchor, on the embedded chain (Prague rules), against benchmarks/gas.json.

Money is already held, the Book already holds some of the token, and approvals are given beforehand: they are listed
apart. Parties of the whole deals approve exactly what they deposit, as is safest; ``left over`` measures an approval
that is not used up, which pays no refund. "new" says that a payee held nothing of the token before, so its balance slot
is written from zero; every slot is cold at the start of a transaction. Where an act depends on it, the name says how
many depositors, payees, voices or entries there are. A line "whole: …" is the sum of the acts that its name lists. The
peer is an ERC-20 transfer to a holder in the same run.

Run: python benchmarks/gas.py [--write]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from troth.core.encoding import keccak256
from troth.core.payouts import PayoutTree
from troth.core.ports import Consent
from troth.core.terms import (
    CHALLENGER,
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
    history_hash,
    payout_leaf,
)
from troth.core.typed_data import join_digest, verdict_digest
from troth.flows.parts import Pin
from troth.flows.sale_deal import PRICE, STAKE, Sale
from troth.flows.sale_words import Deal, Judge, Licence, Money, Offer, Order
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.anchors import anchor
from troth.ledger.artefacts import Artefact, artefact, code_hash
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.deploy import code_at, create, deploy
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook
from troth.ledger.licences import Licences
from troth.ledger.sending import Receipt, Sender
from troth.store.wrapping import RecipientKey
from troth.verify.policies.preimage import hash_lock
from troth.verify.policies.proof import answer_context, answer_data, key_name, proof_param
from troth.verify.policies.voices import commit_data, reveal_data, verdict_data

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from groth16_setups import Setup  # noqa: E402  (proofs without a circuit, from secrets that the tests know)

SNAPSHOT = HERE / "gas.json"
MOODY = HERE.parent / "tests" / "contracts" / "artefacts" / "MoodyToken.json"
START, HOUR = 1_700_000_000, 3600
CLAIM = keccak256(b"claim")


class Meter(Sender):
    """Notes the gas of what it sends under the name that was set last."""

    notes: dict[str, int]
    name: str
    sums: dict[str, int]
    sum: str

    def send(self, to: bytes | None, data: bytes = b"", **options: Any) -> Receipt:
        receipt = super().send(to, data, **options)
        if self.name:
            self.notes[self.name] = receipt.gas_used
        if self.sum:
            self.sums[self.sum] = self.sums.get(self.sum, 0) + receipt.gas_used
        return receipt


class Bench:
    """A chain with everything deployed, and actors by name."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(None, clock=self.clock)
        self.notes: dict[str, int] = {}
        self.sums: dict[str, int] = {}
        self.senders: dict[Account, Meter] = {}
        self.keys: dict[Account, Secp256k1KeyPair] = {}
        self.owner = self.actor("owner")
        sender = self.senders[self.owner]
        self.contracts = deploy(sender)
        self.token = Erc20(self.chain.web3, self.contracts["token"].address)
        self.book = EvmBook(self.chain.web3, self.contracts["book"].address, self.senders.__getitem__,
                            chain_id=self.chain.chain_id)
        self.deals = 0

    def actor(self, name: str) -> Account:
        """An account with a key of its own."""
        pair = Secp256k1KeyPair(keccak256(b"gas " + name.encode()))
        account = pair.public.account
        if account not in self.senders:
            meter = Meter(self.chain.web3, pair.reveal_seed())
            meter.notes, meter.name, meter.sums, meter.sum = self.notes, "", self.sums, ""
            self.senders[account], self.keys[account] = meter, pair
        return account

    def holder(self, name: str, approve: int = 10**9) -> Account:
        """An actor with money and an approval."""
        account = self.actor(name)
        self.token.transfer(self.senders[self.owner], account, 10**9)
        self.token.approve(self.senders[account], self.book.address, approve)
        return account

    def act(self, name: str, by: Account, do: Callable[..., Any], *arguments: Any, whole: str = "") -> Any:
        """Do an act, note its gas under ``name`` and add it to the sum ``whole``; empty ones note nothing."""
        sender = self.senders[by]
        sender.name, sender.sum = name, whole
        done = do(by, *arguments)
        sender.name = sender.sum = ""
        return done

    def open(self, name: str, by: Account, terms: Terms) -> bytes:
        deal: bytes = self.act(name, by, self.book.open, terms, self.salt())
        return deal

    def salt(self) -> bytes:
        """Of the next deal."""
        self.deals += 1
        return self.deals.to_bytes(32, "big")

    def join_all(self, deal: bytes, terms: Terms) -> None:
        for index, pot in enumerate(terms.pots):
            if pot.depositor in self.senders:
                self.book.join(pot.depositor, deal, index)

    def pinned(self, name: str) -> tuple[Account, bytes]:
        return self.contracts[name].address, self.contracts[name].codehash


def job(bench: Bench, client: Account, worker: Account, verifiers: tuple[Account, ...], court: Account) -> Terms:
    """Two depositors; the worker's word, above it a re-execution by 2 of 3."""
    pots = (
        Pot("reward", client, 1000, {UPHELD: Split((worker, KEEPER), amounts=(990, 10))}),
        Pot("stake", worker, 500, {SLASHED: Split((CHALLENGER, client), weights=(1, 1))}),
        Pot("fee", climber(1), 60, {UPHELD: Answered(1), REFUTED: Answered(1)}),
    )
    rungs = (
        Rung(*bench.pinned("assumed"), (Ask("result", (worker,), HOUR),), HOUR, HOUR, 100, REFUTED),
        Rung(*bench.pinned("rerun:2"), (Ask("evidence", (worker,), HOUR), Ask("commit", verifiers, HOUR),
                                        Ask("reveal", verifiers, HOUR)), HOUR),
    )
    return Terms(bench.token.address, pots, rungs, bench.chain.now() + HOUR, court)


def two_party(bench: Bench) -> None:
    """open, both forms of join, submit and judge apart and in one, close, and a void."""
    client, worker = bench.holder("client"), bench.holder("worker")
    verifiers = tuple(bench.actor(f"verifier {n}") for n in range(3))
    keeper, court = bench.holder("keeper"), bench.actor("court")
    terms = job(bench, client, worker, verifiers, court)
    deal = bench.open("open: 3 pots, 2 rungs", client, terms)
    bench.act("join: first of 2", client, bench.book.join, deal, 0)
    bench.act("join: last of 2, starts the deal", worker, bench.book.join, deal, 1)
    said = Result(UPHELD).to_bytes()
    bench.act("submit: one seat", worker, bench.book.submit, deal, 0, 0, CLAIM, said)
    bench.act("judge: Assumed, 1 entry", keeper, bench.book.judge, deal)
    bench.clock.advance(HOUR)
    bench.act("close: pays 2 holders, 2 entries", keeper, bench.book.close, deal)
    terms = job(bench, client, worker, verifiers, court)
    deal = bench.open("", client, terms)
    bench.book.join(client, deal, 0)
    expiry = bench.chain.now() + HOUR
    digest = join_digest(bench.book.chain_id, bench.book.address, deal, 1, terms.token, 500, expiry)
    bench.act("join with consent: last of 2, starts the deal", keeper, bench.book.join_with_consent, deal, 1, expiry,
              bench.keys[worker].sign_digest(digest))
    bench.act("submit and judge: Assumed", worker, bench.book.submit_and_judge, deal, 0, 0, CLAIM, said)
    terms = job(bench, client, worker, verifiers, court)
    deal = bench.open("", client, terms)
    bench.book.join(client, deal, 0)
    bench.clock.advance(HOUR)
    bench.act("close: void, 1 of 2 joined", keeper, bench.book.close, deal)


JOB = "whole: two-party job (open and join, join, submit and judge, close by the worker)"
AT_ONCE = "whole: two-party job in three (open, join and the worker's consent; submit and judge; close)"
RIGHT = "whole: deal with one right challenge, Rerun 2 of 3 (13 transactions, six of them the verifiers')"
VOICES = "part of it: the verifiers' commits and reveals"
SIGNED = "whole: the same with Signed 2 of 3 (10 transactions, three of them the signers')"
ARBITER = "whole: the same with one arbiter's word above (4 transactions: with consent, no evidence, one the arbiter's)"
ANSWER = "whole: a proven answer for a price, with a stake (open and join; join; submit, judge and close)"
SEALED = "whole: sealed sale (open with both deposits, 3 verifiers join, show and judge, close)"
COMPLAINT = "whole: sealed sale that is complained of (also challenge, 3 commit and reveal, judge, close)"
SALE = "whole: simple sale (open and join; submit, judge and close by the seller)"


def whole_jobs(bench: Bench) -> None:
    """Two parties alone, each approving what it deposits; the worker, who is paid, closes."""
    client, worker = bench.holder("exact client", 1000), bench.holder("exact worker", 500)
    verifiers = tuple(bench.actor(f"verifier {n}") for n in range(3))
    court, said = bench.actor("court"), Result(UPHELD).to_bytes()
    book = bench.book
    terms = job(bench, client, worker, verifiers, court)
    deal = bench.act("open and join: 3 pots, 2 rungs", client, book.open_and_join, terms, bench.salt(), 0, whole=JOB)
    bench.act("join: last of 2, approval used up", worker, book.join, deal, 1, whole=JOB)
    bench.act("", worker, book.submit_and_judge, deal, 0, 0, CLAIM, said, whole=JOB)
    bench.clock.advance(HOUR)
    bench.act("close: by the worker, who is paid alone", worker, book.close, deal, whole=JOB)
    for who, amount in ((client, 1000), (worker, 500)):
        bench.token.approve(bench.senders[who], book.address, amount)
    terms, salt, expiry = job(bench, client, worker, verifiers, court), bench.salt(), bench.chain.now() + HOUR
    deal = deal_id(book.chain_id, book.address, client, salt, terms.hash())
    signed = bench.keys[worker].sign_digest(join_digest(book.chain_id, book.address, deal, 1, terms.token, 500, expiry))
    bench.act("open, join and one consent", client, book.open_and_join, terms, salt, 0, (Consent(1, expiry, signed),),
              whole=AT_ONCE)
    bench.act("", worker, book.submit_and_judge, deal, 0, 0, CLAIM, said, whole=AT_ONCE)
    bench.clock.advance(HOUR)
    bench.act("", worker, book.close, deal, whole=AT_ONCE)


def cheated(bench: Bench, name: str, above: Rung, whole: str) -> tuple[bytes, Account, Account]:
    """A job, its worker and its challenger: the worker's claim was just challenged. ``above``: who judges that; its
    first ask is the worker's, unless it names somebody.
    """
    client, worker = bench.holder(f"client {name}", 1000), bench.holder(f"cheat {name}", 500)
    rival, court = bench.holder(f"rival {name}", 160), bench.actor("court")
    first, *rest = above.asks
    above = replace(above, asks=(replace(first, who=first.who or (worker,)), *rest))
    plain = job(bench, client, worker, (court,), court)
    terms = replace(plain, rungs=(plain.rungs[0], above))
    book, salt, expiry = bench.book, bench.salt(), bench.chain.now() + HOUR
    if whole == ARBITER:
        deal = deal_id(book.chain_id, book.address, client, salt, terms.hash())
        signed = bench.keys[worker].sign_digest(
            join_digest(book.chain_id, book.address, deal, 1, terms.token, 500, expiry))
        bench.act("", client, book.open_and_join, terms, salt, 0, (Consent(1, expiry, signed),), whole=whole)
    else:
        deal = bench.act("", client, book.open_and_join, terms, salt, 0, whole=whole)
        bench.act("", worker, book.join, deal, 1, whole=whole)
    bench.act("", worker, book.submit_and_judge, deal, 0, 0, CLAIM, Result(UPHELD).to_bytes(), whole=whole)
    bench.act("challenge: bond and fee" if whole == RIGHT else "", rival, book.challenge, deal, whole=whole)
    return deal, worker, rival


def evidence(bench: Bench, deal: bytes, worker: Account, whole: str) -> None:
    bench.act("submit: evidence of 100 bytes" if whole == RIGHT else "", worker, bench.book.submit, deal, 0, 0, CLAIM,
              bytes(range(1, 101)), whole=whole)


def challenged(bench: Bench) -> None:
    """A right challenger, Rerun by 2 of 3, the verifiers paid for the first time; closed with the verdict, or apart."""
    for name, whole in (("at once", RIGHT), ("apart", "")):
        verifiers = tuple(bench.actor(f"verifier {n} {name}") for n in range(3))
        above = Rung(*bench.pinned("rerun:2"), (Ask("evidence", None, HOUR), Ask("commit", verifiers, HOUR),
                                                Ask("reveal", verifiers, HOUR)), HOUR)
        deal, worker, rival = cheated(bench, name, above, whole)
        evidence(bench, deal, worker, whole)
        found = Result(REFUTED, slashed=frozenset({worker})).to_bytes()
        for what, ask in (("commit", 1), ("reveal", 2)):
            for n, verifier in enumerate(verifiers):
                data = commit_data(deal, 1, verifier, found, CLAIM) if ask == 1 else reveal_data(found, CLAIM)
                before = bench.sums.get(RIGHT, 0)
                bench.act(f"submit: {what} {n + 1} of 3", verifier, bench.book.submit, deal, ask, 0, CLAIM, data,
                          whole=whole)
                if whole:
                    bench.sums[VOICES] = bench.sums.get(VOICES, 0) + bench.sums[RIGHT] - before
        if whole:
            bench.act("judge and close: Rerun 2 of 3, challenger right, pays 2 holders and 3 new", rival,
                      bench.book.judge_and_close, deal, whole=whole)
        else:
            bench.act("judge: Rerun 2 of 3, 10 entries", rival, bench.book.judge, deal)
            bench.act("close: challenger right, pays 2 holders and 3 new, 11 entries", rival, bench.book.close, deal)


def cheaper_challenges(bench: Bench) -> None:
    """A right challenger judged by two of three signatures, and in the fewest transactions by one arbiter."""
    signers = tuple(bench.actor(f"signer {n}") for n in range(3))
    policy, _ = create(bench.senders[bench.owner], artefact("Signed").bytecode, ("uint256", 2), ("uint128", 0))
    pin = (policy, code_hash(code_at(bench.chain.web3, policy)))
    above = Rung(*pin, (Ask("evidence", None, HOUR), Ask("verdict", signers, HOUR)), HOUR)
    deal, worker, rival = cheated(bench, "signed", above, SIGNED)
    evidence(bench, deal, worker, SIGNED)
    found = Result(REFUTED, slashed=frozenset({worker})).to_bytes()
    book, expiry = bench.book, bench.chain.now() + HOUR
    root = reduce(history_hash, book.state(deal).history, deal)
    digest = verdict_digest(book.chain_id, book.address, deal, 1, root, found, expiry)
    for n, signer in enumerate(signers):
        data = verdict_data(found, expiry, bench.keys[signer].sign_digest(digest))
        bench.act(f"submit: signed verdict {n + 1} of 3", signer, book.submit, deal, 1, 0, CLAIM, data, whole=SIGNED)
    bench.act("judge and close: Signed 2 of 3, challenger right, pays 2 holders and 3 new", rival,
              book.judge_and_close, deal, whole=SIGNED)
    arbiter = bench.actor("arbiter")
    above = Rung(*bench.pinned("assumed"), (Ask("verdict", (arbiter,), HOUR),), HOUR)
    deal, worker, _ = cheated(bench, "before an arbiter", above, ARBITER)
    found = Result(REFUTED, slashed=frozenset({worker})).to_bytes()
    bench.act("submit, judge and close: an arbiter's word, challenger right, pays 2 holders and 1 new", arbiter,
              book.submit_and_close, deal, 0, 0, CLAIM, found, whole=ARBITER)


def simple_sale(bench: Bench) -> None:
    """One pot of the buyer's, one rung that the secret which the seller shows decides."""
    buyer, seller, court = bench.holder("buyer", 1000), bench.holder("seller"), bench.actor("court")
    pots = (Pot("price", buyer, 1000, {UPHELD: Split((seller,), amounts=(1000,))}),)
    secret = keccak256(b"gas secret")
    rung = Rung(*bench.pinned("preimage"), (Ask("preimage", (seller,), HOUR),), HOUR, silent=REFUTED,
                param=hash_lock(secret))
    terms = Terms(bench.token.address, pots, (rung,), bench.chain.now() + HOUR, court)
    deal = bench.act("open and join: 1 pot, 1 rung", buyer, bench.book.open_and_join, terms, bench.salt(), 0,
                     whole=SALE)
    bench.act("submit, judge and close: Preimage, 1 payee", seller, bench.book.submit_and_close, deal, 0, 0,
              rung.param, secret, whole=SALE)
    terms = replace(terms, fund_by=terms.fund_by + 1)
    deal = bench.open("", bench.holder("buyer", 1000), terms)
    bench.join_all(deal, terms)
    bench.act("submit and judge: Preimage", seller, bench.book.submit_and_judge, deal, 0, 0, rung.param, secret)
    bench.act("close: 1 rung, 1 payee", seller, bench.book.close, deal)


def sealed_sale(bench: Bench) -> None:
    """Sealed data for a price: nobody complains; a licence is minted and revoked. Then a buyer that got rubbish."""
    buyer, seller = bench.holder("buyer of data"), bench.holder("seller of data")
    verifiers = tuple(bench.holder(f"inspector {number}") for number in range(3))
    pins = [Pin(*bench.pinned(name)) for name in ("preimage", "rerun:2")]
    deal_words = Deal(bench.chain.chain_id, bench.book.address, bench.token.address, seller, *pins,
                      tuple(Judge(f"did:key:{number}", one) for number, one in enumerate(verifiers)),
                      Money(1_000, 2_500, 90, 200, 40, 100))
    offer = Offer("data", "", (), "csv", "bafk", CLAIM, CLAIM, False, Licence("research", HOUR, authority=seller),
                  deal_words)
    secret, book = keccak256(b"gas secret"), bench.book
    licences = Licences(bench.chain.web3, bench.contracts["licences"].address)

    def begun(order: bytes, whole: str) -> Sale:
        sale = Sale(CLAIM, offer, order, Order(buyer, RecipientKey(CLAIM).public(), CLAIM), "bafk", hash_lock(secret),
                    bench.chain.now() + HOUR)
        consent = Consent(STAKE, sale.fund_by, bench.keys[seller].sign_digest(sale.consent_digest()))
        bench.act("sealed sale: open, price and stake by consent, 6 pots, 2 rungs" if whole == SEALED else "", buyer,
                  book.open_and_join, sale.terms(), sale.salt(), PRICE, [consent], whole=whole)
        for index, one in enumerate(verifiers):
            bench.act("", one, book.join, sale.deal(), 2 + index, whole=whole)
        bench.act("sealed sale: show the secret, judged" if whole == SEALED else "", seller, book.submit_and_judge,
                  sale.deal(), 0, 0, CLAIM, secret, whole=whole)
        return sale

    sale = begun(CLAIM, SEALED)
    bench.clock.advance(3 * HOUR)
    bench.act("sealed sale: close, pays 4 holders", seller, book.close, sale.deal(), whole=SEALED)
    meter = bench.senders[seller]
    meter.name = "licence: mint"
    licences.mint(meter, book.brought(sale.deal()), sale.words())
    meter.name = "licence: revoke"
    licences.revoke(meter, sale.deal(), CLAIM)
    meter.name = ""
    sale = begun(keccak256(CLAIM), COMPLAINT)
    found = Result(REFUTED).to_bytes()
    bench.act("", buyer, book.challenge, sale.deal(), whole=COMPLAINT)
    for one in verifiers:
        bench.act("", one, book.submit, sale.deal(), 0, 0, CLAIM, commit_data(sale.deal(), 1, one, found, CLAIM),
                  whole=COMPLAINT)
    for one in verifiers:
        bench.act("", one, book.submit, sale.deal(), 1, 0, CLAIM, reveal_data(found, CLAIM), whole=COMPLAINT)
    bench.act("", buyer, book.judge, sale.deal(), whole=COMPLAINT)
    bench.act("", buyer, book.close, sale.deal(), whole=COMPLAINT)


def proven_answer(bench: Bench) -> None:
    """A price for a proven answer, and a stake against none; the proof has four publics, one of them the deal's."""
    buyer, provider, court = bench.holder("asker", 1000), bench.holder("provider", 500), bench.actor("court")
    setup, contracts, sender = Setup(4), bench.contracts, bench.senders[provider]
    name, fixed, scores = key_name(setup.key), (11,), (22, 33)
    keys, policy = contracts["keys"].address, contracts["proof"].address
    sender.name = "publish a verifying key: 4 publics"
    sender.send(keys, _call("publish(bytes)", setup.key.data))
    sender.name = "apart: a proof of 4 publics checked alone"
    sender.send(policy, _call("holds(bytes32,bytes,uint256,bytes)", name, setup.forge((5, *fixed, *scores)).data, 5,
                              b"".join(value.to_bytes(32, "big") for value in (*fixed, *scores))))
    sender.name = ""
    rung = Rung(*bench.pinned("proof"), (Ask("answer", (provider,), HOUR),), HOUR, silent=REFUTED,
                param=proof_param(name, fixed))
    pots = (Pot("price", buyer, 1000, {UPHELD: Split((provider,), amounts=(1000,))}),
            Pot("stake", provider, 500, {REFUTED: Split((buyer,), amounts=(500,))}))
    terms = Terms(bench.token.address, pots, (rung,), bench.chain.now() + HOUR, court)
    deal = bench.act("", buyer, bench.book.open_and_join, terms, bench.salt(), 0, whole=ANSWER)
    bench.act("", provider, bench.book.join, deal, 1, whole=ANSWER)
    context = answer_context(bench.book.chain_id, bench.book.address, deal, 0, provider)
    data = answer_data(name, setup.forge((context, *fixed, *scores)), fixed, scores)
    bench.act("submit, judge and close: Proof of 4 publics, 1 payee with a stake", provider,
              bench.book.submit_and_close, deal, 0, 0, CLAIM, data, whole=ANSWER)


def _call(signature: str, *values: object) -> bytes:
    from eth_abi.abi import encode

    return keccak256(signature.encode())[:4] + encode(signature[signature.index("(") + 1 : -1].split(","), values)


def round_of_five(bench: Bench) -> None:
    """Five trainers with stakes, paid by measured values."""
    sponsor, keeper, court = bench.holder("sponsor"), bench.actor("keeper"), bench.actor("court")
    trainers = tuple(bench.holder(f"trainer {n}") for n in range(5))
    pots = (
        Pot("reward", sponsor, 10_000, {UPHELD: Split(trainers)}),
        *(Pot(f"stake {n}", one, 500, {SLASHED: Split((sponsor,), weights=(1,))}) for n, one in enumerate(trainers)),
    )
    rung = Rung(*bench.pinned("assumed"), (Ask("result", (sponsor,), HOUR),), HOUR, silent=REFUTED)
    terms = Terms(bench.token.address, pots, (rung,), bench.chain.now() + HOUR, court)
    deal = bench.open("open: 6 pots, 1 rung", sponsor, terms)
    bench.join_all(deal, terms)
    result = Result(UPHELD, values=(1500, 2500, 1000, 3000, 2000))
    bench.act("submit and judge: Assumed, 5 values", sponsor, bench.book.submit_and_judge, deal, 0, 0, CLAIM,
              result.to_bytes())
    bench.act("close: 5 staked trainers, pays 5 holders", keeper, bench.book.close, deal)


def payouts(bench: Bench) -> None:
    """Ten thousand payees under one root."""
    sponsor, keeper, court = bench.holder("sponsor"), bench.actor("keeper"), bench.actor("court")
    rung = Rung(*bench.pinned("assumed"), (Ask("result", (sponsor,), HOUR),), HOUR, silent=REFUTED)
    pots = (Pot("reward", sponsor, 20_000, {UPHELD: Root(HOUR)}),)
    terms = Terms(bench.token.address, pots, (rung,), bench.chain.now() + HOUR, court)
    deal = bench.open("open: 1 pot, 1 rung", sponsor, terms)
    bench.join_all(deal, terms)
    payees = [bench.actor("payee 0"), sponsor, *(keccak256(n.to_bytes(4, "big"))[:20] for n in range(9_998))]
    leaves = [payout_leaf(bench.book.chain_id, bench.book.address, deal, 0, n, one, 2) for n, one in enumerate(payees)]
    tree = PayoutTree(leaves)
    said = Result(UPHELD, root=tree.root, total=20_000).to_bytes()
    bench.book.submit_and_judge(sponsor, deal, 0, 0, CLAIM, said)
    bench.act("close: root of 10,000 payees", keeper, bench.book.close, deal)
    for n, name in ((0, "collect: 1 of 10,000, new holder, first of its word"), (1, "collect: 1 of 10,000, holder")):
        bench.act(name, keeper, bench.book.collect, deal, 0, (n, payees[n], 2), tree.proof(n))
    many = [((n, payees[n], 2), tree.proof(n)) for n in range(300, 350)]
    bench.act("collect many: 50 of 10,000, new holders", keeper, bench.book.collect_many, deal, 0, many)
    bench.notes["whole: payout collected in a batch of 50, each"] = bench.notes[
        "collect many: 50 of 10,000, new holders"] // 50
    bench.clock.advance(HOUR)
    bench.act("sweep: to a holder", keeper, bench.book.sweep, deal, 0)


def others(bench: Bench) -> None:
    """A failed payment and its withdrawal, stopping, anchors, and what a token costs by itself."""
    client, payee, court = bench.holder("client"), bench.actor("blocked payee"), bench.actor("court")
    moody, _ = create(bench.senders[bench.owner], Artefact.read(MOODY.read_text("utf-8")).bytecode)
    owner = bench.senders[bench.owner]
    owner.send(moody, keccak256(b"mint(address,uint256)")[:4] + client.rjust(32, b"\0") + (100).to_bytes(32, "big"))
    Erc20(bench.chain.web3, moody).approve(bench.senders[client], bench.book.address, 100)
    rung = Rung(*bench.pinned("assumed"), (Ask("result", (client,), HOUR),), HOUR, silent=REFUTED)
    pots = (Pot("reward", client, 100, {UPHELD: Split((payee,), amounts=(100,))}),)
    terms = Terms(moody, pots, (rung,), bench.chain.now() + HOUR, court)
    deal = bench.open("", client, terms)
    bench.join_all(deal, terms)
    bench.book.submit_and_judge(client, deal, 0, 0, CLAIM, Result(UPHELD).to_bytes())
    fail = keccak256(b"fail(address,bool)")[:4] + payee.rjust(32, b"\0")
    owner.send(moody, fail + (1).to_bytes(32, "big"))
    bench.act("close: 1 payment that fails", client, bench.book.close, deal)
    owner.send(moody, fail + bytes(32))
    bench.act("withdraw: new holder", payee, bench.book.withdraw, moody)
    bench.act("stop", bench.owner, bench.book.stop, True)
    bench.act("start again", bench.owner, bench.book.stop, False)
    for size, name in ((10, "anchor: first of a log"), (20, "anchor: a later one")):
        checkpoint = Checkpoint("example.org/log", size, keccak256(bytes([size])))
        owner.name = name
        anchor(owner, bench.contracts["anchor"].address, checkpoint)
    bench.notes["whole: a claim in an anchored batch of 10,000, in hundredths"] = (
        bench.notes["anchor: a later one"] * 100 // 10_000)
    owner.name = "apart: ERC-20 transfer to a holder"
    bench.token.transfer(owner, client, 1)
    owner.name = "apart: first approval"
    bench.token.approve(owner, bench.book.address, 1)
    owner.name = ""


def run(quick: bool = False) -> dict[str, Any]:
    """Gas by act, and each as a ratio to an ERC-20 transfer measured in the same run (``quick`` changes nothing)."""
    bench = Bench()
    for story in (two_party, whole_jobs, challenged, cheaper_challenges, simple_sale, round_of_five, payouts, others,
                  proven_answer, sealed_sale):
        story(bench)
    bench.chain.close()
    bench.notes |= bench.sums
    peer = bench.notes["apart: ERC-20 transfer to a holder"]
    wholes = {name: gas for name, gas in bench.notes.items() if name.startswith(("whole", "challenge", "part"))}
    return {"headlines": wholes, "gas": bench.notes, "in ERC-20 transfers": {name: round(gas / peer, 2)
                                                        for name, gas in bench.notes.items()}}


def differences(found: dict[str, int]) -> dict[str, tuple[int | None, int | None]]:
    """(committed, found) of every act whose gas is not the committed one."""
    committed = json.loads(SNAPSHOT.read_text("utf-8"))
    names = sorted(committed.keys() | found.keys())
    return {name: (committed.get(name), found.get(name)) for name in names if committed.get(name) != found.get(name)}


if __name__ == "__main__":
    figures = run()
    if "--write" in sys.argv:
        SNAPSHOT.write_text(json.dumps(figures["gas"], indent=2) + "\n", "utf-8")
    figures["differs from the snapshot"] = differences(figures["gas"])
    print(json.dumps(figures, indent=2))
