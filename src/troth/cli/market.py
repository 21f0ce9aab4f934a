"""Selling, finding and buying: data, annotations, models (docs/reference/selling.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import (
    Believed,
    Json,
    Where,
    a_did,
    app,
    claim_id,
    lasting,
    read_file,
    show,
    visible,
    workspace,
    write_file,
)
from troth.core.errors import Misuse, Pending

if TYPE_CHECKING:
    from troth.app import Troth

DAY, PAUSE = 86_400, 2.0
market_app = typer.Typer(no_args_is_help=True, help="Offers: find, check, evaluate, tend; and their licences.")
app.add_typer(market_app, name="market")
Offered = Annotated[str, typer.Argument(help="The offer's claim.")]
Whom = Annotated[list[str] | None, typer.Option("--believe", help="A DID whose word counts, as evaluator or verifier.")]
Wait = Annotated[int, lasting("--wait", "How long to go on for.", 0)]
Fit = Annotated[Path | None, typer.Option("--fit", help="Keys by which a sale's key is proven to fit: troth market "
                                          "fit-keys. Nothing is paid without such a proof.")]


@app.command()
def sell(path: Annotated[Path, typer.Argument(help="The data, annotations or model: it is sealed.")],
         price: Annotated[int, typer.Option("--price", min=1, help="In the token's smallest unit.")],
         verifier: Annotated[list[str], typer.Option("--verifier", help="A DID that inspects complaints; 2 or 3.")],
         purpose: Annotated[str, typer.Option("--purpose", help="What for: plain small letters.")],
         name: Annotated[str, typer.Option("--name", help="What it is called; the file's name by default.")] = "",
         card: Annotated[str, typer.Option("--card", help="What buyers must know: a text, or @FILE.")] = "",
         tag: Annotated[list[str] | None, typer.Option("--tag", help="A word to be found by.")] = None,
         form: Annotated[str, typer.Option("--form", help="csv, arrays, npz, model or bytes; by the suffix.")] = "",
         preview: Annotated[Path | None, typer.Option("--preview", help="Some of its rows, public.")] = None,
         days: Annotated[int, typer.Option("--days", min=1, help="How long the licence lasts.")] = 365,
         derivatives: Annotated[str, typer.Option("--derivatives", help="none, models or any.")] = "models",
         royalty: Annotated[int, typer.Option("--royalty", help="Basis points of what derivatives earn.")] = 0,
         transferable: Annotated[bool, typer.Option("--transferable", help="The licence may change hands.")] = False,
         ends: Annotated[int | None, typer.Option("--erasure-ends", help="An erasure ends the licence, and this many "
                                                  "basis points of the price are owed back.")] = None,
         persons: Annotated[bool, typer.Option("--persons", help="The data are about persons.")] = False,
         consent: Annotated[list[str] | None, typer.Option("--consent", help="A claim by which one consents.")] = None,
         stake: Annotated[int | None, typer.Option("--stake", help="What this party stakes; from the price.")] = None,
         to: Annotated[list[str] | None, typer.Option("--to", help="Hand the offer to this DID.")] = None,
         home: Where = None, as_json: Json = False) -> None:
    """Seal a file and offer it for a price. Only the card, the preview and the words become known."""
    # Imported here and below: start-up of --help must not load stores and chains.
    from troth.app import market
    from troth.flows.sale_words import FORMS, Licence

    suffix = path.suffix.removeprefix(".")
    licence = Licence(purpose, days * DAY, (), derivatives, royalty, transferable, "stays" if ends is None else "ends",
                      ends or 0)
    text = read_file(Path(card[1:])).decode() if card.startswith("@") else card
    to = [a_did(one) for one in to or ()]
    with workspace(home) as party:
        wish = market.Wish(name or path.name, price, licence, tuple(verifier), text, tuple(tag or ()),
                           form or {"onnx": "model"}.get(suffix, suffix if suffix in FORMS else "bytes"),
                           preview=b"" if preview is None else read_file(preview), persons=persons,
                           consents=tuple(claim_id(party, one) for one in consent or ()), stake=stake)
        offer = market.put_up(party, read_file(path), wish)
        if to:
            market.announce(party, offer, to)
        money = wish.money()
        show({"offer": offer.hex(), "load": f"troth://{offer.hex()}", "price": str(money.price),
              "stake": str(money.stake), "fee": str(money.fee), "bond": str(money.bond)}, as_json)


@app.command()
def buy(offer: Offered, trust: Believed = None, believe: Whom = None, wait: Wait = 0, fit: Fit = None,
        home: Where = None, as_json: Json = False) -> None:
    """Order, pay, open and compare; exit status 4 while the seller or the chain must be waited for.

    It may be called again: one offer is ordered once. Nothing is paid before the check is upheld and both deposits can
    be made at once.
    """
    from troth.app import market, tending  # start-up time, as above

    with workspace(home) as party:
        evaluators, verifiers = _believed(trust, believe)
        order = market.buy(party, claim_id(party, offer), evaluators, verifiers)
        if fit is not None:
            tending.ask_proof(party, order)
        _tend(party, wait, lambda: tending.standing(party, order)["state"] in ENDS, fit=fit)
        now = tending.standing(party, order)
    if now["state"] not in ENDS:
        now["next"] = _NEXT.get(now["state"], "troth market tend, then troth buy again")
    show({name: said for name, said in now.items() if said or as_json}, as_json)
    if now["state"] not in ENDS:
        raise typer.Exit(Pending.exit_status)
    raise typer.Exit(1 if now["state"] in ("closed, refunded", "complained of", "lapsed", "closed, void") else 0)


_NEXT = {"ordered": "the seller must answer: it runs troth market tend; then troth buy again",
         "handed over": "troth buy again pays",
         "waits for the verifiers": "each verifier must take its seat: it runs troth market tend",
         "paid": "the seller must show the secret: it runs troth market tend; then troth buy again"}
ENDS = ("opened", "closed, paid", "closed, refunded", "closed, void", "lapsed")


@app.command("load")
def load_to(url: Annotated[str, typer.Argument(help="troth://OFFER or troth://CID.")],
            output: Annotated[Path, typer.Option("-o", "--output", help="Where the bytes go.")],
            home: Where = None, as_json: Json = False) -> None:
    """Write what was bought or is owned here to a file, if its licence stands. In Python: troth.load."""
    from troth.app import loading  # start-up time, as above

    with workspace(home) as party:
        data = loading.find(party, url)[1]
        write_file(output, data)
        show({"url": url, "bytes": len(data), "output": str(output)}, as_json)


@market_app.command()
def join(contracts: Annotated[Path, typer.Argument(help="The market's contracts: another's contracts.json.")],
         introduce: Annotated[list[str] | None, typer.Option("--introduce", help="To this DID.")] = None,
         home: Where = None, as_json: Json = False) -> None:
    """Use a market's contracts, if they are Troth's; bind this party's account; be introduced to others."""
    from troth.app import market  # start-up time, as above
    from troth.ledger.deploy import Contracts

    with workspace(home) as party:
        market.join(party, Contracts.decode(read_file(contracts)), introduce or ())
        show({"did": party.did, "account": "0x" + party.account.hex()}, as_json)


@market_app.command()
def search(words: Annotated[list[str] | None, typer.Argument(help="Every one must be there.")] = None,
           trust: Believed = None, believe: Whom = None,
           form: Annotated[str | None, typer.Option("--form", help="csv, arrays, npz, model or bytes.")] = None,
           most: Annotated[int | None, typer.Option("--most", help="Of the price.")] = None,
           purpose: Annotated[str | None, typer.Option("--purpose", help="That its licence grants.")] = None,
           derivatives: Annotated[str | None, typer.Option("--derivatives", help="none, models or any.")] = None,
           royalty: Annotated[int | None, typer.Option("--royalty", help="At most, in basis points.")] = None,
           metric: Annotated[str, typer.Option("--metric", help="Rank by this metric.")] = "overall",
           quality: Annotated[int, typer.Option("--quality", help="At least, in parts of a million.")] = 0,
           limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 20,
           home: Where = None, as_json: Json = False) -> None:
    """Offers that this workspace knows, the best first: only what believed evaluators vouch for counts."""
    from troth.app import market  # start-up time, as above
    from troth.app.shelf import Filters

    filters = Filters(form, None, most, purpose, derivatives, royalty, None, metric, quality)
    with workspace(home) as party:
        if party.settings.exchange:
            party.receive()
        found = market.search(party, " ".join(words or ()), filters, _believed(trust, believe)[0], limit)
    show({"offers": found}, as_json, lambda: "\n".join(
        f"{one['offer']}  {one['name']}  {one['price']}  "
        f"{'not vouched for' if one['quality'] is None else format(one['quality'] / 1e6, '.3f')}  {one['form']}, "
        f"for {one['purpose']}" for one in found) or "none")


@market_app.command()
def check(offer: Offered, trust: Believed = None, believe: Whom = None, home: Where = None,
          as_json: Json = False) -> None:
    """All that can be checked of an offer before paying, in numbered steps."""
    from rich.console import Console  # start-up time, as above

    from troth.app import market
    from troth.cli.show import report_table

    with workspace(home) as party:
        report = market.check(party, claim_id(party, offer), *_believed(trust, believe))
    if as_json:
        show(report.json(), True)
    else:
        Console().print(report_table(report))
    raise typer.Exit(report.outcome.exit_status)


@market_app.command()
def tend(wait: Wait = 0, fit: Fit = None, home: Where = None, as_json: Json = False) -> None:
    """Do what is due in this party's sales, as seller, buyer and verifier: hand over, pay, deliver, inspect, close."""
    with workspace(home) as party:
        done = _tend(party, wait, lambda: False, err=as_json, fit=fit)
    if as_json or not done:
        show({"done": done}, as_json, lambda: "nothing is due")


@market_app.command("fit-keys")
def fit_keys(folder: Annotated[Path, typer.Argument(help="Where the keys go.")],
             ceremony: Annotated[Path | None, typer.Option("--ceremony", help="A ceremony's .zkey file; else the keys "
                                                           "are made here, by whoever will buy.")] = None,
             dry: Annotated[bool, typer.Option("--dry", help="Only say what it costs.")] = False,
             as_json: Json = False) -> None:
    """Make the keys by which a sale's key is proven to fit, or take a ceremony's.

    A buyer makes them once and copies the folder to its sellers, who prove by them: market tend --fit, buy --fit.
    Whoever made keys alone can forge proofs under them, so never take a seller's.
    """
    from troth.app import fitting  # start-up time, as above

    cost = fitting.estimate()
    if not dry:
        given = [] if ceremony is None else [read_file(ceremony)]
        typer.echo(f"{cost.constraints} constraints: about {cost.setup} s for the keys; {cost.prove} s and "
                   f"{cost.memory >> 20} MiB a sale", err=True)
        fitting.make(folder, given)
    show({"folder": None if dry else str(folder), **cost.json()}, as_json)


@market_app.command("let")
def let_in(offer: Offered, to: Annotated[str, typer.Option("--to", help="The evaluator's DID.")], home: Where = None,
           as_json: Json = False) -> None:
    """Let an evaluator open what is offered: it then has the data."""
    from troth.app import market  # start-up time, as above

    with workspace(home) as party:
        claim = claim_id(party, offer)
        market.let_in(party, claim, a_did(to))
        show({"offer": claim.hex(), "to": to}, as_json)


@market_app.command()
def evaluate(offer: Offered, method: Annotated[str, typer.Option("--method", help="How it was measured.")],
             metric: Annotated[list[str], typer.Option("--metric", help="NAME=PARTS of a million, higher is better.")],
             home: Where = None, as_json: Json = False) -> None:
    """Vouch for what this party measured of an offer that it was let into."""
    from troth.app import market  # start-up time, as above

    metrics = {}
    for one in metric:
        key, equals, value = one.partition("=")
        if not equals or not value.isascii() or not value.isdigit():
            raise Misuse("a metric needs a value", expected="NAME=PARTS of a million", actual=one)
        metrics[key] = int(value)
    with workspace(home) as party:
        if party.settings.exchange:
            party.receive()
        claim = market.evaluate(party, claim_id(party, offer), method, metrics)
        show({"claim": claim.hex()}, as_json, claim.hex)


@market_app.command()
def foreseen(listing: Annotated[str, typer.Argument(help="The listing's claim.")], home: Where = None,
             as_json: Json = False) -> None:
    """What the licences sold of a listing foresee once it is erased: who stays, whose ends, what is owed."""
    from troth.app import tending  # start-up time, as above

    with workspace(home) as party:
        found = tending.foreseen(party, claim_id(party, listing))
    show({"licences": found}, as_json, lambda: "\n".join(
        f"{one['holder']}  {one['erasure']}  {one['owed']} owed" for one in found) or "none")


@market_app.command()
def licence(holder: Annotated[str, typer.Argument(help="An account, or the DID of one that bound it.")],
            offer: Offered, home: Where = None, as_json: Json = False) -> None:
    """Whether an account holds a licence for an offer that stands now, as the chain says; exit status 1 if not.

    A licence is minted when its sale is closed: until then it may still be refunded.
    """
    from troth.app import market, tending  # start-up time, as above
    from troth.app.agent import account_arg
    from troth.flows.sale_words import Offer

    with workspace(home) as party:
        claim = claim_id(party, offer)
        seller = Offer.of(party.statement(claim)).deal.seller
        account = party.account_of(holder) if holder.startswith("did:") else account_arg(holder)
        stands = market.licences(party).licensed(account, seller, claim)
        why = "" if stands else tending.unlicensed(party, claim, account)
        show({"offer": claim.hex(), "holder": "0x" + account.hex(), "licensed": stands, "why": why}, as_json,
             lambda: "a licence stands" if stands else f"no licence stands: {why}")
    raise typer.Exit(0 if stands else 1)


def _believed(trust: Path | None, dids: list[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from troth.app import market  # start-up time, as above
    from troth.verify.trust import Trust

    file = None if trust is None else Trust.from_bytes(read_file(trust))
    return (market.believed_in(file, dids or (), market.EVALUATOR),
            market.believed_in(file, dids or (), market.VERIFIER))


def _tend(party: Troth, wait: float, done: Callable[[], bool], *, err: bool = True,
          fit: Path | None = None) -> list[dict[str, str]]:
    from troth.app import tending  # start-up time, as above

    proofs = None
    if fit is not None:
        from troth.app.fitting import of_folder  # it brings the prover

        proofs = of_folder(fit)
    until, said = time.monotonic() + wait, list[dict[str, str]]()
    while True:
        for one in tending.tend(party, proofs):
            said.append(one.json())
            why = f": refused, {one.refused}" if one.refused else ""
            typer.echo(visible(f"{one.order.hex()[:16]}  {one.what}{why}"), err=err)
        if done() or time.monotonic() >= until:
            return said
        time.sleep(min(PAUSE, max(0.0, until - time.monotonic())))
