"""An invitation is its sponsor's, unchanged, or refused; and sites that only reach outward train to the end."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rounds_parts import PASSPHRASE, table, write

from troth.app import Settings, Troth
from troth.app.conducting import SPONSOR
from troth.app.inviting import Invitation, Private, by_own_node, invite, join, open_invitation
from troth.app.rounds import load
from troth.app.seating import Ticket, agreed_digest, given, seat
from troth.app.training import Coordinator, train
from troth.cli.story import tampered
from troth.core.claims import Ref
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, Pending, Refuted
from troth.core.terms import REFUTED
from troth.flows import round as flow
from troth.identity.binding import bind
from troth.identity.hybrid import HybridIdentity
from troth.identity.keys import Ed25519KeyPair
from troth.identity.keystore import MIN_COST
from troth.identity.messages import Message, documents_to_bytes
from troth.learn.acceptance import ACCEPTANCE, SITE, VERIFIER, Acceptance
from troth.learn.claims import LISTING, digest_subject
from troth.learn.privacy.ledger import Budget
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.server import RpcServer
from troth.ledger.exchange import Parcel, box_of
from troth.ledger.postoffice import PostServer


def quiet(text: str) -> None:
    """Tells nobody."""


@dataclass
class Invited:
    """A prepared coordinator's folder, and its invitation."""

    file: Path
    out: Path
    data: bytes
    judge: bytes
    sponsor: str
    office: PostServer


@contextmanager
def inviting(folder: Path) -> Iterator[Invited]:
    with PostServer(folder / "post") as office, EmbeddedChain(folder / "chain.sqlite") as chain, \
            RpcServer(chain, 0) as node:
        rest = (f'[periods]\nfund = 90\nanswer = 90\nverdict = 60\nwindow = 60\n'
                f'[invited]\nsites = 2\nverifiers = 1\npost = "{office.url}"\nchain = "{node.url}"\n')
        file = write(folder / "files", rounds=1, rest=rest)
        with Coordinator(load(file), folder / "out", PASSPHRASE, say=quiet) as home:
            home.prepare()
            data, judge, sponsor = invite(home, open_=True), invite(home, VERIFIER), home[SPONSOR].did
        yield Invited(file, folder / "out", data, judge, sponsor, office)


def more(invited: Invited, role: str = SITE, named: str = "") -> Invitation:
    """Another invitation to the same plan, as its sponsor makes them."""
    with Coordinator(load(invited.file), invited.out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        return open_invitation(invite(home, role, named), invited.sponsor)


def seated(invited: Invited, *tickets: Ticket) -> list[str]:
    """The sites that the sponsor would seat now, if it had made these invitations and no other."""
    keys = {(one.named, Ed25519KeyPair(one.secret).public.raw if one.secret else b"") for one in tickets}
    with Coordinator(load(invited.file), invited.out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        home[SPONSOR].receive()
        made = tuple(one for one in given(home.out) if (one.named, one.key) in keys)
        assert len(made) == len(tickets)
        return list(seat(home[SPONSOR], home.agreed, made, {party.account for party in home.parties.values()}, 1).sites)


@pytest.fixture(scope="module")
def invited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invited]:
    with inviting(tmp_path_factory.mktemp("invited")) as found:
        yield found


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invited]:
    """Another plan, whose seats nobody needs."""
    with inviting(tmp_path_factory.mktemp("elsewhere")) as found:
        yield found


def test_it_says_what_is_agreed_to(invited: Invited) -> None:
    said = open_invitation(invited.data, invited.sponsor)
    assert said.agreed == load(invited.file).agreed
    text = "\n".join(said.terms())
    for words in (invited.sponsor, "stake: 3100 a round", "pay: 3000 a round", "label outcome, one of ill, well",
                  "privacy: open", "columns (age, dose)", "It is lost if"):
        assert words in text
    for words in ("as a verifier", "execute again what somebody doubts", "stake: 1000 a round", "good once"):
        assert words in "\n".join(open_invitation(invited.judge).terms())
    assert said.trust.roles["sponsor"] == (invited.sponsor,)
    assert said.trust.chain is not None
    assert said.trust.chain.contracts["book"] == said.contracts["book"].address


def test_a_changed_one_is_refused(invited: Invited) -> None:
    outer = decode_object(invited.data)
    message = Message.from_bytes(base64.b64decode(outer["message"]))
    body = decode_object(message.body)
    body["agreed"]["money"]["site_stake"] = "1000000"
    thief = HybridIdentity.create()
    theirs = documents_to_bytes(thief.genesis, ())

    def file(message: Message, documents: bytes | None = None) -> bytes:
        kept = base64.b64decode(outer["documents"])
        return encode(outer | {"message": base64.b64encode(message.to_bytes()).decode(),
                               "documents": base64.b64encode(documents or kept).decode()})

    changed = replace(message, body=encode(body))
    for data in (file(changed), file(replace(message, signatures=message.signatures[:1])), file(message, theirs),
                 file(Message.sign(message.purpose, encode(body), thief.signer()))):
        with pytest.raises(Refuted):
            open_invitation(data)
    whole = file(Message.sign(message.purpose, encode(body), thief.signer()), theirs)
    assert open_invitation(whole).sponsor[0] == thief.did  # somebody else's whole invitation is theirs …
    with pytest.raises(Refuted, match="somebody else's"):
        open_invitation(whole, invited.sponsor)  # … which is why one says whose it must be
    with pytest.raises(BadInput, match="another purpose"):
        open_invitation(file(Message.sign("another", message.body, thief.signer()), theirs))
    for rubbish in (b"", b"{}", b"x" * 100, invited.data + b" ", invited.data[:-1]):
        with pytest.raises(BadInput):
            open_invitation(rubbish)
    with pytest.raises(BadInput):
        open_invitation(file(Message.sign(message.purpose, encode(body | {"more": 1}), thief.signer()), theirs))


def test_records_that_do_not_fit_make_and_send_nothing(invited: Invited, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("age,dose,outcome\n1,2,sick\n")
    box = invited.office.office.folder / "boxes" / box_of(invited.sponsor)
    before = sorted(box.iterdir()) if box.exists() else []
    with pytest.raises(BadInput, match="row 2, column outcome"):
        join(open_invitation(invited.data), tmp_path / "bad.csv", tmp_path / "site", PASSPHRASE, quiet)
    assert not (tmp_path / "site").exists()
    assert (sorted(box.iterdir()) if box.exists() else []) == before


def test_another_chain_at_its_address_is_refused(invited: Invited, tmp_path: Path) -> None:
    said = open_invitation(invited.data)
    with EmbeddedChain(tmp_path / "chain.sqlite", genesis_time=1) as chain, RpcServer(chain, 0) as node:
        elsewhere: Invitation = replace(said, chain=node.url)
        with pytest.raises(Refuted, match="not the invitation's chain"):
            join(elsewhere, invited.file.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet)


def test_a_site_may_believe_a_node_of_its_own_alone(elsewhere: Invited, tmp_path: Path) -> None:
    """The sponsor's could show a Book that is none, and deposits where they are not."""
    said, records = open_invitation(elsewhere.data, elsewhere.sponsor), elsewhere.file.parent / "north.csv"
    with (EmbeddedChain(tmp_path / "chain.sqlite", genesis_time=1) as other, RpcServer(other, 0) as node,
          pytest.raises(Refuted, match="not the invitation's chain")):
        join(by_own_node(said, node.url), records, tmp_path / "site", PASSPHRASE, quiet)
    with pytest.raises(BadInput, match="node's address"):
        by_own_node(said, str(tmp_path / "chain.sqlite"))
    own = said.chain.replace("127.0.0.1", "localhost")
    with join(by_own_node(said, own), records, tmp_path / "other", PASSPHRASE, quiet).party as party:
        assert party.settings.chain == own != said.chain


def test_an_invitation_names_no_place_here_and_changes_no_workspace(elsewhere: Invited, tmp_path: Path) -> None:
    said = open_invitation(elsewhere.data)
    for place in ({"chain": f"embedded:{tmp_path}/theirs.sqlite"}, {"post": str(tmp_path / "theirs")}):
        crooked = replace(said, **place)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="places on this machine"):
            Invitation._of(said.sponsor[0], crooked._body())
    assert not list(tmp_path.iterdir())
    party = join(said, elsewhere.file.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet).party
    before = party.contracts.encode()
    other = party.deploy(quorum=1)
    party.use_contracts(said.contracts)
    party.close()
    with pytest.raises(Misuse, match="other contracts"):
        join(replace(said, contracts=other), elsewhere.file.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet)
    assert (party.root / "contracts.json").read_bytes() == before


def test_local_sites_need_none(tmp_path: Path) -> None:
    with Coordinator(load(write(tmp_path / "files")), tmp_path / "out", PASSPHRASE, say=quiet) as home, \
            pytest.raises(Misuse, match="local"):
        invite(home)


def test_a_listing_that_is_none_and_a_second_seat_of_one_account_stop_nobody(tmp_path: Path) -> None:
    """Whoever holds an invitation, or only the sponsor's address, could keep a plan from being called for ever."""
    with inviting(tmp_path) as invited:
        said, north = open_invitation(invited.data), invited.file.parent / "north.csv"
        parties = [join(said, north, tmp_path / name, PASSPHRASE, quiet).party for name in ("one", "two")]
        first, second = parties
        rubbish = first.attest(LISTING, digest_subject("records", bytes(32)), {"rows": "none"})
        first.send([invited.sponsor], [rubbish])
        shared = bind(second.identity.signer(), first.identity.account, second.contracts.chain_id, 1 << 31)
        second.exchange.send(invited.sponsor, Parcel(claims=(shared,)))
        with Coordinator(load(invited.file), invited.out, PASSPHRASE, say=quiet) as home:
            home.prepare()
            home[SPONSOR].receive()
            assert [home[SPONSOR].account_of(party.did) for party in parties] == [first.account] * 2
            with pytest.raises(Pending, match="expected 2 sites, 1 verifiers; found 1 sites, 0 verifiers"):
                home.gather(0.0)
        for party in parties:
            party.close()


def test_an_invitation_is_good_for_one_seat(elsewhere: Invited, tmp_path: Path) -> None:
    """Of whoever used it first; what its holder sent is of no use to whoever carried it."""
    said, north = more(elsewhere), elsewhere.file.parent / "north.csv"
    first = join(said, north, tmp_path / "first", PASSPHRASE, quiet).party
    second = join(said, north, tmp_path / "second", PASSPHRASE, quiet).party
    assert seated(elsewhere, said.ticket) == [first.did]
    # The post office, which reads what is not sealed, keeps back what somebody sent and uses it for itself.
    secret = more(elsewhere).ticket.secret
    shown = Acceptance.make("did:somebody", agreed_digest(said.agreed), SITE, second.account, secret)
    stolen = second.attest(ACCEPTANCE, digest_subject("agreed", shown.agreed), shown.body(),
                           refs=[Ref("listing", claim) for claim, _ in second.claims(LISTING)])
    second.send([elsewhere.sponsor], [stolen])
    with Coordinator(load(elsewhere.file), elsewhere.out, PASSPHRASE, say=quiet) as home:
        other = given(home.out)[-1]
    assert other.key == shown.key
    for party in (first, second):
        party.close()
    with Coordinator(load(elsewhere.file), elsewhere.out, PASSPHRASE, say=quiet) as home:
        home.prepare()
        home[SPONSOR].receive()
        assert seat(home[SPONSOR], home.agreed, (other,), set(), 1).sites == {}


def test_an_invitation_may_name_who_it_is_for(elsewhere: Invited, tmp_path: Path) -> None:
    north, settings = elsewhere.file.parent / "north.csv", Settings("clinic", *places(elsewhere))
    with Troth.init(tmp_path / "clinic", PASSPHRASE, settings, cost=MIN_COST) as clinic, \
            Troth.init(tmp_path / "other", PASSPHRASE, settings, cost=MIN_COST):
        did = clinic.did
    said = more(elsewhere, named=did)
    assert f"for {did} alone" in "\n".join(said.terms())
    for name in ("other", "new"):
        with pytest.raises(Misuse, match="another party"):
            join(said, north, tmp_path / name, PASSPHRASE, quiet)
    assert not (tmp_path / "new").exists()
    # Whoever leaves the name out of its own copy is not seated by it either.
    crooked = replace(said, ticket=replace(said.ticket, named=""))
    join(crooked, north, tmp_path / "other", PASSPHRASE, quiet).party.close()
    assert seated(elsewhere, said.ticket) == []
    join(said, north, tmp_path / "clinic", PASSPHRASE, quiet).party.close()
    assert seated(elsewhere, said.ticket) == [did]


def test_a_role_is_the_invitation_s(elsewhere: Invited, tmp_path: Path) -> None:
    north, said = elsewhere.file.parent / "north.csv", open_invitation(elsewhere.judge)
    with pytest.raises(Misuse, match="for a verifier"):
        join(said, north, tmp_path / "a", PASSPHRASE, quiet)
    with pytest.raises(Misuse, match="for a site"):
        join(open_invitation(elsewhere.data), None, tmp_path / "a", PASSPHRASE, quiet)
    coded = open_invitation(elsewhere.data)
    coded = replace(coded, agreed=replace(coded.agreed, task={"family": "code", "sha256": "00" * 32}))
    for invitation, data in ((said, None), (coded, north)):
        with pytest.raises(Misuse, match="no differential privacy here"):
            join(invitation, data, tmp_path / "a", PASSPHRASE, quiet, Private(Budget(10**6, "0.00001")))
    assert not (tmp_path / "a").exists()
    crooked = replace(said, ticket=replace(said.ticket, role=SITE))  # a verifier's key is no site's
    join(crooked, north, tmp_path / "b", PASSPHRASE, quiet).party.close()
    assert seated(elsewhere, said.ticket) == []


def places(invited: Invited) -> tuple[str, str]:
    """Where the chain and the post office are."""
    said = open_invitation(invited.data)
    return said.chain, said.post


def test_other_records_of_the_same_number_are_other_records(elsewhere: Invited, tmp_path: Path) -> None:
    """What is trained on is charged to the listing's budget: it must be the listing's."""
    said, other = open_invitation(elsewhere.data), tmp_path / "other.csv"
    join(said, elsewhere.file.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet).party.close()
    other.write_text(table(7, 40))
    with pytest.raises(Misuse, match="other records"):
        join(said, other, tmp_path / "site", PASSPHRASE, quiet)


def test_sites_join_and_train_to_the_end_and_a_verifier_of_another_house_judges(
        invited: Invited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four parties that meet at a post office alone; a site that is started again goes on; the aggregator cheats."""
    said, told = open_invitation(invited.data, invited.sponsor), list[str]()
    errors: list[BaseException] = []

    def site(name: str) -> None:
        try:
            for stop in (lambda: True, lambda: False):  # once it is stopped before it did anything
                joined = join(said, invited.file.parent / f"{name}.csv", tmp_path / name, PASSPHRASE, told.append)
                with joined.party:
                    joined.run(stop)
        except BaseException as error:
            errors.append(error)
            raise

    def verifier() -> None:
        try:
            joined = join(open_invitation(invited.judge), None, tmp_path / "judge", PASSPHRASE, told.append)
            with joined.party:
                joined.run()
        except BaseException as error:
            errors.append(error)
            raise

    def cheat(aggregator: flow.Aggregator, deal: bytes, number: int) -> Any:
        output, updates = real(aggregator, deal, number)
        return tampered(output, aggregator.base(), aggregator.replay), updates

    real = flow.Aggregator.aggregate
    monkeypatch.setattr(flow.Aggregator, "aggregate", cheat)
    threads = [threading.Thread(target=site, args=(name,)) for name in ("north", "south")]
    threads.append(threading.Thread(target=verifier))
    for thread in threads:
        thread.start()
    result = train(load(invited.file), invited.out, PASSPHRASE, say=told.append, patience=120)
    for thread in threads:
        thread.join()
    assert not errors
    assert [row["counted"] for row in result["rounds"]] == [2]
    assert sum(map(int, result["rounds"][0]["paid"].values())) == 3000
    assert [row["outcome"] for row in result["rounds"]] == [REFUTED]
    assert "round 1: executed again; outcome 2, committed" in told
    assert sum(line.startswith("every round is settled; this site") for line in told) == 2
    assert sum(line.startswith("every round is settled; this verifier") for line in told) == 1
    assert sum("staked 3100" in line for line in told) == 2
    assert sum("staked 1000" in line for line in told) == 1
    with pytest.raises(Misuse, match="other records"):
        join(said, invited.file.parent / "validation.csv", tmp_path / "north", PASSPHRASE, quiet)
