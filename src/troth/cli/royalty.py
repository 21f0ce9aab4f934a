"""Royalties: what a thing rests on, who is due what, paying and checking it, and whether one's work was used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Believed, Json, Where, app, claim_id, deal_id, read_file, show, workspace
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.flows.royalty_words import Part

royalty_app = typer.Typer(no_args_is_help=True, help="Royalties by measured contribution.")
app.add_typer(royalty_app, name="royalty")
Deal = Annotated[str, typer.Argument(help="The run's deal.")]
Target = Annotated[str, typer.Argument(help="The claim that says what it is: a model, a run, a listing.")]


@royalty_app.command()
def contribute(target: Target, passes: Annotated[int, typer.Option("--passes", min=0, max=1_000_000, help="How much "
                                                                   "is passed on, in parts of a million.")],
               weight: Annotated[list[str] | None, typer.Option("--weight", metavar="CLAIM=N", help="What one was "
                                                                "worth, by your word.")] = None,
               validation: Annotated[str | None, typer.Option("--validation", help="A listing of records: measure the "
                                                              "others by them.")] = None,
               neighbours: Annotated[int, typer.Option("--neighbours", min=1, help="Of that measure.")] = 5,
               home: Where = None, as_json: Json = False) -> None:
    """Say, once, what a thing of yours rests on, what each of it was worth, and how much you pass on.

    A model of rounds takes its weights from what its rounds measured.
    """
    from troth.app.royalties import Measure, contribute  # start-up time

    with workspace(home) as party:
        declared = dict(_weight(party, one) for one in weight or ())
        measure = Measure(declared or None, claim_id(party, validation) if validation else None, neighbours)
        claim, said = contribute(party, claim_id(party, target), passes, measure)
        show({"claim": claim.hex(), "method": said.method, "passes_ppm": said.passes,
              "weights": {row.claim.hex(): str(row.weight) for row in said.rows}}, as_json, lambda: "\n".join([
                  f"claim: {claim.hex()}", f"method: {said.method}, passes on {said.passes} of 1000000",
                  *(f"{row.weight:>16}  {row.claim.hex()}" for row in said.rows)]))


@royalty_app.command()
def due(target: Target, amount: Annotated[int, typer.Argument(min=1, help="What it earned, in the smallest unit.")],
        home: Where = None, as_json: Json = False) -> None:
    """How what a thing earned is to be shared; 1 where a contribution claim of its lineage is wrong."""
    from troth.app.royalties import due  # start-up time

    with workspace(home) as party:
        found = due(party, claim_id(party, target), amount)
        show({"parts": _parts(found.parts), "notes": list(found.notes)}, as_json, lambda: "\n".join(
            [*(f"{part.amount:>16}  0x{part.account.hex()}  for {part.claim.hex()[:16]}" for part in found.parts),
             *(f"wrong: {note}" for note in found.notes)]))
        if found.notes:
            raise typer.Exit(1)


@royalty_app.command()
def pay(target: Target, amount: Annotated[int, typer.Argument(min=1, help="What it earned, in the smallest unit.")],
        verifier: Annotated[list[str], typer.Option("--verifier", help="A DID that may be called to judge.")],
        stake: Annotated[int, typer.Option("--stake", min=1, help="More than twice what is shared.")],
        bond: Annotated[int, typer.Option("--bond", min=1, help="Of a challenge: more than the fee.")],
        fee: Annotated[int, typer.Option("--fee", min=1, help="Of all verifiers together, if they are called.")],
        verifier_stake: Annotated[int, typer.Option("--verifier-stake", min=1, help="Of each.")],
        keeper: Annotated[int, typer.Option("--keeper", min=0, help="For whoever judges and closes.")] = 0,
        token: Annotated[str | None, typer.Option("--token", help="The demonstration token by default.")] = None,
        sale: Annotated[str | None, typer.Option("--sale", metavar="DEAL:POT", help="The sale that it was.")] = None,
        home: Where = None, as_json: Json = False) -> None:
    """Open a run: hand over who is due what, and deposit what is others' with a stake. Then: answer."""
    from troth.app.royalties import Paying, pay  # start-up time
    from troth.core.encoding import from_hex
    from troth.flows.royalty_words import Money

    money = Money(stake, bond, fee, verifier_stake, keeper)
    with workspace(home) as party:
        coin = party.contracts["token"].address if token is None else from_hex(token.lower().removeprefix("0x"), 20)
        run = pay(party, Paying(claim_id(party, target), amount, coin, tuple(verifier), money, sale=_sale(party, sale)))
        show({"deal": run.deal.hex(), "claim": run.claim.hex(), "payouts": run.payouts.hex()}, as_json)


@royalty_app.command()
def join(deal: Deal, home: Where = None, as_json: Json = False) -> None:
    """As a verifier: look at a run, and deposit the stake if it is right."""
    from troth.app.royalties import join  # start-up time

    with workspace(home) as party:
        show({"deposited": str(join(party, deal_id(party, deal)))}, as_json)


@royalty_app.command()
def answer(deal: Deal, home: Where = None, as_json: Json = False) -> None:
    """As the payer: put the root of the list on chain; after a challenge, hand the evidence to the verifiers."""
    from troth.app.royalties import answer  # start-up time

    with workspace(home) as party:
        found = answer(party, deal_id(party, deal))
        show({"root": found.root.hex(), "total": str(found.total)}, as_json)


@royalty_app.command()
def check(deal: Deal, home: Where = None, as_json: Json = False) -> None:
    """Whether a run shares what is due: 0 right, 1 wrong, 3 not to be told here, 4 not answered yet."""
    from troth.app.royalties import check  # start-up time
    from troth.cli.show import print_report

    with workspace(home) as party:
        raise typer.Exit(print_report(check(party, deal_id(party, deal)), as_json))


@royalty_app.command()
def challenge(deal: Deal, home: Where = None, as_json: Json = False) -> None:
    """Call the verifiers about a run that is wrong, with the bond and their fee."""
    from troth.app.royalties import challenge  # start-up time

    with workspace(home) as party:
        show({"deposited": str(challenge(party, deal_id(party, deal)))}, as_json)


@royalty_app.command()
def judge(deal: Deal, home: Where = None, as_json: Json = False) -> None:
    """As a verifier that was called: commit to what you find, and once all have, reveal it."""
    from troth.app.royalties import judge  # start-up time

    with workspace(home) as party:
        what, found = judge(party, deal_id(party, deal))
        show({"done": what, "outcome": found.right.outcome, "root": found.right.root.hex(),
              "faults": list(found.faults)}, as_json)


@royalty_app.command()
def collect(deal: Deal, everybody: Annotated[bool, typer.Option("--everybody", help="All payees, at this party's "
                                                                "cost.")] = False,
            home: Where = None, as_json: Json = False) -> None:
    """Collect what a closed run pays this party."""
    from troth.app.royalties import collect  # start-up time

    with workspace(home) as party:
        show({"amount": str(collect(party, deal_id(party, deal), everybody=everybody))}, as_json)


@royalty_app.command("list")
def list_runs(home: Where = None, as_json: Json = False) -> None:
    """The runs known here, where each stands, and what of it is this party's."""
    from troth.app.royalties import runs  # start-up time

    with workspace(home) as party:
        found = [{"deal": said.deal.hex(), "target": said.owed.target.hex(), "earned": str(said.owed.amount),
                  "status": status, "mine": str(mine)} for said, status, mine in runs(party)]
        show({"runs": found}, as_json, lambda: "\n".join(
            f"{one['deal']}  {one['status']:10}  {one['mine']} of {one['earned']}" for one in found) or "none")


@royalty_app.command()
def used(listing: Annotated[str, typer.Argument(help="The listing of the work.")],
         target: Annotated[str, typer.Argument(help="A claim known here, or a bundle file.")],
         records: Annotated[Path | None, typer.Option("--records", help="The work itself, a record a line after a "
                                                      "header: looked for in what is public.")] = None,
         trust: Believed = None, home: Where = None, as_json: Json = False) -> None:
    """Was my work used? 0 yes, 1 not by its lineage, 3 cannot be told. Silence of a lineage proves nothing."""
    from troth.app.royalties import check_use  # start-up time
    from troth.cli.show import print_report
    from troth.verify.trust import Trust

    believed = None if trust is None else Trust.from_bytes(read_file(trust))
    own = read_file(records).splitlines()[1:] if records else ()
    path = Path(target)
    with workspace(home) as party:
        what = path if path.is_file() else claim_id(party, target)
        raise typer.Exit(print_report(check_use(party, claim_id(party, listing), what, believed, own), as_json))


@royalty_app.command()
def erased(listing: Annotated[str, typer.Argument(help="The listing.")], home: Where = None,
           as_json: Json = False) -> None:
    """What the erasure of a listing makes stale here, and what its licences say may then be claimed."""
    from troth.app.royalties import touched_by  # start-up time

    with workspace(home) as party:
        found = touched_by(party, claim_id(party, listing))
        licences = [{"offer": one.offer.hex(), "seller": one.issuer, "erasure": one.erasure, "refund_bp": one.refund,
                     "claim": None if one.claim is None else str(one.claim), "holders": list(one.holders),
                     "deals": [deal.hex() for deal in one.deals]} for one in found.licences]
        stale = [{"claim": claim.hex(), "kind": kind} for claim, kind in found.stale]
        show({"erased": found.erased, "stale": stale, "licences": licences,
              "deals": [deal.hex() for deal in found.deals]}, as_json, lambda: "\n".join([
                  "erased" if found.erased else "not erased yet", *(f"stale: {kind} {claim.hex()[:16]}"
                                                                    for claim, kind in found.stale),
                  *(f"licence {one.offer.hex()[:16]}: {one.erasure or 'says nothing of erasure'}; each of "
                    f"{len(one.holders)} holders may claim {one.claim if one.claim is not None else 'nothing said'}"
                    for one in found.licences)]))


@royalty_app.command()
def face(target: Target, rate: Annotated[int, typer.Option("--rate", min=0, max=1_000_000, help="Of a price, in parts "
                                                           "of a million.")],
         publish: Annotated[bool, typer.Option("--publish", help="Make it known on chain: markets ask there.")] = False,
         home: Where = None, as_json: Json = False) -> None:
    """What other people's markets are told (ERC-2981): the royalty's id, its purse, and the shares behind it."""
    from troth.app import royalties  # start-up time

    with workspace(home) as party:
        made = royalties.shares(party, claim_id(party, target), rate)
        if publish and "royalties" not in party.contracts.named:
            royalties.deploy_face(party)
        contract = royalties.face(party)
        number = contract.set(party.sender, made) if publish else contract.id_of(party.account, made)
        show({"contract": "0x" + contract.address.hex(), "id": str(number),
              "purse": "0x" + contract.purse(number).hex(), "shares": {
                  "0x" + account.hex(): str(share) for account, share in made.rows}}, as_json)


@royalty_app.command()
def release(target: Target, rate: Annotated[int, typer.Option("--rate", min=0, max=1_000_000)],
            maker: Annotated[str, typer.Option("--maker", help="The DID whose royalty it is.")],
            token: Annotated[str | None, typer.Option("--token", help="The demonstration token by default.")] = None,
            home: Where = None, as_json: Json = False) -> None:
    """Collect this party's share of what markets sent to a purse."""
    from troth.app import royalties  # start-up time
    from troth.core.encoding import from_hex

    with workspace(home) as party:
        coin = party.contracts["token"].address if token is None else from_hex(token.lower().removeprefix("0x"), 20)
        made, contract = royalties.shares(party, claim_id(party, target), rate), royalties.face(party)
        number = contract.id_of(royalties.account_of(party, maker), made)
        amount = contract.due(number, coin, party.account, made)
        if amount:
            contract.release(party.sender, number, coin, party.account, made)
        show({"amount": str(amount)}, as_json)


def _parts(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [{"account": "0x" + part.account.hex(), "amount": str(part.amount), "claim": part.claim.hex()}
            for part in parts]


def _weight(party: Troth, text: str) -> tuple[bytes, int]:
    claim, equals, number = text.partition("=")
    if not equals or not (number.isascii() and number.isdigit()):
        raise Misuse("a weight is a whole number", expected="CLAIM=N", actual=text)
    return claim_id(party, claim), int(number)


def _sale(party: Troth, text: str | None) -> tuple[bytes, int] | None:
    if text is None:
        return None
    deal, colon, pot = text.partition(":")
    if not colon or not (pot.isascii() and pot.isdigit()):
        raise Misuse("a sale is a deal and its pot", expected="DEAL:POT", actual=text)
    return deal_id(party, deal), int(pot)
