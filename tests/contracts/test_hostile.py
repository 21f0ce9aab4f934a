"""Hostile tokens, policies, wallets and callers: what each tries, and what it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from parts import (
    BENCH,
    CLAIM,
    CLIENT,
    HOUR,
    PAY,
    RIVAL,
    SALT,
    STAKE,
    WORKER,
    begin,
    claims,
    refused,
    simple,
    with_pot,
    with_rung,
)

from ports.books import account, key
from ports.evm_world import DEPLOYER, EvmWorld, call_data, hostile
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, TrothError
from troth.core.terms import REFUTED, UPHELD, Account, Ask, Result, Rung, Split, Terms
from troth.core.typed_data import join_digest, verdict_digest
from troth.ledger.artefacts import code_hash
from troth.ledger.chains.rpc import RpcError, request
from troth.ledger.deploy import code_at
from troth.ledger.erc20 import Erc20
from troth.ledger.evmcodec import calldata, deal_bytes, long_history, short_history
from troth.ledger.sending import refusal
from troth.verify.policies.voices import verdict_data

FEE_ON_TRANSFER, FALSE, NOTHING, REVERT, REENTER, HUGE, BURN, TWO = range(1, 9)


class Bad:
    """A hostile token and who holds it."""

    def __init__(self, world: EvmWorld) -> None:
        self.world, self.address = world, world.make("HostileToken")
        self.erc20 = Erc20(world.web3, self.address)
        for who in (CLIENT, WORKER, RIVAL):
            world.send(DEPLOYER, self.address, "mint(address,uint256)", who, 10_000)
            world.send(who, self.address, "approve(address,uint256)", world.addresses.book, 10_000)

    def behave(self, mode: int, attack: bytes = b"") -> None:
        self.world.send(DEPLOYER, self.address, "set(uint256,bytes)", mode, attack)

    def entered(self) -> bool:
        answer = request(self.world.web3, "eth_call", {"to": "0x" + self.address.hex(),
                                                       "data": "0x" + call_data("entered()").hex()}, "latest")
        return bool(int(answer, 16))


@pytest.fixture
def bad(world: EvmWorld) -> Bad:
    return Bad(world)


@pytest.mark.parametrize("mode", [FEE_ON_TRANSFER, FALSE, REVERT, BURN, TWO])
def test_tokens_that_do_not_bring_the_amount(world: EvmWorld, bad: Bad, mode: int) -> None:
    """Neither a pot nor a bond counts unless the Book received it whole."""
    book, terms = world.book, simple(world, token=bad.address)
    deal = book.open(CLIENT, terms, SALT)
    bad.behave(mode)
    refused("TransferFailed", book.join, CLIENT, deal, 0)
    bad.behave(0)
    book.join(CLIENT, deal, 0)
    book.join(WORKER, deal, 1)
    claims(world, deal)
    bad.behave(mode)
    refused("TransferFailed", book.challenge, RIVAL, deal)
    assert book.state(deal).rung == 0
    assert bad.erc20.balance(world.addresses.book) == PAY + STAKE


@pytest.mark.parametrize("mode", [NOTHING, HUGE])
def test_tokens_with_odd_answers_work(world: EvmWorld, bad: Bad, mode: int) -> None:
    """A token that answers nothing, or 100,000 bytes that begin with true, did what it was asked."""
    book, terms = world.book, simple(world, token=bad.address)
    deal = book.open(CLIENT, terms, SALT)
    bad.behave(mode)
    book.join(CLIENT, deal, 0)
    book.join(WORKER, deal, 1)
    claims(world, deal)
    world.advance(HOUR)
    book.close(RIVAL, deal)
    assert bad.erc20.balance(WORKER) == 10_000 + PAY - 10
    assert bad.erc20.balance(world.addresses.book) == 0


@pytest.mark.parametrize("mode", [FALSE, REVERT, BURN])
def test_tokens_that_do_not_pay_out(world: EvmWorld, bad: Bad, mode: int) -> None:
    """A close happens whatever the token does; every failed transfer waits for its owner."""
    book = world.book
    deal = book.open(CLIENT, simple(world, token=bad.address), SALT)
    book.join(CLIENT, deal, 0)
    book.join(WORKER, deal, 1)
    claims(world, deal)
    world.advance(HOUR)
    bad.behave(mode)
    book.close(RIVAL, deal)
    assert book.state(deal).status == "closed"
    owed = {WORKER: PAY - 10 + STAKE, RIVAL: 10}
    assert {who: book.credit(bad.address, who) for who in owed} == owed
    refused("TransferFailed", book.withdraw, WORKER, bad.address)
    assert book.credit(bad.address, WORKER) == owed[WORKER]
    bad.behave(0)
    book.withdraw(WORKER, bad.address)
    refused("Nothing", book.withdraw, WORKER, bad.address)
    assert bad.erc20.balance(WORKER) == 10_000 + PAY - 10


def test_reentrancy(world: EvmWorld, bad: Bad) -> None:
    """A token that calls the Book back from a transfer gets into no act."""
    book, terms = world.book, simple(world, token=bad.address)
    deal = book.open(CLIENT, terms, SALT)
    made_of = deal_bytes(CLIENT, SALT, terms)
    acts = {
        "open": calldata("open", bytes(32), terms.to_bytes()),
        "openAndJoin": calldata("openAndJoin", bytes(32), terms.to_bytes(), 0, []),
        "join": calldata("join", made_of, 1),
        "close": calldata("close", made_of, b""),
        "withdraw": calldata("withdraw", bad.address),
        "sweep": calldata("sweep", deal, 0),
    }
    for attack in acts.values():
        bad.behave(REENTER, attack)
        snapshot = bad.erc20.balance(CLIENT)
        other = book.open(CLIENT, terms, keccak256(attack))
        book.join(CLIENT, other, 0)
        assert not bad.entered()
        assert bad.erc20.balance(CLIENT) == snapshot - PAY
    world.until(terms.fund_by)
    # Short enough for the gas that a transfer out is given.
    bad.behave(REENTER, acts["withdraw"])
    before = bad.erc20.balance(world.addresses.book)
    book.close(RIVAL, other)
    assert not bad.entered()
    assert bad.erc20.balance(world.addresses.book) == before - PAY


def policy(world: EvmWorld, name: str, *arguments: tuple[str, object]) -> dict[str, object]:
    made = world.make(name, *arguments)
    return {"policy": made, "codehash": code_hash(code_at(world.web3, made))}


@pytest.mark.parametrize("mode", range(5))
def test_policies_that_answer_garbage(world: EvmWorld, mode: int) -> None:
    """A return bomb, lengths and offsets beyond the answer, one word, an attempt to write: silence, never a revert of
    ours. Its tick is a bomb too, and counts as 0.
    """
    terms = with_rung(simple(world), 0, **policy(world, "Garbler", ("uint256", mode)))
    book, deal = world.book, begin(world, terms)
    book.submit(WORKER, deal, 0, 0, CLAIM, b"")
    refused("PolicyFailed", book.judge, RIVAL, deal)
    world.advance(HOUR)
    book.challenge(RIVAL, deal)
    for judge in BENCH:
        for slot in range(2):
            book.submit(judge, deal, 0, slot, CLAIM, b"\x00" + Result(REFUTED, values=(1,)).to_bytes())
    book.judge(RIVAL, deal)
    book.close(RIVAL, deal)
    final = book.state(deal).final
    assert final is not None
    assert final.outcome == REFUTED
    assert world.balance(world.addresses.book) == 0


@pytest.mark.parametrize(("answer", "code"), [(b"\x01", "PolicyFailed"), (b"\x03", "PolicyFailed"),
                                              (b"\x04", "PolicyFailed"), (b"\x02", "NoVerdict")])
def test_policies_that_fail(world: EvmWorld, answer: bytes, code: str) -> None:
    book, deal = world.book, begin(world, simple(world))
    book.submit(WORKER, deal, 0, 0, CLAIM, answer)
    refused(code, book.judge, RIVAL, deal)
    world.advance(2 * HOUR)
    book.close(RIVAL, deal)
    assert world.balance(CLIENT) == 10**9


def test_a_caller_cannot_starve_a_policy(world: EvmWorld) -> None:
    """With less gas than a policy is due, a voice that needs gas would be absent: so the call is refused."""
    book, terms = world.book, simple(world)
    deal = begin(world, terms)
    book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    data = calldata("judge", deal_bytes(CLIENT, SALT, terms), long_history(book.state(deal).history))
    fields = {"from": "0x" + RIVAL.hex(), "to": "0x" + book.address.hex(), "data": "0x" + data.hex()}
    for gas in (3_000_000, 5_000_000, 5_100_000):
        with pytest.raises(RpcError) as error:
            request(world.web3, "eth_call", fields | {"gas": hex(gas)}, "latest")
        found = refusal(error.value, book._errors)
        assert isinstance(found, ActRefused)
        assert found.code == "LowGas"
    request(world.web3, "eth_call", fields | {"gas": hex(5_400_000)}, "latest")


def test_a_closer_cannot_starve_a_transfer(world: EvmWorld) -> None:
    """With little gas every transfer would fail into a credit, and every payee would have to come for its own."""
    book, terms = world.book, simple(world)
    deal = begin(world, terms)
    claims(world, deal)
    world.advance(HOUR)
    data = calldata("close", deal_bytes(CLIENT, SALT, terms), short_history(book.state(deal).history))
    fields = {"from": "0x" + RIVAL.hex(), "to": "0x" + book.address.hex(), "data": "0x" + data.hex()}
    for gas in range(150_000, 450_000, 25_000):
        try:
            request(world.web3, "eth_call", fields | {"gas": hex(gas)}, "latest")
        except RpcError:
            continue
        world.sender(RIVAL).send(book.address, data, gas=gas)
        break
    assert book.state(deal).status == "closed"
    assert all(book.credit(world.token, who) == 0 for who in (CLIENT, WORKER, RIVAL))
    assert world.balance(WORKER) == 10**9 + PAY - 10


def signed_terms(world: EvmWorld, bench: tuple[Account, ...]) -> Terms:
    terms = simple(world)
    pinned = world.addresses.policies["signed2"]
    top = Rung(*pinned, (Ask("verdict", bench, HOUR),), HOUR)
    return replace(terms, rungs=(terms.rungs[0], top))


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_contract_signers(world: EvmWorld, mode: int) -> None:
    """A wallet signs by ERC-1271; one that burns gas or reverts is an absent voice and takes nobody else's."""
    book = world.book
    wallet = world.make("Wallet")
    bench = (wallet, account("judge 0"), account("judge 1"))
    terms = signed_terms(world, bench)
    deal = begin(world, terms)
    claims(world, deal)
    book.challenge(RIVAL, deal)
    evidence = history_of(world, deal)
    said, expiry = Result(REFUTED).to_bytes(), world.now() + 3 * HOUR
    digest = verdict_digest(book.chain_id, book.address, deal, 1, evidence, said, expiry)
    world.send(DEPLOYER, wallet, "sign(bytes32)", digest)
    world.send(DEPLOYER, wallet, "set(uint256)", mode)
    data = calldata("submit", deal_bytes(CLIENT, SALT, terms), 0, 0, CLAIM, verdict_data(said, expiry, b""))
    world.send(RIVAL, wallet, "act(address,bytes)", book.address, data)
    voices = [key("judge 0")] if mode == 0 else [key("judge 0"), key("judge 1")]
    for voice in voices:
        book.submit(voice.public.account, deal, 0, 0, CLAIM, verdict_data(said, expiry, voice.sign_digest(digest)))
    if mode == 0:
        world.advance(HOUR)
    assert book.judge(RIVAL, deal) == Result(REFUTED)


def test_signatures_for_something_else_are_no_voices(world: EvmWorld) -> None:
    book = world.book
    bench = (account("judge 0"), account("judge 1"), account("judge 2"))
    deal = begin(world, signed_terms(world, bench))
    claims(world, deal)
    book.challenge(RIVAL, deal)
    evidence, said, now = history_of(world, deal), Result(REFUTED).to_bytes(), world.now()
    late = now + HOUR - 1
    good = (book.chain_id, book.address, deal, 1, evidence, said, now + HOUR)
    wrong = [(1, *good[1:]), (good[0], RIVAL, *good[2:]), (*good[:2], bytes(32), *good[3:]),
             (*good[:3], 0, *good[4:]), (*good[:4], deal, *good[5:]), (*good[:5], Result(UPHELD).to_bytes(), good[6])]
    book.submit(bench[0], deal, 0, 0, CLAIM,
                verdict_data(said, now + HOUR, key("judge 0").sign_digest(verdict_digest(*good))))
    one = key("judge 1").sign_digest(verdict_digest(*good[:6], late))
    book.submit(bench[1], deal, 0, 0, CLAIM, verdict_data(said, late, one))
    world.advance(HOUR)
    # The second had expired when the evidence froze, so one voice is left of two that are needed.
    refused("NoVerdict", book.judge, RIVAL, deal)
    for n, values in enumerate(wrong):
        other = begin_again(world, bench, n, values)
        refused("NoVerdict", book.judge, RIVAL, other)


def begin_again(world: EvmWorld, bench: tuple[Account, ...], n: int, values: tuple[object, ...]) -> bytes:
    """A deal whose every signer signs with one field of another deal, Book, chain, rung, evidence or result."""
    book, salt = world.book, bytes([n + 10]) * 32
    terms = signed_terms(world, bench)
    deal = book.open(CLIENT, terms, salt)
    book.join(CLIENT, deal, 0)
    book.join(WORKER, deal, 1)
    claims(world, deal)
    book.challenge(RIVAL, deal)
    said, expiry = Result(REFUTED).to_bytes(), world.now() + HOUR
    right = (book.chain_id, book.address, deal, 1, history_of(world, deal), said, expiry)
    changed = (*right[:n], values[n], *right[n + 1 :])
    for name, who in zip(("judge 0", "judge 1", "judge 2"), bench, strict=True):
        signature = key(name).sign_digest(verdict_digest(*changed))  # type: ignore[arg-type]
        book.submit(who, deal, 0, 0, CLAIM, verdict_data(said, expiry, signature))
    return deal


def history_of(world: EvmWorld, deal: bytes) -> bytes:
    """The rolling hash that the contract stores."""
    return world.book._stored(deal).history


def test_consent_of_a_contract_account(world: EvmWorld) -> None:
    """A wallet joins by ERC-1271 consent; without its word nobody can."""
    book = world.book
    wallet = world.make("Wallet")
    terms = with_pot(simple(world), 0, depositor=wallet)
    world.send(DEPLOYER, world.token, "mint(address,uint256)", wallet, PAY)
    world.send(RIVAL, wallet, "act(address,bytes)", world.token,
               call_data("approve(address,uint256)", book.address, PAY))
    deal = book.open(RIVAL, terms, SALT)
    expiry = world.now() + 60
    refused("BadConsent", book.join_with_consent, RIVAL, deal, 0, expiry, b"anything")
    world.send(RIVAL, wallet, "sign(bytes32)", join_digest(book.chain_id, book.address, deal, 0, terms.token, PAY,
                                                            expiry))
    book.join_with_consent(RIVAL, deal, 0, expiry, b"anything")
    assert world.balance(wallet) == 0


# --- the relayed form

REQUEST = b"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)"
DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
EXECUTE = "execute((address,address,uint256,uint256,uint48,bytes,bytes))"


def relayed(world: EvmWorld, name: str, data: bytes, nonce: int) -> bytes:
    """Calldata of a signed request, for anybody to carry."""
    who, gas, deadline = account(name), 1_000_000, world.now() + HOUR
    domain = keccak256(encode(("bytes32", "bytes32", "bytes32", "uint256", "address"), (
        keccak256(DOMAIN), keccak256(b"Troth Forwarder"), keccak256(b"1"), world.chain.chain_id, world.forwarder)))
    body = keccak256(encode(("bytes32", "address", "address", "uint256", "uint256", "uint256", "uint48", "bytes32"), (
        keccak256(REQUEST), who, world.book.address, 0, gas, nonce, deadline, keccak256(data))))
    signature = key(name).sign_digest(keccak256(b"\x19\x01" + domain + body))
    request_ = (who, world.book.address, 0, gas, deadline, data, signature)
    return keccak256(EXECUTE.encode())[:4] + encode((EXECUTE[8:-1],), (request_,))


def test_relayed_acts(world: EvmWorld) -> None:
    """A signed request acts as its signer, once; nobody speaks for another without one."""
    book, terms = world.book, simple(world)
    deal = begin(world, terms)
    data = calldata("submit", deal_bytes(CLIENT, SALT, terms), 0, 0, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    # Outside the forwarder, an account behind the calldata is not read as the sender.
    refused("NotNamed", lambda: world.sender(RIVAL).send(book.address, data + WORKER))
    forged = relayed(world, "rival", data, 0).replace(RIVAL.rjust(32, b"\x00"), WORKER.rjust(32, b"\x00"), 1)
    with pytest.raises(TrothError):
        world.sender(RIVAL).send(world.forwarder, forged)
    signed = relayed(world, "worker", data, 0)
    world.sender(RIVAL).send(world.forwarder, signed)
    assert [entry.by for entry in book.state(deal).history] == [WORKER]
    with pytest.raises(TrothError):
        world.sender(RIVAL).send(world.forwarder, signed)


def test_close_of_the_widest_deal_fits_one_transaction(world: EvmWorld) -> None:
    """64 payees and 32 residuals, 64 seats, every transfer to a new holder: each is paid, under 2^24 gas (EIP-7825)."""
    book, terms = world.book, simple(world)
    crowd = tuple(keccak256(bytes([n]))[:20] for n in range(64))
    pots = [replace(terms.pots[0], name=f"pot {n}", residual=keccak256(b"rest" + bytes([n]))[:20],
                    pays={UPHELD: Split(crowd[2 * n : 2 * n + 2], weights=(1,) * 2)}) for n in range(32)]
    seats = tuple(account(f"seat {n}") for n in range(32))
    wide = Rung(*world.addresses.policies["puppet"], (Ask("word", seats, HOUR, 1), Ask("more", None, HOUR, 1)), HOUR)
    broad = replace(terms, pots=tuple(replace(pot, amount=1003) for pot in pots), rungs=(replace(wide, silent=UPHELD),))
    world.fund(CLIENT)
    deal = book.open(CLIENT, broad, SALT)
    for n in range(32):
        book.join(CLIENT, deal, n)
    for ask in range(2):
        for seat in seats:
            book.submit(seat, deal, ask, 0, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    book.judge(RIVAL, deal)
    data = calldata("close", deal_bytes(CLIENT, SALT, broad), short_history(book.state(deal).history))
    receipt = world.sender(RIVAL).send(book.address, data, gas=2**24)
    assert receipt.gas_used < 2**24
    assert world.balance(crowd[63]) == 501
    assert world.balance(world.addresses.book) == 0


def test_sizes() -> None:
    """The deployed code of every contract fits EIP-170."""
    from troth.ledger.artefacts import NAMES, artefact  # only here

    assert {name: len(artefact(name).deployed) for name in NAMES if len(artefact(name).deployed) > 24_576} == {}
    assert hostile("Puppet").deployed


def test_money_never_moves_without_its_owner(world: EvmWorld) -> None:
    """An attacker over a victim's unlimited approval: opening, joining, challenging and consenting all fail."""
    book = world.book
    world.fund(WORKER)
    world.fund(RIVAL)
    terms = with_pot(simple(world), 0, depositor=WORKER, pays={REFUTED: Split((RIVAL,), amounts=(PAY,))})
    deal = book.open(RIVAL, terms, SALT)
    refused("NotDepositor", book.join, RIVAL, deal, 0)
    expiry = world.now() + 60
    own = key("rival").sign_digest(join_digest(book.chain_id, book.address, deal, 0, terms.token, PAY, expiry))
    refused("BadConsent", book.join_with_consent, RIVAL, deal, 0, expiry, own)
    world.until(terms.fund_by)
    book.close(RIVAL, deal)
    assert world.balance(WORKER) == 10**9
