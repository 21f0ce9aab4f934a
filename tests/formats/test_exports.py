"""Documents for others: every sentence names its claim, nothing is invented, an edit is noticed.

Other people's validators read the same documents under ``make interop``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from formats_parts import Lineage

from troth.app import Troth, formats
from troth.core.claims import Ref, Subject
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.formats import plain_yaml
from troth.formats.foreign import ForeignEnvelope, ForeignKey

WRITERS = ("cyclonedx", "spdx", "prov", "card")
URN = re.compile(r"urn:troth:claim:([0-9a-f]{64})")


def document(found: Lineage, format_: str) -> Any:
    return json.loads(formats.export(found.party, found.model, format_))


def at(value: Any, pointer: str) -> Any:
    """RFC 6901."""
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part.replace("~1", "/").replace("~0", "~")]
    return value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("format_", WRITERS)
def test_the_same_claims_give_the_same_bytes(lineage: Lineage, format_: str) -> None:
    first = formats.export(lineage.party, lineage.model, format_)
    assert first == formats.export(lineage.party, lineage.model, format_)
    formats.check_export(lineage.party, lineage.model, format_, first)


@pytest.mark.parametrize("format_", WRITERS)
def test_an_edit_after_the_fact_is_refuted(lineage: Lineage, format_: str) -> None:
    data = formats.export(lineage.party, lineage.model, format_)
    assert b"0.964601" in data
    for edited in (data.replace(b"0.964601", b"0.994601"), data + b"\n", data[:-1], b""):
        with pytest.raises(Refuted, match="not what these claims say"):
            formats.check_export(lineage.party, lineage.model, format_, edited)


@pytest.mark.parametrize("format_", WRITERS)
def test_it_names_claims_that_are_here_and_no_other(lineage: Lineage, format_: str) -> None:
    data = formats.export(lineage.party, lineage.model, format_).decode()
    known = {node.id.hex() for node in lineage.party.trace(lineage.model).nodes}
    named = set(URN.findall(data))
    assert named <= known
    assert {lineage.model.hex(), lineage.validation.hex(), lineage.sealed.hex()} <= named


@pytest.mark.parametrize("format_", WRITERS)
def test_a_bundle_gives_the_same_document_without_a_workspace(lineage: Lineage, tmp_path: Path, format_: str) -> None:
    path = tmp_path / "model.troth"
    lineage.party.bundle(lineage.model, path)
    data = formats.export(lineage.party, lineage.model, format_)
    assert formats.export_bundle(path, format_) == data
    changed = path.read_bytes().replace(b'"score_ppm":964601', b'"score_ppm":994601')
    path.write_bytes(changed)
    with pytest.raises(Refuted):
        formats.export_bundle(path, format_)
    path.write_bytes(changed[:-1])
    with pytest.raises(BadInput):
        formats.export_bundle(path, format_)


def test_a_bundle_is_no_signature(lineage: Lineage, tmp_path: Path) -> None:
    for format_ in ("dsse", "oms", "docx"):
        with pytest.raises(Misuse):
            formats.export_bundle(tmp_path / "model.troth", format_)


@pytest.mark.parametrize("format_", WRITERS)
def test_what_no_claim_says_is_missing_and_not_invented(lineage: Lineage, format_: str) -> None:
    data = formats.export(lineage.party, lineage.model, format_).decode()
    for field in ("licence", "intended use", "limitations", "architecture"):
        assert field in data, field
    assert "sealed to its owner" in data
    for invented in ("Apache", "MIT", "supervised", "logistic", "proprietary"):
        assert invented not in data


def test_cyclonedx_cites_a_claim_for_each_sentence(lineage: Lineage) -> None:
    bom = document(lineage, "cyclonedx")
    assert bom["specVersion"] == "1.7"
    refs = {one["bom-ref"] for one in bom["components"]} | {"target"}
    cited = {}
    for citation in bom["citations"]:
        assert {citation["attributedTo"], citation["process"]} <= refs
        for pointer in citation["pointers"]:
            assert at(bom, pointer) is not None, pointer
            cited[pointer] = citation["process"].rpartition(":")[2]
    card_at = "/metadata/component/modelCard"
    assert cited[f"{card_at}/quantitativeAnalysis/performanceMetrics/0"] == lineage.model.hex()
    assert at(bom, f"{card_at}/quantitativeAnalysis/performanceMetrics/0")["value"] == "0.964601"
    properties = bom["metadata"]["component"]["properties"]
    plan = lineage.party.statement(lineage.model).ref("plan").hex()
    update = lineage.party.statement(lineage.model).ref("aggregate").hex()
    wanted = {"troth:parameter:rule": plan, "troth:parameter:rounds": lineage.model.hex()}
    for number, one in enumerate(properties):
        if one["name"] in wanted:
            assert cited[f"/metadata/component/properties/{number}"] == wanted.pop(one["name"])
        if one["name"].startswith("troth:contribution:"):
            assert cited[f"/metadata/component/properties/{number}"] == update
    assert not wanted
    said = {dependency["ref"] for dependency in bom["dependencies"]}
    assert said <= refs
    assert all(set(one.get("dependsOn", ())) <= refs for one in bom["dependencies"])


def test_spdx_annotates_each_sentence(lineage: Lineage) -> None:
    graph = document(lineage, "spdx")["@graph"]
    here = {one["spdxId"]: one for one in graph if "spdxId" in one}
    package = next(one for one in graph if one["type"] == "ai_AIPackage")
    said = {(one["subject"], one["name"]): one["statement"] for one in graph if one["type"] == "Annotation"}
    for entry in (*package["ai_metric"], *package["ai_hyperparameter"]):
        assert entry["value"] in said[package["spdxId"], entry["key"]]
        assert URN.search(said[package["spdxId"], entry["key"]])
    assert said[package["spdxId"], "licence"].endswith("rests on no claim")
    datasets = [one for one in graph if one["type"] == "dataset_DatasetPackage"]
    assert sorted("software_downloadLocation" in one for one in datasets) == [False, True]
    for relation in (one for one in graph if one["type"] == "Relationship"):
        assert relation["from"] == package["spdxId"]
        assert all(to in here for to in relation["to"])
        assert URN.search(said[relation["spdxId"], relation["relationshipType"]])
    root = next(one for one in graph if one["type"] == "SpdxDocument")
    assert set(root["element"]) <= here.keys()


def test_prov_relations_carry_their_claim(lineage: Lineage) -> None:
    records = document(lineage, "prov")
    known = {node.id.hex() for node in lineage.party.trace(lineage.model).nodes}
    for kind in ("wasAttributedTo", "wasDerivedFrom", "wasInfluencedBy"):
        assert records[kind]
        for one in records[kind].values():
            assert URN.fullmatch(one["troth:claim"])[1] in known  # type: ignore[index]
    derived = records["wasDerivedFrom"].values()
    ends = {one[end] for one in derived for end in ("prov:generatedEntity", "prov:usedEntity")}
    assert ends <= records["entity"].keys()


def test_a_card_numbers_each_sentence(lineage: Lineage) -> None:
    text = formats.export(lineage.party, lineage.model, "card").decode()
    assert "license" not in text
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    sentences, claims = body.split("## Missing")
    for line in (one for one in sentences.splitlines() if one.startswith("- ")):
        number = re.search(r"\[(\d+)\]$", line)
        assert number, line
        assert f"| {number[1]} | " in claims
    assert head.startswith("tags:")
    assert f"accuracy: 0.964601, on the records of claim {lineage.validation.hex()}. [1]" in body


def test_croissant_describes_a_listing(lineage: Lineage) -> None:
    public = json.loads(formats.export(lineage.party, lineage.validation, "croissant"))
    (file,) = public["distribution"]
    assert file["sha256"] == hashlib.sha256(b"age,score\n41,7\n38,9\n").hexdigest()
    assert [one["name"] for one in public["recordSet"][0]["field"]] == ["age", "score"]
    for part in (public, file, *public["recordSet"], *public["recordSet"][0]["field"]):
        assert lineage.validation.hex() in part["description"]
    sealed = json.loads(formats.export(lineage.party, lineage.sealed, "croissant"))
    assert "distribution" not in sealed
    assert "recordSet" not in sealed
    assert "license" not in sealed
    with pytest.raises(BadInput, match=lineage.validation.hex()):
        formats.export(lineage.party, lineage.model, "croissant")


def test_erased_data_shows_in_every_document(lineage: Lineage) -> None:
    before = {format_: formats.export(lineage.party, lineage.model, format_) for format_ in WRITERS}
    lineage.party.erase(lineage.sealed)
    for format_ in WRITERS:
        after = formats.export(lineage.party, lineage.model, format_)
        assert b"erased by its owner" in after
        with pytest.raises(Refuted):
            formats.check_export(lineage.party, lineage.model, format_, before[format_])
    assert "**Stale**" in formats.export(lineage.party, lineage.model, "card").decode()


def test_a_claim_that_is_not_here_is_missing(party: Troth) -> None:
    claim = party.attest("review", [Subject("x", {"sha256": "ab" * 32})], {}, refs=[Ref("about", b"\x07" * 32)])
    bom = json.loads(formats.export(party, claim, "cyclonedx"))
    assert any("07" * 32 in one["value"] and "not here" in one["value"] for one in bom["metadata"]["properties"])
    assert "07" * 32 not in json.dumps(bom["dependencies"])
    with pytest.raises(BadInput, match="about a model"):
        formats.export(party, claim, "card")
    with pytest.raises(Undecidable):
        formats.export(party, b"\x09" * 32, "cyclonedx")
    with pytest.raises(Misuse, match="no such format"):
        formats.export(party, claim, "docx")


def test_a_malformed_claim_below_hides_no_other(lineage: Lineage) -> None:
    party = lineage.party
    plan = party.statement(lineage.model).ref("plan")
    odd = party.attest("update", [Subject("update", {"sha256": "ab" * 32})], {"examples": 2})
    said = party.statement(lineage.model)
    model = party.attest("model", said.subjects, said.body, refs=[Ref("plan", plan), Ref("aggregate", odd)])
    bom = json.loads(formats.export(party, model, "cyclonedx"))
    missing = [one["value"] for one in bom["metadata"]["properties"]]
    assert any(odd.hex() in one and "not what its kind requires" in one for one in missing)
    assert bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    broken = party.attest("model", said.subjects, {"score_ppm": 1}, refs=[Ref("plan", plan)])
    with pytest.raises(BadInput):
        formats.export(party, broken, "cyclonedx")


def test_what_a_claim_says_cannot_draw_on_the_card(party: Troth, tmp_path: Path) -> None:
    from troth.app.running import attest_run  # only this test needs runs
    from troth.formats.runs import Artefact, Metric, Run

    evil = ("x]\n\n# \u2028\x85\U0001f600 \"A\" \\ A heading\n---\nlicense: mit | <script> [link](http://evil) `code` "
            "\x1b[31m")
    run = Run(evil, "finished", 1, 2, {evil: evil}, {evil: Metric("1")}, (), (Artefact(evil, bytes(32), 1),), {}, {})
    text = formats.export(party, attest_run(party, run), "card").decode()
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert not re.search(r"^license", head, re.MULTILINE)
    assert not re.search(r"^# A heading", text, re.MULTILINE)
    assert "<script>" not in body.replace("\\<script\\>", "")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)\]\(", body)
    metadata = plain_yaml.read_yaml(head.encode())
    assert metadata["model-index"][0]["name"] == evil
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["type"] == evil


def test_dsse_is_the_claim_itself(lineage: Lineage) -> None:
    data = formats.export(lineage.party, lineage.model, "dsse")
    envelope = ForeignEnvelope.of(json.loads(data))
    assert envelope.id == lineage.model
    method, pem = formats.classical_key(lineage.party, lineage.party.envelope(lineage.model))
    assert method in {one.method for one in envelope.signatures}
    envelope.signed_by(ForeignKey.of(pem))
    assert envelope.statement().predicate_type == "urn:troth:model:v1"


# A model's directory under a claim

def test_a_model_is_signed_for_the_claim_it_is_about(lineage: Lineage, model: Path) -> None:
    with pytest.raises(Refuted, match="not in this directory"):
        formats.sign_model(lineage.party, lineage.model, model, model / "model.sig")
    size = lineage.party.log.size
    (model / "params.bin").write_bytes(lineage.params)
    signed = formats.sign_model(lineage.party, lineage.model, model, model / "model.sig")
    assert lineage.party.log.size == size + 1
    link = lineage.party.statement(signed.link)
    assert link.all_refs("about") == (lineage.model,)
    assert lineage.party.read(link.evidence[0]) == signed.bundle
    again = formats.sign_model(lineage.party, lineage.model, model, model / "model.sig")
    assert again.key.name == signed.key.name  # made anew from the same secret


def test_two_parties_have_two_model_keys(make: Any) -> None:
    names = {formats.model_key(make(name)).public_key().public_numbers().x for name in ("one", "two")}
    assert len(names) == 2


def test_the_fields_looked_for_are_those_of_the_kind(lineage: Lineage) -> None:
    from troth.formats.lineage import DATA_FIELDS, MODEL_FIELDS, read  # the fixture has the module's name

    facts = read(lineage.party.trace(lineage.validation))
    assert [field for field, _ in facts.missing] == list(DATA_FIELDS)
    assert not set(DATA_FIELDS) - {"collection"} - set(MODEL_FIELDS)


