"""A company of workspaces to try things with, on one machine and with play money.

They share an embedded chain and an exchange, both in one folder, and know each other. Whoever holds the folder is every
one of them: it shows how things go, and proves nothing to anybody. It refuses every other chain, so nothing that is
worth something can be handed out by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app import Settings, Troth, market
from troth.app.place import FOLDER
from troth.core.errors import Misuse, Undecidable
from troth.identity import keystore

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain
    from troth.ledger.deploy import Contracts

CHAIN, EXCHANGE = "chain.sqlite", "exchange"
PURSE, SUPPLY = 100_000, 10**12
_NAME = re.compile(r"\w[\w -]*")


def play(folder: Path | str, names: Sequence[str], passphrase: str, *, chain: EmbeddedChain | None = None,
         purse: int = PURSE, supply: int = SUPPLY, quorum: int = 2,
         cost: int = keystore.DEFAULT_COST) -> dict[str, Troth]:
    """Make a workspace a name under ``folder``, all on one embedded chain, introduced to each other, with a purse each.

    The first deploys the contracts and makes ``supply`` units of play money, from which the others get ``purse``.
    Workspaces that are there already take part too: so it may be called again, to add somebody or after it was killed;
    who holds nothing then gets a purse. chain: one that is open in this process, and whose time they then go by;
    otherwise a file in the folder. The caller closes them. quorum, cost: as of ``Troth.deploy`` and ``Troth.init``.

    Raises Misuse for any chain but an embedded one, for names that make no folder, and for a workspace of something
    else that is in the way; nothing is made then.
    """
    folder = Path(folder).resolve()
    homes = {_home(folder, name) for name in names}
    if len(homes) != len(names) or not names or not all(map(_NAME.fullmatch, names)) or {CHAIN, EXCHANGE} & {*names}:
        raise Misuse("these names make no workspaces", expected="one or more different names of letters and digits",
                     actual=", ".join(names) or "none")
    settings = {name: Settings(name, _url(folder, chain), str(folder / EXCHANGE)) for name in names}
    with ExitStack() as opened:
        found: dict[str, Troth | None] = dict.fromkeys(names)
        for name in names:
            if (_home(folder, name) / FOLDER).exists():
                found[name] = opened.enter_context(_there(_home(folder, name), passphrase, settings[name], chain))
        parties = {name: party or opened.enter_context(Troth.init(
            _home(folder, name), passphrase, settings[name], cost=cost, clock=chain, chain=chain))
            for name, party in found.items()}
        _supply(list(parties.values()), _contracts(list(parties.values()), quorum, supply), purse)
        for party in parties.values():
            for other in parties.values():
                if other is not party:
                    party.meet(other.introduction())
        opened.pop_all()
    return parties


def _home(folder: Path, name: str) -> Path:
    return folder / name.replace(" ", "-")


def _url(folder: Path, chain: EmbeddedChain | None) -> str:
    if chain is not None:
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.chains.embedded import EmbeddedChain

        if not isinstance(chain, EmbeddedChain):
            raise Misuse("play money is for an embedded chain alone", actual=type(chain).__name__)
        return f"embedded:{chain.path or ''}"
    url = f"embedded:{folder / CHAIN}"
    given = os.environ.get("TROTH_CHAIN_URL", url)
    if given != url:
        raise Misuse("play money is for an embedded chain alone, and TROTH_CHAIN_URL sends every command to another",
                     expected=url, actual=given, do="Unset TROTH_CHAIN_URL.")
    return url


def _there(home: Path, passphrase: str, settings: Settings, chain: EmbeddedChain | None) -> Troth:
    party = Troth.open(home, passphrase, clock=chain, chain=chain)
    if party.settings.chain != settings.chain:
        party.close()
        raise Misuse(f"{home} is a workspace of another chain", expected=settings.chain, actual=party.settings.chain,
                     do="Choose another folder or name.")
    return party


def _contracts(parties: Sequence[Troth], quorum: int, supply: int) -> Contracts:
    for party in parties:
        try:
            return party.contracts
        except Undecidable:
            continue
    return parties[0].deploy(quorum=quorum, supply=supply)


def _supply(parties: Sequence[Troth], contracts: Contracts, purse: int) -> None:
    """The contracts for each, and a purse from the richest for who holds nothing."""
    # Imported here for the same reason.
    from troth.ledger.erc20 import Erc20

    for party in parties:
        market.join(party, contracts, ())
    coin = Erc20(parties[0].chain.web3, contracts["token"].address)
    holds = {party.account: coin.balance(party.account) for party in parties}
    rich = max(parties, key=lambda party: holds[party.account])
    for party in parties:
        if party is not rich and purse and not holds[party.account]:
            coin.transfer(rich.sender, party.account, purse)
