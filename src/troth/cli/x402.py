"""``troth x402 …``: sell over HTTP for signed payments, and buy within a budget."""

from __future__ import annotations

import base64
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, claim_id, lasting, read_file, show, whole_id, workspace, write_file
from troth.core.errors import BadInput, Misuse, Refuted

if TYPE_CHECKING:
    from troth.agents.x402.client import Bought
    from troth.app import Troth

x402_app = typer.Typer(no_args_is_help=True, help="Sell and buy over HTTP for signed payments (x402).")
app.add_typer(x402_app, name="x402")

Token = Annotated[str, typer.Option("--token", help="The token's address; the contracts' own by default.")]
Unbound = Annotated[bool, typer.Option("--unbound", help="Pay servers that sign no offer: they can show what they like "
                                       "for it.")]
Plain = Annotated[bool, typer.Option("--plaintext", help="Pay over plain HTTP beyond this machine: whoever carries it "
                                     "reads it.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Where what came goes; printed by default.")]


@x402_app.command("serve")
def x402_serve(
    file: Annotated[Path, typer.Argument(help="What is sold: a TOML file (docs/reference/payments.md).")],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")] = 8402,
    shared: Annotated[bool, typer.Option("--shared", help="Several processes of this user serve under the port.")
                      ] = False,
    home: Where = None, as_json: Json = False) -> None:
    """Sell to this machine, or to a web server in front. Ctrl-C stops it.

    A payment is carried out before its answer is made, and opens the request that it was signed for, once. What was
    paid and not served is served when the same payment is presented again. Nothing is ever paid back by itself.
    """
    # Imported here and below: start-up of --help must not load chains.
    from troth.agents.x402.server import ShopServer
    from troth.app.payments import open_shop

    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    with workspace(home) as party, open_shop(party, file) as shop, ShopServer(shop, port, shared=shared) as server:
        said = {"url": shop.terms.origin, "listens": server.url, "payee": "0x" + shop.payee.hex()}
        typer.echo(json.dumps(said, sort_keys=True) if as_json else
                   f"selling at {said['url']}, paid to {said['payee']}\nCtrl-C stops it.")
        stop.wait()


@x402_app.command("get")
def x402_get(
    url: str,
    most: Annotated[int, typer.Option("--most", min=0, help="The most to pay, in the token's smallest unit.")],
    data: Annotated[Path | None, typer.Option("--data", help="Ask with this file as the body (POST).")] = None,
    asks: Annotated[Path | None, typer.Option("--input", help="Ask for a model's answer to this input, JSON "
                                              "(POST); the answer is checked.")] = None,
    output: Output = None, plaintext: Plain = False, unbound: Unbound = False, home: Where = None,
    as_json: Json = False) -> None:
    """Ask for something and pay for it, within the budget. What was paid becomes a claim of kind payment.

    Nothing is signed for an offer of something else, of another payee's, or beyond a limit.
    """
    from troth.app.payments import budget, payer, question  # start-up time, as above

    if data is not None and asks is not None:
        raise Misuse("one body a request", expected="--data or --input")
    with workspace(home) as party:
        with budget(party) as spends, payer(party, spends, plaintext=plaintext, unbound=unbound) as paying:
            if asks is not None:
                found = paying.post(url, question(party, _json(asks)), most=most)
            elif data is not None:
                found = paying.post(url, read_file(data), most=most, media="application/octet-stream")
            else:
                found = paying.get(url, most=most)
        _tell(party, found, output, as_json, checked=asks is not None)


@x402_app.command("again")
def x402_again(nonce: Annotated[str, typer.Argument(help="The payment's nonce, as spent lists it.")],
               output: Output = None, plaintext: Plain = False, home: Where = None, as_json: Json = False) -> None:
    """Present a payment once more: what was paid for comes, and nothing is paid again."""
    from troth.app.payments import budget, payer  # start-up time, as above

    with workspace(home) as party:
        with budget(party) as spends, payer(party, spends, plaintext=plaintext) as paying:
            found = paying.again(whole_id(nonce))
        _tell(party, found, output, as_json, checked=False)


@x402_app.command("allow")
def x402_allow(
    payment: Annotated[int, typer.Option("--payment", min=0, help="The most at once, in the token's smallest unit.")],
    day: Annotated[int, typer.Option("--day", min=0, help="The most in 24 hours.")],
    merchant: Annotated[int | None, typer.Option("--merchant", min=0, help="The most in 24 hours with one merchant; as "
                                                 "--day by default.")] = None,
    payee: Annotated[list[str] | None, typer.Option("--payee", help="Only this account may be paid.")] = None,
    host: Annotated[list[str] | None, typer.Option("--host", help="Only this host may be asked.")] = None,
    life: Annotated[int, lasting("--life", "How long a payment is good for, at most.", 1, 3_600)] = 300,
    token: Token = "", home: Where = None, as_json: Json = False) -> None:
    """Say what may be spent of a token from now on. What was spent counts."""
    from troth.agents.x402.budget import Limits  # start-up time, as above
    from troth.app.payments import budget, token_of

    limits = Limits(payment, day, day if merchant is None else merchant,
                    None if not payee else frozenset(map(_address, payee)), None if not host else frozenset(host), life)
    with workspace(home) as party:
        found = token_of(party, _address(token) if token else None)
        with budget(party) as spends:
            spends.allow(party.chain.chain_id, found.address, limits)
        show({"token": "0x" + found.address.hex(), "payment": payment, "day": day, "merchant": limits.merchant},
             as_json)


@x402_app.command("refill")
def x402_refill(amount: Annotated[int, typer.Argument(min=1, help="In the token's smallest unit.")], token: Token = "",
                home: Where = None, as_json: Json = False) -> None:
    """Fill the hot account that payments leave from this party's own."""
    from troth.app.payments import hot_key, refill  # start-up time, as above

    with workspace(home) as party:
        held = refill(party, amount, _address(token) if token else None)
        show({"account": "0x" + hot_key(party).public.account.hex(), "holds": held}, as_json)


@x402_app.command("spent")
def x402_spent(token: Token = "", home: Where = None, as_json: Json = False) -> None:
    """What was spent, what is reserved, and what may still be, after looking at the chain."""
    from troth.app.payments import budget, hot_key, line, payer, token_of  # start-up time, as above

    with workspace(home) as party:
        with budget(party) as spends:
            with payer(party, spends) as paying:
                paying.settle_up()
            found, hot = token_of(party, _address(token) if token else None), hot_key(party).public.account
            limits = spends.limits(party.chain.chain_id, found.address)
            today = spends.spent(party.chain.chain_id, found.address, party.chain.now())
            lines = [line(one) for one in spends.payments()]
        said = {"account": "0x" + hot.hex(), "holds": found.balance(hot), "spent_today": today, "payments": lines,
                "day": None if limits is None else limits.day, "token": "0x" + found.address.hex()}
        show(said, as_json, lambda: "\n".join([
            f"{said['account']} holds {said['holds']}",
            f"{today} of {'nothing' if limits is None else limits.day} in the last 24 hours",
            *(f"{one['state']:8} {one['amount']:>12} {one['resource']} {one['nonce']}" for one in lines)]))


@x402_app.command("check")
def x402_check(claim: Annotated[str, typer.Argument(help="A claim of kind payment in this log.")],
               answer: Annotated[Path | None, typer.Option("--answer", help="What is said to have come for it.")
                                 ] = None,
               home: Where = None, as_json: Json = False) -> None:
    """Check a payment's claim: who paid, whether the chain carried it out, and for which offer.

    That nothing came, or that what came was this, is its issuer's word. Exit status as `troth verify`.
    """
    from troth.app.payments import check_receipt  # start-up time, as above
    from troth.cli.show import print_report

    with workspace(home) as party:
        found = check_receipt(party, claim_id(party, claim), None if answer is None else read_file(answer))
    raise typer.Exit(print_report(found, as_json))


@x402_app.command("sales")
def x402_sales(home: Where = None, as_json: Json = False) -> None:
    """What this party sold: each payment, and whether it was served."""
    from troth.agents.x402.till import Till  # start-up time, as above
    from troth.app.payments import TILL, folder

    with workspace(home) as party, Till(folder(party) / TILL) as till:
        found = till.sales()
    lines = [{"at": one.at, "payment": one.id.hex(), "price": str(one.price), "resource": one.resource,
              "state": one.state, "tx": None if one.tx is None else "0x" + one.tx.hex()} for one in found]
    show({"sales": lines}, as_json, lambda: "\n".join(
        f"{one['state']:8} {one['price']:>12} {one['resource']} {one['payment']}" for one in lines) or "nothing yet")


def _tell(party: Troth, found: Bought, output: Path | None, as_json: bool, *, checked: bool) -> None:
    """Print what came; the exit status is that of an act refused where it was paid and not served."""
    from troth.agents.x402.client import waiting  # start-up time, as above
    from troth.app.payments import line, receipt, take_answer
    from troth.app.proving import check

    waiting(found)
    said: dict[str, Any] = {"status": found.status, "payment": None, "claim": None}
    if found.spending is not None:
        said |= {"payment": line(found.spending), "claim": receipt(party, found).hex()}
    if checked and found.served:
        answer = take_answer(party, found)
        said |= {"answer": answer.hex(), "checked": str(check(party, answer).outcome)}
    if output is not None and found.served:
        write_file(output, found.body)
    text = text_of(found)
    body = {"body": base64.b64encode(found.body).decode() if text is None else text,
            "encoding": "base64" if text is None else "text"}
    paid = "nothing" if found.spending is None else f"{found.spending.offer.price}" + (
        "" if found.settled else " by a payment that the chain has not carried out so far")
    shown = f"{len(found.body)} bytes of {found.media or 'no media type'}: -o FILE keeps them" if text is None else text
    show(said if output is not None else said | body, as_json, lambda: "\n".join([
        *([shown] if output is None else [f"written to {output}"] if found.served else []),
        f"paid {paid}" + (f", claim {said['claim']}" if said["claim"] else "")
        + (f", answer {said['checked']}" if "checked" in said else "")]))
    if not found.served:
        raise Refuted("nothing was served", expected="a status 2xx", actual=f"{found.status}, paid {paid}",
                      do=f"Ask again with the same payment: troth x402 again {found.spending.nonce.hex()}"
                      if found.spending else None)


def text_of(found: Bought) -> str | None:
    """What came as text, whatever its media type says; None for other bytes."""
    try:
        text = found.body.decode()
    except UnicodeDecodeError:
        return None
    return None if any(not one.isprintable() and one not in "\r\n\t" for one in text) else text


def _json(path: Path) -> Any:
    try:
        return json.loads(read_file(path))
    except ValueError as error:
        raise BadInput(f"{path.name} is no JSON", actual=error) from None


def _address(text: str) -> bytes:
    from troth.core.encoding import from_hex  # start-up time

    return from_hex(text.removeprefix("0x").lower(), 20)
