"""The page of ``troth credential skills --html``: the tree of skills, each with the badges for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.web.page import page, text


def skills_page(tree: Mapping[str, Any], holder: str) -> str:
    """The whole page. tree: as ``troth.verify.badges.Skill.json`` gives it. holder: whose skills, as shown."""
    badges = [badge for skill in _walk(tree) for badge in skill["badges"]]
    upheld = sum(1 for badge in badges if badge["outcome"] == "upheld")
    places = sum(1 for skill in _walk(tree) if skill["badges"])
    lead = "No badges here."
    if badges:
        lead = f"{_many(len(badges), 'badge')} at {_many(places, 'skill')}; {upheld} upheld."
    body = (f'<main><h1>Skills</h1><p class="lead">{text(lead)}</p><p>Holder <code>{text(holder)}</code></p>'
            f'<ul class="skills">{"".join(map(_skill, tree["below"]))}</ul>'
            '<p class="soft">A badge is its issuer\'s word that the criteria were met. Whether you believe the issuer '
            "is yours to say; what nobody you named has said is undecidable here.</p></main>")
    return page("Skills", body)


def _skill(skill: Mapping[str, Any]) -> str:
    badges = "".join(
        f'<li><span class="mark {badge["outcome"]}">{text(badge["outcome"])}</span> {text(badge["achievement"])} '
        f'<span class="soft">from {text(badge["issuer"])}</span></li>' for badge in skill["badges"])
    below = "".join(map(_skill, skill["below"]))
    return (f'<li><b>{text(skill["skill"])}</b>{f"<ul class=badges>{badges}</ul>" if badges else ""}'
            f'{f"<ul>{below}</ul>" if below else ""}</li>')


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _walk(skill: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [skill, *(one for below in skill["below"] for one in _walk(below))]
