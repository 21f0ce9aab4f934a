"""Fresh keys with real deals on a chain, paid and staked in a ring: their standing, and whom they praise."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from places import Place

from troth.app.reputation import reputation
from troth.core.ports import Consent
from troth.core.terms import REFUTED, SLASHED, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms, deal_id
from troth.core.typed_data import join_digest
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook
from troth.ledger.sending import Sender

KEYS = int(os.environ.get("TROTH_FRESH_KEYS", "100"))
HOUR, PRICE, STAKE = 3_600, 5, 5


@pytest.mark.slow
def test_a_ring_of_fresh_keys_with_real_money_moves_nobody(tmp_path: Path) -> None:
    place = Place(tmp_path)
    reader = place.make("reader")
    contracts = reader.deploy(supply=20 * KEYS + 1_000)
    token, web3 = Erc20(reader.chain.web3, contracts["token"].address), reader.chain.web3
    pairs = [Secp256k1KeyPair(hashlib.sha256(n.to_bytes(4, "big")).digest()) for n in range(KEYS + 1)]
    keys = {pair.public.account: pair for pair in pairs}
    senders = {account: Sender(web3, pair.reveal_seed()) for account, pair in keys.items()}
    book = EvmBook(web3, contracts["book"].address, senders.__getitem__, chain_id=contracts.chain_id,
                   first_block=contracts.block, gas=None)
    accounts = list(keys)
    for account in accounts:  # a rich hand behind them: transfers are no deals
        token.transfer(reader.sender, account, PRICE + STAKE)
        token.approve(senders[account], book.address, PRICE + STAKE)

    def work(payer: Account, worker: Account) -> None:
        pots = (Pot("price", payer, PRICE, {UPHELD: Split((worker,), amounts=(PRICE,))}),
                Pot("stake", worker, STAKE, {SLASHED: Split((payer,), amounts=(2,))}))
        assumed = contracts["assumed"]
        rung = Rung(assumed.address, assumed.codehash, (Ask("result", (worker,), HOUR),), HOUR, silent=REFUTED)
        terms = Terms(token.address, pots, (rung,), reader.chain.now() + HOUR, b"\x77" * 20)
        deal = deal_id(book.chain_id, book.address, payer, bytes(32), terms.hash())
        signature = keys[worker].sign_digest(join_digest(book.chain_id, book.address, deal, 1, token.address, STAKE,
                                                         2**40))
        book.open_and_join(payer, terms, bytes(32), 0, [Consent(1, 2**40, signature)])
        book.submit_and_close(worker, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())

    liked = accounts.pop()  # whom they want to lift
    for at, account in enumerate(accounts):
        work(account, accounts[(at + 1) % KEYS] if at % 5 else liked)
        if not at % 5:
            token.transfer(senders[liked], accounts[(at + 1) % KEYS], PRICE)  # and it goes round again
            token.approve(senders[liked], book.address, 10**6)
    found = reputation(reader)
    assert len(found.history.paid) == KEYS
    assert found.together([liked, *accounts]) == 0
    assert {found.of(one).score for one in (liked, *accounts[::50])} == {0}
    place.close()
