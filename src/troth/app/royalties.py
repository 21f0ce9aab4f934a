"""Royalties of a workspace: saying what a thing rests on, paying a run, checking, judging and collecting one.

Was my work used, what does an erasure touch, and the shares that other people's markets ask for.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app.checking import verify_bundle
from troth.app.paying import collect_payouts
from troth.core.claims import Statement
from troth.core.encoding import keccak256, sha256
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, Undecidable
from troth.core.ports import ClaimView
from troth.core.terms import SUBMISSION, VERDICT, Account, Result
from troth.core.verdicts import Outcome, Report, Step
from troth.flows import royalties as flow
from troth.flows.parts import Pin
from troth.flows.royalty_words import ROYALTY, Money, Owed, Periods, RoyaltyClaim, Words, shared_of
from troth.learn.contributions import (
    CONTRIBUTION,
    DECLARED,
    MILLION,
    NEIGHBOURS,
    ROUNDS,
    Contribution,
    Row,
    by_records,
    by_rounds,
    sources,
)
from troth.verify.policies.voices import commit_data, reveal_data
from troth.verify.trust import Trust
from troth.verify.usage import Erased, Own, touched, used

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.ledger.royalties import Royalties, Shares

COMMONS: Account = keccak256(b"troth royalties: nobody's account")[12:]
"""Gets what wrong challengers forfeit. Nobody has its key."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How weights are found: declared, by claim; or by ``validation`` records and so many neighbours; or, with neither,
    by the rounds that made a model.
    """

    declared: Mapping[bytes, int] | None = None
    validation: bytes | None = None
    neighbours: int = 5


def contribute(party: Troth, target: bytes, passes: int, measure: Measure) -> tuple[bytes, Contribution]:
    """Say, once, what a thing of this party's rests on and what of its earnings is passed on; the claim's id.

    passes: parts of a million. Who says two things loses its say, so a second one is refused. Raises Misuse for
    another's thing, one that rests on nothing or weights for other claims than it rests on; Undecidable where an
    account is not known or records cannot be opened.
    """
    statement = party.statement(target)
    if statement.issuer != party.did:
        raise Misuse("what something rests on is for its maker to say", expected=party.did, actual=statement.issuer)
    earlier = [claim for claim, said in party.claims(CONTRIBUTION)
               if said.issuer == party.did and target in said.all_refs("target")]
    if earlier:
        raise Misuse("it is said already what this rests on", actual=earlier[0].hex(),
                     do="Who says two things about one loses its say.")
    rests = sources(party, target)
    if not rests:
        raise Misuse("this rests on nothing of anybody's", actual=statement.kind, do="It keeps what it earns.")
    seats = dict[bytes, Account]()
    method, validation = DECLARED, None
    if statement.all_refs("plan"):
        rounds = by_rounds(party, target)
        method, weights = ROUNDS, {claim: weight for claim, (_, weight) in rounds.items()}
        seats = {claim: account for claim, (account, _) in rounds.items()}
    elif measure.validation is not None:
        method, validation = NEIGHBOURS, measure.validation
        weights = by_records(party, rests, validation, measure.neighbours, party.read)
    else:
        weights = dict(measure.declared or {})
    if set(weights) != set(rests):
        raise Misuse("weights for other things than this rests on", expected=", ".join(one.hex() for one in rests),
                     actual=", ".join(one.hex() for one in weights) or "none",
                     do="Measure them with --validation, or say each with --weight CLAIM=N.")
    rows = tuple(Row(claim, seats.get(claim) or account_of(party, party.statement(claim).issuer), weights[claim])
                 for claim in rests)
    said = Contribution(target, account_of(party, party.did), method, passes, rows,
                        measure.neighbours if method == NEIGHBOURS else 0, validation)
    Contribution.of(Statement(CONTRIBUTION, party.did, 0, statement.subjects, said.body(), tuple(said.refs())))
    return party.attest(CONTRIBUTION, statement.subjects, said.body(), refs=said.refs()), said


def account_of(party: Troth, did: str) -> Account:
    """The account that an identity is paid at: the first it bound itself to. Raises Undecidable for none."""
    found = party.accounts_of(did)
    if not found:
        raise Undecidable("it is not known where this contributor is paid", actual=did,
                          do="Take in its introduction: it must have bound an account.")
    return found[0]


def due(party: Troth, target: bytes, amount: int) -> flow.Due:
    """How what a thing earned is to be shared, as this log knows it."""
    return flow.due(party, target, amount, party.accounts_of, party.read)


# ---- a run ----

@dataclass(frozen=True, slots=True)
class Paying:
    """What is paid for and how it is settled. amount: what was earned. verifiers: DIDs. sale: (deal, pot)."""

    target: bytes
    amount: int
    token: Account
    verifiers: tuple[str, ...]
    money: Money
    periods: Periods = field(default_factory=Periods)
    sale: tuple[bytes, int] | None = None
    fund: int = 86_400


def pay(party: Troth, what: Paying) -> flow.Run:
    """State a run, hand it and its lineage to everybody in it, and deposit what is others', with the stake.

    Raises as ``flow.state_run``; Misuse where no policy of these contracts takes so many verifiers.
    """
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    found = due(party, what.target, what.amount)
    contracts = party.contracts
    quorum = len(what.verifiers) // 2 + 1
    fits = sorted(int(name[6:]) for name in contracts.named
                  if name.startswith("rerun:") and quorum <= int(name[6:]) <= len(what.verifiers))
    if not fits:
        raise Misuse("no policy here fits so many verifiers", expected=f"rerun:{quorum} or more of them",
                     actual=len(what.verifiers))
    assumed, rerun = (Pin.of(contracts[name]) for name in ("assumed", f"rerun:{fits[0]}"))
    bench = tuple((did, account_of(party, did)) for did in what.verifiers)
    words = Words(what.token, COMMONS, assumed, rerun, bench, what.money, what.periods)
    owed = Owed(contracts.chain_id, contracts["book"].address, party.account, what.target, what.amount,
                found.contributions, what.sale, party.chain.now() + what.fund, secrets.token_bytes(32), words)
    makers = {party.statement(part.claim).issuer for part in found.parts}
    to = sorted({*makers, *what.verifiers} - {party.did})
    # Whoever looks at the run looks at the lineage too: its claims, and nothing that is sealed.
    party.send(to, [node.id for node in party.trace(what.target).nodes if node.statement is not None][::-1])
    run = flow.state_run(party, owed, party.accounts_of, to, party.read)
    terms = owed.terms(shared_of(found.parts, party.account))
    deposits = sum(pot.amount for pot in terms.pots if pot.depositor == party.account)
    coin = Erc20(party.chain.web3, what.token)
    if coin.allowance(party.account, owed.book) < deposits:
        coin.approve(party.sender, owed.book, deposits)
    flow.open_run(party, run.claim)
    return run


def join(party: Troth, deal: bytes) -> int:
    """A verifier's stake, after looking at the run: one that is wrong is not joined. Raises what ``check`` finds."""
    # Imported here for the same reason.
    from troth.ledger.erc20 import Erc20

    found = flow.check_run(party, deal, party.accounts_of, party.read)
    if found.faults:
        raise Misuse("this run is wrong already", actual="; ".join(found.faults), do="Do not stake on it.")
    words = found.said.owed.words
    _known(party, words)
    coin = Erc20(party.chain.web3, words.token)
    if coin.allowance(party.account, found.said.owed.book) < words.money.verifier_stake:
        coin.approve(party.sender, found.said.owed.book, words.money.verifier_stake)
    return flow.join_run(party, deal)


def challenge(party: Troth, deal: bytes) -> int:
    """Call the verifiers, with the bond and their fee; what it takes. A right challenge gets both back and more.

    It should be one that ``check`` finds wrong. Raises ActRefused where it is too early or too late.
    """
    # Imported here for the same reason.
    from troth.ledger.erc20 import Erc20

    _, said = flow.run_of(party, deal)
    words = said.owed.words
    takes = words.money.bond + words.money.fee
    coin = Erc20(party.chain.web3, words.token)
    if coin.allowance(party.account, said.owed.book) < takes:
        coin.approve(party.sender, said.owed.book, takes)
    party.book.challenge(party.account, deal)
    return takes


def answer(party: Troth, deal: bytes) -> Result:
    """The payer answers with its list's root; after a challenge it hands the evidence over instead."""
    claim, _ = flow.run_of(party, deal)
    state = party.book.state(deal)
    if state.rung == 0:
        return flow.answer(party, claim)
    flow.evidence(party, deal)
    return next(Result.from_bytes(entry.data) for entry in state.history if entry.kind == SUBMISSION)


def check(party: Troth, deal: bytes) -> Report:
    """Whether a run shares what is due: refuted with what is wrong, undecidable where something is not here."""
    try:
        found = flow.check_run(party, deal, party.accounts_of, party.read)
    except Undecidable as error:
        return Report(Outcome.UNDECIDABLE, None, (Step(1, "claims", Outcome.UNDECIDABLE, error.diagnostics()),))
    steps = [Step(1, "claims", Outcome.UPHELD, f"{len(found.said.parts)} parts of {found.said.owed.amount}")]
    steps += [Step(at, "shares", Outcome.REFUTED, fault) for at, fault in enumerate(found.faults, 2)]
    if not found.faults:
        state = party.book.state(deal)
        told = any(entry.kind == SUBMISSION and entry.rung == 0 for entry in state.history)
        steps.append(Step(2, "shares", Outcome.UPHELD if told else Outcome.PENDING,
                          "everybody's part is what follows from the lineage" + (
                              "" if told else "; the payer has not answered yet")))
    return Report(steps[-1].outcome or Outcome.UNDECIDABLE, None, tuple(steps))


def judge(party: Troth, deal: bytes) -> tuple[str, flow.Checked]:
    """A verifier's next act on a challenged run: it commits to what it found, and once everybody has, reveals it.

    The list that it found is published, so that payees can collect whatever the payer keeps back; (what was done, the
    finding). Raises Pending where nothing is to be done yet, Misuse for who is not on the bench.
    """
    state = party.book.state(deal)
    if len(state.terms.rungs) != 2 or party.account not in state.terms.rungs[1].bench:
        raise Misuse("not a seat of this party's", actual=deal.hex())
    found = flow.find(party, deal, party.accounts_of, party.read)
    data = found.right.to_bytes()
    # Made anew when needed: nothing secret is written down for it.
    salt = sha256(b"troth/royalty/v1\n" + party.identity.account.reveal_seed() + deal)
    if state.rung != 1 or any(entry.kind == VERDICT and entry.rung == 1 for entry in state.history):
        raise Pending("nothing to judge", do="A challenge calls the verifiers.")
    said = {(entry.ask, entry.by) for entry in state.history if (entry.kind, entry.rung) == (SUBMISSION, 1)}
    if (1, party.account) not in said:
        claim = flow.publish(party, found.payouts)
        party.book.submit(party.account, deal, 1, 0, claim, commit_data(deal, 1, party.account, data, salt))
        owed = found.said.owed
        makers = {party.statement(part.claim).issuer for part in due(party, owed.target, owed.amount).parts}
        party.send(sorted(makers - {party.did}), [claim], party.statement(claim).evidence)
        return "committed", found
    party.book.submit(party.account, deal, 2, 0, bytes(32), reveal_data(data, salt))
    return "revealed", found


def collect(party: Troth, deal: bytes, *, everybody: bool = False) -> int:
    """Collect what a closed run pays this party, or everybody; what it comes to."""
    return collect_payouts(party, deal, everybody=everybody)[1]


def runs(party: Troth) -> list[tuple[RoyaltyClaim, str, int]]:
    """The runs that this log knows: each with its deal's status, and what of it is this party's."""
    found: list[tuple[RoyaltyClaim, str, int]] = []
    for _, statement in party.claims(ROYALTY):
        try:
            said = RoyaltyClaim.of(statement)
        except BadInput:  # anybody can sign anything
            continue
        try:
            status: str = party.book.state(said.deal).status
        except ActRefused:
            status = "not opened"
        mine = sum(part.amount for part in said.parts if part.account == party.account)
        found.append((said, status, mine))
    return found


def _known(party: Troth, words: Words) -> None:
    """Refuse policies that are not among the contracts of this workspace. Raises Misuse."""
    ours = {Pin.of(one) for one in party.contracts.named.values()}
    for pin in (words.assumed, words.rerun):
        if pin not in ours:
            raise Misuse("this run is judged by code that is not known here", actual="0x" + pin.address.hex())


# ---- was my work used ----

def check_use(party: Troth, listing: bytes, target: bytes | Path | str, trust: Trust | None = None,
              records: Sequence[bytes] = ()) -> Report:
    """Whether a thing rests on a listing of anybody's. target: a claim here, or a bundle file.

    A bundle is verified first: where it is refuted, so is what it says. trust: what the asker believes; None: the
    bundle's claims are only consistent with themselves, and the first step says so.
    """
    target = Path(target) if isinstance(target, str) else target
    if isinstance(target, bytes):
        return used(party, listing, target, Own(records), lambda said: _public(party, said))
    # Imported here: reading a bundle loads its parsers.
    from troth.ledger.bundle import BundleReader
    from troth.verify.inside import Inside

    checked = verify_bundle(target, trust)
    first = Step(0, "bundle", checked.outcome, "as it was verified under the trust file" if trust else
                 "consistent with itself; nobody you trust vouches for it")
    if checked.outcome is Outcome.REFUTED:
        return Report(Outcome.REFUTED, checked.as_of, (first, *checked.steps))
    try:
        with target.open("rb") as file:
            inside = Inside(BundleReader(file), trust.documents if trust else {})
            inside.run()
            view = inside.view
            found = used(_Beside(view, party, listing), listing, view.target, Own(records),
                         lambda said: _embedded(view, said))
    except OSError as error:
        raise OutsideFailed(f"cannot read {target}", actual=error.strerror) from None
    outcome = found.outcome
    if trust is None or checked.outcome is not Outcome.UPHELD:
        outcome = Outcome.UNDECIDABLE
    return Report(outcome, checked.as_of, (first, *found.steps))


@dataclass(frozen=True, slots=True)
class _Beside:
    """A bundle's claims, and the party's own listing where the bundle does not hold it."""

    view: ClaimView
    party: Troth
    listing: bytes

    def statement(self, claim: bytes) -> Statement:
        own = claim == self.listing and not self.view.has(claim)
        return self.party.statement(claim) if own else self.view.statement(claim)


def _public(party: Troth, listing: Statement) -> Sequence[bytes] | None:
    shown = [item for item in listing.evidence if not item.sealed]
    try:
        return [line for item in shown for line in party.read(item).splitlines()[1:]] if shown else None
    except Undecidable:
        return None


def _embedded(view: ClaimView, listing: Statement) -> Sequence[bytes] | None:
    found = [data for item in listing.evidence if not item.sealed and (data := view.blob(item.cid)) is not None]
    return [line for data in found for line in data.splitlines()[1:]] if found else None


def touched_by(party: Troth, listing: bytes) -> Erased:
    """What an erasure of a listing touches, as this log knows it; also before it is erased."""
    entries = ((entry.id, Statement.from_bytes(entry.payload)) for entry in party.log.iterate(0) if entry.payload)
    return touched(entries, listing)


# ---- other people's markets ----

def shares(party: Troth, target: bytes, rate: int) -> Shares:
    """What a market is to pay of a thing's price, and to whom: the lineage's shares, the maker's own too.

    rate: parts of a million of the price. Raises as ``due``; Misuse where a contribution claim of it is wrong.
    """
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.royalties import Shares

    found = due(party, target, MILLION * MILLION)
    if found.notes:
        raise Misuse("a contribution claim of this lineage is wrong", actual="; ".join(found.notes))
    weights: dict[Account, int] = {}
    for part in found.parts:
        weights[part.account] = weights.get(part.account, 0) + part.amount
    return Shares.of(target, rate, weights)


def deploy_face(party: Troth) -> Account:
    """Put the contract ``Royalties`` on this workspace's chain, and use it. Raises BadInput where there is one."""
    # Imported here for the same reason.
    from troth.ledger.deploy import ROYALTIES, extend

    party.use_contracts(extend(party.sender, party.contracts, ROYALTIES))
    return party.contracts["royalties"].address


def face(party: Troth, address: Account | None = None) -> Royalties:
    """The contract ``Royalties`` of this workspace, or the one at an address. Raises BadInput where there is none."""
    # Imported here for the same reason.
    from troth.ledger.royalties import Royalties

    contracts = party.contracts
    return Royalties(party.chain.web3, address or contracts["royalties"].address, contracts.chain_id)


