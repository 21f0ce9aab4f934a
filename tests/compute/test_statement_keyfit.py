"""SHA-256 in a circuit, and the sale of a data key that fits."""

from __future__ import annotations

import hashlib
import hmac
import io

import pytest
from test_statement_attacks import without

from troth.compute.circuits.builder import Builder
from troth.compute.circuits.sha256 import ROUND, START, compress, constant_word, joined_words
from troth.compute.provers.groth16 import Groth16
from troth.compute.statements.keyfit import (
    KeyFit,
    KeyUnderLock,
    _words,
    after_block,
    header_publics,
    lock_publics,
    opened,
    pad_of,
    unlocked,
)
from troth.compute.statements.statement import prove, verify
from troth.core.errors import BadInput, Misuse, Refuted
from troth.store import sealing, unixfs
from troth.store.cid import Cid
from troth.store.memory import MemoryBlobs

KEY, OTHER = bytes(range(32)), bytes(32)
PAD = 123456789


@pytest.fixture(scope="module")
def fit():
    return KeyFit()


def sealed_header(key=KEY):
    blobs = MemoryBlobs()
    sealed = sealing.seal(io.BytesIO(b"what is sold"), blobs, key)
    return sealing.Header.read(next(unixfs.blocks(Cid.parse(str(sealed.cid)), blobs)))


def test_constants_and_a_block_of_constants() -> None:
    assert (ROUND[0], ROUND[63], START[0], START[7]) == (0x428A2F98, 0xC67178F2, 0x6A09E667, 0x5BE0CD19)  # FIPS 180-4
    for message in (b"", b"abc", bytes(55)):
        padded = message + b"\x80" + bytes(55 - len(message)) + (8 * len(message)).to_bytes(8, "big")
        assert after_block(padded) == hashlib.sha256(message).digest()


def test_a_block_of_wires() -> None:
    builder = Builder()
    high, low = builder.output("high"), builder.output("low")
    block = [word for half in builder.private("block", 4) for word in _words(builder, half)]
    found = compress(builder, [constant_word(value) for value in START], block)
    builder.publish(high, joined_words(found[:4]))
    builder.publish(low, joined_words(found[4:]))
    circuit = builder.build()
    assert circuit.constraints < 28_000
    for message in (b"abc", bytes(range(200, 255))):
        padded = message + b"\x80" + bytes(55 - len(message)) + (8 * len(message)).to_bytes(8, "big")
        witness = circuit.witness({"context": 1, "block": [int.from_bytes(padded[at:at + 16], "big")
                                                           for at in range(0, 64, 16)]})
        circuit.check(witness)
        digest = b"".join(value.to_bytes(16, "big") for value in circuit.public_values(witness)[1:])
        assert digest == hashlib.sha256(message).digest()


def test_what_a_header_says_is_read_from_it() -> None:
    header = sealed_header()
    publics = header_publics(header)
    extracted = hmac.digest(header.salt, KEY, "sha256")
    assert hmac.digest(extracted, sealing.KEY_COMMITMENT_INFO, "sha256") == header.key_commitment
    assert publics["fits0"] << 128 | publics["fits1"] == int.from_bytes(header.key_commitment, "big")
    assert sealing.key_commitment(KEY, header.salt) == header.key_commitment
    with pytest.raises(Refuted, match="does not fit"):
        KeyFit().instance(header, OTHER, PAD)


@pytest.mark.slow
def test_another_key_has_no_witness(fit) -> None:
    header = sealed_header()
    instance = fit.instance(header, KEY, PAD)
    assert opened(instance.publics, PAD) == KEY
    given = {"context": 1, **instance.publics, **instance.secrets}
    fit.circuit.check(fit.circuit.witness(given))
    theirs = fit.instance(sealed_header(OTHER), OTHER, PAD)
    for label, changed in (("fits", {"key": theirs.secrets["key"], "handed0": theirs.publics["handed0"],
                                     "handed1": theirs.publics["handed1"]}),
                           ("handed", {"handed1": 5}), ("pad", {"pad": pad_of(7)})):
        witness = fit.circuit.witness(given | changed)
        with pytest.raises(Refuted, match="breaks constraint") as told:
            fit.circuit.check(witness)
        assert label in (told.value.expected or "").split("/")
        without(fit.circuit, label).check(witness)
    with pytest.raises(Refuted, match="does not open"):
        opened(instance.publics, PAD + 1)


def test_a_secret_opens_what_it_hides() -> None:
    header, secret = sealed_header(), bytes(range(100, 132))
    made = KeyUnderLock().instance(header, KEY, secret)
    assert {**header_publics(header), **lock_publics(hashlib.sha256(secret).digest())}.items() <= made.publics.items()
    assert unlocked(made.publics, secret) == KEY
    with pytest.raises(Refuted, match="does not open"):
        unlocked(made.publics, bytes(32))
    with pytest.raises(Refuted, match="does not fit"):
        KeyUnderLock().instance(header, OTHER, secret)
    with pytest.raises(BadInput, match="nothing was handed over"):
        unlocked({}, secret)
    for length in (31, 33):
        with pytest.raises(Misuse, match="another length"):
            KeyUnderLock().instance(header, KEY, bytes(length))


@pytest.mark.slow
def test_another_key_or_secret_has_no_witness_under_a_lock() -> None:
    lock, header, secret = KeyUnderLock(), sealed_header(), bytes(range(100, 132))
    made, theirs = lock.instance(header, KEY, secret), lock.instance(sealed_header(OTHER), OTHER, secret)
    another = lock.instance(header, KEY, bytes(32))
    given = {"context": 1, **made.publics, **made.secrets}
    lock.circuit.check(lock.circuit.witness(given))
    hidden = ("handed0", "handed1")
    for label, changed in (("fits", {"key": theirs.secrets["key"], **{one: theirs.publics[one] for one in hidden}}),
                           ("lock", {"secret": another.secrets["secret"],
                                     **{one: another.publics[one] for one in hidden}}),
                           ("handed", {"handed1": 5})):
        witness = lock.circuit.witness(given | changed)
        with pytest.raises(Refuted, match="breaks constraint") as told:
            lock.circuit.check(witness)
        assert label in (told.value.expected or "").split("/")
        without(lock.circuit, label).check(witness)
    # A half beyond its 128 bits would be another key of the same bits: both are proven to be in range.
    beyond = lock.circuit.witness(given | {"key": [made.secrets["key"][0] + (1 << 128), made.secrets["key"][1]]})
    with pytest.raises(Refuted, match="breaks constraint"):
        lock.circuit.check(beyond)


@pytest.mark.slow
def test_a_sale_is_proven(fit) -> None:
    """Minutes: 160,000 constraints."""
    pytest.importorskip("zksnake")
    prover, instance = Groth16(), fit.instance(sealed_header(), KEY, PAD)
    keys = prover.setup(fit.circuit)
    proven = prove(fit, instance, 7, prover, keys)
    verify(proven, fit, {"context": 7, **instance.publics}, keys.verifying, prover.verify)
    with pytest.raises(Refuted):
        verify(proven, fit, {"context": 8, **instance.publics}, keys.verifying, prover.verify)
