"""``troth answer offer|ask|give|show|take-back``: answers for pay, by a deal (docs/reference/answers.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from troth.cli.parts import Json, Where, claim_id, lasting, naming, read_file, show, workspace, write_file
from troth.cli.prove import answer_app

if TYPE_CHECKING:
    from troth.app.answering import Offered

File = Annotated[Path, typer.Argument(metavar="OFFER", help="The provider's offer.")]
Asked = Annotated[str, typer.Argument(metavar="QUESTION", help="The question's claim.")]
Record = Annotated[Path | None, typer.Option("--record", help="The provider's own record, of a committed input.")]


@answer_app.command()
def offer(model: Annotated[Path, typer.Argument(help="A program, as troth model quantise writes it.")],
          output_file: Annotated[Path, typer.Option("-o", "--output-file", help="Where the offer goes.")],
          price: Annotated[int, typer.Option("--price", min=1, help="In the token's smallest unit.")],
          stake: Annotated[int, typer.Option("--stake", min=1, help="What you lose by silence or a false answer.")],
          token: Annotated[str | None, typer.Option("--token", help="Its account; the demonstration's by default.")
                           ] = None,
          period: Annotated[int, lasting("--period", "How long there is to answer.")] = 3600,
          weights: Annotated[str, typer.Option("--weights", help="fixed or committed.")] = "fixed",
          output: Annotated[str, typer.Option("--output", help="scores, or the label alone.")] = "scores",
          record: Record = None, home: Where = None, as_json: Json = False) -> None:
    """As the provider: write what you answer for, and publish its key on the chain. With --record the answer is about
    that record, which nobody is shown; without, each question brings its input, for all to see.
    """
    # Imported here and below: start-up of --help must not load chains and circuits.
    from troth.app.answering import Price
    from troth.app.answering import offer as offered
    from troth.app.models import read_program
    from troth.app.proving import read_input
    from troth.compute.circuits.model import COMMITTED, PUBLIC, Modes
    from troth.core.encoding import from_hex

    program = read_program(model)
    row = None if record is None else read_input(record, program)
    with workspace(home) as party:
        account = party.contracts["token"].address if token is None else from_hex(token.removeprefix("0x").lower(), 20)
        made = offered(party, program, Modes(weights, PUBLIC if row is None else COMMITTED, output),
                       Price(account, price, stake, period), row)
        write_file(output_file, made.to_bytes())
        show({"key": made.key.hex(), "model": made.model, "offer": str(output_file)}, as_json)


@answer_app.command()
def ask(file: File, given: Annotated[Path | None, typer.Argument(metavar="INPUT", help="JSON or a CSV of one row, if "
                                                                 "the question brings it. Everybody sees it.")] = None,
        fund: Annotated[int, lasting("--fund", "How long the provider has to take it up.")] = 86_400,
        home: Where = None, as_json: Json = False) -> None:
    """As the buyer: deposit the price and send a question. It is paid out against a proof alone; silence or a false
    answer brings it back with the provider's stake. What the model is worth, nobody proves.
    """
    from troth.app.answering import ask as asked
    from troth.app.proving import read_input

    offered = _offered(file)
    row = None if given is None else read_input(given, offered.inputs)
    with workspace(home) as party:
        party.receive()
        claim = asked(party, offered, row, fund)
        show({"question": claim.hex()}, as_json, claim.hex)


@answer_app.command()
def give(file: File, question: Asked, model: Annotated[Path, typer.Argument(help="The offer's program.")],
         record: Record = None, home: Where = None, as_json: Json = False) -> None:
    """As the provider: take a question up with your stake, prove the answer, and be paid, in one command. Nothing is
    staked for a question that your program and record cannot answer.
    """
    from troth.app.answering import give as given
    from troth.app.models import read_program
    from troth.app.proving import read_input

    offered, program = _offered(file), read_program(model)
    row = None if record is None else read_input(record, program)
    with workspace(home) as party:
        party.receive()
        claim = given(party, offered, claim_id(party, question), program, row)
        show({"answer": claim.hex()}, as_json, claim.hex)


@answer_app.command("show")
def show_answer(question: Asked, home: Where = None, as_json: Json = False) -> None:
    """What a question got, as the chain has it: the numbers that were proven and paid. 4 while it is open, 1 where no
    right answer came.
    """
    from troth.app.answering import told

    with workspace(home) as party:
        party.receive()
        numbers, answer, output = told(party, claim_id(party, question))
        show({"answer": answer.hex(), "numbers": list(numbers), "output": output}, as_json, lambda: "\n".join((
            f"{output}: {', '.join(map(str, numbers))}", f"answer {answer.hex()}")))


@answer_app.command("take-back")
def take_back(question: Asked, home: Where = None, as_json: Json = False) -> None:
    """After the provider's time is over: price and stake to the buyer. Anybody may. 4 before."""
    from troth.flows.answer import take_back as taken

    with workspace(home) as party:
        asked = claim_id(party, question)
        taken(party, asked)
        show({"question": asked.hex(), "taken": True}, as_json, lambda: "taken back")


def _offered(file: Path) -> Offered:
    from troth.app.answering import Offered  # start-up time, as above

    with naming(file):
        return Offered.from_bytes(read_file(file))
