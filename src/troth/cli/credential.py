"""Credentials: issue, receive, show, verify, take back (docs/reference/credentials.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import TIME, Json, Where, app, at_time, lasting, passphrase, read_file, show, workspace, write_file
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.wallet import Wallet
    from troth.core.verdicts import Report
    from troth.identity.methods import Resolver
    from troth.verify.credentials import Believed, Lists

credential_app = typer.Typer(no_args_is_help=True, help="Credentials of W3C's model: issue, hold, show, verify.")
app.add_typer(credential_app, name="credential")
File = Annotated[Path, typer.Argument(help="A credential or a presentation: a JSON file, anybody's.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where the result goes.")]
Identity = Annotated[str | None, typer.Option("--by", help="Which credential identity; the first by default.")]
Issuers = Annotated[list[str] | None, typer.Option("--issuer", help="An issuer you believe, as credentials name it.")]
Pinned = Annotated[Path | None, typer.Option("--trust", help="A trust file for credentials.")]
StatusLists = Annotated[list[Path] | None, typer.Option("--list", help="A status list credential, fetched before.")]
Fresh = Annotated[int | None, lasting("--fresh", "How old a status list may be.")]
Online = Annotated[bool, typer.Option("--online", help="Ask the hosts and chains that identifiers and lists name.")]


def wallet_of(party: Troth) -> Wallet:
    """The workspace's wallet."""
    # Imported here and below: start-up of --help must not load signing libraries.
    from troth.app.wallet import Wallet

    return Wallet(party, passphrase())


@credential_app.command("id")
def show_identity(new: Annotated[str | None, typer.Option("--new", help="Make one: hybrid or ed25519.")] = None,
                  home: Where = None, as_json: Json = False) -> None:
    """Who this wallet is in credentials. One identity for each counterparty keeps them from comparing notes."""
    with workspace(home) as party:
        wallet = wallet_of(party)
        if new is not None:
            wallet.new_identity(new)
        elif not wallet.identities:
            wallet.identity()
        found = [{"did": one.did, "short": one.short, "kind": one.kind} for one in wallet.identities]
        show({"identities": found}, as_json, lambda: "\n".join(f"{one['kind']}  {one['short']}" for one in found))


@credential_app.command()
def issue(file: Annotated[Path, typer.Argument(help="The credential without proof, issuer and dates may be missing.")],
          output: Output, by: Identity = None,
          status: Annotated[list[str] | None, typer.Option("--status", help="revocation (the default), suspension, "
                                                           "or none.")] = None,
          chain: Annotated[bool, typer.Option("--chain", help="The second signature signs over the first.")] = False,
          home: Where = None, as_json: Json = False) -> None:
    """Sign a credential under every suite that this identity's document requires."""
    from troth.app.wallet import credential_name  # start-up time
    from troth.identity.jsondoc import read_json

    document = read_json(read_file(file))
    purposes = [one for one in status or ["revocation"] if one != "none"]
    with workspace(home) as party:
        made = wallet_of(party).issue(document, by=by, purposes=purposes, chain=chain)
        write_json(output, made)
        show({"credential": credential_name(made), "output": str(output)}, as_json)


@credential_app.command()
def verify(file: File, issuer: Issuers = None, trust: Pinned = None, lists: StatusLists = None, fresh: Fresh = None,
           online: Online = False,
           domain: Annotated[str | None, typer.Option("--domain", help="Whom a presentation must be for.")] = None,
           challenge: Annotated[str | None, typer.Option("--challenge", help="What it must answer.")] = None,
           at: Annotated[str | None, typer.Option("--at", help=f"{TIME} now by default.")] = None,
           as_json: Json = False) -> None:
    """Check a credential or a presentation: numbered steps, and upheld, refuted, undecidable or pending."""
    from troth.verify.credentials import verify_document  # start-up time

    with reaching(online) as reached:
        known = believed(issuer, trust, lists, fresh, int(time.time()) if at is None else at_time(at), reached)
        report = verify_document(read_file(file), known, domain, challenge)
    print_report(report, as_json)


@credential_app.command()
def receive(file: File, home: Where = None, as_json: Json = False) -> None:
    """Keep a credential in the wallet. It is not verified by that."""
    with workspace(home) as party:
        name = wallet_of(party).receive(read_file(file))
        show({"credential": name}, as_json, lambda: name)


@credential_app.command("list")
def list_credentials(issued: Annotated[bool, typer.Option("--issued", help="Those it issued instead.")] = False,
                     home: Where = None, as_json: Json = False) -> None:
    """What this wallet holds."""
    from troth.app.wallet import credential_name  # start-up time
    from troth.identity.credentials import Credential
    from troth.identity.did import short_form

    with workspace(home) as party:
        wallet = wallet_of(party)
        found = {credential_name(one["credential"]): one["credential"] for one in wallet.issued()} if issued else (
            wallet.held())
        rows = [{"credential": name, "types": list(read.types), "issuer": short_form(read.issuer),
                 "subjects": list(read.subject_ids)}
                for name, read in ((name, Credential.of(one)) for name, one in found.items())]
        show({"credentials": rows}, as_json, lambda: "\n".join(
            f"{row['credential']}  {', '.join(row['types'][1:]) or row['types'][0]}  from {row['issuer'][:60]}"
            for row in rows) or "none")


@credential_app.command()
def forget(name: Annotated[str, typer.Argument(help="The credential, by name.")], home: Where = None,
           as_json: Json = False) -> None:
    """Delete a credential that is held. What was shown of it stays with those it was shown to."""
    with workspace(home) as party:
        wallet_of(party).forget(name)
        show({"forgotten": name}, as_json)


@credential_app.command()
def ask(domain: Annotated[str, typer.Argument(help="This verifier's own domain.")], output: Output,
        types: Annotated[list[str] | None, typer.Option("--type", help="A type of credential wanted.")] = None,
        by: Identity = None, home: Where = None, as_json: Json = False) -> None:
    """Write a signed request for a presentation, with a challenge that counts once."""
    from troth.identity.did import short_form  # start-up time

    with workspace(home) as party:
        made = wallet_of(party).ask(domain, types or (), by=by)
        write_json(output, made)
        show({"challenge": made["challenge"], "verifier": short_form(made["verifier"]), "output": str(output)}, as_json)


@credential_app.command()
def present(request: Annotated[Path, typer.Argument(help="The verifier's request.")],
            credentials: Annotated[list[str], typer.Argument(help="What to show, by name.")],
            to: Annotated[str, typer.Option("--to", help="Whom you mean to show it to: a DID, or a domain noted.")],
            output: Output, home: Where = None, as_json: Json = False) -> None:
    """Show credentials to one verifier, in answer to its request, and write down that they were shown."""
    from troth.identity.jsondoc import read_json  # start-up time

    asked = read_json(read_file(request))
    with workspace(home) as party:
        write_json(output, wallet_of(party).present(asked, credentials, to))
        show({"output": str(output), "domain": asked["domain"]}, as_json)


@credential_app.command()
def check(file: File, issuer: Issuers = None, trust: Pinned = None, lists: StatusLists = None, fresh: Fresh = None,
          online: Online = False, home: Where = None, as_json: Json = False) -> None:
    """As the verifier who asked: check an answer. What is upheld is taken once; a copy of it is refused."""
    with workspace(home) as party, reaching(online, party) as reached:
        known = believed(issuer, trust, lists, fresh, party.clock.now(), reached)
        report = wallet_of(party).check(read_file(file), known)
    print_report(report, as_json)


@credential_app.command()
def status(file: File, revoke: Annotated[bool, typer.Option("--revoke", help="Take it back for good.")] = False,
           suspend: Annotated[bool, typer.Option("--suspend", help="Take it back for now.")] = False,
           restore: Annotated[bool, typer.Option("--restore", help="End a suspension.")] = False,
           lists: StatusLists = None, online: Online = False, home: Where = None, as_json: Json = False) -> None:
    """What the status lists say of a credential; or, as its issuer, take it back. Publish the list again then."""
    from troth.identity.jsondoc import read_json  # start-up time

    document = read_json(read_file(file))
    if revoke + suspend + restore > 1:
        raise Misuse("one change at a time", expected="--revoke, --suspend or --restore")
    if revoke or suspend or restore:
        with workspace(home) as party:
            entry = wallet_of(party).set_status(document, "revocation" if revoke else "suspension", not restore)
            show({"list": entry.list_id, "index": entry.index, "set": not restore}, as_json)
        return
    from troth.verify.credentials import status_report  # start-up time

    with reaching(online) as reached:
        report = status_report(document, believed(None, None, lists, None, int(time.time()), reached))
    print_report(report, as_json)


@credential_app.command()
def publish(purpose: Annotated[str, typer.Argument(help="revocation or suspension.")], output: Output,
            by: Identity = None,
            lasts: Annotated[int, lasting("--lasts", "How long it is good for.")] = 86_400,
            home: Where = None, as_json: Json = False) -> None:
    """Write this issuer's status list, signed, as of now."""
    with workspace(home) as party:
        made = wallet_of(party).status_list(purpose, by, lasts)
        write_json(output, made)
        show({"list": made["id"], "output": str(output)}, as_json)


@credential_app.command("verifier")
def note_verifier(domain: str, did: str,
                  replace: Annotated[bool, typer.Option("--replace", help="It did change.")] = False,
                  home: Where = None, as_json: Json = False) -> None:
    """Note which identity speaks for a domain, so that nobody else can pose as it."""
    with workspace(home) as party:
        wallet_of(party).know_verifier(domain, did, replace)
        show({"domain": domain, "verifier": did}, as_json)


@credential_app.command()
def shown(home: Where = None, as_json: Json = False) -> None:
    """What was shown to whom, oldest first."""
    with workspace(home) as party:
        rows = wallet_of(party).shown()
        show({"shown": rows}, as_json, lambda: "\n".join(
            f"{row['at']}  {', '.join(row['credentials'])}  to {row['domain']} ({row['verifier'][:40]})"
            for row in rows) or "nothing was shown")


@contextmanager
def reaching(asked: bool, party: Troth | None = None) -> Iterator[tuple[Resolver, Lists]]:
    """Where documents and status lists come from: the credential alone, or wherever names lead if that was asked for.

    party: the workspace whose settings and memory serve; the environment's settings for None.
    """
    import os  # start-up time, as above

    from troth.app.reaching import OFFLINE, Reach, online  # start-up time
    from troth.app.resolving import from_environment

    if not asked:
        yield OFFLINE
        return
    reach = Reach(from_environment(os.environ)) if party is None else Reach(party.settings, party.root, party.keybook)
    with online(reach) as found:
        yield found


def believed(issuers: list[str] | None, trust: Path | None, lists: list[Path] | None, fresh: int | None, now: int,
             reached: tuple[Resolver, Lists]) -> Believed:
    """What the options say is believed, and where documents and lists come from; lists that were given come first."""
    from troth.identity import did as dids  # start-up time
    from troth.identity.jsondoc import read_json
    from troth.verify.credentials import MAX_LIST, Believed, Issuer

    known = {dids.short_form(name): Issuer() for name in issuers or ()}
    if trust is not None:
        known = Believed.issuers_of(read_file(trust)) | known
    given = {str(read_json(data, MAX_LIST).get("id")): data for data in map(read_file, lists or ())}
    resolve, fetched = reached
    return Believed(now, known, resolve, lambda url: given[url] if url in given else fetched(url), fresh)


def print_report(report: Report, as_json: bool) -> None:
    """Print a verification and leave with its exit status."""
    from rich.console import Console  # start-up time, as above

    from troth.cli.show import report_table  # start-up time

    if as_json:
        show(report.json(), True)
    else:
        Console().print(report_table(report))
    raise typer.Exit(report.outcome.exit_status)


def write_json(path: Path, value: Any) -> None:
    """Write a document for others: JSON with line breaks."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")
