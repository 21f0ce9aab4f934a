"""Masking behind the port: `site` and `server`, and what it costs."""

from __future__ import annotations

import os

from troth.core.ports import KeyHistory, Signer
from troth.fixed.numbers import IntArray
from troth.learn.masking.port import Cost, Random, Session
from troth.learn.masking.server import BonawitzServer
from troth.learn.masking.site import BonawitzSite
from troth.learn.masking.terms import default_threshold

PUBLIC, PARCEL, SIGNATURES, SHARE, POINT = 1216, 1136 + 128, 3600, 64, 33
"""Bytes: a public key, a parcel, a hybrid identity's two signatures with their names, a share, a commitment."""

WORD_SECONDS, PEER_SECONDS, POINT_SECONDS = 4e-9, 1e-2, 2e-5
"""Of one core, measured by ``benchmarks/masking.py``: a mask's word made and added; keys, parcels and signatures of one
peer in all phases; one commitment's point in one check."""


class Bonawitz:
    """Double masking with shares against dropouts (docs/reference/masking.md)."""

    name = "masking"

    def site(self, session: Session, signer: Signer, keys: KeyHistory, vector: IntArray,
             random: Random = os.urandom) -> BonawitzSite:
        """A site's end. Raises BadInput for a vector that may not be summed here, Misuse for a stranger."""
        return BonawitzSite(session, signer, keys, vector, random)

    def server(self, session: Session, keys: KeyHistory) -> BonawitzServer:
        """The server's end."""
        return BonawitzServer(session, keys)

    def cost(self, sites: int, length: int) -> Cost:
        """For ``sites`` sites and vectors of ``length`` elements at the usual bound (words of 4 bytes)."""
        threshold, peers, vector = default_threshold(sites), sites - 1, 4 * length
        dealing = 2 * POINT * threshold + 32 * sites
        small = 6 * SIGNATURES + peers * (PUBLIC + PARCEL) + 3 * 32 * sites + dealing + SHARE * sites
        heard = sites * (5 * SIGNATURES + PUBLIC + PARCEL + 2 * 32 * sites + dealing)
        checks = 2 * threshold * POINT_SECONDS
        return Cost(small + vector, heard, sites * length * WORD_SECONDS + peers * (PEER_SECONDS + checks),
                    sites * length * WORD_SECONDS + sites * peers * (PEER_SECONDS / 10 + checks / 2),
                    (small + vector) / vector)
