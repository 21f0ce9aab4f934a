"""Who signs documents (credentials, presentations): an identity of its own, apart from the one that signs claims.

Two kinds. ``hybrid``: a long ``did:peer:4`` whose document names an Ed25519 and an ML-DSA-44 key and the rule that both
must sign; ML-DSA-44 because it is the one lattice suite that the cryptosuites' draft defines. ``ed25519``: a
``did:key``, for verifiers that know nothing else. Neither can change its keys: whoever loses them makes a new one, and
revokes what the old one issued. One call makes one that nobody can link to another.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from troth.core.encoding import encode, from_hex, take
from troth.core.errors import BadInput, Misuse
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.integrity import HYBRID, MethodKey

HYBRID_KIND, SINGLE_KIND = "hybrid", "ed25519"
_SUITES = {HYBRID_KIND: (keys.ED25519, keys.ML_DSA_44), SINGLE_KIND: (keys.ED25519,)}
_CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DocumentParty:
    """The secret side. did: as it stands in documents. short: its short form; the same for a ``did:key``."""

    kind: str
    did: str
    short: str
    keys: tuple[MethodKey, ...] = field(repr=False)

    @classmethod
    def create(cls, kind: str = HYBRID_KIND, random: Callable[[int], bytes] = os.urandom) -> DocumentParty:
        """A new one. random(n) gives n secret bytes. Raises Misuse for an unknown kind."""
        if kind not in _SUITES:
            raise Misuse("unknown kind of credential identity", expected=" or ".join(_SUITES), actual=kind)
        return cls._of(kind, [random(keys.SEED_SIZE) for _ in _SUITES[kind]])

    @classmethod
    def _of(cls, kind: str, seeds: list[bytes]) -> DocumentParty:
        pairs = [keys.key_pair(suite, seed) for suite, seed in zip(_SUITES[kind], seeds, strict=True)]
        if kind == SINGLE_KIND:
            did = dids.key_did(pairs[0].public)
            return cls(kind, did, did, (MethodKey(dids.key_method(did), pairs[0]),))
        short, did = dids.peer4(_document(pairs))
        return cls(kind, did, short, tuple(MethodKey(f"{did}#{pair.suite}", pair) for pair in pairs))

    def to_secrets(self) -> dict[str, Any]:
        """What makes this party again, for a keystore alone."""
        return {"kind": self.kind, "seeds": [key.pair.reveal_seed().hex() for key in self.keys]}

    @classmethod
    def from_secrets(cls, value: Any) -> DocumentParty:
        """The party whose ``to_secrets`` this is. Raises BadInput."""
        kind, seeds = take(value, kind=str, seeds=list)
        if kind not in _SUITES or len(seeds) != len(_SUITES[kind]):
            raise BadInput("not a credential identity's secrets", expected=" or ".join(_SUITES), actual=kind)
        return cls._of(kind, [from_hex(seed, keys.SEED_SIZE) for seed in seeds])

    def __repr__(self) -> str:
        return f"DocumentParty({self.short})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise Misuse("an identity is never pickled or copied", do="Keep its secrets in a keystore file.")


def _document(pairs: list[keys.KeyPair]) -> bytes:
    names = [f"#{pair.suite}" for pair in pairs]
    return encode({
        "@context": _CONTEXT,
        "assertionMethod": names,
        "authentication": names,
        "troth": {"cryptosuites": list(HYBRID)},
        "verificationMethod": [{"id": name, "publicKeyMultibase": dids.key_text(pair.public), "type": "Multikey"}
                               for name, pair in zip(names, pairs, strict=True)],
    })
