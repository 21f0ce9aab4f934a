"""An invitation: one file that a sponsor signs, with everything that a site needs to decide, to check and to begin.

It carries what was agreed (what is asked, for how much, for how long, the data's schema), the trust file (whom to
believe: issuers, chain, genesis, contracts), the contracts, and where to reach the post office and the chain. One that
was changed is refused. One that was exchanged whole for somebody else's is not: compare the sponsor's DID with what the
sponsor told you (``expect``). An invitation is for one seat: of the party that it names, or of whoever uses its key
first. An open one is for anybody, up to the number of seats (`troth.app.seating`).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app import Settings, Troth, funding
from troth.app.conducting import AGGREGATOR, SPONSOR
from troth.app.masked import member_of
from troth.app.place import FOLDER
from troth.app.privacy import kept, opened
from troth.app.rounds import RECORDS, Agreed
from troth.app.seating import Ticket, accept, give, new_ticket
from troth.app.site import Holding, Say
from troth.app.training import Coordinator, list_own
from troth.core.claims import from_base64
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.terms import Account
from troth.core.times import span
from troth.identity.keybook import KeyBook
from troth.identity.messages import Message, documents_from_bytes, documents_to_bytes
from troth.learn.acceptance import SITE, VERIFIER
from troth.learn.claims import MAX_RECORDS
from troth.learn.code import Code
from troth.learn.data import Part
from troth.learn.engines.exchange import Writer, answer_letters
from troth.learn.masking.terms import MASKED
from troth.learn.privacy.ledger import Budget
from troth.learn.tables import read_table
from troth.ledger.exchange import Parcel
from troth.ledger.postoffice import is_address
from troth.store.files import holding
from troth.verify.trust import Trust

if TYPE_CHECKING:
    from troth.app.flower import Node
    from troth.ledger.deploy import Contracts

PURPOSE, FORMAT = "troth-invitation-1", "troth-invitation-file-1"
MAX_INVITATION = 16 << 20
LOOK = 5.0
"""Seconds that a site waits for a call before it looks what is due on chain, and whether everything is over."""
LEAST_ANSWER = 12 * LOOK
"""Seconds: less would give nobody the time to deliver evidence, which costs the stake."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What was signed. sponsor: DID and account. parties: introductions of those who are known already, as parcels."""

    sponsor: tuple[str, Account]
    aggregator: str
    agreed: Agreed
    trust: Trust
    contracts: Contracts
    parties: tuple[Parcel, ...]
    chain: str
    post: str
    ticket: Ticket

    def _body(self) -> bytes:
        return encode({
            "account": self.sponsor[1].hex(), "aggregator": self.aggregator, "agreed": self.agreed.json(),
            "chain": self.chain, "contracts": decode_object(self.contracts.encode()),
            "parties": [base64.b64encode(one.to_bytes()).decode() for one in self.parties], "post": self.post,
            "seat": self.ticket.json(), "trust": decode_object(self.trust.to_bytes())})

    @classmethod
    def _of(cls, sponsor: str, body: bytes) -> Invitation:
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.deploy import Contracts

        account, aggregator, agreed, chain, contracts, parties, post, seat, trust = take(
            decode_object(body), account=str, aggregator=str, agreed=dict, chain=str, contracts=dict, parties=list,
            post=str, seat=dict, trust=dict)
        if not all(type(one) is str for one in parties):
            raise BadInput("an invitation without its parties", expected="parcels in base64")
        if not (is_address(chain) and is_address(post)):
            # Else joining would make files where a stranger says: a chain's, or mailboxes.
            raise BadInput("an invitation to places on this machine", expected="http(s) addresses of chain and post",
                           actual=(chain, post))
        return cls((sponsor, from_hex(account, 20)), aggregator, Agreed.of(agreed), Trust.from_bytes(encode(trust)),
                   Contracts.decode(encode(contracts)),
                   tuple(Parcel.from_bytes(from_base64(one)) for one in parties), chain, post, Ticket.read(seat))

    def terms(self) -> list[str]:
        """What one agrees to by joining, in plain words."""
        agreed = self.agreed
        known = len(self.trust.roles.get("verifier", ()))
        judges = f"{agreed.verifiers} verifiers ({known} of them the sponsor's own, the others are invited)"
        use = (f"for {self.ticket.named} alone" if self.ticket.named else "open: whoever holds it can take a seat"
               if self.ticket.open else "good once: whoever uses it first has the seat, so keep it to yourself")
        return [
            f"{agreed.name}: invited by {self.sponsor[0]} as a {self.ticket.role}",
            f"this invitation is {use}",
            *(self._site(judges) if self.ticket.role == SITE else self._verifier(judges)),
            f"time: each round may take {span(agreed.periods.fund + agreed.periods.answer + agreed.periods.verdict)}, "
            f"and {span(agreed.periods.window)} in which it can be challenged. Keep this process running: what is "
            f"asked on chain must be answered in {span(agreed.periods.answer)}, or the stake is lost",
            f"token 0x{(self.agreed.token or self.contracts['token'].address).hex()} on chain "
            f"{self.contracts.chain_id} at {self.chain}{'; bring what you stake' if self.agreed.token else ''}; "
            f"mail at {self.post}. This process only reaches outward",
        ]

    def _verifier(self, judges: str) -> list[str]:
        agreed, money = self.agreed, self.agreed.money
        return [
            f"what is asked: execute again what somebody doubts, in {agreed.rounds} rounds among {agreed.sites} sites; "
            f"{agreed.quorum} of {judges} decide",
            "you see the sites' updates: they are sealed to you, and a model's updates can tell of records"
            if agreed.masking is None else "you see the transcripts of the sums, and no site's own update",
            f"pay: an equal part of {money.verifier_fee} for each round that is called, to those who found what the "
            "majority found; nothing for a round that nobody doubts",
            f"stake: {money.verifier_stake} a round, back when the round is over. It is lost if you are called and do "
            "not answer in time, or find something else than the majority",
        ]

    def _site(self, judges: str) -> list[str]:
        agreed, money = self.agreed, self.agreed.money
        label = (f"one of {', '.join(agreed.schema.classes)}" if agreed.schema.classes
                 else f"a number with up to {agreed.schema.decimals} decimals")
        whole = agreed.money.reward * agreed.rounds
        masked = agreed.privacy == MASKED
        return [
            f"what is asked: train {agreed.task.get('family')} on your own records, {agreed.rounds} rounds among "
            f"{agreed.sites} sites; updates are combined by {'their mean' if masked else agreed.rule}",
            f"your records stay with you. {self._who_sees(judges)} (privacy: {agreed.privacy}); everybody sees how "
            "many records you say you trained on",
            f"your data: {len(agreed.schema.columns)} columns ({', '.join(agreed.schema.columns[:6])}"
            f"{', …' if len(agreed.schema.columns) > 6 else ''}), "
            f"numbers with up to {agreed.schema.decimals} decimals; label {agreed.schema.label}, {label}",
            f"pay: {money.reward} a round ({whole} in all) shared by " + (
                "the rounds in which each site was in the sum" if masked else
                f"what each {'site' if agreed.masking is None else 'group'}'s update was worth on the sponsor's public "
                "validation records" + (
                    f", times its number of records: {self.ticket.records} of yours, which the plan will say in the "
                    "open" if agreed.pay == RECORDS else "") + "; an update that helped nothing is paid nothing"),
            f"stake: {money.site_stake} a round, back when the round is over. It is lost if " + (
                "your own messages show that you broke the protocol of the sum" if masked else
                "your updates do harm round after round, or if you hold back what you said you sent when the verifiers "
                "are called" if agreed.masking is None else
                "your own messages show that you broke the protocol of a sum, or if every group you are in does harm"),
            f"calling the verifiers costs a bond of {money.bond} and their fee of {money.verifier_fee}, back if you "
            "were right",
        ]

    def _who_sees(self, judges: str) -> str:
        agreed = self.agreed
        if agreed.masking is None:
            return f"Your updates are sealed to the aggregator and {judges}, who see them"
        size = f"at least {agreed.masking.size}" if agreed.masking.size else "all"
        noise = (" You add noise to it, which is charged to a budget of your records: join with --epsilon"
                 if agreed.masking.noise else "")
        return f"Nobody but you sees an update; what is seen is the sum over {size} sites.{noise}"


def invite(home: Coordinator, role: str = SITE, named: str = "", *, open_: bool = False, records: int = 0) -> bytes:
    """An invitation to a seat of a prepared coordinator's plan, signed by the sponsor: a new one at each call.

    role: a site's or a verifier's. named: the DID of who may use it; else whoever uses it first, or, if it is
    ``open_``, anybody. records: how many the site has, where pay goes by them: the sponsor's word, by whatever it was
    shown. Raises Misuse where the file invites nobody in this role, or asks for records and none are said.
    """
    if not home.file.invited:
        raise Misuse("this round's sites are local", do="Name [invited] sites, post and chain in the file instead.")
    if role == VERIFIER and not home.file.invited_verifiers:
        raise Misuse("this round's verifiers are parties of the sponsor's folder",
                     do="Say how many are invited: [invited] verifiers = N.")
    if named and (open_ or not named.startswith("did:")):
        raise Misuse("not one party's invitation", expected="the DID of who may use it", actual=named[:80])
    counts = home.agreed.pay == RECORDS and role == SITE
    if counts != (records > 0) or (counts and open_) or records > MAX_RECORDS:
        raise Misuse("not how this training is paid", actual=f"{records} records{', open' if open_ else ''}",
                     expected="how many records the site has, in an invitation for it alone: --records N" if counts
                     else 'no number of records: [round] pay = "records" asks for it, of sites',
                     do='Where you cannot count them, write [round] pay = "worth": two seats then earn more than one.'
                     if counts else "Leave out --records.")
    ticket = new_ticket(role, named, open_=open_, records=records)
    give(home.out, ticket)
    sponsor, aggregator = home[SPONSOR], home[AGGREGATOR]
    verifiers = [party.did for name, party in home.parties.items() if name.startswith("verifier-")]
    roles = {"sponsor": [sponsor.did], "aggregator": [aggregator.did]} | ({"verifier": verifiers} if verifiers else {})
    trust = sponsor.trust(roles, sponsor.log_pin(), {"name": "federated-model"})
    said = Invitation((sponsor.did, sponsor.account), aggregator.did, home.agreed, trust, sponsor.contracts,
                      tuple(party.introduction() for party in home.parties.values()), home.file.chain, home.file.post,
                      ticket)
    message = Message.sign(PURPOSE, said._body(), sponsor.identity.signer())
    documents = documents_to_bytes(sponsor.identity.genesis, sponsor.identity.history.rotations)
    return encode({"documents": base64.b64encode(documents).decode(), "format": FORMAT,
                   "message": base64.b64encode(message.to_bytes()).decode()})


def open_invitation(data: bytes, expect: str | None = None) -> Invitation:
    """Read an invitation and check that it is its sponsor's, unchanged. expect: the DID that the sponsor must have.

    Raises BadInput for what is none, Refuted for one that was changed or is somebody else's.
    """
    if len(data) > MAX_INVITATION:
        raise BadInput("not an invitation", expected=f"at most {MAX_INVITATION} bytes", actual=len(data))
    documents, format_, message = take(decode_object(data), documents=str, format=str, message=str)
    if format_ != FORMAT:
        raise BadInput("not an invitation", expected=FORMAT, actual=format_)
    history = documents_from_bytes(from_base64(documents))
    said = Message.from_bytes(from_base64(message))
    if said.sender != history.did:
        raise Refuted("an invitation by another than whose documents it carries", expected=history.did,
                      actual=said.sender)
    said.check(PURPOSE, KeyBook([history]))
    if expect is not None and said.sender != expect:
        raise Refuted("this invitation is somebody else's", expected=expect, actual=said.sender,
                      do="Ask your sponsor for it again, over a channel that you trust.")
    return Invitation._of(said.sender, said.body)


def by_own_node(invitation: Invitation, url: str) -> Invitation:
    """The same invitation, its chain reached at this party's own node: the sponsor's could say anything of deposits.

    Raises BadInput for what is no address.
    """
    if not is_address(url):
        raise BadInput("not a node's address", expected="http(s)://…", actual=url)
    return replace(invitation, chain=url)


@dataclass(frozen=True, slots=True)
class Private:
    """Private training: what may ever be spent on the records, and the norm that each record's gradient is clipped to.
    """

    budget: Budget
    norm: float = 1.0


class Joined:
    """A site that takes part: its workspace, its records, its seat. Made by ``join``; ``run`` until all is over."""

    def __init__(self, party: Troth, invitation: Invitation, held: Holding | None, say: Say) -> None:
        self.party, self.invitation, self._say = party, invitation, say
        self.member = member_of(party, invitation.agreed, invitation.sponsor, invitation.aggregator, held, say)

    def run(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Answer the sponsor's calls until every round stands, or ``stop``; whether every round stands.

        One process a workspace: raises OutsideFailed while another one runs.
        """
        party = self.party
        writer = Writer(party.exchange, party.identity.signer(), lambda: party.keybook)
        with self._turn(), closing(self.member):
            while not self.member.finished():
                if stop():
                    return False
                answer_letters(writer, self.member.answer, lambda: [self.invitation.sponsor[0]], LOOK,
                               lambda who, why: self._say(f"a call failed: {why}"))
                party.receive()
                self.member.tend()
        self._say(f"every round is settled; this {self.invitation.ticket.role} holds "
                  f"{funding.token(party, self.invitation.agreed).balance(party.account)}")
        return True

    def serve(self, node: Node, stop: Callable[[], bool] = lambda: False) -> bool:
        """As ``run``, for calls that come over Flower: parcels travel with them, and nothing is asked of a post office.

        Raises Misuse where the node was prepared for another site.
        """
        # Imported here: only a site behind Flower has a door.
        from troth.app.flower import open_door

        over, looked = self.member.finished, 0.0

        def ended() -> bool:
            nonlocal looked
            if time.monotonic() - looked >= LOOK:
                looked = time.monotonic()
                self.member.tend()
            return stop() or over()

        with (self._turn(), closing(self.member),
              open_door(self.party, self.member.answer, node, lambda who, why: self._say(why)) as door):
            door.serve(ended)
        return over()

    def _turn(self) -> AbstractContextManager[None]:
        return holding(self.party.root / "joined.lock", 0.0, "another process acts for this seat")


def join(invitation: Invitation, data: Path | str | None, home: Path | str, passphrase: str, say: Say,
         private: Private | None = None) -> Joined:
    """Take the seat: list a site's records, sealed to it alone, introduce this party, and let the Book take its stakes.

    data: a site's records; None for a verifier. They are read first: where they do not fit nothing is made, and nothing
    is sent. home: this party's folder; its workspace is made if there is none. private: train within this budget of the
    records. Doing it again goes on with what is there. Raises BadInput for records that do not fit, Refuted where the
    chain is not the invitation's, Misuse for a workspace that is set up otherwise, an invitation of another's, records
    in another role than a site's, or a budget beyond what was promised for these records before.
    """
    data = None if data is None else Path(data)
    home = Path(home)
    role = invitation.ticket.role
    if invitation.agreed.periods.answer < LEAST_ANSWER:
        raise Misuse("this leaves no time to answer when the verifiers are called: the stake would be lost",
                     expected=f"at least {span(round(LEAST_ANSWER))}", actual=span(invitation.agreed.periods.answer),
                     do="Nothing was sent. Ask the sponsor for another invitation.")
    if (data is not None) != (role == SITE):
        raise Misuse(f"this invitation is for a {role}", do="Name your records: --data FILE.csv." if role == SITE
                     else "A verifier brings no records: leave out --data.")
    if private is not None and (role != SITE or invitation.agreed.task.get("family") == Code.FAMILY):
        raise Misuse("no differential privacy here", expected="a site that trains a dense network",
                     actual=role if role != SITE else f"a model of family {Code.FAMILY}",
                     do="A file of code computes its own update: nothing can bound what one record does to it. "
                     "Leave out --epsilon, or take no part with these records.")
    part = None if data is None else read_table(data, invitation.agreed.schema)
    party = _workspace(invitation, home, passphrase, say)
    try:
        _set_up(party, invitation)
        held = _take_seat(party, invitation, part, private)
    except BaseException:  # whatever it is: the workspace is closed, and it is raised again
        party.close()
        raise
    if part is None:
        say(f"introduced as {party.did}, to verify")
    else:
        say(f"{len(part)} records listed, sealed to this site; introduced as {party.did}")
    return Joined(party, invitation, held, say)


def _workspace(invitation: Invitation, home: Path, passphrase: str, say: Say) -> Troth:
    """The workspace in ``home``, made if there is none and the invitation is for a new party. Raises Misuse."""
    named = invitation.ticket.named
    if not (home / FOLDER).exists():
        if named:
            raise Misuse("this invitation is for another party than a new one", expected=named,
                         do="Take the seat with the workspace that it names: --home.")
        home.mkdir(parents=True, exist_ok=True)
        party = Troth.init(home, passphrase, Settings(home.resolve().name, invitation.chain, invitation.post))
        say(f"a workspace for this {invitation.ticket.role} in {home}")
        return party
    party = Troth.open(home, passphrase)
    found = party.settings.chain, party.settings.exchange
    if found != (invitation.chain, invitation.post):
        party.close()
        raise Misuse("this workspace is set up for another chain or post office", actual=found,
                     expected=(invitation.chain, invitation.post), do="Name another folder with --home.")
    return party


def _set_up(party: Troth, invitation: Invitation) -> None:
    """The invitation's chain, contracts, parties and identities, checked and taken in. Raises Misuse, Refuted."""
    if invitation.ticket.named not in ("", party.did):
        raise Misuse("this invitation is for another party", expected=invitation.ticket.named, actual=party.did,
                     do="Take the seat with the workspace that it names: --home.")
    _check_chain(party, invitation)
    if (party.root / "contracts.json").exists() and party.contracts.encode() != invitation.contracts.encode():
        raise Misuse("this workspace is set up with other contracts", do="Name another folder with --home.")
    party.use_contracts(invitation.contracts)
    for parcel in invitation.parties:
        party.meet(parcel)
    for did, digest in invitation.trust.documents.items():
        party.keybook.require(did, digest)
    if invitation.sponsor[1] not in party.accounts_of(invitation.sponsor[0]):
        raise Refuted("the sponsor is not bound to the account it names", expected="0x"
                      + invitation.sponsor[1].hex())
    party.bound_account()


def _take_seat(party: Troth, invitation: Invitation, part: Part | None, private: Private | None) -> Holding | None:
    """Say that this party takes the seat, once it can pay its stakes; a site's holding."""
    agreed, sponsor = invitation.agreed, invitation.sponsor[0]
    if part is not None and private is None and agreed.masking and agreed.masking.noise and not kept(party):
        raise Misuse("this plan's noise is charged to a budget of the records", expected="a budget",
                     do="Join with --epsilon. Nothing was sent.")
    if agreed.token:
        funding.check(agreed, {party: invitation.ticket.role}, sponsor_pays=False)
    funding.approve(party, agreed, invitation.ticket.role)
    listing = None
    if part is None:
        party.introduce(sponsor)
    else:
        listing = list_own(party, part, sponsor)
    if listing is not None and private is not None:
        with opened(party) as privacy:
            privacy.set_budget(listing, private.budget)
    party.send([sponsor], [accept(party, agreed, invitation.ticket, listing)])
    if part is None or listing is None:
        return None
    return Holding(lambda: part, listing, private.norm if private else None)


def _check_chain(party: Troth, invitation: Invitation) -> None:
    """The chain at the invitation's address is the one that its trust file pins. Raises Refuted."""
    pin = invitation.trust.chain
    if pin is None:
        raise BadInput("an invitation whose trust file pins no chain")
    found, wanted = (party.chain.chain_id, party.chain.genesis_hash), (pin.id, pin.genesis)
    if found != wanted:
        raise Refuted("this is not the invitation's chain", expected=f"{wanted[0]}, genesis {wanted[1].hex()}",
                      actual=f"{found[0]}, genesis {found[1].hex()}", do="Nothing was sent. Ask the sponsor.")
