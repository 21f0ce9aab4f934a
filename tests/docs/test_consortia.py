"""The consortia in the examples: what their page says holds in the stored results, which a fresh run gives again; and
with deals on a chain, who cheats ends poorer."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from troth.learn.study import FLOATS, POOLED, TOGETHER, Row, compare

ROOT = Path(__file__).resolve().parents[2]
STORED: dict[str, Any] = json.loads((ROOT / "docs" / "data" / "consortia.json").read_text("utf-8"))
NAMES = ("hospitals", "mortgages", "appliances")
TOLERANCE = 15_000
"""Sites train in floats, so that another machine may differ by a few records; 1.5 points."""


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An example as a module; it imports what the three share from beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    for module in ("parts", f"consortium_{name}"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(f"consortium_{name}")


def play(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What an example prints, its one split and its deals."""
    module = example(name, monkeypatch)
    monkeypatch.setattr(sys, "argv", [f"consortium_{name}.py", str(folder), "--seeds", "1"])
    module.main()
    return capsys.readouterr().out.splitlines()


def gains(said: list[str]) -> dict[str, int]:
    """Who gained what; nothing appears, and nothing vanishes but into the commons."""
    found = {name: int(gain) for name, _, gain in (line.partition(" gains ") for line in said if " gains " in line)}
    assert sum(found.values()) <= 0
    return found


def percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f}"


@pytest.mark.parametrize("name", NAMES)
def test_every_member_gains_in_the_stored_study(name: str) -> None:
    stored = STORED[name]
    assert len(stored["seeds"]) >= 10
    rows = {row["name"]: Row(row["name"], tuple(row["scores_ppm"])) for row in stored["rows"]}
    members = [row for row in rows if row not in (TOGETHER, POOLED, FLOATS)]
    assert len(members) >= 4
    for member in members:
        lead = Row("", tuple(a - b for a, b in zip(rows[TOGETHER].scores, rows[member].scores, strict=True)))
        assert lead.mean - lead.margin > 0, member
        assert stored["leads"][member] == {"mean_ppm": lead.mean, "margin_ppm": lead.margin}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_stored_figures(name: str) -> None:
    page = (ROOT / "docs" / "consortia.md").read_text("utf-8")
    for row in STORED[name]["rows"]:
        mean, low, high = (percent(row[key]) for key in ("mean_ppm", "low_ppm", "high_ppm"))
        assert f"| {mean} | {low} – {high} |" in page, row["name"]
    for lead in STORED[name]["leads"].values():
        mean, low, high = (percent(lead["mean_ppm"] + side * lead["margin_ppm"]) for side in (0, -1, 1))
        assert f"| {'' if lead['mean_ppm'] < 0 else '+'}{mean} | {low} to {high} |" in page


@pytest.mark.parametrize("name", ["mortgages", "appliances"])
def test_a_fresh_run_gives_the_stored_figures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, stored = example(name, monkeypatch), STORED[name]
    study = compare(module.question(), stored["seeds"][:1])
    assert [row.name for row in study.rows] == [row["name"] for row in stored["rows"]]
    for row, kept in zip(study.rows, stored["rows"], strict=True):
        assert abs(row.scores[0] - kept["scores_ppm"][0]) <= TOLERANCE, row.name


def test_clinics_with_deals_and_an_aggregator_who_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    said = play("hospitals", tmp_path, monkeypatch, capsys)
    for row in STORED["hospitals"]["rows"]:
        printed = next(line for line in said if line.strip().startswith(row["name"]))
        found = float(printed[34:].split()[0]) * 10_000
        assert abs(found - row["scores_ppm"][0]) <= TOLERANCE
    assert any(line.endswith("stake forfeited: aggregator") for line in said)
    found = gains(said)
    assert found["aggregator"] < -6_000  # its stake of 7,000, but for one honest round's fee
    assert all(gain > 0 for name, gain in found.items() if name not in ("aggregator", "sponsor"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cheat"), [("mortgages", "bank 4"), ("appliances", "kitchens")])
def test_with_deals_who_hides_or_poisons_ends_poorer(name: str, cheat: str, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    said = play(name, tmp_path, monkeypatch, capsys)
    assert any(line.endswith(f"stake forfeited: {cheat}") for line in said)
    found = gains(said)
    assert found[cheat] < -1_000
    assert all(gain >= 0 for other, gain in found.items() if other not in (cheat, "sponsor"))
