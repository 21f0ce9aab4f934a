"""Commands for policy accounts: an agent acts within limits that its owner sets (docs/reference/policy-account.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, read_file, show, workspace
from troth.core.errors import BadInput, Misuse
from troth.core.times import moment

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.ledger.accounts import PolicyAccount

account_app = typer.Typer(no_args_is_help=True, help="Accounts through which an agent acts within limits.")
app.add_typer(account_app, name="account")
At = Annotated[str | None, typer.Option("--account", help="Which account; this party's only one by default.")]
Amount = Annotated[int, typer.Option("--amount", min=1, help="In the token's smallest unit.")]


@account_app.command("new")
def account_new(limits: Annotated[Path, typer.Argument(help="The file of its limits (TOML).")],
                output: Annotated[Path | None, typer.Option("-o", "--output", help="Write its mandate, a credential, "
                                                            "there.")] = None,
                to: Annotated[str | None, typer.Option("--for", help="The agent's DID, for the mandate.")] = None,
                scope: Annotated[str, typer.Option("--scope", help="The kind of deal act that the mandate covers.")] =
                "act", home: Where = None, as_json: Json = False) -> None:
    """Make an account that this party owns and an agent acts through. It can do nothing that its limits do not name."""
    from troth.app.accounts import account_json, limits_of, make, make_with_mandate  # start-up time

    if (output is None) != (to is None):
        raise Misuse("a mandate is written for somebody", expected="-o FILE and --for DID", actual="one of them")
    with workspace(home) as party:
        said = limits_of(party, _text(limits))
        if output is None or to is None:
            found = make(party, said)
        else:
            from troth.cli.credential import wallet_of, write_json  # start-up time

            found, paper = make_with_mandate(party, wallet_of(party), to, said, (scope, said.per_act))
            write_json(output, paper)
        _show(account_json(party, found), as_json)


@account_app.command("show")
def account_show(account: At = None,
                 newest: Annotated[int, typer.Option("--newest", min=1, help="Lines of the record.")] = 20,
                 home: Where = None, as_json: Json = False) -> None:
    """What an account may do, what was spent today, whether it acts, and what it recorded, as of now."""
    from troth.app.accounts import account_json  # start-up time

    with workspace(home) as party:
        _show(account_json(party, _account(party, account), newest=newest), as_json)


@account_app.command("limits")
def account_limits(limits: Annotated[Path | None, typer.Argument(help="The file of other limits; none: print those "
                                                                 "in force.")] = None,
                   account: At = None, home: Where = None, as_json: Json = False) -> None:
    """The limits in force, as a file; or others from now on. What was spent today and the strikes stay."""
    from troth.app.accounts import limit, limits_of, limits_text  # start-up time

    with workspace(home) as party:
        found = _account(party, account)
        if limits is not None:
            limit(party, found, limits_of(party, _text(limits)))
        said = found.limits()
        show({"account": "0x" + found.address.hex(), **said.json()}, as_json, lambda: limits_text(said).rstrip("\n"))


@account_app.command("fund")
def account_fund(amount: Amount, account: At = None, home: Where = None, as_json: Json = False) -> None:
    """Pay into an account from this party's own."""
    from troth.ledger.erc20 import Erc20  # start-up time

    with workspace(home) as party:
        found = _account(party, account)
        coin = Erc20(party.chain.web3, found.limits().token)
        coin.transfer(party.sender, found.address, amount)
        show({"account": "0x" + found.address.hex(), "balance": str(coin.balance(found.address))}, as_json)


@account_app.command("pause")
def account_pause(account: At = None, home: Where = None, as_json: Json = False) -> None:
    """The stop button: the account does nothing for its agent from now on."""
    with workspace(home) as party:
        found = _account(party, account)
        found.stop(party.sender)
        show({"account": "0x" + found.address.hex(), "stopped": True}, as_json)


@account_app.command("resume")
def account_resume(account: At = None, home: Where = None, as_json: Json = False) -> None:
    """Let the agent act again, within the limits."""
    with workspace(home) as party:
        found = _account(party, account)
        found.stop(party.sender, False)
        show({"account": "0x" + found.address.hex(), "stopped": False}, as_json)


@account_app.command("reset")
def account_reset(account: At = None, home: Where = None, as_json: Json = False) -> None:
    """Forget the strikes and close the breaker, after looking at what was refused."""
    with workspace(home) as party:
        found = _account(party, account)
        found.reset(party.sender)
        show({"account": "0x" + found.address.hex(), "strikes": 0, "tripped": False}, as_json)


@account_app.command("withdraw")
def account_withdraw(amount: Amount, account: At = None,
                     to: Annotated[str | None, typer.Option("--to", help="This party's account by default.")] = None,
                     token: Annotated[str | None, typer.Option("--token", help="The account's by default.")] = None,
                     home: Where = None, as_json: Json = False) -> None:
    """Take money out, whatever the limits and wherever the account stands."""
    from troth.app.accounts import address  # start-up time

    with workspace(home) as party:
        found = _account(party, account)
        coin = found.limits().token if token is None else address(party, token)
        payee = party.account if to is None else address(party, to)
        found.withdraw(party.sender, coin, payee, amount)
        show({"account": "0x" + found.address.hex(), "to": "0x" + payee.hex(), "amount": str(amount)}, as_json)


def _account(party: Troth, text: str | None) -> PolicyAccount:
    from troth.app import accounts  # start-up time

    return accounts.account(party, None if text is None else accounts.address(party, text))


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise BadInput("not a file of limits", expected="TOML", actual=path) from None


def _show(value: dict[str, Any], as_json: bool) -> None:
    def text() -> str:
        """The account as lines for a person."""
        limits = value["limits"]
        state = "stopped" if value["stopped"] else "tripped" if value["tripped"] else \
            "expired" if value["expired"] else "acts"
        lines = [f"account {value['account']} of {value['owner']}: {state}",
                 f"holds {value['balance']}; spent today {value['spent_today']} of {limits['per_day']}, at most "
                 f"{limits['per_act']} in one act",
                 f"acts {value['acts']}, strikes {value['strikes']} of {limits['strikes']}"]
        lines.append(f"until {moment(limits['expiry'], int(time.time()))}")
        lines += [f"block {one['block']}: {one['what']} {one.get('reason') or one.get('amount', '')} "
                  f"{one.get('payee') or one.get('target', '')}".rstrip() for one in value["record"]]
        return "\n".join(lines)

    show(value, as_json, text)
