"""Gas of policy accounts: made, used, refused, beside the transfer that an act makes, and time of an act.

Gas is exact and the same on every machine. Limits have one payee and one call, and with voices three verifiers, two of
whom speak. See docs/reference/policy-account.md for a Safe's, measured the same way.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from troth.agents.account_gate import AccountGate
from troth.agents.gate import NOBODY, Act, Confidence
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.accounts import PolicyAccounts
from troth.ledger.artefacts import artefact
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import request
from troth.ledger.deploy import create
from troth.ledger.erc20 import Erc20
from troth.ledger.limits import TRANSFER, Limits, Voice
from troth.ledger.sending import Sender

OWNER, AGENT, *ASKED = (Secp256k1KeyPair(bytes([n]) * 32) for n in range(1, 6))
SHOP, START = b"\x5a" * 20, 1_700_000_000


def run(quick: bool = False) -> dict[str, Any]:
    """Gas, and acts a second on the embedded chain. quick: fewer acts for the time."""
    chain = EmbeddedChain(None, clock=ManualClock(START))
    sender = Sender(chain.web3, OWNER.reveal_seed())
    token, _ = create(sender, artefact("Credits").bytecode, ("address", sender.account), ("uint256", 10**9))
    code = sender.deploy(artefact("PolicyAccounts").bytecode)
    assert code.contract is not None
    makes = PolicyAccounts(chain.web3, code.contract)
    plain = Limits(AGENT.public.account, token, 1_000, 10**8, START + 86_400, (SHOP,), ((token, TRANSFER),))
    named = tuple(sorted(one.public.account for one in ASKED))
    gas = {"the code, once a chain": code.gas_used}
    account = makes.make(sender, bytes(32), plain)
    gas["an account"] = _gas(chain, account.entries()[0].tx)
    gate = AccountGate(account, AGENT, sender)
    coin = Erc20(chain.web3, token)
    coin.transfer(sender, account.address, 10**8)
    coin.transfer(sender, SHOP, 1)

    def act(payee: bytes, confidence: Confidence = NOBODY) -> int:
        signed = gate.sign(Act.pay(token, payee, 10, "bread"), confidence)
        return _gas(chain, account.bring(sender, signed)[0].tx)

    act(SHOP)
    gas["a payment"], gas["refused and recorded"] = act(SHOP), act(b"\x66" * 20)
    gas["the transfer alone"] = sender.send(token, TRANSFER + SHOP.rjust(32, b"\0") + (10).to_bytes(32, "big")).gas_used
    account.limit(sender, replace(plain, confidence=8_000, agree=2, strikes=3, verifiers=named))
    asked = gate.asked(Act.pay(token, SHOP, 10, "bread"))
    voices = Confidence(tuple(Voice.sign(one, asked, 9_000, START + 86_400) for one in ASKED[:2]))
    gas["a payment with two voices"] = act(SHOP, voices)
    account.limit(sender, plain)
    count, begun = 10 if quick else 60, time.process_time()
    for _ in range(count):
        gate.do(Act.pay(token, SHOP, 10, "bread"))
    spent = time.process_time() - begun
    chain.close()
    return {"gas": gas, "a payment over its transfer": gas["a payment"] / gas["the transfer alone"],
            "acts_per_cpu_second": count / spent}


def _gas(chain: EmbeddedChain, tx: bytes) -> int:
    return int(request(chain.web3, "eth_getTransactionReceipt", "0x" + tx.hex())["gasUsed"], 16)
