"""The verification of a credential or a presentation: numbered steps, and one of the four answers.

A credential:

1. **form**: Verifiable Credentials 2.0, read strictly.
2. **issuer**: its DID document is had.
3. **proofs**: every signature that the issuer's document, or the verifier, requires.
4. **time**: begun and not over.
5. **status**: its bit in the issuer's status list, which is itself a credential and goes through steps 1 to 4.
6. **schema**: kept, never fetched: skipped.
7. **trust**: the verifier believes this issuer.

A presentation: 1. form; 2. holder; 3. proofs, made for this verifier (domain) and this request (challenge), by a key
for authentication; then each credential in it, steps 1 to 7; last, whether the holder is its subject.
See docs/reference/credentials.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from troth.core.encoding import sha256
from troth.core.errors import BadInput, Pending, Refuted, TrothError, Undecidable
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity import did as dids
from troth.identity import integrity
from troth.identity.credentials import ENVELOPED, Credential, Presentation, is_presentation
from troth.identity.jsondoc import read_json, time_text
from troth.identity.methods import AUTHENTICATION, Resolver, resolve_offline
from troth.identity.statuslist import ENTRY, REVOCATION, SUSPENSION, StatusBits, StatusEntry, list_bits

MAX_LIST = 4 << 20

Lists = Callable[[str], bytes]
"""URL of a status list credential -> its bytes. Raises Undecidable where it cannot be had."""


def no_lists(url: str) -> bytes:
    """No status list can be had."""
    raise Undecidable("the status list is not here", expected=url, do="Fetch it from its issuer and give it.")


@dataclass(frozen=True, slots=True)
class Issuer:
    """What is believed of an issuer. did: who signs for it, where its name is no DID. suites: also required."""

    did: str | None = None
    suites: tuple[str, ...] = ()


class Remembered:
    """Status lists whose signatures were checked once, by their bytes and whoever must have signed. Times are not kept.

    For a verifier of many credentials: a list of 131,072 entries takes a millisecond to unpack and check. most: lists.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._found: dict[tuple[Any, ...], tuple[Credential, StatusBits]] = {}

    def get(self, key: tuple[Any, ...]) -> tuple[Credential, StatusBits] | None:
        """What was put under this key."""
        return self._found.get(key)

    def put(self, key: tuple[Any, ...], credential: Credential, bits: StatusBits) -> None:
        """Keep a list; the oldest one goes where there are too many."""
        if len(self._found) >= self._most:
            del self._found[next(iter(self._found))]
        self._found[key] = (credential, bits)


@dataclass(frozen=True, slots=True)
class Believed:
    """What a verifier believes and can reach.

    issuers: by the name that stands in a credential. now: Unix seconds. fresh: how old a status list may be, in
    seconds, None for as long as it says. remembered: lists checked before, for this resolver alone.
    """

    now: int
    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    resolve: Resolver = resolve_offline
    lists: Lists = no_lists
    fresh: int | None = None
    remembered: Remembered | None = None

    @classmethod
    def issuers_of(cls, data: bytes) -> dict[str, Issuer]:
        """The ``issuers`` of a trust file for credentials. Raises BadInput.

        ``{"issuers": {NAME: {"did": DID or null, "suites": [cryptosuite, …]}}}``, any spacing.
        """
        body = read_json(data)
        if body.keys() != {"issuers"} or type(body["issuers"]) is not dict:
            raise BadInput("not a trust file for credentials", expected='{"issuers": {…}}', actual=", ".join(body))
        found = {}
        for name, item in body["issuers"].items():
            did, suites = (item.get("did"), item.get("suites", [])) if type(item) is dict else (5, None)
            if not (did is None or type(did) is str) or type(suites) is not list or item.keys() - {"did", "suites"}:
                raise BadInput(f"unreadable entry for {name}", expected='{"did": DID or null, "suites": [text, …]}')
            found[name] = Issuer(did, tuple(map(str, suites)))
        return found

    def issuer(self, name: str) -> Issuer | None:
        """What is believed of whoever stands in a credential as ``name``; its short and long DID are one."""
        found = self.issuers.get(name)
        return found if found is not None or not name.startswith(dids.PEER4) else self.issuers.get(
            dids.short_form(name))


class _Steps:
    """Steps as they come: each runs, and what it raises is its answer."""

    def __init__(self, prefix: str = "") -> None:
        self.steps: list[Step] = []
        self._prefix = prefix

    def run(self, n: int, name: str, act: Callable[[], str]) -> bool:
        """Add a step; whether it was upheld. Raises BadInput, naming the step."""
        name = self._prefix + name
        try:
            outcome, detail = Outcome.UPHELD, act()
        except BadInput as error:
            raise BadInput(f"step {n} ({name}): {error.message}", expected=error.expected, actual=error.actual,
                           do=error.do) from None
        except (Refuted, Pending, Undecidable) as error:
            outcome, detail = _outcome_of(error), error.diagnostics()
        self.steps.append(Step(n, name, outcome, detail))
        return outcome is Outcome.UPHELD

    def skip(self, n: int, name: str, why: str) -> None:
        """Add a step that was not run."""
        self.steps.append(Step(n, self._prefix + name, None, why))

    def report(self, now: int) -> Report:
        """The answer so far."""
        return Report(combine(tuple(self.steps)), time_text(now), tuple(self.steps))


def verify_credential(document: Mapping[str, Any], believed: Believed) -> Report:
    """Steps 1 to 7. Raises BadInput for what is no credential."""
    steps = _Steps()
    _credential(document, believed, steps)
    return steps.report(believed.now)


def status_report(document: Mapping[str, Any], believed: Believed) -> Report:
    """Step 5 alone: what the issuer's lists say, each checked as a credential of the same issuer. Raises BadInput."""
    steps = _Steps()
    credential = Credential.of(document)
    pin = believed.issuer(credential.issuer) or Issuer()
    for entry in credential.status:
        steps.run(5, "status", partial(_status, entry, credential, pin.did or credential.issuer, believed))
    if not credential.status:
        steps.skip(5, "status", "it names no status: it cannot be taken back before it ends")
    return steps.report(believed.now)


def verify_presentation(document: Mapping[str, Any], believed: Believed, domain: str | None, challenge: str | None,
                        ) -> Report:
    """The steps of a presentation. domain, challenge: what this verifier asked with.

    Without both of them the holder's proof may be a copy of what was shown to somebody else: undecidable.
    Raises BadInput for what is no presentation.
    """
    steps = _Steps()
    shown: Presentation
    read: list[Presentation] = []

    def form() -> str:
        read.append(Presentation.of(document))
        return f"a presentation of {len(read[0].credentials)} credentials"

    steps.run(1, "form", form)
    shown = read[0]

    def holder() -> str:
        if shown.holder is None:
            raise Undecidable("nobody says that they hold this", expected="a holder")
        believed.resolve(shown.holder)
        return shown.holder[:80]

    signed: list[str] = []

    def proofs() -> str:
        """The holder's proofs over the presentation, for this domain and challenge."""
        if shown.holder is None:
            raise Undecidable("without a holder there is nobody whose proof to check")
        found = integrity.verify_proofs(document, shown.holder, integrity.Wanted(
            believed.now, AUTHENTICATION, domain, challenge), believed.resolve)
        signed.extend(found.suites)
        if domain is None or challenge is None:
            raise Undecidable("signed by the holder, but for whom and when was not asked",
                              expected="the domain and challenge of your request")
        return f"{' and '.join(found.suites)}, for {domain} and this challenge"

    steps.run(2, "holder", holder)
    steps.run(3, "proofs", proofs)
    for place, item in enumerate(shown.credentials, 1):
        _shown(item, (shown, signed), believed, steps, f"credential {place}: ")
    if not shown.credentials:
        steps.skip(4, "credentials", "there are none in it")
    return steps.report(believed.now)


def verify_document(data: bytes, believed: Believed, domain: str | None = None, challenge: str | None = None,
                    ) -> Report:
    """The verification of a file, whichever of the two it holds. Raises BadInput."""
    document = read_json(data, MAX_LIST)
    if is_presentation(document):
        return verify_presentation(document, believed, domain, challenge)
    return verify_credential(document, believed)


def _credential(document: Mapping[str, Any], believed: Believed, steps: _Steps, holder: str | None = None,
                signed: Sequence[str] = ()) -> None:
    """Steps 1 to 7. holder: whose own unsigned word is enough, since the presentation around it is signed under
    ``signed``: these have to be what the verifier demands of that issuer.
    """
    read: list[Credential] = []

    def form() -> str:
        read.append(Credential.of(document))
        return ", ".join(read[0].types)

    steps.run(1, "form", form)
    credential = read[0]
    pins: list[Issuer] = []

    def issuer() -> str:
        pins.append(believed.issuer(credential.issuer) or Issuer())
        return _known(pins[0].did or credential.issuer, believed)

    known = steps.run(2, "issuer", issuer)
    pin = pins[0] if pins else Issuer()
    signer = pin.did or credential.issuer
    if not known:
        steps.skip(3, "proofs", "not checked without the issuer's document")
    elif "proof" not in document and holder is not None and dids.short_form(holder) == dids.short_form(signer):
        if missing := [suite for suite in pin.suites if suite not in signed]:
            def weaker() -> str:
                raise Refuted("the holder's own word, under less than what is demanded of it",
                              expected=" and ".join(pin.suites), actual=f"no {' and '.join(missing)}")
            steps.run(3, "proofs", weaker)
        else:
            steps.skip(3, "proofs", "the holder's own word, under the holder's proof")
    else:
        steps.run(3, "proofs", lambda: _proofs(document, signer, believed, pin.suites))
    steps.run(4, "time", lambda: _time(credential, believed.now))
    if credential.status:
        for entry in credential.status:
            steps.run(5, "status", partial(_status, entry, credential, signer, believed))
    else:
        steps.skip(5, "status", "it names no status: it cannot be taken back before it ends")
    if credential.schemas:
        steps.skip(6, "schema", f"not fetched: {', '.join(str(one['id']) for one in credential.schemas)[:200]}")
    steps.run(7, "trust", lambda: _trusted(credential, believed))


def _known(signer: str, believed: Believed) -> str:
    if not signer.startswith("did:"):
        raise Undecidable("the issuer's name is no DID, and no trust says who signs for it", actual=signer,
                          do='Name its DID in a trust file: {"issuers": {NAME: {"did": DID}}}.')
    document = believed.resolve(signer)
    required = integrity.required_suites(document)
    return f"{signer[:60]}: {' and '.join(required) + ' required' if required else 'any one of its keys'}"


def _proofs(document: Mapping[str, Any], signer: str, believed: Believed, suites: tuple[str, ...]) -> str:
    if "proof" not in document:
        raise Refuted("a credential that nobody signed", expected=f"a proof by {signer[:80]}")
    found = integrity.verify_proofs(document, signer, integrity.Wanted(believed.now), believed.resolve, suites)
    return "; ".join((" and ".join(found.suites), *found.notes))


def _time(credential: Credential, now: int) -> str:
    begins, ends = credential.valid_from, credential.valid_until
    if begins is not None and begins > now:
        raise Pending("not yet good", expected=f"from {time_text(begins)}", actual=time_text(now))
    if ends is not None and ends < now:
        raise Refuted("expired", expected=f"until {time_text(ends)}", actual=time_text(now))
    return f"{'from ' + time_text(begins) if begins is not None else 'no beginning'}, " + (
        f"until {time_text(ends)}" if ends is not None else "without end")


def _status(entry: Mapping[str, Any], credential: Credential, signer: str, believed: Believed) -> str:
    """Step 5 for one entry. Raises Refuted for revoked, Pending for suspended, Undecidable for another kind."""
    kinds = entry["type"] if type(entry["type"]) is list else [entry["type"]]
    if ENTRY not in kinds:
        raise Undecidable("this kind of status is not known here", expected=ENTRY, actual=", ".join(map(str, kinds)))
    found = StatusEntry.of(entry)
    pin = believed.issuer(credential.issuer) or Issuer()
    data = believed.lists(found.list_id)
    key = (sha256(data), found.purpose, signer, pin.suites)
    kept = believed.remembered.get(key) if believed.remembered is not None else None
    listed = Credential.of(read_json(data, MAX_LIST)) if kept is None else kept[0]
    if listed.id != found.list_id:
        raise Refuted("another status list than the credential names", expected=found.list_id, actual=listed.id)
    if listed.issuer != credential.issuer:
        raise Refuted("a status list of another issuer", expected=credential.issuer[:80], actual=listed.issuer[:80])
    if kept is None:
        _proofs(listed.document, signer, believed, pin.suites)
    _current(listed, believed)
    try:
        bits = list_bits(listed, found.purpose) if kept is None else kept[1]
        bit = bits[found.index]
    except BadInput as error:
        raise Refuted(f"the issuer's list does not answer for this credential: {error.message}",
                      expected=error.expected, actual=error.actual) from None
    if believed.remembered is not None:
        believed.remembered.put(key, listed, bits)
    if bit and found.purpose == REVOCATION:
        raise Refuted("revoked by its issuer", actual=f"entry {found.index} of {found.list_id}")
    if bit and found.purpose == SUSPENSION:
        raise Pending("suspended by its issuer", actual=f"entry {found.index} of {found.list_id}")
    if found.purpose not in (REVOCATION, SUSPENSION):
        raise Undecidable("a status for a purpose that is not known here", actual=f"{found.purpose}: {int(bit)}")
    began = time_text(listed.valid_from) if listed.valid_from is not None else "an unknown time"
    return f"{found.purpose}: not set in the list of {began}"


def _current(listed: Credential, believed: Believed) -> None:
    """A list that is over, or older than the verifier takes, says nothing of today."""
    now = believed.now
    if listed.valid_until is not None and listed.valid_until < now:
        raise Undecidable("the status list is an old one", expected=f"one that is good at {time_text(now)}",
                          actual=f"until {time_text(listed.valid_until)}", do="Fetch the newest one from its issuer.")
    if listed.valid_from is not None and listed.valid_from > now + integrity.SKEW:
        raise Undecidable("the status list begins later", actual=time_text(listed.valid_from))
    if believed.fresh is not None and (listed.valid_from is None or listed.valid_from < now - believed.fresh):
        raise Undecidable("the status list is older than this verifier takes", expected=f"{believed.fresh} seconds",
                          actual=time_text(listed.valid_from) if listed.valid_from is not None else "no date",
                          do="Fetch the newest one from its issuer.")


def _trusted(credential: Credential, believed: Believed) -> str:
    if believed.issuer(credential.issuer) is None:
        raise Undecidable("consistent with itself; nobody you trust vouches for it", actual=credential.issuer[:80],
                          do="Name the issuer, if you believe it.")
    return f"{credential.issuer[:60]} is believed"


def _shown(item: Mapping[str, Any], around: tuple[Presentation, Sequence[str]], believed: Believed, steps: _Steps,
           prefix: str) -> None:
    """One credential of a presentation (and the suites that it is signed under), and whether the holder is its subject.
    """
    shown, signed = around
    inner = _Steps(prefix)
    if ENVELOPED in (item["type"] if type(item["type"]) is list else [item["type"]]):
        def enveloped() -> str:
            raise Undecidable("an enveloped credential (JOSE) is not opened here")
        inner.run(1, "form", enveloped)
        steps.steps += inner.steps
        return
    _credential(item, believed, inner, shown.holder, signed)
    subjects = Credential.of(item).subject_ids

    def same() -> str:
        if shown.holder is None or dids.short_form(shown.holder) not in [dids.short_form(one) for one in subjects]:
            raise Undecidable("whoever shows this is not its subject", expected=", ".join(subjects)[:120] or
                              "a subject with an identifier", actual=str(shown.holder)[:80])
        return "the holder is its subject"

    inner.run(8, "subject", same)
    steps.steps += inner.steps


def _outcome_of(error: TrothError) -> Outcome:
    if isinstance(error, Refuted):
        return Outcome.REFUTED
    return Outcome.PENDING if isinstance(error, Pending) else Outcome.UNDECIDABLE
