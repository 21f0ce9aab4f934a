"""Mandated: what another policy finds, if the agent's mandate covered the act. Twin of contracts' ``Mandated``.

The rung names a mandate by its digest; its first ask, *act*, is the agent's: what it does, under which mandate. An act
that the mandate does not cover is refuted, whatever the inner policy says. What the act really did is the inner
policy's question: the mandate covers what the agent says it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from troth.core.deals import Question
from troth.core.errors import TrothError
from troth.core.terms import NO_PARAM, REFUTED, Account, Result, Rung, label
from troth.core.typed_data import mandate_digest
from troth.identity.keys import recover_account
from troth.ledger.memory import RungPolicy
from troth.verify.policies.signed import ContractSigns, no_contracts
from troth.verify.policies.voices import read, submissions

ACT = ("bytes32", "uint128", "address", "bytes32", "uint128", "uint64", "bytes32", "bytes")
"""An act's kind and amount; the mandate's principal, scope, most, expiry and salt; the principal's signature."""
MAX_ANSWER = 8192

RevokedAt = Callable[[Account, bytes], int]
"""(principal, mandate's digest) -> when it was taken back, in Unix seconds, or 0."""


def never_revoked(principal: Account, digest: bytes) -> int:
    """No mandate can be taken back."""
    return 0


@dataclass(frozen=True, slots=True)
class Mandate:
    """What ``principal`` lets ``agent`` do: acts of the kind ``scope``, each of at most ``most``, until ``expiry``.

    most: in the token's smallest unit. expiry: Unix seconds, the last in which it may act. salt: 32 bytes that make two
    like mandates two.
    """

    principal: Account
    agent: Account
    scope: str
    most: int
    expiry: int
    salt: bytes

    def digest(self, chain_id: int, book: Account) -> bytes:
        """What the principal signs, and what a rung's ``param`` is."""
        return mandate_digest(chain_id, book, self.principal, self.agent, label(self.scope), self.most, self.expiry,
                              self.salt)


def act_data(kind: str, amount: int, mandate: Mandate, signature: bytes) -> bytes:
    """What an agent submits to *act*: what it does, and the mandate it does it under, signed by the principal."""
    # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
    from eth_abi.abi import encode

    return encode(ACT, (label(kind), amount, mandate.principal, label(mandate.scope), mandate.most, mandate.expiry,
                        mandate.salt, signature))


@dataclass(frozen=True, slots=True)
class Mandated:
    """inner: the policy that judges an act that is covered; one that takes no parameter.

    chain_id, book: the Book this policy answers to. slashing: whether an act that is not covered slashes the agent;
    only for deals in which it deposits, as the Book refuses a verdict that slashes anybody else.
    """

    inner: RungPolicy
    chain_id: int
    book: Account
    slashing: bool = False
    revoked_at: RevokedAt = never_revoked
    contract_signs: ContractSigns = no_contracts

    def accepts(self, rung: Rung) -> bool:
        """Whether ``param`` is a mandate's digest, the first ask is *act*, of one account, one slot, and the inner
        policy accepts the rung without the parameter.
        """
        first = rung.asks[0]
        return (rung.param != NO_PARAM and len(rung.asks) > 1 and first.kind == "act" and first.slots == 1
                and len(rung.asked(0)) == 1 and self.inner.accepts(replace(rung, param=NO_PARAM)))

    def tick(self) -> int:
        """That of the inner policy."""
        return self.inner.tick()

    def judge(self, question: Question) -> bytes | None:
        """What the inner policy answers on an act that is covered, nothing if it fails; refuted without such an act."""
        agent = question.terms.asked(0)[0]
        act = submissions(question, 0).get(agent)
        if act is None or not self._covered(agent, question.terms.param, act.at, act.data):
            return Result(REFUTED, slashed=frozenset({agent} if self.slashing else ())).to_bytes()
        try:
            answer = self.inner.judge(replace(question, terms=replace(question.terms, param=NO_PARAM)))
        except TrothError:
            return None
        return answer if answer is not None and len(answer) <= MAX_ANSWER else None

    def _covered(self, agent: Account, named: bytes, at: int, data: bytes) -> bool:
        """Whether the data is exactly one act, and the mandate that the deal names covers it at that time."""
        found = read(ACT, data)
        if found is None:
            return False
        kind, amount, principal, scope, most, expiry, salt, signature = found
        assert isinstance(amount, int)
        assert isinstance(principal, str)
        assert isinstance(scope, bytes)
        assert isinstance(most, int)
        assert isinstance(expiry, int)
        assert isinstance(salt, bytes)
        assert isinstance(signature, bytes)
        if kind != scope or amount > most or at > expiry:
            return False
        signer = bytes.fromhex(principal[2:])
        digest = mandate_digest(self.chain_id, self.book, signer, agent, scope, most, expiry, salt)
        if digest != named:
            return False
        if recover_account(digest, signature) != signer and not self.contract_signs(signer, digest, signature):
            return False
        revoked = self.revoked_at(signer, digest)
        # Only what was taken back in an earlier second than the act, so that nothing changes after it.
        return not revoked or revoked >= at
