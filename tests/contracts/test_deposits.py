"""Deposits without an approval beforehand: permits, authorizations, consents; by keys, wallets, delegated accounts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from coincurve import PrivateKey
from parts import CLIENT, HOUR, PAY, RIVAL, SALT, STAKE, WORKER, refused, simple

from ports.anvil_world import AnvilWorld
from ports.books import key
from ports.evm_world import DEPLOYER, EvmWorld, call_data
from troth.core.errors import ActRefused, BadInput
from troth.core.ports import Consent
from troth.core.terms import Account, Terms, deal_id
from troth.core.typed_data import authorization_digest, authorization_nonce, join_digest, permit_digest
from troth.ledger.chains.blocks import quantity
from troth.ledger.chains.rpc import request
from troth.ledger.chains.transactions import SET_CODE, Authorization, Transaction
from troth.ledger.deploy import code_at
from troth.ledger.erc20 import Erc20
from troth.ledger.evmcodec import calldata, deal_bytes

BY_NAME = {CLIENT: "client", WORKER: "worker", RIVAL: "rival"}


class Money:
    """The token that takes signatures, and everybody's part of it; nobody has approved anything."""

    def __init__(self, world: EvmWorld) -> None:
        self.world, self.address = world, world.make("SignedToken")
        self.erc20 = Erc20(world.web3, self.address)
        for who in BY_NAME:
            world.send(DEPLOYER, self.address, "mint(address,uint256)", who, 10_000)

    def permit(self, who: Account, amount: int, deadline: int, spender: Account | None = None) -> bytes:
        digest = permit_digest(self.erc20.domain(), who, spender or self.world.addresses.book, amount,
                               self.erc20.nonce(who), deadline)
        return key(BY_NAME[who]).sign_digest(digest)

    def authorization(self, who: Account, deal: bytes, pot: int, amount: int, *, after: int, before: int,
                      to: Account | None = None) -> bytes:
        digest = authorization_digest(self.erc20.domain(), who, to or self.world.addresses.book, amount, after, before,
                                      authorization_nonce(deal, pot))
        return key(BY_NAME[who]).sign_digest(digest)


@pytest.fixture
def money(world: EvmWorld) -> Money:
    return Money(world)


def opened(world: EvmWorld, money: Money, salt: bytes = SALT) -> tuple[Terms, bytes]:
    terms = simple(world, token=money.address)
    return terms, world.book.open(CLIENT, terms, salt)


def test_permit_in_the_same_transaction(world: EvmWorld, money: Money) -> None:
    _, deal = opened(world, money)
    deadline = world.now() + HOUR
    good = money.permit(CLIENT, PAY, deadline)
    refused("TransferFailed", world.book.join, CLIENT, deal, 0)
    for wrong in (money.permit(CLIENT, PAY - 1, deadline), money.permit(CLIENT, PAY, deadline + 1),
                  money.permit(CLIENT, PAY, deadline, spender=RIVAL), money.permit(RIVAL, PAY, deadline), bytes(65)):
        refused("TransferFailed", world.book.join_with_permit, CLIENT, deal, 0, deadline, wrong)
    refused("NotDepositor", world.book.join_with_permit, RIVAL, deal, 0, deadline, good)
    with pytest.raises(BadInput):
        world.book.join_with_permit(CLIENT, deal, 0, deadline, good[:64])
    world.book.join_with_permit(CLIENT, deal, 0, deadline, good)
    assert money.erc20.balance(CLIENT) == 10_000 - PAY
    assert money.erc20.balance(world.book.address) == PAY
    refused("Joined", world.book.join_with_permit, CLIENT, deal, 0, deadline, good)


def test_permit_that_somebody_brought_before(world: EvmWorld, money: Money) -> None:
    """The permit is public once it is sent: whoever brings it to the token first stops nothing."""
    _, deal = opened(world, money)
    deadline = world.now() + HOUR
    good = money.permit(CLIENT, PAY, deadline)
    world.send(RIVAL, money.address, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", CLIENT,
               world.book.address, PAY, deadline, good[64], good[:32], good[32:64])
    world.book.join_with_permit(CLIENT, deal, 0, deadline, good)
    assert world.book.state(deal).joined == {0}


def test_permit_for_a_token_without_permits(world: EvmWorld) -> None:
    """What counts is the allowance."""
    deal = world.book.open(CLIENT, simple(world), SALT)
    world.fund(CLIENT, approve=PAY - 1)
    refused("TransferFailed", world.book.join_with_permit, CLIENT, deal, 0, world.now(), bytes(65))
    world.erc20.approve(world.sender(CLIENT), world.book.address, PAY)
    world.book.join_with_permit(CLIENT, deal, 0, world.now(), bytes(65))


def test_a_token_that_takes_any_call(world: EvmWorld) -> None:
    """Wrapped coins answer a call that they do not know with success. It joins nobody: neither one who has approved
    the Book for everything, nor with another's money that the Book holds.
    """
    token = world.make("WrappedToken")
    book, erc20 = world.book, Erc20(world.web3, token)
    for who in BY_NAME:
        world.send(DEPLOYER, token, "mint(address,uint256)", who, 10_000)
        erc20.approve(world.sender(who), book.address, 2**256 - 1)
    terms = simple(world, token=token)
    deal = book.open(CLIENT, terms, SALT)
    book.join(CLIENT, deal, 0)
    refused("TransferFailed", book.join_with_authorization, RIVAL, deal, 1, 0, world.now() + HOUR, bytes(65))
    refused("NotDepositor", book.join_with_permit, RIVAL, deal, 1, world.now() + HOUR, bytes(65))
    assert (erc20.balance(WORKER), book.state(deal).joined) == (10_000, {0})
    book.join_with_permit(WORKER, deal, 1, world.now() + HOUR, bytes(65))  # its own act, by its own approval
    assert (erc20.balance(WORKER), book.state(deal).status) == (10_000 - STAKE, "running")


def test_authorization(world: EvmWorld, money: Money) -> None:
    """Anybody brings it, for this pot of this deal alone, between its times, once."""
    book = world.book
    _, deal = opened(world, money)
    other = opened(world, money, b"\x06" * 32)[1]
    after, before = world.now() - 1, world.now() + HOUR

    def signed(who: Account = WORKER, deal: bytes = deal, pot: int = 1, amount: int = STAKE, *, after: int = after,
               before: int = before, to: Account | None = None) -> bytes:
        return money.authorization(who, deal, pot, amount, after=after, before=before, to=to)

    good = signed()
    for wrong in (signed(CLIENT), signed(deal=other), signed(pot=0), signed(amount=STAKE + 1), signed(to=RIVAL),
                  signed(after=after - 1), signed(before=before + 1), bytes(65), good[:64] + b"\x1d"):
        refused("TransferFailed", book.join_with_authorization, RIVAL, deal, 1, after, before, wrong)
    late, early = signed(before=world.now()), signed(after=world.now() + 9)
    refused("TransferFailed", book.join_with_authorization, RIVAL, deal, 1, after, world.now(), late)
    refused("TransferFailed", book.join_with_authorization, RIVAL, deal, 1, world.now() + 9, before, early)
    refused("TransferFailed", book.join_with_authorization, RIVAL, other, 1, after, before, good)
    refused("NotDepositor", book.join_with_authorization, RIVAL, deal, 2, after, before, good)
    refused("BadTerms", book.join_with_authorization, RIVAL, deal, 3, after, before, good)
    # It names the Book as who fetches, so nobody can use it past the Book.
    with pytest.raises(ActRefused):
        world.send(RIVAL, money.address, "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,"
                   "uint8,bytes32,bytes32)", WORKER, book.address, STAKE, after, before,
                   authorization_nonce(deal, 1), good[64], good[:32], good[32:64])
    book.join_with_authorization(RIVAL, deal, 1, after, before, good)
    assert money.erc20.balance(WORKER) == 10_000 - STAKE
    refused("Joined", book.join_with_authorization, RIVAL, deal, 1, after, before, good)
    book.join_with_authorization(WORKER, deal, 0, after, before, signed(CLIENT, pot=0, amount=PAY))
    assert book.state(deal).status == "running"


def test_open_join_and_consent_at_once(world: EvmWorld) -> None:
    """One transaction starts a deal of two: the id is known, and consented to, before it is sent."""
    book, terms = world.book, simple(world)
    world.fund(CLIENT)
    world.fund(WORKER)
    deal = deal_id(book.chain_id, book.address, CLIENT, SALT, terms.hash())
    expiry = world.now() + 60
    digest = join_digest(book.chain_id, book.address, deal, 1, terms.token, STAKE, expiry)
    good = Consent(1, expiry, key("worker").sign_digest(digest))
    refused("BadConsent", book.open_and_join, CLIENT, terms, SALT, 0, (Consent(1, expiry + 1, good.signature),))
    refused("Joined", book.open_and_join, CLIENT, terms, SALT, 0, (Consent(0, expiry, good.signature),))
    refused("NotDepositor", book.open_and_join, CLIENT, terms, SALT, 0, (Consent(2, expiry, good.signature),))
    refused("NotDepositor", book.open_and_join, CLIENT, terms, SALT, 1)
    refused("BadTerms", book.open_and_join, CLIENT, terms, SALT, 3)
    # All or nothing: no money moved, no deal is open.
    refused("NotFunding", book.open_and_join, CLIENT, terms, SALT, 0, (good, good))
    refused("Unknown", book.state, deal)
    assert world.balance(CLIENT) == world.balance(WORKER) == 10**9
    assert book.open_and_join(CLIENT, terms, SALT, 0, (good,)) == deal
    assert book.state(deal).status == "running"
    assert world.balance(world.addresses.book) == PAY + STAKE
    refused("Exists", book.open_and_join, CLIENT, terms, SALT, 0, (good,))


def joined_by_consent(world: EvmWorld, who: Account, signature_of: str | None = None) -> None:
    """A deal whose pot 1 is ``who``'s: joined by what ``signature_of`` signs, or by ERC-1271 without a signature."""
    base = simple(world)
    worker = base.pots[1]
    terms = replace(base, pots=(base.pots[0], replace(worker, depositor=who)))
    deal = world.book.open(CLIENT, terms, SALT)
    expiry = world.now() + 60
    digest = join_digest(world.book.chain_id, world.book.address, deal, 1, terms.token, STAKE, expiry)
    signature = key(signature_of).sign_digest(digest) if signature_of else b""
    refused("BadConsent", world.book.join_with_consent, RIVAL, deal, 1, expiry, key("rival").sign_digest(digest))
    if not signature_of:
        refused("BadConsent", world.book.join_with_consent, RIVAL, deal, 1, expiry, signature)
        world.send(DEPLOYER, who, "sign(bytes32)", digest)
    world.book.join_with_consent(RIVAL, deal, 1, expiry, signature)
    assert world.book.state(deal).joined == {1}


def test_consent_of_a_wallet(world: EvmWorld) -> None:
    wallet = world.make("Wallet")
    world.send(DEPLOYER, world.token, "mint(address,uint256)", wallet, STAKE)
    approve = bytes.fromhex("095ea7b3") + world.book.address.rjust(32, b"\0") + STAKE.to_bytes(32, "big")
    world.send(DEPLOYER, wallet, "act(address,bytes)", world.token, approve)
    joined_by_consent(world, wallet)


def delegate(world: EvmWorld, who: str, code: Account) -> None:
    """A type-4 transaction by which the account's key lets it run ``code`` (EIP-7702); somebody else sends it."""
    own, sender = key(who), key("rival")
    count = [quantity(request(world.web3, "eth_getTransactionCount", "0x" + one.public.account.hex(), "latest"))
             for one in (own, sender)]
    leave = Authorization(world.book.chain_id, code, count[0]).signed(PrivateKey(own.reveal_seed()))
    price = 2 * quantity(request(world.web3, "eth_gasPrice"))
    sent = Transaction(SET_CODE, world.book.chain_id, count[1], 0, price, 500_000, own.public.account, 0, b"",
                       authorizations=(leave,)).signed(PrivateKey(sender.reveal_seed()), RIVAL)
    digest = request(world.web3, "eth_sendRawTransaction", "0x" + sent.encode().hex())
    for _ in range(400):  # anvil mines a moment after it answers
        if request(world.web3, "eth_getTransactionReceipt", digest) is not None:
            break
        time.sleep(0.05)
    assert code_at(world.web3, own.public.account) == b"\xef\x01\x00" + code


@pytest.mark.parametrize("chain", ["embedded", "anvil"])
def test_consent_of_an_account_that_runs_code(deployed: EvmWorld, chain: str, tmp_path: Path) -> None:
    """EIP-7702: the key still speaks for its account, so does the code where it knows ERC-1271; no other does."""
    world = AnvilWorld() if chain == "anvil" else EvmWorld(tmp_path / "chain", origin=deployed)
    try:
        world.fund(WORKER)
        delegate(world, "worker", world.make("Delegate"))
        joined_by_consent(world, WORKER, "worker")
        world.advance(1)
        delegate(world, "worker", world.make("Wallet"))
        joined_by_consent(world, WORKER, "worker")
        world.advance(1)
        joined_by_consent(world, WORKER)
    finally:
        world.close()


def test_hostile_tokens_with_signatures(world: EvmWorld) -> None:
    """A token that takes a fee, moves nothing, reverts or calls back is refused, by whatever way the deposit comes."""
    book, token = world.book, world.make("HostileToken")
    world.send(DEPLOYER, token, "mint(address,uint256)", CLIENT, 10_000)
    terms = simple(world, token=token)
    deal = book.open(CLIENT, terms, SALT)
    for mode in (1, 2, 4, 8):
        world.send(DEPLOYER, token, "set(uint256,bytes)", mode, b"")
        refused("TransferFailed", book.join_with_permit, CLIENT, deal, 0, 0, bytes(65))
        if mode != 8:
            refused("TransferFailed", book.join_with_authorization, RIVAL, deal, 0, 0, 0, bytes(65))
    for pot, act in ((0, book.join_with_permit), (1, book.join_with_authorization)):
        attack = calldata("join", deal_bytes(CLIENT, SALT, terms), pot)
        world.send(DEPLOYER, token, "mint(address,uint256)", WORKER, STAKE)
        world.send(DEPLOYER, token, "set(uint256,bytes)", 5, attack)
        times = (0,) if pot == 0 else (0, 0)
        act(CLIENT, deal, pot, *times, bytes(65))
        entered = {"to": "0x" + token.hex(), "data": "0x" + call_data("entered()").hex()}
        assert int(request(world.web3, "eth_call", entered, "latest"), 16) == 0
    assert book.state(deal).status == "running"
