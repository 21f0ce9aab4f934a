"""Both exchanges do what every exchange must; and nobody but its owner gets at a mailbox of a post office."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ports.exchange_suite import ALICE, BOB, PEOPLE, ExchangeSuite
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, OutsideFailed, Undecidable
from troth.identity.hybrid import HybridIdentity
from troth.identity.messages import Message, documents_to_bytes
from troth.ledger import postoffice
from troth.ledger.exchange import MAX_PARCEL, Exchange, FolderExchange, box_of
from troth.ledger.postoffice import NONCE, PURPOSE, Bounds, PostExchange, PostServer


class TestFolder(ExchangeSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "exchange"

    def open(self, name: str) -> Exchange:
        return FolderExchange(self.folder)


def exchange(server: PostServer, identity: HybridIdentity, url: str = "") -> PostExchange:
    return PostExchange(url or server.url, identity.signer(), identity.genesis, identity.history.rotations)


class TestPost(ExchangeSuite):
    @pytest.fixture(autouse=True)
    def _server(self, tmp_path: Path) -> Iterator[None]:
        with PostServer(tmp_path / "post") as self.server:
            yield

    def open(self, name: str) -> Exchange:
        return exchange(self.server, PEOPLE[name])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostServer]:
    with PostServer(tmp_path / "post") as found:
        exchange(found, PEOPLE["alice"]).put(BOB, b"for bob")
        yield found


def post(server: PostServer, path: str, data: bytes, **headers: str) -> tuple[int, bytes]:
    asked = urllib.request.Request(server.url + path, data, headers, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def question(server: PostServer, signer: HybridIdentity = PEOPLE["bob"], **said: object) -> bytes:
    body = {"act": "list", "address": BOB, "names": [], "nonce": post(server, "/nonce", b"")[1].hex(),
            "office": server.url, "wait": 0} | said
    return Message.sign(PURPOSE, encode(body), signer.signer()).to_bytes()


def introduce(server: PostServer, identity: HybridIdentity) -> None:
    documents = documents_to_bytes(identity.genesis, identity.history.rotations)
    assert post(server, "/documents", documents)[0] == 204


def test_a_question_is_answered_once(server: PostServer) -> None:
    asked = question(server)
    assert post(server, "/ask", asked)[0] == 401  # its documents are not known yet; the nonce is still good
    introduce(server, PEOPLE["bob"])
    status, said = post(server, "/ask", asked)
    assert status == 200
    assert len(decode_object(said[NONCE:])["names"]) == 1
    assert post(server, "/ask", asked)[0] == 401  # whoever saw it gains nothing


def test_nobody_asks_for_another_s_mail(server: PostServer) -> None:
    for one in PEOPLE.values():
        introduce(server, one)
    assert post(server, "/ask", question(server, PEOPLE["alice"]))[0] == 403
    for signer in (PEOPLE["alice"],):
        true = Message.from_bytes(question(server, signer))
        forged = Message(true.purpose, BOB, true.body, true.signatures)
        assert post(server, "/ask", forged.to_bytes())[0] == 401
    half = Message.from_bytes(question(server))
    assert post(server, "/ask", Message(half.purpose, BOB, half.body, half.signatures[:1]).to_bytes())[0] == 401
    other = Message.sign("another purpose", half.body, PEOPLE["bob"].signer())
    assert post(server, "/ask", other.to_bytes())[0] == 400
    assert post(server, "/ask", question(server, office="http://127.0.0.1:1"))[0] == 403
    assert post(server, "/ask", question(server, nonce="00" * 32))[0] == 401
    assert post(server, "/ask", question(server, act="drop", names=["../../x"]))[0] == 400
    assert post(server, "/ask", b"{}")[0] == 400
    assert [exchange(server, PEOPLE["bob"]).read(place) for place in exchange(server, PEOPLE["bob"]).waiting(BOB)] == [
        b"for bob"]


def test_a_nonce_of_another_office_or_an_old_one_is_none(server: PostServer, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    introduce(server, PEOPLE["bob"])
    with PostServer(tmp_path / "other") as other:
        foreign = question(server, nonce=post(other, "/nonce", b"")[1].hex())
    assert post(server, "/ask", foreign)[0] == 401
    asked = question(server)
    monkeypatch.setattr(postoffice, "NONCE_SECONDS", -1)
    assert post(server, "/ask", asked)[0] == 401


def test_old_keys_end_with_a_rotation(server: PostServer) -> None:
    carol = HybridIdentity.create()
    assert exchange(server, carol).waiting(carol.did) == ()
    renewed, _ = carol.rotate(5)
    assert exchange(server, renewed).waiting(carol.did) == ()
    with pytest.raises(OutsideFailed, match="401"):
        exchange(server, carol).waiting(carol.did)
    introduce(server, carol)  # showing the old documents again takes nothing back
    with pytest.raises(OutsideFailed, match="401"):
        exchange(server, carol).waiting(carol.did)
    fork, _ = carol.rotate(6)
    documents = documents_to_bytes(fork.genesis, fork.history.rotations)
    assert post(server, "/documents", documents)[0] == 403
    assert exchange(server, renewed).waiting(carol.did) == ()


def test_what_waits_survives_a_restart_and_questions_are_asked_anew(tmp_path: Path) -> None:
    with PostServer(tmp_path) as first:
        bob = exchange(first, PEOPLE["bob"])
        assert bob.waiting(BOB) == ()
        exchange(first, PEOPLE["alice"]).put(BOB, b"kept")
        port = first.port
    with PostServer(tmp_path, port):
        (place,) = bob.waiting(BOB)
        assert bob.read(place) == b"kept"
        bob.done(place)
    with PostServer(tmp_path, port):
        assert bob.waiting(BOB) == ()


def test_what_was_half_put_when_an_office_died_is_no_parcel(tmp_path: Path) -> None:
    with PostServer(tmp_path) as first:
        exchange(first, PEOPLE["alice"]).put(BOB, b"whole")
        box = tmp_path / "boxes" / box_of(BOB)
    (box / "coming-00").write_bytes(b"half")
    (box / ".troth-00").write_bytes(b"half")
    with PostServer(tmp_path) as again:
        bob = exchange(again, PEOPLE["bob"])
        assert [bob.read(place) for place in bob.waiting(BOB)] == [b"whole"]


def test_bounds_hold_also_for_many_at_once(tmp_path: Path) -> None:
    with PostServer(tmp_path, bounds=Bounds(1000, parcels=3, box=1000, whole=1500, boxes=2)) as server:
        alice = exchange(server, PEOPLE["alice"])
        with pytest.raises(OutsideFailed, match=r"no parcel of this size.*413"):
            alice.put(BOB, bytes(1001))
        alice.put(BOB, bytes(900))
        with pytest.raises(OutsideFailed, match=r"no room for this.*507"):
            alice.put(BOB, bytes(101))
        alice.put(ALICE, bytes(600))
        with pytest.raises(OutsideFailed, match="507"):
            alice.put(ALICE, b"x")  # the whole office is full
        bob = exchange(server, PEOPLE["bob"])
        for place in bob.waiting(BOB):
            bob.done(place)
        with pytest.raises(OutsideFailed, match="507"):
            alice.put("did:third", b"x")  # one mailbox too many
        failed: list[OutsideFailed] = []

        def flood() -> None:
            try:
                exchange(server, PEOPLE["alice"]).put(BOB, b"x")
            except OutsideFailed as error:
                failed.append(error)

        threads = [threading.Thread(target=flood) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failed) == 5
        assert len(bob.waiting(BOB)) == 3


def test_bounds_that_do_not_fit_each_other_are_refused() -> None:
    for bounds in ({"parcel": MAX_PARCEL + 1}, {"parcel": 0}, {"parcel": 20, "box": 10},
                   {"parcel": 1, "box": 2, "whole": 1}):
        with pytest.raises(BadInput, match="do not fit"):
            Bounds(**bounds)


def test_documents_are_bounded_in_bytes_also_after_a_restart(tmp_path: Path) -> None:
    people = [HybridIdentity.create() for _ in range(3)]
    documents = [documents_to_bytes(one.genesis, one.history.rotations) for one in people]
    bounds = Bounds(documents=len(documents[0]) + len(documents[1]))
    with PostServer(tmp_path, bounds=bounds) as server:
        assert post(server, "/documents", documents[0])[0] == 204
    with PostServer(tmp_path, bounds=bounds) as server:
        assert [post(server, "/documents", one)[0] for one in (*documents, documents[0])] == [204, 204, 507, 204]
        renewed, _ = people[0].rotate(5)
        assert post(server, "/documents", documents_to_bytes(renewed.genesis, renewed.history.rotations))[0] == 507
        with pytest.raises(OutsideFailed, match="507"):
            exchange(server, people[2]).waiting(people[2].did)
    assert sum(path.stat().st_size for path in (tmp_path / "identities").iterdir()) <= bounds.documents


def test_a_large_parcel_passes_in_pieces(tmp_path: Path) -> None:
    """Neither putting nor getting holds it whole in the office: many at once would fill the memory."""
    import tracemalloc

    size = 32 << 20
    with PostServer(tmp_path) as server:
        introduce(server, PEOPLE["bob"])
        office, piece = server.office, bytes(1 << 16)
        tracemalloc.start()
        name = office.put(box_of(BOB), size, (piece for _ in range(size // len(piece))))
        with office.answer(question(server, act="get", names=[name])) as parcel:  # type: ignore[union-attr]
            assert not isinstance(parcel, bytes)
            assert sum(len(chunk) for chunk in iter(lambda: parcel.read(1 << 16), b"")) == size
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < size // 8
        (place,) = exchange(server, PEOPLE["bob"]).waiting(BOB)
        assert exchange(server, PEOPLE["bob"]).read(place) == bytes(size)


def test_a_parcel_that_trickles_in_is_cut(server: PostServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds room that others need has to come; else four connections fill a mailbox with nothing."""
    import socket

    monkeypatch.setattr(postoffice, "GRACE", 0.0)
    monkeypatch.setattr(postoffice, "SLOWEST", 1 << 40)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(b"POST /put/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 100\r\n\r\nh"
                    % (box_of(BOB).encode(), server.port))
        assert b"400" in raw.recv(1000)
    assert len(exchange(server, PEOPLE["bob"]).waiting(BOB)) == 1
    monkeypatch.undo()
    exchange(server, PEOPLE["alice"]).put(BOB, b"in time")
    assert len(exchange(server, PEOPLE["bob"]).waiting(BOB)) == 2


def test_a_cut_parcel_is_not_kept(server: PostServer) -> None:
    import socket

    before = len(exchange(server, PEOPLE["bob"]).waiting(BOB))
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /put/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 100\r\n\r\nhalf"
                    % (box_of(BOB).encode(), server.port))
        raw.shutdown(socket.SHUT_WR)
        raw.recv(1000)
    assert len(exchange(server, PEOPLE["bob"]).waiting(BOB)) == before


@pytest.mark.parametrize(("path", "status"), [
    ("/put/../../etc", 400), ("/put/" + "0" * 31, 400), ("/put/", 400), ("/x", 404), ("/documents", 400)])
def test_paths_that_lead_nowhere(server: PostServer, path: str, status: int) -> None:
    assert post(server, path, b"x")[0] == status


def test_web_pages_and_rebound_names_are_refused(server: PostServer) -> None:
    assert post(server, "/nonce", b"", Origin="http://evil.example")[0] == 403
    assert post(server, "/nonce", b"", Host="evil.example")[0] == 403


def test_an_office_behind_a_web_server_is_asked_by_the_address_that_parties_use(tmp_path: Path) -> None:
    with PostServer(tmp_path, url="https://post.example/troth/") as server:
        introduce(server, PEOPLE["bob"])
        assert post(server, "/ask", question(server))[0] == 403
        assert post(server, "/ask", question(server, office="https://post.example/troth"))[0] == 200


def test_no_office_is_said(tmp_path: Path) -> None:
    with PostServer(tmp_path) as gone:
        url = gone.url
    with pytest.raises(OutsideFailed):
        PostExchange(url, PEOPLE["bob"].signer(), PEOPLE["bob"].genesis).waiting(BOB)


def test_documents_that_nobody_vouches_for_are_refused(server: PostServer) -> None:
    carol, dave = HybridIdentity.create(), HybridIdentity.create()
    _, foreign = dave.rotate(5)
    assert post(server, "/documents", documents_to_bytes(carol.genesis, [foreign]))[0] == 400
    with pytest.raises(Undecidable):
        server.office.answer(question(server, carol, address=carol.did))
