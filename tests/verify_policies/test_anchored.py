"""Anchored in Python and as a contract: equal answers on the same evidence, and what nobody can do to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from eth_abi.abi import decode, encode

from ports.anvil import anvil, mine, reorg
from ports.books import MemoryWorld, World, account, key
from ports.evm_world import EvmWorld
from troth.core import merkle
from troth.core.deals import Question
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, Misuse, OutsideFailed, Undecidable
from troth.core.terms import (
    ENTRY,
    REFUTED,
    RUNG,
    SLASHED,
    UPHELD,
    Answered,
    Ask,
    Entry,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
    climber,
)
from troth.ledger.anchors import anchor, event_topic
from troth.ledger.artefacts import code_hash
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT, Header, Log, Receipt
from troth.ledger.chains.rlpcodec import encode as rlp
from troth.ledger.chains.rlpcodec import integer
from troth.ledger.chains.tries import Tries
from troth.ledger.deploy import code_at
from troth.ledger.memory import Policy
from troth.ledger.sending import call
from troth.verify.policies.anchored import (
    MAX_PART,
    NOT_FINAL,
    Anchored,
    Proof,
    is_final,
    not_final_data,
    prove,
    witness_data,
)
from verify_policies.cases import BEFORE, BENCH, DEAL, FREEZE, SALT, WORKER, said
from verify_policies.other_chain import LEAVES, ORIGIN, OtherChain, other_chain, statement, word

PLACE = 7
A, B, C = (f"verifier {n}" for n in range(3))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvmWorld]:
    """Chain B, with the policy."""
    found = EvmWorld(tmp_path_factory.mktemp("anchored") / "chain")
    at = found.make("Anchored", ("uint256", 2))
    found.addresses.policies["anchored2"] = (at, code_hash(code_at(found.web3, at)))
    yield found
    found.close()


def in_memory(world: EvmWorld) -> MemoryWorld:
    """The same Book in memory, at the same addresses."""
    addresses = replace(world.addresses, policies={name: one for name, one in world.addresses.policies.items()
                                                   if name != "anchored2"})
    memory = MemoryWorld(addresses, world.now())
    at, codehash = world.addresses.policies["anchored2"]
    memory.book.policies[at] = Policy(codehash, Anchored(2))
    memory.addresses = world.addresses
    return memory


def rung(chain: OtherChain, slots: int = 2, param: bytes | None = None, **changes: object) -> Rung:
    return replace(Rung(bytes(20), bytes(32), (Ask("proof", (WORKER,), 5, slots), Ask("witness", BENCH, 5)), 10,
                        param=chain.shown(PLACE).param() if param is None else param), **changes)  # type: ignore[arg-type]


def ask(terms: Rung, proof: Proof | bytes | None, words: dict[str, bytes], *, index: int = 1) -> Question:
    """What the policy sees: the claimant's proof, and what witnesses said."""
    found: list[Entry] = []
    if proof is not None:
        parts = (proof,) if isinstance(proof, bytes) else proof.parts(terms.asks[0].slots)
        found += [said(WORKER, 0, data, rung=index, slot=slot) for slot, data in enumerate(parts)]
    found += [said(account(name), 1, data, rung=index) for name, data in words.items()]
    return Question(DEAL, index, terms, FREEZE, (*(BEFORE if index else ()), *found))


class Both:
    """Asks both twins and compares."""

    def __init__(self, world: EvmWorld) -> None:
        self.world = world
        self.at = world.addresses.policies["anchored2"][0]
        self.selector = keccak256(f"judge(bytes32,uint8,{RUNG},uint64,{ENTRY}[])".encode())[:4]

    def judge(self, question: Question) -> Result | None:
        types = ("bytes32", "uint8", RUNG, "uint64", f"{ENTRY}[]")
        data = self.selector + encode(types, (question.deal, question.rung, question.terms.abi(), question.frozen_at,
                                              [entry.abi() for entry in question.history]))
        (found,) = decode(["bytes"], call(self.world.web3, self.at, data, sender=self.world.addresses.book))
        answer = Anchored(2).judge(question)
        assert found == (answer or b"")
        return Result.from_bytes(answer) if answer else None


@pytest.fixture(scope="module")
def both(world: EvmWorld) -> Both:
    return Both(world)


@pytest.fixture(scope="module")
def chain() -> OtherChain:
    return other_chain()


UP, DOWN = Result(UPHELD), Result(REFUTED)


# What it is for


@pytest.mark.parametrize(("place", "size"), [(0, 13), (12, 13), (7, 13), (0, 21), (7, 21), (20, 21)])
def test_two_of_three_witnesses_and_a_proof(both: Both, chain: OtherChain, place: int, size: int) -> None:
    terms = rung(chain, param=chain.shown(place).param())
    block, proof = chain.block(place, size), chain.proof(place, size)
    assert Proof.from_bytes(proof.to_bytes()) == proof
    assert both.judge(ask(terms, proof, {A: word(block, A), C: word(block, C)})) == UP
    assert both.judge(ask(terms, proof, {name: word(block, name) for name in (A, B, C)})) == UP


def test_a_proof_is_cut_into_parts(both: Both, chain: OtherChain) -> None:
    proof, block = chain.proof(PLACE), chain.block(PLACE)
    words = {A: word(block, A), B: word(block, B)}
    whole = proof.to_bytes()
    assert len(whole) < MAX_PART  # one block, few transactions: one part; busy blocks need two
    for slots in (1, 2, 4):
        assert both.judge(ask(rung(chain, slots), proof, words)) == UP
    entries = [said(WORKER, 0, whole[1000:], slot=1), said(WORKER, 0, whole[:1000], slot=0),
               *(said(account(name), 1, data) for name, data in words.items())]
    assert both.judge(Question(DEAL, 1, rung(chain), FREEZE, (*BEFORE, *entries))) == UP
    swapped = [replace(entries[0], slot=0), replace(entries[1], slot=1), *entries[2:]]
    assert both.judge(Question(DEAL, 1, rung(chain), FREEZE, (*BEFORE, *swapped))) == DOWN
    with pytest.raises(Misuse, match="more slots"):
        replace(proof, nodes=(bytes(5000),)).parts(1)


def test_a_block_with_many_transactions(both: Both) -> None:
    """A receipts trie of real depth: 300 transactions, the anchoring one in the middle."""
    chain = other_chain()
    proof = chain.proof(PLACE)
    one = Log(chain.anchor, (event_topic(), bytes(12) + chain.sender.account, proof.shown.origin),
              (21).to_bytes(32, "big") + merkle.root_at(21, chain.node))
    other = Log(bytes(20), (bytes(32),), b"")
    nodes: dict[bytes, bytes] = {}
    tries = Tries(nodes.get, nodes.__setitem__)
    receipts = {at: Receipt(2, True, 21_000 * (at + 1), (other, one) if at == 150 else (other,)) for at in range(300)}
    root = tries.update(EMPTY_TRIE_ROOT, {rlp(integer(at)): one.encode() for at, one in receipts.items()})
    fields = list(Header.decode(proof.header).fields)
    fields[5] = root
    header = Header(tuple(fields)).encode()
    busy = replace(proof, header=header, nodes=tries.prove(root, rlp(integer(150))), index=150, log=1)
    assert 3_400 < len(busy.to_bytes()) < MAX_PART - 15 * 32  # one part, with the path in a log of 2^20 too
    block = replace(chain.block(PLACE), hash=keccak256(header), number=Header.decode(header).number)
    words = {A: word(block, A), B: word(block, B)}
    assert both.judge(ask(rung(chain), busy, words)) == UP
    for bent in (replace(busy, index=149), replace(busy, log=0), replace(busy, log=2), replace(busy, index=300),
                 replace(busy, nodes=busy.nodes[1:]), replace(busy, nodes=(*busy.nodes, busy.nodes[0]))):
        assert both.judge(ask(rung(chain), bent, words)) == DOWN


def single(chain: OtherChain, place: int, size: int) -> Proof:
    """The proof of a place in a log of ``size``, in a made-up block with one transaction."""
    node = merkle.node_of([merkle.leaf_hash(b"%064d" % at) for at in range(size)])
    shown = replace(chain.shown(PLACE), claim=(b"%064d" % place)[:32])
    event = Log(shown.anchor, (event_topic(), bytes(12) + shown.owner, shown.origin),
                size.to_bytes(32, "big") + merkle.root_at(size, node))
    receipt = Receipt(2, True, 50_000, (event,)).encode()
    leaf = rlp((b"\x20\x80", receipt))
    fields = list(Header.decode(chain.proof(PLACE).header).fields)
    fields[5] = keccak256(leaf)
    return Proof(shown, (b"%064d" % place)[32:], place, tuple(merkle.inclusion_proof(place, size, node)), 0, 0,
                 Header(tuple(fields)).encode(), (leaf,))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 8, 9, 23])
def test_every_place_of_small_logs(both: Both, chain: OtherChain, size: int) -> None:
    """The contract's walk along a path agrees with RFC 6962's definition, and with no other path or place."""
    selector = keccak256(b"prove(bytes32,bytes)")[:4]

    def shows(proof: Proof) -> bool:
        found = prove(proof.shown.param(), proof.to_bytes())
        data = selector + encode(["bytes32", "bytes"], [proof.shown.param(), proof.to_bytes()])
        try:
            (answer,) = decode(["(uint256,bytes32,uint64,bytes32)"], call(both.world.web3, both.at, data))
        except (ActRefused, OutsideFailed):
            assert found is None
            return False
        assert found is not None
        assert answer == (found.chain_id, found.genesis, found.number, found.hash)
        return True

    places = range(size) if size < 10 else (0, 15, 16, 22)
    for place in places:
        proof = single(chain, place, size)
        assert shows(proof)
        assert not shows(replace(proof, path=(*proof.path, bytes(32))))
        if size > 1:
            assert not shows(replace(proof, path=proof.path[:-1]))
            assert not shows(replace(proof, place=(place + 1) % size))


# Too few, or other words


def test_fewer_than_k_witnesses_decide_nothing(both: Both, chain: OtherChain) -> None:
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    for words in ({}, {A: word(block, A)}, {A: word(block, A), B: b""}, {A: word(block, A), B: NOT_FINAL}):
        assert both.judge(ask(terms, proof, words)) is None
    # Somebody else's word, or one's word twice, is none.
    assert both.judge(ask(terms, proof, {A: word(block, A), "stranger": word(block, "stranger")})) is None
    assert both.judge(ask(terms, proof, {A: word(block, A), B: word(block, A)})) is None
    twice = Question(DEAL, 1, terms, FREEZE, (*ask(terms, proof, {A: word(block, A)}).history,
                                              said(BENCH[0], 1, word(block, A), slot=1)))
    assert both.judge(twice) is None


def test_a_block_that_k_do_not_hold_for_final_is_refuted(both: Both, chain: OtherChain) -> None:
    """Stale, forked away or not final yet: their nodes say so, and nobody is slashed for that."""
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    words = {A: NOT_FINAL, B: not_final_data(), C: word(block, C)}
    assert both.judge(ask(terms, proof, words)) == DOWN


def test_a_forked_block_is_refuted(both: Both, chain: OtherChain) -> None:
    """Two witnesses hold another block at that number; whoever signed the forked one is slashed."""
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    other = replace(block, hash=keccak256(b"the other branch"))
    found = both.judge(ask(terms, proof, {A: word(other, A), B: word(other, B), C: word(block, C)}))
    assert found == Result(REFUTED, slashed=frozenset({account(C)}))
    found = both.judge(ask(terms, proof, {A: word(block, A), B: word(block, B), C: word(other, C)}))
    assert found == Result(UPHELD, slashed=frozenset({account(C)}))


def test_words_about_another_chain_or_block_are_none(both: Both, chain: OtherChain) -> None:
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    for other in (replace(block, chain_id=1), replace(block, genesis=bytes(32)),
                  replace(block, number=block.number + 1)):
        assert both.judge(ask(terms, proof, {A: word(block, A), B: word(other, B), C: word(other, C)})) is None
    for data in (word(block, B)[:-1], word(block, B) + b"\0", word(block, B)[:32], word(block, B)[:96] + b"\x1d",
                 block.hash, bytes(31), bytes(33), b"\xff" * 97, bytes(97)):
        assert both.judge(ask(terms, proof, {A: word(block, A), B: data})) is None


# Equivocation


def test_a_witness_that_signed_two_hashes_is_slashed(both: Both, chain: OtherChain) -> None:
    """Another witness shows what it signed elsewhere: its word counts for nothing, and its stake is gone."""
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    lie = statement(block, 2, C, keccak256(b"told to somebody else"))
    caught = Result(UPHELD, slashed=frozenset({account(C)}))
    words = {A: word(block, A, lie), B: word(block, B), C: word(block, C)}
    assert both.judge(ask(terms, proof, words)) == caught
    assert both.judge(ask(terms, proof, {**words, A: not_final_data([lie])})) is None  # C's word does not count
    # Whoever stays silent here and signed two elsewhere is caught as well.
    two = statement(block, 2, C, keccak256(b"and to a third"))
    assert both.judge(ask(terms, proof, {A: word(block, A, lie, two), B: word(block, B)})) == caught
    refuted = {A: not_final_data([lie]), B: not_final_data([two])}
    assert both.judge(ask(terms, proof, refuted)) == Result(REFUTED, slashed=frozenset({account(C)}))


def test_nobody_is_framed(both: Both, chain: OtherChain) -> None:
    """A statement counts only with the signature of the seat it is said to be of, over this chain and number."""
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    lie = statement(block, 2, C, keccak256(b"told to somebody else"))
    same = statement(block, 2, C, block.hash)
    elsewhere = statement(replace(block, number=block.number + 1), 2, C, keccak256(b"the next block"))
    abroad = statement(replace(block, chain_id=1), 2, C, keccak256(b"a block of another chain"))
    for shown in (replace(lie, seat=1), replace(lie, seat=3), replace(lie, seat=255), replace(lie, hash=bytes(32)),
                  replace(lie, signature=bytes(65)), statement(block, 2, A, lie.hash), same, elsewhere, abroad):
        words = {A: word(block, A, shown), B: word(block, B), C: word(block, C)}
        assert both.judge(ask(terms, proof, words)) == UP
    with pytest.raises(Misuse, match="too many"):
        word(block, A, *[lie] * 5)
    five = word(block, A) + b"".join([bytes([2]) + lie.hash + lie.signature] * 5)
    assert both.judge(ask(terms, proof, {A: five, B: word(block, B)})) is None


def test_on_the_first_rung_nobody_is_slashed(both: Both, chain: OtherChain) -> None:
    block, proof, terms = chain.block(PLACE), chain.proof(PLACE), rung(chain)
    lie = statement(block, 2, C, keccak256(b"told to somebody else"))
    words = {A: word(block, A, lie), B: word(block, B), C: word(block, C)}
    assert both.judge(ask(terms, proof, words, index=0)) == UP


# Proofs


def bend(chain: OtherChain, other: OtherChain) -> dict[str, Proof | bytes | None]:
    """Everything but the proof that was promised."""
    good = chain.proof(PLACE)
    return {
        "no proof": None,
        "an empty one": b"",
        "rubbish": b"\xff" * 300,
        "slack": good.to_bytes() + bytes(32),
        "cut short": good.to_bytes()[:-32],
        "another claim": chain.proof(PLACE + 1),
        "another claim's leaf": replace(chain.proof(PLACE + 1), shown=good.shown),
        "another seal": replace(good, seal=LEAVES[PLACE + 1][32:]),
        "another place": replace(good, place=PLACE + 1),
        "a place outside": replace(good, place=21),
        "a path of an older size": replace(good, path=chain.proof(PLACE, 13).path),
        "a path too long": replace(good, path=(*good.path, bytes(32))),
        "a path too short": replace(good, path=good.path[:-1]),
        "the header of another block": replace(good, header=chain.proof(PLACE, 13).header),
        "a header cut short": replace(good, header=good.header[:-1]),
        "no header": replace(good, header=b""),
        "nodes of another block": replace(good, nodes=chain.proof(PLACE, 13).nodes),
        "no nodes": replace(good, nodes=()),
        "another index": replace(good, index=1),
        "another event": replace(good, log=1),
        "another contract's anchor": replace(other.proof(PLACE), shown=good.shown),
        "another chain's words": replace(good, shown=replace(good.shown, chain_id=1)),
        "another log's origin": replace(good, shown=replace(good.shown, origin=keccak256(b"example.org/other"))),
        "another owner": replace(good, shown=replace(good.shown, owner=account("stranger"))),
    }


def test_what_was_not_promised_is_refuted_whoever_vouches_for_the_block(both: Both, chain: OtherChain) -> None:
    """Every witness vouches for whatever block the proof brings: the proof itself must hold."""
    terms = rung(chain)
    second = OtherChain(chain.web3, keccak256(b"another anchoring"))  # same chain, its own contract and account
    for name, proof in bend(chain, second).items():
        header = proof.header if isinstance(proof, Proof) else b""
        block = replace(chain.block(PLACE), hash=keccak256(header))
        words = {one: word(block, one) for one in (A, B, C)}
        assert both.judge(ask(terms, proof, words)) == DOWN, name


def test_an_altered_header_is_no_block_of_the_chain(both: Both, chain: OtherChain) -> None:
    """Its receipts are as promised; witnesses know no such block, and say which one stands at its number."""
    good, block, terms = chain.proof(PLACE), chain.block(PLACE), rung(chain)
    forged = replace(good, header=good.header[:-1] + bytes([good.header[-1] ^ 1]))
    assert prove(terms.param, forged.to_bytes()) is not None
    words = {A: word(block, A), B: word(block, B)}
    assert both.judge(ask(terms, forged, words)) == DOWN
    bought = {C: word(replace(block, hash=keccak256(forged.header)), C)}
    assert both.judge(ask(terms, forged, words | bought)) == Result(REFUTED, slashed=frozenset({account(C)}))
    assert both.judge(ask(terms, forged, bought)) is None


def test_an_anchor_of_another_log_or_owner_is_no_proof(both: Both, chain: OtherChain) -> None:
    """A stranger anchors the same root under the same origin, and the owner anchors another log."""
    stranger = OtherChain(chain.web3, keccak256(b"stranger"))
    tx = anchor(stranger.sender, chain.anchor, stranger.checkpoint(21)).tx_hash
    mine = anchor(chain.sender, chain.anchor, chain.checkpoint(21, "example.org/other")).tx_hash
    for sent, shown in ((tx, replace(chain.shown(PLACE), owner=stranger.sender.account)),
                        (mine, chain.shown(PLACE, "example.org/other"))):
        other = OtherChain.proof(_with(chain, sent), PLACE, 21, shown)
        found = prove(shown.param(), other.to_bytes())
        assert found is not None  # good for what it shows
        words = {one: word(found, one) for one in (A, B, C)}
        assert both.judge(ask(rung(chain), other, words)) == DOWN
        assert both.judge(ask(rung(chain), replace(other, shown=chain.shown(PLACE)), words)) == DOWN
    with pytest.raises(Undecidable, match="does not anchor"):
        OtherChain.proof(_with(chain, tx), PLACE, 21)
    with pytest.raises(Undecidable, match="no such transaction"):
        OtherChain.proof(_with(chain, bytes(32)), PLACE, 21)


def _with(chain: OtherChain, tx: bytes) -> OtherChain:
    found = object.__new__(OtherChain)
    found.__dict__ |= chain.__dict__ | {"txs": {21: tx}}
    return found


def test_bytes_changed_anywhere_get_the_same_answer_from_both(both: Both, chain: OtherChain) -> None:
    draw = random.Random(5)
    proof, block, terms = chain.proof(PLACE).to_bytes(), chain.block(PLACE), rung(chain, 1)
    lie = statement(block, 2, C, keccak256(b"told to somebody else"))
    words = {A: word(block, A, lie), B: word(block, B), C: word(block, C)}
    answers = set()
    for _ in range(30):
        bent, said_now = bytearray(proof), {name: bytearray(data) for name, data in words.items()}
        target = draw.choice([bent, *said_now.values()])
        at = draw.randrange(len(target))
        target[at] ^= 1 << draw.randrange(8)
        found = both.judge(ask(terms, bytes(bent), {name: bytes(data) for name, data in said_now.items()}))
        answers.add(None if found is None else found.outcome)
    assert answers == {None, UPHELD, REFUTED}


def test_a_proof_made_to_burn_gas_is_refuted(both: Both, chain: OtherChain) -> None:
    """A header of thousands of empty fields: the voices are still counted, and the claimant gains nothing."""
    good, block, terms = chain.proof(PLACE), chain.block(PLACE), rung(chain, 4)
    header = b"\xf9" + (12_000).to_bytes(2, "big") + b"\x80" * 12_000
    forged = replace(block, hash=keccak256(header))
    words = {one: word(forged, one) for one in (A, B, C)}
    assert both.judge(ask(terms, replace(good, header=header), words)) == DOWN


def test_shapes(both: Both, chain: OtherChain) -> None:
    good = rung(chain)
    proof, witness = good.asks
    selector = keccak256(f"accepts({RUNG})".encode())[:4]
    for terms, accepted in (
            (good, True), (replace(good, asks=(Ask("evidence", (WORKER,), 5), proof, witness)), True),
            (replace(good, asks=(replace(proof, slots=4), witness)), True),
            (replace(good, asks=(replace(proof, slots=5), witness)), False),
            (replace(good, asks=(proof, replace(witness, who=BENCH[:2]))), True),
            (replace(good, asks=(proof, replace(witness, who=BENCH[:1]))), False),
            (replace(good, asks=(proof, replace(witness, who=(*BENCH, account("fourth"))))), False),
            (replace(good, asks=(proof, replace(witness, slots=2))), False),
            (replace(good, asks=(proof, replace(witness, who=(*BENCH[:2], WORKER)))), False),
            (replace(good, asks=(proof, replace(witness, who=None))), False),
            (replace(good, asks=(replace(proof, who=BENCH), witness)), False),
            (replace(good, asks=(witness, proof)), False), (replace(good, asks=(witness,)), False),
            (replace(good, asks=(replace(proof, kind="prove"), witness)), False),
            (replace(good, param=bytes(32)), False), (replace(good, param=SALT), True)):
        assert Anchored(2).accepts(terms) is accepted
        found = call(both.world.web3, both.at, selector + encode((RUNG,), (terms.abi(),)))
        assert decode(["bool"], found)[0] is accepted


# Whole deals


def settle(one: World, chain: OtherChain, words: dict[str, bytes], proof: Proof) -> tuple[Result, dict[str, int]]:
    """A sale on chain B that rests on a claim anchored on chain A, challenged; what everybody gained."""
    client, rival, hour = account("client"), account("rival"), 3600
    names = ("client", "worker", "rival", A, B, C)
    for name in names:
        one.fund(account(name))
    before = {name: one.balance(account(name)) for name in names}
    pots = (Pot("reward", client, 1000, {UPHELD: Split((WORKER,), weights=(1,))}),
            Pot("stake", WORKER, 500, dict.fromkeys((SLASHED, REFUTED), Split((client,), weights=(1,)))),
            Pot("witness", account(C), 90, {SLASHED: Split((client,), weights=(1,))}),
            Pot("fee", climber(1), 60, {UPHELD: Answered(1), REFUTED: Answered(1)}))
    at = one.addresses.policies
    terms = Terms(one.token, pots, (
        Rung(*at["assumed"], (Ask("result", (WORKER,), hour),), hour, hour, 100, REFUTED),
        Rung(*at["anchored2"], (Ask("proof", (WORKER,), hour, 2), Ask("witness", BENCH, hour)), hour,
             param=chain.shown(PLACE).param())), one.now() + hour, account("court"))
    book = one.book
    deal = book.open(client, terms, SALT)  # type: ignore[attr-defined]
    for pot, by in enumerate((client, WORKER, account(C))):
        book.join(by, deal, pot)  # type: ignore[attr-defined]
    book.submit(WORKER, deal, 0, 0, proof.shown.claim, UP.to_bytes())  # type: ignore[attr-defined]
    book.judge(rival, deal)  # type: ignore[attr-defined]
    book.challenge(rival, deal)  # type: ignore[attr-defined]
    for slot, part in enumerate(proof.parts(2)):
        book.submit(WORKER, deal, 0, slot, proof.shown.claim, part)  # type: ignore[attr-defined]
    for name, data in words.items():
        book.submit(account(name), deal, 1, 0, bytes(32), data)  # type: ignore[attr-defined]
    result = book.judge(rival, deal)  # type: ignore[attr-defined]
    one.advance(1)
    book.close(rival, deal)  # type: ignore[attr-defined]
    return result, {name: one.balance(account(name)) - before[name] for name in names}


def test_a_deal_on_one_chain_rests_on_a_claim_on_another(world: EvmWorld, chain: OtherChain) -> None:
    """The honest worker is paid, the challenger loses its bond and fees, the witnesses get their seats."""
    block, proof = chain.block(PLACE), chain.proof(PLACE)
    words = {name: word(block, name) for name in (A, B, C)}
    for one in (world, in_memory(world)):
        result, gained = settle(one, chain, words, proof)
        assert result == UP
        assert gained == {"client": -1000, "worker": 1000, "rival": -160, A: 20, B: 20, C: 20}


def test_a_claim_that_was_never_anchored_is_not_paid(world: EvmWorld, chain: OtherChain) -> None:
    block = chain.block(PLACE)
    words = {name: word(block, name) for name in (A, B, C)}
    other = replace(chain.proof(PLACE + 1), shown=chain.shown(PLACE))
    for one in (world, in_memory(world)):
        result, gained = settle(one, chain, words, other)
        assert result == DOWN
        assert gained == {"client": 500, "worker": -500, "rival": -60, A: 20, B: 20, C: 20}


def test_a_witness_that_signed_two_hashes_loses_its_stake_and_its_seat(world: EvmWorld, chain: OtherChain) -> None:
    block, proof = chain.block(PLACE), chain.proof(PLACE)
    lie = statement(block, 2, C, keccak256(b"told to somebody else"))
    words = {A: word(block, A, lie), B: word(block, B), C: word(block, C)}
    for one in (world, in_memory(world)):
        result, gained = settle(one, chain, words, proof)
        assert result == Result(UPHELD, slashed=frozenset({account(C)}))
        assert gained == {"client": -910, "worker": 1000, "rival": -140, A: 20, B: 20, C: -90}


def test_the_same_with_anvil_as_the_other_chain(world: EvmWorld, both: Both) -> None:
    """Headers of another implementation, with all the fields of today's forks."""
    with anvil(accounts={account("anchoring"): 10**20}, chain_id=31_337) as node:
        lost = OtherChain(node.web3, key("anchoring").reveal_seed())
        block, proof = lost.block(PLACE), lost.proof(PLACE)
        reorg(node, 3)  # the anchors were on a branch that ends here: they stay provable, and are not final
        mine(node, 0x41)
        assert not is_final(node, block)
        stale = {A: word(block, A), B: not_final_data(), C: not_final_data()}
        assert both.judge(ask(rung(lost), proof, stale)) == DOWN

        other = OtherChain(node.web3, key("anchoring").reveal_seed())
        block, proof = other.block(PLACE), other.proof(PLACE)
        words = {name: word(block, name) for name in (A, B, C)}
        result, gained = settle(world, other, words, proof)
        assert (result, gained["worker"]) == (UP, 1000)
        assert both.judge(ask(rung(other), replace(proof, header=proof.header[:-1] + b"\1"), words)) == DOWN
        # A witness asks its own node first: this one calls nothing final that is not two epochs deep.
        assert not is_final(node, block)
        mine(node, 0x41)
        assert is_final(node, block)
        for another in (replace(block, hash=bytes(32)), replace(block, number=block.number + 1),
                        replace(block, number=10_000), replace(block, chain_id=1), replace(block, genesis=bytes(32))):
            assert not is_final(node, another)


def test_a_witness_signs_what_it_says(chain: OtherChain) -> None:
    """The statement is EIP-712, the same on every chain: eth_account's encoder agrees."""
    from eth_account.messages import _hash_eip191_message, encode_typed_data

    block = chain.block(PLACE)
    message = encode_typed_data({"name": "Troth witness", "version": "1"}, {"Block": [
        {"name": "chain", "type": "uint256"}, {"name": "genesis", "type": "bytes32"},
        {"name": "number", "type": "uint64"}, {"name": "hash", "type": "bytes32"}]},
        {"chain": block.chain_id, "genesis": block.genesis, "number": block.number, "hash": block.hash})
    assert _hash_eip191_message(message) == block.digest()
    assert witness_data(block, key(A)) == block.hash + key(A).sign_digest(block.digest())
    assert ORIGIN


