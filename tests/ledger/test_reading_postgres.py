"""The index in Postgres: the same suite on a server of the tests' own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ports.index_suite import IndexSuite
from ports.postgres import new_schema
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger.projection_sql import PostgresStore, open_store


class TestPostgres(IndexSuite):
    examples = 8

    def make(self) -> tuple[str, Callable[[], None]]:
        url = new_schema()

        def clean() -> None:
            store = PostgresStore(url)
            store.all(f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE")
            store.close()

        return url, clean


def test_passwords_and_strangers() -> None:
    url = new_schema()
    with pytest.raises(Misuse, match="password") as found:
        open_store(url.replace("user=troth", "user=troth&password=hunter2"))
    assert "hunter2" not in str(found.value)
    with pytest.raises(OutsideFailed, match="failed"):
        open_store(url.replace("host=", "host=/nowhere"))
    with pytest.raises(OutsideFailed, match="failed"):
        open_store("postgresql://[")
    store = open_store(url)
    store.all("DELETE FROM meta")
    store.close()
    with pytest.raises(BadInput, match="no index of this layout"):
        open_store(url)
