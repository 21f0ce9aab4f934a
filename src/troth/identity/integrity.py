"""Data Integrity proofs over JSON documents: ``eddsa-jcs-2022``, ``mldsa44-jcs-2024`` and ``ecdsa-jcs-2019``.

Sources: W3C Verifiable Credential Data Integrity 1.0, the EdDSA and ECDSA cryptosuites v1.0, and the W3C CCG draft of
the quantum-safe cryptosuites. What is signed is hash(canonical proof options) ‖ hash(canonical document).

================  ==========================  =======  =====  ================================
cryptosuite       key                         hash     value  here
================  ==========================  =======  =====  ================================
eddsa-jcs-2022    Ed25519                     SHA-256  z…     made and checked
mldsa44-jcs-2024  ML-DSA-44, no context       SHA-256  u…     made and checked
ecdsa-jcs-2019    P-256, P-384                SHA-2    z…     checked
================  ==========================  =======  =====  ================================

Some (the draft's own vector for ``mldsa44-jcs-2024``, openvc-core) write no ``@context`` into the proof but sign over
the document's; so a proof without one is read both ways. Either reading signs the whole document.

A *set* is proofs beside each other: anyone can take one away, so **which must be there is never read from the
document** but from the issuer's DID document or from the verifier's trust (``required_suites``). A *chain* is proofs
that name earlier ones (``previousProof``) and sign over them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.identity import keys
from troth.identity.jsondoc import canonical, time_text, unix_time
from troth.identity.methods import ASSERTION, Resolver, did_of, key_of
from troth.identity.multibase import multibase_base58, multibase_base64url, multibase_decode

EDDSA, MLDSA44, ECDSA = "eddsa-jcs-2022", "mldsa44-jcs-2024", "ecdsa-jcs-2019"
HYBRID = (EDDSA, MLDSA44)
MAX_PROOFS = 16
SKEW = 300
"""Seconds that a proof's ``created`` may lie ahead of the verifier's clock."""
_KEYS = {EDDSA: (keys.ED25519,), MLDSA44: (keys.ML_DSA_44,), ECDSA: (keys.P256, keys.P384)}
_SUITE_OF = {keys.ED25519: EDDSA, keys.ML_DSA_44: MLDSA44}
_DIGEST = {keys.P384: "sha384"}
_TEXTS = ("id", "cryptosuite", "verificationMethod", "proofPurpose", "proofValue", "created", "expires", "challenge",
          "nonce")


class ProofKey(Protocol):
    """Whoever signs: a verification method's id, its key's suite, and a signature over bytes."""

    @property
    def method(self) -> str:
        """The verification method's id: a DID with a fragment."""
        ...

    @property
    def suite(self) -> str:
        """The key's suite, as ``troth.identity.keys`` names it."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature."""
        ...


@dataclass(frozen=True, slots=True)
class MethodKey:
    """A key pair as ``ProofKey``."""

    method: str
    pair: keys.KeyPair

    @property
    def suite(self) -> str:
        """The pair's suite."""
        return self.pair.suite

    def sign(self, message: bytes) -> bytes:
        """Signature by the pair."""
        return self.pair.sign(message)


@dataclass(frozen=True, slots=True)
class Options:
    """What a new proof says. created, expires: Unix seconds. previous: ids of the proofs it builds on."""

    created: int
    purpose: str = ASSERTION
    domain: str | None = None
    challenge: str | None = None
    expires: int | None = None
    id: str | None = None
    previous: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The members, as they stand in the proof."""
        found: dict[str, Any] = {"created": time_text(self.created), "proofPurpose": self.purpose}
        found |= {name: value for name, value in (("domain", self.domain), ("challenge", self.challenge),
                                                  ("id", self.id)) if value is not None}
        if self.expires is not None:
            found["expires"] = time_text(self.expires)
        if self.previous:
            found["previousProof"] = self.previous[0] if len(self.previous) == 1 else list(self.previous)
        return found


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as read. ``options``: everything but its value, as it stood. Times in Unix seconds, None if not said."""

    cryptosuite: str
    method: str
    purpose: str
    value: str
    options: Mapping[str, Any] = field(repr=False)
    id: str | None = None
    previous: tuple[str, ...] = ()
    created: int | None = None
    expires: int | None = None
    domains: tuple[str, ...] = ()
    challenge: str | None = None

    @classmethod
    def of(cls, value: Any) -> Proof:
        """Read one proof. Another kind of proof stands under its type as cryptosuite, which nothing here can check.

        Raises BadInput for what is no proof.
        """
        if type(value) is not dict or type(value.get("type")) is not str:
            raise BadInput("not a proof", expected="an object with a type",
                           actual=value.get("type") if type(value) is dict else type(value).__name__)
        for name in _TEXTS:
            if name in value and type(value[name]) is not str:
                raise BadInput(f"unreadable proof: {name}", expected="text", actual=type(value[name]).__name__)
        if value["type"] != "DataIntegrityProof":
            return cls(value["type"], value.get("verificationMethod", ""), value.get("proofPurpose", ""), "", value,
                       value.get("id"), _texts(value, "previousProof"))
        missing = [name for name in ("cryptosuite", "verificationMethod", "proofPurpose", "proofValue")
                   if name not in value]
        if missing:
            raise BadInput("incomplete proof", expected=", ".join(missing))
        return cls(value["cryptosuite"], value["verificationMethod"], value["proofPurpose"], value["proofValue"],
                   {name: item for name, item in value.items() if name != "proofValue"}, value.get("id"),
                   _texts(value, "previousProof"),
                   unix_time(value["created"]) if "created" in value else None,
                   unix_time(value["expires"]) if "expires" in value else None,
                   _texts(value, "domain"), value.get("challenge"))

    def json(self) -> dict[str, Any]:
        """The proof as it stood."""
        return dict(self.options) | ({"proofValue": self.value} if self.value else {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a verifier wants of proofs. now: Unix seconds. domain, challenge: None where none is wanted."""

    now: int
    purpose: str = ASSERTION
    domain: str | None = None
    challenge: str | None = None


def cryptosuite_of(key_suite: str) -> str:
    """The cryptosuite in which a key of this suite signs. Raises Misuse where none is made here."""
    found = _SUITE_OF.get(key_suite)
    if found is None:
        raise Misuse("no cryptosuite signs with this key", expected=", ".join(_SUITE_OF), actual=key_suite)
    return found


def unsecured(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its proofs."""
    return {name: item for name, item in document.items() if name != "proof"}


def read_proofs(document: Mapping[str, Any]) -> tuple[Proof, ...]:
    """The proofs of a secured document, in its order. Raises BadInput for none, too many, or one that is unreadable."""
    found = document.get("proof")
    items = found if type(found) is list else [] if found is None else [found]
    if not 0 < len(items) <= MAX_PROOFS:
        raise BadInput("a document without proofs" if not items else "too many proofs",
                       expected=f"1 to {MAX_PROOFS}", actual=len(items))
    proofs = tuple(map(Proof.of, items))
    ids = [proof.id for proof in proofs if proof.id is not None]
    if len(set(ids)) != len(ids):
        raise BadInput("two proofs of one id", expected="distinct ids", actual=", ".join(ids))
    return proofs


def prove(document: Mapping[str, Any], key: ProofKey, options: Options) -> dict[str, Any]:
    """A proof of ``document`` by ``key``, over the earlier proofs that ``options`` names. The document stays as it is.

    Raises Misuse for a key that no cryptosuite here signs with, Refuted where an earlier proof is not there.
    """
    suite = cryptosuite_of(key.suite)
    config = {"type": "DataIntegrityProof", "cryptosuite": suite, "verificationMethod": key.method} | options.json()
    if "@context" in document:
        config["@context"] = document["@context"]
    earlier = read_proofs(document) if options.previous else ()
    proof = Proof(suite, key.method, options.purpose, "", config, options.id, options.previous)
    value = key.sign(_signed(document, proof, earlier, key.suite))
    return config | {"proofValue": (multibase_base64url if suite == MLDSA44 else multibase_base58)(value)}


def secure(document: Mapping[str, Any], signers: Sequence[ProofKey], options: Options, chain: str | None = None,
           ) -> dict[str, Any]:
    """``document`` with one proof by each signer: a set, or a chain where ``chain`` is a prefix for the proofs' ids.

    Proofs that were there stay. Raises Misuse without signers.
    """
    if not signers:
        raise Misuse("a proof needs a key")
    found = document.get("proof")
    proofs = list(found) if type(found) is list else [] if found is None else [found]
    for place, key in enumerate(signers):
        own = options
        if chain is not None:
            own = replace(options, id=f"{chain}-{place}", previous=(f"{chain}-{place - 1}",) if place else ())
        proofs.append(prove(dict(document) | {"proof": proofs}, key, own))
    return unsecured(document) | {"proof": proofs[0] if len(proofs) == 1 else proofs}


def check_proof(document: Mapping[str, Any], proof: Proof, key: keys.PublicKey) -> None:
    """Check that ``key`` made ``proof`` over ``document`` and the earlier proofs that it names.

    Raises Refuted for a wrong one, Undecidable for a cryptosuite that is not known here, BadInput for an unreadable
    value.
    """
    allowed = _KEYS.get(proof.cryptosuite)
    if allowed is None:
        raise Undecidable("this cryptosuite is not known here", expected=", ".join(_KEYS), actual=proof.cryptosuite)
    if key.suite not in allowed:
        raise Refuted("a key of another suite than the proof's", expected=" or ".join(allowed), actual=key.suite)
    if not proof.value.startswith("u" if proof.cryptosuite == MLDSA44 else "z"):
        raise BadInput("a proof value in another base than the cryptosuite's", actual=proof.value[:8])
    signature = multibase_decode(proof.value)
    proofs = read_proofs(document)
    readings = (False,) if "@context" in proof.options or "@context" not in document else (True, False)
    if not any(key.verify(_signed(document, proof, proofs, key.suite, lent), signature) for lent in readings):
        raise Refuted("wrong proof: the document or the proof was changed, or another key signed",
                      expected=f"a {proof.cryptosuite} proof by {proof.method[:80]}",
                      actual=f"{len(signature)} bytes that do not verify")


def check_use(proof: Proof, wanted: Wanted) -> None:
    """Check what the proof was made for and when. Raises Refuted."""
    if proof.purpose != wanted.purpose:
        raise Refuted("a proof made for another purpose", expected=wanted.purpose, actual=proof.purpose)
    if proof.created is not None and proof.created > wanted.now + SKEW:
        raise Refuted("a proof from the future", expected=f"by {time_text(wanted.now)}",
                      actual=time_text(proof.created))
    if proof.expires is not None and proof.expires <= wanted.now:
        raise Refuted("the proof expired", expected=f"after {time_text(wanted.now)}", actual=time_text(proof.expires))
    if wanted.domain is not None and proof.domains != (wanted.domain,):
        raise Refuted("a proof made for another verifier", expected=wanted.domain,
                      actual=", ".join(proof.domains) or "no domain")
    if wanted.challenge is not None and proof.challenge != wanted.challenge:
        raise Refuted("a proof that answers another challenge", expected=wanted.challenge,
                      actual=proof.challenge or "no challenge")


def required_suites(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The cryptosuites that a DID document says must all sign; empty where it says nothing: then any one does.

    A Troth document names them in ``troth.cryptosuites``. One that requires suites for claims (``troth.suites``) and
    says nothing of cryptosuites signs no documents: for ML-DSA-65 there is no cryptosuite, and its Ed25519 key alone
    would be a downgrade. Raises Undecidable for that and for suites not known here, BadInput for an unreadable rule.
    """
    own = document.get("troth")
    if own is None:
        return ()
    if type(own) is not dict:
        raise BadInput("unreadable DID document", expected="an object under troth")
    suites = own.get("cryptosuites")
    if suites is None and "suites" in own:
        raise Undecidable("this identity signs claims, not documents: no cryptosuite covers its keys",
                          expected="a document that names cryptosuites", actual=own["suites"],
                          do="Ask for a proof by its credential identity.")
    if (type(suites) is not list or not suites or any(type(one) is not str for one in suites)
            or len(set(suites)) != len(suites)):
        raise BadInput("unreadable DID document", expected="distinct cryptosuites", actual=suites)
    unknown = [one for one in suites if one not in _KEYS]
    if unknown:
        raise Undecidable("the issuer requires a cryptosuite that is not known here", actual=", ".join(unknown))
    return tuple(suites)


@dataclass(frozen=True, slots=True)
class Proven:
    """What came of a document's proofs: the suites by which ``signer`` signed, and notes on proofs not counted."""

    signer: str
    suites: tuple[str, ...]
    proofs: tuple[Proof, ...]
    notes: tuple[str, ...] = ()


def verify_proofs(document: Mapping[str, Any], signer: str, wanted: Wanted, resolve: Resolver,
                  demanded: Sequence[str] = ()) -> Proven:
    """Check that ``signer`` signed under every suite that its DID document or the verifier (``demanded``) requires.

    1. Every proof by the signer must be right, made for the wanted purpose, and by a key allowed for it.
    2. Every required suite must be among them.
    3. A proof by somebody else never counts for the signer. Where it can be checked and is wrong, the document is
       refuted; where it cannot, a note says so.

    Raises Refuted, Undecidable (unknown document, suite or kind of key) or BadInput.
    """
    proofs = read_proofs(document)
    notes: list[str] = []
    suites: list[str] = []
    unsure: list[str] = []
    described = resolve(signer)
    required = tuple(dict.fromkeys((*required_suites(described), *demanded)))
    for proof in proofs:
        own = did_of(proof.method) == signer
        if proof.cryptosuite not in _KEYS:
            (unsure if own else notes).append(f"{proof.cryptosuite} is not known here ({proof.method[:60]})")
            continue
        try:
            holder = described if own else resolve(did_of(proof.method))
            check_proof(document, proof, key_of(holder, proof.method, wanted.purpose if own else proof.purpose,
                                                wanted.now))
        except Undecidable as error:
            (unsure if own else notes).append(f"{proof.cryptosuite} by {proof.method[:60]}: {error.message}")
            continue
        if not own:
            notes.append(f"also signed by {did_of(proof.method)[:60]}")
            continue
        check_use(proof, wanted)
        suites.append(proof.cryptosuite)
        if "@context" in proof.options and proof.options["@context"] != document.get("@context"):
            notes.append("the document's @context goes on after what was signed")
    missing = [suite for suite in required if suite not in suites]
    if unsure and (missing or not suites):
        raise Undecidable("a proof by the signer could not be checked", actual="; ".join(unsure))
    if missing or not suites:
        raise Refuted("a required proof is missing", expected=" and ".join(required) or f"a proof by {signer[:80]}",
                      actual=", ".join(suites) or "none by the signer",
                      do="The signer's document says which suites must sign; ask for the whole document.")
    return Proven(signer, tuple(suites), proofs, tuple(unsure + notes))


def _signed(document: Mapping[str, Any], proof: Proof, all_proofs: Sequence[Proof], key_suite: str,
            lent: bool = False) -> bytes:
    """What is signed: hash of the proof's options, then hash of the document with the earlier proofs named.

    lent: whether the options get the document's context.
    """
    body, options = unsecured(document), dict(proof.options)
    if "@context" in options:
        body["@context"] = _shared_context(body.get("@context"), options["@context"])
    elif lent:
        options["@context"] = body["@context"]
    if proof.previous:
        body["proof"] = [one.json() for one in _earlier(proof, all_proofs)]
    digest = _DIGEST.get(key_suite, "sha256")
    return hashlib.new(digest, canonical(options)).digest() + hashlib.new(digest, canonical(body)).digest()


def _shared_context(document: Any, proof: Any) -> Any:
    """The proof's context, with which the document's must begin (eddsa-jcs-2022, "Verify Proof", step 4)."""
    mine = proof if type(proof) is list else [proof]
    theirs = document if type(document) is list else [document]
    if theirs[: len(mine)] != mine:
        raise Refuted("the document's @context does not begin with the proof's", expected=mine, actual=theirs)
    return proof


def _earlier(proof: Proof, all_proofs: Sequence[Proof]) -> list[Proof]:
    """The proofs that this one names. Raises Refuted where one is missing or they go round in a circle."""
    by_id = {one.id: one for one in all_proofs if one.id is not None}
    missing = [name for name in proof.previous if name not in by_id]
    if missing:
        raise Refuted("an earlier proof that this one signs over is missing", expected=", ".join(missing),
                      do="A proof was taken away; ask for the whole document.")
    seen: set[str] = set()
    stack = list(proof.previous)
    while stack:
        name = stack.pop()
        if name == proof.id:
            raise Refuted("proofs that sign over each other in a circle", actual=name)
        if name not in seen:
            seen.add(name)
            stack += by_id[name].previous if name in by_id else ()
    return [by_id[name] for name in proof.previous]


def _texts(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = value.get(name, [])
    items = found if type(found) is list else [found]
    if any(type(item) is not str for item in items):
        raise BadInput(f"unreadable proof: {name}", expected="text or a list of texts", actual=found)
    return tuple(items)
