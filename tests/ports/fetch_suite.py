"""The suite of ``Fetch``: what every implementation does, inherited by each one's tests."""

from __future__ import annotations

import pytest

from troth.core.errors import Misuse, OutsideFailed, Undecidable
from troth.core.ports import Fetch

FILE = b"a file of twenty bytes"[:20]


class FetchSuite:
    """An implementation's tests inherit this, and give ``fetch``, with ``FILE`` at ``base`` + ``/a/file``."""

    def test_a_file_that_is_there(self, fetch: Fetch, base: str) -> None:
        assert fetch.fetch(f"{base}/a/file", len(FILE)) == FILE
        assert fetch.fetch(f"{base}/a/file", 1_000) == FILE

    def test_a_file_that_is_not(self, fetch: Fetch, base: str) -> None:
        for path in ("/a", "/a/files", "/a/file/", "/"):
            with pytest.raises(Undecidable):
                fetch.fetch(base + path, 1_000)

    def test_a_file_too_large(self, fetch: Fetch, base: str) -> None:
        with pytest.raises(OutsideFailed, match="at most 19"):
            fetch.fetch(f"{base}/a/file", len(FILE) - 1)

    @pytest.mark.parametrize("url", ["http://issuer.example/x", "https://user@issuer.example/x", "https:///x",
                                     "file:///x", "https://issuer.example/x?y", "https://issuer.example/x#y", "x", "",
                                     "https://issuer.example:99999/x", "https://issuer.example:-1/x", "https://[::1/x",
                                     "https://issuer.example/\u00fc", "https://\u0131ssuer.example/x"])
    def test_other_urls_are_misuse(self, fetch: Fetch, url: str) -> None:
        with pytest.raises(Misuse):
            fetch.fetch(url, 1_000)
