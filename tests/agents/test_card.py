"""Agents' cards: A2A's own reader fetches and verifies ours; ours refuses one changed, of another, or half signed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from troth.agents.card import EXTENSION, WELL_KNOWN, CardServer, Place, Skill, card, check_card, signed_card
from troth.core.errors import BadInput, Misuse, Refuted
from troth.identity.hybrid import HybridIdentity
from troth.identity.signers import Ed25519Signer

AGENT = HybridIdentity.create()
PLACES = [Place("http://127.0.0.1:9/mcp", "MCP", "2026-07-28")]
SKILLS = [Skill("verify", "Verify claims", "Checks a bundle for you", ("claims", "évidence"))]


def made(agent: HybridIdentity = AGENT) -> bytes:
    return signed_card(card("ada", "buys corpora", PLACES, SKILLS, agent.history), agent.signer())


def test_a_reader_who_never_met_it_checks_it() -> None:
    did, found = check_card(made())
    assert did == AGENT.did
    assert found["skills"][0]["id"] == "verify"
    turned, _ = AGENT.rotate(5)
    assert check_card(made(turned))[0] == AGENT.did
    assert check_card(made(turned), AGENT.history)[0] == AGENT.did
    with pytest.raises(Refuted):  # an old key's card, to who knows that it was changed
        check_card(made(), turned.history)


def test_the_protocols_own_reader_takes_it() -> None:
    from a2a.client.card_resolver import A2ACardResolver
    from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
    from jwt.api_jwk import PyJWK

    asked: list[str | None] = []

    def key(kid: str | None, _: str | None) -> PyJWK:
        asked.append(kid)
        raw = AGENT.history.head.keys[0].raw
        text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return PyJWK({"kty": "OKP", "crv": "Ed25519", "x": text}, "EdDSA")

    async def fetched(url: str) -> Any:
        async with httpx.AsyncClient() as client:
            return await A2ACardResolver(client, url).get_agent_card()

    with CardServer(made()) as server:
        found = asyncio.run(fetched(server.url))
        for path, headers, status in (("/", {}, 404), (WELL_KNOWN, {"Origin": "http://evil.example"}, 403),
                                      (WELL_KNOWN, {"Host": "evil.example"}, 403)):
            assert httpx.get(server.url + path, headers=headers).status_code == status
    assert found.name == "ada"
    verify = create_signature_verifier(key, ["EdDSA"])
    verify(found)
    assert asked == [f"{AGENT.did}#ed25519-0"]
    found.skills[0].name = "Send money"
    with pytest.raises(InvalidSignaturesError):
        verify(found)


def _name(value: dict[str, Any]) -> None:
    value["name"] = "eve"


def _place(value: dict[str, Any]) -> None:
    value["supportedInterfaces"][0]["url"] = "http://127.0.0.1:666/mcp"


def _half(value: dict[str, Any]) -> None:
    del value["signatures"][0]["header"][EXTENSION][1]


def _swapped(value: dict[str, Any]) -> None:
    value["signatures"][0]["header"][EXTENSION].reverse()


def _other(value: dict[str, Any]) -> None:
    value["capabilities"]["extensions"][0]["params"]["did"] = HybridIdentity.create().did


def _two(value: dict[str, Any]) -> None:
    value["signatures"].append(value["signatures"][0])


def _none(value: dict[str, Any]) -> None:
    value["signatures"] = []


def _nobody(value: dict[str, Any]) -> None:
    value["capabilities"] = {}


def _jws(value: dict[str, Any]) -> None:
    value["signatures"][0]["signature"] = "AAAA"


@pytest.mark.parametrize("change", [_name, _place, _half, _swapped, _other, _two, _none, _nobody, _jws])
def test_a_changed_card_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads(made())
    change(value)
    with pytest.raises((Refuted, BadInput)):
        check_card(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"name":"a","name":"b"}', b"x" * (1 << 19)])
def test_what_is_no_card(data: bytes) -> None:
    with pytest.raises(BadInput):
        check_card(data)


def test_who_may_sign() -> None:
    unsigned = card("ada", "", PLACES, SKILLS, AGENT.history)
    for signer in (HybridIdentity.create().signer(), Ed25519Signer(bytes(range(32)))):
        with pytest.raises(Misuse, match="signed by the identity"):
            signed_card(unsigned, signer)
