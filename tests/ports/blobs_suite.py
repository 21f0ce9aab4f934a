"""What every store of blobs must do. A backend's test class inherits this and says how to open one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import pytest

from troth.core.errors import BadInput, Undecidable
from troth.core.ports import Blobs
from troth.store.cid import Cid

BAD_NAMES = (
    "", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\x00b", ".hidden", "-rf", "Upper", "ä", "a b", "a\n",
    "x" * 201, "..%2fx", "~root", "a:b",
)


class BlobsSuite(ABC):
    """Inherit, implement ``make``."""

    @abstractmethod
    def make(self) -> Blobs:
        """A new, empty store."""

    @pytest.fixture
    def blobs(self) -> Blobs:
        return self.make()

    def test_gives_back_what_was_put(self, blobs: Blobs) -> None:
        for data in (b"", b"x", bytes(range(256)) * 5000):
            name = str(Cid.of(data))
            assert not blobs.has(name)
            blobs.put(name, data)
            assert blobs.has(name)
            assert blobs.get(name) == data

    def test_missing_is_undecidable(self, blobs: Blobs) -> None:
        with pytest.raises(Undecidable, match="not in this store"):
            blobs.get(str(Cid.of(b"absent")))

    def test_putting_again_is_a_no_op(self, blobs: Blobs) -> None:
        blobs.put("note", b"first")
        blobs.put("note", b"second")
        assert blobs.get("note") == b"first"
        assert list(blobs.names()) == ["note"]

    def test_deletes(self, blobs: Blobs) -> None:
        blobs.put("note", b"text")
        assert blobs.delete("note") is True
        assert blobs.delete("note") is False
        assert not blobs.has("note")
        assert list(blobs.names()) == []
        with pytest.raises(Undecidable):
            blobs.get("note")
        blobs.put("note", b"new text")
        assert blobs.get("note") == b"new text"

    def test_lists_every_name_once(self, blobs: Blobs) -> None:
        names = {str(Cid.of(bytes([index]))) for index in range(50)} | {"a", "0", "x..y", "key.1_2-3"}
        for name in names:
            blobs.put(name, b"" if not name.startswith("b") else bytes([next(
                index for index in range(50) if str(Cid.of(bytes([index]))) == name)]))
        assert sorted(blobs.names()) == sorted(names)

    def test_may_change_while_being_listed(self, blobs: Blobs) -> None:
        for name in ("a", "b", "c"):
            blobs.put(name, b"")
        for name in blobs.names():
            blobs.delete(name)
        assert list(blobs.names()) == []

    def test_keeps_its_own_copy(self, blobs: Blobs) -> None:
        data = bytearray(b"before")
        blobs.put("note", data)  # type: ignore[arg-type]  # what a careless caller does
        data[:] = b"after!"
        assert blobs.get("note") == b"before"

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_refuses_names_that_are_no_names(self, blobs: Blobs, name: str) -> None:
        for act in (lambda: blobs.put(name, b"x"), lambda: blobs.get(name), lambda: blobs.has(name),
                    lambda: blobs.delete(name)):
            with pytest.raises(BadInput, match="name"):
                act()
        assert list(blobs.names()) == []

    def test_many_writers_of_one_name(self, blobs: Blobs) -> None:
        data = bytes(200_000)
        name = str(Cid.of(data))
        threads = [threading.Thread(target=blobs.put, args=(name, data)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert blobs.get(name) == data
        assert list(blobs.names()) == [name]
