"""Relayed acts: every act of the Book by signature alone, and what a request must not be good for."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from contracts.parts import (
    BENCH,
    CLAIM,
    CLIENT,
    HOUR,
    RIVAL,
    SALT,
    STAKE,
    WORKER,
    begin,
    claims,
    simple,
)
from ports.books import KEYS, account, key
from ports.evm_world import DEPLOYER, EvmWorld
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, Refuted
from troth.core.terms import UPHELD, Account, Result
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.artefacts import artefact
from troth.ledger.chains.transactions import CURVE_ORDER
from troth.ledger.evm import ACTS, EvmBook
from troth.ledger.relay import REQUEST_GAS, RelayedSender, Relayer, Request, _execute, recovered, signed_request
from troth.ledger.sending import Receipt, call

RELAYER = account("relayer")
ERRORS = artefact("Book").errors


def relayer(world: EvmWorld, who: Account = RELAYER) -> Relayer:
    return Relayer(world.sender(who), world.forwarder, [world.addresses.book], now=world.now, errors=ERRORS)


def signed(world: EvmWorld, who: Account, act: str, *values: Any, **changes: Any) -> Request:
    """A party's request for an act of the Book."""
    def run(sender: RelayedSender) -> None:
        book = EvmBook(world.web3, world.addresses.book, lambda _: sender, chain_id=world.chain.chain_id, gas=None)
        getattr(book, act)(who, *values)

    options: dict[str, Any] = {"chain_id": world.chain.chain_id, "now": world.now, "errors": ERRORS} | changes
    return signed_request(world.web3, seed(who), options.pop("forwarder", world.forwarder), run, **options)


def seed(who: Account) -> bytes:
    """A party's secret."""
    return KEYS[who].reveal_seed()


def relayed_book(world: EvmWorld) -> EvmBook:
    """The Book for parties that send nothing themselves."""
    carrier = relayer(world)

    def sender(who: Account) -> RelayedSender:
        return RelayedSender(world.web3, seed(who), world.forwarder, carrier.carry, chain_id=world.chain.chain_id,
                             now=world.now, errors=ERRORS)

    return EvmBook(world.web3, world.addresses.book, sender, chain_id=world.chain.chain_id)


def nonces(world: EvmWorld, who: Account) -> int:
    return int(world.web3.eth.get_transaction_count(world.web3.to_checksum_address(who)))


# -- what it is for ----------------------------------------------------------------------------------------------------


def test_a_whole_deal_by_signatures(world: EvmWorld) -> None:
    """Nobody but the relayer sends a transaction; the Book's rules and refusals are the same."""
    for who in (CLIENT, WORKER, RIVAL, *BENCH):
        world.fund(who)
    before = {who: nonces(world, who) for who in (CLIENT, WORKER, RIVAL, *BENCH)}
    book = relayed_book(world)
    deal = book.open(CLIENT, simple(world), SALT)
    book.join(CLIENT, deal, 0)
    with pytest.raises(ActRefused, match="NotDepositor"):
        book.join(RIVAL, deal, 1)
    book.join(WORKER, deal, 1)
    book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    assert book.judge(RIVAL, deal).outcome == UPHELD
    book.challenge(RIVAL, deal)
    for judge in BENCH:
        for slot in range(2):
            book.submit(judge, deal, 0, slot, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    assert book.judge_and_close(WORKER, deal).outcome == UPHELD
    assert world.book.state(deal) == book.state(deal)
    assert book.state(deal).status == "closed"
    assert {who: nonces(world, who) for who in before} == before
    entries = book.state(deal).history
    assert [entry.by for entry in entries[:3]] == [WORKER, RIVAL, RIVAL]


def test_every_act_of_the_book_can_be_requested() -> None:
    """Whatever acts for an account, by its signature's name, is one of ``ACTS``."""
    acting = {name for name, method in vars(EvmBook).items()
              if inspect.isfunction(method) and list(inspect.signature(method).parameters)[1:2] == ["by"]}
    assert acting - {"_send", "estimate"} == set(ACTS)


def test_the_owner_stops_the_book_by_signature(world: EvmWorld) -> None:
    book = relayed_book(world)
    book.stop(DEPLOYER, True)
    with pytest.raises(ActRefused, match="Stopped"):
        book.open(CLIENT, simple(world), SALT)
    with pytest.raises(ActRefused, match="NotOwner"):
        book.stop(CLIENT, False)
    with pytest.raises(ActRefused, match="Nothing"):
        book.withdraw(CLIENT, world.token)


def test_a_request_is_a_file_that_somebody_else_carries(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD).to_bytes())
    read = Request.decode(one.encode())
    assert read == one
    receipt = relayer(world).carry(read)
    assert relayer(world).carry(read) == receipt  # the same act
    assert [entry.by for entry in world.book.state(deal).history] == [WORKER]


def test_the_digest_is_what_other_tools_sign(world: EvmWorld) -> None:
    one = signed(world, CLIENT, "open", simple(world), SALT)
    fields = [("from", "address"), ("to", "address"), ("value", "uint256"), ("gas", "uint256"), ("nonce", "uint256"),
              ("deadline", "uint48"), ("data", "bytes")]
    domain = {"name": "Troth Forwarder", "version": "1", "chainId": one.chain_id,
              "verifyingContract": world.web3.to_checksum_address(one.forwarder)}
    message = {"from": world.web3.to_checksum_address(one.signer), "to": world.web3.to_checksum_address(one.to),
               "value": 0, "gas": one.gas, "nonce": one.nonce, "deadline": one.deadline, "data": one.data}
    text = encode_typed_data(domain, {"ForwardRequest": [{"name": name, "type": kind} for name, kind in fields]},
                             message)
    assert EthAccount.sign_message(text, seed(CLIENT)).signature == one.signature


def test_a_batch_is_one_transaction(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    first = [signed(world, judge, "submit", deal, 0, 0, CLAIM, b"\x01") for judge in BENCH]
    sent = nonces(world, RELAYER)
    carried = relayer(world).carry_all(first)
    assert [one.outcome for one in carried] == ["done", "done"]
    assert nonces(world, RELAYER) == sent + 1
    assert len(world.book.state(deal).history) == 5


def test_a_signers_requests_go_in_order(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    one = signed(world, BENCH[0], "submit", deal, 0, 0, CLAIM, b"\x01")
    two = signed(world, BENCH[0], "submit", deal, 0, 1, CLAIM, b"\x01")
    two = resigned(replace(two, nonce=two.nonce + 1), BENCH[0])
    with pytest.raises(Pending, match="earlier request of this signer"):
        relayer(world).carry(two)
    assert [done.outcome for done in relayer(world).carry_all([two, one])] == ["done", "done"]


def resigned(one: Request, who: Account) -> Request:
    return replace(one, signature=KEYS[who].sign_digest(one.digest()))


# -- what it must not be good for --------------------------------------------------------------------------------------


def test_attack_replay(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"")
    with pytest.raises(Refuted, match="carried already"):  # twice in one batch
        relayer(world).carry_all([one, one])
    relayer(world).carry(one)
    with pytest.raises(Refuted, match="carried already"):
        relayer(world, RIVAL).carry(one)  # another relayer, which knows nothing of the first
    with pytest.raises(Refuted, match="carried already"):
        relayer(world, RIVAL).carry_all([one])


def test_attack_altered(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"\x01")
    other = key("somebody").public.account
    for change in ({"data": one.data[:-1] + b"\x07"}, {"gas": one.gas + 1}, {"deadline": one.deadline + 1},
                   {"signer": other}, {"signature": bytes(65)}, {"signature": one.signature[:64] + b"\x05"},
                   {"signature": malleable(one.signature)}):
        altered = replace(one, **change)  # type: ignore[arg-type]
        with pytest.raises(Refuted, match=r"signature is not|nonce"):
            relayer(world).carry(altered)
        # And the contract itself refuses it, whoever brings it.
        with pytest.raises(ActRefused, match=r"InvalidSigner|ExpiredRequest"):
            call_as(world, _execute(altered))
    assert world.book.state(deal).history == ()


def call_as(world: EvmWorld, data: bytes) -> None:
    call(world.web3, world.forwarder, data, sender=RIVAL, errors=artefact("Forwarder").errors)


def malleable(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:64], "big")
    return signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big") + bytes((55 - signature[64],))


def test_attack_late(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"", life=60)
    world.advance(61)
    with pytest.raises(Refuted, match="late"):
        relayer(world).carry(one)
    with pytest.raises(ActRefused, match="ExpiredRequest"):
        call_as(world, _execute(one))


def test_attack_for_elsewhere(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"")
    for change, what in (({"chain_id": 1}, "another chain"), ({"forwarder": RIVAL}, "another forwarder"),
                         ({"to": world.token}, "not carried to")):
        with pytest.raises(Refuted, match=what):
            relayer(world).carry(resigned(replace(one, **change), WORKER))  # type: ignore[arg-type]
    # Signed for another chain or forwarder and passed off as for this one: the signature is over what was signed.
    for change in ({"chain_id": 1}, {"forwarder": RIVAL}):
        stray = resigned(replace(one, **change), WORKER)  # type: ignore[arg-type]
        with pytest.raises(Refuted, match="signature is not"):
            relayer(world).carry(replace(stray, chain_id=one.chain_id, forwarder=one.forwarder))


def test_attack_forged_sender_without_the_forwarder(world: EvmWorld) -> None:
    """Twenty bytes at the end of calldata say nothing unless the forwarder put them there."""
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"")
    with pytest.raises(ActRefused, match="NotNamed"):
        world.sender(RIVAL).send(world.addresses.book, one.data + WORKER)


def test_attack_on_the_relayers_purse(world: EvmWorld) -> None:
    """Too little gas to do the act, or more than fits: known before anything is paid for."""
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"")
    head = world.web3.eth.block_number
    with pytest.raises(ActRefused, match="FailedCall"):
        relayer(world).carry(resigned(replace(one, gas=10_000), WORKER))
    with pytest.raises(Refuted, match="more gas"):
        relayer(world).carry(resigned(replace(one, gas=REQUEST_GAS + 1), WORKER))
    with pytest.raises(Misuse, match="fewer"):
        relayer(world).carry_all([resigned(replace(one, gas=REQUEST_GAS, nonce=one.nonce + at), WORKER)
                                  for at in range(2)])
    with pytest.raises(Misuse, match="nothing to carry"):
        relayer(world).carry_all([])
    assert world.web3.eth.block_number == head
    with pytest.raises(Misuse, match="nothing to relay"):
        signed_request(world.web3, seed(WORKER), world.forwarder, lambda _: world.book.state(deal),
                       chain_id=world.chain.chain_id, now=world.now)


def test_a_relayer_pays_for_no_more_gas_than_it_will(world: EvmWorld) -> None:
    """The limit counts the forwarder's part and the calldata too: a long request is dear although its call is not."""
    cheap = Relayer(world.sender(RELAYER), world.forwarder, [world.addresses.book], now=world.now, most_gas=300_000)
    stop = signed(world, DEPLOYER, "stop", True)
    with pytest.raises(Refuted, match=r"more gas than this relayer pays for; expected at most 300000"):
        cheap.check(replace(stop, gas=250_000))
    long = RelayedSender(world.web3, seed(DEPLOYER), world.forwarder, cheap.carry, chain_id=world.chain.chain_id,
                         now=world.now).request(world.addresses.book, b"\xff" * 10_000, 1)
    for carry in (cheap.carry, lambda one: cheap.carry_all([one])):
        before = nonces(world, RELAYER)
        with pytest.raises(Refuted, match="more gas than this relayer pays for"):
            carry(long)
        assert nonces(world, RELAYER) == before
    cheap.carry(stop)


def test_attack_a_batch_spoiled_from_outside(world: EvmWorld) -> None:
    """A party has its own request carried just before the batch, or lets it be refused: the others are done."""
    deal = begin(world, simple(world))
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    good, spoiler = (signed(world, judge, "submit", deal, 0, 0, CLAIM, b"\x01") for judge in BENCH)
    carrier = relayer(world)
    sender, done = carrier.sender, []

    class Late:
        """The relayer's sender, with something happening between its checks and its transaction."""

        def __getattr__(self, name: str) -> Any:
            return getattr(sender, name)

        def send(self, *values: Any, **options: Any) -> Receipt:
            done.append(relayer(world, RIVAL).carry(spoiler))
            return sender.send(*values, **options)

    carrier.sender = Late()  # type: ignore[assignment]
    outcome = {one.request.signer: one.outcome for one in carrier.carry_all([good, spoiler])}
    assert outcome == {BENCH[0]: "done", BENCH[1]: "skipped"}
    # Refused by the contract: its nonce is used up, the rest is done.
    one = signed(world, BENCH[0], "submit", deal, 0, 1, CLAIM, b"\x01")
    two = signed(world, BENCH[1], "submit", deal, 0, 1, CLAIM, b"\x01")
    assert done
    third = resigned(replace(two, nonce=two.nonce + 1), BENCH[1])  # the same seat again
    carrier.sender = sender
    carried = [(each.request.nonce, each.outcome) for each in carrier.carry_all([one, two, third])
               if each.request.signer == BENCH[1]]
    assert carried == [(two.nonce, "done"), (third.nonce, "refused")]


def test_attack_a_relayer_cannot_starve_the_act(world: EvmWorld) -> None:
    """With too little gas the whole transaction fails: the nonce is not used up by an act that ran dry."""
    deal = begin(world, simple(world))
    one = signed(world, WORKER, "submit", deal, 0, 0, CLAIM, b"")
    with pytest.raises((ActRefused, OutsideFailed)):
        world.sender(RIVAL).send(world.forwarder, _execute(one), gas=one.gas)
    relayer(world).carry(one)
    assert len(world.book.state(deal).history) == 1


# -- the file ----------------------------------------------------------------------------------------------------------

GOOD = Request(7407, b"\x01" * 20, b"\x02" * 20, b"\x03" * 20, 100_000, 4, 1_700_000_000, b"\x05\x06", b"\x07" * 65)


@pytest.mark.parametrize("change", [
    {"version": 2}, {"chain": 0}, {"gas": 0}, {"nonce": -1}, {"deadline": 1 << 48}, {"from": "00"},
    {"to": "0x" + "00" * 20}, {"data": "0G"}, {"signature": "00" * 64}, {"more": 1}, {"gas": "5"}, {"chain": True},
])
def test_a_file_that_says_something_else(change: dict[str, Any]) -> None:
    value = json.loads(GOOD.encode()) | change
    with pytest.raises(BadInput):
        Request.decode(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        Request.decode(data)
    assert recovered(replace(GOOD, signature=data)) is None or len(data) == 65


@given(st.integers(1, 1 << 40), st.integers(1, REQUEST_GAS), st.integers(0, 1 << 40), st.integers(0, (1 << 48) - 1),
       st.binary(max_size=60), st.integers(1, CURVE_ORDER - 1))
def test_what_is_signed_is_recovered(chain: int, gas: int, nonce: int, deadline: int, data: bytes, secret: int) -> None:
    pair = Secp256k1KeyPair(secret.to_bytes(32, "big"))
    one = Request(chain, b"\x01" * 20, pair.public.account, b"\x03" * 20, gas, nonce, deadline, data)
    one = replace(one, signature=pair.sign_digest(one.digest()))
    assert Request.decode(one.encode()) == one
    assert recovered(one) == one.signer
    assert recovered(replace(one, nonce=nonce + 1)) != one.signer


def test_the_stake_is_the_workers(world: EvmWorld) -> None:
    """A request to join takes the signer's deposit, never the relayer's."""
    for who in (CLIENT, WORKER):
        world.fund(who)
    deal = world.book.open(CLIENT, simple(world), SALT)
    held = world.balance(WORKER), world.balance(RELAYER)
    relayer(world).carry(signed(world, WORKER, "join", deal, 1))
    assert (world.balance(WORKER), world.balance(RELAYER)) == (held[0] - STAKE, held[1])


def test_an_expiry_shortens_a_request(world: EvmWorld) -> None:
    """Whoever carries it late is refused by the forwarder."""
    def unreachable(one: Request) -> Receipt:
        raise AssertionError(one)

    sender = RelayedSender(world.web3, seed(CLIENT), world.forwarder, unreachable, chain_id=world.chain.chain_id,
                           now=world.now, errors=ERRORS)
    now = world.now()
    deadlines = [sender.request(world.addresses.book, b"", 1, until).deadline for until in (None, now + 5, now + 10**6)]
    assert deadlines == [now + HOUR, now + 5, now + HOUR]
