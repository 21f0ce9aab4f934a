"""Two parties exchange a sealed file and a claim about it; a third checks it, and notices a change.

    python examples/two_parties.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

from troth import Settings, Troth, TrothError, Trust, file_subject, verify_bundle

ROWS = b"age,score\n41,7\n38,9\n"


def main(folder: Path) -> None:
    """Tell it all in ``folder``, which must not hold workspaces yet."""
    alice, bob, eve = (
        Troth.init(folder / name, "a passphrase",
                   Settings(name, f"embedded:{folder / name}.sqlite", str(folder / "exchange")))
        for name in ("alice", "bob", "eve"))
    for one, other in ((alice, bob), (bob, alice), (eve, alice), (eve, bob)):
        one.meet(other.introduction())  # documents, handed over in person

    sealed = alice.add("rows.csv", ROWS, seal_to=[bob.did])
    claim = alice.attest("dataset", [file_subject("rows.csv", ROWS)], {"rows": 2}, evidence=[sealed])
    alice.send([bob.did, eve.did], [claim], [sealed])
    bob.receive()
    eve.receive()
    print("bob reads", len(bob.read(sealed)), "bytes")
    try:
        eve.read(sealed)
    except TrothError as error:
        print("eve cannot:", error.message)

    bob.deploy()
    bob.anchor()
    bundle, changed = folder / "claim.troth", folder / "changed.troth"
    bob.bundle(claim, bundle)
    changed.write_bytes(bundle.read_bytes().replace(b'"rows":2', b'"rows":9'))
    trust = bob.trust({"owner": [alice.did]}, bob.log_pin(), {"name": "attested"})
    (folder / "trust.json").write_bytes(trust.to_bytes())

    # From here on nothing but the two files is needed.
    believed = Trust.from_bytes((folder / "trust.json").read_bytes())
    print("with the trust file:", verify_bundle(bundle, believed).outcome)
    print("without one:", verify_bundle(bundle, None).outcome)
    report = verify_bundle(changed, believed)
    found = next(step for step in report.steps if step.outcome == "refuted")
    print("one digit changed:", report.outcome, f"at step {found.n}, {found.name}")
    for party in (alice, bob, eve):
        party.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp()))
