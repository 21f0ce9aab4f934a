"""An invitation is its sponsor's, unchanged, or refused; and sites that only reach outward train to the end."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rounds_parts import PASSPHRASE, table, write

from troth.app.conducting import SPONSOR
from troth.app.inviting import Invitation, invite, join, open_invitation
from troth.app.rounds import load
from troth.app.training import Coordinator, train
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, Misuse, Pending, Refuted
from troth.identity.binding import bind
from troth.identity.hybrid import HybridIdentity
from troth.identity.messages import Message, documents_to_bytes
from troth.learn.claims import LISTING, digest_subject
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
    sponsor: str
    office: PostServer


@contextmanager
def inviting(folder: Path) -> Iterator[Invited]:
    with PostServer(folder / "post") as office, EmbeddedChain(folder / "chain.sqlite") as chain, \
            RpcServer(chain, 0) as node:
        rest = (f'[periods]\nfund = 90\nanswer = 90\nverdict = 60\nwindow = 1\n'
                f'[invited]\nsites = 2\npost = "{office.url}"\nchain = "{node.url}"\n')
        file = write(folder / "files", rounds=1, rest=rest)
        with Coordinator(load(file), folder / "out", PASSPHRASE, say=quiet) as home:
            home.prepare()
            data, sponsor = invite(home), home[SPONSOR].did
        yield Invited(file, folder / "out", data, sponsor, office)


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
            with pytest.raises(Pending, match="expected 2 sites; found 1"):
                home.gather(0.0)
        for party in parties:
            party.close()


def test_other_records_of_the_same_number_are_other_records(elsewhere: Invited, tmp_path: Path) -> None:
    """What is trained on is charged to the listing's budget: it must be the listing's."""
    said, other = open_invitation(elsewhere.data), tmp_path / "other.csv"
    join(said, elsewhere.file.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet).party.close()
    other.write_text(table(7, 40))
    with pytest.raises(Misuse, match="other records"):
        join(said, other, tmp_path / "site", PASSPHRASE, quiet)


def test_sites_join_and_train_to_the_end(invited: Invited, tmp_path: Path) -> None:
    """Three parties that meet at a post office alone; a site that is started again goes on."""
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

    threads = [threading.Thread(target=site, args=(name,)) for name in ("north", "south")]
    for thread in threads:
        thread.start()
    result = train(load(invited.file), invited.out, PASSPHRASE, say=told.append, patience=120)
    for thread in threads:
        thread.join()
    assert not errors
    assert [row["counted"] for row in result["rounds"]] == [2]
    assert sum(map(int, result["rounds"][0]["paid"].values())) == 3000
    assert sum(line.startswith("every round is settled") for line in told) == 2
    assert sum("staked 3100" in line for line in told) == 2
    with pytest.raises(Misuse, match="other records"):
        join(said, invited.file.parent / "validation.csv", tmp_path / "north", PASSPHRASE, quiet)
