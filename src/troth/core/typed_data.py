"""EIP-712 digests that deals take signatures over (docs/reference/deals.md, end of section 11).

The domain names the chain and the Book (of a ballot: where it is cast), so a signature is good there only.
"""

from __future__ import annotations

from troth.core.encoding import keccak256
from troth.core.terms import Account

_DOMAIN = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_NAME = keccak256(b"Troth")
_BALLOTS = keccak256(b"Troth Ballots")
_VERSION = keccak256(b"1")
_JOIN = keccak256(b"Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)")
_VERDICT = keccak256(b"Verdict(bytes32 deal,uint8 rung,bytes32 evidence,bytes32 result,uint64 expiry)")

_BALLOT = keccak256(b"Ballot(address book,bytes32 deal,uint8 rung,uint8 choice)")

_MANDATE = keccak256(b"Mandate(address principal,address agent,bytes32 scope,uint128 most,uint64 expiry,bytes32 salt)")
_QUOTE = keccak256(b"Quote(bytes32 deal,uint8 rung,bytes32 measurement,bytes32 report,bytes32 quote,uint64 expiry)")


def join_digest(chain_id: int, book: Account, deal: bytes, pot: int, token: Account, amount: int,
                expiry: int) -> bytes:
    """What a depositor signs to let somebody else bring its deposit, until ``expiry`` (Unix seconds)."""
    return _digest(chain_id, book, _JOIN, deal, _uint(pot), token.rjust(32, b"\x00"), _uint(amount), _uint(expiry))


def verdict_digest(chain_id: int, book: Account, deal: bytes, rung: int, evidence: bytes, result: bytes,
                   expiry: int) -> bytes:
    """What a named signer signs: the result's bytes, on the evidence root before its own ask."""
    return _digest(chain_id, book, _VERDICT, deal, _uint(rung), evidence, keccak256(result), _uint(expiry))


def ballot_digest(chain_id: int, ballots: Account, book: Account, deal: bytes, rung: int, choice: int) -> bytes:
    """What a holder signs to let somebody else bring its ballot to the contract ``ballots``."""
    return _digest(chain_id, ballots, _BALLOT, book.rjust(32, b"\x00"), deal, _uint(rung), _uint(choice), name=_BALLOTS)


def mandate_digest(chain_id: int, book: Account, principal: Account, agent: Account, scope: bytes, most: int,
                   expiry: int, salt: bytes) -> bytes:
    """What a principal signs to let ``agent`` act for it: acts of the kind ``scope`` (a label) of at most ``most``."""
    return _digest(chain_id, book, _MANDATE, principal.rjust(32, b"\x00"), agent.rjust(32, b"\x00"), scope, _uint(most),
                   _uint(expiry), salt)


def quote_digest(chain_id: int, book: Account, question: tuple[bytes, int], measurement: bytes, report: bytes,
                 quote: bytes, expiry: int) -> bytes:
    """What a verifier of quotes signs. question: the deal and the rung. quote: the digest of the quote it checked."""
    deal, rung = question
    return _digest(chain_id, book, _QUOTE, deal, _uint(rung), measurement, report, quote, _uint(expiry))


def _digest(chain_id: int, where: Account, *fields: bytes, name: bytes = _NAME) -> bytes:
    domain = keccak256(b"".join((_DOMAIN, name, _VERSION, _uint(chain_id), where.rjust(32, b"\x00"))))
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(fields)))


def _uint(number: int) -> bytes:
    return number.to_bytes(32, "big")
