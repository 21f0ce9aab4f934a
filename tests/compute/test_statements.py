"""Statements from commitment to verified proof, and what a verifier refuses."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.compute.circuits.builder import Builder
from troth.compute.provers.groth16 import Groth16
from troth.compute.statements import asking
from troth.compute.statements.asking import Asked
from troth.compute.statements.audits import Counts, Fairness, Ratio, Total
from troth.compute.statements.parts import Chain, FairnessPart, prove_chain, verify_chain
from troth.compute.statements.records import (
    Member,
    Members,
    Within,
    born_by,
    day,
    identity_of,
    member_of,
    nullifier_of,
    scope_of,
)
from troth.compute.statements.statement import Proven, context_of, prove, verify
from troth.compute.statements.tables import Column, Layout, Table, open_table, table_inputs
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, Refuted

PROVER = Groth16()
KEY = bytes(range(32))
RECORD = Layout((Column("born", 1, 1 << 22), Column("score", 300, 850)), 1)
CONTEXT = context_of("lender.example", "a challenge of the lender", "did:key:holder")


@pytest.fixture(scope="module")
def keys():
    """Keys by statement, made once."""
    found = {}

    def of(statement):
        name = encode(statement.json)
        if name not in found:
            found[name] = PROVER.setup(statement.circuit)
        return found[name]

    return of


# ---- tables ----

@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_commitment_has_one_opening(data) -> None:
    """Plain Python and the circuit commit to the same; another row, order, number of rows or layout is another."""
    columns = tuple(Column(f"c{at}", low, low + data.draw(st.integers(0, 300)))
                    for at, low in enumerate(data.draw(st.lists(st.integers(-100, 100), min_size=1, max_size=3))))
    rows = data.draw(st.lists(st.tuples(*(st.integers(c.low, c.high) for c in columns)), min_size=1, max_size=5))
    layout = Layout(columns, len(rows), data.draw(st.integers(1, 4)))
    table = Table.of(layout, rows, KEY)
    builder = Builder()
    open_table(builder, layout, builder.public("commitment"))
    circuit = builder.build()
    inputs = {"context": 1, "commitment": table.commitment, **table_inputs(table)}
    circuit.check(circuit.witness(inputs))
    others = [Table.of(layout, rows, bytes(32)), Table.of(replace(layout, per_leaf=layout.per_leaf + 1), rows, KEY),
              Table.of(replace(layout, rows=len(rows) + 1), [*rows, rows[-1]], KEY)]
    if rows[::-1] != rows:
        others.append(Table.of(layout, rows[::-1], KEY))
    assert table.commitment not in {other.commitment for other in others}


def test_a_table_says_what_is_wrong_with_it() -> None:
    with pytest.raises(BadInput, match=r"row 1: score is beyond its range; expected 300 to 850$"):
        Table.of(replace(RECORD, rows=2), [(5, 850), (5, 851)])
    with pytest.raises(BadInput, match="row 0 of another length"):
        Table.of(RECORD, [(5,)])
    with pytest.raises(BadInput, match="another number of rows"):
        Table.of(RECORD, [])
    with pytest.raises(Misuse, match="key of another length"):
        Table.of(RECORD, [(5, 300)], b"short")
    with pytest.raises(BadInput, match="no such column"):
        Within(RECORD, "income")
    for columns in ((), RECORD.columns * 2):
        with pytest.raises(BadInput, match="not the columns"):
            Layout(columns, 1)
    assert Layout.read(RECORD.json) == RECORD
    for body in ({"columns": [], "rows": 1}, {**RECORD.json, "columns": [["a", 0, 1]]},
                 {**RECORD.json, "columns": [["a", "x", "1"]]}, 7):
        with pytest.raises(BadInput):
            Layout.read(body)


def test_keys_and_rows_are_in_no_repr() -> None:
    table = Table.of(RECORD, [(733_000, 777)], KEY)
    assert "777" not in repr(table)
    assert repr(KEY) not in repr(table)
    assert "777" not in repr(Within(RECORD, "score").instance(table, 0))


# ---- ages ----

@pytest.mark.parametrize(("on", "years", "last"), [
    ("2026-11-28", 18, "2008-11-28"), ("2024-02-29", 18, "2006-02-28"), ("2024-02-29", 4, "2020-02-29"),
    ("2022-02-28", 18, "2004-02-28"), ("2022-03-01", 18, "2004-03-01"), ("2026-01-01", 0, "2026-01-01")])
def test_who_is_old_enough(on, years, last) -> None:
    assert born_by(on, years) == day(last)


def test_dates_that_are_none() -> None:
    for text in ("2023-02-29", "yesterday", ""):
        with pytest.raises(BadInput, match="not a date"):
            day(text)
    with pytest.raises(BadInput, match="not an age"):
        born_by("2026-01-01", 3000)


# ---- a proof and who refuses it ----

@pytest.fixture(scope="module")
def adult(keys):
    """(statement, publics, proof): born on 29 February 2008, on the day after the eighteenth birthday."""
    statement, table = Within(RECORD, "born"), Table.of(RECORD, [(day("2008-02-29"), 712)], KEY)
    instance = statement.instance(table, 0, high=born_by("2026-03-01"))
    return statement, {"context": CONTEXT, **instance.publics}, prove(statement, instance, CONTEXT, PROVER,
                                                                      keys(statement))


def test_an_adult_proves_it(adult, keys) -> None:
    statement, publics, proven = adult
    verify(Proven.from_bytes(proven.to_bytes()), statement, publics, keys(statement).verifying, PROVER.verify)
    verify(proven, statement, publics, keys(statement).verifying)      # and without a prover
    lie = replace(proven, publics=dict(proven.publics) | {"context": 7})
    with pytest.raises(Refuted, match="does not fit"):
        verify(lie, statement, publics | {"context": 7}, keys(statement).verifying)
    with pytest.raises(Refuted, match="not in the range"):             # the day before
        statement.instance(Table.of(RECORD, [(day("2008-02-29"), 712)], KEY), 0, high=born_by("2026-02-28"))


def test_a_proof_is_for_one_verifier_request_and_holder(adult, keys) -> None:
    statement, publics, proven = adult
    for other in (context_of("other.example", "a challenge of the lender", "did:key:holder"),
                  context_of("lender.example", "another challenge", "did:key:holder"),
                  context_of("lender.example", "a challenge of the lender", "did:key:thief"),
                  context_of("lender.examplea", " challenge of the lender", "did:key:holder")):
        with pytest.raises(Refuted, match="for another context"):
            verify(proven, statement, publics | {"context": other}, keys(statement).verifying, PROVER.verify)
        lie = replace(proven, publics=dict(proven.publics) | {"context": other})      # says that it is for them
        with pytest.raises(Refuted, match="does not hold"):
            verify(lie, statement, publics | {"context": other}, keys(statement).verifying, PROVER.verify)


def test_what_else_a_verifier_refuses(adult, keys) -> None:
    statement, publics, proven = adult
    good = keys(statement).verifying

    def refused(match, kind=Refuted, *, given=proven, asked=publics, of=statement, key=good):
        with pytest.raises(kind, match=match):
            verify(given, of, asked, key, PROVER.verify)

    refused("for another commitment", asked=publics | {"commitment": 5})
    refused("for another high", asked=publics | {"high": publics["high"] - 1})
    refused("beyond its range", BadInput, asked=publics | {"high": 1 << 23})
    refused("not the publics", BadInput, asked={"context": 1})
    refused("of another statement", of=Within(RECORD, "score"))
    refused("under another key", key=PROVER.setup(statement.circuit).verifying)
    for name in ("commitment", "high", "low"):
        changed = replace(proven, publics=dict(proven.publics) | {name: proven.publics[name] - 1})
        asked = publics | {name: publics[name] - 1}
        if name == "low":
            refused("beyond its range", BadInput, given=changed, asked=asked)
        else:
            refused("does not hold", given=changed, asked=asked)
    body = decode_object(proven.to_bytes())
    for bad in ({**body, "proof": "00"}, {**body, "publics": {"context": "007"}}, {**body, "more": 1},
                {**body, "publics": {"context": 7}}, {**body, "publics": {"context": "\u0667"}}):
        with pytest.raises(BadInput):
            Proven.from_bytes(encode(bad))


# ---- one act a scope ----

def test_one_act_a_scope(keys) -> None:
    secrets = [11, 22, 33]
    members, statement = Members([member_of(identity_of(one)) for one in secrets], 4), Member(4)
    scope = scope_of("ballot 7")
    instance = statement.instance(members, 22, scope)
    proven = prove(statement, instance, CONTEXT, PROVER, keys(statement))
    verify(proven, statement, {"context": CONTEXT, **instance.publics}, keys(statement).verifying, PROVER.verify)
    assert statement.instance(members, 22, scope).publics["nullifier"] == instance.publics["nullifier"]
    seen = {nullifier_of(one, number) for one in secrets for number in (scope, scope_of("ballot 8"))}
    assert len(seen) == 6                               # other holders, other scopes: nothing in common
    asked = Asked(statement, {"root": members.root, "scope": scope}, "polls.example", "0123456789abcdef", "booth")
    mine = prove(statement, instance, asked.context, PROVER, keys(statement))
    told = asking.check(asked, mine.to_bytes(), lambda one: keys(one).verifying, PROVER.verify)
    assert told == {"nullifier": instance.publics["nullifier"]}
    lie = replace(mine, publics=dict(mine.publics) | {"nullifier": 5})
    with pytest.raises(Refuted, match="does not hold"):
        asking.check(asked, lie.to_bytes(), lambda one: keys(one).verifying, PROVER.verify)
    with pytest.raises(BadInput, match="not a set"):
        Members([5, 5])


# ---- audits ----

@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=6, max_size=6), st.integers(0, 10**6))
def test_fairness_in_the_circuit_is_fairness_on_paper(rows, limit) -> None:
    layout = Layout((Column("group", 0, 1), Column("decision", 0, 1)), 6, 6)
    table = Table.of(layout, rows, KEY)
    circuit = _FAIR.circuit
    witness = circuit.witness({"context": 1, "commitment": table.commitment, "limit": limit, "least": 1,
                               **table_inputs(table)})
    try:
        Counts.of(table.column("group"), table.column("decision")).check(limit, 1)
    except Refuted:
        with pytest.raises(Refuted, match="breaks constraint"):
            circuit.check(witness)
    else:
        circuit.check(witness)


_FAIR = Fairness(Layout((Column("group", 0, 1), Column("decision", 0, 1)), 6, 6), "group", "decision")


def test_sums_and_ratios_of_negative_numbers() -> None:
    layout = Layout((Column("gain", -50, 50), Column("one", 1, 1)), 4, 4)
    table = Table.of(layout, [(-50, 1), (20, 1), (0, 1), (-1, 1)], KEY)
    for statement, low, high in ((Total(layout, "gain"), -31, -31), (Ratio(layout, "gain", "one"), -7_750_000,
                                                                     -7_750_000)):
        instance = statement.instance(table, low, high)
        statement.circuit.check(statement.circuit.witness({"context": 1, **instance.publics, **instance.secrets}))
        for bounds in ((low + 1, high + 1), (low - 1, high - 1)):
            with pytest.raises(Refuted):
                statement.instance(table, *bounds)
            witness = statement.circuit.witness({"context": 1, **instance.publics, **instance.secrets,
                                                 "low": bounds[0], "high": bounds[1]})
            with pytest.raises(Refuted):
                statement.circuit.check(witness)


# ---- chains ----

@pytest.fixture(scope="module")
def chain(keys):
    """(first part, table, publics, chain) of 23 rows in 6 leaves, 3 parts."""
    layout = Layout((Column("group", 0, 1), Column("decision", 0, 1)), 23, 4)
    table = Table.of(layout, [(at % 2, at % 3 == 0) for at in range(23)], KEY)
    first = FairnessPart(layout, "group", "decision", 1)
    publics = {"context": CONTEXT, "commitment": table.commitment, "limit": 100_000, "least": 10}
    return first, table, publics, prove_chain(first, table, 100_000, 10, CONTEXT, PROVER, keys)


def test_a_chain_holds_whole_and_in_order(chain, keys) -> None:
    first, table, publics, made = chain
    assert len(made.parts) == 3

    def check(given, **changed):
        verify_chain(given, first, publics | changed, lambda one: keys(one).verifying, PROVER.verify)

    check(Chain.from_bytes(made.to_bytes()))
    one, two, last = made.parts
    for parts in ((one, last), (two, one, last), (one, one, last), (one, two, two), (one, two, last, last), ()):
        with pytest.raises(Refuted):
            check(replace(made, parts=parts))
    for name in publics:
        with pytest.raises(Refuted):
            check(made, **{name: publics[name] - 1})
    with pytest.raises(Refuted, match="above the limit"):
        prove_chain(first, table, 1, 10, CONTEXT, PROVER, keys)


def test_parts_of_two_tables_do_not_mix(chain, keys) -> None:
    first, _, publics, made = chain
    better = Table.of(first.layout, [(at % 2, 1) for at in range(23)], bytes(32))
    other = prove_chain(first, better, 100_000, 10, CONTEXT, PROVER, keys)
    for parts in ((*other.parts[:1], *made.parts[1:]), (*made.parts[:1], *other.parts[1:])):
        with pytest.raises(Refuted):
            verify_chain(replace(made, parts=parts), first, publics, lambda one: keys(one).verifying, PROVER.verify)
    with pytest.raises(Refuted):      # the end of another table
        verify_chain(replace(made, end=other.end), first, publics, lambda one: keys(one).verifying, PROVER.verify)


# ---- requests ----

def test_requests_are_read_as_written() -> None:
    layout = Layout((Column("group", 0, 1), Column("decision", 0, 1)), 23, 4)
    for statement in (Within(RECORD, "born"), Member(4), Member(8, RECORD, "score"), Total(layout, "group"),
                      Ratio(layout, "decision", "group"), Fairness(layout, "group", "decision"),
                      FairnessPart(layout, "group", "decision", 1)):
        asked = Asked(statement, {}, "auditor.example", asking.new_challenge())
        assert Asked.from_bytes(asked.to_bytes()) == asked
        with pytest.raises(Misuse, match="leaves publics open"):
            asking.check(asked, b"{}", lambda one: b"")
    open_ = Asked(Within(RECORD, "born"), {"low": 1, "high": 9}, "auditor.example", asking.new_challenge())
    with pytest.raises(Misuse, match="nobody is named"):
        open_.context   # noqa: B018
    whole = open_.closed("did:key:holder", commitment=7)
    assert (whole.presenter, whole.publics["commitment"]) == ("did:key:holder", 7)
    for changed in ({"commitment": 8}, {"presenter": "did:key:other"}):
        with pytest.raises(Misuse, match="already names"):
            whole.closed(**changed)
    for body in ({"name": "magic"}, {"name": "total", "layout": RECORD.json}, 5):
        with pytest.raises(BadInput):
            asking.statement_of(body)
    with pytest.raises(BadInput, match="not a request"):
        Asked(Within(RECORD, "born"), {"nullifier": 1}, "auditor.example", asking.new_challenge())
    with pytest.raises(BadInput, match="not a request"):
        Asked(Within(RECORD, "born"), {}, "auditor.example", "short")
