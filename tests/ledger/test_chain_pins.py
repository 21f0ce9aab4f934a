"""The chain behind an address stays the one it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse
from troth.ledger.chains import Chain, pins
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.pins import open_pinned
from troth.ledger.chains.server import RpcServer


def test_another_chain_is_refused_from_the_second_time_on(tmp_path: Path) -> None:
    kept, file = tmp_path / "chains.json", tmp_path / "chain"
    url = f"embedded:{file}"
    with open_pinned(url, kept) as chain:
        genesis = chain.genesis_hash
    assert genesis.hex() in kept.read_text()
    with open_pinned(url, kept) as chain:
        assert chain.genesis_hash == genesis
    file.unlink()
    EmbeddedChain(file, genesis_time=5).close()
    with pytest.raises(Misuse, match="another chain") as caught:
        open_pinned(url, kept)
    assert "chains.json" in str(caught.value)
    file.unlink()
    EmbeddedChain(file, chain_id=5).close()
    with pytest.raises(Misuse, match="another chain id"):
        open_pinned(url, kept)
    with open_pinned("embedded:", kept), open_pinned("embedded:", kept):
        assert "embedded:\"" not in kept.read_text()  # a chain that begins anew each time is not remembered


def test_over_the_wire(tmp_path: Path) -> None:
    kept = tmp_path / "chains.json"
    with EmbeddedChain(None, genesis_time=1) as one, RpcServer(one, 0) as server:
        port = server.port
        open_pinned(server.url, kept).close()
    with EmbeddedChain(None, genesis_time=2) as other, RpcServer(other, port) as server:
        url = server.url
        with pytest.raises(Misuse, match="another chain"):
            open_pinned(url, kept)


def test_two_that_remember_at_once_forget_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process remembers while this one opens its chain stays; and if that was another chain, it counts."""
    file, real = tmp_path / "chains.json", pins.open_chain
    one, two = (f"embedded:{tmp_path / name}" for name in ("one", "two"))

    def meanwhile(url: str, **options: Any) -> Chain:
        monkeypatch.setattr(pins, "open_chain", real)
        open_pinned(two, file).close()
        return real(url, **options)

    monkeypatch.setattr(pins, "open_chain", meanwhile)
    open_pinned(one, file).close()
    assert set(json.loads(file.read_text())) == {one, two}

    def swapped(url: str, **options: Any) -> Chain:
        file.write_bytes(encode({url: {"genesis": "11" * 32, "id": 5}}))
        return real(url, **options)

    file.unlink()
    monkeypatch.setattr(pins, "open_chain", swapped)
    with pytest.raises(Misuse, match="different chains"):
        open_pinned(one, file)


@pytest.mark.parametrize("text", ["", "[]", '{"embedded:x":5}', '{"embedded:x":{"genesis":"00","id":1}}'])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "chains.json").write_text(text)
    with pytest.raises(BadInput):
        open_pinned("embedded:x", tmp_path / "chains.json")
