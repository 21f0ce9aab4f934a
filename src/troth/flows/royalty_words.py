"""The words of a royalty run: what was earned, who settles it, the terms that follow, and the claim that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Statement, Subject
from troth.core.encoding import amount as amount_of
from troth.core.encoding import encode, from_hex, keccak256, take
from troth.core.errors import BadInput, Misuse
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
    Root,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
)
from troth.flows.parts import Pin
from troth.learn.contributions import CONTRIBUTION

ROYALTY = "royalty"
POT, STAKE = 0, 1
"""Pots."""
SPLIT_ASK, EVIDENCE_ASK, COMMIT_ASK, REVEAL_ASK = "split", "evidence", "commit", "reveal"
MAX_PARTS = 4096
_SALT = b"troth royalty 1\n"


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of one run besides what is shared, in the token's smallest unit. keeper may be 0."""

    stake: int
    bond: int
    fee: int
    verifier_stake: int
    keeper: int = 0

    def check(self, shared: int, verifiers: int) -> None:
        """Raises Misuse unless every stake exceeds twice what its owner could gain by cheating.

        A payer can at most keep what it should share; a verifier can at most take its part of the fee for no work. A
        right challenger must not lose by calling the verifiers, and calling them idly must cost more than they do.
        """
        if not verifiers or min(self.stake, self.bond, self.fee, self.verifier_stake) < 1 or self.keeper < 0:
            raise Misuse("a run without stakes", expected="stakes, bond and fee of at least 1, and a verifier",
                         actual=self.body())
        for who, stake, gain in (("payer", self.stake, shared),
                                 ("verifier", self.verifier_stake, self.fee // verifiers)):
            if stake <= 2 * gain:
                raise Misuse(f"the {who}'s stake does not deter", expected=f"more than {2 * gain}", actual=stake)
        if self.stake // 2 <= self.fee:
            raise Misuse("a right challenger would lose by calling the verifiers", actual=self.stake,
                         expected=f"a stake of more than {2 * self.fee}")
        if self.bond <= self.fee:
            raise Misuse("the bond does not deter idle challenges", expected=f"more than {self.fee}", actual=self.bond)

    def body(self) -> dict[str, str]:
        """As a claim says it."""
        return {"bond": str(self.bond), "fee": str(self.fee), "keeper": str(self.keeper), "stake": str(self.stake),
                "verifier_stake": str(self.verifier_stake)}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        bond, fee, keeper, stake, verifier_stake = map(amount_of, take(
            body, bond=str, fee=str, keeper=str, stake=str, verifier_stake=str))
        return cls(stake, bond, fee, verifier_stake, keeper)


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds: to answer and to be judged, to challenge, to collect."""

    answer: int = 3_600
    window: int = 86_400
    term: int = 31_536_000

    def body(self) -> dict[str, int]:
        """As a claim says it."""
        return {"answer": self.answer, "term": self.term, "window": self.window}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        answer, term, window = take(body, answer=int, term=int, window=int)
        return cls(answer, window, term)


@dataclass(frozen=True, slots=True)
class Words:
    """How a run is settled. commons: gets the bonds of wrong challengers, and is nobody's account. verifiers: DID and
    account of each.
    """

    token: Account
    commons: Account
    assumed: Pin
    rerun: Pin
    verifiers: tuple[tuple[str, Account], ...]
    money: Money
    periods: Periods = Periods()

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"assumed": self.assumed.json(), "commons": self.commons.hex(), "money": self.money.body(),
                "periods": self.periods.body(), "rerun": self.rerun.json(), "token": self.token.hex(),
                "verifiers": [{"account": account.hex(), "did": did} for did, account in self.verifiers]}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        assumed, commons, money, periods, rerun, token, verifiers = take(
            body, assumed=dict, commons=str, money=dict, periods=dict, rerun=dict, token=str, verifiers=list)
        pairs = [take(one, account=str, did=str) for one in verifiers]
        return cls(from_hex(token, 20), from_hex(commons, 20), Pin.read(assumed), Pin.read(rerun),
                   tuple((did, from_hex(account, 20)) for account, did in pairs), Money.of(money), Periods.of(periods))


@dataclass(frozen=True, slots=True)
class Owed:
    """Who owes royalties for what. amount: what ``target`` earned, in the token's smallest unit. contributions: the
    claims that say how it is shared, ascending. sale: (deal, pot) whose price it is; None by the payer's word. nonce:
    32 bytes. The deal's salt is made from all of this, so that the deal is of this run and no other.
    """

    chain_id: int
    book: Account
    payer: Account
    target: bytes
    amount: int
    contributions: tuple[bytes, ...]
    sale: tuple[bytes, int] | None
    fund_by: int
    nonce: bytes
    words: Words

    def body(self) -> dict[str, Any]:
        """As a claim says it; target and contributions stand among its references."""
        sale = [] if self.sale is None else [{"deal": self.sale[0].hex(), "pot": self.sale[1]}]
        return {"amount": str(self.amount), "book": self.book.hex(), "chain": str(self.chain_id),
                "fund_by": self.fund_by, "nonce": self.nonce.hex(), "payer": self.payer.hex(), "sale": sale,
                "words": self.words.body()}

    def salt(self) -> bytes:
        """The deal's salt."""
        rests = {"contributions": [one.hex() for one in self.contributions], "target": self.target.hex()}
        return keccak256(_SALT + encode(self.body() | rests))

    def terms(self, shared: int) -> Terms:
        """The deal's terms when so much is to be shared. Raises Misuse where stakes do not deter."""
        words, money, periods = self.words, self.words.money, self.words.periods
        bench = tuple(account for _, account in words.verifiers)
        if len({self.payer, words.commons, *bench}) != len(bench) + 2:
            raise Misuse("somebody has two seats in this run", expected="payer, commons and verifiers apart")
        money.check(shared, len(bench))
        outcomes, root = (UPHELD, REFUTED), Root(periods.term)

        def stake(name: str, account: Account, amount: int) -> Pot:
            return Pot(name, account, amount, {SLASHED: Split((CHALLENGER,), amounts=(amount // 2,))}, account)

        pots = [Pot("royalties", self.payer, shared, dict.fromkeys(outcomes, root), self.payer),
                stake("stake", self.payer, money.stake)]
        if money.keeper:
            pots.append(Pot("keeper", self.payer, money.keeper,
                            dict.fromkeys(outcomes, Split((KEEPER,), weights=(1,))), self.payer))
        pots += [stake(f"verifier:{at}", account, money.verifier_stake) for at, account in enumerate(bench)]
        pots.append(Pot("fee", climber(1), money.fee, dict.fromkeys(outcomes, Answered(1))))
        rungs = (Rung(words.assumed.address, words.assumed.codehash, (Ask(SPLIT_ASK, (self.payer,), periods.answer),),
                      periods.answer, periods.window, money.bond, silent=REFUTED),
                 Rung(words.rerun.address, words.rerun.codehash,
                      (Ask(EVIDENCE_ASK, (self.payer,), periods.answer), Ask(COMMIT_ASK, bench, periods.answer),
                       Ask(REVEAL_ASK, None, periods.answer)), periods.answer))
        return Terms(words.token, tuple(pots), rungs, self.fund_by, words.commons)

    def deal(self, shared: int) -> bytes:
        """The deal's id, known before it is opened."""
        return deal_id(self.chain_id, self.book, self.payer, self.salt(), self.terms(shared).hash())


@dataclass(frozen=True, slots=True)
class Part:
    """What one claim's maker gets of a run, 1 or more."""

    claim: bytes
    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class RoyaltyClaim:
    """What a ``royalty`` claim says (docs/kinds/royalty.md): what is owed, and each part, the payer's own too."""

    owed: Owed
    parts: tuple[Part, ...]

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return self.owed.body() | {"deal": self.deal.hex(), "parts": [
            {"account": part.account.hex(), "amount": str(part.amount), "claim": part.claim.hex()}
            for part in self.parts]}

    @property
    def deal(self) -> bytes:
        """The deal that pays it."""
        return self.owed.deal(shared_of(self.parts, self.owed.payer))

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput for any other claim, or one that leads to another deal than it names."""
        if (statement.kind, statement.version) != (ROYALTY, 1) or statement.evidence:
            raise BadInput("not a royalty claim", expected=f"urn:troth:{ROYALTY}:v1", actual=statement.kind)
        amount, book, chain, deal, fund_by, nonce, parts, payer, sale, words = take(
            dict(statement.body), amount=str, book=str, chain=str, deal=str, fund_by=int, nonce=str, parts=list,
            payer=str, sale=list, words=dict)
        if len(sale) > 1 or not 1 <= len(parts) <= MAX_PARTS:
            raise BadInput("not a royalty claim", expected=f"at most one sale, 1 to {MAX_PARTS} parts")
        sales = [take(one, deal=str, pot=int) for one in sale]
        targets, contributions = statement.all_refs("target"), statement.all_refs(CONTRIBUTION)
        if len(targets) != 1 or list(contributions) != sorted(set(contributions)) or (
                len(statement.refs) != 1 + len(contributions)):
            raise BadInput("not a royalty claim", expected="one target, and ascending contributions")
        owed = Owed(amount_of(chain), from_hex(book, 20), from_hex(payer, 20), targets[0], amount_of(amount),
                    contributions, (from_hex(sales[0][0], 32), sales[0][1]) if sales else None, fund_by,
                    from_hex(nonce, 32), Words.of(words))
        rows = [take(one, account=str, amount=str, claim=str) for one in parts]
        found = cls(owed, tuple(Part(from_hex(claim, 32), from_hex(account, 20), amount_of(what))
                                for account, what, claim in rows))
        try:
            leads = found.deal
        except Misuse as error:
            raise BadInput("a royalty claim of no deal", actual=error.message) from None
        if leads != from_hex(deal, 32) or statement.subjects != subject_of(leads):
            raise BadInput("a royalty claim that leads to another deal than it names", expected=leads.hex(),
                           actual=deal)
        return found


def payees_of(parts: Sequence[Part], payer: Account) -> tuple[tuple[Account, int], ...]:
    """Who is paid how much from the pot, ascending by account: each one's parts together, without the payer's own."""
    whole: dict[Account, int] = {}
    for part in parts:
        if part.account != payer:
            whole[part.account] = whole.get(part.account, 0) + part.amount
    return tuple(sorted(whole.items()))


def shared_of(parts: Sequence[Part], payer: Account) -> int:
    """What of a run is others'. Raises Misuse where it is nothing."""
    whole = sum(amount for _, amount in payees_of(parts, payer))
    if not whole:
        raise Misuse("nothing of this is anybody else's", do="There is nobody to pay.")
    return whole


def subject_of(deal: bytes) -> tuple[Subject, ...]:
    """The claim's subject: the deal that pays."""
    return (Subject("deal", {"keccak256": deal.hex()}),)
