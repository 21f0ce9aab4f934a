"""SD-JWT needs an extra; without it every call says which. With it: tests/interop/tools/openvc_checks.py."""

from __future__ import annotations

import sys

import pytest

from troth.core.errors import Misuse
from troth.identity import did as dids
from troth.identity import integrity, keys, sdjwt


def test_without_the_library_each_call_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvc", None)
    pair = keys.key_pair(keys.ED25519, bytes(range(32)))
    key = integrity.MethodKey(dids.key_method(dids.key_did(pair.public)), pair)
    did = dids.key_did(pair.public)
    with pytest.raises(Misuse, match=r"troth\[openvc\]"):
        sdjwt.issue({}, "https://a.example", key, did, (), 60)
    with pytest.raises(Misuse, match=r"troth\[openvc\]"):
        sdjwt.present("a~", [], key, "aud", "nonce")
    with pytest.raises(Misuse, match=r"troth\[openvc\]"):
        sdjwt.check("{}", sdjwt.query("a", "b"), "aud", "nonce", [did], 1)
