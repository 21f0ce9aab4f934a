"""Open Badges 3.0: their shape, their verification, and the tree of skills."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from credentials_parts import HOLDER, ISSUER, NOW, believed

from troth.core.errors import BadInput, Misuse
from troth.core.verdicts import Outcome
from troth.identity import integrity as di
from troth.identity.credentials import Credential
from troth.identity.jsondoc import time_text
from troth.verify.badges import Achievement, Alignment, badge_document, read_badge, skill_tree, verify_badge
from troth.web.skills import skills_page

FRAMEWORK = "Guild of Weavers"
WEAVING = Achievement("urn:uuid:1", "Weaver", "Weaves by hand.", "Wove a metre.", "Badge", (
    Alignment("Plain weave", "https://guild.example/1.2", FRAMEWORK, "1.2"),))
DYEING = Achievement("urn:uuid:2", "Dyer <b>", "Dyes.", "Dyed a skein.", "Certificate")


def badge(achievement: Achievement = WEAVING) -> dict[str, Any]:
    document = badge_document(achievement, HOLDER.short, "The Guild", ISSUER.did) | {"validFrom": time_text(NOW - 9)}
    return di.secure(document, ISSUER.keys, di.Options(NOW - 9))


def test_a_badge_is_given_and_read() -> None:
    made = badge()
    found = read_badge(Credential.of(made))
    assert (found.achievement, found.holder, found.issuer_name) == (WEAVING, HOLDER.short, "The Guild")
    report = verify_badge(made, believed())
    assert (report.outcome, report.steps[-1].name) == (Outcome.UPHELD, "achievement")
    assert verify_badge(made, believed(issuers={})).outcome is Outcome.UNDECIDABLE
    assert verify_badge(made | {"name": "Master"}, believed()).outcome is Outcome.REFUTED


@pytest.mark.parametrize(("path", "value"), [
    (("type",), ["VerifiableCredential"]), (("@context",), ["https://www.w3.org/ns/credentials/v2"]),
    (("issuer",), ISSUER.did), (("issuer", "type"), "Person"), (("validFrom",), None),
    (("credentialSubject", "type"), "Person"), (("credentialSubject", "id"), None),
    (("credentialSubject", "achievement"), None), (("credentialSubject", "achievement", "type"), "Skill"),
    (("credentialSubject", "achievement", "name"), ""), (("credentialSubject", "achievement", "criteria"), "x"),
    (("credentialSubject", "achievement", "alignment"), [{"targetName": "x"}])])
def test_a_badge_is_read_strictly(path: tuple[str, ...], value: Any) -> None:
    changed = copy.deepcopy(badge())
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(BadInput):
        read_badge(Credential.of(changed))


def test_a_badge_that_says_nothing_is_not_made() -> None:
    with pytest.raises(Misuse):
        badge_document(Achievement("urn:uuid:1", "", "x", "y"), HOLDER.short, "The Guild", ISSUER.did)


def test_the_tree_follows_frameworks_and_codes() -> None:
    found = [(read_badge(Credential.of(badge(one))), outcome)
             for one, outcome in ((WEAVING, Outcome.UPHELD), (DYEING, Outcome.UNDECIDABLE))]
    tree = skill_tree(found).json()
    assert [one["skill"] for one in tree["below"]] == ["Certificate", FRAMEWORK]
    [place] = tree["below"][1]["below"]
    assert (place["skill"], place["below"][0]["skill"]) == ("1", "1.2 Plain weave")
    assert place["below"][0]["badges"] == [{"achievement": "Weaver", "issuer": "The Guild", "outcome": "upheld"}]
    document = skills_page(tree, HOLDER.short)
    assert "2 badges at 2 skills; 1 upheld." in document
    assert "Dyer <b>" not in document
    assert "Dyer &lt;b&gt;" in document
    assert "No badges here." in skills_page(skill_tree([]).json(), HOLDER.short)


def test_a_code_of_a_thousand_parts_makes_no_tower() -> None:
    deep = Achievement("urn:uuid:3", "Deep", "x", "y", None, (Alignment("z", "https://x.example", "F", "1." * 5_000),))
    place, depth = skill_tree([(read_badge(Credential.of(badge(deep))), Outcome.UPHELD)]), 0
    while place.below:
        place, depth = next(iter(place.below.values())), depth + 1
    assert depth < 20
