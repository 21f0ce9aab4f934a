"""A guild issues a credential, its holder shows it to one verifier once, and the guild takes it back.

    python examples/show_a_credential.py FOLDER

Three workspaces are made under FOLDER; files would go between them. What was shown is refused a second time, a
credential with one of its two signatures taken away is refused at once, and after the revocation the next one who looks
sees it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from troth import Troth
from troth.app import Settings
from troth.app.wallet import Wallet
from troth.core.errors import Refuted
from troth.verify.credentials import Believed, Issuer, verify_credential

PASSPHRASE = "three workspaces in one example"


def wallet(folder: Path, name: str) -> Wallet:
    """A workspace on no chain, and its wallet."""
    return Wallet(Troth.init(folder / name, PASSPHRASE, Settings(name, "", "")), PASSPHRASE)


def main(folder: Path) -> None:
    """Tell it."""
    guild, holder, lender = (wallet(folder, name) for name in ("guild", "holder", "lender"))
    credential = guild.issue({
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "type": ["VerifiableCredential", "SkillCredential"],
        "credentialSubject": {"id": holder.identity().short, "skill": "weaving"}})
    name = holder.receive(json.dumps(credential).encode())

    def believed() -> Believed:
        """The lender believes the guild, and has just fetched its list."""
        published = json.dumps(guild.status_list("revocation")).encode()
        return Believed(lender.clock.now(), {guild.identity().did: Issuer()}, lists=lambda url: published)

    holder.know_verifier("lender.example", lender.identity().did)
    shown = holder.present(lender.ask("lender.example"), [name], to="lender.example")
    answer = json.dumps(shown).encode()
    print(f"shown to {holder.shown()[0]['domain']}: {lender.check(answer, believed()).outcome}")
    try:
        lender.check(answer, believed())
    except Refuted as error:
        print(f"the same again: {error.message}")
    stripped: dict[str, Any] = credential | {"proof": credential["proof"][0]}
    print(f"without its post-quantum signature: {verify_credential(stripped, believed()).outcome}")
    guild.set_status(credential, "revocation")
    print(f"taken back: {verify_credential(credential, believed()).outcome}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
