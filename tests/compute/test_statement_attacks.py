"""Provers that cheat: each is stopped by the constraint that is there for it, and gets through where that is gone."""

from dataclasses import replace

import pytest

from troth.compute.circuits.builder import Circuit, Rows
from troth.compute.circuits.field import SAFE_BITS, R, centred
from troth.compute.circuits.merkle import PoseidonTree
from troth.compute.circuits.poseidon import poseidon
from troth.compute.statements.audits import Fairness, Ratio, Total
from troth.compute.statements.parts import FairnessEnd, FairnessPart
from troth.compute.statements.records import Member, Members, Within, identity_of, member_of, nullifier_of, scope_of
from troth.compute.statements.statement import Instance
from troth.compute.statements.tables import MAX_ROWS, Column, Layout, Table
from troth.core.errors import BadInput, Refuted

KEY = bytes(range(32))
SCORES = Layout((Column("score", 0, 3), Column("other", 0, 3)), 5)
LOG = Layout((Column("id", 0, 63), Column("group", 0, 1), Column("decision", 0, 1)), 12, 4)


def scores(*rows):
    return Table.of(SCORES, [*rows, *[(3, 1)] * (5 - len(rows))], KEY)


def log(rows=None):
    """12 decisions: the group is granted 2 of 6, the others 3 of 6."""
    return Table.of(LOG, rows or [(at, at % 2, at in (1, 3, 0, 2, 4)) for at in range(12)], KEY)


def without(circuit: Circuit, label: str) -> Circuit:
    """The circuit without the constraints of one purpose."""
    kept = [at for at, one in enumerate(circuit.labels) if label not in one.split("/")]
    assert len(kept) < circuit.constraints, f"no constraint is for {label!r}"

    def rows(held: Rows) -> Rows:
        return Rows(tuple(held.wires[at] for at in kept), tuple(held.coefficients[at] for at in kept))

    return replace(circuit, a=rows(circuit.a), b=rows(circuit.b), c=rows(circuit.c),
                   labels=tuple(circuit.labels[at] for at in kept))


def forged(circuit: Circuit, given, lies) -> list[int]:
    """A witness whose maker computes some wires as it likes, and what follows from them honestly."""
    values = circuit.witness(given)
    values = [*values[:1 + len(circuit.publics)], *values[1 + len(circuit.publics):]]
    for hint, reads, start, fills, _ in circuit.ops:
        known = [centred(sum(c * values[w] for w, c in read.terms.items())) for read in reads]
        values[start:start + fills] = hint(*known)
        for wire in range(start, start + fills):
            values[wire] = lies.get(wire, values[wire])
    return values


def stopped(statement, instance: Instance, label: str, *, lies=None, **changed) -> None:
    """Refused for ``label``, and through without it. changed: publics or secrets as the cheat has them, _ for a space
    or a dot."""
    circuit = statement.circuit
    given = {"context": 1, **instance.publics, **instance.secrets}
    names = {name.replace(" ", "_").replace(".", "_"): name for name in given}
    given |= {names[name]: value for name, value in changed.items()}
    witness = forged(circuit, given, lies or {})
    with pytest.raises(Refuted, match="breaks constraint") as told:
        circuit.check(witness)
    assert label in (told.value.expected or "").split("/")
    without(circuit, label).check(witness)


def test_honest_instances_pass() -> None:
    table = scores((2, 0))
    one = Within(SCORES, "score")
    made = one.instance(table, 0, 0, 2)
    one.circuit.check(one.circuit.witness({"context": 1, **made.publics, **made.secrets}))


# ---- ranges of one record ----

def test_a_value_outside_the_range() -> None:
    table, one = scores((1, 0)), Within(SCORES, "score")
    with pytest.raises(Refuted, match="not in the range"):
        one.instance(table, 0, low=2)
    honest = one.instance(table, 0)
    stopped(one, honest, "low", low=2)
    stopped(one, honest, "high", high=0)


def test_another_record_than_the_committed_one() -> None:
    one, honest = Within(SCORES, "score"), Within(SCORES, "score").instance(scores((1, 0)), 0)
    stopped(one, honest, "path", leaf=[3, 0])
    stopped(one, honest, "path", leaf_salt=[5])
    stopped(one, honest, "path", siblings=[7, 7, 7])
    stopped(one, honest, "path", place=[1])


def test_packing_is_injective_only_for_values_in_range() -> None:
    """Score 4 and other 0 would pack as score 0 and other 1 do, and so open what the table holds as another record."""
    one, honest = Within(SCORES, "score"), Within(SCORES, "score").instance(scores((0, 1)), 0)
    assert SCORES.packing(1).ints([0, 1]) == [4]
    wide = Within(Layout((Column("score", 0, 3), Column("other", 0, 3)), 5), "score")
    circuit = without(without(wide.circuit, "low"), "high")   # the claim's own range is not what stops it
    witness = circuit.witness({"context": 1, **honest.publics, **honest.secrets, "leaf": [4, 0]})
    with pytest.raises(Refuted, match="packed ranges"):
        circuit.check(witness)
    without(circuit, "packed ranges").check(witness)
    assert one.circuit.digest == wide.circuit.digest


def test_a_leaf_hidden_beyond_the_rows() -> None:
    """Whoever commits could put a sixth record behind the five that it names."""
    table, one = scores(), Within(SCORES, "score")
    hidden = Table.of(replace(SCORES, rows=6), [*table.rows, (0, 0)], KEY)
    tree = PoseidonTree([hidden._leaf(at) for at in range(6)], SCORES.depth)
    commitment = poseidon([tree.root, 5, SCORES.number])
    stopped(one, one.instance(table, 0), "place", commitment=commitment, place=[5], leaf=[0, 0],
            leaf_salt=[hidden.salt(5)], siblings=tree.siblings(5))


def test_a_row_mixed_of_several() -> None:
    layout = Layout(SCORES.columns, 4, 2)
    table, one = Table.of(layout, [(1, 0), (0, 0), (2, 2), (2, 3)], KEY), Within(layout, "score")
    honest = one.instance(table, 0)
    stopped(one, honest, "row", chosen=[2, -1], low=2)      # twice the first less the second
    stopped(one, honest, "row", chosen=[0, 0], high=0)      # none of them
    with pytest.raises(BadInput, match="no such row"):
        one.instance(table, 4)


# ---- membership ----

def test_members_and_nullifiers() -> None:
    age = Layout((Column("age", 0, 150),), 1)
    record = Table.of(age, [(17,)], KEY)
    secret, scope = 1234567, scope_of("ballot 7")
    members = Members([member_of(identity_of(one), record.commitment) for one in (5, 6, secret)], 3)
    one = Member(3, age, "age")
    honest = one.instance(members, secret, scope, record)
    assert honest.publics["nullifier"] == nullifier_of(secret, scope) != nullifier_of(secret, scope_of("ballot 8"))
    stopped(one, honest, "nullifier", nullifier=nullifier_of(secret, scope) + 1)      # a second act
    stopped(one, honest, "nullifier", scope=scope_of("ballot 8"))
    stopped(one, honest, "membership", secret=[99], nullifier=nullifier_of(99, scope))     # in nobody's set
    stopped(one, honest, "membership", member_place=[1])
    stopped(one, honest, "low", low=18)
    older = Table.of(age, [(18,)], KEY)      # a record that its holder made up
    stopped(one, honest, "membership", record=[older.commitment], leaf=[18], low=18)
    stopped(one, honest, "path", leaf=[18], low=18)
    with pytest.raises(Refuted, match="not in the set"):
        one.instance(members, 99, scope, record)
    with pytest.raises(Refuted, match="not in the range"):
        one.instance(members, secret, scope, record, low=18)


# ---- sums and ratios ----

def test_a_sum_that_wraps_the_field() -> None:
    """A value of -3 is R - 3 in the field. Without ranges it would lower the sum; the leaf is made up to match it."""
    layout = Layout((Column("spent", 0, 255),), 2, 2)
    table, one = Table.of(layout, [(200, ), (3,)], KEY), Total(layout, "spent")
    with pytest.raises(Refuted, match="not in the range"):
        one.instance(table, 0, 202)
    honest = one.instance(table, 203, 203)
    circuit = one.circuit
    for values in ([200 + 256 * 3, 0], [200 - 256, 4]):      # the same element, another sum
        witness = circuit.witness({"context": 1, **honest.publics, **honest.secrets, "leaf 0": values,
                                   "low": centred(sum(values)), "high": centred(sum(values))})
        with pytest.raises(Refuted, match="packed ranges"):
            circuit.check(witness)
        without(circuit, "packed ranges").check(witness)
    stopped(one, honest, "low", low=204)
    stopped(one, honest, "high", high=202)


def test_the_widest_tables_do_not_wrap_the_field() -> None:
    widest = Layout((Column("a", -(2**128) + 1, 2**128 - 1), Column("b", 0, 2**128 - 1)), MAX_ROWS)
    low, high = Total(widest, "a").bounds["low"]
    assert (high - low).bit_length() <= 153 < SAFE_BITS
    assert Ratio(widest, "a", "b").size <= 193 < SAFE_BITS
    with pytest.raises(BadInput, match="not a column"):
        Column("a", 0, 2**128)
    with pytest.raises(BadInput, match="not a table's size"):
        Layout(widest.columns, MAX_ROWS + 1)


def test_ratios_are_not_bent() -> None:
    layout = Layout((Column("over", -10, 10), Column("under", -10, 10)), 2, 2)
    table, one = Table.of(layout, [(1, 2), (0, 1)], KEY), Ratio(layout, "over", "under")
    honest = one.instance(table, 333_333, 333_334)
    stopped(one, honest, "low", low=333_334)       # a negative remainder
    stopped(one, honest, "high", high=333_333)
    for rows in ([(0, 3), (0, -3)], [(-1, -2), (0, -1)]):   # nothing to divide by; and less than nothing
        other = Table.of(layout, rows, KEY)
        with pytest.raises(Refuted, match="nothing to divide by"):
            one.instance(other, 0, 0)
        fake = Instance({"commitment": other.commitment, "low": 0, "high": 0}, {
            "leaf 0": other.values(range(2)), "leaf 0.salt": [other.salt(0)]})
        if rows[0][0] == 0:
            stopped(one, fake, "denominator", low=5, high=-5)


# ---- fairness ----

def test_a_gap_above_the_limit() -> None:
    one, table = Fairness(LOG, "group", "decision"), log()
    one.circuit.check(one.circuit.witness({"context": 1, **(made := one.instance(table, 166_667, 6)).publics,
                                           **made.secrets}))
    with pytest.raises(Refuted, match="above the limit"):
        one.instance(table, 166_666)
    stopped(one, made, "gap", limit=166_666)
    flipped = log([(at, 1 - group, decision) for at, group, decision in table.rows])   # the other group is worse off
    stopped(one, one.instance(flipped, 166_667), "gap", limit=166_666)


def test_the_sign_of_a_gap_is_not_a_choice() -> None:
    one, table = Fairness(LOG, "group", "decision"), log()
    honest = one.instance(table, 166_667)
    circuit = one.circuit
    # The last wires of the comparison: its bits, of which the highest is the sign.
    gap = [at for at, label in enumerate(circuit.labels) if "gap" in label.split("/")]
    sign = max(circuit.a.wires[gap[2 + 2 * 4]])
    stopped(one, honest, "gap", limit=0, lies={sign: 0})


def test_counts_are_what_the_rows_give() -> None:
    one, table = Fairness(LOG, "group", "decision"), log([(at, at % 2, at in (3, 0, 2, 4)) for at in range(12)])
    circuit = one.circuit
    honest = one.instance(table, 333_334)
    first = next(at for at, label in enumerate(circuit.labels) if label == "counts")
    (product,) = circuit.c.wires[first]
    stopped(one, honest, "counts", limit=0, lies={product: 1})      # one more granted to the group


def test_labels_other_than_0_and_1() -> None:
    layout = Layout((Column("group", 0, 1), Column("decision", 0, 1)), 4, 4)
    table, one = Table.of(layout, [(0, 1), (1, 0), (0, 1), (0, 0)], KEY), Fairness(layout, "group", "decision")
    values = table.values(range(4))
    values[:2] = [2, 0]      # packs as (0, 1) does
    witness = one.circuit.witness({"context": 1, **(made := one.instance(table, 10**6)).publics, **made.secrets,
                                   "leaf 0": values})
    with pytest.raises(Refuted, match="packed ranges"):
        one.circuit.check(witness)
    without(one.circuit, "packed ranges").check(witness)
    with pytest.raises(BadInput, match="not one of 0 and 1"):
        Fairness(Layout((Column("group", 0, 2), Column("decision", 0, 1)), 4), "group", "decision")


def test_a_group_without_rows_has_no_rate() -> None:
    one = Fairness(LOG, "group", "decision")
    for group in (0, 1):
        table = log([(at, group, at % 2) for at in range(12)])
        with pytest.raises(Refuted, match="too few rows"):
            one.instance(table, 0)
        fake = one.instance(log(), 10**6)
        changed = {f"leaf_{leaf}": table.values(LOG.rows_of(leaf)) for leaf in range(3)}
        stopped(one, fake, "group too small", commitment=table.commitment, limit=0, **changed)
    stopped(one, one.instance(log(), 10**6, 6), "group too small", least=7)


def test_a_row_that_is_there_twice() -> None:
    one, rows = Fairness(LOG, "group", "decision", "id"), list(log().rows)
    rows[5] = rows[4]
    table = log(rows)
    with pytest.raises(Refuted, match="twice"):
        one.instance(table, 10**6)
    fake = Fairness(LOG, "group", "decision").instance(table, 10**6)
    stopped(one, fake, "ids")


def test_rows_left_out_are_another_table() -> None:
    table = log()
    fewer = Table.of(replace(LOG, rows=8), table.rows[:8], KEY)
    assert fewer.commitment != table.commitment
    stopped(Fairness(fewer.layout, "group", "decision"), Fairness(fewer.layout, "group", "decision").instance(
        fewer, 10**6), "commitment", commitment=table.commitment)


# ---- chains ----

def test_a_part_with_other_counts() -> None:
    table, part = log(), FairnessPart(LOG, "group", "decision", 0)
    honest = part.instance(table, 1)
    stopped(part, honest, "before", counts=[1, 1, 1], after=_after(part, table, [1, 1, 1]))
    stopped(part, honest, "after", after=5)
    stopped(part, honest, "commitment", part=0)      # another part's rows
    end = FairnessEnd()
    closing = end.instance(table, part, 166_667, 6)
    stopped(end, closing, "state", counts=[6, 6, 3], limit=0)
    stopped(end, closing, "gap", limit=166_666)
    stopped(end, closing, "group too small", least=7)


def _after(part, table, counts):
    rows = [table.rows[at] for leaf in part.leaves(1) for at in LOG.rows_of(leaf)]
    sums = [counts[0] + sum(row[1] for row in rows), counts[1] + sum(row[2] for row in rows),
            counts[2] + sum(row[1] * row[2] for row in rows)]
    from troth.compute.statements import parts

    return poseidon([parts._STATE, *sums, part.instance(table, 1).secrets["count salts"][1]]) % R
