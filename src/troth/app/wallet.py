"""A wallet: the credentials a party holds, issues and asks for (docs/reference/credentials.md).

::

    .troth/wallet/
        keys.json   the key of the other files and the credential identities' secrets, encrypted as the workspace's own
        held/       credentials received, by their name
        issued/     credentials issued that can be taken back, with their places in the status lists
        lists       the bits of those lists
        asked/      requests that wait for an answer; an answer takes its request away, so it counts once
        verifiers   domain -> the identity that speaks for it
        shown       what was shown to whom, when; written before anything leaves

Credentials are personal data: all of it is encrypted, and nothing of it goes into a log or a claim.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.app.walletfiles import SealedFolder
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted, Undecidable
from troth.core.verdicts import Outcome, Report
from troth.identity import did as dids
from troth.identity import integrity, keystore
from troth.identity.credentials import CONTEXT, PRESENTATION, Credential
from troth.identity.jsondoc import canonical, read_json, time_text, unix_time
from troth.identity.methods import AUTHENTICATION, Resolver, resolve_offline
from troth.identity.party import HYBRID_KIND, DocumentParty
from troth.identity.resolution import parts
from troth.identity.statuslist import DAY, MIN_ENTRIES, REVOCATION, SUSPENSION, StatusBits, StatusEntry, list_document
from troth.store.files import holding
from troth.verify.credentials import MAX_LIST, Believed, verify_presentation

if TYPE_CHECKING:
    from troth.app import Troth

PURPOSES = (REVOCATION, SUSPENSION)
REQUEST = "TrothPresentationRequest"
LASTS = 600
"""Seconds in which a request can be answered."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a verifier asks. expires: Unix seconds. types: credential types it wants to see; a wish, not a rule."""

    verifier: str
    domain: str
    challenge: str
    expires: int
    types: tuple[str, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Request:
        """Read a request strictly. Raises BadInput."""
        body = integrity.unsecured(document)
        challenge, domain, expires, kind, types, verifier = take(
            body, challenge=str, domain=str, expires=str, type=str, types=list, verifier=str)
        if kind != REQUEST or any(type(one) is not str for one in types) or not domain or len(challenge) < 16:
            raise BadInput("not a request for a presentation", expected=REQUEST, actual=kind)
        return cls(verifier, domain, challenge, unix_time(expires), tuple(types))

    def json(self) -> dict[str, Any]:
        """The unsigned request."""
        return {"type": REQUEST, "verifier": self.verifier, "domain": self.domain, "challenge": self.challenge,
                "expires": time_text(self.expires), "types": list(self.types)}


class Wallet:
    """The wallet of a workspace. One object serves one thread; processes take turns."""

    def __init__(self, party: Troth, passphrase: str, *, cost: int = keystore.DEFAULT_COST,
                 resolve: Resolver = resolve_offline) -> None:
        """Open it, or begin one. cost: scrypt's n for a new one. Raises Misuse for a wrong passphrase."""
        self.root = party.root / "wallet"
        self.clock, self.resolve = party.clock, resolve
        self._passphrase, self._cost = passphrase, cost
        for folder in (self.root, *(self.root / name for name in ("held", "issued", "asked"))):
            folder.mkdir(mode=0o700, exist_ok=True)
        with self._turn():
            if not (self.root / "keys.json").exists():
                self._put_away(secrets.token_bytes(32), [])
            key, self.identities = self._secrets()
        self._files = SealedFolder(self.root, key)

    # Who

    def new_identity(self, kind: str = HYBRID_KIND) -> DocumentParty:
        """A new identity for credentials, which nobody can link to the others or to the workspace's."""
        with self._turn():
            made = DocumentParty.create(kind)
            key, known = self._secrets()  # another process may have made some
            self._put_away(key, [*known, made])
            self.identities = [*known, made]
        return made

    def identity(self, did: str | None = None) -> DocumentParty:
        """The identity of a DID in either form; the first one, made if need be, for None. Raises Undecidable."""
        if did is None:
            return self.identities[0] if self.identities else self.new_identity()
        for one in self.identities:
            if did in (one.did, one.short):
                return one
        raise Undecidable("this wallet has no such identity", actual=did[:120],
                          expected=", ".join(one.short for one in self.identities) or "none yet")

    # As an issuer

    def issue(self, document: Mapping[str, Any], *, by: str | None = None, purposes: Sequence[str] = (REVOCATION,),
              chain: bool = False) -> dict[str, Any]:
        """Sign a credential. Its issuer, beginning and status are filled in where it names none.

        purposes: what it can be taken back for; none for never. chain: the second signature signs over the first.
        Raises BadInput for what is no credential, Misuse for another's name as issuer.
        """
        party = self.identity(by)
        filled = {"issuer": party.did, "validFrom": time_text(self.clock.now())} | dict(document)
        named = filled["issuer"].get("id", party.did) if type(filled["issuer"]) is dict else filled["issuer"]
        if named not in (party.did, party.short):
            raise Misuse("a credential is signed by its issuer", expected=party.short, actual=named)
        filled["issuer"] = filled["issuer"] | {"id": party.did} if type(filled["issuer"]) is dict else party.did
        if "proof" in filled:
            raise Misuse("this credential is signed already", do="Issue the document without its proof.")
        with self._turn():
            places: dict[str, int] = {}
            if purposes and "credentialStatus" not in filled:
                places = self._places(party, purposes)
                entries = [StatusEntry(purpose, index, self.list_id(party, purpose)).json()
                           for purpose, index in places.items()]
                filled["credentialStatus"] = entries[0] if len(entries) == 1 else entries
            Credential.of(filled)
            options = integrity.Options(self.clock.now())
            made = integrity.secure(filled, party.keys, options, f"urn:uuid:{_uuid()}" if chain else None)
            if places:
                self._files.write(f"issued/{credential_name(made)}",
                                  {"credential": made, "by": party.short, "places": places})
        return made

    def list_id(self, party: DocumentParty, purpose: str) -> str:
        """The name of an identity's status list."""
        return f"urn:troth:status:{sha256(party.short.encode()).hex()[:32]}:{purpose}"

    def set_status(self, credential: Mapping[str, Any], purpose: str, on: bool = True) -> StatusEntry:
        """Take back (or give back) a credential that this wallet issued; publish the list again to let others know.

        Raises Undecidable for one that it did not issue, Misuse for a purpose it was not issued with, or for undoing
        a revocation, which is for good.
        """
        with self._turn():
            found = self._files.read(f"issued/{credential_name(credential)}")
            if found is None:
                raise Undecidable("this wallet issued no such credential that can be taken back")
            index = found["places"].get(purpose)
            if index is None:
                raise Misuse("this credential was not issued with that purpose", actual=purpose,
                             expected=", ".join(found["places"]))
            if purpose == REVOCATION and not on:
                raise Misuse("a revocation is for good", do="Issue a new credential.")
            list_id = self.list_id(self.identity(found["by"]), purpose)
            lists = self._lists()
            bits = StatusBits.decode(lists[list_id]["bits"])
            bits[index] = on
            lists[list_id]["bits"] = bits.encode()
            self._files.write("lists", lists)
        return StatusEntry(purpose, index, list_id)

    def status_list(self, purpose: str, by: str | None = None, lasts: int = DAY) -> dict[str, Any]:
        """The signed list of one of this wallet's identities, good for ``lasts`` seconds from now."""
        party = self.identity(by)
        list_id = self.list_id(party, purpose)
        found = self._lists().get(list_id)
        bits = StatusBits() if found is None else StatusBits.decode(found["bits"])
        now = self.clock.now()
        return integrity.secure(list_document(list_id, party.did, purpose, bits, now, lasts), party.keys,
                                integrity.Options(now))

    def issued(self) -> list[dict[str, Any]]:
        """What this wallet issued and can take back."""
        return list(self._all("issued").values())

    # As a holder

    def receive(self, data: bytes) -> str:
        """Keep a credential; its name here. Raises BadInput, or Misuse for one about nobody in this wallet.

        It is kept whatever its signatures are worth: verify it before you rely on it.
        """
        document = read_json(data)
        credential = Credential.of(document)
        if self._owner(credential) is None:
            raise Misuse("a credential about nobody in this wallet", actual=", ".join(credential.subject_ids)[:200],
                         expected=" or ".join(one.short for one in self.identities) or "an identity: make one first")
        with self._turn():
            self._files.write(f"held/{credential_name(document)}", document)
        return credential_name(document)

    def held(self) -> dict[str, dict[str, Any]]:
        """The credentials here, by name."""
        return self._all("held")

    def forget(self, name: str) -> None:
        """Delete a credential. What was shown of it stays with those it was shown to. Raises Undecidable."""
        self._one(name)
        self._files.delete(f"held/{name}")

    def know_verifier(self, domain: str, did: str, replace: bool = False) -> None:
        """Note which identity speaks for a domain. Raises Refuted where another one was noted, unless ``replace``;
        BadInput for what is no DID.
        """
        parts(did)
        with self._turn():
            known = self._verifiers()
            if replace:
                known.pop(domain, None)
            if known.setdefault(domain, dids.short_form(did)) != dids.short_form(did):
                raise Refuted("another identity speaks for this domain", expected=known[domain],
                              actual=dids.short_form(did),
                              do="Somebody may be posing as it. If it did change, note it again with --replace.")
            self._files.write("verifiers", known)

    def present(self, request: Mapping[str, Any], names: Sequence[str], to: str) -> dict[str, Any]:
        """Answer a verifier's request with these credentials. to: whom the person means to show them to, DID or domain.

        1. The request is signed by the verifier it names, for its domain, and not over.
        2. That verifier is the one meant: ``to`` is its DID, or a domain for which it is noted.
        3. A domain for which another identity is noted is refused: somebody poses as it.
        4. All the credentials are about one identity of this wallet, which signs for this domain and challenge alone.
        5. What is shown to whom is written down first.

        Raises Refuted, Pending (nothing noted for a domain), Misuse or Undecidable; nothing leaves then.
        """
        asked = Request.of(request)
        now = self.clock.now()
        integrity.verify_proofs(request, asked.verifier, integrity.Wanted(
            now, AUTHENTICATION, asked.domain, asked.challenge), self.resolve)
        if asked.expires <= now:
            raise Refuted("the request is over", expected=f"by {time_text(asked.expires)}", actual=time_text(now))
        self._meant(asked, to)
        if not names:
            raise Misuse("nothing to show", expected="a credential")
        chosen = [self._one(name) for name in dict.fromkeys(names)]
        owners = {owner.short: owner for owner in map(self._owner, map(Credential.of, chosen)) if owner is not None}
        if len(owners) != 1:
            raise Misuse("these credentials are about several identities: showing them together would link them",
                         actual=", ".join(owners), do="Show them in presentations of their own.")
        [owner] = owners.values()
        document = {"@context": [CONTEXT], "type": [PRESENTATION], "holder": owner.did,
                    "verifiableCredential": chosen}
        made = integrity.secure(document, owner.keys, integrity.Options(
            now, AUTHENTICATION, asked.domain, asked.challenge, asked.expires))
        line = {"at": time_text(now), "challenge": asked.challenge, "credentials": list(dict.fromkeys(names)),
                "domain": asked.domain, "holder": owner.short, "verifier": dids.short_form(asked.verifier)}
        with self._turn():
            self._files.write("shown", {"shown": [*self.shown(), line]})
        return made

    def shown(self) -> list[dict[str, Any]]:
        """What was shown to whom, oldest first."""
        return list((self._files.read("shown") or {"shown": []})["shown"])

    # As a verifier

    def ask(self, domain: str, types: Sequence[str] = (), *, by: str | None = None, lasts: int = LASTS,
            ) -> dict[str, Any]:
        """A signed request with a challenge that nobody has seen, which this wallet remembers until it is answered."""
        party, now = self.identity(by), self.clock.now()
        asked = Request(party.did, domain, secrets.token_urlsafe(24), now + lasts, tuple(types))
        made = integrity.secure(asked.json(), party.keys, integrity.Options(
            now, AUTHENTICATION, domain, asked.challenge))
        with self._turn():
            self._files.write(f"asked/{_challenge_name(asked.challenge)}", made)
        return made

    def check(self, data: bytes, believed: Believed) -> Report:
        """Verify an answer to one of this wallet's requests. One that is upheld takes its request away.

        Raises Refuted for an answer to no open request: a copy of one that was taken before, or one never asked for;
        BadInput for what is no presentation.
        """
        document = read_json(data, MAX_LIST)
        challenge = next((proof.challenge for proof in integrity.read_proofs(document) if proof.challenge), "")
        with self._turn():
            name = f"asked/{_challenge_name(challenge)}"
            found = self._files.read(name)
            if found is None:
                raise Refuted("an answer to no open request of this verifier: a replay, or never asked for",
                              actual=challenge[:40] or "no challenge")
            asked = Request.of(found)
            if asked.expires <= self.clock.now():
                raise Refuted("the request is over", expected=f"by {time_text(asked.expires)}",
                              actual=time_text(self.clock.now()))
            report = verify_presentation(document, believed, asked.domain, asked.challenge)
            if report.outcome is Outcome.UPHELD:
                self._files.delete(name)
        return report

    # Inside

    def _secrets(self) -> tuple[bytes, list[DocumentParty]]:
        """The files' key and the identities."""
        key, found = take(decode_object(keystore.load(self.root / "keys.json", self._passphrase)),
                          files=str, identities=list)
        return from_hex(key, 32), [DocumentParty.from_secrets(item) for item in found]

    def _put_away(self, key: bytes, identities: Sequence[DocumentParty]) -> None:
        content = encode({"files": key.hex(), "identities": [one.to_secrets() for one in identities]})
        keystore.save(self.root / "keys.json", content, self._passphrase, cost=self._cost, replace=True)

    def _meant(self, asked: Request, to: str) -> None:
        """Rules 2 and 3 of ``present``."""
        verifier, known = dids.short_form(asked.verifier), self._verifiers()
        if known.get(asked.domain, verifier) != verifier:
            raise Refuted("this request is not by whoever speaks for that domain", expected=known[asked.domain],
                          actual=verifier, do="Somebody poses as it. Show nothing.")
        if to.startswith("did:"):
            if dids.short_form(to) != verifier:
                raise Refuted("the request is by another verifier than the one meant", expected=dids.short_form(to),
                              actual=verifier)
        elif to != asked.domain:
            raise Refuted("the request is for another domain than the one meant", expected=to, actual=asked.domain)
        elif to not in known:
            raise Pending("who speaks for this domain is not noted yet", actual=to,
                          do=f"Find out whether {verifier} does, from itself; then note it, or name that DID.")

    def _owner(self, credential: Credential) -> DocumentParty | None:
        return next((one for one in self.identities
                     if one.short in credential.subject_ids or one.did in credential.subject_ids), None)

    def _one(self, name: str) -> dict[str, Any]:
        found = self._files.read(f"held/{name}") if name.isalnum() else None
        if found is None:
            raise Undecidable("no such credential in this wallet", actual=name)
        return found

    def _places(self, party: DocumentParty, purposes: Sequence[str]) -> dict[str, int]:
        """A place of its own in each list, drawn at random: numbers in order would tell who came when."""
        lists, places = self._lists(), {}
        for purpose in purposes:
            if purpose not in PURPOSES:
                raise Misuse("unknown purpose of a status", expected=" or ".join(PURPOSES), actual=purpose)
            entry = lists.setdefault(self.list_id(party, purpose), {"bits": StatusBits().encode(), "taken": []})
            taken = set(entry["taken"])
            if len(taken) > MIN_ENTRIES // 2:
                raise OutsideFailed("this identity's status list is half full", do="Make a new identity to issue with.")
            index = secrets.randbelow(MIN_ENTRIES)
            while index in taken:
                index = secrets.randbelow(MIN_ENTRIES)
            entry["taken"].append(index)
            places[purpose] = index
        self._files.write("lists", lists)
        return places

    def _lists(self) -> dict[str, Any]:
        return self._files.read("lists") or {}

    def _verifiers(self) -> dict[str, Any]:
        return self._files.read("verifiers") or {}

    def _all(self, folder: str) -> dict[str, dict[str, Any]]:
        found = {name: self._files.read(f"{folder}/{name}") for name in self._files.names(folder)}
        return {name: one for name, one in found.items() if one is not None}

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with holding(self.root / "turn", 60.0, "another process is working in this wallet"):
            yield


def credential_name(document: Mapping[str, Any]) -> str:
    """A credential's name in a wallet: SHA-256 of its canonical form, 32 hex digits of it."""
    return sha256(canonical(document)).hex()[:32]


def _challenge_name(challenge: str) -> str:
    return sha256(challenge.encode()).hex()[:32]


def _uuid() -> str:
    # Imported here: only chains need one.
    import uuid

    return str(uuid.uuid4())
