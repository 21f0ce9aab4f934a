"""The documents agree with the source, with each other, and name nothing that is not theirs to name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from troth.agents.bargain import BID
from troth.agents.fleet import ARRIVAL, ERRAND
from troth.agents.journal import ACT, INTENT
from troth.agents.x402.receipt import PAYMENT
from troth.app.stating import STATEMENT
from troth.compute.decisions import DECISION, EXPLANATION
from troth.core.claims import BATCH
from troth.flows import sale_words
from troth.flows.job_claims import RESULT, REVIEW
from troth.flows.job_market import PROVIDER
from troth.flows.job_terms import JOB
from troth.flows.royalty_words import ROYALTY
from troth.formats.inventory import INVENTORY
from troth.formats.links import LINK
from troth.formats.runs import RUN
from troth.identity.binding import BINDING
from troth.identity.devices import READING
from troth.identity.documents import IDENTITY
from troth.identity.personhood import ADMISSION, ROSTER
from troth.learn import claims as round_claims
from troth.learn.acceptance import ACCEPTANCE
from troth.learn.contributions import CONTRIBUTION
from troth.learn.masking.terms import OPEN
from troth.learn.privacy.claims import SPENDING
from troth.ledger.payouts import PAYOUTS
from troth.verify.answers import ANSWER, QUESTION
from troth.verify.content import KIND as SIGNATURE
from troth.verify.trace import CONSENT, ERASURE, WITHDRAWAL

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Spelled so that this file does not match itself.
REGISTRIES = tuple(".".join(parts) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
    ("deb", "debian", "org"), ("proxy", "golang", "org"), ("crates", "io")))
MACHINE = re.compile(r"(?<![\w.~}>])/" + r"(?:work|tmp/(?:briefs|bash_jobs)|root|home/\w+)/")


def generator() -> ModuleType:
    """docs/generate.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tracked() -> list[Path]:
    """Every file under version control that is here. A tree without its history is read as it lies."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode:
        folders = ("src", "docs", "tests", "examples", "benchmarks", "contracts/src", "contracts/test")
        found = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
        return [*found, *ROOT.glob("*.*"), ROOT / "Makefile"]
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def headings(text: str) -> set[str]:
    """The anchors that a page's headings make."""
    plain = _FENCE.sub("", text)
    return {re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            for line in plain.splitlines() if line.startswith("#")}


def source_kinds() -> set[str]:
    """Every kind of claim that the source makes."""
    named = {value for name, value in vars(round_claims).items() if name.isupper() and isinstance(value, str)}
    named -= {OPEN}  # a privacy mode, which that module knows by name too
    return named | {
        BATCH, BINDING, IDENTITY, ERASURE, PAYOUTS, CONSENT, WITHDRAWAL, ADMISSION, ROSTER, RUN, LINK, INVENTORY,
        SIGNATURE, READING, SPENDING, STATEMENT, ACCEPTANCE, QUESTION, ANSWER,
        DECISION, EXPLANATION, sale_words.OFFER, sale_words.ORDER, sale_words.HANDOVER, sale_words.COMPLAINT,
        sale_words.INSPECTION, sale_words.EVALUATION, CONTRIBUTION, ROYALTY,
        PROVIDER, JOB, RESULT, REVIEW, INTENT, ACT, BID, ERRAND, ARRIVAL, PAYMENT,
        PROVIDER, JOB, RESULT, REVIEW, PAYMENT,
    }


@pytest.mark.parametrize("page", ["cli.md", "api.md"])
def test_references_are_what_the_generator_writes(page: str) -> None:
    written = (DOCS / "reference" / page).read_text(encoding="utf-8")
    assert written == generator().pages()[DOCS / "reference" / page], "run: python docs/generate.py"


def test_every_command_is_documented_and_has_help() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    found = dict(generator().commands())
    assert {"troth init", "troth verify", "troth deal show"} <= found.keys()
    for name, command in found.items():
        assert command.help, f"{name} has no help"
        assert command.help.rstrip().endswith("."), f"{name}: its help is no sentence"
        assert f"\n## {name}\n" in page
        options = {option for param in command.params for option in getattr(param, "opts", ())}
        assert "--json" in options, f"{name} has no --json"


def test_every_kind_has_a_whole_page() -> None:
    kinds = source_kinds()
    assert {"listing", "update", "verdict", "batch", "erasure"} <= kinds
    sections = [line for line in (DOCS / "kinds" / "TEMPLATE.md").read_text(encoding="utf-8").splitlines()
                if line.startswith("## ")]
    assert len(sections) == 6
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for kind in sorted(kinds):
        page = (DOCS / "kinds" / f"{kind}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# `{kind}` (version 1)\n")
        assert f"`urn:troth:{kind}:v1`" in page
        assert [line for line in page.splitlines() if line.startswith("## ")] == sections, kind
        for section in re.split(r"^## .*$", page, flags=re.MULTILINE)[1:]:
            assert len(section.split()) > 3, f"{kind}: an empty section"
        not_proved = page.split("## What it does not prove")[1].split("##")[0]
        assert not_proved.count("\n- ") >= 2, f"{kind} must say what it does not prove"
        assert f"(kinds/{kind}.md)" in index
    assert {path.stem for path in (DOCS / "kinds").glob("*.md")} == kinds | {"TEMPLATE"}


def test_every_decision_is_one_page_and_in_the_index() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1)), "numbers run on from 1, none twice"
    for number, path in zip(numbers, records, strict=True):
        lines = path.read_text(encoding="utf-8").splitlines()
        title = lines[0].removeprefix(f"# {number}. ")
        assert lines[0] != title, f"{path.name} must begin with '# {number}. '"
        assert len(lines) < 90, f"{path.name} is longer than a page"
        assert f"| [{number}]({path.name}) | {title} |" in index


def test_links_lead_somewhere() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert ROOT / "README.md" in pages
    seen = 0
    for page in pages:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for link in (one or other for one, other in _LINK.findall(text)):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.relative_to(ROOT)} links to {link}, which is not there"
            if anchor and target.suffix == ".md":
                assert anchor in headings(target.read_text(encoding="utf-8")), f"{page.name}: no heading for {link}"
            seen += 1
    assert seen > 40


def test_no_registry_and_no_place_of_one_machine() -> None:
    found, read = [], 0
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary vectors and images name nothing
        read += 1
        for number, line in enumerate(text.splitlines(), 1):
            if any(name in line for name in REGISTRIES) or MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert read > 100
    assert not found, "\n".join(found)


def test_the_search_finds_what_it_looks_for() -> None:
    for line in ("cd /" + "work/main", "see '/" + "tmp/briefs/x'", "/" + "root/.cache/x"):
        assert MACHINE.search(line)
    for line in ("docs/" + "work/x", "https://host/" + "work/x", "${x}/" + "root/"):
        assert not MACHINE.search(line)
