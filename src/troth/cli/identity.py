"""Commands about identities: who this party is, changing its keys, ending it, and what is known of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import (
    TIME,
    Json,
    Where,
    at_time,
    claim_id,
    id_app,
    log_app,
    passphrase,
    read_file,
    show,
    workspace,
    write_file,
)
from troth.core.errors import Misuse
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.keys import Changed, Standing


@id_app.command("show")
def id_show(home: Where = None, as_json: Json = False) -> None:
    """Who this party is."""
    with workspace(home) as party:
        version, digest = party.keybook.head(party.did)
        show({"name": party.name, "did": party.did, "account": "0x" + party.account.hex(), "document": digest.hex(),
              "version": version, "ended": party.identity.ended, "log": party.log.key.vkey()}, as_json)


@id_app.command("list")
def id_list(home: Where = None, as_json: Json = False) -> None:
    """Every identity known here, this party's first: its version, and whether it is in force."""
    from troth.app.keys import standings  # start-up time

    with workspace(home) as party:
        found = [_standing(one) for one in standings(party)]
        show({"identities": found}, as_json, lambda: "\n".join(
            f"{one['did']}  version {one['version']}  {one['state']} ({one['by']}){_recovered(one)}" for one in found))


@id_app.command("introduce")
def id_introduce(to: Annotated[str, typer.Argument(help="Whom to: a DID.")], home: Where = None,
                 as_json: Json = False) -> None:
    """Hand this party's documents to another, so that it can check claims and seal data for this party."""
    with workspace(home) as party:
        party.introduce(to)
        show({"introduced": party.did, "to": to}, as_json)


@id_app.command("rotate")
def id_rotate(home: Where = None, as_json: Json = False) -> None:
    """Change this party's keys to those it committed to; into the keystore, the log, and the registry if it is there.

    The old signing keys are not kept. The chain account and the log's key stay.
    """
    from troth.app.keys import rotate  # start-up time

    with opened(home) as (party, secret):
        _show_change(rotate(party, secret), as_json)


@id_app.command("revoke")
def id_revoke(did: Annotated[str, typer.Argument(help="This party's own DID, in full: there is no way back.")],
              home: Where = None, as_json: Json = False) -> None:
    """End this party's identity for good, in its log and in the registry if it is there."""
    from troth.app.keys import revoke  # start-up time

    with opened(home) as (party, secret):
        if did != party.did:
            raise Misuse("only its holder ends an identity", expected=party.did, actual=did)
        _show_change(revoke(party, secret), as_json)


@id_app.command("register")
def id_register(home: Where = None, as_json: Json = False) -> None:
    """Put this identity's newest document into the chain's registry, so that others see an older one for what it is."""
    with workspace(home) as party:
        entry, sent = party.register()
        show({"entry": entry.hex(), "transactions": sent, "document": party.keybook.head(party.did)[1].hex()}, as_json)


@id_app.command("history")
def id_history(did: Annotated[str | None, typer.Argument(help="Whose: a DID; this party's own by default.")] = None,
               at: Annotated[str | None, typer.Option("--at", help=f"What was in force then: {TIME} all by default.")
                             ] = None,
               home: Where = None, as_json: Json = False) -> None:
    """Which documents an identity had since when, by the chain's registry: their SHA-256, and zeros once revoked."""
    with workspace(home) as party:
        if at is not None:
            then = at_time(at, party.chain.now())
            version = party.registered.version_at(did or party.did, then)
            show({"did": did or party.did, "at": then, "version": version}, as_json)
            return
        found = party.records_of(did or party.did)
        records = [{"version": version, "document": one.value.hex(), "time": one.time, "block": one.block}
                   for version, one in enumerate(found)]
        show({"did": did or party.did, "documents": records}, as_json, lambda: "\n".join(
            f"{version}  {one.value.hex()}  block {one.block}, {moment(one.time)}" for version, one in enumerate(found))
            or "not registered")


@log_app.command("date")
def log_date(claim: Annotated[str, typer.Argument(help="A claim in this log.")],
             output: Annotated[Path, typer.Option("-o", "--output")], home: Where = None,
             as_json: Json = False) -> None:
    """Write the proof that a claim, as it is signed, lay under the first anchor of this log that covers it."""
    from troth.app.keys import date  # start-up time

    with workspace(home) as party:
        found = date(party, claim_id(party, claim))
        write_file(output, found.to_bytes())
        show({"claim": found.claim.id.hex(), "block": found.last_block, "output": str(output)}, as_json)


@id_app.command("good")
def id_good(file: Annotated[Path, typer.Argument(help="A claim with its anchor, from troth log date.")],
            home: Where = None, as_json: Json = False) -> None:
    """Whether a claim was signed by keys that were in force, by the registry, when it was anchored."""
    from troth.app.keys import good  # start-up time
    from troth.verify.dated import Dated  # start-up time

    with workspace(home) as party:
        dated = Dated.from_bytes(read_file(file))
        anchored, found = good(party, dated)
        show({"outcome": "upheld", "claim": dated.claim.id.hex(), "block": anchored.block, "time": anchored.time,
              "detail": found}, as_json)


@contextmanager
def opened(home: Path | None) -> Iterator[tuple[Troth, str]]:
    """The workspace and its passphrase, asked for once: whoever changes keys writes the keystore."""
    from troth.app import Troth  # start-up time

    secret = passphrase()
    with Troth.open(home or Path.cwd(), secret) as party:
        yield party, secret


def _show_change(done: Changed, as_json: bool) -> None:
    show({"version": done.version, "document": done.document.hex(), "claim": done.claim.hex(),
          "published": done.published}, as_json)


def _standing(one: Standing) -> dict[str, Any]:
    return {"did": one.did, "version": one.version, "document": one.document.hex(), "state": one.state, "by": one.by,
            "recoveries": {str(version): by for version, by in one.recoveries.items()}}


def _recovered(one: dict[str, Any]) -> str:
    return "".join(f"  version {version} recovered by {by}" for version, by in one["recoveries"].items())
