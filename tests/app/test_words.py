"""What a person types as a claim's body: read strictly, refused clearly."""

from __future__ import annotations

import pytest

from troth.cli.parts import claim_body
from troth.core.errors import BadInput


def test_spacing_and_order_are_free() -> None:
    assert claim_body(b' { "b" : [1, true],\n "a": "\xc3\xa9" } ') == {"a": "é", "b": [1, True]}


@pytest.mark.parametrize("text", [
    b"", b"[", b"[]", b"7", b'{"a":1,"a":2}', b'{"a":0.5}', b'{"a":9007199254740993}', b'{"a":1e400}', b"\xff",
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"a":"\\ud800"}', b'{"a":NaN}',
])
def test_what_a_claim_cannot_hold_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        claim_body(text)
