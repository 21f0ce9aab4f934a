"""``did:webvh`` 1.0: a document on a web server with its whole history, each version signed by keys named before.

Source: did:webvh v1.0 (DIF), "Read (Resolve)", whose steps are numbered here. Stricter in three things: one bad entry
refuses the whole log, also for versions before it; unknown members of an entry, of its parameters and of a witness list
are refused; a log has at most ``MOST_ENTRIES`` entries and ``MOST_LOG`` bytes.

What a log proves: that every version follows from the identifier's first by signatures of keys that the version before
allowed (or, with pre-rotation, committed to), and that enough witnesses approved where the log asks for that. What it
does not: that the host shows everybody the same log, or its newest one. Two logs of one identifier may both hold; who
saw one of them before notices (``Seen``), and so do its witnesses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

from troth.core.encoding import jcs, jcs_of, read_foreign, sha256
from troth.core.errors import BadInput, Refuted
from troth.core.ports import Clock, Fetch
from troth.identity import keys
from troth.identity.integrity import EDDSA, Proof, check_proof
from troth.identity.methods import ASSERTION
from troth.identity.multibase import base58_decode, base58_encode, multibase_decode
from troth.identity.resolution import (
    MOST_DOCUMENT,
    NEWEST,
    NotFound,
    Resolution,
    When,
    check_document,
    found,
    parts,
    read_time,
)
from troth.identity.webaddress import WebAddress, read_address

METHOD = "did:webvh:1.0"
LOG, WITNESS = "did.jsonl", "did-witness.json"
PLACEHOLDER = "{SCID}"
SCID_SIZE = 46
MOST_LOG = 8 << 20
MOST_ENTRIES = 4_096
MOST_PROOFS = 16
TOLERANCE = timedelta(minutes=5)
"""How far in the future an entry's time may be."""
_MULTIHASH = bytes([0x12, 0x20])
_VERSION = re.compile(r"([1-9][0-9]{0,5})-([1-9A-HJ-NP-Za-km-z]+)\Z")
_NAMES = frozenset({"method", "scid", "updateKeys", "nextKeyHashes", "witness", "watchers", "portable", "deactivated",
                    "ttl"})


def hash58(data: bytes) -> str:
    """base58btc of the SHA2-256 multihash of ``data``, as identifiers, entry hashes and key commitments are."""
    return base58_encode(_MULTIHASH + sha256(data))


@lru_cache(maxsize=256)
def read_webvh(did: str) -> tuple[str, WebAddress]:
    """(SCID, place) of a ``did:webvh``. Raises BadInput."""
    method, rest = parts(did)
    scid, colon, place = rest.partition(":")
    if method != "webvh" or not colon or len(scid) != SCID_SIZE:
        raise BadInput("not a did:webvh", expected=f"did:webvh:SCID:HOST with a SCID of {SCID_SIZE} letters",
                       actual=did[:120])
    data = base58_decode(scid)
    if len(data) != 34 or not data.startswith(_MULTIHASH):
        raise BadInput("a SCID of another hash", expected="a SHA2-256 multihash", actual=data[:2].hex())
    return scid, read_address(place, labels=2)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who must approve versions: ``did:key`` identifiers of Ed25519 keys, and how many of them."""

    threshold: int
    dids: tuple[str, ...]

    @classmethod
    def of(cls, value: Any) -> Witnesses | None:
        """From a ``witness`` parameter; None for ``{}``. Raises BadInput for anything else than one list, once each."""
        if value == {}:
            return None
        if type(value) is not dict or value.keys() != {"threshold", "witnesses"} \
                or type(value["witnesses"]) is not list or type(value["threshold"]) is not int:
            raise BadInput("unreadable witness parameter", expected="threshold and witnesses")
        if not all(type(one) is dict and one.keys() == {"id"} for one in value["witnesses"]):
            raise BadInput("unreadable witness", expected="an object with an id alone")
        names = tuple(one["id"] for one in value["witnesses"])
        for name in names:
            _key_of(f"{name}#{str(name).removeprefix('did:key:')}")
        if len(set(names)) != len(names) or not 1 <= value["threshold"] <= len(names):
            raise BadInput("a threshold that its witnesses cannot meet, or meet twice", actual=value["threshold"],
                           expected=f"1 to {len(set(names))}, each witness once")
        return cls(value["threshold"], names)

    def to_dict(self) -> dict[str, Any]:
        """The ``witness`` parameter."""
        return {"threshold": self.threshold, "witnesses": [{"id": did} for did in self.dids]}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters in force from an entry on."""

    update_keys: tuple[str, ...] = ()
    next_hashes: tuple[str, ...] = ()
    witness: Witnesses | None = None
    watchers: tuple[str, ...] = ()
    portable: bool = False
    deactivated: bool = False
    ttl: int = 3_600

    def then(self, given: Mapping[str, Any], first: bool) -> Parameters:
        """These, changed by an entry's. Raises BadInput for unknown or mistyped ones, Refuted for forbidden changes."""
        if unknown := sorted(given.keys() - _NAMES):
            raise BadInput("unknown parameters", expected=", ".join(sorted(_NAMES)), actual=", ".join(unknown)[:200])
        if given.get("method", None if first else METHOD) != METHOD:
            raise BadInput("another version of the method", expected=METHOD, actual=str(given.get("method"))[:40])
        if ("scid" in given) != first:
            raise Refuted("the SCID is named by the first entry and by no other")
        if given.get("portable") is True and not first:
            raise Refuted("an identifier becomes portable with its first entry or never")
        # Older writers say null for the default (a note of the specification).
        said = {name: _DEFAULTS[name] if value is None and name in _DEFAULTS else value
                for name, value in given.items()}
        changed: dict[str, Any] = {}
        for name, attribute in (("updateKeys", "update_keys"), ("nextKeyHashes", "next_hashes"),
                                ("watchers", "watchers")):
            if name in said:
                changed[attribute] = _texts(name, said[name])
        for key in changed.get("update_keys", ()):
            _ed25519(key)
        for name in ("portable", "deactivated"):
            if name in said:
                if type(said[name]) is not bool:
                    raise BadInput(f"unreadable parameter {name}", expected="true or false")
                changed[name] = said[name]
        if "ttl" in said:
            if type(said["ttl"]) is not int or not 0 <= said["ttl"] <= 1 << 31:
                raise BadInput("unreadable parameter ttl", expected="seconds, up to 2^31", actual=said["ttl"])
            changed["ttl"] = said["ttl"]
        if "witness" in said:
            changed["witness"] = Witnesses.of(said["witness"])
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Entry:
    """One version. required: who must have approved it, None for nobody."""

    version_id: str
    time: datetime
    said: str
    parameters: Parameters
    document: dict[str, Any]
    required: Witnesses | None = None


class Seen(Protocol):
    """Remembers the newest version seen of each log, so that an older or another log is noticed."""

    def newest(self, scid: str) -> str | None:
        """The version id, or None where no log of it was seen."""
        ...

    def saw(self, scid: str, version_id: str) -> None:
        """Remember that this version was seen; a later one stays."""
        ...


class SeenHere:
    """``Seen`` in memory."""

    def __init__(self) -> None:
        self._newest: dict[str, str] = {}

    def newest(self, scid: str) -> str | None:
        """The version id, or None."""
        return self._newest.get(scid)

    def saw(self, scid: str, version_id: str) -> None:
        """Remember it, unless a later one was seen."""
        if later(version_id, self._newest.get(scid)):
            self._newest[scid] = version_id


@dataclass(frozen=True, slots=True)
class WebvhLog:
    """A log whose every entry was checked, but for its witnesses (``check_witnesses``)."""

    scid: str
    entries: tuple[Entry, ...] = field(repr=False)

    @classmethod
    def read(cls, data: bytes, now: int) -> WebvhLog:
        """Check a ``did.jsonl``, every step on every entry. now: Unix seconds.

        Raises BadInput for what cannot be read, Refuted for what breaks a rule.
        """
        if len(data) > MOST_LOG:
            raise BadInput("a log too large", expected=f"at most {MOST_LOG} bytes", actual=len(data))
        lines = data.removesuffix(b"\n").split(b"\n")
        if len(lines) > MOST_ENTRIES:
            raise BadInput("a log too long", expected=f"at most {MOST_ENTRIES} entries", actual=len(lines))
        latest = datetime.fromtimestamp(now, UTC) + TOLERANCE
        scid, entries = "", list[Entry]()
        for number, line in enumerate(lines, 1):
            raw = read_foreign(line, MOST_DOCUMENT)
            if type(raw) is not dict or raw.keys() != {"versionId", "versionTime", "parameters", "state", "proof"}:
                raise BadInput(f"unreadable entry {number}", expected="the five members of a log entry")
            if type(raw["parameters"]) is not dict:
                raise BadInput(f"unreadable entry {number}", expected="parameters that are an object")
            if not entries:
                scid = str(raw["parameters"].get("scid"))
                if len(scid) != SCID_SIZE:
                    raise BadInput("not a SCID", expected=f"{SCID_SIZE} letters", actual=scid[:80])
            entries.append(_entry(raw, scid, entries, latest))
        return cls(scid, tuple(entries))

    @property
    def witnessed(self) -> bool:
        """Whether any version had to be approved by witnesses."""
        return any(entry.required for entry in self.entries)

    def check_witnesses(self, data: bytes) -> None:
        """Check a ``did-witness.json``: that enough witnesses approved each version that asks for it, or a later one.

        Raises BadInput for what cannot be read, Refuted where approvals are missing. Proofs that do not hold, are
        nobody's here, or are for versions not in this log count for nothing.
        """
        numbers = {entry.version_id: number for number, entry in enumerate(self.entries)}
        approved: dict[str, int] = {}
        rows = read_foreign(data, MOST_LOG)
        if type(rows) is not list or not all(type(row) is dict and type(row.get("proof", [])) is list for row in rows):
            raise BadInput("unreadable witness file", expected="a list of versions with their proofs")
        asked = {did for entry in self.entries if entry.required for did in entry.required.dids}
        for row in rows:
            number = numbers.get(str(row.get("versionId")))
            for proof in row.get("proof", []) if number is not None else ():
                did = str(proof.get("verificationMethod") if type(proof) is dict else "").partition("#")[0]
                # A proof of a later version approves all before it, so the latest of each witness is enough.
                if number is not None and did in asked and approved.get(did, -1) < number \
                        and proof_holds(proof, {"versionId": row["versionId"]}):
                    approved[did] = number
        for number, entry in enumerate(self.entries):
            if entry.required is not None:
                by = [did for did in entry.required.dids if approved.get(did, -1) >= number]
                if len(by) < entry.required.threshold:
                    raise Refuted(f"version {entry.version_id} was not approved by enough witnesses",
                                  expected=entry.required.threshold, actual=len(by))

    def at(self, when: When) -> Entry:
        """The entry of a version id, in force at a time, or the newest. Raises NotFound."""
        if when.newest:
            return self.entries[-1]
        if when.version_id is not None:
            fitting = [entry for entry in self.entries if entry.version_id == when.version_id]
        else:
            fitting = [entry for entry in self.entries if entry.time.timestamp() <= (when.time or 0)]
        if not fitting:
            raise NotFound("no such version in this log", expected=f"1 to {len(self.entries)}", actual=when)
        return fitting[-1]

    def resolution(self, did: str, when: When) -> Resolution:
        """The document of a version, with the method's metadata. Raises NotFound for no such version."""
        entry, last = self.at(when), self.entries[-1]
        ended = last.parameters.deactivated
        now = last.parameters
        metadata: dict[str, Any] = {
            "versionId": entry.version_id, "versionTime": entry.said, "created": self.entries[0].said,
            "updated": last.said, "scid": self.scid, "portable": now.portable, "deactivated": ended,
            "ttl": str(now.ttl), "watchers": list(now.watchers),
            "witness": {} if now.witness is None else now.witness.to_dict() | {"threshold": str(now.witness.threshold)},
        }
        at = self.entries.index(entry)
        if entry is not last:
            metadata["nextVersionId"] = self.entries[at + 1].version_id
        if entry.document["id"] != did:
            metadata["canonicalId"] = entry.document["id"]
        return Resolution(did, None if ended and when.newest else entry.document, metadata)


class WebvhMethod:
    """``Resolver`` of ``did:webvh``. seen: what is remembered of logs; nothing beyond this object by default."""

    def __init__(self, fetch: Fetch, clock: Clock, seen: Seen | None = None) -> None:
        self._fetch, self._clock = fetch, clock
        self._seen = SeenHere() if seen is None else seen

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The document of a version, its whole log checked.

        Raises BadInput for an identifier, InvalidDocument for a log that cannot be read, Refuted for one that breaks a
        rule, is older than one seen, or is another one, NotFound for no such version, and what ``Fetch`` raises.
        """
        address = read_webvh(did)[1]
        data = self._fetch.fetch(address.url(LOG), MOST_LOG)
        with found():
            log = WebvhLog.read(data, self._clock.now())
            # The identifier holds the SCID, and every document's was compared with the log's.
            if did not in {entry.document["id"] for entry in log.entries}:
                raise Refuted("a log of another identifier", expected=did, actual=log.entries[-1].document["id"])
            if log.witnessed:
                log.check_witnesses(self._fetch.fetch(address.url(WITNESS), MOST_LOG))
        self._check_seen(log)
        return log.resolution(did, when)

    def _check_seen(self, log: WebvhLog) -> None:
        known = self._seen.newest(log.scid)
        ids = [entry.version_id for entry in log.entries]
        if known is not None and known not in ids:
            word = "an older log than was seen before" if len(ids) < _number(known) else "another log of one identifier"
            raise Refuted(word, expected=f"one with version {known}", actual=ids[-1],
                          do="Ask its controller and its witnesses which history is right.")
        if ids[-1] != known:
            self._seen.saw(log.scid, ids[-1])


def _entry(raw: dict[str, Any], scid: str, before: list[Entry], latest: datetime) -> Entry:
    """One entry, checked against those before it. The numbers are the specification's."""
    last = before[-1] if before else None
    was = last.parameters if last else Parameters()
    given = raw["parameters"]
    # 1. Parameters.
    now = was.then(given, last is None)
    if was.deactivated:
        raise Refuted("an entry after the identifier was deactivated")
    # 7. Pre-rotation: keys and the next commitments are said, and the keys are those committed to.
    if was.next_hashes:
        if "updateKeys" not in given or "nextKeyHashes" not in given:
            raise Refuted("an entry that drops pre-rotation", expected="updateKeys and nextKeyHashes, both said")
        if strangers := [key for key in now.update_keys if hash58(key.encode()) not in was.next_hashes]:
            raise Refuted("update keys that were not committed to", expected=", ".join(was.next_hashes),
                          actual=", ".join(strangers))
    # 2. The proof, by a key that may update: this entry's own with pre-rotation and in the first, else the last one's.
    active = now.update_keys if last is None or was.next_hashes else was.update_keys
    proofs = raw["proof"] if type(raw["proof"]) is list else [raw["proof"]]
    unsigned = {name: value for name, value in raw.items() if name != "proof"}
    if not 1 <= len(proofs) <= MOST_PROOFS:
        raise Refuted("an entry without a proof, or with too many", expected=f"1 to {MOST_PROOFS}", actual=len(proofs))
    for proof in proofs:
        method = str(proof.get("verificationMethod") if type(proof) is dict else "")
        if method.partition("#")[2] not in active or not proof_holds(proof, unsigned):
            raise Refuted("an entry that nobody who may update it signed", expected=" or ".join(active) or "nobody",
                          actual=method[:200])
    # 3. The version's number and hash, and 5. the SCID, which is the first version's hash before it was known.
    number, hashed = len(before) + 1, jcs_of(unsigned | {"versionId": last.version_id if last else scid})
    version = f"{number}-{hash58(hashed)}"
    if raw["versionId"] != version:
        raise Refuted("a version that does not follow the one before", expected=version,
                      actual=str(raw["versionId"])[:80])
    if last is None:
        blank = jcs(jcs_of(unsigned | {"versionId": PLACEHOLDER}).replace(scid.encode(), PLACEHOLDER.encode()))
        if hash58(blank) != scid:
            raise Refuted("a first version that is not the one hashed", expected=scid[:80], actual=hash58(blank))
    # 4. Its time, 6. its document, and 9. who must approve: the witnesses before, and new ones at once where there were
    # none.
    time = _time(raw["versionTime"], last, latest)
    document = _document(raw["state"], scid, last)
    return Entry(version, time, raw["versionTime"], now, document, was.witness or now.witness)


def _time(said: Any, last: Entry | None, latest: datetime) -> datetime:
    """4. An entry's time: in UTC, later than the one before, not in the future."""
    time = read_time(str(said))
    if time > latest or (last is not None and time <= last.time):
        raise Refuted("an entry out of its time", expected="later than the one before, not in the future", actual=said)
    return time


def _document(state: Any, scid: str, last: Entry | None) -> dict[str, Any]:
    """6. An entry's document: of this SCID, and under the same name unless it may move and says where from."""
    if type(state) is not dict or type(state.get("id")) is not str:
        raise BadInput("not a DID document", expected="an object with an id")
    if read_webvh(state["id"])[0] != scid:
        raise Refuted("a document of another identifier", expected=scid, actual=state["id"])
    if last is not None and state["id"] != last.document["id"]:
        known = state.get("alsoKnownAs")
        if not last.parameters.portable or type(known) is not list or last.document["id"] not in known:
            raise Refuted("an identifier that moves and may not, or hides where from", actual=state["id"],
                          expected=last.document["id"])
    return check_document(state, state["id"])


def proof_holds(proof: Any, document: dict[str, Any]) -> bool:
    """Whether a Data Integrity proof ``eddsa-jcs-2022`` over ``document`` is by the ``did:key`` that it names.

    What a log's proofs are not made of is refused: contexts, and proofs that build on others.
    """
    try:
        read = Proof.of(proof)
        if (read.cryptosuite, read.purpose) != (EDDSA, ASSERTION) or read.previous or "@context" in read.options:
            return False
        check_proof(document | {"proof": proof}, read, _key_of(read.method))
    except (BadInput, Refuted):
        return False
    return True


def _key_of(method: Any) -> keys.PublicKey:
    """The Ed25519 key of ``did:key:X#X``. Raises BadInput, also where the two differ."""
    body, _, fragment = str(method).partition("#")
    if not body.startswith("did:key:") or body != f"did:key:{fragment}":
        raise BadInput("not a verification method of a did:key", expected="did:key:X#X", actual=str(method)[:120])
    return _ed25519(fragment)


@lru_cache(maxsize=1_024)
def _ed25519(text: str) -> keys.PublicKey:
    # Kept, since loading a key costs as much as a signature and a log names few.
    key = keys.from_multikey(multibase_decode(text)) if text.startswith("z6Mk") else None
    if key is None or key.suite != keys.ED25519:
        raise BadInput("not an Ed25519 multikey", expected="z6Mk…", actual=text[:60])
    return key


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(one) is str for one in value):
        raise BadInput(f"unreadable parameter {name}", expected="a list of texts")
    return tuple(value)


def later(version_id: str, than: str | None) -> bool:
    """Whether a version comes after another; after none, any does."""
    return than is None or _number(version_id) > _number(than)


def _number(version_id: str) -> int:
    read = _VERSION.match(version_id)
    if read is None:
        raise BadInput("not a version id", expected="NUMBER-HASH", actual=version_id[:80])
    return int(read[1])


_DEFAULTS: dict[str, Any] = {"updateKeys": [], "nextKeyHashes": [], "watchers": [], "witness": {}, "ttl": 3_600}
