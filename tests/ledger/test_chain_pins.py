"""The chain behind an address stays the one it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from troth.core.errors import BadInput, Misuse
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.pins import open_pinned
from troth.ledger.chains.server import RpcServer


def test_another_chain_is_refused_from_the_second_time_on(tmp_path: Path) -> None:
    pins, file = tmp_path / "chains.json", tmp_path / "chain"
    url = f"embedded:{file}"
    with open_pinned(url, pins) as chain:
        genesis = chain.genesis_hash
    assert genesis.hex() in pins.read_text()
    with open_pinned(url, pins) as chain:
        assert chain.genesis_hash == genesis
    file.unlink()
    EmbeddedChain(file, genesis_time=5).close()
    with pytest.raises(Misuse, match="another chain") as caught:
        open_pinned(url, pins)
    assert "chains.json" in str(caught.value)
    file.unlink()
    EmbeddedChain(file, chain_id=5).close()
    with pytest.raises(Misuse, match="another chain id"):
        open_pinned(url, pins)
    with open_pinned("embedded:", pins), open_pinned("embedded:", pins):
        assert "embedded:\"" not in pins.read_text()  # a chain that begins anew each time is not remembered


def test_over_the_wire(tmp_path: Path) -> None:
    pins = tmp_path / "chains.json"
    with EmbeddedChain(None, genesis_time=1) as one, RpcServer(one, 0) as server:
        port = server.port
        open_pinned(server.url, pins).close()
    with EmbeddedChain(None, genesis_time=2) as other, RpcServer(other, port) as server:
        url = server.url
        with pytest.raises(Misuse, match="another chain"):
            open_pinned(url, pins)


@pytest.mark.parametrize("text", ["", "[]", '{"embedded:x":5}', '{"embedded:x":{"genesis":"00","id":1}}'])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "chains.json").write_text(text)
    with pytest.raises(BadInput):
        open_pinned("embedded:x", tmp_path / "chains.json")
