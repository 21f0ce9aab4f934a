"""ROUND.toml is read strictly: whatever is wrong is said before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from rounds_parts import MONEY, write

from troth.app.rounds import Agreed, load
from troth.core.errors import BadInput, Misuse


def test_what_is_agreed_is_written_and_read_back(tmp_path: Path) -> None:
    file = load(write(tmp_path))
    assert Agreed.of(file.agreed.json()) == file.agreed
    assert (file.agreed.sites, file.agreed.verifiers, file.agreed.quorum, file.invited) == (2, 1, 1, False)
    assert file.sites == {name: tmp_path / f"{name}.csv" for name in ("north", "south")}
    assert file.agreed.clip == 2 << 16


@pytest.mark.parametrize(("old", "new", "said"), [
    ("rounds = 2", "rounds = 0", "rounds: not possible"),
    ("rounds = 2", "rounds = true", "[round] rounds; expected int"),
    ("rounds = 2", 'rounds = 2\nruel = "mean"', "keys that mean nothing; expected name, rounds, rule"),
    ("rounds = 2", 'rounds = 2\nrule = "krum"', "rule: not possible; expected mean, nnm+trimmed_mean"),
    ("rounds = 2", 'rounds = 2\nprivacy = "secret"', "privacy: not possible"),
    ("rounds = 2", "rounds = 2\nclip = 1e9", "clip: not possible"),
    ("rounds = 2", "rounds = 2\nclip = nan", "expected a number"),
    ("[round]", "[rounds]", "tables that mean nothing"),
    ("decimals = 1", "", "[schema] lacks decimals"),
    ("decimals = 1", "decimals = 13", "decimals are out of range"),
    ('columns = ["age", "dose"]', 'columns = ["age", "age"]', "distinct names"),
    ("reward = 3000", "reward = -1", "expected an amount"),
    ("reward = 3000", "", "[money] lacks reward"),
    ("site_stake = 3100", "site_stake = 3000", "the site's stake does not deter"),
    ('file = "validation.csv"', "", "[validation] lacks file"),
    ('north = "north.csv"', "north = 3", "[sites] north"),
    ('north = "north.csv"', '"../x" = "north.csv"', "a name of letters"),
    ('north = "north.csv"', "", "sites: not possible"),
    ("count = 1", "count = 0", "verifiers: not possible"),
    ("[verifiers]", '[task]\nfamily = "oracle"\n[verifiers]', "family"),
    ("[verifiers]", "[fit]\nrate = 1000\n[verifiers]", "local training is out of range"),
    ("[verifiers]", "[periods]\nwindow = 0\n[verifiers]", "periods: not possible"),
    ("[sites]", "[invited]\nsites = 2\n[sites]", "needs its sites in one way"),
])
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(Misuse) as found:
        load(path)
    assert said in str(found.value)


def test_invited_sites_need_places_to_reach(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="places to reach"):
        load(write(tmp_path, rest="[invited]\nsites = 2\n"))
    with pytest.raises(BadInput, match="in one way"):
        load(write(tmp_path, rest=""))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read"):
        load(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_text("[round\n" + MONEY)
    with pytest.raises(BadInput, match="no TOML"):
        load(tmp_path / "x.toml")
