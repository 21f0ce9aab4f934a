"""What every prover must do. A backend's test class inherits `ProverSuite` and says how to make one."""

from dataclasses import replace

import pytest

from troth.compute.circuits.builder import Builder, Circuit
from troth.compute.circuits.gadgets import in_range
from troth.compute.circuits.poseidon import poseidon, poseidon_lin
from troth.compute.provers import points
from troth.compute.provers.port import Keys, Prover
from troth.core.errors import BadInput, Misuse, Refuted
from troth.verify import groth16 as verifier

SALT = 12345678901234567890


def statement(bound: int) -> Circuit:
    """I know a number up to ``bound`` and a salt with this Poseidon."""
    builder = Builder()
    out = builder.output("commitment")
    value, salt = builder.private("x", 2)
    in_range(builder, value, 0, bound)
    builder.publish(out, poseidon_lin(builder, [value, salt]))
    return builder.build()


class ProverSuite:
    """Inherit, and define `prover`."""

    @classmethod
    def prover(cls) -> Prover:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls) -> tuple[Prover, Circuit, Keys, list[int], tuple[int, ...], bytes]:
        prover, circuit = cls.prover(), statement(100)
        keys = prover.setup(circuit)
        witness = circuit.witness({"context": 99, "x": [42, SALT]})
        return (prover, circuit, keys, witness, circuit.public_values(witness),
                prover.prove(keys, circuit, witness))

    def test_a_proof_holds_for_its_publics_and_no_others(self, made):
        prover, _, keys, _, publics, proof = made
        assert len(proof) == 256
        assert keys.origin == "dev"
        assert len(keys.verifying) == 448 + 64 * 3
        assert publics == (99, poseidon([42, SALT]))
        prover.verify(keys.verifying, proof, publics)
        for other in ((98, publics[1]), (publics[0], publics[1] - 1)):
            with pytest.raises(Refuted):
                prover.verify(keys.verifying, proof, other)

    def test_the_verifier_without_a_prover_agrees(self, made):
        _, _, keys, _, publics, proof = made
        key = verifier.VerifyingKey(keys.verifying)
        verifier.verify(key, verifier.Proof(proof), publics)

    def test_two_proofs_of_one_thing_differ(self, made):
        prover, circuit, keys, witness, publics, proof = made
        other = prover.prove(keys, circuit, witness)
        assert other[:64] != proof[:64]
        prover.verify(keys.verifying, other, publics)

    def test_a_false_statement_has_no_proof(self, made):
        prover, circuit, keys, *_ = made
        with pytest.raises(Refuted, match="breaks constraint"):
            prover.prove(keys, circuit, circuit.witness({"context": 99, "x": [101, 5]}))
        with pytest.raises(BadInput, match="not a witness"):
            prover.prove(keys, circuit, [1, 2])

    def test_keys_of_another_circuit_are_refused(self, made):
        prover, circuit, keys, witness, publics, proof = made
        other = statement(101)
        with pytest.raises(Misuse, match="keys of another circuit"):
            prover.prove(keys, other, other.witness({"context": 99, "x": [42, 1]}))
        swapped = prover.setup(circuit)   # even another setup of the same circuit
        with pytest.raises(Refuted):
            prover.verify(swapped.verifying, proof, publics)
        prover.verify(swapped.verifying, prover.prove(swapped, circuit, witness), publics)

    def test_a_key_whose_proofs_would_not_be_blinded_is_refused(self, made):
        """By whoever makes the keys, to read the witness from proofs: without beta and delta in the prover's own group
        a proof holds, and its A is alpha and the witness alone. With tau a root of unity that is one wire's value."""
        prover, circuit, keys, witness, *_ = made
        none = points.zero(1)
        looking = replace(keys.proving, beta1=none, delta1=none, b1=[none] * circuit.wires)
        for key in (looking, replace(keys.proving, delta2=points.zero(2))):
            with pytest.raises(BadInput, match="would show what they are to hide"):
                prover.prove(replace(keys, proving=key), circuit, witness)
