"""Reputation: what was paid, final and staked, as it reaches from whom one trusts; feedback with proof of payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import Believed, Json, Unasked, Where, app, read_file, show, workspace

if TYPE_CHECKING:
    from troth.core.terms import Account

reputation_app = typer.Typer(no_args_is_help=True, help="Reputation from payments, and no other praise.")
app.add_typer(reputation_app, name="reputation")
Token = Annotated[list[str] | None, typer.Option("--token", help="What you take for money; the demonstration token by "
                                                 "default.")]
Registry = Annotated[str, typer.Option("--registry", help="The ERC-8004 reputation registry's address.")]


@reputation_app.command("show")
def reputation_show(accounts: Annotated[list[str], typer.Argument(help="Accounts; several: what they show together.")],
                    trusted: Annotated[list[str] | None, typer.Option("--from", help="An account that you trust "
                                                                      "beforehand, besides your own.")] = None,
                    token: Token = None, trust: Believed = None, offline: Unasked = False, home: Where = None,
                    as_json: Json = False) -> None:
    """What an account shows you: paid by whom you trust, by whom they paid, and stakes lost. 0 for a stranger."""
    # Imported here: start-up time.
    from troth.app.reputation import reputation
    from troth.verify.trust import Trust

    believed = None if trust is None else Trust.from_bytes(read_file(trust))
    with workspace(home) as party:
        found = reputation(party, trust=believed, trusted=map(_account, trusted or ()),
                           tokens=map(_account, token or ()), offline=offline)
        standings = [found.of(_account(one)) for one in accounts]
        lines = [f"as of {found.history.as_of}", *(
            f"0x{one.account.hex()}  score {one.score}: earned {one.earned} ({one.direct} from whom you trust), "
            f"paid {one.paid}, lost {one.lost}, in {one.deals} deals" for one in standings)]
        show({"as_of": str(found.history.as_of), "together": str(found.together(map(_account, accounts))),
              "standings": [{"account": "0x" + one.account.hex(), "score": str(one.score), "direct": str(one.direct),
                             "earned": str(one.earned), "paid": str(one.paid), "lost": str(one.lost),
                             "roles": {role: str(what) for role, what in one.roles.items()}, "deals": one.deals}
                            for one in standings]}, as_json, lambda: "\n".join(lines))


@reputation_app.command("publish")
def reputation_publish(agent: Annotated[int, typer.Argument(min=0, help="The agent's number.")], registry: Registry,
                       token: Token = None, home: Where = None, as_json: Json = False) -> None:
    """Write what you paid an agent into a registry, with the deals that prove it."""
    from troth.app.reputation import publish  # start-up time

    with workspace(home) as party:
        index, said = publish(party, _account(registry), agent, map(_account, token or ()))
        show({"index": index, "value": str(said.value), "deals": [deal.hex() for deal in said.deals]}, as_json)


@reputation_app.command("check")
def reputation_check(agent: Annotated[int, typer.Argument(min=0, help="The agent's number.")],
                     client: Annotated[str, typer.Argument(help="Whose feedback: an account.")], registry: Registry,
                     index: Annotated[int, typer.Option("--index", min=1, help="Which of its feedbacks.")] = 1,
                     home: Where = None, as_json: Json = False) -> None:
    """Whether a feedback's payments were made. Who its client is, and whether it counts for you: troth reputation show.
    """
    from troth.app.reputation import check_feedback  # start-up time

    with workspace(home) as party:
        given, said = check_feedback(party, _account(registry), agent, _account(client), index)
        show({"outcome": "upheld", "value": str(given.value), "deals": [deal.hex() for deal in said.deals]}, as_json)


def _account(text: str) -> Account:
    from troth.core.encoding import from_hex  # start-up time, as above

    return from_hex(text.lower().removeprefix("0x"), 20)
