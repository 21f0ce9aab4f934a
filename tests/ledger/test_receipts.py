"""Receipt proofs: made from a chain and from built tries, and every way to bend one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from ports.chain_suite import ALICE_KEY, BOB
from ports.contracts import emitter, words
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError
from troth.ledger.chains.blocks import Header, Log, Receipt
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rlpcodec import integer
from troth.ledger.receipts import ReceiptProof, VerifiedReceipt, prove_receipt, verify_receipt
from troth.ledger.sending import Sender

GENESIS = 1_700_000_000
EMBEDDED = Header((bytes(32), bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256), *[b""] * 6,
                   bytes(32), bytes(8), b""))  # fmt: skip


def header(parent: bytes, receipts_root: bytes, number: int) -> bytes:
    """A made-up header's RLP."""
    fields = list(EMBEDDED.fields)
    fields[0], fields[5] = parent, receipts_root
    fields[8], fields[11] = integer(number), integer(GENESIS + number)
    return Header(tuple(fields)).encode()


def receipt(at: int, kind: int = 2) -> bytes:
    return Receipt(kind, True, 21_000 * (at + 1), (Log(BOB, (words(at),), bytes(at % 70)),)).encode()


def built(count: int, index: int, after: int) -> tuple[ReceiptProof, bytes, list[bytes]]:
    """A block of ``count`` receipts with ``after`` blocks on top: proof of one, pinned hash, the receipts.

    The trie and its proof are another implementation's.
    """
    trie: Any = HexaryTrie({})
    receipts = [receipt(at, at % 3) for at in range(count)]
    for at, value in enumerate(receipts):
        trie[rlp.encode(at)] = value
    nodes = [rlp.encode(node) for node in trie.get_proof(rlp.encode(index))]
    headers = [header(bytes(32), trie.root_hash, 1_000)]
    for at in range(after):
        headers.append(header(keccak(headers[-1]), bytes(32), 1_001 + at))
    return ReceiptProof(tuple(headers), tuple(nodes), index, receipts[index]), keccak(headers[-1]), receipts


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 300), data=st.data(), after=st.integers(0, 4))
def test_proofs_of_another_implementations_tries_verify(count: int, data: st.DataObject, after: int) -> None:
    index = data.draw(st.integers(0, count - 1))
    proof, pinned, receipts = built(count, index, after)
    verified = verify_receipt(proof, pinned)
    assert verified == VerifiedReceipt(Receipt.decode(receipts[index]).logs, 1_000, GENESIS + 1_000, True)
    assert ReceiptProof.from_json(proof.to_json()) == proof


@settings(deadline=None, max_examples=200)
@given(count=st.sampled_from((1, 2, 20, 200)), data=st.data())
def test_a_proof_bent_anywhere_is_refused(count: int, data: st.DataObject) -> None:
    """One byte changed, dropped or added in any header, node or the receipt; or another index."""
    proof, pinned, _ = built(count, data.draw(st.integers(0, count - 1)), 2)
    part = data.draw(st.sampled_from(("headers", "nodes", "receipt", "index")))
    if part == "index":
        bent = replace(proof, index=data.draw(st.integers(0, 1 << 31).filter(lambda value: value != proof.index)))
    else:
        parts = [proof.receipt] if part == "receipt" else list(getattr(proof, part))
        which = data.draw(st.integers(0, len(parts) - 1))
        parts[which] = bend(data, parts[which])
        bent = replace(proof, **{part: parts[0] if part == "receipt" else tuple(parts)})
    with pytest.raises(Refuted):
        verify_receipt(bent, pinned)


def bend(data: st.DataObject, raw: bytes) -> bytes:
    at = data.draw(st.integers(0, len(raw) - 1))
    change = data.draw(st.integers(1, 255))
    return data.draw(
        st.sampled_from(
            (raw[:at] + bytes((raw[at] ^ change,)) + raw[at + 1 :], raw[:at] + raw[at + 1 :], raw + bytes((change,)))
        )
    )


ATTACKS: dict[str, tuple[Callable[[ReceiptProof, list[bytes]], ReceiptProof], str]] = {
    "receipt of another transaction": (lambda p, receipts: replace(p, receipt=receipts[6]), "step 4"),
    "altered log": (lambda p, _: replace(p, receipt=p.receipt[:-1] + b"\1"), "step 4"),
    "headers cut at the end": (lambda p, _: replace(p, headers=p.headers[:-1]), "step 1"),
    "headers cut at the start": (lambda p, _: replace(p, headers=p.headers[1:]), "step 3"),
    "a header left out": (lambda p, _: replace(p, headers=(p.headers[0], *p.headers[2:])), "step 2"),
    "a header that does not link": (
        lambda p, _: replace(p, headers=(header(bytes(32), bytes(32), 1_000), *p.headers[1:])),
        "step 2",
    ),
    "a header too many before": (lambda p, _: replace(p, headers=(p.headers[0], *p.headers)), "step 2"),
    "a header too many after": (
        lambda p, _: replace(p, headers=(*p.headers, header(keccak(p.headers[-1]), bytes(32), 1_003))),
        "step 1",
    ),
    "headers turned round": (lambda p, _: replace(p, headers=p.headers[::-1]), "step 1"),
    "surplus node at the end": (lambda p, _: replace(p, nodes=(*p.nodes, p.nodes[0])), "step 3"),
    "surplus node at the start": (lambda p, _: replace(p, nodes=(p.nodes[0], *p.nodes)), "step 3"),
    "node left out": (lambda p, _: replace(p, nodes=p.nodes[:-1]), "step 3"),
    "wrong index": (lambda p, _: replace(p, index=4), "step 3|step 4"),
    "index of no receipt": (lambda p, _: replace(p, index=5_000), "step 3"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    proof, pinned, receipts = built(20, 5, 2)
    attack, step = ATTACKS[name]
    verify_receipt(proof, pinned)
    with pytest.raises(Refuted, match=step):
        verify_receipt(attack(proof, receipts), pinned)


def test_the_proof_of_another_block_does_not_reach_this_one() -> None:
    """Everything consistent with itself, made by whoever controls another chain."""
    proof, _, _ = built(20, 5, 2)
    _, other, _ = built(21, 5, 2)
    with pytest.raises(Refuted, match="step 1"):
        verify_receipt(proof, other)


def test_numbers_must_follow_even_where_hashes_do() -> None:
    proof, _, _ = built(3, 1, 0)
    top = header(keccak(proof.headers[0]), bytes(32), 5)
    with pytest.raises(Refuted, match="numbers do not follow"):
        verify_receipt(replace(proof, headers=(*proof.headers, top)), keccak(top))


def test_what_hashes_right_and_is_no_header_or_node_is_bad_input() -> None:
    proof, pinned, _ = built(3, 1, 0)
    for junk in (b"\xc0", b"\x80", b"\x00", b"\xff" * 40, proof.headers[0] + b"\0", rlp.encode([b""] * 21)):
        with pytest.raises(BadInput):
            verify_receipt(replace(proof, headers=(junk,)), keccak(junk))
    for junk in (b"\xc0", b"\x80", rlp.encode([b"", b"", b""]), rlp.encode([b"\x40", b"x"]), rlp.encode([b"", b"x"])):
        head = header(bytes(32), keccak(junk), 1)
        with pytest.raises(BadInput):
            verify_receipt(ReceiptProof((head,), (junk,), 1, b"x"), keccak(head))
    with pytest.raises(BadInput, match="32 bytes"):
        verify_receipt(proof, pinned[:31])
    with pytest.raises(BadInput):
        verify_receipt(replace(proof, nodes=()), pinned)


def test_a_trie_that_holds_no_receipt_is_bad_input() -> None:
    another_bloom = receipt(1).replace(words(1), words(9))
    for junk in (b"\xc0", b"\x02\xc0", rlp.encode([b"\1", b"\1", b"bloom", []]), b"hello", another_bloom):
        node = rlp.encode([b"\x20\x80", junk])
        head = header(bytes(32), keccak(node), 1)
        with pytest.raises(BadInput):
            verify_receipt(ReceiptProof((head,), (node,), 0, junk), keccak(head))


def test_json_is_read_as_it_is_written_and_no_other_way() -> None:
    proof, _, _ = built(20, 5, 1)
    good = proof.to_json()
    assert ReceiptProof.from_json(good) == proof
    bad: list[object] = [None, [], {}, good | {"more": 1}, {key: good[key] for key in ("headers", "nodes", "index")}]
    for field in ("headers", "nodes"):
        lines = good[field]
        assert isinstance(lines, list)
        bad += [good | {field: value} for value in ([], "ab", None, [*lines, ""], [*lines, 1], [lines[0].upper()])]
        bad += [good | {field: ["0x" + lines[0]]}, good | {field: [" " + lines[0]]}, good | {field: [lines[0][:-1]]}]
    bad += [good | {"index": value} for value in (-1, 1.0, True, "5", None, 1 << 32)]
    bad += [good | {"receipt": value} for value in ("", "0", "zz", None, 5)]
    bad += [good | {"nodes": ["ab"] * 65}]
    for value in bad:
        with pytest.raises(BadInput):
            ReceiptProof.from_json(value)


def test_from_the_embedded_chain_and_what_it_cannot_prove() -> None:
    with EmbeddedChain(None, genesis_time=GENESIS) as chain:
        alice = Sender(chain.web3, ALICE_KEY)
        contract = alice.deploy(emitter(1)).contract
        assert contract is not None
        sent = alice.send(contract, words(7) + b"anchored")
        pinned = chain.mine()
        proof = prove_receipt(chain.web3, sent.tx_hash, pinned.number)
        assert len(proof.headers) == 2
        assert verify_receipt(proof, pinned.hash).logs == (Log(contract, (words(7),), b"anchored"),)
        with pytest.raises(Misuse, match="before"):
            prove_receipt(chain.web3, sent.tx_hash, sent.block_number - 1)
        with pytest.raises(Misuse, match="not reach"):
            prove_receipt(chain.web3, sent.tx_hash, pinned.number + 1)
        with pytest.raises(Misuse, match="no receipt"):
            prove_receipt(chain.web3, bytes(32), pinned.number)


def test_a_block_of_many_transactions_is_proven_from_a_nodes_answers() -> None:
    """The answers of a node that mines many transactions a block, and of one that lies."""
    count = 20
    receipts = [Receipt(2, True, 21_000 * (at + 1), (Log(BOB, (words(at),), b""),)) for at in range(count)]
    trie: Any = HexaryTrie({})
    for at, value in enumerate(receipts):
        trie[rlp.encode(at)] = value.encode()
    head = Header.decode(header(bytes(32), trie.root_hash, 9))
    node = Node(head, receipts)
    for index in range(count):
        proof = prove_receipt(node, bytes((index,)) * 32, 9)  # type: ignore[arg-type]
        assert verify_receipt(proof, keccak(head.encode())).logs == receipts[index].logs
    node.receipts = receipts[:-1] + receipts[:1]
    with pytest.raises(OutsideFailed, match="receipts root"):
        prove_receipt(node, bytes(32), 9)  # type: ignore[arg-type]
    node.lie = True
    with pytest.raises(OutsideFailed, match="its own hash"):
        prove_receipt(node, bytes(32), 9)  # type: ignore[arg-type]


class Node:
    """A JSON-RPC provider of one block, whose transaction hashes are their index repeated."""

    def __init__(self, head: Header, receipts: list[Receipt]) -> None:
        self.head, self.receipts, self.lie = head, receipts, False
        self.provider = self

    def make_request(self, method: str, params: list[Any]) -> dict[str, Any]:
        number = hex(self.head.number)
        if method == "eth_getTransactionReceipt":
            return {"result": {"blockNumber": number, "transactionIndex": hex(int(params[0][2:4], 16))}}
        if method == "eth_getBlockByNumber":
            digest = bytes(32) if self.lie else keccak(self.head.encode())
            held = ["0x" + bytes((at,)).hex() * 32 for at in range(len(self.receipts))]
            return {"result": self.head.to_json() | {"hash": "0x" + digest.hex(), "transactions": held}}
        assert (method, params) == ("eth_getBlockReceipts", [number])
        place = {"blockNumber": number, "blockHash": "0x" + "00" * 32, "transactionHash": "0x" + "00" * 32}
        return {
            "result": [
                {
                    "type": hex(entry.type),
                    "status": "0x1",
                    "cumulativeGasUsed": hex(entry.cumulative_gas),
                    "logs": [
                        place
                        | {"address": "0x" + log.address.hex(), "topics": ["0x" + t.hex() for t in log.topics]}
                        | {"data": "0x" + log.data.hex(), "logIndex": "0x0"}
                        for log in entry.logs
                    ],
                }
                for entry in self.receipts
            ]
        }


def test_main_nets_genesis_hashes_as_everybody_knows_it() -> None:
    block = {
        "parentHash": "0x" + "00" * 32,
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "miner": "0x" + "00" * 20,
        "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
        "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
        "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
        "logsBloom": "0x" + "00" * 256,
        "difficulty": "0x400000000",
        "number": "0x0",
        "gasLimit": "0x1388",
        "gasUsed": "0x0",
        "timestamp": "0x0",
        "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
        "mixHash": "0x" + "00" * 32,
        "nonce": "0x0000000000000042",
    }
    raw = Header.from_json(block).encode()
    assert keccak(raw).hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    assert Header.decode(raw).to_json() == block


@settings(deadline=None, max_examples=300)
@given(raw=st.binary(max_size=300))
def test_no_bytes_make_the_receipt_decoder_fail_otherwise(raw: bytes) -> None:
    try:
        assert Receipt.decode(raw).encode() == raw
    except TrothError as error:
        assert isinstance(error, BadInput)  # noqa: PT017
