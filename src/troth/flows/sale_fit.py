"""A sale whose key is proven to fit before anything is paid: an option, for a buyer that wants no dispute over a key.

Without it a wrong key is found after the payment, and verifiers give the price back. With it the seller's handover
brings a proof in zero knowledge (`compute.statements.keyfit.KeyUnderLock`): what it hands to this buyer, and the secret
that hashes to the deal's lock, make the key whose commitment stands in the sealed file's header. The buyer checks it
before it deposits anything; a wrong key is then refused, and costs it nothing. Book, terms and ladder are the same.

What it costs, beforehand: 175,000 constraints, so half a minute to make the keys, once for all sales, and some seconds
and most of a GiB of memory a handover, on one core (`app.fitting.estimate`). The verifying key must be one that the
buyer believes: made by itself, or by a ceremony in which it took part. Under keys of the seller's making a proof is
worth nothing.

What it does not show: what is in the file, which the verifiers still judge; that E holds the same key: where it does
not, the buyer opens with the key that was proven. Nor that the secret will be shown, which the seller's stake is for.
The proof is sealed to the buyer: with it and the secret anybody could open the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from troth.compute.provers.port import Keys, Prover
from troth.compute.statements.keyfit import KeyUnderLock, header_publics, lock_publics, unlocked
from troth.compute.statements.statement import Check, Proven, context_of, prove, verify, without_prover
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.flows.parts import Party
from troth.flows.sale_deal import FIT, Sale
from troth.store.cid import Cid
from troth.store.sealing import Header, check_key


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a party proves, or checks, that keys of sales fit.

    verifying: the key that it believes. prover, keys: a seller's. check_with: what evaluates the proof's equation.
    """

    verifying: bytes
    prover: Prover | None = None
    keys: Keys | None = None
    check_with: Check = without_prover
    statement: KeyUnderLock = field(default_factory=KeyUnderLock)

    def prove(self, sale: Sale, header: Header, data_key: bytes, secret: bytes) -> bytes:
        """The proof for one sale, as it travels, after it was checked. Raises Refuted, before anything is proven, for a
        key that does not fit; Misuse without a prover and its keys."""
        if self.prover is None or self.keys is None:
            raise Misuse("nothing to prove with", expected="a prover and its keys", do="Make the keys first.")
        instance = self.statement.instance(header, data_key, secret)
        made = prove(self.statement, instance, context(sale), self.prover, self.keys).to_bytes()
        self.check(sale, header, made)
        return made

    def check(self, sale: Sale, header: Header, proof: bytes) -> None:
        """Whether the secret of this sale's lock opens a key that fits this header. Raises Refuted, BadInput."""
        proven = Proven.from_bytes(proof)
        told = {name: proven.publics.get(name, -1) for name in self.statement.told}
        publics = {"context": context(sale), **header_publics(header), **lock_publics(sale.lock), **told}
        verify(proven, self.statement, publics, self.verifying, self.check_with)


def context(sale: Sale) -> int:
    """The first public: a proof is for one order and one deal."""
    return context_of(sale.order_id.hex(), sale.deal().hex(), sale.offer.deal.seller.hex())


def proof_with(party: Party, handover: bytes) -> bytes:
    """The proof that came with a handover. Raises Refuted where none did, Undecidable where it is not for this party.
    """
    for item in party.statement(handover).evidence:
        if item.name == FIT:
            return party.read(item)
    raise Refuted("no proof came that the key fits", expected="a handover with one", do="Do not pay for it. Ask the "
                  "seller to hand over again, with a proof under the key that you believe.")


def key_with(party: Party, handover: bytes, sale: Sale, secret: bytes) -> bytes | None:
    """The data key that the proof of a handover gives with the secret, where one came and it is the sealed file's.

    The key is compared with the file's commitment, so a proof that nobody checked does no harm; nor does one that does
    not open. Raises Undecidable where the sealed file is not here.
    """
    try:
        proof = proof_with(party, handover)
    except (Refuted, BadInput, Undecidable):
        return None
    try:
        key = unlocked(Proven.from_bytes(proof).publics, secret)
        return key if check_key(Cid.parse(sale.offer.cid), key, party.blobs) == sale.offer.commitment else None
    except (Refuted, BadInput):
        return None
