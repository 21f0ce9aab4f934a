"""Statements in files and claims: tables committed to, requests, keys, proofs (docs/reference/statements.md).

The verifier writes the request and makes the keys: then it knows that nobody kept the setup's secrets. The prover gets
both, and answers with a file of proofs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.field import R
from troth.compute.circuits.iden3 import r1cs
from troth.compute.provers.cache import KeyCache
from troth.compute.provers.groth16 import Groth16
from troth.compute.provers.port import Keys
from troth.compute.statements import asking
from troth.compute.statements.asking import Asked
from troth.compute.statements.audits import Fairness, Ratio, Total
from troth.compute.statements.parts import FairnessPart, prove_chain
from troth.compute.statements.records import Member, Members, Within
from troth.compute.statements.statement import Check, Instance, Statement, number_text, prove, without_prover
from troth.compute.statements.tables import Column, Layout, Table
from troth.core.claims import Subject
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.identity.credentials import Credential
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Troth

STATEMENT = "statement"
"""The kind of claim."""
COMMITTED = "committed"
"""The member of a credential's subject that holds a commitment."""


# ---- tables ----

def columns_of(texts: Sequence[str]) -> tuple[Column, ...]:
    """Columns from NAME:LOW:HIGH. Raises BadInput."""
    found = []
    for text in texts:
        name, low, high = [*text.rsplit(":", 2), "", ""][:3]
        try:
            found.append(Column(name, int(low), int(high)))
        except ValueError:
            raise BadInput("not a column", expected="NAME:LOW:HIGH", actual=text) from None
    return tuple(found)


def table_of(data: bytes, columns: Sequence[Column], per_leaf: int | None) -> Table:
    """The named columns of a CSV file with a header, under a new key. per_leaf: as many as are cheapest for None.

    Raises BadInput naming the row and the column.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        lines = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput("not a CSV file in UTF-8", actual=error) from None
    missing = [column.name for column in columns if column.name not in (reader.fieldnames or ())]
    if missing:
        raise BadInput("columns are missing", expected=", ".join(missing), actual=", ".join(reader.fieldnames or ()))
    rows = []
    for number, line in enumerate(lines):
        row = []
        for column in columns:
            text = line[column.name]
            try:
                row.append(int(text))
            except (TypeError, ValueError):
                raise BadInput(f"row {number}: {column.name} is no integer", actual=text) from None
        rows.append(row)
    layout = Layout.dense(columns, len(rows)) if per_leaf is None else Layout(tuple(columns), len(rows), per_leaf)
    return Table.of(layout, rows)


def opening_bytes(table: Table) -> bytes:
    """A table as its committer keeps it. Secret."""
    return encode({"key": table.key.hex(), "layout": table.layout.json,
                   "rows": [" ".join(map(str, row)) for row in table.rows]})


def read_opening(data: bytes) -> Table:
    """The table again. Raises BadInput."""
    key, layout, rows = take(decode_object(data), key=str, layout=dict, rows=list)
    return Table.of(Layout.read(layout), [[number_text(one) for one in str(row).split(" ")] for row in rows],
                    from_hex(key, 32))


def public_part(table: Table) -> dict[str, Any]:
    """What others get of a table."""
    return {"commitment": str(table.commitment), "layout": table.layout.json}


def read_public(body: object) -> tuple[int, Layout]:
    """(commitment, layout) of `public_part`. Raises BadInput."""
    commitment, layout = take(body, commitment=str, layout=dict)
    return field_element(number_text(commitment)), Layout.read(layout)


def committed_in(document: Mapping[str, Any]) -> tuple[int, Layout]:
    """What a credential commits to, of its subject. It is not verified by that. Raises BadInput."""
    found = [subject[COMMITTED] for subject in Credential.of(document).subjects if COMMITTED in subject]
    if len(found) != 1:
        raise BadInput("not one commitment in this credential", expected=f"one {COMMITTED!r} in its subject",
                       actual=len(found))
    return read_public(found[0])


def field_element(value: int) -> int:
    """The number, where it is one of the field. Raises BadInput."""
    if not 0 <= value < R:
        raise BadInput("not an element of the field", expected=f"0 to {R - 1}", actual=value)
    return value


def members_bytes(entries: Sequence[int], depth: int) -> bytes:
    """A set as its keeper publishes it. Raises BadInput for an entry that is twice there."""
    members = Members([field_element(entry) for entry in entries], depth)
    return encode({"depth": depth, "entries": [str(entry) for entry in entries], "root": str(members.root)})


def read_members(data: bytes) -> Members:
    """The set again, its root computed anew. Raises BadInput for another root."""
    depth, entries, root = take(decode_object(data), depth=int, entries=list, root=str)
    members = Members([field_element(number_text(entry)) for entry in entries], depth)
    if str(members.root) != root:
        raise BadInput("a set with another root than it says", expected=members.root, actual=root)
    return members


# ---- keys ----

class NoSetup(Groth16):
    """A prover that makes no keys: a proof under keys of its own making would convince nobody."""

    def setup(self, circuit: Circuit) -> Keys:
        raise Undecidable("no keys for this statement", do="Get the folder of keys from the verifier who asks.")


def make_keys(asked: Asked, folder: Path | str, ceremonies: Sequence[bytes] = ()) -> list[Keys]:
    """The keys that a request needs, in a folder for prover and verifier. As `keys_of`."""
    return keys_of(asked.circuits, folder, ceremonies)


def keys_of(statements: Sequence[Statement], folder: Path | str, ceremonies: Sequence[bytes] = ()) -> list[Keys]:
    """The keys of statements, in a folder for prover and verifier.

    ceremonies: .zkey files that snarkjs left. For what they and the folder do not hold, keys are made here, by one
    party: whoever ran that can forge proofs under them. Raises BadInput for a file of another circuit.
    """
    folder = Path(folder)
    cache, found = KeyCache(folder), []
    circuits = {statement.circuit.digest: statement.circuit for statement in statements}
    for data in ceremonies:
        if not any(_imported(cache, data, circuit) for circuit in circuits.values()):
            raise BadInput("a ceremony's key that is of none of these circuits, or none at all",
                           expected=", ".join(circuits))
    for statement in statements:
        keys = cache.keys(Groth16(), statement.circuit)
        with replacing(_verifying(folder, statement)) as out:
            out.write(keys.verifying)
        found.append(keys)
    return found


def _imported(cache: KeyCache, data: bytes, circuit: Circuit) -> bool:
    try:
        cache.import_ceremony(data, circuit)
    except BadInput:
        return False
    return True


def write_circuits(asked: Asked, folder: Path | str) -> list[Path]:
    """Each circuit of a request as an .r1cs file, for a ceremony."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for statement in asked.circuits:
        paths.append(folder / f"{statement.circuit.digest}.r1cs")
        with replacing(paths[-1]) as out:
            out.write(r1cs(statement.circuit))
    return sorted(set(paths))


def verifying_keys(folder: Path | str) -> Callable[[Statement], bytes]:
    """The verifying keys of a folder. Raises Undecidable for a statement that has none there."""
    folder = Path(folder)
    def of(statement: Statement) -> bytes:
        path = _verifying(folder, statement)
        if not path.is_file():
            raise Undecidable("no key to check this statement by", expected=str(path),
                              do="Make the keys for the request, or get them from whoever you trust with that.")
        return path.read_bytes()

    return of


def _verifying(folder: Path, statement: Statement) -> Path:
    return folder / f"{sha256(encode(statement.json)).hex()}.vk"


# ---- answers ----

def checker() -> Check:
    """The prover's own check where it is installed, as it takes a hundredth of the time; else the one without."""
    return Groth16().verify if find_spec("zksnake") else without_prover


@dataclass(frozen=True, slots=True)
class Held:
    """What a prover answers from. row: which record, of a statement about one."""

    table: Table | None = None
    row: int | None = None
    secret: int | None = field(default=None, repr=False)
    members: Members | None = None


def answer(asked: Asked, held: Held, folder: Path | str) -> bytes:
    """The proofs that a request asks for. Raises Refuted, before anything is proven, where the statement is false;
    Misuse where something is missing that it is proven from."""
    folder = Path(folder)
    cache, prover, context, statement = KeyCache(folder), NoSetup(), asked.context, asked.statement
    if isinstance(statement, FairnessPart):
        table = _table(asked, held, statement.layout)
        limit, least = (_named(asked, name) for name in ("limit", "least"))
        return prove_chain(statement, table, limit, least, context, prover,
                           lambda one: cache.keys(prover, one.circuit)).to_bytes()
    instance = _instance(asked, held)
    _same(asked, instance.publics)
    return prove(statement, instance, context, prover, cache.keys(prover, statement.circuit)).to_bytes()


def _instance(asked: Asked, held: Held) -> Instance:
    statement, named = asked.statement, asked.publics
    if isinstance(statement, Member):
        if held.secret is None or held.members is None:
            raise Misuse("membership is proven from a secret and the set", do="Name both files.")
        return statement.instance(held.members, held.secret, _named(asked, "scope"),
                                  None if statement.layout is None else _table(asked, held, statement.layout),
                                  named.get("low"), named.get("high"))
    if isinstance(statement, Within):
        table = _table(asked, held, statement.layout)
        if held.row is None and table.layout.rows > 1:
            raise Misuse("a statement about one record", do="Name its row.")
        return statement.instance(table, held.row or 0, named.get("low"), named.get("high"))
    if isinstance(statement, Total | Ratio):
        return statement.instance(_table(asked, held, statement.layout), _named(asked, "low"), _named(asked, "high"))
    assert isinstance(statement, Fairness)
    return statement.instance(_table(asked, held, statement.layout), _named(asked, "limit"), _named(asked, "least"))


def _table(asked: Asked, held: Held, layout: Layout) -> Table:
    if held.table is None:
        raise Misuse("this is proven from a committed table", do="Name the file that opens it.")
    if held.table.layout != layout:
        raise BadInput("the opening is of another table", expected=layout.json, actual=held.table.layout.json)
    _same(asked, {"commitment": held.table.commitment})
    return held.table


def _named(asked: Asked, name: str) -> int:
    if name not in asked.publics:
        raise Misuse(f"the request leaves {name} open", do="Ask the verifier for one that names it.")
    return asked.publics[name]


def _same(asked: Asked, publics: Mapping[str, int]) -> None:
    """Refuse early what the verifier would."""
    for name, value in asked.publics.items():
        if publics.get(name, value) != value:
            raise BadInput(f"the request is about another {name}", expected=value, actual=publics[name],
                           do="Is this the opening, or the set, that it means?")


# ---- claims ----

def claim(party: Troth, asked: Asked, proof: bytes, folder: Path | str) -> bytes:
    """Attest a statement with its proof as evidence; the claim. Raises as `asking.check` for one that does not hold:
    nothing is attested then."""
    folder = Path(folder)
    keys = verifying_keys(folder)
    asking.check(asked, proof, keys, checker())
    body = {"asked": decode_object(asked.to_bytes()),
            "keys": [sha256(keys(statement)).hex() for statement in asked.circuits]}
    subject = asked.publics.get("commitment", asked.publics.get("root", 0))
    return party.attest(STATEMENT, [Subject("committed", {"poseidon": f"{subject:064x}"})], body,
                        evidence=[party.add("proof", proof)])


def check_claim(party: Troth, claimed: bytes, folder: Path | str) -> Mapping[str, int]:
    """Check a claim by the keys that this party trusts; what the proof tells.

    Raises Misuse for a claim of another kind, BadInput for one that cannot be read, Refuted for what does not hold,
    Undecidable without the keys or the proof.
    """
    folder = Path(folder)
    said = party.statement(claimed)
    if said.kind != STATEMENT:
        raise Misuse("not a claim of a statement", expected=STATEMENT, actual=said.kind)
    body, _ = take(said.body, asked=dict, keys=list)
    asked = Asked.from_bytes(encode(body))
    subject = asked.publics.get("commitment", asked.publics.get("root", 0))
    if len(said.evidence) != 1 or [one.digests for one in said.subjects] != [{"poseidon": f"{subject:064x}"}]:
        raise BadInput("a claim about something else than its statement", expected=f"{subject:064x}, and one proof")
    return asking.check(asked, party.read(said.evidence[0]), verifying_keys(folder), checker())
