"""The chain side of a workspace: its chain, its account's transactions, its contracts, its Book."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app.place import Settings
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import Account
from troth.identity.hybrid import HybridIdentity
from troth.store.files import replacing

if TYPE_CHECKING:
    from fractions import Fraction

    from troth.ledger.chains import Chain
    from troth.ledger.deploy import Contracts
    from troth.ledger.evm import EvmBook
    from troth.ledger.keeper import Done
    from troth.ledger.outbox import Outbox
    from troth.ledger.projection import Progress, Projection
    from troth.ledger.projection_sql import Store
    from troth.ledger.readings import AsOf, DealLine, DealReading, Snapshot, Status
    from troth.ledger.relay import Relayer, Request
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
        """The chain of this workspace; the one it was the first time. Raises Misuse where none is set, or another."""
        if self._given_chain is not None:
            return self._given_chain
        if not self.settings.chain:
            raise Misuse("no chain is set", do="Set [chain] url in troth.toml or TROTH_CHAIN_URL.")
        # Imported here: the chain's libraries take a second to load, and most commands need none.
        from troth.ledger.chains.pins import open_pinned

        return open_pinned(self.settings.chain, self.root / "chains.json", self.settings.number("id"))

    @cached_property
    def outbox(self) -> Outbox:
        """What this party was asked to do on chains, and what it signed for that."""
        # Imported here for the same reason.
        from troth.ledger.outbox import Outbox

        return Outbox(self.root / "outbox.sqlite")

    @cached_property
    def sender(self) -> Sender:
        """Sends this party's transactions, through the outbox of this workspace.

        What an earlier process left under way goes on with the first act, or with ``sender.tend()``.
        """
        return self._sender_on(self.chain)

    def _sender_on(self, chain: Chain) -> Sender:
        # Imported here for the same reason.
        from troth.ledger.artefacts import artefact
        from troth.ledger.fees import CEILING, Fees, Sending
        from troth.ledger.sending import Sender

        ceiling = self.settings.number("max_fee")
        return Sender(chain.web3, self.identity.account.reveal_seed(), errors=artefact("Book").errors,
                      outbox=self.outbox, how=Sending(Fees(CEILING if ceiling is None else ceiling),
                                                      self.settings.number("finality")))

    @cached_property
    def contracts(self) -> Contracts:
        """The contracts this workspace uses. Raises Undecidable where it knows none."""
        # Imported here for the same reason.
        from troth.ledger.deploy import Contracts

        try:
            return Contracts.decode((self.root / "contracts.json").read_bytes())
        except FileNotFoundError:
            raise Undecidable("this workspace knows no contracts",
                              do="Take them from whoever deployed them: troth market join "
                              "THEIR/contracts.json. Or deploy some: troth chain deploy.") from None

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
        """Remember which contracts to use, if they are Troth's: others made them, perhaps. Raises OutsideFailed."""
        contracts.check(self.chain.web3)
        with replacing(self.root / "contracts.json") as out:
            out.write(contracts.encode())
        self.close_index()
        for name in ("contracts", "book", "identities", "log_owners", "relayer"):
            self.__dict__.pop(name, None)

    @cached_property
    def book(self) -> EvmBook:
        """The deals."""
        return self._book_on(self.chain, self.contracts["book"].address, self.sender, self.contracts.block)

    def _book_on(self, chain: Chain, address: Account, sender: Sender, first_block: int) -> EvmBook:
        # Imported here for the same reason.
        from troth.ledger.chains.blocks import quantity
        from troth.ledger.chains.rpc import request
        from troth.ledger.evm import GAS, EvmBook, senders_of

        priced = quantity(request(chain.web3, "eth_gasPrice")) > 0
        return EvmBook(chain.web3, address, senders_of({self.account: sender}), chain_id=chain.chain_id,
                       first_block=first_block, gas=None if priced else GAS, outage=self.outage(chain.chain_id))

    def outage(self, chain_id: int) -> int:
        """Seconds that every period of a deal on this chain must outlive: as set, or as known of the chain."""
        # Imported here for the same reason.
        from troth.ledger.chains.profiles import profile_of

        given = self.settings.number("outage")
        return profile_of(chain_id).outage if given is None else given

    # For and by others

    def request(self, act: str, *values: Any, life: int = 86_400) -> Request:
        """This party's signed request for an act of the Book (``book.join`` and the like), for a relayer to carry.

        values: the act's, without ``by``. life: seconds that it is good for. Nothing is sent. Raises ActRefused where
        the Book would refuse it now, Misuse for what is no act.
        """
        # Imported here for the same reason.
        from troth.ledger.artefacts import artefact
        from troth.ledger.evm import ACTS, EvmBook
        from troth.ledger.relay import RelayedSender, signed_request

        if act not in ACTS:
            raise Misuse("no such act", expected=", ".join(ACTS), actual=act)
        contracts, web3 = self.contracts, self.chain.web3

        def run(sender: RelayedSender) -> None:
            book = EvmBook(web3, contracts["book"].address, lambda _: sender, chain_id=contracts.chain_id,
                           first_block=contracts.block, gas=None, outage=self.outage(contracts.chain_id))
            getattr(book, act)(self.account, *values)

        return signed_request(web3, self.identity.account.reveal_seed(), contracts["forwarder"].address, run,
                              chain_id=contracts.chain_id, now=self.chain.now, life=life,
                              errors=artefact("Book").errors)

    @cached_property
    def relayer(self) -> Relayer:
        """Carries others' requests to the Book and the Anchor, at this party's cost."""
        # Imported here for the same reason.
        from troth.ledger.artefacts import artefact
        from troth.ledger.relay import BATCH_GAS, Relayer

        contracts, most = self.contracts, self.settings.number("relay_gas")
        return Relayer(self.sender, contracts["forwarder"].address,
                       [contracts["book"].address, contracts["anchor"].address], now=self.chain.now,
                       most_gas=BATCH_GAS if most is None else most, errors=artefact("Book").errors)

    def keep(self, *, worth: Mapping[Account, Fraction] | None = None, at_a_loss: bool = False, dry: bool = False,
             progress: Progress | None = None) -> tuple[Done, ...]:
        """Judge and close what is due in the Book, for the keeper's fee; what was done about each.

        worth: what one unit of a token is worth, in wei, by token: anybody can make one, so no price is for all.
        at_a_loss: also what costs more than it earns. dry: only say what is due. Goes on with what an earlier run left
        under way first. Raises OutsideFailed if the node or the index fails.
        """
        # Imported here for the same reason.
        from troth.ledger.keeper import Done, Keeper

        self.sender.tend()
        keeper = Keeper(self.book, self.account, now=self.chain.now, worth=(worth or {}).get)
        with self.readings(progress=progress) as now:
            found = [line.id for status in ("funding", "running") for line in now.deals(status=status)]
            deals = []
            for deal in found:
                with suppress(BadInput):  # names that are no text: such a deal is shown to nobody, and kept by nobody
                    deals.append((deal, now.deal(deal).state))
        due = keeper.look(deals)
        return tuple(Done(one, "left") for one in due) if dry else keeper.keep(due, at_a_loss=at_a_loss)

    # The index

    @cached_property
    def _index(self) -> Store:
        # Imported here for the same reason.
        from troth.ledger.projection_sql import open_store

        book = self.contracts["book"].address
        # A file a Book: what another Book's deals were stays readable, and is never mixed in.
        return open_store(self.settings.index or str(self.root / f"deals-{book.hex()[:16]}.sqlite"))

    @cached_property
    def _projection(self) -> Projection:
        # Imported here for the same reason.
        from troth.ledger.projection import Contracts, Projection

        named = self.contracts
        of = Contracts(named.chain_id, named["book"].address, named["anchor"].address, named.block)
        return Projection(self.chain.web3, self._index, of, depth=self.settings.number("finality"))

    def close_index(self) -> None:
        """Let go of the index. Nothing is lost without it."""
        self.__dict__.pop("_projection", None)
        index = self.__dict__.pop("_index", None)
        if index is not None:
            index.close()

    @contextmanager
    def readings(self, *, offline: bool = False, progress: Progress | None = None) -> Iterator[Snapshot]:
        """Deals, claims, anchors and payouts as of one block, from the index, after bringing it up to the chain.

        offline: as it stands, without asking the node. progress: called with (last block that is in, head). Raises
        OutsideFailed if the node or the index fails; what the index held stays readable offline.
        """
        # Imported here for the same reason.
        from troth.ledger.readings import reading

        if not offline:
            self._projection.sync(progress)
        with reading(self._index) as now:
            yield now

    def deals(self, *, status: Status | None = None, mine: bool = False, newest: int | None = None,
              offline: bool = False, progress: Progress | None = None) -> tuple[AsOf, tuple[DealLine, ...]]:
        """The Book's deals as of a block, oldest first. mine: those that this party opened or challenged, or that name
        it. newest: only so many. Raises Misuse for a status that is none, and what ``readings`` raises.
        """
        with self.readings(offline=offline, progress=progress) as now:
            return now.as_of, now.deals(status=status, account=self.account if mine else None, newest=newest)

    def deal(self, deal: bytes, *, offline: bool = False,
             progress: Progress | None = None) -> tuple[AsOf, DealReading]:
        """One deal as of a block. Raises Undecidable for one that is not there, and what ``readings`` raises."""
        with self.readings(offline=offline, progress=progress) as now:
            return now.as_of, now.deal(deal)
