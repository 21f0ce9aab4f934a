"""Verify a bundle: twelve numbered steps, the same ones as in docs/reference/bundle.md.

1.  Container: magic, sections, lengths, the end of the file; nothing outside a field.
2.  Statements: every payload is a canonical statement; batch claims and identity claims are signed themselves.
3.  Identities: documents hash to their issuers' identifiers, changes continue the history and are signed by the keys
    they reveal, no document is missing or surplus, and the newest documents that the trust file pins are there.
4.  Signatures: each signed claim carries exactly the signatures that the document in force at its place in the log
    requires.
5.  References: closed, no id twice, nothing that is not reached from the target.
6.  Batches: members belong to their batch and have its issuer.
7.  Log: all leaves lead to the presented checkpoint's root.
8.  Checkpoint: signed by the pinned log key, and seen by enough pinned witnesses.
9.  Anchor: a receipt under the pinned block hash holds the pinned contract's event for this log and account, and the
    presented checkpoint extends what was anchored. Online, if asked: the issuers' keys were in force, by the
    registry, at the anchor's block.
10. Roles: issuers are whom the trust file names for what they say, or whom its policy identifies from evidence.
11. Policy: the one the trust file names finds for the target.
12. Re-execution: of the sealed evidence that this verifier can open; the rest is listed.

Steps 2 to 7 are one pass over the file, which stops at the first fault. What cannot be read is BadInput, naming the
step; everything else ends in a Report. Without a trust file the best answer is undecidable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Pending, Refuted, TrothError, Undecidable
from troth.core.ports import ClaimPolicy, Finding, Readable, Recheck, Vouching
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.ledger.anchors import AnchorEvent, check_anchor, event_topic, origin_hash
from troth.ledger.bundle import BundleReader, RawAnchor
from troth.ledger.chains.blocks import Header, Log
from troth.ledger.checkpoints import NoteSignature, Verifier
from troth.ledger.receipts import verify_receipt
from troth.verify.inside import Inside
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses

NAMES = {1: "container", 2: "statements", 3: "identities", 4: "signatures", 5: "references", 6: "batches", 7: "log",
         8: "checkpoint", 9: "anchor", 10: "roles", 11: "policy", 12: "re-execution"}
CONSISTENT = "consistent with itself; nobody you trust vouches for it"
ANCHOR = "anchor"
"""The name under which trust files give the anchor contract's address."""


def verify(file: Readable, trust: Trust | None = None, *, policies: Mapping[str, ClaimPolicy] | None = None,
           recheck: Recheck | None = None, registry: InForce | None = None) -> Report:
    """Verify the bundle in ``file`` (binary, seekable) against what ``trust`` pins.

    policies: by the name that trust files use. recheck: executes again what its owner can open. registry: asked
    about the keys of every issuer at the anchor's block; None: the log's order alone is looked at. Memory grows by some
    70 bytes a claim. Raises BadInput, naming the step, where the file cannot be read, and OutsideFailed where the
    disk fails; every other answer is in the report.
    """
    return _Verification(file, trust, policies or {}, recheck, registry).run()


class InForce(Protocol):
    """A chain's registry, as step 9 asks it (``troth.ledger.registries.RegisteredKeys`` is one)."""

    def good_when_anchored(self, did: str, documents: Sequence[bytes], version: int, block: int) -> str:
        """What says that these keys were in force at a block. Raises Refuted, Undecidable or Pending otherwise."""
        ...


class _Verification:
    """One run: steps 2 to 7 by ``Inside``, then 8 to 12 here."""

    def __init__(self, file: Readable, trust: Trust | None, policies: Mapping[str, ClaimPolicy],
                 recheck: Recheck | None, registry: InForce | None) -> None:
        self._trust, self._policies, self._recheck, self._registry = trust, policies, recheck, registry
        self._anchored_in: int | None = None
        self._steps: list[Step] = []
        self._as_of: str | None = None
        try:
            self._reader = BundleReader(file)
        except BadInput as error:
            raise _unreadable(1, "", error) from error
        self._inside = Inside(self._reader, trust.documents if trust else {})

    def run(self) -> Report:
        """All steps, in order; the report."""
        if self._run_inside():
            self._run(8, self._checkpoint)
            self._run(9, self._anchor)
            self._run(9, self._in_force)
            self._run(10, self._roles)
            self._run(11, self._policy)
            self._run(12, self._re_execution)
        return Report(combine(tuple(self._steps)), self._as_of, tuple(self._steps))

    def _run_inside(self) -> bool:
        """Steps 1 to 7; whether they are upheld."""
        inside = self._inside
        try:
            details = inside.run()
        except BadInput as error:
            raise _unreadable(inside.step, inside.where(), error) from error
        except (Refuted, Undecidable) as error:
            self._add(1, Outcome.UPHELD, "the frame can be read")
            for n in range(2, 13):
                if n == inside.step:
                    self._add(n, _outcome_of(error), inside.where() + error.diagnostics())
                else:
                    self._add(n, None, f"not finished: step {inside.step} stopped the verification")
            return False
        for n, detail in details.items():
            self._add(n, Outcome.UPHELD, detail)
        return True

    def _run(self, n: int, act: Callable[[], str | None]) -> None:
        """One of the steps 8 to 12. A step that adds its own lines returns None, others what they checked."""
        if any(step.outcome is Outcome.REFUTED for step in self._steps):
            self._add(n, None, "not reached: an earlier step refuted the bundle")
            return
        try:
            detail = act()
        except BadInput as error:
            raise _unreadable(n, "", error) from error
        except (Refuted, Undecidable, Pending) as error:
            self._add(n, _outcome_of(error), error.diagnostics())
            return
        if detail is not None:
            self._add(n, Outcome.UPHELD, detail)

    def _add(self, n: int, outcome: Outcome | None, detail: str, about: str = "") -> None:
        self._steps.append(Step(n, f"{NAMES[n]}: {about}" if about else NAMES[n], outcome, detail))

    def _checkpoint(self) -> str:
        """Step 8. Signed by the pinned key, seen by enough pinned witnesses; no line by anybody else."""
        if self._trust is None:
            raise Undecidable(CONSISTENT, do="Give a trust file.")
        if self._trust.log is None:
            raise Undecidable("the trust file pins no log", do="Pin the origin and key of the log you believe.")
        return self._signed_by_log(self._trust.log) + self._seen_by(self._trust.witnesses)

    def _signed_by_log(self, pin: LogPin) -> str:
        """Step 8, the log's own line: the first."""
        checkpoint, note = self._inside.checkpoint, self._inside.note
        if checkpoint.origin != pin.origin:
            raise Refuted("the bundle is from another log", expected=pin.origin, actual=checkpoint.origin)
        _verify_line(note.signatures[0], pin.key, note.text)
        return f"{pin.origin} at size {checkpoint.size}, signed by its key"

    def _seen_by(self, witnesses: Witnesses) -> str:
        """Step 8, the witnesses' lines, ascending by name."""
        keys = {(key.name, key.key_id): key for key in witnesses.keys}
        last = ""
        for line in self._inside.note.signatures[1:]:
            key = keys.get((line.name, line.key_id))
            if key is None:
                raise Undecidable("the checkpoint is signed by a key that the trust file does not pin",
                                  actual=f"{line.name}+{line.key_id.hex()}",
                                  do="Pin it, or get the bundle without that line.")
            if line.name <= last:
                raise Refuted("witnesses out of order", expected=f"a name after {last}", actual=line.name)
            last = line.name
            _verify_line(line, key, self._inside.note.text)
        seen = len(self._inside.note.signatures) - 1
        if seen < witnesses.threshold:
            raise Undecidable("too few witnesses", expected=f"{witnesses.threshold} of {len(witnesses.keys)}",
                              actual=seen, do="Get the bundle with more cosignatures.")
        return f", seen by {seen} witnesses"

    def _anchor(self) -> str | None:
        """Step 9. The log's state is on the chain, under the pinned block. Without a trust file: its inner half."""
        anchor = self._reader.anchor()
        if anchor is None:
            raise Undecidable("the bundle holds no anchor", do="Anchor the log, then bundle again.")
        if not anchor.receipt.headers:
            raise BadInput("an anchor without block headers", expected="at least one")
        last, block = Header.decode(anchor.receipt.headers[-1]), keccak256(anchor.receipt.headers[-1])
        trust = self._trust
        if trust is None:
            event = self._event(anchor, block, None)
            self._add(9, None, f"leads from size {event.size} to block {last.number}, {block.hex()}: nobody you "
                               "trust says that this block is final")
            return None
        chain, log = trust.chain, trust.log
        if chain is None or log is None or log.account is None or ANCHOR not in chain.contracts:
            raise Undecidable("the trust file does not pin a block, the anchor contract and the account that anchors "
                              "the log", do="Pin all three.")
        if last.number != chain.block_number:
            raise Undecidable("the anchor's headers end at another block than the trust file pins",
                              expected=chain.block_number, actual=last.number,
                              do="Pin that block, if you hold it for final, or ask for a bundle up to yours.")
        event = self._event(anchor, chain.block_hash, chain, log.account)
        self._anchored_in = Header.decode(anchor.receipt.headers[0]).number
        if self._inside.position >= event.size:
            raise Pending("claims that are not anchored yet", expected=f"positions below {event.size}",
                          actual=f"position {self._inside.position}", do="Anchor the log again, then bundle again.")
        self._as_of = f"block {last.number} of chain {chain.id}"
        return (f"size {event.size} stood in the contract by block {last.number} of chain {chain.id} "
                f"({block.hex()}), and the checkpoint extends it")

    def _event(self, anchor: RawAnchor, block: bytes, chain: ChainPin | None,
               owner: bytes | None = None) -> AnchorEvent:
        """Step 9: the event that the receipt holds, after the checkpoint was found to extend it."""
        receipt = verify_receipt(anchor.receipt, block)
        if not receipt.status:
            raise Refuted("the anchor's transaction failed")
        event = _only_event(receipt.logs, origin_hash(self._inside.checkpoint.origin))
        check_anchor(event, self._inside.checkpoint, anchor.consistency,
                     contract=event.contract if chain is None else chain.contracts[ANCHOR], owner=owner)
        return event

    def _in_force(self) -> str | None:
        """Step 9, if asked: the keys of each issuer were in force at the anchor's block, by the registry.

        The anchor is the log's last. Keys that were changed since may have been in force at an earlier one, so they
        make this undecidable, not refuted.
        """
        if self._registry is None or self._anchored_in is None:
            return None
        for did, version in sorted(self._inside.signed):
            documents = [document.digest for document in self._inside.keys.history(did).documents]
            try:
                found = self._registry.good_when_anchored(did, documents, version, self._anchored_in)
            except Refuted as error:
                if documents[version + 1 :]:
                    self._add(9, Outcome.UNDECIDABLE, error.diagnostics(), "keys in force")
                    continue
                raise
            self._add(9, Outcome.UPHELD, found, "keys in force")
        return None

    def _roles(self) -> str | None:
        """Step 10. Each issuer has a role, and one that may say what it says here."""
        if self._trust is None:
            self._add(10, None, "no trust file names anybody")
            return None
        roles, settings = self._trust.roles, self._trust.policy or {}
        policy = self._policies.get(str(settings.get("name")))
        vouched: Mapping[str, frozenset[str]] = {}
        if isinstance(policy, Vouching):
            vouched = policy.vouches(self._inside.view, settings)
        if not roles and not vouched:
            raise Undecidable("the trust file names nobody", do="Name the issuers you believe, by role.")
        says = policy.says if policy is not None else {}
        named = frozenset(did for dids in roles.values() for did in dids)
        for kind, issuer in sorted(self._inside.said):
            wanted = says.get(kind)
            allowed = named if wanted is None else {did for role in wanted for did in roles.get(role, ())}
            held = vouched.get(issuer, frozenset())
            if issuer not in allowed and not (held if wanted is None else held & wanted):
                raise Refuted(f"a claim of kind {kind} by somebody whom the trust file does not name for it",
                              expected="any role" if wanted is None else " or ".join(sorted(wanted)), actual=issuer)
        return f"{len({issuer for _, issuer in self._inside.said})} issuers, each in a role that may say what it says"

    def _policy(self) -> str | None:
        """Step 11. The policy that the trust file names finds for the target."""
        if self._trust is None:
            self._add(11, None, "no trust file names a policy")
            return None
        settings = self._trust.policy
        if settings is None:
            raise Undecidable("the trust file names no policy", do="Name the policy that you want applied.")
        name = str(settings["name"])
        policy = self._policies.get(name)
        if policy is None:
            raise Undecidable("the trust file's policy is not known here", expected=name,
                              actual=", ".join(sorted(self._policies)) or "no policy")
        try:
            findings = policy.judge(self._inside.view, self._trust.roles, settings)
        except BadInput as error:
            raise Refuted(f"{name}: a claim is not what its kind says: {error.diagnostics()}") from error
        if all(finding.outcome is None for finding in findings):
            raise Undecidable(f"{name} found nothing")
        self._findings(11, findings)
        return None

    def _re_execution(self) -> str | None:
        """Step 12. What this verifier can open is executed again, the rest is listed."""
        inside = self._inside
        if self._recheck is not None:
            self._findings(12, self._recheck.recheck(inside.view))
            return None
        if not inside.sealed_count:
            self._add(12, None, "nothing is sealed")
        for kind, name, cid in inside.sealed:
            self._add(12, None, f"not re-executed: {cid} is sealed to others", f"{kind}, {name}")
        if inside.sealed_count > len(inside.sealed):
            self._add(12, None, f"not re-executed: {inside.sealed_count - len(inside.sealed)} more sealed parcels")
        return None

    def _findings(self, n: int, findings: tuple[Finding, ...]) -> None:
        for finding in findings:
            self._add(n, finding.outcome, finding.detail, finding.name)


def _verify_line(line: NoteSignature, key: Verifier, text: bytes) -> None:
    """Step 8: this line is a signature by this key."""
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise Refuted("the checkpoint is signed by another key", expected=f"{key.name}+{key.key_id.hex()}",
                      actual=f"{line.name}+{line.key_id.hex()}")
    key.verify(text, line.value)


def _only_event(logs: tuple[Log, ...], origin: bytes) -> AnchorEvent:
    """Step 9: the one event in which this log was anchored."""
    topic = (event_topic(),)
    events = [AnchorEvent.decode(log.address, log.topics, log.data) for log in logs if log.topics[:1] == topic]
    found = [event for event in events if event.origin == origin]
    if len(found) != 1:
        raise Refuted("the receipt does not anchor this log", expected="one event", actual=len(found))
    return found[0]


def _outcome_of(error: TrothError) -> Outcome:
    if isinstance(error, Refuted):
        return Outcome.REFUTED
    return Outcome.PENDING if isinstance(error, Pending) else Outcome.UNDECIDABLE


def _unreadable(n: int, where: str, error: BadInput) -> BadInput:
    """The same error, naming the step that found it."""
    return BadInput(f"step {n} ({NAMES[n]}): {where}{error.message}", expected=error.expected, actual=error.actual,
                    do=error.do)
