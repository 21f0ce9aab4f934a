"""Jobs: offer work or a machine, order, do, deliver, review, be paid (docs/reference/jobs.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, claim_id, read_file, show, workspace, write_file
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.compute.runners import Ran
    from troth.flows.job_claims import Opinion
    from troth.flows.job_market import Gpu, Match

job_app = typer.Typer(no_args_is_help=True, help="Work and computing for pay: order, result, review.")
app.add_typer(job_app, name="job")
Claim = Annotated[str, typer.Argument(help="The order's claim.")]
Part = Annotated[int, typer.Option("--milestone", min=0, help="Which milestone: 0 for the first.")]
By = Annotated[str, typer.Option("--runner", help="process, wasm, sandbox or ray; by the job's form otherwise.")]
Why = Annotated[str, typer.Option("--why", help="For people to read.")]
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@job_app.command()
def offer(does: Annotated[list[str], typer.Option("--does", help="wasm, program, python, binary, function, work or "
                                                  "review; any number of times.")],
          price: Annotated[int, typer.Option("--price", min=0, help="The least for a job, in the token's smallest "
                                             "unit.")],
          stake: Annotated[int, typer.Option("--stake", min=0, help="The most that is deposited for a job.")],
          minute: Annotated[int, typer.Option("--minute", min=0, help="Besides, for each minute of its limit.")] = 0,
          cpus: Annotated[int, typer.Option("--cpus", min=1, help="Processors.")] = 1,
          memory: Annotated[str, typer.Option("--memory", help="Such as 4GiB.")] = "1GiB",
          gpu: Annotated[list[str] | None, typer.Option("--gpu", metavar="NAME[=MEMORY]",
                                                        help="A graphics card.")] = None,
          days: Annotated[int, typer.Option("--days", min=1, help="How long the offer is good for.")] = 30,
          note: Annotated[str, typer.Option("--note", help="For people to read.")] = "",
          to: Annotated[list[str] | None, typer.Option("--to", help="Hand it to this DID.")] = None,
          home: Where = None, as_json: Json = False) -> None:
    """Offer to do jobs, or to review them. A newer offer replaces an older one."""
    # Imported here and below: start-up of --help must not load chains.
    from troth.app import jobs
    from troth.flows.job_market import Provider

    with workspace(home) as party:
        said = Provider(party.account, tuple(does), cpus, _bytes(memory), tuple(map(_gpu, gpu or ())),
                        party.contracts["token"].address, price, minute, stake, party.chain.now() + days * 86_400, note)
        show({"claim": jobs.offer(party, said, to or ()).hex()}, as_json)


@job_app.command()
def find(does: Annotated[str, typer.Argument(help="wasm, program, python, binary, function, work or review.")],
         price: Annotated[int, typer.Option("--price", min=1, help="The most that is paid.")],
         stake: Annotated[int, typer.Option("--stake", min=0, help="That must be deposited; three times the price "
                                            "otherwise.")] = 0,
         cpus: Annotated[int, typer.Option("--cpus", min=1, help="Processors.")] = 1,
         memory: Annotated[str, typer.Option("--memory", help="Such as 4GiB.")] = "1B",
         gpu: Annotated[str, typer.Option("--gpu", help="Part of a graphics card's name.")] = "",
         seconds: Annotated[int, typer.Option("--seconds", min=1, help="The job's limit.")] = 60,
         home: Where = None, as_json: Json = False) -> None:
    """The offers that are here, those that fit first, with how each provider's jobs ended."""
    from troth.app import jobs  # start-up time
    from troth.flows.job_market import Needs

    with workspace(home) as party:
        needs = Needs(does, party.contracts["token"].address, price, stake or 3 * price, cpus, _bytes(memory), gpu,
                      seconds)
        found = [_match(one) for one in jobs.find(party, needs)]
        show({"offers": found}, as_json, lambda: "\n".join(
            f"{one['did']}  {one['price']}  done {one['done']}  lost {one['lost']}  {one['why'] or 'fits'}"
            for one in found) or "no offers here")


@job_app.command()
def order(file: Annotated[Path, typer.Argument(help="A JOB.toml.")], home: Where = None,
          as_json: Json = False) -> None:
    """Order a job: deposit the price of its first milestone, and hand the sealed order to everybody it names."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        claim, made = jobs.order(party, jobs.load(file))
        show({"claim": claim.hex(), "provider": made.provider.did, "deal": made.deal(0).hex()}, as_json)


@job_app.command()
def fund(claim: Claim, milestone: Part, home: Where = None, as_json: Json = False) -> None:
    """The client deposits the price of a later milestone."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        show({"deal": jobs.fund(party, claim_id(party, claim), milestone).hex()}, as_json)


@job_app.command()
def take(claim: Claim, milestone: Part = 0, home: Where = None, as_json: Json = False) -> None:
    """Look at an order, and deposit this party's stake as its provider or a reviewer."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        show({"deposited": str(jobs.take(party, claim_id(party, claim), milestone))}, as_json)


@job_app.command()
def do(claim: Claim, milestone: Part = 0, by: By = "", home: Where = None, as_json: Json = False) -> None:
    """Execute a job as its provider, take the seat, and deliver. A job that does not end well here is not taken."""
    from troth.app import jobs  # start-up time
    from troth.compute.runners import runner

    with workspace(home) as party:
        mine, ran = jobs.do(party, claim_id(party, claim), milestone, runner(by) if by else None)
        show({"result": mine.hex()} | _ran(ran), as_json)


@job_app.command()
def deliver(claim: Claim, file: Annotated[Path, typer.Argument(help="What was made; what it was before, where a review "
                                                               "was asked for.")],
            milestone: Part = 0, note: Why = "", home: Where = None, as_json: Json = False) -> None:
    """Deliver work, sealed to the client and the reviewers; or show it again where a review was asked for."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        show({"result": jobs.deliver(party, claim_id(party, claim), read_file(file), milestone, note).hex()}, as_json)


@job_app.command()
def get(claim: Claim, output: Annotated[Path, typer.Option("-o", "--output")], milestone: Part = 0,
        home: Where = None, as_json: Json = False) -> None:
    """Write what was delivered to a file, after comparing it with the result's digest."""
    from troth.flows import job as flow  # start-up time

    with workspace(home) as party:
        data = flow.output_of(party, flow.order_of(party, claim_id(party, claim)), milestone)
        write_file(output, data)
        show({"bytes": len(data), "output": str(output)}, as_json)


@job_app.command()
def check(claim: Claim, milestone: Part = 0, by: By = "", home: Where = None, as_json: Json = False) -> None:
    """Execute a delivered job again: 0 the same, 1 another. Nothing is sent."""
    from troth.app import jobs  # start-up time
    from troth.compute.runners import runner
    from troth.core.terms import UPHELD

    with workspace(home) as party:
        found = jobs.check(party, claim_id(party, claim), milestone, runner(by) if by else None)
    if found.outcome != UPHELD:
        raise Refuted(found.why, do="Refuse it within the window (troth job refuse).")
    show({"outcome": "upheld", "why": found.why}, as_json)


@job_app.command()
def refuse(claim: Claim, why: Annotated[str, typer.Option("--why", help="For the reviewers to read.")],
           milestone: Part = 0, home: Where = None, as_json: Json = False) -> None:
    """Ask the reviewers, within the window: with a bond, which is lost if they uphold the result."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        show({"review": jobs.refuse(party, claim_id(party, claim), milestone, why).hex()}, as_json)


@job_app.command()
def review(claim: Claim, accept: Annotated[bool | None, typer.Option("--accept/--refuse", help="Of work.")] = None,
           why: Why = "", confidence: Annotated[int, typer.Option("--confidence", min=0, max=10_000,
                                                                  help="In parts of 10,000.")] = 10_000,
           milestone: Part = 0, by: By = "", home: Where = None, as_json: Json = False) -> None:
    """What is next for a reviewer: take the seat, then judge; computing is executed again, committed to, revealed."""
    from troth.app import jobs  # start-up time
    from troth.compute.runners import runner

    with workspace(home) as party:
        opinion = None if accept is None else _opinion(accept, why, confidence)
        did = jobs.review(party, claim_id(party, claim), milestone, opinion, runner(by) if by else None)
        show({"did": did}, as_json)


@job_app.command()
def settle(claim: Claim, milestone: Part = 0, home: Where = None, as_json: Json = False) -> None:
    """Judge what is due, and close: everybody is paid by what was found. Anybody may."""
    from troth.app import jobs  # start-up time
    from troth.flows import job as flow

    with workspace(home) as party:
        flow.settle(party, claim_id(party, claim), milestone)
        show(jobs.standing(party, claim_id(party, claim))["milestones"][milestone], as_json)


@job_app.command("show")
def show_job(claim: Annotated[str, typer.Argument(help="The order's claim; all orders of this party otherwise.")] = "",
             home: Where = None, as_json: Json = False) -> None:
    """Orders of this party, or how one stands."""
    from troth.app import jobs  # start-up time

    with workspace(home) as party:
        found = [jobs.standing(party, one) for one in ([claim_id(party, claim)] if claim else jobs.orders(party))]
        show(found[0] if claim else {"orders": found}, as_json, lambda: "\n".join(map(_text, found)) or "no orders")


@job_app.command()
def run(code: Annotated[Path, typer.Argument(help="A module, a script, a program or a binary.")],
        given: Annotated[Path | None, typer.Argument(metavar="[INPUT]", help="What it reads; nothing "
                                                     "otherwise.")] = None,
        by: By = "", form: Annotated[str, typer.Option("--form", help="wasm, program, python or binary; by the file's "
                                                       "name and first bytes otherwise.")] = "",
        output: Annotated[Path | None, typer.Option("-o", "--output", help="Where its output goes; printed "
                                                    "otherwise.")] = None,
        seconds: Annotated[int, typer.Option("--seconds", min=1)] = 60,
        memory: Annotated[str, typer.Option("--memory", help="Such as 256MiB.")] = "256MiB",
        disk: Annotated[str, typer.Option("--disk", help="Such as 64MiB.")] = "64MiB",
        processes: Annotated[int, typer.Option("--processes", min=1)] = 1,
        fuel: Annotated[int, typer.Option("--fuel", min=1, help="Of WebAssembly.")] = 10_000_000_000,
        as_json: Json = False) -> None:
    """Execute a job here, under limits, for oneself: no deal, no workspace. Ends with 1 where the job failed."""
    from troth.app import jobs  # start-up time
    from troth.compute.runners import Job, Limits

    data = read_file(code)
    limits = Limits(seconds, _bytes(memory), _bytes(disk), processes, fuel=fuel)
    ran = jobs.run(Job(form or _form(code, data), data, read_file(given) if given else b"", limits), by)
    if output is not None:
        write_file(output, ran.output)
    said = _ran(ran) | ({"output": str(output)} if output else {"output": ran.output.hex()} if as_json else {})
    if ran.ending != "done":
        raise Refuted(f"the job has {ran.ending}: {ran.why}", actual=f"after {ran.milliseconds} ms")
    show(said, as_json, lambda: "" if output else ran.output.decode("utf-8", "backslashreplace"))


def _form(path: Path, data: bytes) -> str:
    """What a file is, by its first bytes, else its name. Raises Misuse."""
    for begin, form in ((b"\0asm", "wasm"), (b"\x7fELF", "binary")):
        if data.startswith(begin):
            return form
    named = {".wasm": "wasm", ".py": "python", ".json": "program"}
    if path.suffix not in named:
        raise Misuse("what this is cannot be told", actual=path.name, do="Say it with --form.")
    return named[path.suffix]


def _opinion(accept: bool, why: str, confidence: int) -> Opinion:
    from troth.core.terms import REFUTED, UPHELD  # start-up time
    from troth.flows.job_claims import Opinion

    if not accept and not why:
        raise Misuse("a refusal without a reason", do="Say --why.")
    return Opinion(UPHELD if accept else REFUTED, why, confidence)


def _bytes(text: str) -> int:
    digits = text.rstrip("BKMGTi")
    unit = text[len(digits) :]
    if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
        raise BadInput("not a size", expected="a number of bytes, KiB, MiB, GiB or TiB", actual=text)
    return int(digits) * _UNITS[unit]


def _gpu(text: str) -> Gpu:
    from troth.flows.job_market import Gpu  # start-up time

    name, _, memory = text.partition("=")
    return Gpu(name, _bytes(memory or "0"))


def _match(one: Match) -> dict[str, Any]:
    return {"did": one.did, "price": str(one.price), "done": one.record.done, "lost": one.record.lost, "why": one.why,
            "processors": one.offer.processors, "memory": one.offer.memory,
            "gpus": [card.name for card in one.offer.gpus], "note": one.offer.note}


def _ran(ran: Ran) -> dict[str, Any]:
    return {"ending": ran.ending, "why": ran.why, "fuel": ran.fuel, "milliseconds": ran.milliseconds,
            "bytes": len(ran.output), "same_everywhere": ran.same}


def _text(found: Mapping[str, Any]) -> str:
    lines = [f"{found['claim']}  {found['form']}, review {found['review']}: {found['what']}"]
    for part in found["milestones"]:
        until = f" until {moment(part['due'], int(time.time()))}" if part["due"] is not None else ""
        asked = f", waits for {part['asked'] or 'seats'}{until}" if part["asked"] or until else ""
        missing = f", {len(part['missing'])} seats not taken" if part["missing"] else ""
        ended = f", {part['outcome']}" if part["outcome"] else ""
        lost = f", {len(part['slashed'])} lost their stakes" if part["slashed"] else ""
        lines.append(f"  {part['name']}: {part['price']}, {part['status']}{asked}{missing}{ended}{lost}")
    return "\n".join(lines)
