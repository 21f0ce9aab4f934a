"""The Book in memory: the executable specification of docs/reference/deals.md, beside the contract ``Book``.

The rules are ``troth.core.deals``; here are the money, the clock, the registers of tokens and policies that a chain
has as code, and atomicity: an act computes everything first and writes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from troth.core import deals, deals_terms
from troth.core.deals import Deal, Question
from troth.core.errors import ActRefused, BadInput, TrothError
from troth.core.ports import Clock, Consent, ProvenLeaf
from troth.core.settlement import Credit
from troth.core.terms import Account, DealState, Result, Rung, Terms, deal_id
from troth.core.typed_data import authorization_nonce, join_digest
from troth.identity.keys import recover_account
from troth.ledger.memory_token import MemoryToken


class RungPolicy(Protocol):
    """A policy of a rung, as section 11 has it: pure, without money, owner or storage that changes."""

    def accepts(self, rung: Rung) -> bool:
        """Whether this policy can judge such a rung; asked at ``open``."""
        ...

    def tick(self) -> int:
        """By how much two values must differ to be different."""
        ...

    def judge(self, question: Question) -> bytes | None:
        """The encoded Result, or None (or no bytes) for no verdict. Any TrothError counts as a failing policy."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in a Book's register, with the hash that stands for its code."""

    codehash: bytes
    code: RungPolicy


class MemoryBook:
    """Implements the port ``troth.core.ports.Book``. tokens and policies: what has code, by address.

    chain_id, address, owner: as the contract would have them; they enter ids and signatures.
    """

    def __init__(self, clock: Clock, *, chain_id: int, address: Account, owner: Account) -> None:
        self.chain_id = chain_id
        self.address = address
        self.owner = owner
        self.tokens: dict[Account, MemoryToken] = {}
        self.policies: dict[Account, Policy] = {}
        self._clock = clock
        self._deals: dict[bytes, Deal] = {}
        self._credits: dict[tuple[Account, Account], int] = {}
        self._stopped = False

    def open(self, by: Account, terms: Terms, salt: bytes) -> bytes:
        """Section 2. Raises ActRefused; BadInput for values that no contract could be given."""
        opened = self._opened(by, terms, salt)
        self._deals[opened.id] = opened
        return opened.id

    def open_and_join(self, by: Account, terms: Terms, salt: bytes, pot: int,
                      consents: Sequence[Consent] = ()) -> bytes:
        """``open``, ``join`` and others' consents, all or nothing. Raises ActRefused; BadInput as ``open`` does."""
        for one in consents:
            deals_terms.check_number(one.expiry, 64)
        deal = self._opened(by, terms, salt)
        now = self._clock.now()
        with self.tokens[terms.token].whole():
            deals.check_join(deal, by, pot, now)
            deal = self._joined(deal, pot)
            for one in consents:
                self._check_consent(deal, by, one)
                deal = self._joined(deal, one.pot)
        self._deals[deal.id] = deal
        return deal.id

    def _opened(self, by: Account, terms: Terms, salt: bytes) -> Deal:
        if len(salt) != 32:
            raise BadInput("not a salt", expected="32 bytes", actual=f"{len(salt)} bytes")
        deals_terms.readable(terms)
        self._going()
        deals_terms.check(terms, self._clock.now())
        if terms.token not in self.tokens:
            raise ActRefused("BadToken", "there is no such token", actual=terms.token.hex())
        for index, rung in enumerate(terms.rungs):
            policy = self.policies.get(rung.policy)
            if policy is None or policy.codehash != rung.codehash or not self._accepts(policy, rung):
                raise ActRefused("BadPolicy", f"the policy of rung {index} is not there, is other code, or does not "
                                 "accept the rung", expected=rung.codehash.hex(),
                                 actual=policy.codehash.hex() if policy else "no code")
        deal = deal_id(self.chain_id, self.address, by, salt, terms.hash())
        if deal in self._deals:
            raise ActRefused("Exists", "this deal is open already", actual=deal.hex(), do="Use another salt.")
        return deals.opened(deal, terms)

    def join(self, by: Account, deal: bytes, pot: int) -> None:
        """Section 3, by the depositor. Raises ActRefused."""
        found = self._deal(deal)
        self._going()
        deals.check_join(found, by, pot, self._clock.now())
        self._deals[deal] = self._joined(found, pot)

    def join_with_consent(self, by: Account, deal: bytes, pot: int, expiry: int, signature: bytes) -> None:
        """Section 3, by anybody with the depositor's EIP-712 consent. Raises ActRefused; BadInput for an expiry that no
        contract could be given.
        """
        deals_terms.check_number(expiry, 64)
        found = self._deal(deal)
        self._going()
        self._check_consent(found, by, Consent(pot, expiry, signature))
        self._deals[deal] = self._joined(found, pot)

    def _check_consent(self, found: Deal, by: Account, consent: Consent) -> None:
        now = self._clock.now()
        deals.check_join(found, by, consent.pot, now, consented=True)
        terms = found.terms
        pot = terms.pots[consent.pot]
        digest = join_digest(self.chain_id, self.address, found.id, consent.pot, terms.token, pot.amount,
                             consent.expiry)
        if now > consent.expiry or recover_account(digest, consent.signature) != pot.depositor:
            raise ActRefused("BadConsent", "the depositor did not consent to this, or no longer", actual=f"time {now}",
                             expected=f"{pot.depositor.hex()}'s signature, good until {consent.expiry}")

    def join_with_permit(self, by: Account, deal: bytes, pot: int, deadline: int, signature: bytes) -> None:
        """Section 3, by the depositor with its ERC-2612 permit for the pot's amount. Raises ActRefused; BadInput for a
        signature that is not 65 bytes, or a time that no contract could be given.
        """
        _signature(signature)
        deals_terms.check_number(deadline, 256)
        found = self._deal(deal)
        self._going()
        now = self._clock.now()
        deals.check_join(found, by, pot, now)
        ledger = self.tokens[found.terms.token]
        with ledger.whole():
            # Somebody may have brought this permit before: what counts is whether the Book may then take the amount.
            with suppress(ActRefused):
                ledger.permit(by, self.address, found.terms.pots[pot].amount, deadline, signature, now)
            joined = self._joined(found, pot)
        self._deals[deal] = joined

    def join_with_authorization(self, by: Account, deal: bytes, pot: int, valid_after: int, valid_before: int,
                                signature: bytes) -> None:
        """Section 3, by anybody with the depositor's ERC-3009 authorization. Raises ActRefused; BadInput for a
        signature that is not 65 bytes, or a time that no contract could be given.
        """
        _signature(signature)
        for time in (valid_after, valid_before):
            deals_terms.check_number(time, 256)
        found = self._deal(deal)
        self._going()
        now = self._clock.now()
        deals.check_join(found, by, pot, now, consented=True)
        terms = found.terms
        amount = terms.pots[pot].amount
        self._whole(terms.token, amount)
        self.tokens[terms.token].receive_with_authorization(
            terms.pots[pot].depositor, self.address, amount, (valid_after, valid_before),
            authorization_nonce(deal, pot), signature, now)
        self._deals[deal] = deals.join(found, pot, now)

    def submit(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> None:
        """Section 4. Raises ActRefused."""
        self._deals[deal] = deals.submit(self._deal(deal), by, ask, slot, claim, data, self._clock.now())

    def judge(self, by: Account, deal: bytes) -> Result:
        """Section 5. Raises ActRefused."""
        judged = self._judged(by, self._deal(deal))
        self._deals[deal] = judged
        return Result.from_bytes(judged.history[-1].data)

    def submit_and_judge(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit`` and ``judge``, both or nothing. Raises ActRefused."""
        submitted = deals.submit(self._deal(deal), by, ask, slot, claim, data, self._clock.now())
        judged = self._judged(by, submitted)
        self._deals[deal] = judged
        return Result.from_bytes(judged.history[-1].data)

    def submit_and_close(self, by: Account, deal: bytes, ask: int, slot: int, claim: bytes, data: bytes) -> Result:
        """``submit``, ``judge`` and ``close``, all three or nothing. Raises ActRefused."""
        submitted = deals.submit(self._deal(deal), by, ask, slot, claim, data, self._clock.now())
        return self._judged_and_closed(by, submitted)

    def judge_and_close(self, by: Account, deal: bytes) -> Result:
        """``judge`` and ``close``, both or nothing. Raises ActRefused."""
        return self._judged_and_closed(by, self._deal(deal))

    def challenge(self, by: Account, deal: bytes) -> None:
        """Section 7. Raises ActRefused."""
        found = self._deal(deal)
        climbed = deals.challenge(found, by, self._clock.now())
        self._take(found.terms.token, by, deals.entry_cost(found.terms, found.rung))
        self._deals[deal] = climbed

    def close(self, by: Account, deal: bytes) -> None:
        """Section 8. The deal is closed before any transfer. Raises ActRefused."""
        self._closed(by, self._deal(deal))

    def collect(self, by: Account, deal: bytes, pot: int, leaf: tuple[int, Account, int],
                proof: tuple[bytes, ...]) -> None:
        """Section 9. Raises ActRefused."""
        found, credit = deals.collect(self._deal(deal), self.chain_id, self.address, pot, leaf, proof,
                                      self._clock.now())
        self._deals[deal] = found
        self._pay(found.terms.token, credit)

    def collect_many(self, by: Account, deal: bytes, pot: int, leaves: Sequence[ProvenLeaf]) -> None:
        """Section 9: all of them, but those collected already, or nothing. Raises ActRefused."""
        found, credits = deals.collect_many(self._deal(deal), self.chain_id, self.address, pot, leaves,
                                            self._clock.now())
        self._deals[deal] = found
        for credit in credits:
            self._pay(found.terms.token, credit)

    def sweep(self, by: Account, deal: bytes, pot: int) -> None:
        """Section 9. Raises ActRefused."""
        found, credit = deals.sweep(self._deal(deal), pot, self._clock.now())
        self._deals[deal] = found
        self._pay(found.terms.token, credit)

    def withdraw(self, by: Account, token: Account) -> None:
        """Section 9. Raises ActRefused."""
        amount = self.credit(token, by)
        if not amount:
            raise ActRefused("Nothing", "nothing waits for you", expected="a credit from a failed transfer")
        self.tokens[token].transfer(self.address, by, amount)
        del self._credits[token, by]

    def stop(self, by: Account, stopped: bool) -> None:
        """Section 10. Raises ActRefused."""
        if by != self.owner:
            raise ActRefused("NotOwner", "you may not stop this Book", expected=self.owner.hex(), actual=by.hex())
        self._stopped = stopped

    def state(self, deal: bytes) -> DealState:
        """Where the deal stands. Raises ActRefused for an unknown one."""
        return self._deal(deal).state()

    def credit(self, token: Account, account: Account) -> int:
        """What waits for ``withdraw``."""
        return self._credits.get((token, account), 0)

    def _deal(self, deal: bytes) -> Deal:
        found = self._deals.get(deal)
        if found is None:
            raise ActRefused("Unknown", "there is no such deal", actual=deal.hex())
        return found

    def _going(self) -> None:
        if self._stopped:
            raise ActRefused("Stopped", "the Book opens and joins nothing at present",
                             do="Acts of running deals go on.")

    def _joined(self, found: Deal, pot: int) -> Deal:
        """The deal with the pot deposited by its depositor, whose money is taken."""
        terms = found.terms
        self._take(terms.token, terms.pots[pot].depositor, terms.pots[pot].amount)
        return deals.join(found, pot, self._clock.now())

    def _judged(self, by: Account, found: Deal) -> Deal:
        question = deals.question(found, self._clock.now())
        policy = self.policies[question.terms.policy]
        if policy.codehash != question.terms.codehash:
            raise ActRefused("PolicyFailed", "the policy's code is no longer what the deal pinned",
                             expected=question.terms.codehash.hex(), actual=policy.codehash.hex())
        try:
            answer = policy.code.judge(question)
        except TrothError as error:
            raise ActRefused("PolicyFailed", "the policy fails", actual=error) from None
        return deals.record(found, by, answer, self._clock.now())

    def _judged_and_closed(self, by: Account, found: Deal) -> Result:
        judged = self._judged(by, found)
        self._closed(by, judged)
        return Result.from_bytes(judged.history[-1].data)

    def _closed(self, by: Account, found: Deal) -> None:
        closed, credits = deals.close(found, by, self._clock.now(), lambda rung: self._tick(found.terms.rungs[rung]))
        self._deals[found.id] = closed
        for credit in credits:
            self._pay(found.terms.token, credit)

    def _accepts(self, policy: Policy, rung: Rung) -> bool:
        try:
            return policy.code.accepts(rung)
        except TrothError:
            return False

    def _tick(self, rung: Rung) -> int:
        policy = self.policies[rung.policy]
        if policy.codehash != rung.codehash:
            return 0  # other code than the deal pinned says nothing about it
        try:
            return policy.code.tick()
        except TrothError:
            return 0  # no policy can hold a deal open

    def _take(self, token: Account, owner: Account, amount: int) -> None:
        """Bring exactly ``amount`` in, or raise TransferFailed with nothing moved."""
        self._whole(token, amount)
        self.tokens[token].transfer_from(self.address, owner, self.address, amount)

    def _whole(self, token: Account, amount: int) -> None:
        """Refuse a token that would bring less than it takes."""
        fee = self.tokens[token].fee
        if fee and amount:
            raise ActRefused("TransferFailed", "the Book would not receive the whole amount", expected=amount,
                             actual=max(0, amount - fee), do="Use a token without transfer fees.")

    def _pay(self, token: Account, credit: Credit) -> None:
        """One transfer; one that fails stays to be withdrawn."""
        if not credit.amount:
            return
        try:
            self.tokens[token].transfer(self.address, credit.account, credit.amount)
        except ActRefused:
            key = (token, credit.account)
            self._credits[key] = self._credits.get(key, 0) + credit.amount


def _signature(signature: bytes) -> None:
    if len(signature) != 65:
        raise BadInput("not a signature of a key", expected="65 bytes: r, s, v", actual=f"{len(signature)} bytes")
