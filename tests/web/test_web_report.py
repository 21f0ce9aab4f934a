"""The report and the lineage page as text: self-contained, escaped, complete, readable."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries import HOSPITALS, PARTIES, UNIT, did, summary, trace

from troth.core.errors import BadInput, OutsideFailed
from troth.web import page as pages
from troth.web.charts import bars, line, ticks
from troth.web.graph import MOST_DRAWN, graph_svg, trace_page
from troth.web.page import asset, listed, page, percent, text, tokens
from troth.web.report import report, write_report

HOSTILE = '"><script>hacked=1</script><img src=x onerror=hacked=1></script><!--\u202e\x00'


class Reader(html.parser.HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles; refuses what is not well nested."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self._open: list[str] = []
        self.feed(document)
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.said.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.said).split())


def test_the_report_tells_who_did_what_and_what_moved() -> None:
    words = Reader(report(summary())).words
    for says in ("Four hospitals trained one model in 8 rounds", "Round 4: hospital-1 doubted the aggregate",
                 "executed the round again (rung 1, Rerun) and refuted it; aggregator lost its stake",
                 "−560.00 tokens over the run", "Round 5: the updates of hospital-3", "−200.00 tokens",
                 "hospital-2 erased its records", "The sum is unchanged", "+1,120.00", "95.61 %", "41.3 s",
                 "Book.open", "9,600,000", "troth demo --study", "81.26 %", "78.16 % to 84.36 %", "this run",
                 "re-execution", "Check a bundle here, offline"):
        assert says in words, says


def test_a_run_in_which_nobody_cheats() -> None:
    told = summary()
    for row in told["rounds"]:
        row["caught"], row["slashed"] = None, []
    told["trace"] = {**told["trace"], "nodes": [{**row, "stale": False, "erased": False, "withdrawn": False}
                                                for row in told["trace"]["nodes"]]}
    del told["split"]
    words = Reader(report(told)).words
    assert "Nobody challenged a round." in words
    assert "doubted" not in words
    assert "erased its records" not in words
    assert "stored results, made by troth demo --study ." in words.replace(" .", " .")


def test_a_sum_that_changed_is_said() -> None:
    told = summary()
    told["balances"]["hospital-1"]["after"] = str(int(told["balances"]["hospital-1"]["after"]) + UNIT)
    words = Reader(report(told)).words
    assert "The sums differ." in words
    assert "+1.00" in words


def hostile(value: Any) -> Any:
    """Every text and key of a summary with an attack at its end, but for what is a number, a digest or an outcome."""
    if isinstance(value, dict):
        kept = ("outcome", "claim", "from", "to", "role", "target", "before", "after", "payments", "deal")
        return {key: entry if key in kept else hostile(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    return value + HOSTILE if isinstance(value, str) else value


def attacked() -> dict[str, Any]:
    """A summary in which every party's name and every text is an attack."""
    told = hostile(summary())
    bad = {name: name + HOSTILE for name in HOSPITALS}
    for row in told["rounds"]:
        for field in ("contributions", "payments"):
            row[field] = {bad[name]: value for name, value in row[field].items()}
    told["balances"] = {name + HOSTILE: value for name, value in told["balances"].items()}
    told["names"] = {key + HOSTILE: value for key, value in told["names"].items()}
    return told


def test_no_text_of_a_claim_becomes_markup() -> None:
    clean, dirty = report(summary()), report(attacked())
    assert [name for name, _ in Reader(clean).elements] == [name for name, _ in Reader(dirty).elements]
    assert "hacked" in Reader(dirty).words
    for unseen in "\u202e\x00":
        assert unseen not in dirty
    for _, attributes in Reader(dirty).elements:
        assert not any(name.startswith("on") for name in attributes)


@pytest.mark.parametrize("document", [report(summary()), trace_page(trace()), report(attacked())],
                         ids=["report", "trace", "attacked"])
def test_a_page_fetches_nothing_and_runs_only_what_it_names(document: str) -> None:
    policy = None
    for name, attributes in Reader(document).elements:
        for attribute in ("src", "href", "action", "srcset", "xlink:href", "style", "background"):
            assert attributes.get(attribute) in (None, "data:,"), (name, attributes)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            policy = attributes["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r"https?:|//|\*", policy)
    for tag in ("script", "style"):
        for content in re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy.split(f"{tag}-src")[1].split(";")[0]
    assert "@import" not in asset("report.css")
    assert "url(" not in asset("report.css")


def test_a_script_that_would_end_its_element_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "asset", lambda name: "'</Script>'" if name == "x.js" else "")
    with pytest.raises(BadInput, match="ends its own element"):
        page("title", "", ["x.js"])


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", summary())
    assert (tmp_path / "report.html").read_text("utf-8") == report(summary())
    with pytest.raises(OutsideFailed, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", summary())


def test_every_claim_is_drawn_once_and_every_reference_leads_left() -> None:
    graph = trace()
    elements = Reader(graph_svg(graph, {did("sponsor"): "sponsor"})).elements
    drawn = [attributes for name, attributes in elements if name == "g" and "data-claim" in attributes]
    assert sorted(str(one["data-claim"]) for one in drawn) == sorted(row["claim"] for row in graph["nodes"])
    assert [one["data-at"] for one in drawn] == [str(at) for at in range(len(drawn))]
    columns = {one["data-at"]: int(re.findall(r"-?\d+", str(one["transform"]))[0]) for one in drawn}
    places = {one["transform"] for one in drawn}
    assert len(places) == len(drawn)
    edges = [attributes for name, attributes in elements if name == "path" and "data-from" in attributes]
    assert len(edges) == len(graph["edges"])
    assert all(columns[edge["data-from"]] > columns[edge["data-to"]] for edge in edges)
    states = {str(one["data-claim"]): one["data-state"] for one in drawn}
    for row in graph["nodes"]:
        expected = "erased" if row["erased"] else "stale" if row["stale"] else ""
        assert expected in str(states[row["claim"]])
    assert [state for state in states.values() if "replaced" in str(state)] == ["replaced, stale"]


def test_a_claim_that_is_not_here_is_shown_as_absent() -> None:
    graph = {"target": "aa" * 32, "stale": False, "nodes": [
        {"claim": "aa" * 32, "kind": "model", "issuer": "did:key:z6Mk", "issued_at": 1, "depth": 0, "stale": False,
         "erased": False, "withdrawn": False},
        {"claim": "bb" * 32, "kind": None, "issuer": None, "issued_at": None, "depth": 1, "stale": False,
         "erased": False, "withdrawn": False}], "edges": [{"from": "aa" * 32, "to": "bb" * 32, "role": "data"}]}
    document = trace_page(graph)
    assert "Nothing that its 2 claims rest on was erased or withdrawn." in Reader(document).words
    assert 'data-state="absent"' in document
    assert "did:key:z6Mk" in document


def test_lanes_stand_in_the_order_of_the_work() -> None:
    names = {did(name): name for name in PARTIES}
    lanes = re.findall(r"<text x=.0. y=.\d+.><title>(.*?)</title>", graph_svg(trace(), names))
    assert lanes == [*HOSPITALS, "aggregator", "verifier-1", "verifier-2", "verifier-3", "sponsor"]


@pytest.mark.parametrize(("outcome", "slashed", "says"), [
    (1, [], "upheld what it challenged; nobody lost a stake"),
    (3, ["hospital-4"], "upheld it without the update that was withheld; hospital-4 lost its stake (+560.00 tokens"),
    (2, ["aggregator", "verifier-3"], "refuted it; aggregator lost its stake (−560.00 tokens over the run) and "
                                      "verifier-3 lost its stake (0.00 tokens"),
    (9, [], "found outcome 9"),
])
def test_what_a_challenge_led_to(outcome: int, slashed: list[str], says: str) -> None:
    told = summary()
    told["rounds"][3]["caught"] |= {"outcome": outcome, "slashed": slashed}
    assert says in Reader(report(told)).words


def test_a_huge_graph_is_drawn_in_part_and_says_so() -> None:
    nodes = [{"claim": f"{n:064x}", "kind": "note", "issuer": f"did:key:{n}", "issued_at": 1, "depth": n,
              "stale": False, "erased": False, "withdrawn": False} for n in range(MOST_DRAWN + 5)]
    edges = [{"from": f"{n:064x}", "to": f"{n + 1:064x}", "role": "after"} for n in range(MOST_DRAWN + 4)]
    document = graph_svg({"target": nodes[0]["claim"], "stale": False, "nodes": nodes, "edges": edges})
    assert "5 claims farther from the target are not drawn." in Reader(document).words
    assert document.count('class="node k7"') == MOST_DRAWN + 1  # and one in the legend


@given(st.integers(-(10**30), 10**30))
def test_tokens_are_cut_towards_zero_and_keep_their_sign(amount: int) -> None:
    shown = tokens(amount, sign=True)
    value = int(shown.replace(",", "").replace(".", "").lstrip("+\u2212"))
    assert value == abs(amount) * 100 // UNIT
    assert shown.startswith("\u2212") == (amount < 0)
    assert shown.startswith("+") == (amount > 0)


@given(st.integers(-(10**7), 10**7))
def test_percentages_are_rounded_to_the_nearest(ppm: int) -> None:
    shown = percent(ppm).removesuffix(" %").replace("\u2212", "-")
    assert abs(int(shown.replace(".", "")) * 100 - ppm) <= 50


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_cover_the_values_and_are_few(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    assert 2 <= len(marks) <= 12
    slack = 1e-6 * max(1.0, abs(low), span)
    assert marks[0] <= low + slack
    assert marks[-1] >= low + span - slack
    assert marks == sorted(set(marks))


def test_charts_show_each_value_and_negative_bars_hang_below_zero() -> None:
    chart = bars("worth", [1, 2], {"a": [2.0, -1.0], "b": [0.0, 1.0]}, str)
    elements = Reader(chart).elements
    zero = float(str(next(found["y1"] for name, found in elements if found.get("class") == "zero")))
    shapes = [found for name, found in elements if name == "rect"]
    assert [float(str(found["y"])) >= zero - 0.06 for found in shapes] == [False, True, True, False]
    assert "a, round 2: -1.0" in Reader(chart).words
    assert line("loss", [], [], str) == bars("worth", [], {}, str) == ""
    assert line("flat", [1], [0.5], str).count("<circle") == 1


def test_names_in_a_row() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "nobody", "a", "a and b", "a, b and c"]


@given(st.text(max_size=20))
def test_text_reads_back_as_it_was(value: str) -> None:
    shown = text(value)
    assert not set("<>\"'") & set(shown)
    shown.encode()  # no lone surrogate is left
    reader = Reader(f"<p title=\"{shown}\">x</p>")
    read = reader.elements[0][1]["title"] or ""
    assert len(read) == len(value)
    assert all(a == b or b == "\ufffd" for a, b in zip(value, read, strict=True))


def colours() -> list[dict[str, str]]:
    """The style's colours by name, in the light and in the dark scheme."""
    blocks = re.findall(r":root \{(.*?)\}", asset("report.css"), re.DOTALL)
    assert len(blocks) == 2
    return [dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", colours(), ids=["light", "dark"])
def test_colours_can_be_told_from_what_they_stand_on(scheme: dict[str, str]) -> None:
    for name in ("ink", "soft", "accent", "good", "bad", "unsure", "wait"):
        for ground in ("paper", "card", "stripe"):
            assert contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground)
    for number in range(8):
        assert contrast(scheme["on-fill"], scheme[f"c{number}"]) >= 4.5, number
        assert contrast(scheme["card"], scheme[f"c{number}"]) >= 3, number
