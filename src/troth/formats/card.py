"""A target's lineage as a Hugging Face model card: README.md with YAML metadata.

Source: https://huggingface.co/docs/hub/model-cards. Every sentence ends with the number of the claim it rests on; the
claims are listed below with their ids. Metadata that no claim fills is left out and listed as missing: a card never
guesses a licence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from troth.core.errors import BadInput
from troth.formats.lineage import Dataset, Facts, Said, urn, when


def write(facts: Facts) -> bytes:
    """The card. Raises BadInput for a target that is no model."""
    if not facts.is_model():
        raise BadInput("a model card is about a model", expected="a claim of kind model, or a run that made one",
                       actual=facts.statement.kind)
    return "\n".join(_Card(facts).lines()).encode() + b"\n"


class _Card:
    """Writes lines and numbers the claims as they are used."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._numbers: dict[bytes, int] = {}

    def lines(self) -> Iterator[str]:
        """The card, line by line: metadata, what the claims say, what no claim says, the claims themselves."""
        facts = self._facts
        body = list(self._body())
        yield from ("---", *self._metadata(), "---", "", f"# {_plain(facts.name)}", "")
        if facts.graph.stale:
            yield "**Stale**: data that this model rests on was erased by its owner, or a consent to it withdrawn.\n"
        yield from body
        yield from ("", "## Missing", "", "No claim says these, so neither does this card.", "")
        yield from (f"- {_plain(field)}: {_plain(why)}" for field, why in facts.missing)
        yield from ("", "## Claims", "", "Each number above is one of these. `troth verify` checks them from a bundle.",
                    "", "| | kind | issuer | issued at | claim |", "|---|---|---|---|---|")
        here = dict(facts.statements())
        for claim, number in self._numbers.items():
            one = here[claim]
            yield f"| {number} | {one.kind} | `{_code(one.issuer)}` | {when(one.issued_at)} | `{urn(claim)}` |"
        yield ""
        yield f"Written as of {when(facts.as_of)} from {len(here)} claims about `{urn(facts.target)}`."

    def _metadata(self) -> Iterator[str]:
        """YAML whose texts are in double quotes."""
        facts = self._facts
        if facts.licence is not None:
            yield f"license: {_quoted(facts.licence.value)}"
        yield from ("tags:", "- troth", "model-index:", f"- name: {_quoted(facts.name)}", "  results:")
        for one in facts.metrics:
            about = f"claim {one.about}" if one.about else "by the run that measured it"
            yield from ("  - task:", "      type: other", "    dataset:", f"      name: {_quoted(about)}",
                        f"      type: {_quoted(urn(bytes.fromhex(one.about)) if one.about else 'other')}",
                        "    metrics:", f"    - type: {_quoted(one.name)}", f"      value: {_number(one.value)}",
                        f"      name: {_quoted(f'{one.name} [{urn(one.claim)}]')}")
        if not facts.metrics:
            yield "  []"

    def _body(self) -> Iterator[str]:
        facts = self._facts
        subject = facts.statement.subjects[0]
        digests = ", ".join(f"{_plain(name)} `{_code(value)}`" for name, value in subject.digests.items())
        yield self._sentence(f"The model's bytes have {digests}.", facts.target)
        yield self._sentence(f"Said by `{_code(facts.statement.issuer)}`.", facts.target)
        yield from ("", "## Evaluation", "")
        yield from (self._said(one, "on the records of claim ") for one in facts.metrics)
        yield from ("", "## Training", "")
        yield from (self._said(one) for one in (*facts.parameters, *facts.contributions))
        yield from ("", "## Data", "")
        yield from map(self._dataset, facts.datasets)

    def _dataset(self, one: Dataset) -> str:
        rows = "" if one.rows is None else f", {one.rows} records"
        state = "sealed" if one.sealed else "public" if one.cid else "by digest"
        address = f" at `{_code(one.cid)}`" if one.cid else f", sha256 `{one.digest.hex()}`" if one.digest else ""
        erased = ", erased" if one.erased else ""
        return self._sentence(f"{one.use}: {_plain(one.name)}{rows}, {state}{address}{erased}, "
                              f"by `{_code(one.issuer)}`.", one.claim)

    def _said(self, one: Said, about: str = "") -> str:
        return self._sentence(f"{_plain(one.name)}: {_plain(one.value)}"
                              f"{f', {about}{_plain(one.about)}' if one.about else ''}.", one.claim)

    def _sentence(self, text: str, claim: bytes) -> str:
        number = self._numbers.setdefault(claim, len(self._numbers) + 1)
        return f"- {text} [{number}]"


def _number(text: str) -> str:
    """A decimal as YAML reads a number; what is not finite stays a text."""
    return _quoted(text) if text.lstrip("-")[:1].isalpha() else text


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar. What does not print is written as its number, so that no line ends inside."""
    shown = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in shown) + '"'


def _code(text: str) -> str:
    """Text for a code span, which nothing escapes: what could end it is a question mark."""
    return re.sub(r"[^A-Za-z0-9:._%#/+=-]", "?", text)


def _plain(text: str) -> str:
    """Text that cannot become markup: what a claim says must not draw links, tables or lines of its own."""
    shown = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    for mark in "\\`*_[]<>|#":
        shown = shown.replace(mark, "\\" + mark) if mark in shown else shown
    return shown
