"""Poseidon against circomlib's own vectors and another implementation."""

import pytest

from troth.compute.circuits.field import R
from troth.compute.circuits.poseidon import MOST, parameters, poseidon
from troth.core.errors import Misuse


def test_the_vectors_of_circomlib():
    """circomlib (iden3), test/poseidoncircuit.js."""
    assert poseidon([1, 2]) == 0x115cc0f5e7d690413df64c6b9662e9cf2a3617f2743245519e19607a4417189a
    assert poseidon([1, 2, 3, 4]) == 0x299c867db6c1fdd79dcefa40e4510b9837e60ebb1ce0663dbaa525df65250465


def test_the_first_constants_are_the_papers():
    """Poseidon reference repository, poseidonperm_x5_254_3.sage."""
    constants, matrix = parameters(3)
    assert constants[0] == 0x0ee9a592ba9a9518d05986d656f40c2114c4993c11bb29938d21d47304cd8e6e
    assert matrix[0][0] == 0x109b7f411ba0e4c9b2b70caf5c36a7b194be7c11ad24378bfedb68592ba8118b


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9, 12])
def test_another_implementation_agrees(count):
    other = pytest.importorskip("light_poseidon_python")
    values = [R - 1 - 7**place for place in range(count)]
    assert int(other.poseidon_hash_bytes([value.to_bytes(32, "big") for value in values]), 16) == poseidon(values)


def test_other_numbers_of_elements_are_refused():
    for count in (0, MOST + 1):
        with pytest.raises(Misuse, match="1 to 16"):
            poseidon([1] * count)
