"""``troth train``, ``invite`` and ``join``: rounds from a file, among local sites or invited ones."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Coded, Json, app, lasting, naming, passphrase, read_file, show, visible, write_file

if TYPE_CHECKING:
    from troth.app.conducting import Row

Out = Annotated[Path, typer.Option("--out", help="The folder of this training; one that was cut off goes on there.")]
File = Annotated[Path, typer.Argument(help="What to train, by whom and for how much: docs/reference/joining.md.")]


@app.command()
def train(file: File, out: Out = Path("training"),
          wait: Annotated[int, lasting("--wait", "How long to wait for invited sites.")] = 3600,
          flower: Annotated[Path | None, typer.Option("--flower", help="Call invited sites over this prepared "
                                                      "SuperLink: troth flower link.")] = None,
          cost: Annotated[bool, typer.Option("--cost", help="Only say what the file's privacy would cost a site in a "
                                             "round, beside the other ways.")] = False,
          as_json: Json = False) -> None:
    """Train the rounds of a ROUND.toml, each a deal. A run that was killed goes on from the last round that stands.

    What it does not show: that a site's records are what they say. Score and pay come from the sponsor's records.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.app.rounds import load
    from troth.app.training import train as train_
    from troth.core.errors import Misuse
    from troth.web.training import training_page

    said, link = load(file), None
    if cost:
        from troth.app.costs import costs  # start-up time, as above

        found = costs(said.agreed)
        show(found, as_json, lambda: _costs(found))
        return
    if flower is not None:
        # Imported here: only a run over Flower makes certificates.
        from troth.app.flower import read_link

        if not said.invited:
            raise Misuse("these sites are local: nothing of theirs is carried over Flower",
                         do="Invite them: [invited] in the file.")
        link = read_link(flower)
    result = train_(said, out, passphrase(), say=_say, patience=float(wait), progress=_row, link=link)
    write_file(out / "training.html", training_page(result).encode())
    rows = [f"{'round':>5} {'loss':>8} {'score':>9} {'updates':>7}"]
    rows += [f"{row['round']:>5} {row['loss'] / 65536:>8.4f} {row['score_ppm'] / 10_000:>8.2f}% {row['counted']:>7}"
             for row in result["rounds"]]
    show(result, as_json, lambda: "\n".join([
        *rows, f"model {result['params']}", f"bundle {result['bundle']}, trust file {result['trust']}",
        f"curves {out / 'training.html'}"]))


@app.command()
def invite(file: File, output: Annotated[Path, typer.Option("-o", "--output", help="The invitation.")],
           out: Out = Path("training"),
           verifier: Annotated[bool, typer.Option("--verifier", help="To a verifier's seat, not a site's.")] = False,
           named: Annotated[str, typer.Option("--for", help="The DID of the only party that may use it.")] = "",
           open_: Annotated[bool, typer.Option("--open", help="For anybody, any number of times: whoever holds it can "
                                               "take a seat.")] = False,
           records: Annotated[int, typer.Option("--records", min=0, help="How many records the site has, by your "
                                                'count: pay goes by them unless [round] pay = "worth".')] = 0,
           as_json: Json = False) -> None:
    """Write an invitation to one seat of a ROUND.toml, signed by its sponsor. Then run troth train with the same --out.

    Each is good for one seat: of the party named, or of whoever uses it first. So hand it over yourself, and tell the
    sponsor's DID in another way. It does not show who somebody is: that is for the sponsor to know.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.app.conducting import SPONSOR
    from troth.app.inviting import invite as invite_
    from troth.app.rounds import load
    from troth.app.training import Coordinator
    from troth.learn.acceptance import SITE, VERIFIER

    with Coordinator(load(file), out, passphrase(), say=_say) as home:
        home.prepare()
        role = VERIFIER if verifier else SITE
        write_file(output, invite_(home, role, named, open_=open_, records=records))
        show({"invitation": str(output), "role": role, "sponsor": home[SPONSOR].did}, as_json)


@app.command()
def join(invitation: Annotated[Path, typer.Argument(help="The invitation.")],
         data: Annotated[Path | None, typer.Option("--data", help="A site's records, .csv or .parquet.")] = None,
         home: Annotated[Path, typer.Option("--home", help="This party's folder; made if need be.")] = Path("site"),
         flower: Annotated[Path | None, typer.Option("--flower", help="Answer calls that come over this prepared "
                                                     "SuperNode: troth flower node.")] = None,
         sponsor: Annotated[str | None, typer.Option("--from", help="The DID that the sponsor must have.")] = None,
         chain: Annotated[str | None, typer.Option("--chain", help="A node of one's own for the invitation's chain, "
                                                   "where the token has value.")] = None,
         check_only: Annotated[bool, typer.Option("--check-only", help="Show the terms, check the records, and stop; "
                                                  "nothing is written or sent.")] = False,
         epsilon: Annotated[str | None, typer.Option("--epsilon", help="Train with differential privacy; the most that "
                                                     "may ever be spent on these records.")] = None,
         delta: Annotated[str, typer.Option("--delta", help="With --epsilon.")] = "0.00001",
         norm: Annotated[float, typer.Option("--clip-norm", help="With --epsilon: what each record's gradient is "
                                             "clipped to.")] = 1.0,
         code: Coded = None, as_json: Json = False) -> None:
    """Take a seat in a training: show the terms, check the records, list them sealed, and train until it is over.

    By a verifier's invitation: without records, and execute again what is doubted. This process only reaches outward,
    and can be stopped and started again at any time.
    """
    # Imported here: start-up of --help must not load the application.
    from troth.app.inviting import Private, by_own_node, open_invitation
    from troth.app.inviting import join as join_
    from troth.core.errors import Misuse
    from troth.learn.acceptance import SITE
    from troth.learn.code import give
    from troth.learn.privacy.ledger import Budget
    from troth.learn.privacy.mechanisms import delta_text, micro
    from troth.learn.tables import read_table

    if code is not None:
        give(code)
    private = Private(Budget(micro(epsilon), delta_text(delta)), norm) if epsilon is not None else None
    with naming(invitation):
        said = open_invitation(read_file(invitation), sponsor)
    said = said if chain is None else by_own_node(said, chain)
    for line in said.terms():
        typer.echo(visible(line), err=as_json)
    site = said.ticket.role == SITE
    if data is None and (site or check_only):
        if not check_only:
            raise Misuse("a site trains on its records", do="Name them: --data FILE.csv.")
        show({"sponsor": said.sponsor[0], "checked": 0}, as_json, lambda: "the invitation is its sponsor's, unchanged")
        return
    if check_only and data is not None:
        if not site:
            raise Misuse("a verifier brings no records", do="Leave out --data.")
        rows = len(read_table(data, said.agreed.schema))
        show({"sponsor": said.sponsor[0], "checked": rows}, as_json, lambda: f"{rows} records fit")
        return
    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stop.set())
    joined = join_(said, data, home, passphrase(), _say, private)
    with joined.party as party:
        if flower is None:
            over = joined.run(stop.is_set)
        else:
            # Imported here: only a site behind Flower has a door.
            from troth.app.flower import read_node

            over = joined.serve(read_node(flower, party.did), stop.is_set)
        show({"did": party.did, "finished": over}, as_json,
             lambda: "finished" if over else "stopped; run the same command to go on")


def _say(text: str) -> None:
    typer.echo(visible(text), err=True)


def _costs(found: Mapping[str, Any]) -> str:
    lines = [f"{found['parameters']} parameters, {found['sites']} sites, privacy {found['privacy']}: "
             f"{found['sums']} sums a round, of up to {found['largest']} sites",
             f"{'a site, a round':<16} {'sends':>12} {'receives':>12} {'computes':>10} {'server':>10}",
             f"{'open':<16} {found['open']['sent']:>10} B {'':>12} {'':>10} {'':>10}"]
    for name in ("masking", "ckks"):
        one = found[name]
        lines.append(f"{name:<16} {one['sent']:>10} B {one['received']:>10} B {one['site_seconds']:>8.2f} s "
                     f"{one['server_seconds']:>8.2f} s")
    here = "is installed" if found["ckks"]["installed"] else "is not installed"
    return "\n".join([*lines, "rounds are summed by masking. CKKS is shown beside it: no verifier could sum it again "
                      f"(TenSEAL {here})"])


def _row(row: Row) -> None:
    from troth.learn.claims import UNSUMMED  # start-up time, as above

    none = "; no sum came out" if row.outcome == UNSUMMED else ""
    _say(f"round {row.round}: loss {row.loss / 65536:.4f}, score {row.score / 10_000:.2f} %, {row.counted} updates"
         + none + (f"; not counted: {', '.join(row.rejected)}" if row.rejected else ""))
