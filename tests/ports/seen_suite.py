"""The suite of ``Seen``, what is remembered of did:webvh logs: inherited by each implementation's tests."""

from __future__ import annotations

from troth.identity.webvh import Seen


class SeenSuite:
    """An implementation's tests inherit this, and give ``seen``, which has seen nothing."""

    def test_what_was_seen(self, seen: Seen) -> None:
        assert seen.newest("Qm1") is None
        seen.saw("Qm1", "1-a")
        assert (seen.newest("Qm1"), seen.newest("Qm2")) == ("1-a", None)
        seen.saw("Qm1", "2-b")
        seen.saw("Qm2", "1-c")
        assert (seen.newest("Qm1"), seen.newest("Qm2")) == ("2-b", "1-c")

    def test_what_was_seen_later_stays(self, seen: Seen) -> None:
        for version in ("9-a", "10-b", "9-a", "2-c", "10-d"):
            seen.saw("Qm", version)
        assert seen.newest("Qm") == "10-b"
