"""Run in groth16py's own environment, with Troth's sources and tests on the path.

Not collected by the repository's own tests: ``test_interop_groth16py.py`` runs it.
"""

from ports.prover_suite import ProverSuite
from troth.compute.provers.groth16py import Groth16Py


class TestGroth16Py(ProverSuite):
    @classmethod
    def prover(cls):
        return Groth16Py()
