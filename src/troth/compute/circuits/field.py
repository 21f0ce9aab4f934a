"""The scalar field of BN254: integers modulo ``R``, held centred, so that small numbers of either sign stay small."""

from __future__ import annotations

R = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The field's prime, the order of BN254's groups (EIP-197)."""
HALF = R // 2
SAFE_BITS = 253
"""Every number of so many bits is below R, so that a decomposition into them is the only one."""


def centred(value: int) -> int:
    """The representative of ``value`` modulo R in -HALF..HALF."""
    value %= R
    return value - R if value > HALF else value


def inverse(value: int) -> int:
    """1 / value. 0 for 0, as hints want it; what relies on it must be constrained anyway."""
    return centred(pow(value, -1, R)) if value % R else 0
