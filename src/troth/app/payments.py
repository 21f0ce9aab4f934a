"""x402 for a workspace: what it sells and by which file, what it may spend and on what, what it bought as claims.

A shop's file is TOML (docs/reference/payments.md)::

    url = "http://127.0.0.1:8402"     # how clients name it
    [[sell]]
    path = "/tumour"
    method = "POST"
    price = 100                       # of the token's smallest unit
    program = "tumour.program"        # answers of an integer program; or: file = "report.pdf"
    show = true                       # whether who asks may have the program and check the answer by running it

Payments leave a small *hot* account of the workspace's, which holds what it was filled with and no more.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from troth.agents.gate import NOBODY, Act, Confidence, Done, Gate, Refused
from troth.agents.x402.budget import Budget, Spending
from troth.agents.x402.receipt import PAYMENT, PURCHASE, PaymentClaim, Purchase, check_payment, claim_of
from troth.agents.x402.settling import ChainSettler
from troth.agents.x402.shop import KEEP, LIFE, Goods, Paid, Request, Route, Shop, Terms, sold
from troth.agents.x402.till import Till
from troth.app.keeping import short
from troth.core.claims import Evidence, Ref
from troth.core.encoding import from_hex, read_foreign, sha256
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.terms import Account
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity.documents import DocumentHistory
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.exchange import Parcel
from troth.ledger.outbox import LEVELS

if TYPE_CHECKING:
    from troth.agents.x402.client import Bought, Payer
    from troth.app import Troth
    from troth.fixed.numbers import IntArray
    from troth.fixed.program import Program
    from troth.ledger.erc3009 import Erc3009

T = TypeVar("T")
FOLDER = "x402"
TILL, BUDGET = "till.sqlite", "budget.sqlite"
MAX_FILE = 64 << 20
_HOT = b"troth/x402/hot/1\n"


def hot_key(party: Troth) -> Secp256k1KeyPair:
    """The key of the account that payments leave. It follows from the party's own; the other way round it does not."""
    return Secp256k1KeyPair(sha256(_HOT + party.identity.account.reveal_seed()))


def token_of(party: Troth, token: Account | None = None) -> Erc3009:
    """A token on the party's chain; the contracts' own by default."""
    from troth.ledger.erc3009 import Erc3009  # start-up time: it loads the chain's libraries

    return Erc3009(party.chain.web3, token or party.contracts["token"].address)


def folder(party: Troth) -> Path:
    """Where a workspace keeps what it sold and spent."""
    path = party.root / FOLDER
    path.mkdir(mode=0o700, exist_ok=True)
    return path


# -- selling -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sold:
    """Goods that are a file's bytes, as they were when the shop opened."""

    data: bytes
    media: str

    def admit(self, request: Request) -> None:
        """Every request is for the file."""

    def make(self, request: Request, paid: Paid) -> bytes:
        """Its bytes."""
        return self.data


class Desk:
    """A workspace in a thread of its own, for a server with many: a workspace's object serves one."""

    def __init__(self, party: Troth) -> None:
        self._worker = ThreadPoolExecutor(1, "desk")
        self._party = self._worker.submit(party.again).result()

    def ask(self, act: Callable[[Troth], T]) -> T:
        """What ``act`` gives, done by that thread."""
        return self._worker.submit(act, self._party).result()

    def close(self) -> None:
        """Close the workspace's other object. What is under way is finished first."""
        self._worker.submit(self._party.close).result()
        self._worker.shutdown()


class Answers:
    """Goods that are answers of an integer program: signed claims of kind ``answer``.

    A request is a JSON object: ``input`` as ``troth prove`` reads it, and, from one who wants to check the answer,
    ``buyer``: its introduction, a parcel in base64. The input is then sealed to that party, and where the shop shows it
    the program too, with which it executes the answer again.
    """

    media = "application/json"

    def __init__(self, desk: Desk, program: Program, *, show: bool) -> None:
        self._desk, self._program, self._show = desk, program, show
        self._kept = desk.ask(lambda party: party.add("program", program.to_bytes(), ()))

    def admit(self, request: Request) -> None:
        """An input of the program's shape and in its range. Raises BadInput."""
        self._read(request.body)

    def _read(self, body: bytes) -> tuple[IntArray, Parcel | None]:
        import numpy as np  # start-up time

        from troth.app.proving import row_of

        said = read_foreign(body, len(body) + 1)
        if not isinstance(said, dict) or said.keys() - {"input", "buyer"} or "input" not in said:
            raise BadInput("not a question", expected="an object with input, and perhaps buyer")
        rows = np.array([row_of(said["input"], self._program)], dtype=np.int64)
        self._program.admit(rows)  # the model itself is run for who has paid
        buyer = said.get("buyer")
        if buyer is None:
            return rows, None
        try:
            parcel = Parcel.from_bytes(base64.b64decode(buyer, validate=True))
        except (TypeError, ValueError):
            raise BadInput("not a buyer's introduction", expected="a parcel in base64") from None
        if len(parcel.documents) != 1 or parcel.blocks or parcel.keys:
            raise BadInput("not a buyer's introduction", expected="one party's document and binding")
        return rows, parcel

    def make(self, request: Request, paid: Paid) -> bytes:
        """The answer: scores and label to read, and the signed claim with its evidence to check."""
        from troth.verify.answers import ANSWER, INPUT, RERUN, Answer, row_bytes  # start-up time

        rows, introduction = self._read(request.body)
        row, scores = rows[0].tolist(), self._program.run(rows)[0].tolist()
        low, high = (side.tolist() for side in self._program.ranges[-1])
        said = Answer(RERUN, self._program.digest, tuple(scores), tuple(zip(low, high, strict=True)), "scores")

        def attest(party: Troth) -> tuple[bytes, Parcel]:
            evidence = [self._kept, party.add(INPUT, row_bytes(row), ())]
            claim = party.attest(ANSWER, said.subjects(), said.body(), evidence=evidence)
            return claim, _for(party, introduction, claim, evidence if self._show else evidence[1:])

        claim, parcel = self._desk.ask(attest)
        return json.dumps({
            "claim": claim.hex(), "label": self._label(scores), "payment": paid.id.hex(),
            "program": self._program.digest.hex(), "scores": [str(score) for score in scores],
            "parcel": base64.b64encode(parcel.to_bytes()).decode()}).encode()

    def _label(self, scores: list[int]) -> str:
        import numpy as np  # start-up time

        program = self._program
        if program.head == "number":
            return str(scores[0] / 2**program.output_scale)
        label = int(program.labels(np.array([scores]))[0])
        return program.classes[label] if program.classes else str(label)


def _for(party: Troth, introduction: Parcel | None, claim: bytes, evidence: list[Evidence]) -> Parcel:
    """An answer for whoever introduced itself, with keys to this evidence; for others the claim alone."""
    if introduction is None:
        return party.parcel([claim])
    party.meet(introduction)
    buyer = did_of(introduction.documents[0])
    for one in evidence:
        party.share(one, [buyer])
    keys = {one.cid: party.keyring.get(one.cid, short(buyer)) for one in evidence}
    return replace(party.parcel([claim], evidence), keys={cid: key for cid, key in keys.items() if key is not None})


@contextmanager
def open_shop(party: Troth, file: Path | str) -> Iterator[Shop]:
    """The shop of a file, open for as long as the block lasts.

    Raises BadInput for a file that cannot be read, Misuse for a token without authorizations.
    """
    file = Path(file)
    said = _toml(file, {"url", "token", "payee", "life", "keep", "until", "unbound", "sell"})
    token = token_of(party, _account(said["token"]) if "token" in said else None)
    try:
        name, version = token.named(party.chain.chain_id)
    except ActRefused as error:
        raise Misuse("this token takes no signed payments (ERC-3009)", actual="0x" + token.address.hex(),
                     do="Name one that does.") from error
    entries = said.get("sell")
    if not isinstance(entries, list) or not entries:
        raise BadInput(f"{file} sells nothing", expected="one [[sell]] or several")
    until, unbound = said.get("until", "included"), said.get("unbound", False)
    if until not in LEVELS[1:] or type(unbound) is not bool or any(
            type(said.get(name, 1)) is not int for name in ("life", "keep")):
        raise BadInput(f"{file} cannot be read", do="life and keep are seconds, unbound true or false.",
                       expected=f"until one of {', '.join(LEVELS[1:])}")
    terms = Terms(_origin(said.get("url", "")), token.address, party.chain.chain_id,
                  {"name": name, "version": version}, said.get("life", LIFE), said.get("keep", KEEP), unbound,
                  _account(said["payee"]) if "payee" in said else None)
    with ExitStack() as stack:
        desk = Desk(party)
        stack.callback(desk.close)
        routes = [_route(desk, file.parent, entry) for entry in entries]
        till = stack.enter_context(Till(folder(party) / TILL))
        yield Shop(terms, routes, party.identity.account, till, ChainSettler(party.sender, token, until),
                   party.chain.now)


def _origin(url: object) -> str:
    """A shop's address: scheme, host and port. Raises BadInput."""
    if url == "":
        return ""
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.hostname or url != f"{parts.scheme}://{parts.netloc}":
        raise BadInput("not a shop's address", expected="http(s)://HOST or http(s)://HOST:PORT", actual=str(url)[:80])
    return str(url)


def _route(desk: Desk, base: Path, entry: Any) -> Route:
    if not isinstance(entry, dict) or (left := entry.keys() - {"path", "method", "price", "file", "program", "show",
                                                               "description"}):
        raise BadInput("not something to sell", expected="path, method, price, file or program, show, description",
                       actual=", ".join(sorted(left)) if isinstance(entry, dict) else entry)
    kind = entry.keys() & {"file", "program"}
    path, method, price = sold(str(entry.get("path", "")), entry.get("method", "POST" if "program" in kind else "GET"),
                               entry.get("price"))
    description, show = entry.get("description", ""), entry.get("show", False)
    if len(kind) != 1 or type(description) is not str or type(show) is not bool:
        raise BadInput(f"{path} is not something to sell", expected="either file or program; show true or false")
    goods: Goods
    if "program" in kind:
        from troth.app.models import read_program  # start-up time

        goods = Answers(desk, read_program(base / str(entry["program"])), show=show)
    else:
        source = base / str(entry["file"])
        try:
            data = source.read_bytes()
        except OSError as error:
            raise OutsideFailed(f"cannot read {source}", actual=error.strerror) from None
        goods = Sold(data, mimetypes.guess_type(source.name)[0] or "application/octet-stream")
    return Route(method, path, price, goods, description)


def _toml(file: Path, known: set[str]) -> dict[str, Any]:
    try:
        said = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise OutsideFailed(f"cannot read {file}", actual=error.strerror) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read", actual=error, do="docs/reference/payments.md shows one.") from None
    if left := said.keys() - known:
        raise BadInput(f"{file} says what is not known", expected=", ".join(sorted(known)),
                       actual=", ".join(sorted(left)))
    return said


def _account(text: object) -> Account:
    return from_hex(str(text).removeprefix("0x").lower(), 20)


def did_of(document: bytes) -> str:
    """Whose first document this is. Raises BadInput."""
    return DocumentHistory.start(document).did


# -- buying --------------------------------------------------------------------------------------------------------


def budget(party: Troth) -> Budget:
    """The workspace's budget. Close it."""
    return Budget(folder(party) / BUDGET)


def payer(party: Troth, spends: Budget, *, plaintext: bool = False, unbound: bool = False) -> Payer:
    """Who pays for this workspace: its hot account, within its budget."""
    from troth.agents.x402.client import Payer  # start-up time: httpx

    return Payer(hot_key(party), party.chain, spends, plaintext=plaintext, unbound=unbound)


def refill(party: Troth, amount: int, token: Account | None = None) -> int:
    """Pay the hot account from the workspace's own; what it then holds. Raises Misuse for no amount, ActRefused."""
    found, hot = token_of(party, token), hot_key(party).public.account
    if amount < 1:
        raise Misuse("not an amount to fill with", expected="at least 1", actual=amount)
    found.transfer(party.sender, hot, amount)
    return found.balance(hot)


def refill_through(party: Troth, gate: Gate, confidence: Confidence = NOBODY) -> Done | Refused:
    """Have an agent's policy account top the hot account up: to what its limits say, and within its caps.

    Raises Misuse where its limits name another hot account, or none: its owner sets them.
    """
    limits, hot = gate.state().limits, hot_key(party).public.account
    if limits.hot != hot:
        raise Misuse("the account's limits fill another hot account", expected="0x" + hot.hex(),
                     actual="0x" + limits.hot.hex(), do="Have its owner name this one in the limits.")
    return gate.do(Act.refill(gate.account, limits, "fill the account that pays over HTTP"), confidence)


def question(party: Troth, asked: object) -> bytes:
    """A request for an answer that this party can check: the input, and who asks."""
    buyer = base64.b64encode(party.introduction().to_bytes()).decode()
    return json.dumps({"input": asked, "buyer": buyer}).encode()


def take_answer(party: Troth, bought: Bought) -> bytes:
    """Take an answer's claim and evidence in; the claim's id, for ``proving.check``. Raises BadInput, Refuted."""
    said = read_foreign(bought.body, len(bought.body) + 1)
    text = said.get("parcel") if isinstance(said, dict) else None
    if type(text) is not str:
        raise BadInput("not an answer that was sold", expected="an object with a parcel")
    claim = from_hex(said.get("claim"), 32)
    try:
        parcel = Parcel.from_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise BadInput("not an answer that was sold", actual=error) from None
    if claim not in {one.id for one in parcel.claims}:
        raise Refuted("the answer's claim is not in its parcel", expected=claim.hex())
    party.meet(parcel)
    return claim


def receipt(party: Troth, bought: Bought, refs: Sequence[Ref] = ()) -> bytes:
    """What was bought, as a claim of kind ``payment``; its id. Raises Misuse where nothing was paid."""
    paid = bought.spending
    if paid is None:
        raise Misuse("nothing was paid here", do="There is nothing to claim.")
    purchase = Purchase(paid.offer, paid.salt, bought.status, sha256(bought.body) if bought.served else b"")
    said = claim_of(party.did, purchase, hot_key(party), paid.tx or b"")
    return party.attest(PAYMENT, said.subjects(), said.body(), refs=refs,
                        evidence=[party.add(PURCHASE, purchase.to_bytes(), ())])


def check_receipt(party: Troth, claim: bytes, answer: bytes | None = None) -> Report:
    """A payment's claim in this log, checked against this party's chain and with what it can open, as numbered steps.

    answer: what is said to have come for it. Raises BadInput for a claim that is none.
    """
    statement = party.statement(claim)
    said = PaymentClaim.of(statement)

    def read(evidence: Evidence) -> bytes | None:
        try:
            return party.read(evidence)
        except Undecidable:
            return None

    token = token_of(party, said.token) if party.chain.chain_id == said.chain_id else None
    steps: list[Step] = []
    try:
        for found in check_payment(statement, read, token, answer):
            steps.append(Step(len(steps) + 1, found.name, found.outcome, found.detail))
    except (Refuted, Undecidable) as error:
        outcome = Outcome.REFUTED if isinstance(error, Refuted) else Outcome.UNDECIDABLE
        steps.append(Step(len(steps) + 1, "the payment's claim", outcome, error.diagnostics()))
    return Report(combine(tuple(steps)), None, tuple(steps))


def line(one: Spending) -> dict[str, Any]:
    """A payment as ``--json`` prints it."""
    return {"amount": str(one.offer.price), "at": one.at, "before": one.before, "nonce": one.nonce.hex(),
            "payee": "0x" + one.offer.payee.hex(), "resource": one.offer.resource, "state": one.state,
            "tx": None if one.tx is None else "0x" + one.tx.hex()}
