"""Open Badges 3.0: achievements as credentials, and the tree of skills that they make.

Source: 1EdTech Open Badges Specification 3.0, AchievementCredential. A badge is an ordinary credential with a required
shape; its verification is the credential's, and one step more for the shape. The tree follows what the badges say
themselves: their alignments to frameworks (framework, then the code's parts at dots, then the skill), and for badges
without any the kind of achievement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from troth.core.errors import BadInput, Misuse
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity.credentials import CONTEXT, CREDENTIAL, Credential
from troth.verify.credentials import Believed, verify_credential

BADGE_CONTEXT = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
BADGE_TYPES = ("OpenBadgeCredential", "AchievementCredential")
MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Alignment:
    """A skill that an achievement stands for: its name and address, and its place in a framework."""

    name: str
    url: str
    framework: str | None = None
    code: str | None = None

    def json(self) -> dict[str, Any]:
        """As in an achievement."""
        found: dict[str, Any] = {"type": ["Alignment"], "targetName": self.name, "targetUrl": self.url}
        more = (("targetFramework", self.framework), ("targetCode", self.code))
        return found | {key: value for key, value in more if value}


@dataclass(frozen=True, slots=True)
class Achievement:
    """What was achieved. criteria: what one had to do, as text. kind: the specification's ``achievementType``."""

    id: str
    name: str
    description: str
    criteria: str
    kind: str | None = None
    alignments: tuple[Alignment, ...] = ()

    def json(self) -> dict[str, Any]:
        """As in a badge."""
        found: dict[str, Any] = {"id": self.id, "type": ["Achievement"], "name": self.name,
                                 "description": self.description, "criteria": {"narrative": self.criteria}}
        if self.kind is not None:
            found["achievementType"] = self.kind
        if self.alignments:
            found["alignment"] = [one.json() for one in self.alignments]
        return found


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge as read. holder: the subject's identifier, None where it names its subject otherwise."""

    achievement: Achievement
    holder: str | None
    issuer: str
    issuer_name: str | None


def badge_document(achievement: Achievement, holder: str, issuer_name: str, issuer: str) -> dict[str, Any]:
    """The unsigned badge for a holder; its beginning is filled in where it is signed. Raises Misuse for empty words."""
    if not all((achievement.id, achievement.name, achievement.description, achievement.criteria, issuer_name)):
        raise Misuse("a badge says what was achieved, by which criteria, and who says so", actual=achievement.name)
    return {
        "@context": [CONTEXT, BADGE_CONTEXT],
        "type": [CREDENTIAL, BADGE_TYPES[0]],
        "name": achievement.name,
        "issuer": {"id": issuer, "type": ["Profile"], "name": issuer_name},
        "credentialSubject": {"id": holder, "type": ["AchievementSubject"], "achievement": achievement.json()},
    }


def is_badge(credential: Credential) -> bool:
    """Whether a credential says that it is a badge."""
    return any(kind in credential.types for kind in BADGE_TYPES)


def read_badge(credential: Credential) -> Badge:
    """The badge that a credential is. Raises BadInput, naming what the specification requires and it lacks."""
    contexts = credential.document["@context"]
    if not is_badge(credential) or not any(type(one) is str and "/spec/ob/v3p0/" in one for one in contexts):
        raise BadInput("not an Open Badge 3.0", expected=f"{' or '.join(BADGE_TYPES)} and {BADGE_CONTEXT}",
                       actual=", ".join(credential.types))
    issuer = credential.document["issuer"]
    if type(issuer) is not dict or "Profile" not in _list(issuer.get("type")):
        raise BadInput("a badge whose issuer is no profile", expected='{"id": …, "type": ["Profile"]}')
    if credential.valid_from is None or len(credential.subjects) != 1:
        raise BadInput("an incomplete badge", expected="validFrom and one subject")
    subject = credential.subjects[0]
    if "AchievementSubject" not in _list(subject.get("type")) or not ("id" in subject or "identifier" in subject):
        raise BadInput("a badge about nobody", expected="an AchievementSubject with an id or an identifier")
    name = issuer.get("name")
    return Badge(read_achievement(subject.get("achievement")), subject.get("id"), credential.issuer,
                 name if type(name) is str else None)


def verify_badge(document: Mapping[str, Any], believed: Believed) -> Report:
    """The steps of the credential, then 9: the badge's shape. Raises BadInput."""
    report = verify_credential(document, believed)
    badge = read_badge(Credential.of(document))
    steps = (*report.steps, Step(9, "achievement", Outcome.UPHELD, badge.achievement.name))
    return Report(combine(steps), report.as_of, steps)


@dataclass(slots=True)
class Skill:
    """One place of the tree: its name, the badges for it with what their verification found, and what lies below."""

    name: str
    badges: list[tuple[Badge, Outcome]] = field(default_factory=list)
    below: dict[str, Skill] = field(default_factory=dict)

    def at(self, name: str) -> Skill:
        """The place of this name below, made if need be."""
        return self.below.setdefault(name, Skill(name))

    def json(self) -> dict[str, Any]:
        """As ``troth credential skills --json`` prints it."""
        return {"skill": self.name, "badges": [
            {"achievement": badge.achievement.name, "issuer": badge.issuer_name or badge.issuer,
             "outcome": outcome.value} for badge, outcome in self.badges],
            "below": [one.json() for _, one in sorted(self.below.items())]}


def skill_tree(badges: Iterable[tuple[Badge, Outcome]]) -> Skill:
    """The tree of what these badges stand for. A badge stands at each skill it is aligned to."""
    top = Skill("skills")
    for badge, outcome in badges:
        for one in badge.achievement.alignments:
            place = top.at(one.framework or "without a framework")
            for part in (one.code or "").split(".")[:-1][:MAX_DEPTH]:
                place = place.at(part)
            place.at(f"{one.code} {one.name}" if one.code else one.name).badges.append((badge, outcome))
        if not badge.achievement.alignments:
            top.at(badge.achievement.kind or "Achievement").at(badge.achievement.name).badges.append((badge, outcome))
    return top


def read_achievement(value: Any) -> Achievement:
    """An achievement as it stands in a badge. Raises BadInput."""
    if type(value) is not dict or "Achievement" not in _list(value.get("type")):
        raise BadInput("a badge without an achievement", expected='{"type": ["Achievement"], …}')
    criteria = value.get("criteria")
    said = (criteria.get("narrative") or criteria.get("id")) if type(criteria) is dict else None
    texts = [one for one in (value.get("id"), value.get("name"), value.get("description"), said)
             if type(one) is str and one]
    if len(texts) != 4:
        raise BadInput("an incomplete achievement", expected="id, name, description and criteria as text",
                       actual=", ".join(map(str, value)))
    kind = value.get("achievementType")
    alignments = tuple(_alignment(one) for one in _list(value.get("alignment", [])))
    identifier, name, description, narrative = texts
    return Achievement(identifier, name, description, narrative, kind if type(kind) is str else None, alignments)


def _alignment(value: Any) -> Alignment:
    name, url, framework, code = (value.get(one) if type(value) is dict else None for one in (
        "targetName", "targetUrl", "targetFramework", "targetCode"))
    if type(name) is not str or type(url) is not str or not {type(framework), type(code)} <= {str, type(None)}:
        raise BadInput("an unreadable alignment", expected="targetName and targetUrl as text", actual=value)
    return Alignment(name, url, framework, code)


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else [value]
