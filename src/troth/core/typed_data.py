"""EIP-712 digests that contracts take signatures over (docs/reference: deals.md, section 11; registries.md).

The domain names the chain and the contract, so a signature is good for one contract on one chain only. Permits and
authorizations (deals.md, section 3) are signed under the token's domain and name the Book as who takes. A witness's
statement about a block is the exception: it says the same wherever it is shown, so that two of them can contradict.
"""

from __future__ import annotations

from troth.core.encoding import keccak256
from troth.core.terms import Account

_DOMAIN = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_NAME = keccak256(b"Troth")
_BALLOTS = keccak256(b"Troth Ballots")
_VERSION = keccak256(b"1")
_JOIN = keccak256(b"Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)")
_IDENTITIES = keccak256(b"Troth identities")
_UPDATE = keccak256(b"Update(bytes32 identity,uint256 version,bytes32 document,address turn)")
_GUARD = keccak256(b"Guard(bytes32 identity,uint256 version,bytes32 document,address turn,bytes32 guardians)")
_RECOVER = keccak256(b"Recover(bytes32 identity,uint256 version,bytes32 document,address turn)")
_WITNESS = keccak256(keccak256(b"EIP712Domain(string name,string version)") + keccak256(b"Troth witness") + _VERSION)
_FORWARDER = keccak256(b"Troth Forwarder")
_FORWARD = keccak256(b"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,"
                     b"bytes data)")
_BLOCK = keccak256(b"Block(uint256 chain,bytes32 genesis,uint64 number,bytes32 hash)")
_VERDICT = keccak256(b"Verdict(bytes32 deal,uint8 rung,bytes32 evidence,bytes32 result,uint64 expiry)")
_BALLOT = keccak256(b"Ballot(address book,bytes32 deal,uint8 rung,uint8 choice)")
_MANDATE = keccak256(b"Mandate(address principal,address agent,bytes32 scope,uint128 most,uint64 expiry,bytes32 salt)")
_QUOTE = keccak256(b"Quote(bytes32 deal,uint8 rung,bytes32 measurement,bytes32 report,bytes32 quote,uint64 expiry)")
_PERMIT = keccak256(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
_ACCOUNT = keccak256(b"Troth policy account")
_ACT = keccak256(b"Act(uint256 nonce,address target,bytes data,bytes32 voices,uint64 deadline)")
_OWNED = keccak256(b"Owned(bytes32 hash)")
_VOICE = keccak256(b"Voice(uint256 nonce,address target,bytes data,uint16 confidence,uint64 expiry)")
_RECEIVE = keccak256(b"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
                     b"uint256 validBefore,bytes32 nonce)")
_TRANSFER = keccak256(b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
                      b"uint256 validBefore,bytes32 nonce)")
_OFFERS = keccak256(b"Troth offers")
_OFFER = keccak256(b"Offer(address seller,string resource,string method,bytes32 body,address payee,uint256 price,"
                   b"uint64 expires,bytes32 nonce)")


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


def update_digest(chain_id: int, registry: Account, entry: bytes, version: int, document: bytes,
                  turn: Account) -> bytes:
    """What an identity's turn account signs to add a document, or zeros to revoke (contract ``Identities``)."""
    return _digest(chain_id, registry, _UPDATE, entry, _uint(version), document, turn.rjust(32, b"\x00"),
                   name=_IDENTITIES)


def guard_digest(chain_id: int, registry: Account, entry: bytes, version: int, document: bytes, turn: Account,
                 guardians: bytes) -> bytes:
    """What an identity's turn account signs to add a document and to say who may recover the identity."""
    return _digest(chain_id, registry, _GUARD, entry, _uint(version), document, turn.rjust(32, b"\x00"), guardians,
                   name=_IDENTITIES)


def recover_digest(chain_id: int, registry: Account, entry: bytes, version: int, document: bytes,
                   turn: Account) -> bytes:
    """What a guardian signs to propose a document in place of the holder's next one."""
    return _digest(chain_id, registry, _RECOVER, entry, _uint(version), document, turn.rjust(32, b"\x00"),
                   name=_IDENTITIES)


def forward_digest(chain_id: int, forwarder: Account, signer: Account, to: Account, gas: int, nonce: int,
                   deadline: int, data: bytes) -> bytes:
    """What an account signs to have a call to ``to`` carried by anybody, until ``deadline`` (Unix seconds), without
    value (contract ``Forwarder``, ERC-2771).
    """
    return _digest(chain_id, forwarder, _FORWARD, signer.rjust(32, b"\x00"), to.rjust(32, b"\x00"), _uint(0),
                   _uint(gas), _uint(nonce), _uint(deadline), keccak256(data), name=_FORWARDER)


def block_digest(chain_id: int, genesis: bytes, number: int, block_hash: bytes) -> bytes:
    """What a witness of another chain signs: this is a final block of that chain (policy ``Anchored``)."""
    statement = keccak256(b"".join((_BLOCK, _uint(chain_id), genesis, _uint(number), block_hash)))
    return keccak256(b"\x19\x01" + _WITNESS + statement)


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


def act_digest(chain_id: int, account: Account, nonce: int, target: Account, data: bytes, voices: bytes,
               deadline: int) -> bytes:
    """What an agent signs to have a policy account call ``target``. voices: the hash of what verifiers said of it."""
    return _digest(chain_id, account, _ACT, _uint(nonce), target.rjust(32, b"\x00"), keccak256(data), voices,
                   _uint(deadline), name=_ACCOUNT)


def voice_digest(chain_id: int, account: Account, nonce: int, target: Account, data: bytes, confidence: int,
                 expiry: int) -> bytes:
    """What a verifier signs of one act of a policy account. confidence: in ten-thousandths."""
    return _digest(chain_id, account, _VOICE, _uint(nonce), target.rjust(32, b"\x00"), keccak256(data),
                   _uint(confidence), _uint(expiry), name=_ACCOUNT)

def transfer_digest(domain: bytes, owner: Account, to: Account, amount: int, valid_after: int, valid_before: int,
                    nonce: bytes) -> bytes:
    """What an owner signs so that anybody may have ``amount`` sent to ``to`` once (ERC-3009). domain: as above."""
    return _message(domain, _TRANSFER, owner.rjust(32, b"\x00"), to.rjust(32, b"\x00"), _uint(amount),
                    _uint(valid_after), _uint(valid_before), nonce)


def offer_digest(chain_id: int, token: Account, seller: Account, request: tuple[str, str, bytes], payee: Account,
                 price: int, expires: int, nonce: bytes) -> bytes:
    """What a seller signs who offers something over HTTP for a price in ``token`` (docs/reference/payments.md).

    request: resource, method and SHA-256 of the body. expires: Unix seconds. nonce: 32 bytes of the seller's.
    """
    resource, method, body = request
    return _digest(chain_id, token, _OFFER, seller.rjust(32, b"\x00"), keccak256(resource.encode()),
                   keccak256(method.encode()), body, payee.rjust(32, b"\x00"), _uint(price), _uint(expires), nonce,
                   name=_OFFERS)


def owned_digest(chain_id: int, account: Account, digest: bytes) -> bytes:
    """What the owner of a policy account signs so that the account signs ``digest`` (ERC-1271)."""
    return _digest(chain_id, account, _OWNED, digest, name=_ACCOUNT)


def domain_of(chain_id: int, contract: Account, name: bytes = _NAME) -> bytes:
    """The separator that a contract's messages are signed under. name: the Keccak-256 of its name."""
    return keccak256(b"".join((_DOMAIN, name, _VERSION, _uint(chain_id), contract.rjust(32, b"\x00"))))


def _digest(chain_id: int, contract: Account, *fields: bytes, name: bytes = _NAME) -> bytes:
    return _message(domain_of(chain_id, contract, name), *fields)


def _message(domain: bytes, *fields: bytes) -> bytes:
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(fields)))


def _uint(number: int) -> bytes:
    return number.to_bytes(32, "big")
