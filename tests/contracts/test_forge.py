"""A bounded run of Forge's fuzz tests and invariants; ``make forge`` is the deep one."""

from __future__ import annotations

from proofs import forge


def test_the_contracts_hold_under_forge() -> None:
    """Conservation, authorisation, no verdict overwritten, every deal closable and every credit withdrawable."""
    found = forge.run(forge.ROOT, forge.Depth(inputs=100, runs=25, acts=150, seed=11))
    assert found.held, found.text
    assert not found.never(), f"never happened: {found.never()}"
