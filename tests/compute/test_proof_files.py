"""Constraint systems, witnesses and keys as files, and the keys' cache. What snarkjs says of them: tests/interop."""

import os
import struct
from dataclasses import replace

import pytest

from ports.prover_suite import statement
from troth.compute.circuits import iden3
from troth.compute.provers import zkey
from troth.compute.provers.cache import KeyCache
from troth.compute.provers.groth16 import Groth16
from troth.core.errors import BadInput, OutsideFailed, Refuted

PROVER = Groth16()
CIRCUIT = statement(100)
WITNESS = CIRCUIT.witness({"context": 3, "x": [7, 8]})


@pytest.fixture(scope="module")
def keys():
    return PROVER.setup(CIRCUIT)


def test_a_system_and_its_witness_come_back():
    back = iden3.read_r1cs(iden3.r1cs(CIRCUIT))
    assert back.digest == CIRCUIT.digest
    assert (len(back.publics), back.inputs["private"]) == (2, range(3, 5))
    witness = iden3.read_wtns(iden3.wtns(WITNESS))
    assert witness == WITNESS
    back.check(witness)
    with pytest.raises(Refuted):
        back.check([*witness[:-1], witness[-1] + 1])


@pytest.mark.parametrize("spoil", ["magic", "version", "cut", "more", "twice", "field"])
def test_files_that_are_none_are_refused(spoil):
    for data, read in ((iden3.r1cs(CIRCUIT), iden3.read_r1cs), (iden3.wtns(WITNESS), iden3.read_wtns)):
        changed = {"magic": b"x" + data[1:], "version": data[:4] + b"\x09" + data[5:], "cut": data[:-7],
                   "more": data + b"\0", "field": data[:30] + b"\xff" + data[31:],
                   "twice": data[:8] + struct.pack("<I", data[8] + 1) + data[12:] + struct.pack("<IQ", 1, 0)}[spoil]
        with pytest.raises(BadInput):
            read(changed)


def test_a_system_that_names_a_wire_it_has_not_is_refused():
    data = iden3.r1cs(CIRCUIT)
    at = data.index(struct.pack("<IQ", 2, 0)[:4], 12 + 12 + 64) + 12 + 4   # the first wire of the first row
    with pytest.raises(BadInput):
        iden3.read_r1cs(data[:at] + struct.pack("<I", 10_000) + data[at + 4:])


def test_keys_come_back_and_prove(keys):
    data = zkey.write(keys, CIRCUIT)
    back = zkey.read(data, CIRCUIT, ours=True)
    assert (back.verifying, back.origin, back.circuit) == (keys.verifying, "dev", CIRCUIT.digest)
    assert back.proving.c == keys.proving.c != {}
    PROVER.verify(keys.verifying, PROVER.prove(back, CIRCUIT, WITNESS), CIRCUIT.public_values(WITNESS))


def test_a_key_without_our_points_of_the_right_sides_proves_as_well(keys):
    """After a contribution those points would be wrong, so they are not taken from such a file."""
    contributed = bytearray(zkey.write(keys, CIRCUIT))
    contributed[-4:] = struct.pack("<I", 1)
    theirs = zkey.read(bytes(contributed), CIRCUIT)
    assert theirs.proving.c == {}
    PROVER.verify(keys.verifying, PROVER.prove(theirs, CIRCUIT, WITNESS), CIRCUIT.public_values(WITNESS))
    with pytest.raises(Refuted):   # points of another setup
        PROVER.prove(replace(keys, proving=replace(keys.proving, c=PROVER.setup(CIRCUIT).proving.c)), CIRCUIT, WITNESS)


def test_keys_that_are_wrong_are_refused(keys):
    data = zkey.write(keys, CIRCUIT)
    for ours in (True, False):
        with pytest.raises(BadInput, match="another circuit"):
            zkey.read(data, statement(101), ours=ours)
        with pytest.raises(BadInput, match=r"another circuit|cut short"):
            zkey.read(data[:-100], CIRCUIT, ours=ours)
    # A file that nobody contributed to is no ceremony's: its maker could forge.
    with pytest.raises(BadInput, match="nobody has contributed"):
        zkey.read(data, CIRCUIT)
    contributed = bytearray(data)
    contributed[-4:] = struct.pack("<I", 1)
    assert zkey.read(bytes(contributed), CIRCUIT).origin.startswith("ceremony ")
    contributed[-300] ^= 1   # a point of the last but one section
    with pytest.raises(BadInput, match="not on the curve"):
        zkey.read(bytes(contributed), CIRCUIT)


class Counting:
    """The prover, counting its setups."""

    name = "groth16"

    def __init__(self):
        self.setups = 0

    def setup(self, circuit):
        self.setups += 1
        return PROVER.setup(circuit)

    prove, verify = PROVER.prove, PROVER.verify


def test_a_key_is_made_once_and_found_again(tmp_path):
    prover, small = Counting(), statement(1)
    first = KeyCache(tmp_path).keys(prover, small)
    again = KeyCache(tmp_path).keys(prover, small)
    assert (prover.setups, first.verifying) == (1, again.verifying)
    assert [path.suffix for path in tmp_path.iterdir()] == [".zkey"]   # nothing half written is left


def test_of_two_setups_at_once_the_first_kept_is_used_by_both(tmp_path):
    small = statement(1)

    class Late(Counting):
        def setup(self, circuit):
            mine = super().setup(circuit)
            KeyCache(tmp_path).keys(Counting(), circuit)   # another run is quicker
            return mine

    used = KeyCache(tmp_path).keys(Late(), small)
    assert used.verifying == KeyCache(tmp_path).keys(Counting(), small).verifying


def test_dev_keys_make_room_and_a_ceremonys_stay(tmp_path, keys):
    data = bytearray(zkey.write(keys, CIRCUIT))
    data[-4:] = struct.pack("<I", 2)
    cache, prover = KeyCache(tmp_path, limit=1), Counting()
    imported = cache.import_ceremony(bytes(data), CIRCUIT)
    assert cache.keys(prover, CIRCUIT).origin == imported.origin != "dev"
    assert prover.setups == 0
    for bound in (1, 2):
        cache.keys(prover, statement(bound))
    left = {path.name.split(".")[1].split("-")[0] for path in tmp_path.iterdir()}
    assert left == {"dev", "ceremony"}
    assert len(list(tmp_path.glob("*.dev.*"))) == 1
    with pytest.raises(BadInput):
        cache.import_ceremony(b"zkey", CIRCUIT)


def test_a_damaged_key_is_said_to_be(tmp_path):
    cache, small = KeyCache(tmp_path), statement(1)
    cache.keys(Counting(), small)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadInput, match="cut short"):
        cache.keys(Counting(), small)
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(OutsideFailed, match="could not be kept"):
            cache.keys(Counting(), statement(2))
        tmp_path.chmod(0o700)
