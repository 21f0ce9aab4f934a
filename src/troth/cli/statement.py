"""Statements in zero knowledge: commit, ask, prove, verify (docs/reference/statements.md)."""

from __future__ import annotations

import json
import secrets
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.credential import Issuers, Online, Pinned, StatusLists, believed, reaching
from troth.cli.parts import Json, Where, app, claim_id, naming, read_file, show, workspace, write_file
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable

if TYPE_CHECKING:
    from troth.compute.statements.asking import Asked

statement_app = typer.Typer(no_args_is_help=True, help="Prove things about committed records, and nothing else.")
app.add_typer(statement_app, name="statement")
Request = Annotated[Path, typer.Argument(help="The verifier's request.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where the result goes.")]
KeyFolder = Annotated[Path, typer.Option("--keys", help="A folder of keys.")]
Presenter = Annotated[str, typer.Option("--by", help="Who shows it, where the request leaves that open.")]
MILLION = 10**6


@statement_app.command()
def commit(file: Annotated[Path, typer.Argument(help="Records: CSV with a header.")],
           column: Annotated[list[str], typer.Option("--column", help="NAME:LOW:HIGH, integers, in order.")],
           output: Annotated[Path, typer.Option("-o", "--output", help="What opens the commitment: keep it secret.")],
           public: Annotated[Path, typer.Option("--public", help="The commitment, for others.")],
           per_leaf: Annotated[int | None, typer.Option("--per-leaf", min=1, help="Rows to a leaf: 1 for statements "
                                                        "about one record; by default what suits all of them.")] = None,
           as_json: Json = False) -> None:
    """Commit to a table, before anybody asks."""
    # Imported here and below: start-up of --help must not load circuits.
    from troth.app.stating import columns_of, opening_bytes, public_part, table_of
    from troth.store.files import replacing

    table = table_of(read_file(file), columns_of(column), per_leaf)
    with replacing(output, 0o600) as out:
        out.write(opening_bytes(table))
    write_file(public, json.dumps(public_part(table)).encode() + b"\n")
    show({"commitment": str(table.commitment), "rows": table.layout.rows, "leaves": table.layout.leaves}, as_json)


@statement_app.command()
def identity(output: Annotated[Path, typer.Option("-o", "--output", help="The secret: keep it.")],
             record: Annotated[Path | None, typer.Option("--record", help="The commitment to what the keeper of the "
                                                         "set says of you.")] = None,
             as_json: Json = False) -> None:
    """Make or read a secret for one act a scope; its entry is for the keeper of a set."""
    from troth.app.stating import read_public
    from troth.compute.circuits.field import R
    from troth.compute.statements.records import identity_of, member_of
    from troth.store.files import replacing

    if not output.exists():
        with replacing(output, 0o600) as out:
            out.write(str(secrets.randbelow(R - 1) + 1).encode() + b"\n")
    commitment = 0 if record is None else read_public(_json(record))[0]
    entry = member_of(identity_of(_secret(output)), commitment)
    show({"entry": str(entry)}, as_json, lambda: str(entry))


@statement_app.command("set")
def make_set(entry: Annotated[list[str], typer.Argument(help="Entries, as `identity` prints them.")], output: Output,
             depth: Annotated[int, typer.Option("--depth", min=1, max=32, help="2^depth places.")] = 20,
             as_json: Json = False) -> None:
    """Write a set of entries, whose members can prove that they are in it."""
    from troth.app.stating import members_bytes
    from troth.compute.statements.statement import number_text

    data = members_bytes([number_text(one) for one in entry], depth)
    write_file(output, data)
    show({"root": json.loads(data)["root"], "members": len(entry)}, as_json)


@statement_app.command()
def ask(name: Annotated[str, typer.Argument(help="within, member, total, ratio, fairness, or fairness-part for a "
                                            "chain.")],
        audience: Annotated[str, typer.Option("--for", help="Who asks: a domain or a DID.")], output: Output,
        table: Annotated[Path | None, typer.Option("--table", help="The commitment that it is about.")] = None,
        layout: Annotated[Path | None, typer.Option("--layout", help="Only its layout: the commitment will come with "
                                                    "a credential.")] = None,
        members: Annotated[Path | None, typer.Option("--set", help="The set, for member.")] = None,
        given: Annotated[list[str] | None, typer.Option("--with", help="NAME=VALUE: what the statement needs, such as "
                                                        "group=COLUMN, limit=5%, low=700, scope=TEXT.")] = None,
        older: Annotated[str | None, typer.Option("--older", help="YEARS@DATE: sets high to the last day of birth."),
                         ] = None,
        challenge: Annotated[str | None, typer.Option("--challenge", help="That of a request for a presentation; a "
                                                      "new one by default.")] = None,
        by: Presenter = "", as_json: Json = False) -> None:
    """Write a request for a proof, with a challenge that counts once."""
    from troth.app.stating import read_members, read_public
    from troth.compute.statements.asking import Asked, new_challenge, statement_of

    values = dict(_value(item) for item in given or ())
    body: dict[str, Any] = {"name": name}
    publics: dict[str, int] = {}
    if table is not None:
        publics["commitment"], shape = read_public(_json(table))
        body["layout"] = shape.json
    elif layout is not None:
        body["layout"] = read_public(_json(layout))[1].json
    if members is not None:
        held = read_members(read_file(members))
        publics["root"], body["depth"] = held.root, held.depth
    if older is not None:
        publics["high"] = _older(older)
    for key, value in values.items():
        if key in ("column", "group", "decision", "ids", "over", "under"):
            body[key] = value
        elif key == "span":
            body[key] = _number(key, value)
        else:
            publics[key] = _number(key, value)
    body |= {"fairness": {"ids": body.get("ids", "")}, "fairness-part": {"last": False}}.get(name, {})
    if name in ("within", "member") and "column" in body:
        publics = _bounded(body, publics)
    asked = Asked(statement_of(body), publics, audience, challenge or new_challenge(), _who(by))
    write_file(output, asked.to_bytes())
    left = [one for one in asked.wanted if one not in publics]
    show({"challenge": asked.challenge, "output": str(output), "open": left}, as_json, lambda: "\n".join((
        f"challenge: {asked.challenge}", f"output: {output}", f"left open: {', '.join(left) or 'nothing'}")))


@statement_app.command()
def setup(request: Request, keys: KeyFolder,
          ceremony: Annotated[list[Path] | None, typer.Option("--ceremony", help="A .zkey file that a ceremony "
                                                              "left.")] = None,
          circuits: Annotated[Path | None, typer.Option("--circuits", help="Only write the circuits as .r1cs files "
                                                        "into this folder, for a ceremony.")] = None,
          as_json: Json = False) -> None:
    """As the verifier: get the keys that a request needs. Give the prover a copy of the folder."""
    from troth.app.stating import make_keys, write_circuits

    if circuits is not None:
        show({"circuits": [str(path) for path in write_circuits(_asked(request), circuits)]}, as_json)
        return
    made = make_keys(_asked(request), keys, [read_file(path) for path in ceremony or ()])
    rows = [{"key": one.digest, "origin": one.origin} for one in made]
    show({"keys": rows}, as_json, lambda: "\n".join(f"{row['key']}  {row['origin']}" for row in rows))


@statement_app.command()
def prove(request: Request, output: Output, keys: KeyFolder,
          opening: Annotated[Path | None, typer.Option("--opening", help="What opens the commitment.")] = None,
          row: Annotated[int | None, typer.Option("--row", min=0, help="Which record, counted from 0.")] = None,
          secret: Annotated[Path | None, typer.Option("--secret", help="What `identity` made.")] = None,
          members: Annotated[Path | None, typer.Option("--set", help="The set, whole.")] = None,
          by: Presenter = "", as_json: Json = False) -> None:
    """Answer a request. Where the statement is false nothing is written."""
    from troth.app.stating import Held, answer, read_members, read_opening

    asked = _asked(request).closed(_who(by))
    opened = None
    if opening is not None:
        with naming(opening):
            opened = read_opening(read_file(opening))
    held = Held(opened, row, None if secret is None else _secret(secret),
                None if members is None else read_members(read_file(members)))
    data = answer(asked, held, keys)
    write_file(output, data)
    show({"output": str(output), "bytes": len(data)}, as_json)


@statement_app.command()
def verify(request: Request, proof: Annotated[Path, typer.Argument(help="The answer.")], keys: KeyFolder,
           by: Presenter = "",
           shown: Annotated[Path | None, typer.Option("--shown", help="The presentation of the credential that the "
                                                      "commitment is in. It is verified too.")] = None,
           issuer: Issuers = None, trust: Pinned = None, lists: StatusLists = None, online: Online = False,
           as_json: Json = False) -> None:
    """As the verifier who asked: check an answer. Accept one answer to a request, and each nullifier once."""
    from troth.app.stating import checker, verifying_keys
    from troth.compute.statements import asking

    asked = _asked(request)
    if shown is not None:
        asked = _from_presentation(asked, shown, issuer, trust, lists, online)
    asked = asked.closed(_who(by))
    with naming(proof):
        answered = asking.read_answer(asked, read_file(proof))
    told = asking.check(asked, answered, verifying_keys(keys), checker())
    show({"outcome": "upheld", "statement": asked.statement.name, "presenter": asked.presenter,
          **{name: str(value) for name, value in told.items()}}, as_json)


@statement_app.command()
def claim(request: Request, proof: Annotated[Path, typer.Argument(help="The answer.")], keys: KeyFolder,
          home: Where = None, as_json: Json = False) -> None:
    """Attest a statement in this party's log, its proof as evidence. One that does not hold is not attested."""
    from troth.app import stating

    with workspace(home) as party:
        made = stating.claim(party, _asked(request), read_file(proof), keys)
        show({"claim": made.hex()}, as_json, made.hex)


@statement_app.command()
def check(claimed: Annotated[str, typer.Argument(metavar="CLAIM", help="A claim in this party's log or store.")],
          keys: KeyFolder, home: Where = None, as_json: Json = False) -> None:
    """Check a claim of a statement by keys that you trust."""
    from troth.app import stating

    with workspace(home) as party:
        told = stating.check_claim(party, claim_id(party, claimed), keys)
        show({"outcome": "upheld", **{name: str(value) for name, value in told.items()}}, as_json)


# ---- reading ----

def _asked(path: Path) -> Asked:
    from troth.compute.statements.asking import Asked  # start-up time, as above

    with naming(path):
        return Asked.from_bytes(read_file(path))


def _json(path: Path) -> Any:
    from troth.identity.jsondoc import read_json  # start-up time, as above

    with naming(path):
        return read_json(read_file(path))


def _secret(path: Path) -> int:
    from troth.app.stating import field_element  # start-up time, as above
    from troth.compute.statements.statement import number_text

    try:
        return field_element(number_text(read_file(path).decode("ascii").strip()))
    except (UnicodeDecodeError, BadInput):   # whatever it holds stays out of the message
        raise BadInput(f"{path} holds no secret of a member", do="Make one: troth statement identity.") from None


def _who(text: str) -> str:
    """A presenter; of an identity with a short and a long form the short one, as they are one."""
    from troth.identity.did import short_form  # start-up time, as above

    return short_form(text) if text.startswith("did:") else text


def _value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Misuse("what a statement needs is named", expected="NAME=VALUE", actual=text)
    return name, value


def _number(name: str, text: str) -> int:
    """A number; 5% and 0.5% as parts per million; a scope's text as its number; a date as its day."""
    from troth.compute.statements.records import day, scope_of  # start-up time, as above

    if name == "scope":
        return scope_of(text)
    if text.count("-") == 2:
        return day(text)
    try:
        found = Decimal(text.removesuffix("%")) * (MILLION // 100 if text.endswith("%") else 1)
        if found != int(found):
            raise ValueError(text)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadInput(f"{name} is no number", expected="an integer, a percentage of at most four digits, or a date",
                       actual=text) from None
    return int(found)


def _older(text: str) -> int:
    from troth.compute.statements.records import born_by  # start-up time, as above

    years, at, date = text.partition("@")
    if not at or not years.isdecimal():
        raise BadInput("not an age on a date", expected="YEARS@YYYY-MM-DD", actual=text)
    return born_by(date, int(years))


def _bounded(body: dict[str, Any], publics: dict[str, int]) -> dict[str, int]:
    """The bounds of a range that were not named are the column's."""
    from troth.compute.statements.tables import Layout  # start-up time, as above

    column = Layout.read(body.get("layout")).column(body["column"])
    return {"low": column.low, "high": column.high, **publics}


def _from_presentation(asked: Asked, path: Path, issuer: list[str] | None, trust: Path | None,
                       lists: list[Path] | None, online: bool) -> Asked:
    """The request closed with what a verified presentation shows: who holds it, and one credential's commitment."""
    from troth.app.stating import committed_in
    from troth.core.verdicts import Outcome
    from troth.identity.credentials import Presentation
    from troth.verify.credentials import verify_presentation

    document = _json(path)
    with reaching(online) as reached:
        known = believed(issuer, trust, lists, None, int(time.time()), reached)
        report = verify_presentation(document, known, asked.audience, asked.challenge)
    if report.outcome is not Outcome.UPHELD:
        raise {Outcome.REFUTED: Refuted, Outcome.PENDING: Pending}.get(report.outcome, Undecidable)(
            f"the presentation is {report.outcome}", do="troth credential verify says at which step.")
    shown = Presentation.of(document)
    if len(shown.credentials) != 1 or shown.holder is None:
        raise BadInput("not a presentation of one credential", expected=1, actual=len(shown.credentials))
    commitment, layout = committed_in(shown.credentials[0])
    if asked.statement.parameters.get("layout") != layout.json:
        raise BadInput("the credential commits to another layout", expected=asked.statement.parameters.get("layout"),
                       actual=layout.json)
    return asked.closed(_who(shown.holder), commitment=commitment)
