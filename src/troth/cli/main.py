"""The command line. A command parses, calls one method of ``troth.Troth`` and prints; the design lists the surface.

Exit status: 0 done or upheld, 1 refuted, 2 misuse or bad input, 3 undecidable, 4 pending, 5 something outside failed.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from troth.cli import (  # noqa: F401  (their commands)
    account,
    acting,
    agent,
    agent_runs,
    answering,
    badge,
    ci,
    consent,
    content,
    credential,
    device,
    dids,
    explain,
    flower,
    formats,
    guardians,
    hardware,
    identity,
    job,
    mandate,
    market,
    model,
    payouts,
    person,
    play,
    post,
    privacy,
    prove,
    reputation,
    royalty,
    runs,
    serve,
    statement,
    swap,
    tlog,
    train,
    x402,
)
from troth.cli.parts import (
    Asked,
    Believed,
    Coded,
    Json,
    Opener,
    Unasked,
    Where,
    a_did,
    app,
    chain_app,
    claim_body,
    claim_id,
    deal_app,
    deal_id,
    log_app,
    passphrase,
    read_file,
    role_and_claim,
    show,
    visible,
    workspace,
    write_file,
)
from troth.core.errors import BadInput, Misuse, TrothError, Undecidable


@app.command()
def init(directory: Annotated[Path, typer.Argument(help="Where; here by default.")] = Path(),
         as_json: Json = False) -> None:
    """Make a workspace with a new hybrid identity."""
    from troth.app import Troth  # start-up time, as above

    with Troth.init(directory, passphrase()) as party:
        show({"workspace": str(party.root), "did": party.did, "account": "0x" + party.account.hex()}, as_json)


@app.command()
def demo(story: Annotated[str, typer.Argument(help="consortium or person.")] = "consortium",
         out: Annotated[Path, typer.Option("--out", help="Where its results go.")] = Path("out"),
         cheat: Annotated[str | None, typer.Option("--cheat", help="Of the consortium: aggregator, hospital, verifier "
                                                   "or none. Of the person: all or none.")] = None,
         seed: Annotated[int, typer.Option("--seed", help="Which split of the consortium's records.")] = 1,
         study: Annotated[bool, typer.Option("--study", help="Only the 20-split table of accuracies.")] = False,
         as_json: Json = False) -> None:
    """Tell a story, all of it real: hospitals train a model together, or one person sells, hires and sends an agent."""
    from rich.console import Console  # start-up time, as above

    console = Console(stderr=as_json)
    if story not in ("consortium", "person"):
        raise Misuse("no such story", expected="consortium or person", actual=story)
    if story == "person":
        from troth.cli import person_demo  # start-up time

        if study:
            raise Misuse("this story has no study", do="Leave --study out.")
        summary = person_demo.tell(out, cheat or "all", console)
    else:
        from troth.cli import demo as demos  # start-up time

        summary = demos.study(console) if study else demos.tell(out, cheat or "aggregator", console, seed)
    if as_json:
        show(summary, True)


@log_app.command("register")
def log_register(home: Where = None, as_json: Json = False) -> None:
    """Begin this log's entry in the chain's registry of owners."""
    with workspace(home) as party:
        show({"entry": party.register_log().hex(), "origin": party.log.origin}, as_json)


@app.command()
def add(path: Path, seal: Annotated[bool, typer.Option("--seal", help="Seal it to this party.")] = False,
        to: Annotated[list[str] | None, typer.Option("--to", help="And to this DID.")] = None,
        home: Where = None, as_json: Json = False) -> None:
    """Keep a file's bytes by CID. Says so where its author wishes that it be not trained on."""
    from troth.app.content import forbids_training  # start-up time, as above

    with workspace(home) as party:
        found = party.add(path.name, read_file(path), tuple(to or ()) if seal or to else None)
        who = forbids_training(path)
        if who is not None:
            typer.echo(visible(f"{path} is not to be trained on, says {who}"), err=True)
        show(asdict(found) | ({} if who is None else {"training": "notAllowed"}), as_json, lambda: found.cid)


@app.command()
def get(cid: str, output: Annotated[Path, typer.Option("-o", "--output")], home: Where = None,
        as_json: Json = False) -> None:
    """Write the bytes of a CID to a file, unsealed where this party may."""
    with workspace(home) as party:
        data = party.get(cid)
        write_file(output, data)
        show({"cid": cid, "bytes": len(data), "output": str(output)}, as_json)


@app.command()
def erase(listing: str, home: Where = None, as_json: Json = False) -> None:
    """Destroy the data of a listing of this party, and attest that."""
    with workspace(home) as party:
        show({"claim": party.erase(claim_id(party, listing)).hex()}, as_json)


@app.command()
def attest(kind: str, subject: Annotated[list[Path], typer.Option("--subject", help="A file the claim is about.")],
           body: Annotated[str, typer.Option("--body", help="JSON, or @FILE.")] = "{}",
           ref: Annotated[list[str] | None, typer.Option("--ref", help="ROLE=CLAIM.")] = None,
           evidence: Annotated[list[str] | None, typer.Option("--evidence", help="A CID in the store.")] = None,
           home: Where = None, as_json: Json = False) -> None:
    """Sign a claim about files and append it to the log."""
    from troth.app import file_subject  # start-up time, as above
    from troth.core.claims import Ref  # start-up time

    if kind == "listing":
        from troth.app.content import refuse_untrainable  # start-up time, as above

        refuse_untrainable(subject)
    said = claim_body(read_file(Path(body[1:])) if body.startswith("@") else body.encode(errors="replace"))
    with workspace(home) as party:
        refs = [Ref(*role_and_claim(item, party)) for item in ref or ()]
        claim = party.attest(kind, [file_subject(path.name, read_file(path)) for path in subject], said, refs=refs,
                             evidence=[party.stored(cid) for cid in evidence or ()])
        show({"claim": claim.hex()}, as_json, claim.hex)


@log_app.command("checkpoint")
def log_checkpoint(home: Where = None, as_json: Json = False) -> None:
    """The newest signed checkpoint."""
    with workspace(home) as party:
        note = party.log.note().decode()
        show({"checkpoint": note}, as_json, lambda: note.rstrip("\n"))


@log_app.command("anchor")
def log_anchor(home: Where = None, as_json: Json = False) -> None:
    """Put the newest checkpoint on chain."""
    with workspace(home) as party:
        show({"transaction": "0x" + party.anchor().hex(), "size": party.log.size}, as_json)


@app.command()
def push(peer: Annotated[str, typer.Argument(help="The peer's DID.")],
         claim: Annotated[list[str], typer.Argument(help="Claims to hand over, with their evidence.")],
         only: Annotated[bool, typer.Option("--only", help="The claims alone, without what they rest on.")] = False,
         home: Where = None, as_json: Json = False) -> None:
    """Hand claims to a peer through the exchange, with their evidence and the claims that they rest on, so that the
    peer can check and bundle them. It sees all of that, whoever made it. What is not here is named, and does not go.
    """
    from troth.app.handing import push  # start-up time, as above

    with workspace(home) as party:
        went = push(party, a_did(peer), [claim_id(party, item) for item in claim], only=only)
        rests = len(went.claims) - went.named
        show({"sent": len(went.claims), "rests_on": rests, "bytes": went.size, "to": peer,
              "missing": [one.hex() for one in went.missing]}, as_json, lambda: "\n".join([
                  f"{len(went.claims)} claims handed over, {rests} of them because the others rest on them; "
                  f"{went.size} bytes", *(f"rests on {one.hex()}, which cannot be sent from here"
                                          for one in went.missing)]))


@app.command()
def pull(home: Where = None, as_json: Json = False) -> None:
    """Take in what others handed over, after checking it."""
    with workspace(home) as party:
        new = party.receive()
        refused = [f"{path.name}: {error}" for path, error in party.refused]
        show({"new": [claim.hex() for claim in new], "refused": refused}, as_json,
             lambda: "\n".join([f"{len(new)} new claims", *refused]))


@app.command()
def bundle(target: str, output: Annotated[Path, typer.Option("-o", "--output")],
           plain: Annotated[bool, typer.Option("--plain", help="Without cosignatures, for readers who pin no "
                                               "witness.")] = False,
           home: Where = None, as_json: Json = False) -> None:
    """Write a claim, what it rests on and the proofs into one file."""
    with workspace(home) as party:
        show({"claims": party.bundle(claim_id(party, target), output, plain=plain), "output": str(output)}, as_json)


@app.command()
def verify(file: Path, trust: Believed = None, as_party: Opener = None, registry: Asked = None,
           offline: Annotated[bool, typer.Option("--offline", help="Reach for nothing outside the file.")] = False,
           signature: Annotated[Path | None, typer.Option("--signature", help="A detached signature; FILE.troth-sig "
                                                          "beside it by default.")] = None,
           by: content.By = None, code: Coded = None, as_json: Json = False) -> None:
    """Check a bundle, or a file with its detached signature: numbered steps, and one of upheld, refuted, undecidable,
    pending.
    """
    from troth.app import verify_bundle  # start-up time, as above
    from troth.cli.show import print_report  # start-up time
    from troth.verify.trust import Trust

    if offline and (as_party or registry):
        raise Misuse("--offline reaches for nothing outside the file", do="Leave out --as, --registry or --offline.")
    believed = None if trust is None else Trust.from_bytes(read_file(trust))
    if code is not None:
        from troth.learn.code import give  # start-up time, as above

        give(code)
    beside = content.detached(file, signature, by)
    if beside is not None:
        from troth.app.content import believed as whom  # start-up time, as above
        from troth.app.content import verify_file  # start-up time

        raise typer.Exit(print_report(verify_file(file, beside, whom(believed, by or ())), as_json))
    party = None if as_party is None else workspace(as_party)
    known = None if registry is None else workspace(registry).registered
    raise typer.Exit(print_report(verify_bundle(file, believed, party, known), as_json))


@app.command("trust")
def write_trust(policy: Annotated[str, typer.Option("--policy", help="attested or federated-model, or @FILE: JSON "
                                                    "with a name and settings.")],
                output: Annotated[Path, typer.Option("-o", "--output")],
                role: Annotated[list[str] | None, typer.Option("--role", help="ROLE=DID, for each issuer you believe."),
                                ] = None,
                witness: Annotated[list[str] | None, typer.Option("--witness", help="A witness's vkey.")] = None,
                threshold: Annotated[int | None, typer.Option("--threshold", min=0, help="How many of the witnesses "
                                                              "must have signed; all by default.")] = None,
                home: Where = None, as_json: Json = False) -> None:
    """Write a trust file: these issuers, their documents as known here, this log, this chain as it is now."""
    from troth.ledger.checkpoints import Verifier  # start-up time, as above
    from troth.verify.trust import Witnesses  # start-up time

    keys = tuple(Verifier.from_vkey(one) for one in witness or ())
    roles: dict[str, list[str]] = {}
    for item in role or ():
        name, equals, did = item.partition("=")
        if not equals:
            raise Misuse("a role needs a DID", expected="ROLE=DID", actual=item)
        roles.setdefault(name, []).append(did)
    with workspace(home) as party:
        settings = claim_body(read_file(Path(policy[1:]))) if policy.startswith("@") else {"name": policy}
        write_file(output, party.trust(roles, party.log_pin(), settings, Witnesses(
            len(keys) if threshold is None else threshold, keys)).to_bytes())
        show({"output": str(output)}, as_json)


@app.command()
def trace(target: str, html: Annotated[Path | None, typer.Option("--html", help="Also as a page.")] = None,
          home: Where = None, as_json: Json = False) -> None:
    """What a claim rests on, and what of it is stale because data was erased or a consent withdrawn."""
    from troth.web.graph import trace_page  # start-up time, as above

    with workspace(home) as party:
        graph = party.trace(claim_id(party, target))
        if html is not None:
            write_file(html, trace_page(graph.json()).encode())
        show(graph.json(), as_json, lambda: "\n".join(
            f"{'  ' * node.depth}{node.statement.kind if node.statement else '(not here)'} {node.id.hex()[:16]}"
            f"{'  ' * bool(node.state)}{node.state}" for node in graph.nodes))


@deal_app.command("list")
def deal_list(status: Annotated[str | None, typer.Option("--status", help="funding, running, closed or void.")] = None,
              mine: Annotated[bool, typer.Option("--mine", help="Only those that name this party.")] = False,
              newest: Annotated[int | None, typer.Option("--newest", min=1, help="Only so many.")] = None,
              offline: Unasked = False, home: Where = None, as_json: Json = False) -> None:
    """The deals of the Book, oldest first, as of the chain's last block."""
    from troth.cli.deals import Catching, as_of_json, line_json, lines  # start-up time, as above

    with workspace(home) as party:
        # A text that is no status is refused there.
        as_of, found = party.deals(status=status, mine=mine, newest=newest, offline=offline,  # type: ignore[arg-type]
                                   progress=Catching())
        show({"as_of": as_of_json(as_of), "deals": [line_json(one) for one in found]}, as_json,
             lambda: lines(as_of, found))


@deal_app.command("show")
def deal_show(deal: str, offline: Unasked = False, home: Where = None, as_json: Json = False) -> None:
    """Where a deal stands, as of the chain's last block; and which consents that it rests on were withdrawn."""
    from troth.app.consents import withdrawn_under  # start-up time, as above
    from troth.app.peers import whose
    from troth.cli.deals import Catching, page, whole

    with workspace(home) as party:
        as_of, found = party.deal(deal_id(party, deal, offline=offline), offline=offline, progress=Catching())
        gone = withdrawn_under(party, found.id, [entry.claim for entry in found.state.history if entry.claim])
        show(whole(as_of, found) | {"withdrawn_consents": gone}, as_json,
             lambda: "\n".join([page(as_of, found, whose(party)), *(f"consent withdrawn: {one}" for one in gone)]))


@chain_app.command("status")
def chain_status(home: Where = None, as_json: Json = False) -> None:
    """Which chain, how far it is, and what this party holds there of the token that its contracts name, if any."""
    from troth.ledger.erc20 import Erc20  # start-up time

    with workspace(home) as party:
        web3 = party.chain.web3
        block = web3.eth.get_block("latest")
        said = {"id": web3.eth.chain_id, "block": block["number"], "hash": block["hash"].hex(),
                "time": block["timestamp"], "account": "0x" + party.account.hex()}
        with suppress(Undecidable, BadInput):  # no contracts, or those of another chain
            token = party.contracts.named.get("token")
            if token is not None:
                said["holds"] = str(Erc20(web3, token.address).balance(party.account))
        show(said, as_json)


@chain_app.command("pay")
def chain_pay(to: Annotated[str, typer.Argument(help="The account: 0x and 40 hex digits.")],
              amount: Annotated[int, typer.Argument(min=1, help="In the token's smallest unit.")],
              home: Where = None, as_json: Json = False) -> None:
    """Pay somebody units of the token that the contracts name, such as the play money of deploy --supply. No deal holds
    them: what is paid so is gone.
    """
    from troth.core.encoding import from_hex  # start-up time
    from troth.ledger.erc20 import Erc20

    payee = from_hex(to.removeprefix("0x").lower(), 20)
    with workspace(home) as party:
        coin = Erc20(party.chain.web3, party.contracts["token"].address)
        coin.transfer(party.sender, payee, amount)
        show({"to": "0x" + payee.hex(), "paid": str(amount), "holds": str(coin.balance(party.account))}, as_json)


@chain_app.command("deploy")
def chain_deploy(supply: Annotated[int | None, typer.Option("--supply", min=1, help="Units of a demonstration token, "
                                                            "paid to this party; no token otherwise.")] = None,
                 home: Where = None, as_json: Json = False) -> None:
    """Put the contracts on this workspace's chain, and use them."""
    with workspace(home) as party:
        named = party.deploy(supply=supply).named
        show({name: "0x" + one.address.hex() for name, one in named.items()}, as_json)


def called(words: list[str]) -> typer.Typer:
    """The command line, or only what is called of it: Typer makes every command of a tree before it runs one."""
    groups = [one for one in app.registered_groups if words[:1] == [one.name]]
    if not groups:
        return app
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.registered_groups = groups
    return alone


def main() -> None:
    """Run a command; errors go to stderr with what to do next, and set the exit status."""
    try:
        called(sys.argv[1:])()
    except TrothError as error:
        typer.echo(visible(f"troth: {error}"), err=True)
        raise SystemExit(error.exit_status) from None


if __name__ == "__main__":
    main()
