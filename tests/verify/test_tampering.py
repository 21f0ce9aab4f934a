"""Attacks on a bundle. Nobody who may rewrite every unsigned byte, splice in parts of other genuine bundles, or keep
the log itself gets a wrong *upheld*; each case names the step that must catch it, and each step is needed."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import forge
import pytest
from forge import POLICIES, Chain, Ledger, Opens, Parts, Rec, Story, outsider, party, rotated, say, seed, sign, story

from troth.core import merkle
from troth.core.claims import Fields, Statement, fields_of, pae
from troth.core.encoding import decode, encode
from troth.core.errors import BadInput
from troth.core.verdicts import Outcome, Report
from troth.identity.signers import Ed25519Signer
from troth.ledger import bundle as container
from troth.ledger.bundle import RawAnchor
from troth.ledger.checkpoints import WITNESS_KEY, Checkpoint, Note, NoteSigner, cosign
from troth.verify import bundle as verifying
from troth.verify import inside
from troth.verify.trust import Trust, Witnesses
from troth.verify.view import BundleView

UPHELD, REFUTED, UNDECIDABLE, PENDING = Outcome.UPHELD, Outcome.REFUTED, Outcome.UNDECIDABLE, Outcome.PENDING
MALFORMED = None
Made = tuple[bytes, Trust]


@dataclass(frozen=True)
class Case:
    """An attack: the step that must stop it and how. ``recheck``: what this verifier's re-execution finds."""

    name: str
    step: int
    outcome: Outcome | None
    make: Callable[[], Made]
    recheck: Outcome | None = None


CASES: list[Case] = []


def case(step: int, outcome: Outcome | None, recheck: Outcome | None = None) -> Callable[[Callable], Callable]:
    def register(make: Callable) -> Callable:
        CASES.append(Case(make.__name__, step, outcome, make, recheck))
        return make

    return register


HONEST = story()


def fresh() -> Story:
    """The honest story, its parts free to be changed."""
    parts = forge.reread(HONEST.parts.to_bytes())
    return replace(HONEST, parts=parts)


def changed(act: Callable[[Parts], None]) -> Made:
    """The honest bundle after ``act`` on its parts."""
    one = fresh()
    act(one.parts)
    return one.parts.to_bytes(), one.trust


def told(one: Story) -> Made:
    return one.parts.to_bytes(), one.trust


def instead(name: str, make: Callable[[Rec], Rec]) -> Callable[[str, Rec], Rec]:
    return lambda found, rec: make(rec) if found == name else rec


def body_of(rec: Rec, **fields: object) -> bytes:
    """The claim's payload with another body, not signed."""
    value = decode(rec.payload)
    value["predicate"]["body"] |= fields
    return encode(value)


def at(parts: Parts, name: str) -> int:
    return parts.number(HONEST.names[name])


def set_rec(parts: Parts, name: str, **fields: object) -> None:
    number = at(parts, name)
    position, rec, batch = parts.claims[number]
    parts.claims[number] = (position, replace(rec, **fields), batch)


# Step 1: the container


@case(1, MALFORMED)
def a_byte_after_the_end() -> Made:
    data, trust = told(HONEST)
    return data + b"\n", trust


@case(1, MALFORMED)
def bytes_between_sections() -> Made:
    data, trust = told(HONEST)
    cut = data.index(b"NOTE")
    return data[:cut] + bytes(16) + data[cut:], trust


@case(1, MALFORMED)
def two_sections_swapped() -> Made:
    data, trust = told(HONEST)
    cuts = [data.index(tag) for tag in (b"IDEN", b"NOTE", b"CLMS")]
    return data[: cuts[0]] + data[cuts[1] : cuts[2]] + data[cuts[0] : cuts[1]] + data[cuts[2] :], trust


@case(1, MALFORMED)
def a_section_twice() -> Made:
    data, trust = told(HONEST)
    cuts = [data.index(tag) for tag in (b"IDEN", b"NOTE")]
    return data[: cuts[1]] + data[cuts[0] :], trust


@case(1, MALFORMED)
def a_section_of_a_kind_unknown() -> Made:
    data, trust = told(HONEST)
    return data + b"MORE" + bytes(8), trust


@case(1, MALFORMED)
def claims_out_of_log_order() -> Made:
    return changed(lambda parts: parts.claims.insert(0, parts.claims.pop(1)))


@case(1, MALFORMED)
def another_version() -> Made:
    data, trust = told(HONEST)
    return data[:7] + b"\x02" + data[8:], trust


@case(1, MALFORMED)
def slack_inside_the_claims() -> Made:
    data, trust = told(HONEST)
    start = data.index(b"CLMS")
    size = int.from_bytes(data[start + 4 : start + 12], "big")
    end = start + 12 + size
    return data[: start + 4] + (size + 1).to_bytes(8, "big") + data[start + 12 : end] + b"\0" + data[end:], trust


# Step 2: statements


def payload_case(payload: Callable[[bytes], bytes]) -> Made:
    return changed(lambda parts: set_rec(parts, "model", payload=payload(HONEST.ledger.entries[9].payload)))


@case(2, MALFORMED)
def white_space_in_a_statement() -> Made:
    return payload_case(lambda payload: payload.replace(b":", b": ", 1))


@case(2, MALFORMED)
def a_key_twice() -> Made:
    return payload_case(lambda payload: payload.replace(b'"issued_at":', b'"issued_at":1,"issued_at":', 1))


@case(2, MALFORMED)
def text_that_is_not_utf8() -> Made:
    return payload_case(lambda payload: payload.replace(b"aggregate", b"aggreg\xff\xfe", 1))


@case(2, MALFORMED)
def a_number_beyond_2_53() -> Made:
    return payload_case(lambda payload: payload.replace(b'"sum":2', b'"sum":9007199254740993'))


@case(2, MALFORMED)
def a_fraction() -> Made:
    return payload_case(lambda payload: payload.replace(b'"sum":2', b'"sum":2.0'))


@case(2, MALFORMED)
def nesting_without_end() -> Made:
    return payload_case(lambda payload: payload.replace(b'"sum":2', b'"sum":' + b"[" * 100_000 + b"]" * 100_000))


@case(2, MALFORMED)
def an_unknown_field() -> Made:
    return payload_case(lambda payload: payload.replace(b'"refs"', b'"rebates":1,"refs"'))


@case(2, MALFORMED)
def an_insider_signs_and_logs_a_statement_with_white_space() -> Made:
    signer = party("lab").signer()
    return told(story(instead("model", lambda rec: sign(signer, rec.payload.replace(b":", b": ", 1)))))


@case(2, MALFORMED)
def a_change_of_documents_inside_a_batch() -> Made:
    value = decode(rotated("clinic")[1].payload)
    value["predicate"]["issued_at"] += 1
    return told(story(instead("update 2", lambda rec: Rec(encode(value)))))


# Step 3: identities


@case(3, REFUTED)
def an_old_document() -> Made:
    """The clinic's first keys are stolen; the thief signs with them and leaves the change of keys out."""
    one = story(instead("batch", lambda rec: sign(party("clinic").signer(), rec.payload)))
    parts = drop(one, one.names["rotation"])
    return parts.to_bytes(), one.trust


@case(3, UNDECIDABLE)
def a_document_of_somebody_else() -> Made:
    def act(parts: Parts) -> None:
        parts.documents = [one.genesis for one in sorted((party("lab"), party("eve")), key=lambda one: one.did)]

    return changed(act)


@case(3, UNDECIDABLE)
def a_document_is_missing() -> Made:
    def act(parts: Parts) -> None:
        parts.documents = [document for document in parts.documents if document != party("clinic").genesis]

    return changed(act)


@case(3, REFUTED)
def a_surplus_document() -> Made:
    def act(parts: Parts) -> None:
        parties = sorted((party("lab"), party("clinic"), party("eve")), key=lambda one: one.did)
        parts.documents = [one.genesis for one in parties]

    return changed(act)


@case(3, MALFORMED)
def a_document_twice() -> Made:
    return changed(lambda parts: parts.documents.insert(0, parts.documents[0]))


@case(3, MALFORMED)
def documents_out_of_order() -> Made:
    return changed(lambda parts: parts.documents.reverse())


@case(3, REFUTED)
def a_document_with_one_suite() -> Made:
    def act(parts: Parts) -> None:
        weak = decode(parts.documents[0])
        weak["troth"]["suites"] = ["ed25519"]
        parts.documents[0] = encode(weak)

    return changed(act)


@case(3, REFUTED)
def a_thief_of_the_keys_in_use_changes_the_documents() -> Made:
    """The thief's new document reveals keys that the old one never committed to."""
    thief = rotated("eve")[1]
    value = decode(thief.payload)
    value["predicate"]["issuer"] = party("clinic").did
    value["subject"][0]["name"] = party("clinic").did
    return told(story(instead("rotation", lambda rec: sign(party("clinic").signer(), encode(value)))))


@case(3, REFUTED)
def a_change_of_documents_signed_by_the_old_keys() -> Made:
    return told(story(instead("rotation", lambda rec: sign(party("clinic").signer(), rec.payload))))


@case(3, REFUTED)
def a_change_of_documents_without_its_post_quantum_signature() -> Made:
    return told(story(instead("rotation", lambda rec: replace(rec, signatures=rec.signatures[:1]))))


@case(3, REFUTED)
def a_change_of_documents_that_changes_nothing() -> Made:
    """The clinic says its second document twice: nothing here needs the second saying."""
    value = decode(rotated("clinic")[1].payload)
    value["predicate"]["issued_at"] += 1
    again = sign(rotated("clinic")[0].signer(), encode(value))
    one = story(after=lambda ledger: ledger.add(again))
    named = replace(one, names={**one.names, "again": again.id})
    return only(named, lambda found: True, ("again",)).to_bytes(), one.trust


@case(3, REFUTED)
def a_change_of_documents_by_a_bare_key_which_nobody_signed() -> Made:
    """Changes of documents are judged in step 3 and not in step 4: a did:key must not slip through between them."""
    ledger = Ledger()
    rec = ledger.add(replace(say(outsider(), "identity", {}), signatures=[(outsider().did, bytes(64))]))
    parts, chain = ledger.parts(rec.id, [rec.id], [], anchored_size=1, size=1)
    return parts.to_bytes(), forge.trust_for(chain)


# Step 4: signatures


@case(4, REFUTED)
def the_post_quantum_signature_is_stripped() -> Made:
    return changed(lambda parts: set_rec(parts, "model", signatures=parts.claims[at(parts, "model")][1].signatures[:1]))


@case(4, REFUTED)
def an_insider_logs_a_claim_without_its_post_quantum_signature() -> Made:
    return told(story(instead("model", lambda rec: replace(rec, signatures=rec.signatures[:1]))))


@case(4, REFUTED)
def an_insider_logs_a_claim_without_its_classical_signature() -> Made:
    return told(story(instead("model", lambda rec: replace(rec, signatures=rec.signatures[1:]))))


@case(4, REFUTED)
def another_suite_in_place_of_the_post_quantum_one() -> Made:
    other = Ed25519Signer(seed("lab"))

    def forged(rec: Rec) -> Rec:
        (_, value), = other.sign(pae("application/vnd.in-toto+json", rec.payload))
        return replace(rec, signatures=[rec.signatures[0], (rec.signatures[1][0], value)])

    return told(story(instead("model", forged)))


@case(4, REFUTED)
def signatures_in_another_order() -> Made:
    return changed(lambda parts: parts.claims[at(parts, "model")][1].signatures.reverse())


@case(4, REFUTED)
def a_signature_of_another_claim() -> Made:
    return changed(lambda parts: set_rec(
        parts, "model", signatures=parts.claims[at(parts, "aggregate")][1].signatures))


@case(4, REFUTED)
def one_signature_more() -> Made:
    return changed(lambda parts: parts.claims[at(parts, "model")][1].signatures.append(("", bytes(64))))


@case(4, REFUTED)
def a_changed_body() -> Made:
    return changed(lambda parts: set_rec(parts, "model", payload=body_of(parts.claims[at(parts, "model")][1], sum=3)))


@case(4, REFUTED)
def a_claim_in_somebody_elses_name() -> Made:
    eve = party("eve").signer()

    def forged(rec: Rec) -> Rec:
        names = [name for name, _ in rec.signatures]
        return replace(rec, signatures=list(zip(names, [v for _, v in sign(eve, rec.payload).signatures], strict=True)))

    return told(story(instead("model", forged)))


@case(4, REFUTED)
def keys_that_were_changed_sign_again() -> Made:
    return told(story(instead("batch", lambda rec: sign(party("clinic").signer(), rec.payload))))


@case(4, REFUTED)
def the_change_of_keys_is_left_out() -> Made:
    parts = drop(HONEST, HONEST.names["rotation"])
    return parts.to_bytes(), HONEST.trust


# Step 5: references


def only(one: Story, keep: Callable[[bytes], bool], extra: tuple[str, ...] = ()) -> Parts:
    """The bundle of other claims of the same log, all proofs made anew: what an outsider can do from the tiles."""
    claims = [rec.id for _, rec, _ in one.parts.claims if keep(rec.id)] + [one.names[name] for name in extra]
    parts, _ = one.ledger.parts(one.parts.target, claims, one.parts.documents, blobs=one.parts.blobs,
                                anchored_size=len(one.ledger.entries) - 1, size=len(one.ledger.entries))
    return replace(parts, anchor=one.parts.anchor)


def drop(one: Story, claim: bytes) -> Parts:
    return only(one, lambda found: found != claim)


@case(5, UNDECIDABLE)
def a_claim_that_another_refers_to_is_dropped() -> Made:
    return drop(HONEST, HONEST.names["aggregate"]).to_bytes(), HONEST.trust


@case(5, UNDECIDABLE)
def data_that_the_policy_does_not_look_at_is_dropped() -> Made:
    parts = drop(HONEST, HONEST.names["listing"])
    parts.blobs = []
    return parts.to_bytes(), HONEST.trust


@case(5, UNDECIDABLE)
def the_target_is_dropped() -> Made:
    return drop(HONEST, HONEST.names["model"]).to_bytes(), HONEST.trust


@case(5, UNDECIDABLE)
def another_target_that_is_not_here() -> Made:
    return changed(lambda parts: setattr(parts, "target", HONEST.names["noise"]))


@case(5, REFUTED)
def another_target_that_is_here() -> Made:
    return changed(lambda parts: setattr(parts, "target", HONEST.names["aggregate"]))


@case(5, REFUTED)
def a_genuine_claim_too_many() -> Made:
    return only(HONEST, lambda found: True, ("noise",)).to_bytes(), HONEST.trust


@case(5, REFUTED)
def a_member_too_many() -> Made:
    return only(HONEST, lambda found: True, ("member 1",)).to_bytes(), HONEST.trust


@case(5, REFUTED)
def a_claim_twice() -> Made:
    """The maker logged the model twice and shows both."""
    one = story(after=lambda ledger: ledger.add(ledger.entries[9]))
    rec = one.ledger.entries[9]
    positions = [*(position for position, _, _ in one.parts.claims), 11]
    parts = replace(one.parts, claims=[*one.parts.claims, (11, rec, -1)],
                    tree=merkle.multi_proof(positions, 12, one.ledger.node()))
    return parts.to_bytes(), one.trust


@case(5, REFUTED)
def an_embedded_file_that_nobody_names() -> Made:
    return changed(lambda parts: setattr(parts, "blobs", [b"advertisement"]))


@case(5, REFUTED)
def an_embedded_file_is_changed() -> Made:
    return changed(lambda parts: setattr(parts, "blobs", [forge.LISTING + b"99,1\n"]))


# Step 6: batches


def forged_member(rec: Rec) -> Rec:
    return replace(rec, payload=body_of(rec, note="not what was signed"))


@case(6, REFUTED)
def an_insider_logs_a_member_that_the_batch_does_not_hold() -> Made:
    return told(story(instead("member 2", forged_member)))


@case(6, REFUTED)
def another_place_in_the_batch() -> Made:
    return changed(lambda parts: set_rec(parts, "member 2", batch=(HONEST.names["batch"], 1)))


@case(6, REFUTED)
def two_members_in_one_place() -> Made:
    return changed(lambda parts: set_rec(parts, "member 2", batch=(HONEST.names["batch"], 0)))


@case(6, REFUTED)
def a_place_beyond_the_batch() -> Made:
    return changed(lambda parts: set_rec(parts, "member 2", batch=(HONEST.names["batch"], 3)))


@case(6, REFUTED)
def a_member_of_somebody_elses_batch() -> Made:
    payload = forge.statement(party("lab").did, "update", {"value": 2}, [("data", HONEST.names["listing"])]).to_bytes()
    return told(story(instead("update 2", lambda rec: Rec(payload))))


@case(6, MALFORMED)
def a_member_of_a_claim_that_is_no_batch() -> Made:
    def act(parts: Parts) -> None:
        number = at(parts, "member 2")
        position, rec, _ = parts.claims[number]
        parts.claims[number] = (position, rec, 0)

    return changed(act)


@case(6, REFUTED)
def a_batch_proof_is_changed() -> Made:
    return changed(lambda parts: parts.proofs[0].__setitem__(0, bytes(32)))


@case(6, REFUTED)
def a_batch_proof_is_too_short() -> Made:
    return changed(lambda parts: parts.proofs[0].pop())


@case(6, REFUTED)
def a_batch_proof_is_too_long() -> Made:
    return changed(lambda parts: parts.proofs[0].append(bytes(32)))


@case(6, REFUTED)
def a_batch_proof_is_missing() -> Made:
    return changed(lambda parts: parts.proofs.clear())


@case(6, MALFORMED)
def a_batch_proof_too_many() -> Made:
    return changed(lambda parts: parts.proofs.append([]))


# Step 7: the log


@case(7, REFUTED)
def a_signed_claim_that_was_never_logged() -> Made:
    refs = [("aggregate", HONEST.names["aggregate"])]
    other = say(party("lab").signer(), "model", {"sum": 2}, refs, at=1_800_000_000)

    def act(parts: Parts) -> None:
        parts.claims[-1] = (parts.claims[-1][0], other, -1)
        parts.target = other.id

    return changed(act)


@case(7, REFUTED)
def another_position() -> Made:
    def act(parts: Parts) -> None:
        position, rec, batch = parts.claims[-1]
        parts.claims[-1] = (position + 1, rec, batch)

    return changed(act)


@case(7, REFUTED)
def a_position_beyond_the_log() -> Made:
    return changed(lambda parts: parts.claims.__setitem__(-1, (999, *parts.claims[-1][1:])))


@case(7, REFUTED)
def the_logs_proof_is_changed() -> Made:
    return changed(lambda parts: parts.tree.__setitem__(-1, bytes(32)))


@case(7, REFUTED)
def the_logs_proof_is_too_short() -> Made:
    return changed(lambda parts: parts.tree.pop())


@case(7, REFUTED)
def the_logs_proof_is_too_long() -> Made:
    return changed(lambda parts: parts.tree.append(bytes(32)))


@case(7, REFUTED)
def an_older_checkpoint_of_the_same_log() -> Made:
    return changed(lambda parts: setattr(parts, "note", HONEST.ledger.note(10)))


# Step 8: the checkpoint


@case(8, REFUTED)
def a_log_signed_by_another_key() -> Made:
    return told(story(ledger=Ledger(key="thief")))


@case(8, REFUTED)
def another_log() -> Made:
    return told(story(ledger=Ledger(origin="lab.example/other")))


@case(8, REFUTED)
def the_pinned_key_signs_another_log() -> Made:
    return told(story(ledger=Ledger(origin="lab.example/other", signed_as=forge.ORIGIN)))


@case(8, REFUTED)
def the_signature_is_another_checkpoints() -> Made:
    def act(parts: Parts) -> None:
        older = Note.from_bytes(HONEST.ledger.note(9))
        parts.note = Note(Note.from_bytes(parts.note).text, older.signatures).to_bytes()

    return changed(act)


@case(8, REFUTED)
def the_line_names_another_key() -> Made:
    def act(parts: Parts) -> None:
        own = Note.from_bytes(parts.note)
        parts.note = Note(own.text, (replace(own.signatures[0], key_id=b"none"), own.signatures[1])).to_bytes()

    return changed(act)


@case(8, UNDECIDABLE)
def no_witness_saw_it() -> Made:
    return changed(lambda parts: setattr(parts, "note", replace(HONEST.ledger, witness=None).note(11)))


@case(8, UNDECIDABLE)
def a_witness_unknown_saw_it() -> Made:
    return changed(lambda parts: setattr(parts, "note", replace(HONEST.ledger, witness="eve").note(11)))


@case(8, REFUTED)
def one_witness_counted_twice() -> Made:
    witness = NoteSigner("witness.example", seed("witness"), WITNESS_KEY)
    return changed(lambda parts: setattr(parts, "note", cosign(parts.note, witness, 1_700_000_600)))


@case(8, REFUTED)
def the_witness_signed_another_checkpoint() -> Made:
    def act(parts: Parts) -> None:
        own = Note.from_bytes(parts.note)
        other = Note.from_bytes(HONEST.ledger.note(9))
        parts.note = Note(own.text, (own.signatures[0], other.signatures[1])).to_bytes()

    return changed(act)


@case(8, REFUTED)
def a_self_made_chain_of_trust() -> Made:
    """Own identities, own log under the same name, own chain: everything is consistent, and nothing is believed."""
    return story(ledger=Ledger(key="thief", witness="eve"), chain=Chain(b"mine"), suffix=" of eve").parts.to_bytes(), (
        HONEST.trust)


# Step 9: the anchor


def anchor_case(act: Callable[[RawAnchor], RawAnchor | None]) -> Made:
    return changed(lambda parts: setattr(parts, "anchor", act(parts.anchor)))


@case(9, UNDECIDABLE)
def no_anchor() -> Made:
    return anchor_case(lambda anchor: None)


@case(9, MALFORMED)
def an_anchor_without_headers() -> Made:
    return anchor_case(lambda anchor: anchor._replace(receipt=replace(anchor.receipt, headers=())))


@case(9, REFUTED)
def the_log_was_rewritten_after_it_was_anchored() -> Made:
    """The log's own key signs two histories: the anchored one, and the one shown."""
    other = Ledger()
    story(instead("noise", lambda rec: say(party("lab").signer(), "noise", {"n": 9})), ledger=other)
    chain = Chain()
    one = story()
    number = chain.mine((forge.anchored(forge.ORIGIN, 10, other.root(10)),))
    proof = tuple(merkle.consistency_proof(10, 11, one.ledger.node()))
    parts = replace(one.parts, anchor=RawAnchor(proof, chain.prove(number)))
    return parts.to_bytes(), forge.trust_for(chain)


@case(9, REFUTED)
def an_anchor_on_another_chain() -> Made:
    return told(replace(HONEST, parts=replace(HONEST.parts, anchor=story(chain=Chain(b"other")).parts.anchor)))


@case(9, REFUTED)
def an_anchor_by_another_account() -> Made:
    return told(story(owner=b"\x0b" * 20))


def on_chain(*logs: container.RawAnchor, status: bool = True) -> Made:
    """The honest bundle with these events on its chain instead of the right one."""
    chain = Chain()
    number = chain.mine(logs, status)
    anchor = RawAnchor(HONEST.parts.anchor.consistency, chain.prove(number))
    return replace(HONEST.parts, anchor=anchor).to_bytes(), forge.trust_for(chain)


@case(9, REFUTED)
def an_anchor_in_another_contract() -> Made:
    return on_chain(forge.anchored(forge.ORIGIN, 10, HONEST.ledger.root(10), contract=b"\x99" * 20))


@case(9, REFUTED)
def an_anchor_of_another_log() -> Made:
    return on_chain(forge.anchored("lab.example/other", 10, HONEST.ledger.root(10)))


@case(9, REFUTED)
def an_anchor_of_another_root() -> Made:
    return on_chain(forge.anchored(forge.ORIGIN, 10, HONEST.ledger.root(9)))


@case(9, REFUTED)
def two_anchors_in_one_receipt() -> Made:
    event = forge.anchored(forge.ORIGIN, 10, HONEST.ledger.root(10))
    return on_chain(event, event)


@case(9, REFUTED)
def a_transaction_that_failed() -> Made:
    return on_chain(forge.anchored(forge.ORIGIN, 10, HONEST.ledger.root(10)), status=False)


@case(9, PENDING)
def claims_beyond_the_anchor() -> Made:
    chain = Chain()
    number = chain.mine((forge.anchored(forge.ORIGIN, 9, HONEST.ledger.root(9)),))
    proof = tuple(merkle.consistency_proof(9, 11, HONEST.ledger.node()))
    parts = replace(HONEST.parts, anchor=RawAnchor(proof, chain.prove(number)))
    return parts.to_bytes(), forge.trust_for(chain)


@case(9, UNDECIDABLE)
def headers_that_end_before_the_pinned_block() -> Made:
    return anchor_case(lambda anchor: anchor._replace(
        receipt=replace(anchor.receipt, headers=anchor.receipt.headers[:-1])))


@case(9, UNDECIDABLE)
def headers_beyond_the_pinned_block() -> Made:
    one = story()
    one.chain.mine(())
    return replace(one.parts, anchor=RawAnchor(one.parts.anchor.consistency, one.chain.prove(1))).to_bytes(), one.trust


@case(9, REFUTED)
def a_header_is_missing() -> Made:
    return anchor_case(lambda anchor: anchor._replace(
        receipt=replace(anchor.receipt, headers=anchor.receipt.headers[::2])))


@case(9, REFUTED)
def a_consistency_hash_is_changed() -> Made:
    return anchor_case(lambda anchor: anchor._replace(consistency=(bytes(32), *anchor.consistency[1:])))


@case(9, REFUTED)
def a_consistency_hash_too_many() -> Made:
    return anchor_case(lambda anchor: anchor._replace(consistency=(*anchor.consistency, bytes(32))))


@case(9, REFUTED)
def another_index_in_the_block() -> Made:
    return anchor_case(lambda anchor: anchor._replace(receipt=replace(anchor.receipt, index=1)))


@case(9, REFUTED)
def a_receipt_of_ones_own() -> Made:
    receipt = Chain()
    receipt.mine((forge.anchored(forge.ORIGIN, 10, HONEST.ledger.root(10)),))
    return anchor_case(lambda anchor: anchor._replace(receipt=replace(anchor.receipt, receipt=receipt.receipts[0])))


# Steps 10 to 12


def model_by(signer: object) -> Callable[[str, Rec], Rec]:
    def forged(rec: Rec) -> Rec:
        found = Statement.from_bytes(rec.payload)
        return say(signer, "model", dict(found.body), [(ref.role, ref.claim) for ref in found.refs])

    return instead("model", forged)


@case(10, REFUTED)
def a_model_by_somebody_named_nowhere() -> Made:
    return told(story(model_by(outsider())))


@case(10, REFUTED)
def a_model_by_somebody_in_another_role() -> Made:
    return told(story(model_by(rotated("clinic")[0].signer())))


@case(10, UNDECIDABLE)
def a_trust_file_that_names_nobody() -> Made:
    return HONEST.parts.to_bytes(), replace(HONEST.trust, roles={})


@case(11, REFUTED)
def a_wrong_sum() -> Made:
    lab = party("lab").signer()
    return told(story(instead("aggregate", lambda rec: sign(lab, body_of(rec, sum=3)))))


@case(11, REFUTED)
def a_model_without_an_aggregate() -> Made:
    lab = party("lab").signer()
    one = story(instead("model", lambda rec: say(lab, "model", {"sum": 2})))
    parts, chain = one.ledger.parts(one.names["model"], [one.names["model"]], [party("lab").genesis], anchored_size=10,
                                    size=11)
    return parts.to_bytes(), forge.trust_for(chain)


@case(11, UNDECIDABLE)
def a_policy_unknown_here() -> Made:
    return HONEST.parts.to_bytes(), replace(HONEST.trust, policy={"name": "elsewhere"})


@case(11, REFUTED)
def a_model_whose_body_is_not_a_models() -> Made:
    lab = party("lab").signer()
    return told(story(instead("model", lambda rec: sign(lab, body_of(rec, bonus=1)))))


@case(11, UNDECIDABLE)
def a_policy_that_finds_nothing() -> Made:
    return HONEST.parts.to_bytes(), replace(HONEST.trust, policy={"name": "silent"})


@case(11, UNDECIDABLE)
def no_policy() -> Made:
    return HONEST.parts.to_bytes(), replace(HONEST.trust, policy=None)


@case(12, REFUTED, recheck=REFUTED)
def records_that_are_not_what_was_listed() -> Made:
    return told(HONEST)


STATUS = {UPHELD: 0, REFUTED: 1, UNDECIDABLE: 3, PENDING: 4}


def judge(data: bytes, trust: Trust | None, recheck: Outcome | None = None) -> Report:
    return verifying.verify(io.BytesIO(data), trust, policies=POLICIES, recheck=Opens(recheck) if recheck else None)


def test_the_honest_bundle_is_upheld() -> None:
    report = judge(*told(HONEST))
    assert report.outcome is UPHELD
    assert report.as_of == f"block 3 of chain {forge.CHAIN}"
    assert [step.n for step in report.steps] == list(range(1, 13))


@pytest.mark.parametrize("attack", CASES, ids=lambda attack: f"{attack.step}-{attack.name}")
def test_an_attack_is_stopped_at_its_step(attack: Case) -> None:
    data, trust = attack.make()
    if attack.outcome is MALFORMED:
        with pytest.raises(BadInput, match=rf"step {attack.step} \(") as caught:
            judge(data, trust, attack.recheck)
        assert caught.value.exit_status == 2
        return
    report = judge(data, trust, attack.recheck)
    stopping = [step for step in report.steps if step.outcome not in (UPHELD, None)]
    assert [(step.n, step.outcome) for step in stopping] == [(attack.step, attack.outcome)], stopping
    assert report.outcome is attack.outcome
    assert report.outcome.exit_status == STATUS[attack.outcome]


@pytest.mark.parametrize("attack", [one for one in CASES if one.outcome is not MALFORMED],
                         ids=lambda attack: f"{attack.step}-{attack.name}")
def test_without_trust_nothing_is_upheld(attack: Case) -> None:
    assert judge(attack.make()[0], None, attack.recheck).outcome in (REFUTED, UNDECIDABLE)
    assert judge(attack.make()[0], Trust(), attack.recheck).outcome in (REFUTED, UNDECIDABLE)


def lenient(self: inside.Inside, raw: container.RawClaim) -> Fields:
    """A reader that forgives white space."""
    return fields_of(encode(json.loads(raw.payload)))


SWITCHES: dict[int, tuple[str, list[tuple[object, str, object]]]] = {
    1: ("a_byte_after_the_end", [(container, "_check_end", lambda at, end: None)]),
    2: ("an_insider_signs_and_logs_a_statement_with_white_space",
        [(inside.Inside, "_fields", lenient),
         (BundleView, "_statement", lambda self, number: Statement.from_bytes(
             encode(json.loads(self._reader.bytes_at(self._offsets[number])))))]),
    3: ("an_old_document", [(inside.Inside, "_pinned", lambda self, speaking: None)]),
    4: ("an_insider_logs_a_claim_without_its_post_quantum_signature",
        [(inside.Inside, "_signatures", lambda self, issuer, raw, names: None)]),
    5: ("data_that_the_policy_does_not_look_at_is_dropped", [(inside.Inside, "_closed", lambda self: None)]),
    6: ("an_insider_logs_a_member_that_the_batch_does_not_hold",
        [(inside.Inside, "_belongs", lambda self, item, root: None)]),
    7: ("a_signed_claim_that_was_never_logged", [(inside.Inside, "_in_log", lambda self, root: None)]),
    8: ("a_log_signed_by_another_key", [(verifying._Verification, "_checkpoint", lambda self: "off")]),
    9: ("the_log_was_rewritten_after_it_was_anchored", [(verifying._Verification, "_anchor", lambda self: "off")]),
    10: ("a_model_by_somebody_in_another_role", [(verifying._Verification, "_roles", lambda self: "off")]),
    11: ("a_wrong_sum", [(verifying._Verification, "_policy", lambda self: "off")]),
    12: ("records_that_are_not_what_was_listed", [(verifying._Verification, "_re_execution", lambda self: "off")]),
}


def test_every_step_has_a_switch() -> None:
    assert SWITCHES.keys() == verifying.NAMES.keys()


@pytest.mark.parametrize("step", SWITCHES)
def test_with_a_step_switched_off_its_attack_succeeds(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name, patches = SWITCHES[step]
    attack = next(one for one in CASES if one.name == name)
    assert attack.step == step
    data, trust = attack.make()
    for owner, attribute, instead_of in patches:
        monkeypatch.setattr(owner, attribute, instead_of)
    assert judge(data, trust, attack.recheck).outcome is UPHELD


PARTS = ("target", "documents", "note", "claims", "tree", "proofs", "anchor", "blobs")


def others() -> dict[str, Parts]:
    """Genuine bundles of others and of other times, each upheld by whoever trusts its makers."""
    anchor = HONEST.parts.anchor
    grown = replace(HONEST.ledger, entries=[*HONEST.ledger.entries, say(party("lab").signer(), "noise", {"n": 4})])
    claims = [rec.id for _, rec, _ in HONEST.parts.claims]
    later, _ = grown.parts(HONEST.parts.target, claims, HONEST.parts.documents, anchored_size=10, size=12,
                           blobs=HONEST.parts.blobs)
    elsewhere, _ = HONEST.ledger.parts(HONEST.parts.target, claims, HONEST.parts.documents, anchored_size=10, size=11,
                                       chain=Chain(b"other"), blobs=HONEST.parts.blobs)
    return {
        "other issuers": story(suffix=" two").parts,
        "another log": story(ledger=Ledger(origin="lab.example/other", key="other"), suffix=" two").parts,
        "another chain": elsewhere,
        "a later checkpoint": replace(later, anchor=RawAnchor(later.anchor.consistency, anchor.receipt)),
        "another target": only_target(HONEST),
    }


def only_target(one: Story) -> Parts:
    parts, _ = one.ledger.parts(one.names["listing"], [one.names["listing"], one.names["rotation"]],
                                [party("clinic").genesis], anchored_size=10, size=11, blobs=[forge.LISTING])
    return replace(parts, anchor=one.parts.anchor)


OTHERS = others()


@pytest.mark.parametrize("name", OTHERS)
def test_no_mixture_with_another_genuine_bundle_is_upheld(name: str) -> None:
    other, own = OTHERS[name], HONEST.parts
    honest = {own.to_bytes()}
    if name in ("a later checkpoint", "another target"):  # the same log, truly extended; or another true bundle of it
        honest |= {other.to_bytes()}
    upheld = 0
    for chosen in itertools.product((False, True), repeat=len(PARTS)):
        fields = {part: getattr(other if swap else own, part) for part, swap in zip(PARTS, chosen, strict=True)}
        data = Parts(**fields).to_bytes()
        try:
            outcome = judge(data, HONEST.trust).outcome
        except BadInput:
            continue
        if data in honest:
            upheld += outcome is UPHELD
        else:
            assert outcome is not UPHELD, f"upheld with {[p for p, swap in zip(PARTS, chosen, strict=True) if swap]}"
    assert upheld >= (2 if name == "a later checkpoint" else 1)


def small() -> Story:
    """A bundle of a few kilobytes that has everything but hybrid signatures: for sweeps over every byte."""
    ledger, signer = Ledger(witness=None), outsider()
    listing = ledger.add(say(signer, "listing", {"rows": 2}, evidence=[
        forge.Evidence("listing", forge.raw_cid(forge.sha256(b"a,b\n")), "raw", False)]))
    payloads = [forge.statement(signer.did, "update", {"value": n}, [("data", listing.id)]).to_bytes()
                for n in range(3)]
    head = forge.batch_statement(signer.did, 1, list(map(forge.claim_id, payloads))).to_bytes()
    batch = ledger.add(sign(signer, head))
    members = [ledger.add(Rec(payload, None, (batch.id, n))) for n, payload in enumerate(payloads)]
    aggregate = ledger.add(say(signer, "aggregate", {"sum": 1}, [("update", members[1].id)]))
    model = ledger.add(say(signer, "model", {"sum": 1}, [("aggregate", aggregate.id)]))
    ledger.add(say(signer, "noise", {}))
    wanted = [listing.id, batch.id, members[1].id, aggregate.id, model.id]
    parts, _ = ledger.parts(model.id, wanted, [], anchored_size=7, size=8, blobs=[b"a,b\n"])
    chain = Chain()
    number = chain.mine((forge.anchored(forge.ORIGIN, 7, ledger.root(7)),))
    parts = replace(parts, anchor=RawAnchor(parts.anchor.consistency, chain.prove(number)))
    roles = {"aggregator": (signer.did,), "hospital": (signer.did,)}
    trust = replace(forge.trust_for(chain), documents={}, roles=roles, witnesses=Witnesses())
    return Story(ledger, chain, parts, trust, {"model": model.id})


def never_upheld(data: bytes, trust: Trust) -> None:
    try:
        outcome = judge(data, trust).outcome
    except BadInput:
        return
    assert outcome is not UPHELD


def test_no_byte_of_a_bundle_can_be_changed() -> None:
    one = small()
    data = one.parts.to_bytes()
    assert judge(data, one.trust).outcome is UPHELD
    changed_bytes = bytearray(data)
    for offset, byte in enumerate(data):
        for flip in (1 << offset % 8, 0xFF):
            changed_bytes[offset] = byte ^ flip
            never_upheld(bytes(changed_bytes), one.trust)
        changed_bytes[offset] = byte


def test_no_seventh_byte_of_a_hybrid_bundle_can_be_changed() -> None:
    ledger, lab = Ledger(), party("lab")
    model = ledger.add(say(lab.signer(), "listing", {"rows": 1}))
    parts, chain = ledger.parts(model.id, [model.id], [lab.genesis], anchored_size=1, size=1)
    trust = replace(forge.trust_for(chain), roles={"hospital": (lab.did,)}, policy={"name": "any"})
    policy = {"any": AnyTarget()}
    data = parts.to_bytes()
    assert verifying.verify(io.BytesIO(data), trust, policies=policy).outcome is UPHELD
    changed_bytes = bytearray(data)
    for offset in range(0, len(data), 7):  # every byte of the format itself is flipped in the sweep above
        byte = data[offset]
        changed_bytes[offset] = byte ^ (1 << offset % 8)
        try:
            outcome = verifying.verify(io.BytesIO(bytes(changed_bytes)), trust, policies=policy).outcome
        except BadInput:
            outcome = None
        assert outcome is not UPHELD, offset
        changed_bytes[offset] = byte


class AnyTarget:
    """A policy that finds for everything: so that only the other steps can refuse."""

    says: dict = {}  # noqa: RUF012

    def judge(self, view, roles, settings):
        return (forge.Finding("any", UPHELD, view.statement(view.target).kind),)


def test_no_bundle_can_be_cut_or_extended() -> None:
    one = small()
    data = one.parts.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(BadInput):
            judge(data[:cut], one.trust)
    for more in (b"\0", b"BLOB", data):
        with pytest.raises(BadInput):
            judge(data + more, one.trust)


def test_a_checkpoint_of_a_fork_is_not_saved_by_a_witness_that_saw_the_other_side() -> None:
    """The log's key signs a fork; the pinned witness saw only the honest side."""
    one = fresh()
    checkpoint = Checkpoint.from_text(Note.from_bytes(one.parts.note).text)
    fork = Checkpoint(checkpoint.origin, checkpoint.size, bytes(32)).sign(NoteSigner(forge.ORIGIN, seed("log")))
    mixed = Note(Note.from_bytes(fork).text, (Note.from_bytes(fork).signatures[0], Note.from_bytes(one.parts.note
                                                                                                    ).signatures[1]))
    one.parts.note = mixed.to_bytes()
    assert judge(one.parts.to_bytes(), one.trust).outcome is REFUTED
