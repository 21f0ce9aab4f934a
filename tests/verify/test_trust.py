"""The trust file: read strictly, written the same."""

from __future__ import annotations

import io
import string
from dataclasses import replace

import forge
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.encoding import decode, encode
from troth.core.errors import BadInput
from troth.core.verdicts import Outcome
from troth.identity.did import checksum_address
from troth.ledger.checkpoints import LOG_KEY, WITNESS_KEY, NoteSigner
from troth.verify.bundle import verify
from troth.verify.trust import ChainPin, LogPin, Trust, Witnesses

names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
dids = st.builds(lambda name: f"did:key:z{name}", names)
digests = st.binary(min_size=32, max_size=32)
accounts = st.binary(min_size=20, max_size=20)
numbers = st.integers(0, 2**53 - 1)


@st.composite
def trusts(draw: st.DrawFn) -> Trust:
    def key(name: str, kind: int) -> NoteSigner:
        return NoteSigner(name, forge.seed(name), kind)

    origin = draw(names)
    witnesses = tuple(key(name, WITNESS_KEY).verifier for name in draw(st.lists(names, unique=True, max_size=3)))
    return Trust(
        roles={role: tuple(draw(st.lists(dids, min_size=1, max_size=3, unique=True))) for role in draw(st.sets(names))},
        documents=draw(st.dictionaries(dids, digests, max_size=3)),
        log=draw(st.none() | st.builds(LogPin, st.just(origin), st.just(key(origin, LOG_KEY).verifier),
                                       st.none() | accounts)),
        witnesses=Witnesses(draw(st.integers(0, len(witnesses))), witnesses),
        chain=draw(st.none() | st.builds(ChainPin, st.integers(1, 2**53 - 1), digests, numbers, digests,
                                         st.dictionaries(names, accounts, max_size=3))),
        policy=draw(st.none() | st.just({"name": "sums", "tick": 3})),
    )


@given(trusts())
def test_what_is_written_is_what_is_read(trust: Trust) -> None:
    data = trust.to_bytes()
    assert Trust.from_bytes(data) == trust
    assert Trust.from_bytes(data + b"\n") == trust
    assert Trust.from_bytes(data).to_bytes() == data


STORY = forge.story()  # one for all: signatures, and so its log and chain, differ each time
TRUST = STORY.trust


def edited(**fields: object) -> bytes:
    return encode(decode(TRUST.to_bytes()) | fields)


def inner(name: str, **fields: object) -> bytes:
    return edited(**{name: decode(TRUST.to_bytes())[name] | fields})


ADDRESS = checksum_address(b"\xab" * 20)
UNREADABLE = {
    "no JSON": b"trust me",
    "no object": b"[]",
    "cut off": TRUST.to_bytes()[:-1],
    "a space": TRUST.to_bytes().replace(b":", b": ", 1),
    "two newlines": TRUST.to_bytes() + b"\n\n",
    "a key twice": TRUST.to_bytes().replace(b'"version":1', b'"version":1,"version":1'),
    "no version": encode({name: value for name, value in decode(TRUST.to_bytes()).items() if name != "version"}),
    "another version": edited(version=2),
    "a version that is a bool": edited(version=True),
    "a field too many": edited(extra=1),
    "a field too few": encode({name: value for name, value in decode(TRUST.to_bytes()).items() if name != "log"}),
    "roles that are a list": edited(roles=[]),
    "a role of nobody": edited(roles={"lab": []}),
    "a role with a number": edited(roles={"lab": [1]}),
    "an issuer twice in a role": edited(roles={"lab": ["did:key:z", "did:key:z"]}),
    "a role in capitals": edited(roles={"Lab": ["did:key:z"]}),
    "a document in capitals": edited(documents={"did:key:z": "AB" * 32}),
    "a document too short": edited(documents={"did:key:z": "ab" * 31}),
    "a document of no DID": edited(documents={"me": "ab" * 32}),
    "a log that is text": edited(log="log"),
    "a log of another name": inner("log", origin="other"),
    "a log key of a witness": inner("log", key=TRUST.witnesses.keys[0].vkey()),
    "an account without checksum": inner("log", account=ADDRESS.lower()),
    "an account too short": inner("log", account=ADDRESS[:-2]),
    "an account with a newline": inner("log", account=ADDRESS + "\n"),
    "too high a threshold": inner("witnesses", threshold=2),
    "a negative threshold": inner("witnesses", threshold=-1),
    "a witness twice": inner("witnesses", keys=[TRUST.witnesses.keys[0].vkey()] * 2),
    "a witness that is a log": inner("witnesses", keys=[TRUST.log.key.vkey()]),
    "a chain without a block": edited(chain={"id": 1, "genesis": "00" * 32, "contracts": {}}),
    "chain zero": inner("chain", id=0),
    "a negative block": inner("chain", block={"number": -1, "hash": "00" * 32}),
    "a contract in lower case": inner("chain", contracts={"anchor": ADDRESS.lower().replace("0x", "0X")}),
    "a policy without a name": edited(policy={}),
    "a policy that is text": edited(policy="sums"),
    "a number beyond 2^53": TRUST.to_bytes().replace(b'"id":7777', b'"id":9007199254740993'),
    "invalid UTF-8": TRUST.to_bytes().replace(b"sums", b"su\xff\xfe"),
    "nesting": b'{"version":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_anything_else_is_refused(name: str) -> None:
    assert UNREADABLE[name] != TRUST.to_bytes()
    with pytest.raises(BadInput):
        Trust.from_bytes(UNREADABLE[name])


MISSING = {
    "log": (8, replace(TRUST, log=None)),
    "anchoring account": (9, replace(TRUST, log=replace(TRUST.log, account=None))),
    "chain": (9, replace(TRUST, chain=None)),
    "anchor contract": (9, replace(TRUST, chain=replace(TRUST.chain, contracts={}))),
    "roles": (10, replace(TRUST, roles={})),
    "policy": (11, replace(TRUST, policy=None)),
}


@pytest.mark.parametrize("pin", MISSING)
def test_without_a_pin_its_step_is_undecidable(pin: str) -> None:
    step, trust = MISSING[pin]
    report = verify(io.BytesIO(STORY.parts.to_bytes()), trust, policies=forge.POLICIES)
    assert report.outcome is Outcome.UNDECIDABLE
    assert step in {one.n for one in report.steps if one.outcome is Outcome.UNDECIDABLE}


def test_without_a_trust_file_the_bundle_is_consistent_with_itself_and_no_more() -> None:
    report = verify(io.BytesIO(STORY.parts.to_bytes()))
    assert report.outcome is Outcome.UNDECIDABLE
    assert report.outcome.exit_status == 3
    assert report.as_of is None
    assert [step.n for step in report.steps if step.outcome is Outcome.UPHELD] == [1, 2, 3, 4, 5, 6, 7]
    assert "nobody you trust vouches for it" in report.steps[7].detail


def test_a_document_pinned_for_somebody_absent_changes_nothing() -> None:
    one = STORY
    trust = replace(one.trust, documents={**one.trust.documents, "did:key:zAbsent": bytes(32)})
    assert verify(io.BytesIO(one.parts.to_bytes()), trust, policies=forge.POLICIES).outcome is Outcome.UPHELD


def test_re_execution_is_reported_by_whoever_can_open_the_evidence() -> None:
    one = STORY
    data = one.parts.to_bytes()
    closed = verify(io.BytesIO(data), one.trust, policies=forge.POLICIES)
    assert [(step.outcome, "not re-executed" in step.detail) for step in closed.steps if step.n == 12] == [(None, True)]
    opened = verify(io.BytesIO(data), one.trust, policies=forge.POLICIES, recheck=forge.Opens(Outcome.UPHELD))
    assert opened.outcome is closed.outcome is Outcome.UPHELD
    assert [step.outcome for step in opened.steps if step.n == 12] == [Outcome.UPHELD]
