"""What the commands share: the groups, how a workspace is opened, how a result is printed, how arguments are read."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.core.errors import BadInput, Misuse, unreadable
from troth.core.times import moment, read_moment, read_span, span

if TYPE_CHECKING:
    from troth.app import Troth

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Check what was done with AI, and hold people to what they promised.")
id_app = typer.Typer(no_args_is_help=True, help="This party's identity.")
log_app = typer.Typer(no_args_is_help=True, help="This party's log of claims.")
deal_app = typer.Typer(no_args_is_help=True, help="Deals on the chain.")
chain_app = typer.Typer(no_args_is_help=True, help="The chain of this workspace.")
for name, group in (("id", id_app), ("log", log_app), ("deal", deal_app), ("chain", chain_app)):
    app.add_typer(group, name=name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[Path | None, typer.Option("--home", help="The workspace; the nearest one by default.")]
Believed = Annotated[Path | None, typer.Option("--trust", help="What you believe.")]
Unasked = Annotated[bool, typer.Option("--offline", help="The index as it stands; ask no node.")]
Asked = Annotated[Path | None, typer.Option("--registry", help="A workspace whose registry says when keys were good.")]
Coded = Annotated[Path | None, typer.Option("--code", help="A plan's own file of code, which you have read: it runs "
                                            "with your rights.")]
Opener = Annotated[Path | None, typer.Option("--as", help="A workspace whose keys open evidence.")]


TIME = "2026-11-28T14:15:00Z, or from now such as 2h, 3d;"
"""What an option that is a time says of it."""


def lasting(flag: str, text: str, least: int = 1, most: int | None = None) -> Any:
    """An option that is a duration: seconds, or such as 15min, 2h, 3d. least, most: seconds."""
    def read(given: str) -> int:
        seconds = read_span(given)
        if seconds < least or (most is not None and seconds > most):
            raise BadInput(f"{flag} {'is too short' if seconds < least else 'is too long'}", actual=span(seconds),
                           expected=f"at least {span(least)}" if seconds < least else f"at most {span(most or 0)}")
        return seconds

    return typer.Option(flag, help=f"{text} Seconds, or such as 15min, 2h, 3d.", parser=read, metavar="DURATION")


def at_time(text: str, now: int | None = None) -> int:
    """Unix seconds of a time as a person writes it: ISO 8601, or from now on such as 2h, 3d. now: this machine's by
    default. Raises BadInput.
    """
    return read_moment(text, int(time.time()) if now is None else now)


def passphrase() -> str:
    """From TROTH_PASSPHRASE, or asked for at a terminal; never from the command line. Raises Misuse."""
    found = os.environ.get("TROTH_PASSPHRASE")
    if found:
        return found
    if not sys.stdin.isatty():
        raise Misuse("no passphrase", do="Set TROTH_PASSPHRASE, or run this at a terminal.")
    return str(typer.prompt("Passphrase", hide_input=True, err=True))


def workspace(home: Path | None) -> Troth:
    """Open the workspace that a command works in."""
    # Imported here and in the commands: start-up of --help must not load stores, chains and numpy.
    from troth.app import Troth

    return Troth.open(home or Path.cwd(), passphrase())


def visible(text: str) -> str:
    """The text with control characters spelled out: a node's or a contract's words must not command the terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
                   for one in text)


def show(value: dict[str, Any], as_json: bool, text: Callable[[], str] | None = None) -> None:
    """Print a result: as JSON, or as its lines."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, sort_keys=True))
    else:
        typer.echo(visible(text() if text else "\n".join(f"{key}: {_line(key, item)}" for key, item in value.items())))


_TIMES = frozenset(("at", "closes_by", "deadline", "due", "expires", "expiry", "fund_by", "time", "until"))
"""Members of results that are Unix seconds, where they are numbers."""


def _line(key: str, item: object) -> object:
    if key not in _TIMES or type(item) is not int:
        return item
    return moment(item, int(time.time())) if item else "not known yet"


def whole_id(text: str) -> bytes:
    """An id from all its hex digits, where no workspace is open. Raises BadInput."""
    from troth.core.encoding import from_hex  # start-up time, as above

    return from_hex(text.removeprefix("0x"), 32)


def a_did(text: str) -> str:
    """A party's DID. Raises Misuse for a name: what is handed to a name reaches nobody."""
    if not text.startswith("did:"):
        raise Misuse("parties are named by their DIDs", expected="did:…", actual=text,
                     do="See those that are known here: troth id list.")
    return text


def claim_id(party: Troth, text: str) -> bytes:
    """A claim's id, or the one in this party's log that begins so. Raises BadInput, Undecidable, Misuse."""
    from troth.app.short_ids import claim_of  # start-up time, as above

    return claim_of(party, text)


def deal_id(party: Troth, text: str, *, offline: bool = False) -> bytes:
    """A deal's id, or the one of the Book that begins so. Raises BadInput, Undecidable, Misuse."""
    from troth.app.short_ids import deal_of  # start-up time, as above

    return deal_of(party, text, offline=offline)


def claim_body(data: bytes) -> dict[str, Any]:
    """A claim's body as a person writes it: JSON with any spacing, but nothing said twice."""
    from troth.core.encoding import decode_object, jcs  # start-up time, as above

    try:
        return decode_object(jcs(data))
    except BadInput as error:
        raise BadInput(f"the body cannot be said in a claim: {error.message}", expected=error.expected or "{…}",
                       actual=error.actual, do="Write fractions and integers beyond 2^53 as text.") from None


def role_and_claim(text: str, party: Troth | None = None) -> tuple[str, bytes]:
    """ROLE=CLAIM; a claim's first digits do where there is a workspace. Raises Misuse, and what ``claim_id`` raises."""
    role, equals, claim = text.partition("=")
    if not equals:
        raise Misuse("a reference needs a role", expected="ROLE=CLAIM", actual=text)
    return role, whole_id(claim) if party is None else claim_id(party, claim)


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises BadInput where there is none, OutsideFailed where the disk refuses."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say which of a command's files it was that cannot be read."""
    try:
        yield
    except BadInput as error:
        if path.name in error.message:
            raise
        raise BadInput(f"{path.name}: {error.message}", expected=error.expected, actual=error.actual,
                       do=error.do) from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises OutsideFailed."""
    from troth.store.files import replacing  # start-up time, as above

    with replacing(path) as out:
        out.write(data)
