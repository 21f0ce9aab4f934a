"""The events read by hand: they say what eth_abi says, and take no other bytes."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from ports.books import MemoryWorld
from ports.simulated import ANCHOR, BOOK, CHAIN, OTHER, SimChain, book_log, opening, pool, recorded, word
from stateful.drawn import PARTIES, Draws, drawn_terms
from troth.core.errors import OutsideFailed
from troth.core.terms import RESULT, Entry, Rule, Split, Terms, is_role
from troth.ledger.chains.blocks import Log
from troth.ledger.events import TABLES, Reader

READER = Reader(CHAIN, BOOK, ANCHOR)
ACCOUNTS = st.binary(min_size=20, max_size=20)
WORDS = st.binary(min_size=32, max_size=32)
BYTE = st.integers(0, 255)
TIMES = st.integers(0, 2**63 - 1)
AMOUNTS = st.one_of(st.integers(0, 2**128 - 1), st.integers(0, 9))
ENTRIES = st.tuples(st.integers(1, 3), ACCOUNTS, BYTE, BYTE, BYTE, TIMES, WORDS, st.binary(max_size=100))
RESULTS = st.tuples(BYTE, st.lists(AMOUNTS, max_size=4), st.lists(ACCOUNTS, max_size=4), WORDS, AMOUNTS)


def rows(*logs: Log) -> dict[str, list[tuple[Any, ...]]]:
    """What the reader makes of these events in one block, without their places."""
    chain = SimChain()
    chain.mine([logs])
    told = [log for some in chain.logs_json(chain.branch[-1]) for log in some]
    return {table: [row[3:] for row in found] for table, found in READER.rows(told).items() if found}


def named(terms: Terms) -> set[bytes]:
    """The accounts that terms name, from the terms themselves."""
    def payees(rule: Rule) -> tuple[bytes, ...]:
        return rule.payees if isinstance(rule, Split) else ()

    found = {terms.token, terms.wrong_bonds}
    for pot in terms.pots:
        found |= {pot.depositor, pot.residual, *(payee for rule in pot.pays.values() for payee in payees(rule))}
    for rung in terms.rungs:
        found |= {rung.policy, *(account for index in range(len(rung.asks)) for account in rung.asked(index))}
    return {account for account in found if not is_role(account)}


@given(st.integers(0, 2**32 - 1), WORDS, ACCOUNTS.filter(lambda one: not is_role(one)))
def test_openings(seed: int, salt: bytes, opener: bytes) -> None:
    terms = drawn_terms(Draws(seed), MemoryWorld())
    deal, log = opening(terms.to_bytes(), salt, opener)
    found = rows(log)
    assert found["opened"] == [(deal, opener, terms.token, terms.fund_by, salt, terms.to_bytes())]
    assert {account for _, account in found["named"]} == named(terms) | {opener}
    assert {one for one, _ in found["named"]} == {deal}


def test_terms_of_another_deal_are_refused() -> None:
    first, second = (opening(drawn_terms(Draws(seed), MemoryWorld()).to_bytes(), word(1), PARTIES[0])[1]
                     for seed in (1, 2))
    with pytest.raises(OutsideFailed, match="lead to the deal's id"):
        rows(Log(BOOK, first.topics, second.data))
    with pytest.raises(OutsideFailed, match="lead to the deal's id"):
        rows(Log(BOOK, (*first.topics[:2], word(PARTIES[1])), first.data))
    with pytest.raises(OutsideFailed, match="neither contract writes"):
        rows(opening(b"", word(1), PARTIES[0])[1])  # no Book lets such terms in, whatever id they lead to


@given(WORDS, ENTRIES)
def test_entries(deal: bytes, entry: Any) -> None:
    kind, by, rung, ask, slot, at, claim, data = entry
    found = rows(recorded(deal, Entry(*entry)))
    assert found["recorded"] == [(deal, kind, by, rung, ask, slot, at, claim, data)]
    assert found.get("named", []) == ([(deal, by)] if kind == 3 else [])


@given(WORDS, st.sampled_from((3, 4)), RESULTS)
def test_closes(deal: bytes, status: int, result: Any) -> None:
    found = rows(book_log(f"DealClosed(bytes32,uint8,{RESULT})", [deal], ["uint8", RESULT], [status, result]))
    ((known, said, outcome, body),) = found["closed"]
    assert (known, said, outcome) == (deal, status, result[0])
    assert word(32) + body == encode([RESULT], [result])


@given(WORDS, BYTE, TIMES, AMOUNTS, ACCOUNTS, st.integers(0, 2**256 - 1))
def test_the_others(deal: bytes, pot: int, time: int, amount: int, who: bytes, large: int) -> None:
    found = rows(
        book_log("PotJoined(bytes32,uint8,uint64)", [deal], ["uint8", "uint64"], [pot, time]),
        book_log("LeafCollected(bytes32,uint8,uint256,address,uint128)", [deal],
                 ["uint8", "uint256", "address", "uint128"], [pot, large, who, amount]),
        book_log("RootSwept(bytes32,uint8,uint128)", [deal], ["uint8", "uint128"], [pot, amount]),
        book_log("CreditAdded(address,address,uint256)", [BOOK, who], ["uint256"], [large]),
        book_log("Withdrawn(address,address,uint256)", [BOOK, who], ["uint256"], [large]),
        book_log("StopSet(bool)", [], ["bool"], [bool(pot % 2)]))
    assert found == {"joined": [(deal, pot, time)], "collected": [(deal, pot, str(large), who, str(amount))],
                     "swept": [(deal, pot, str(amount))], "credited": [(BOOK, who, str(large))],
                     "withdrawn": [(BOOK, who, str(large))], "stopped": [(pot % 2,)]}


@given(st.sampled_from(pool()), st.data())
def test_no_other_bytes(log: Log, data: st.DataObject) -> None:
    """A changed, longer or shorter event is refused, or says something else in its one form."""
    where = data.draw(st.sampled_from(("bit", "cut", "more", "topic", "drop", "one more")))
    topics, body = list(log.topics), bytearray(log.data)
    if where == "bit" and body:
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif where == "cut":
        del body[data.draw(st.integers(0, len(body))):]
    elif where == "more":
        body += bytes(data.draw(st.integers(1, 64)))
    elif where == "topic" and topics:
        at = data.draw(st.integers(0, len(topics) - 1))
        topics[at] = data.draw(WORDS)
    elif where == "drop" and topics:
        topics.pop()
    else:
        topics = [*topics, bytes(32)][:4]
    changed = Log(log.address, tuple(topics), bytes(body))
    if log.address == OTHER:
        assert rows(changed) == {}
    elif changed != log:
        try:
            found = rows(changed)
        except OutsideFailed:
            return
        assert "opened" not in found  # its id binds every byte
        assert found != rows(log)  # nothing of it was passed over
        (again,) = [again for again in map(encoded, found.items()) if again is not None]
        assert again == bytes(body)


def encoded(found: tuple[str, list[tuple[Any, ...]]]) -> bytes | None:
    """An event's data again, from its row; None for rows that stand beside another."""
    table, ((*row,), *_) = found
    _, *rest = row
    if table == "named":
        return None
    if table == "joined":
        return encode(["uint8", "uint64"], rest)
    if table == "recorded":
        kind, by, rung, ask, slot, at, claim, body = rest
        head = Entry(kind, by, rung, ask, slot, at, claim, body).head
        return encode(["bytes32", "bytes32", "bytes"], [head, claim, body])
    if table == "closed":
        status, _, body = rest
        return encode(["uint8", RESULT], [status, *decode([RESULT], word(32) + body)])
    if table == "collected":
        pot, leaf, account, amount = rest
        return encode(["uint8", "uint256", "address", "uint128"], [pot, int(leaf), account, int(amount)])
    if table == "swept":
        return encode(["uint8", "uint128"], [rest[0], int(rest[1])])
    if table == "stopped":
        return encode(["bool"], [bool(row[0])])
    if table == "anchored":
        return encode(["uint64", "bytes32"], [int(row[2]), row[3]])
    return encode(["uint256"], [int(row[2])])


def test_every_event_has_a_table() -> None:
    assert set(rows(*pool())) == set(TABLES)


@pytest.mark.parametrize("change", [
    {"data": "0xzz"}, {"data": None}, {"topics": None}, {"topics": ["0x"]}, {"blockNumber": None}, {"logIndex": "x"},
    {"transactionHash": "0x12"}, {"removed": True}, {"address": 7}])
def test_what_is_no_log(change: dict[str, Any]) -> None:
    chain = SimChain()
    chain.mine([pool()[:1]])
    ((log,),) = chain.logs_json(chain.branch[-1])
    assert READER.rows([log])["opened"]
    with pytest.raises(OutsideFailed, match="neither contract writes"):
        READER.rows([log | change])
    for strange in (None, 7, "log", [], {}):
        with pytest.raises(OutsideFailed, match="neither contract writes"):
            READER.rows([strange])  # type: ignore[list-item]
