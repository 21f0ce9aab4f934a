"""EIP-712 digests that deals take signatures over (docs/reference/deals.md, end of section 11).

The domain names the chain and the Book, so a signature is good for one Book on one chain only.
"""

from __future__ import annotations

from troth.core.encoding import keccak256
from troth.core.terms import Account

_DOMAIN = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_NAME = keccak256(b"Troth")
_VERSION = keccak256(b"1")
_JOIN = keccak256(b"Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)")
_VERDICT = keccak256(b"Verdict(bytes32 deal,uint8 rung,bytes32 evidence,bytes32 result,uint64 expiry)")


def join_digest(chain_id: int, book: Account, deal: bytes, pot: int, token: Account, amount: int,
                expiry: int) -> bytes:
    """What a depositor signs to let somebody else bring its deposit, until ``expiry`` (Unix seconds)."""
    return _digest(chain_id, book, _JOIN, deal, _uint(pot), token.rjust(32, b"\x00"), _uint(amount), _uint(expiry))


def verdict_digest(chain_id: int, book: Account, deal: bytes, rung: int, evidence: bytes, result: bytes,
                   expiry: int) -> bytes:
    """What a named signer signs: the result's bytes, on the evidence root before its own ask."""
    return _digest(chain_id, book, _VERDICT, deal, _uint(rung), evidence, keccak256(result), _uint(expiry))


def _digest(chain_id: int, book: Account, *fields: bytes) -> bytes:
    domain = keccak256(b"".join((_DOMAIN, _NAME, _VERSION, _uint(chain_id), book.rjust(32, b"\x00"))))
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(fields)))


def _uint(number: int) -> bytes:
    return number.to_bytes(32, "big")
