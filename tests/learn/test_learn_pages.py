"""What the pages on models and slow links show runs as it stands."""

from pathlib import Path

import pytest

from docs.walk import walk

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", ["models", "slow-links"])
def test_the_page_runs(page: str, tmp_path: Path) -> None:
    walk((PAGES / f"{page}.md").read_text(encoding="utf-8"), tmp_path)
