"""The chain side of a workspace: its chain, its account's transactions, its contracts, its Book."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app.place import Settings
from troth.core.errors import Misuse, Undecidable
from troth.core.terms import Account
from troth.identity.hybrid import HybridIdentity
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.ledger.chains import Chain
    from troth.ledger.deploy import Contracts
    from troth.ledger.evm import EvmBook
    from troth.ledger.sending import Sender


class OnChain:
    """What a workspace does on its chain. Everything is opened when it is first used, and not before."""

    root: Path
    settings: Settings
    identity: HybridIdentity
    _given_chain: Chain | None

    @property
    def account(self) -> Account:
        """The party's chain account."""
        return self.identity.account.public.account

    @cached_property
    def chain(self) -> Chain:
        """The chain of this workspace. Raises Misuse where none is set."""
        if self._given_chain is not None:
            return self._given_chain
        if not self.settings.chain:
            raise Misuse("no chain is set", do="Set [chain] url in troth.toml or TROTH_CHAIN_URL.")
        # Imported here: the chain's libraries take a second to load, and most commands need none.
        from troth.ledger.chains import open_chain

        return open_chain(self.settings.chain)

    @cached_property
    def sender(self) -> Sender:
        """Sends this party's transactions."""
        # Imported here for the same reason.
        from troth.ledger.artefacts import artefact
        from troth.ledger.sending import Sender

        return Sender(self.chain.web3, self.identity.account.reveal_seed(), errors=artefact("Book").errors)

    @cached_property
    def contracts(self) -> Contracts:
        """The contracts this workspace uses. Raises Undecidable where it knows none."""
        # Imported here for the same reason.
        from troth.ledger.deploy import Contracts

        try:
            return Contracts.decode((self.root / "contracts.json").read_bytes())
        except FileNotFoundError:
            raise Undecidable("this workspace knows no contracts", do="Take them from whoever deployed them.") from None

    def deploy(self, *, quorum: int = 2, supply: int | None = None) -> Contracts:
        """Put the contracts on this workspace's chain and use them: a private beginning.

        quorum: how many must agree in the policies Rerun, Signed and Anchored. supply: units of a demonstration token,
        paid to this party; None for no token.
        """
        # Imported here for the same reason.
        from troth.ledger.deploy import deploy

        self.use_contracts(deploy(self.sender, reruns=(quorum,), signed=(quorum,), anchored=(quorum,),
                                  supply=supply))
        return self.contracts

    def use_contracts(self, contracts: Contracts) -> None:
        """Remember which contracts to use."""
        with replacing(self.root / "contracts.json") as out:
            out.write(contracts.encode())
        for name in ("contracts", "book", "identities", "log_owners"):
            self.__dict__.pop(name, None)

    @cached_property
    def book(self) -> EvmBook:
        """The deals."""
        # Imported here for the same reason.
        from troth.ledger.evm import EvmBook, senders_of

        contracts = self.contracts
        return EvmBook(self.chain.web3, contracts["book"].address, senders_of({self.account: self.sender}),
                       chain_id=contracts.chain_id, first_block=contracts.block)
