"""Commands for an agent at work: run, journal, watch, stop, card, and Troth's tools over MCP."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.agent import agent_app
from troth.cli.parts import Json, Where, show, workspace, write_file
from troth.core.errors import Misuse, TrothError

if TYPE_CHECKING:
    from troth.agents.brain import Seen
    from troth.agents.mcp import Peer
    from troth.app import Troth
    from troth.app.agent import Board

SECOND = 1.0
KEY = "TROTH_MODEL_KEY"
Account = Annotated[str | None, typer.Option("--account", help="The policy account: 0x and 40 hex digits.")]
Whose = Annotated[str, typer.Option("--account", help="The policy account: 0x and 40 hex digits.")]


Words = Annotated[str | None, typer.Argument(help="What you want, in your words. Amounts and accounts that money may "
                                             "move by must stand here.")]
Deciding = Annotated[str, typer.Option("--brain", help="script:FILE, host:NAME, or an endpoint's address.")]
Peers = Annotated[list[str] | None, typer.Option("--peer", help="NAME=URL or NAME=COMMAND: another's MCP server, whose "
                                                 "tools it may use.")]
Owners = Annotated[list[str] | None, typer.Option("--owner", help="Your DID: it reads the reasons, and what it signs "
                                                  "counts as your words.")]
Signers = Annotated[list[str] | None, typer.Option("--signer", help="A DID whose signed claims may say where money "
                                                   "goes, such as a seller's. It is shown nothing.")]
Verifiers = Annotated[list[str] | None, typer.Option("--verifier", help="NAME=URL or NAME=COMMAND of who serves troth "
                                                     "agent verifier: asked how sure it is of each act.")]
Evaluators = Annotated[list[str] | None, typer.Option("--evaluator", help="A DID whose evaluations decide which "
                                                      "listing it may buy on the market.")]
Inspectors = Annotated[list[str] | None, typer.Option("--believe", help="A DID that may inspect a sale.")]
Elsewhere = Annotated[bool, typer.Option("--elsewhere", help="The model may be on another machine: it is shown all "
                                         "that the agent reads.")]
Judging = Annotated[str, typer.Option("--brain", help="What decides, as for run. Without one: payee and amount must "
                                      "stand in the owner's words.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="Over HTTP on 127.0.0.1; 0 for any free "
                                          "one. Over standard input and output without.")]
Places = Annotated[list[str] | None, typer.Option("--place", help="BINDING=URL where it is reached, such as "
                                                  "MCP=http://127.0.0.1:PORT/mcp.")]


@agent_app.command("run")
def agent_run(words: Words = None, brain: Deciding = "",
              model: Annotated[str, typer.Option("--model", help="Of an endpoint.")] = "",
              account: Account = None,
              run: Annotated[str | None, typer.Option("--run", help="Go on with this run.")] = None,
              say: Annotated[list[str] | None, typer.Option("--say", help="A kind of claim it may sign.")] = None,
              peer: Peers = None, verifier: Verifiers = None, owner: Owners = None, signer: Signers = None,
              most: Annotated[int, typer.Option("--most", min=1, help="Steps.")] = 60,
              buys: Annotated[bool, typer.Option("--buys", help="It may buy over x402, within this workspace's "
                                                 "budget.")] = False,
              evaluator: Evaluators = None, believe: Inspectors = None, elsewhere: Elsewhere = False,
              home: Where = None, as_json: Json = False) -> None:
    """Let this workspace's agent do what you ask. TROTH_MODEL_KEY: an endpoint's key. Killed, it goes on with --run.

    Prints what became of each step that was taken now, how many acts of the run were done, and then the brain's own
    word, which proves nothing. Exit status: 0 an act was done, or it only read; 1 it tried and none was done; 3 nobody
    can say whether one was; 4 not finished.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.agents.loop import nobody
    from troth.agents.second import voices
    from troth.app.agent import Given, Reporter, account_arg, acts_of, brain_of, loop_of, run_id, run_status, runs_of
    from troth.app.shopping import Purse, shopping

    if not brain:
        raise Misuse("an agent needs a brain", expected="--brain script:FILE, host:NAME or an address")
    if words is None and run is None:
        raise Misuse("nothing is asked of the agent", expected="your words, or --run of one that was cut short")
    deciding = brain_of(brain, model, os.environ.get(KEY), elsewhere)
    with workspace(home) as party, runs_of(party) as runs, ExitStack() as stack:
        this = run_id(run)
        if words is None:
            words = dict(runs.open_runs()).get(this)
            if words is None:
                raise Misuse("no such run is open here", actual=this.hex(), do="Say what you want.")
        more = [tool for one in peer or () for tool in _peer(stack, one).tools()]
        second = voices([_peer(stack, one) for one in verifier]) if verifier else nobody
        if evaluator:
            if account is None:
                raise Misuse("buying takes an account to pay from", expected="--account 0x…", actual="none")
            more += shopping(party, Purse(account_arg(account), tuple(evaluator), tuple(believe or ())))
        given = Given(None if account is None else account_arg(account), tuple(say or ()), more, second,
                      owners=tuple(owner or ()), signers=tuple(signer or ()), evaluators=tuple(evaluator or ()),
                      buys=buys)
        typer.echo(f"run {this.hex()}", err=True)
        reporter, taken = Reporter(party, given.owners, this), list[dict[str, Any]]()

        def watching(n: int, seen: Seen) -> None:
            reporter(n, seen)
            taken.append({"step": n, "tool": seen.call.tool, "done": seen.done, "said": seen.text})

        loop = loop_of(party, deciding, runs, given)
        ended = loop.run(this, words, most=most, watching=watching)
        reporter.send()
        became = acts_of(loop, this)
        show({"run": this.hex(), "finished": ended.finished, "steps": ended.steps, "text": ended.text,
              "taken": taken, "acts": became}, as_json, lambda: "\n".join([
                  *(f"{one['tool']}: {'done' if one['done'] else 'not done, ' + one['said']}" for one in taken),
                  "acts: " + (", ".join(f"{n} {what}" for what, n in became.items() if n) or "none"),
                  f"{'the brain is done' if ended.finished else 'not finished'}, {ended.steps} steps; its word: "
                  f"{ended.text}"]))
        if status := run_status(ended.finished, became):
            raise typer.Exit(status)


def _peer(stack: ExitStack, text: str) -> Peer:
    from troth.agents.mcp import Peer  # start-up time, as above

    name, equals, where = text.partition("=")
    if not equals or not where:
        raise Misuse("another's tools need a name and a place", expected="NAME=URL or NAME=COMMAND", actual=text)
    peer = Peer.over_http(name, where) if where.startswith(("http://", "https://")) \
        else Peer.over_stdio(name, shlex.split(where))
    return stack.enter_context(peer)


@agent_app.command("journal")
def agent_journal(account: Account = None,
                  agent: Annotated[str | None, typer.Option("--agent", help="Only this agent's: a DID.")] = None,
                  home: Where = None, as_json: Json = False) -> None:
    """What agents did, by the claims in this log. With --account, also what the account recorded and no claim tells:
    then the answer is refuted.
    """
    from troth.app.agent import account_arg, board, board_json  # start-up time, as above

    with workspace(home) as party:
        found = board(party, None if account is None else account_arg(account), agent)
        show(board_json(found), as_json, lambda: _lines(found))
        if found.unclaimed:
            raise typer.Exit(1)


def _lines(found: Board) -> str:
    lines = []
    for one in found.entries:
        payment, outcome = one.intent.payment, one.outcome
        what = f" {payment.amount} to 0x{payment.payee.hex()}" if payment else ""
        end = "under way" if outcome is None else f"{outcome.outcome} {outcome.reason}".strip()
        lines.append(f"{one.claim.hex()[:16]}  {one.intent.tool}{what}: {end}")
    lines += [f"in no journal here: {one.what}, act {one.nonce}" for one in found.unclaimed]
    return "\n".join(lines or ["nothing yet"])


@agent_app.command("watch")
def agent_watch(account: Whose, once: Annotated[bool, typer.Option("--once", help="Draw it once.")] = False,
                home: Where = None, as_json: Json = False) -> None:
    """The account's limits, the journal, and a stop button: s stops the account, if this workspace is its owner's; q
    leaves.
    """
    # Imported here: start-up of --help must not load the application or the drawing.
    from rich.console import Console
    from rich.live import Live

    from troth.app.agent import account_arg, board, board_json
    from troth.cli.watching import draw, keys

    address = account_arg(account)
    with workspace(home) as party:
        if once or as_json:
            found = board(party, address)
            if as_json:
                show(board_json(found), True)
            else:
                Console().print(draw(found))
            return
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise Misuse("watching takes a terminal", expected="a terminal, --once or --json")
        told = ""
        with keys() as key, Live(draw(board(party, address)), auto_refresh=False, screen=True) as live:
            while True:
                pressed = key(SECOND)
                if pressed == "q":
                    return
                if pressed == "s":
                    told = _stop(party, address)
                _take_in(party)
                live.update(draw(board(party, address), told), refresh=True)


def _stop(party: Troth, address: bytes) -> str:
    from troth.app.agent import stop  # start-up time, as above

    try:
        stop(party, address)
    except TrothError as error:
        return f"not stopped: {error.message}"
    return "stopped"


def _take_in(party: Troth) -> None:
    """What the agent sent of its journal; an exchange that is not there is no reason to stop watching."""
    if party.settings.exchange:
        party.receive()


@agent_app.command("stop")
def agent_stop(account: Whose, again: Annotated[bool, typer.Option("--resume", help="Let it act again.")] = False,
               home: Where = None, as_json: Json = False) -> None:
    """Stop an agent's account, from its owner's workspace: no act from now on."""
    from troth.app.agent import account_arg, stop  # start-up time, as above

    with workspace(home) as party:
        stop(party, account_arg(account), not again)
        show({"account": account, "stopped": not again}, as_json)


@agent_app.command("serve")
def agent_serve(port: Port = None, home: Where = None, as_json: Json = False) -> None:
    """Serve this workspace's reading verbs as tools over MCP, to programs of this machine. Nothing that they call signs
    or pays.
    """
    # Imported here: start-up of --help must not load the application or the protocol.
    from troth.agents.mcp import reads, serve_http, serve_stdio, server
    from troth.app.verbs import verbs

    with workspace(home) as party:
        tools = verbs(party)
        made = server(tools, reads(tools), f"troth: {party.name}")
        if port is None:
            serve_stdio(made)
        else:
            serve_http(made, port, lambda url: show({"url": url}, as_json, lambda: url))


@agent_app.command("verifier")
def agent_verifier(brain: Judging = "",
                   model: Annotated[str, typer.Option("--model", help="Of an endpoint.")] = "",
                   elsewhere: Elsewhere = False, port: Port = None, home: Where = None, as_json: Json = False) -> None:
    """Serve as a verifier of others' acts over MCP: asked how sure it is, it answers with this account's signature."""
    # Imported here: start-up of --help must not load the application or the protocol.
    from troth.agents.mcp import reads, serve_http, serve_stdio, server
    from troth.agents.second import asking, judging, plain
    from troth.agents.tools import Toolbox
    from troth.app.agent import brain_of

    judge = asking(brain_of(brain, model, os.environ.get(KEY), elsewhere)) if brain else plain
    with workspace(home) as party:
        tools = Toolbox([judging(judge, party.identity.account, lambda: party.chain.now())])
        made = server(tools, reads(tools), f"troth verifier: {party.name}")
        if port is None:
            serve_stdio(made)
        else:
            serve_http(made, port, lambda url: show({"url": url}, as_json, lambda: url))


@agent_app.command("card")
def agent_card(output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it there.")] = None,
               check: Annotated[Path | None, typer.Option("--check", help="Check another's card instead.")] = None,
               about: Annotated[str, typer.Option("--about", help="What the agent does.")] = "",
               place: Places = None, home: Where = None, as_json: Json = False) -> None:
    """This workspace's agent card for A2A, signed by its identity; or whether a card is its identity's."""
    from troth.agents.card import check_card  # start-up time, as above
    from troth.app.agent import card_of
    from troth.cli.parts import read_file

    if check is not None:
        did, found = check_card(read_file(check))
        show({"outcome": "upheld", "did": did, "name": found.get("name", "")}, as_json)
        return
    places = [one.partition("=")[::2] for one in place or ()]
    with workspace(home) as party:
        data = card_of(party, about, places)
        if output is not None:
            write_file(output, data)
        show({"did": party.did, "output": str(output) if output else "", "card": data.decode()}, as_json,
             lambda: f"{party.did}\n{output}" if output else data.decode())
