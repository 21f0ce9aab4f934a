"""The token that a training is paid in: the demonstration one, or one that its file names; and whether it is there.

With a token of its own nothing begins, on chain or off, before every party of the sponsor's folder holds what it will
have to deposit; and the Book may take that from it, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from troth.app import Troth
from troth.app.rounds import Agreed
from troth.core.encoding import sha256
from troth.core.errors import Misuse, Refuted

if TYPE_CHECKING:
    from troth.ledger.erc20 import Erc20

SPONSORS, AGGREGATES, TRAINS, VERIFIES = "sponsor", "aggregator", "site", "verifier"
AGAIN = 8
"""How many rounds' deals may lapse and be opened again before the Book has to be allowed more."""


def token(party: Troth, agreed: Agreed) -> Erc20:
    """The token of this training's deals."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    return Erc20(party.chain.web3, agreed.token or party.contracts["token"].address)


def stake(agreed: Agreed, role: str) -> int:
    """What a role deposits in one round, with what it takes to call the verifiers where it may want to."""
    money = agreed.money
    return {SPONSORS: money.reward + money.fee + money.keeper, AGGREGATES: money.aggregator_stake,
            TRAINS: money.site_stake + money.bond + money.verifier_fee, VERIFIES: money.verifier_stake}[role]


def held(agreed: Agreed, role: str) -> int:
    """What a role has to hold before the first round: stakes come back after each, the sponsor's money does not."""
    return stake(agreed, role) * (agreed.rounds if role == SPONSORS else 1)


def check(agreed: Agreed, parties: Mapping[Troth, str], *, sponsor_pays: bool) -> None:
    """Raises Misuse, naming account and amount, unless each of these parties, by role, holds what it deposits.

    sponsor_pays: the sponsor must hold the others' stakes too. Raises BadInput where there is no token at the address.
    """
    short = []
    others = sum(held(agreed, role) for role in parties.values() if role != SPONSORS)
    for party, role in parties.items():
        needed = held(agreed, role) + (others if sponsor_pays and role == SPONSORS else 0)
        if sponsor_pays and role != SPONSORS:
            continue
        found = token(party, agreed).balance(party.account)
        if found < needed:
            short.append(f"{party.name} 0x{party.account.hex()} holds {found} of {needed}")
    if short:
        raise Misuse("the stakes are not there", expected=f"units of the token 0x{agreed.token.hex()}",
                     actual="; ".join(short), do="Send them to these accounts, and run the same command again. "
                     "Nothing was deployed, deposited or sent.")


def approve(party: Troth, agreed: Agreed, role: str) -> None:
    """Let the Book take this party's deposits; once. Of a token that the file names: what the rounds take, and no more.

    Raises Refuted where the token then allows less.
    """
    book, coin = party.contracts["book"].address, token(party, agreed)
    if not agreed.token:
        coin.approve(party.sender, book, (1 << 128) - 1, sha256(b"approve" + book))
        return
    needed = stake(agreed, role) * (agreed.rounds + AGAIN)
    act = sha256(b"approve" + book + agreed.token + needed.to_bytes(32, "big"))
    coin.approve(party.sender, book, needed, act)
    allowed = coin.allowance(party.account, book)
    if allowed < stake(agreed, role):
        raise Refuted("the token does not let the Book take the deposits", expected=needed, actual=allowed)


def give(sponsor: Troth, agreed: Agreed, account: bytes, amount: int) -> None:
    """Pay an account out of the sponsor's, once."""
    token(sponsor, agreed).transfer(sponsor.sender, account, amount, sha256(b"purse" + account))
