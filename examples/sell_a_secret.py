"""A secret for a price: the smallest deal there is, paid when the secret is revealed and refunded when it is not.

    python examples/sell_a_secret.py
"""

from __future__ import annotations

from troth.core.terms import REFUTED, UPHELD, Account, Ask, Pot, Rung, Split, Terms
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.memory import MemoryBook, MemoryToken, Policy
from troth.verify.policies.preimage import Preimage, hash_lock

HOUR = 3600
PRICE = 900
BUYER, SELLER, STRANGER, COURT, TOKEN, POLICY = (bytes([n]) * 20 for n in range(0x11, 0x17))


def sale(lock: bytes, now: int) -> Terms:
    """One pot, one rung: the buyer's price is the seller's if it reveals in an hour what hashes to ``lock``."""
    rung = Rung(POLICY, bytes(32), (Ask("preimage", (SELLER,), HOUR),), HOUR, silent=REFUTED, param=lock)
    price = Pot("price", BUYER, PRICE, {UPHELD: Split((SELLER,), amounts=(PRICE,))})
    return Terms(TOKEN, (price,), (rung,), now + HOUR, COURT)


def main() -> None:
    """Sell one secret, and fail to sell another. The Book is the one in memory; on a chain the calls are the same."""
    clock, token, secret = ManualClock(1_700_000_000), MemoryToken(), b"the key that opens what I sold !"
    book = MemoryBook(clock, chain_id=1, address=b"\x01" * 20, owner=COURT)
    book.tokens[TOKEN], book.policies[POLICY] = token, Policy(bytes(32), Preimage())
    token.mint(BUYER, 2 * PRICE)
    token.approve(BUYER, book.address, 2 * PRICE)

    def begin(salt: int) -> bytes:
        deal = book.open(SELLER, sale(hash_lock(secret), clock.now()), salt.to_bytes(32, "big"))
        book.join(BUYER, deal, 0)
        return deal

    def held(who: Account) -> int:
        return token.balance_of(who)

    deal = begin(1)
    # Revealed, judged and paid in one act. From here on everybody knows the secret.
    book.submit_and_close(SELLER, deal, 0, 0, bytes(32), secret)
    print("revealed: the seller has", held(SELLER), "and the buyer", held(BUYER), "and the secret")

    deal = begin(2)
    clock.advance(HOUR)
    found = book.judge_and_close(STRANGER, deal)
    print("an hour of silence:", "refuted" if found.outcome == REFUTED else "upheld")
    print("refunded: the seller has", held(SELLER), "and the buyer", held(BUYER))


if __name__ == "__main__":
    main()
