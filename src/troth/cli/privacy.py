"""Differential privacy: budgets of listings, what is spent, what rounds would cost (docs/reference/privacy.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, claim_id, show, workspace
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.app.privacy import Account
    from troth.learn.privacy.mechanisms import Mechanism

privacy_app = typer.Typer(no_args_is_help=True, help="Differential privacy: budgets of listings and what is spent.")
app.add_typer(privacy_app, name="privacy")
Delta = Annotated[str, typer.Option("--delta", help="The chance that epsilon does not hold: far below 1 in records.")]


@privacy_app.command()
def budget(listing: Annotated[str, typer.Argument(help="A listing of this party.")],
           epsilon: Annotated[str, typer.Option("--epsilon", help="The most that may ever be spent on its records.")],
           delta: Delta = "0.00001",
           raising: Annotated[bool, typer.Option("--raise", help="Allow more than was promised before.")] = False,
           same_as: Annotated[list[str] | None, typer.Option("--same-as", help="A listing whose records are the same "
                                                                               "persons', changed.")] = None,
           home: Where = None, as_json: Json = False) -> None:
    """Set what may be spent on a listing's records, under whatever name they are listed."""
    # Imported here and below: start-up of --help must not load stores and numpy.
    from troth.app.privacy import opened
    from troth.learn.privacy.ledger import Budget
    from troth.learn.privacy.mechanisms import delta_text, micro

    allowed = Budget(micro(epsilon), delta_text(delta))
    with workspace(home) as party, opened(party) as privacy:
        found = privacy.set_budget(claim_id(party, listing), allowed, raising=raising,
                                   same_as=[claim_id(party, one) for one in same_as or ()])
        show(_account(found), as_json, lambda: _line(found))


@privacy_app.command("show")
def show_privacy(listing: Annotated[str | None, typer.Argument(help="A listing of this party; all by default.")] = None,
                 home: Where = None, as_json: Json = False) -> None:
    """What is spent and what is left of each data set's budget, and what counts for it."""
    from troth.app.privacy import opened  # start-up time

    with workspace(home) as party, opened(party) as privacy:
        found = privacy.accounts() if listing is None else (privacy.of_listing(claim_id(party, listing)),)
        show({"data": [_account(one) for one in found]}, as_json,
             lambda: "\n".join(_whole(one) for one in found) or "no listing has a budget")


@privacy_app.command()
def estimate(steps: Annotated[int, typer.Option("--steps", help="Noisy steps in a round.")],
             noise: Annotated[str | None, typer.Option("--noise", help="Noise, in clip norms.")] = None,
             epsilon: Annotated[str | None, typer.Option("--epsilon", help="Or what may be spent: finds the noise.")]
             = None,
             records: Annotated[int, typer.Option("--records", help="Records of the site.")] = 1,
             batch: Annotated[int, typer.Option("--batch", help="Records that a step draws, on average.")] = 1,
             rounds: Annotated[int, typer.Option("--rounds", help="Rounds.")] = 1,
             parameters: Annotated[int, typer.Option("--parameters", help="Of the model.")] = 1000,
             delta: Delta = "0.00001",
             listing: Annotated[str | None, typer.Option("--listing", help="On top of what counts for this listing, "
                                                                           "at its delta.")] = None,
             home: Where = None, as_json: Json = False) -> None:
    """What rounds of private training would spend, or the noise that keeps them within an epsilon. Spends nothing."""
    from troth.learn.privacy import accounting  # start-up time
    from troth.learn.privacy.mechanisms import Mechanism, delta_text, epsilon_text, micro
    from troth.learn.privacy.training import BOUND, chance

    if (noise is None) == (epsilon is None):
        raise Misuse("either the noise or the epsilon is sought", expected="one of --noise and --epsilon")
    before: list[Mechanism] = []
    delta = delta_text(delta)
    if listing is not None:
        from troth.app.privacy import opened  # start-up time

        with workspace(home) as party, opened(party) as privacy:
            account = privacy.of_listing(claim_id(party, listing))
            before = [one.mechanism for one in account.spendings]
            delta = account.data.budget.delta if account.data.budget else delta
    # micro is exact, so a multiple of the clip norm to six places is as well.
    sigma = BOUND if noise is None else -(-micro(noise) * BOUND // 1_000_000)
    planned = Mechanism(BOUND, sigma, steps * rounds, chance(batch, records), parameters)
    if epsilon is not None:
        planned = accounting.calibrate(planned, micro(epsilon), delta, before)
    alone, total = accounting.epsilon([planned], delta), accounting.epsilon([*before, planned], delta)
    show({"delta": delta, "epsilon": epsilon_text(alone), "mechanism": planned.body(),
          "noise": f"{planned.multiplier:.6f}", "total": epsilon_text(total)}, as_json,
         lambda: f"epsilon {epsilon_text(alone)} at delta {delta}"
                 + (f", {epsilon_text(total)} with what counts already" if before else "") + f"\n{planned.text()}")


@privacy_app.command()
def check(claim: Annotated[str, typer.Argument(help="A spending, or an update that says what it spent.")],
          home: Where = None, as_json: Json = False) -> None:
    """Compute again what a claim says was spent, with its issuer's earlier ones, as far as this log shows."""
    from rich.console import Console  # start-up time, as above

    from troth.app.privacy import check as check_spending  # start-up time
    from troth.cli.show import report_table

    with workspace(home) as party:
        report = check_spending(party, claim_id(party, claim))
        if as_json:
            show(report.json(), True)
        else:
            Console().print(report_table(report))
    raise typer.Exit(report.outcome.exit_status)


def _account(found: Account) -> dict[str, Any]:
    from troth.learn.privacy.mechanisms import epsilon_text  # start-up time, as above

    own = found.data.budget
    return {"data": found.data.id.hex(), "records": found.data.records, "listings": list(found.data.names),
            "kin": [one.hex() for one in found.data.kin],
            "budget": epsilon_text(own.epsilon) if own else None, "delta": own.delta if own else None,
            "spent": epsilon_text(found.total) if found.total is not None else None,
            "spendings": [{"data": one.data.hex(), "purpose": one.purpose, "state": one.state, "at": one.at,
                           "mechanism": one.mechanism.body()} for one in found.spendings]}


def _line(found: Account) -> str:
    said = _account(found)
    allowed = f"{said['spent']} of {said['budget']} spent at delta {said['delta']}" if said["budget"] else "no budget"
    kin = f", sharing records with {len(found.data.kin)} others" if found.data.kin else ""
    names = ", ".join(name[:16] for name in found.data.names) or "restored from the log"
    return f"{said['data'][:16]}  {said['records']} records{kin}: {allowed}  ({names})"


def _whole(found: Account) -> str:
    return "\n".join([_line(found), *(f"  {one.state:<8} {one.purpose}: {one.mechanism.text()}"
                                      f"{'' if one.data == found.data.id else '  on ' + one.data.hex()[:16]}"
                                      for one in found.spendings)])
