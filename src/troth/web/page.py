"""The frame of every page we write: one file, nothing fetched, every text escaped, numbers written for people.

The content security policy allows exactly the style and the scripts that stand in the page, by their hashes, and no
connection to anywhere. So no text in a page can start a script, even where escaping it had been forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from troth.core.errors import BadInput

UNIT = 10**18
# Controls, text-direction marks and lone surrogates: they hide or reorder what stands beside them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def text(value: object) -> str:
    """``value`` as HTML text or attribute value: escaped, and unseen characters replaced by U+FFFD."""
    return html.escape(_UNSEEN.sub("\ufffd", str(value)), quote=True)


def asset(name: str) -> str:
    """A file of this package (style, script), as text."""
    return files("troth.web").joinpath(name).read_text("utf-8")


def page(title: str, body: str, scripts: Sequence[str] = ()) -> str:
    """A whole document. title: plain text. body: HTML. scripts: names of this package's scripts, run in this order."""
    style = asset("report.css")
    code = [asset(name) for name in scripts]
    for part in (style, *code):
        if "</s" in part.lower() or "<!--" in part:
            raise BadInput("a script or style that ends its own element", expected="no '</s' and no '<!--' in it")
    policy = (f"default-src 'none'; style-src {_sources([style])}; script-src {_sources(code)}; img-src data:; "
              "base-uri 'none'; form-action 'none'")
    inline = "\n".join(f"<script>{part}</script>" for part in code)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n'
        f"<body>\n{body}\n{inline}\n</body>\n</html>\n")


def _sources(parts: Sequence[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
    return " ".join(f"'sha256-{value}'" for value in hashes) or "'none'"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, label: str, numbers: Iterable[int] = (),
          total: Sequence[str] | None = None) -> str:
    """A table in a box that scrolls by itself on a narrow screen.

    head, label: plain text. rows, total (a last row): HTML, one string a cell. numbers: which columns are figures.
    """
    right = set(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f'<{tag}{" class=figure" if at in right else ""}>{cell}</{tag}>' for at, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    foot = f"<tfoot><tr>{cells('td', total)}</tr></tfoot>" if total else ""
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}"><table>'
            f"<thead><tr>{cells('th', [text(name) for name in head])}</tr></thead>\n<tbody>{body}</tbody>{foot}"
            "</table></div>")


def tokens(amount: int | str, *, sign: bool = False) -> str:
    """An amount in units of 10^-18 token, with two decimals, cut towards zero; ``sign`` marks a gain with a plus."""
    value = int(amount)
    whole, rest = divmod(abs(value), UNIT)
    mark = "\u2212" if value < 0 else "+" if sign and value else ""
    return f"{mark}{whole:,}.{rest * 100 // UNIT:02d}"


def percent(ppm: int) -> str:
    """Parts per million as a percentage with two decimals, rounded to the nearest."""
    hundredths = (abs(ppm) + 50) // 100
    return f"{chr(0x2212) if ppm < 0 and hundredths else ''}{hundredths // 100}.{hundredths % 100:02d} %"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nobody"
