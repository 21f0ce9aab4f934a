"""did:ethr with its method's own resolver (npm ``ethr-did-resolver``): one registry on anvil, the same documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ports.anvil import anvil
from ports.erc1056 import Deployed, name32
from troth.core.encoding import keccak256
from troth.identity.did import checksum_address
from troth.identity.keys import Secp256k1KeyPair
from troth.identity.resolution import When
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.chains.rpc import request
from troth.ledger.ethr import EthrMethod, Network
from troth.ledger.sending import Sender

YEAR = 365 * 86_400
ALICE, BOB = keccak256(b"alice"), keccak256(b"bob")


def test_the_same_documents(node: Callable[..., str]) -> None:
    with anvil(accounts={Secp256k1KeyPair(key).public.account: 10**20 for key in (ALICE, BOB)}) as chain:
        alice, bob = (Sender(chain.web3, key) for key in (ALICE, BOB))
        registry = Deployed.by(bob)

        def act(sender: Sender, name: str, *values: object) -> int:
            """Do it in a second of its own: in the second of a revocation the two differ, as `fold` says."""
            request(chain.web3, "evm_increaseTime", 10)
            return registry.act(sender, name, *values)

        blocks = [act(alice, "addDelegate", name32("veriKey"), b"\x01" * 20, YEAR)]
        for name, value in (("did/pub/Secp256k1/veriKey/hex", Secp256k1KeyPair(BOB).public.raw),
                            ("did/pub/Ed25519/sigAuth/base64", bytes(range(32))),
                            ("did/pub/X25519/enc/base58", bytes(range(32))),
                            ("did/svc/Hub", b"https://hub.example"), ("did/svc/Object", b'{"uri":"a","n":[1]}'),
                            ("did/other", b"x")):
            blocks.append(act(alice, "setAttribute", name32(name), value, YEAR))
        blocks.append(act(alice, "addDelegate", name32("sigAuth"), b"\x02" * 20, YEAR))
        blocks.append(act(alice, "revokeDelegate", name32("veriKey"), b"\x01" * 20))
        blocks.append(act(alice, "revokeAttribute", name32("did/svc/Hub"), b"https://hub.example"))
        blocks.append(act(alice, "changeOwner", bob.account))
        blocks.append(act(bob, "changeOwner", alice.account, bytes(20)))
        method = EthrMethod({chain.chain_id: Network(lambda: chain, registry.address)}, SystemClock())
        network = f"did:ethr:{hex(chain.chain_id)}:"
        by_address = network + checksum_address(alice.account)
        by_key = network + "0x" + Secp256k1KeyPair(ALICE).public.raw.hex()
        stranger = network + checksum_address(b"\x09" * 20)
        asked = {did + (f"?versionId={block}" if block else ""): (did, When(str(block)) if block else When())
                 for did in (by_address, by_key) for block in (None, *blocks) if block != blocks[8]}
        asked[stranger] = (stranger, When())
        theirs = json.loads(node("ethr.mjs", given=json.dumps({
            "url": chain.url, "chainId": chain.chain_id, "registry": checksum_address(registry.address),
            "dids": list(asked)})))
        for name, (did, when) in asked.items():
            found = method.resolve(did, when)
            assert ordered(found.document) == ordered(theirs[name]["didDocument"]), name
            said = {key: value for key, value in found.metadata.items() if value is not None}
            assert said == theirs[name]["didDocumentMetadata"], name
        ended = method.resolve(by_address, When(str(blocks[8]))).document
        assert ended is not None
        assert b"\x01".hex() * 20 not in json.dumps(ended)


def ordered(document: Any) -> str:
    return json.dumps(document, sort_keys=True)
