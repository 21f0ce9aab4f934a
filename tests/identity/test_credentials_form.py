"""The form of credentials and presentations: every input of the W3C test suite, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from troth.core.errors import BadInput
from troth.identity.credentials import Credential, Presentation, is_presentation

INPUTS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "vc-data-model-2.0" / "inputs.json").read_text())
DATES = {"FUTURE DATE": "2099-01-01T00:00:00Z", "PAST DATE": "2001-01-01T00:00:00Z"}
ABOUT_A_PAIR = {
    # The suite proves these with an issuer and a holder of its own; alone, their form is proper.
    "presentation-self-asserted-vc-holder-mismatch.json", "presentation-self-asserted-vc-issuer-mismatch.json",
    "presentation-self-asserted-vc-no-holder.json"}


def read(document: dict[str, Any]) -> Credential | Presentation:
    """The suite sends credentials to an issuer, which adds its name; so does this."""
    filled = {name: DATES.get(value, value) if type(value) is str else value for name, value in document.items()}
    if is_presentation(filled):
        return Presentation.of(filled)
    issuer = filled.get("issuer", {})
    return Credential.of(filled | {"issuer": {"id": "did:example:issuer"} | issuer if type(issuer) is dict else issuer})


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_w3c_inputs(name: str) -> None:
    proper = name.endswith("-ok.json") or name in ABOUT_A_PAIR
    if name == "credential-no-issuer-fail.json":
        with pytest.raises(BadInput):
            Credential.of(INPUTS[name])
    elif proper:
        read(INPUTS[name])
    else:
        with pytest.raises(BadInput):
            read(INPUTS[name])
