"""The report in a real browser: Debian's Chromium, from file://, with nothing else running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, chromium
from summaries import summary, trace
from test_web_report import attacked

from troth.web.graph import trace_page
from troth.web.report import write_report

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
ANSWER = "document.getElementById('answer')"
OUTCOME = f"{ANSWER}.dataset.outcome"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        page.send("Emulation.setFocusEmulationEnabled", enabled=True)
        yield page


@pytest.fixture
def shown(browser: Page, tmp_path: Path) -> Iterator[Page]:
    """The report, just opened. Afterwards: the page asked for nothing but itself and met no problem."""
    path = tmp_path / "report.html"
    write_report(path, summary())
    browser.events.clear()
    browser.open(path)
    yield browser
    assert browser.problems() == []
    assert browser.requests() == [path.as_uri()]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The genuine bundle with one digit of one claim's body changed."""
    path = tmp_path_factory.mktemp("changed") / "changed.troth"
    data = (VECTORS / "honest.troth").read_bytes()
    assert data.count(b'"sum":2') >= 1
    path.write_bytes(data.replace(b'"sum":2', b'"sum":3', 1))
    return path


def steps(page: Page) -> dict[str, str]:
    """Outcome by step's name, as the page shows them."""
    rows = page.value(f"Array.from({ANSWER}.querySelectorAll('tbody tr'), (row) => "
                      "Array.from(row.cells, (cell) => cell.textContent))")
    return {name: outcome for _, name, outcome, _ in rows}


def test_a_genuine_bundle_holds(shown: Page) -> None:
    shown.choose("#trust-file", VECTORS / "trust.json")
    shown.choose("#bundle-file", VECTORS / "honest.troth")
    assert shown.until(OUTCOME) == "undecidable"
    found = steps(shown)
    assert list(found.values()) == ["upheld"] * 10 + ["undecidable", "skipped"]
    assert found["signatures"] == "upheld"
    assert "Everything that this page checks holds" in shown.value(f"{ANSWER}.innerText")
    assert "as of block 3 of chain 7777" in shown.value(f"{ANSWER}.innerText")


def test_a_changed_bundle_is_refuted_and_the_step_named(shown: Page, changed: Path) -> None:
    shown.choose("#trust-file", VECTORS / "trust.json")
    shown.choose("#bundle-file", changed)
    assert shown.until(OUTCOME) == "refuted"
    assert steps(shown)["signatures"] == "refuted"
    assert "Refuted at step 4, signatures" in shown.value(f"{ANSWER}.innerText")


def test_without_a_trust_file_nobody_vouches(shown: Page) -> None:
    shown.choose("#bundle-file", VECTORS / "honest.troth")
    assert shown.until(OUTCOME) == "undecidable"
    assert "nobody you trust vouches for it" in shown.value(f"{ANSWER}.innerText")


def test_a_file_that_is_no_bundle(shown: Page, tmp_path: Path) -> None:
    (tmp_path / "holiday.troth").write_bytes(b"not a bundle")
    shown.choose("#bundle-file", tmp_path / "holiday.troth")
    assert shown.until(OUTCOME) == "malformed"
    assert "cannot be read as a bundle (step 1, container)" in shown.value(f"{ANSWER}.innerText")


def test_both_files_can_be_dropped_at_once(shown: Page, changed: Path) -> None:
    shown.choose("#trust-file", VECTORS / "trust.json")
    shown.choose("#bundle-file", changed)
    shown.until(OUTCOME)
    shown.value("""(() => {
      const held = new DataTransfer();
      for (const id of ["bundle-file", "trust-file"]) held.items.add(document.getElementById(id).files[0]);
      document.getElementById("answer").replaceChildren();
      delete document.getElementById("answer").dataset.outcome;
      document.getElementById("check").dispatchEvent(
        new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
    })()""")
    assert shown.until(OUTCOME) == "refuted"
    assert "changed.troth, against trust.json" in shown.value(f"{ANSWER}.innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_narrow_screen(shown: Page, dark: bool) -> None:
    shown.look(360, dark=dark)
    shown.choose("#bundle-file", VECTORS / "honest.troth")
    shown.until(OUTCOME)
    assert shown.value("document.documentElement.scrollWidth") == 360
    ground = shown.value("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if dark else "rgb(251, 250, 247)")
    # Nothing but boxes that scroll by themselves reaches beyond the screen.
    wide = shown.value("""Array.from(document.querySelectorAll("main *")).filter((element) =>
      !element.closest(".scroll") && element.getBoundingClientRect().right > 361).map((found) => found.outerHTML)""")
    assert wide == []
    shown.look(1280)


def test_the_lineage_answers_to_clicks_and_arrow_keys(shown: Page) -> None:
    shown.value("document.querySelector('g.node').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    first = shown.value("document.getElementById('picked').innerText")
    assert first.startswith("listing by ")
    shown.value("document.querySelector('g.node').focus()")
    shown.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    assert shown.value("document.activeElement.dataset.at") == "1"
    second = shown.value("document.getElementById('picked').innerText")
    assert second != first
    assert "claims that it rests on" in second
    assert shown.value("document.querySelectorAll('g.node[tabindex=\"0\"]').length") == 1


def test_attacks_in_names_and_texts_stay_text(browser: Page, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", attacked())
    browser.events.clear()
    browser.open(tmp_path / "report.html")
    assert browser.value("typeof hacked") == "undefined"
    assert browser.value("document.images.length") == 0
    assert browser.problems() == []
    assert browser.requests() == [(tmp_path / "report.html").as_uri()]


def test_the_policy_refuses_what_was_not_in_the_page(browser: Page, tmp_path: Path) -> None:
    """Were a text ever to become markup, nothing would run or be fetched."""
    write_report(tmp_path / "report.html", summary())
    data = (tmp_path / "report.html").read_text("utf-8")
    (tmp_path / "broken.html").write_text(data.replace(
        "<main>", "<main><script>hacked = 1</script><img src=https://x.invalid/ onerror='hacked = 1'>"), "utf-8")
    browser.events.clear()
    browser.open(tmp_path / "broken.html")
    assert browser.value("typeof hacked") == "undefined"
    assert len(browser.problems()) >= 2
    assert browser.value("fetch('https://x.invalid/').then(() => 'sent', () => 'refused')") == "refused"


def test_the_page_of_a_trace_opens(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "trace.html"
    path.write_text(trace_page(trace()), "utf-8")
    browser.events.clear()
    browser.open(path)
    assert "44 of 48 claims are stale" in browser.value("document.body.innerText")
    assert browser.problems() == []
    assert browser.requests() == [path.as_uri()]
