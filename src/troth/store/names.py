"""The names a store accepts: one rule for every backend, so that no name can reach outside a store."""

from __future__ import annotations

import re

from troth.core.errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def check_name(name: str) -> str:
    """``name``, if a store may hold it: 1 to 200 of ``a-z 0-9 . _ -``, the first a letter or digit.

    Every CID in text form is such a name. Upper case is refused because two names that differ only in case are
    one file on some disks; separators and leading dots because they walk out of the store's directory. Raises
    BadInput.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInput(
            "not a name a store can hold", expected="1 to 200 of a-z 0-9 . _ -, not starting with a mark",
            actual=repr(name[:80]), do="Use the CID's text form.",
        )
    return name
