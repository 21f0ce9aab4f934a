"""EIP-712 digests that deals take signatures over (docs/reference/deals.md, end of section 11).

The Book's domain names the chain and the Book, so a signature is good for one Book on one chain only. Permits and
authorizations (section 3) are signed under the token's domain and name the Book as who takes.
"""

from __future__ import annotations

from troth.core.encoding import keccak256
from troth.core.terms import Account

_DOMAIN = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_NAME = keccak256(b"Troth")
_VERSION = keccak256(b"1")
_JOIN = keccak256(b"Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)")
_VERDICT = keccak256(b"Verdict(bytes32 deal,uint8 rung,bytes32 evidence,bytes32 result,uint64 expiry)")
_PERMIT = keccak256(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
_RECEIVE = keccak256(b"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
                     b"uint256 validBefore,bytes32 nonce)")


def join_digest(chain_id: int, book: Account, deal: bytes, pot: int, token: Account, amount: int,
                expiry: int) -> bytes:
    """What a depositor signs to let somebody else bring its deposit, until ``expiry`` (Unix seconds)."""
    return _digest(chain_id, book, _JOIN, deal, _uint(pot), token.rjust(32, b"\x00"), _uint(amount), _uint(expiry))


def verdict_digest(chain_id: int, book: Account, deal: bytes, rung: int, evidence: bytes, result: bytes,
                   expiry: int) -> bytes:
    """What a named signer signs: the result's bytes, on the evidence root before its own ask."""
    return _digest(chain_id, book, _VERDICT, deal, _uint(rung), evidence, keccak256(result), _uint(expiry))


def authorization_nonce(deal: bytes, pot: int) -> bytes:
    """The ERC-3009 nonce of a deposit: what is authorized with it can pay for nothing but this pot."""
    return keccak256(deal + _uint(pot))


def permit_digest(domain: bytes, owner: Account, spender: Account, amount: int, nonce: int, deadline: int) -> bytes:
    """What an owner signs so that ``spender`` may take ``amount`` (ERC-2612). domain: the token's own separator."""
    return _message(domain, _PERMIT, owner.rjust(32, b"\x00"), spender.rjust(32, b"\x00"), _uint(amount), _uint(nonce),
                    _uint(deadline))


def authorization_digest(domain: bytes, owner: Account, to: Account, amount: int, valid_after: int, valid_before: int,
                         nonce: bytes) -> bytes:
    """What an owner signs so that ``to``, and nobody else, may fetch ``amount`` once (ERC-3009). domain: as above."""
    return _message(domain, _RECEIVE, owner.rjust(32, b"\x00"), to.rjust(32, b"\x00"), _uint(amount),
                    _uint(valid_after), _uint(valid_before), nonce)


def _digest(chain_id: int, book: Account, *fields: bytes) -> bytes:
    domain = keccak256(b"".join((_DOMAIN, _NAME, _VERSION, _uint(chain_id), book.rjust(32, b"\x00"))))
    return _message(domain, *fields)


def _message(domain: bytes, *fields: bytes) -> bytes:
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(fields)))


def _uint(number: int) -> bytes:
    return number.to_bytes(32, "big")
