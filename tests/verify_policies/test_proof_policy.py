"""Proof in Python and as a contract: the same answers on the same evidence, and what a cheat gets for its trouble.

The contract runs on anvil, whose pairing takes milliseconds where the embedded chain's takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from groth16_setups import Setup, first, malleated, outside_the_group
from ports.anvil_world import AnvilWorld
from ports.books import MINT, MemoryWorld, World, account, made_up
from ports.evm_world import EvmWorld, call_data
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Refuted
from troth.core.terms import ENTRY, REFUTED, RUNG, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms
from troth.ledger.sending import call
from troth.verify.groth16 import BASE, ORDER, VerifyingKey, verify
from troth.verify.groth16 import Proof as Bytes
from troth.verify.policies.proof import (
    Proof,
    answer_context,
    answer_data,
    key_name,
    proof_param,
    read_answer,
)
from verify_policies.cases import DEAL, WORKER, asks, question, said

BUYER, RIVAL, COURT = (account(name) for name in ("buyer", "rival", "court"))
PRICE, STAKE, HOUR, CLAIM = 100, 300, 3600, b"\x11" * 32
SETUP, OTHER = Setup(3), Setup(3, seed=2)
NAME = key_name(SETUP.key)
INPUT, SCORES = 11, (22,)
"""What the deal fixes beforehand, and the answer."""
RUNG_ASKED = replace(asks(Ask("answer", (WORKER,), 5)), param=proof_param(NAME, (INPUT,)))


@pytest.fixture(scope="module")
def on_anvil() -> Iterator[AnvilWorld]:
    world = AnvilWorld()
    for setup in (SETUP, OTHER):
        world.send(RIVAL, world.keys, "publish(bytes)", setup.key.data)
    yield world
    world.close()


@cache
def proven(setup: Setup, publics: tuple[int, ...]) -> Bytes:
    return setup.forge(publics)


def context(at: Any, deal: bytes = DEAL, rung: int = 1, who: Account = WORKER) -> int:
    return answer_context(at.chain_id, at.book, deal, rung, who)


def answer(at: Any, *, setup: Setup = SETUP, name: bytes = NAME, fixed: tuple[int, ...] = (INPUT,),
           scores: tuple[int, ...] = SCORES, **where: Any) -> bytes:
    """A right answer; ``where`` is what its proof is for, if elsewhere."""
    return answer_data(name, proven(setup, (context(at, **where), *fixed, *scores)), fixed, scores)


def put(data: bytes, at: int, *words: int | bytes) -> bytes:
    part = b"".join(word if isinstance(word, bytes) else word.to_bytes(32, "big") for word in words)
    return data[:at] + part + data[at + len(part) :]


def cases(at: Any) -> dict[str, tuple[bytes | None, bool]]:
    """What is submitted, and whether it proves the answer."""
    good = answer(at)
    proof = Bytes(good[64:320])
    x = int.from_bytes(good[64:96], "big")
    other_name = key_name(OTHER.key)
    return {
        "a proof": (good, True),
        "the same proof, malleated, says the same": (put(good, 64, malleated(proof).data), True),
        "silence": (None, False),
        "nothing": (b"", False),
        "a proof for another deal": (answer(at, deal=bytes(32)), False),
        "a proof for another rung": (answer(at, rung=2), False),
        "a proof by another account": (answer(at, who=RIVAL), False),
        "a proof for another book": (answer_data(NAME, proven(SETUP, (answer_context(
            at.chain_id, WORKER, DEAL, 1, WORKER), INPUT, 22)), (INPUT,), SCORES), False),
        "a proof for another chain": (answer_data(NAME, proven(SETUP, (answer_context(
            1, at.book, DEAL, 1, WORKER), INPUT, 22)), (INPUT,), SCORES), False),
        "another answer than was proven": (put(good, 352, 23), False),
        "another input than the deal's": (answer(at, fixed=(12,)), False),
        "another input, called the answer": (answer(at, fixed=(), scores=(12, 22)), False),
        "the answer, called fixed": (answer(at, fixed=(INPUT, 22), scores=()), False),
        "another circuit's proof": (put(good, 64, answer(at, setup=OTHER)[64:320]), False),
        "a swapped key": (answer(at, setup=OTHER, name=other_name), False),
        "a key that nobody published": (put(good, 0, keccak256(b"none")), False),
        "an answer beyond the field": (put(good, 352, 22 + ORDER), False),
        "an answer of all ones": (put(good, 352, b"\xff" * 32), False),
        "a coordinate beyond the field": (put(good, 64, x + BASE), False),
        "another coordinate beyond the field": (put(good, 96, BASE), False),
        "A off its curve": (put(good, 64, 1, 3), False),
        "A at infinity": (put(good, 64, bytes(64)), False),
        "B at infinity": (put(good, 128, bytes(128)), False),
        "C at infinity": (put(good, 256, bytes(64)), False),
        "all at infinity": (put(good, 64, bytes(256)), False),
        "B outside its group": (put(good, 128, outside_the_group()), False),
        "another C": (put(good, 256, first(9)), False),
        "a public too few": (good[:-32], False),
        "a public too many": (good + bytes(32), False),
        "cut short": (good[:-1], False),
        "a proof cut short": (good[:319], False),
        "a count beyond all": (put(good, 32, b"\xff" * 32), False),
    }


SELECTOR = keccak256(f"judge(bytes32,uint8,{RUNG},uint64,{ENTRY}[])".encode())[:4]


def judged(world: EvmWorld, data: bytes | None, rung: Rung = RUNG_ASKED) -> bytes:
    """What the contract answers."""
    asked = question(rung, *([] if data is None else [said(WORKER, 0, data)]))
    arguments = encode(("bytes32", "uint8", RUNG, "uint64", f"{ENTRY}[]"), (
        asked.deal, asked.rung, asked.terms.abi(), asked.frozen_at, [entry.abi() for entry in asked.history]))
    found = call(world.web3, world.addresses.policies["proof"][0], SELECTOR + arguments, sender=world.addresses.book)
    return bytes(decode(["bytes"], found)[0])


def policy(at: Any) -> Proof:
    return Proof({key_name(setup.key): setup.key for setup in (SETUP, OTHER)}.get, at.chain_id, at.book)


def test_cases(on_anvil: AnvilWorld) -> None:
    at = on_anvil.addresses
    for name, (data, proves) in cases(at).items():
        expected = Result(UPHELD if proves else REFUTED).to_bytes()
        assert judged(on_anvil, data) == expected, name
        entries = [] if data is None else [said(WORKER, 0, data)]
        assert policy(at).judge(question(RUNG_ASKED, *entries)) == expected, name


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_is_submitted_both_answer_alike(on_anvil: AnvilWorld, data: st.DataObject) -> None:
    """Bytes changed, cut, added or made up; mostly near a right answer."""
    good = bytearray(answer(on_anvil.addresses))
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=2)):
        good[at] ^= data.draw(st.integers(0, 255))
    tried = bytes(good)[: data.draw(st.sampled_from([len(good), len(good), 320, 352, 64]))] + data.draw(
        st.sampled_from([b"", b"", b"\1", bytes(32), b"\xff" * 32]))
    found = policy(on_anvil.addresses).judge(question(RUNG_ASKED, said(WORKER, 0, tried)))
    assert judged(on_anvil, tried) == found
    assert (found == Result(UPHELD).to_bytes()) == (tried == answer(on_anvil.addresses))


def test_shapes(on_anvil: AnvilWorld) -> None:
    ask = RUNG_ASKED.asks[0]
    shapes = {"one": (RUNG_ASKED, True), "after a question": (replace(RUNG_ASKED, asks=(
        Ask("question", (BUYER,), 5), ask)), True), "no param": (replace(RUNG_ASKED, param=bytes(32)), False),
        "two accounts": (replace(RUNG_ASKED, asks=(replace(ask, who=(WORKER, BUYER)),)), False),
        "two slots": (replace(RUNG_ASKED, asks=(replace(ask, slots=2),)), False),
        "another kind": (replace(RUNG_ASKED, asks=(replace(ask, kind="result"),)), False)}
    code = policy(on_anvil.addresses)
    assert code.tick() == 0
    for name, (rung, accepted) in shapes.items():
        assert code.accepts(rung) is accepted, name
        found = call(on_anvil.web3, on_anvil.addresses.policies["proof"][0],
                     keccak256(f"accepts({RUNG})".encode())[:4] + encode((RUNG,), (rung.abi(),)))
        assert decode(["bool"], found)[0] is accepted, name


def test_keys_are_published_once_by_anybody_and_lie_at_their_name(on_anvil: AnvilWorld) -> None:
    where = bytes(call(on_anvil.web3, on_anvil.keys, call_data("where(bytes32)", NAME)))[12:]
    code = bytes(on_anvil.web3.eth.get_code(on_anvil.web3.to_checksum_address(where)))
    assert code == b"\0" + SETUP.key.data
    receipt = on_anvil.send(BUYER, on_anvil.keys, "publish(bytes)", SETUP.key.data)
    assert (receipt.logs, bytes(on_anvil.web3.eth.get_code(on_anvil.web3.to_checksum_address(where)))) == ((), code)


BROKEN = {"a point off its curve": (0, b"".join(v.to_bytes(32, "big") for v in (1, 3))),
          "a point outside its group": (64, outside_the_group()), "gamma at infinity": (192, bytes(128)),
          "a public that nothing binds": (512, bytes(64)), "an unfinished setup": (320, SETUP.key.data[192:320]),
          "a coordinate beyond the field": (0, BASE.to_bytes(32, "big"))}


@pytest.mark.parametrize("name", [*BROKEN, "cut short", "nothing", "no points"])
def test_what_is_no_key_is_not_published(on_anvil: AnvilWorld, name: str) -> None:
    good = SETUP.key.data
    bad = {"cut short": good[:-1], "nothing": b"", "no points": good[:448]}.get(name) or b""
    if name in BROKEN:
        bad = put(good, *BROKEN[name])
    with pytest.raises(ActRefused) as error:
        call(on_anvil.web3, on_anvil.keys, call_data("publish(bytes)", bad), errors=[
            {"type": "error", "name": "NotAKey", "inputs": []}])
    assert error.value.code == "NotAKey"
    with pytest.raises(BadInput):
        VerifyingKey(bad)


def test_the_embedded_chain_holds_proofs_for_the_same_and_asks_the_same_gas_again(tmp_path: Path) -> None:
    world = EvmWorld()
    world.send(RIVAL, world.keys, "publish(bytes)", SETUP.key.data)
    rest = b"".join(value.to_bytes(32, "big") for value in (INPUT, *SCORES))
    to = world.addresses.policies["proof"][0]
    gas = [world.send(RIVAL, to, "holds(bytes32,bytes,uint256,bytes)", NAME, proven(SETUP, (5, INPUT, *SCORES)).data,
                      5, rest).gas_used for _ in range(2)]
    assert gas[0] == gas[1] < 260_000
    found = [call(world.web3, to, call_data("holds(bytes32,bytes,uint256,bytes)", NAME, proven(SETUP, (
        5, INPUT, *SCORES)).data, context, rest)) for context in (5, 6)]
    assert [int.from_bytes(one, "big") for one in found] == [1, 0]
    world.close()


# ---- in deals ----

@pytest.fixture(params=["memory", "contract"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        made = MemoryWorld()
        made.keys.update({key_name(setup.key): setup.key for setup in (SETUP, OTHER)})
        return made
    found: World = request.getfixturevalue("on_anvil")
    return found


SALTS = iter(range(1, 1000))


def asked(world: World) -> tuple[bytes, dict[Account, int]]:
    """A deal that runs: a price for a proven answer, and a stake against none. Also what the parties held before."""
    pots = (Pot("price", BUYER, PRICE, {UPHELD: Split((WORKER,), amounts=(PRICE,))}),
            Pot("stake", WORKER, STAKE, {REFUTED: Split((BUYER,), amounts=(STAKE,))}))
    rung = Rung(*world.addresses.policies["proof"], (Ask("answer", (WORKER,), HOUR),), HOUR, silent=REFUTED,
                param=proof_param(NAME, (INPUT,)))
    for who in (BUYER, WORKER):
        world.fund(who)
    held = {who: world.balance(who) for who in (BUYER, WORKER)}
    deal = world.book.open(BUYER, Terms(world.token, pots, (rung,), world.now() + HOUR, COURT),
                           next(SALTS).to_bytes(32, "big"))
    world.book.join(BUYER, deal, 0)
    world.book.join(WORKER, deal, 1)
    return deal, held


def gained(world: World, held: dict[Account, int]) -> tuple[int, int]:
    """What buyer and provider have more than before."""
    return world.balance(BUYER) - held[BUYER], world.balance(WORKER) - held[WORKER]


def test_an_answer_is_paid_against_its_proof(world: World) -> None:
    deal, held = asked(world)
    data = answer(world.addresses, deal=deal, rung=0)
    world.book.submit_and_close(WORKER, deal, 0, 0, CLAIM, data)
    assert gained(world, held) == (-PRICE, PRICE)
    assert read_answer(world.book.state(deal).history[0].data) == SCORES


def cheats(world: World, deal: bytes) -> dict[str, bytes]:
    """What a provider submits that has no right proof, or one for something else."""
    at, other = world.addresses, keccak256(b"another deal")
    good = answer(at, deal=deal, rung=0)
    return {
        "replayed": answer(at, deal=other, rung=0),
        "somebody else's": answer(at, deal=deal, rung=0, who=RIVAL),
        "another answer": put(good, 352, 1),
        "another input": answer(at, deal=deal, rung=0, fixed=(12,)),
        "another key": answer(at, deal=deal, rung=0, setup=OTHER, name=key_name(OTHER.key)),
        "beyond the field": put(good, 352, 22 + ORDER),
        "truncated": good[:300],
        "rubbish": b"\xff" * 384,
    }


CHEATS = ("replayed", "somebody else's", "another answer", "another input", "another key", "beyond the field",
          "truncated", "rubbish")


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_not_paid_and_loses_its_stake(world: World, name: str) -> None:
    deal, held = asked(world)
    tried = cheats(world, deal)
    assert set(tried) == set(CHEATS)
    world.book.submit_and_close(WORKER, deal, 0, 0, CLAIM, tried[name])
    assert gained(world, held) == (STAKE, -STAKE)
    assert world.book.state(deal).final == Result(REFUTED)


def test_a_malleated_proof_is_as_good_and_buys_nobody_anything(world: World) -> None:
    """Somebody who saw the proof in the queue may change its bytes; only the account that was asked can submit it."""
    deal, held = asked(world)
    data = answer(world.addresses, deal=deal, rung=0)
    changed = put(data, 64, malleated(Bytes(data[64:320])).data)
    with pytest.raises(ActRefused, match="NotNamed"):
        world.book.submit(RIVAL, deal, 0, 0, CLAIM, changed)
    world.book.submit_and_close(WORKER, deal, 0, 0, CLAIM, changed)
    assert gained(world, held) == (-PRICE, PRICE)


def test_silence_pays_the_buyer(world: World) -> None:
    deal, held = asked(world)
    world.advance(HOUR)
    world.book.judge(RIVAL, deal)
    world.book.close(RIVAL, deal)
    assert gained(world, held) == (STAKE, -STAKE)


def test_publics_out_of_the_field_are_not_written() -> None:
    for write in (lambda: proof_param(NAME, (ORDER,)),
                  lambda: answer_data(NAME, proven(SETUP, (1, 2, 3)), (), (-1,))):
        with pytest.raises(BadInput, match="out of the field"):
            write()


def test_context_is_of_248_bits_and_of_everything() -> None:
    at = made_up()
    found = {context(at), context(at, deal=bytes(32)), context(at, rung=0), context(at, who=RIVAL),
             answer_context(1, at.book, DEAL, 1, WORKER), answer_context(at.chain_id, WORKER, DEAL, 1, WORKER)}
    assert len(found) == 6
    assert max(found) < 1 << 248
    with pytest.raises(Refuted):
        verify(SETUP.key, proven(SETUP, (1, 2, 3)), (2, 2, 3))
    assert MINT > PRICE + STAKE
