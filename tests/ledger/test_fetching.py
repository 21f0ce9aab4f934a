"""Files from hosts that strangers name: what is never asked, and what answers are refused. A real server, over TLS."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from ports.fetch_suite import FILE, FetchSuite
from ports.https_host import Host, running
from troth.core.errors import BadInput, OutsideFailed, Refuted, Undecidable
from troth.core.ports import Fetch
from troth.identity import webvh_write
from troth.identity.keys import Ed25519KeyPair
from troth.identity.resolution import InvalidDocument, NotFound, When
from troth.identity.web import WebMethod, web_url
from troth.identity.webvh import WebvhMethod
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.fetching import HeldFiles, WebFetch

MOST = 1_000_000
NOW = 1_780_000_000


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running(tmp_path) as found:
        monkeypatch.setenv("SSL_CERT_FILE", str(found.authority))
        yield found


def fetcher(host: Host, *allow: str, timeout: float = 10) -> WebFetch:
    return WebFetch(allow, timeout, host.lookup)


def at(host: Host, path: str, name: str = "issuer.example") -> str:
    return f"https://{name}:{host.port}{path}"


def test_a_file_of_a_host_that_is_allowed(host: Host) -> None:
    host.files["/a%20b/did.json"] = b"{}"
    for allow in ("issuer.example", f"issuer.example:{host.port}", "Issuer.Example"):
        assert fetcher(host, allow).fetch(at(host, "/a%20b/did.json"), MOST) == b"{}"
    assert host.asked == [(f"issuer.example:{host.port}", "/a%20b/did.json")] * 3
    assert host.looked_up == ["issuer.example"] * 3  # once a file: no second answer can lead elsewhere


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example", ".example"])
def test_what_is_no_host_s_name_cannot_be_reached(name: str) -> None:
    with pytest.raises(Undecidable, match="cannot be reached"):
        WebFetch().fetch(f"https://{name}/x", MOST)


@pytest.mark.parametrize("allow", [(), ("other.example",), ("issuer.example:1",), ("127.0.0.1",), ("example",)])
def test_this_machine_is_not_asked_unless_allowed(host: Host, allow: tuple[str, ...]) -> None:
    host.files["/x"] = b"secret"
    with pytest.raises(Undecidable, match="this machine's or a private network's") as caught:
        fetcher(host, *allow).fetch(at(host, "/x"), MOST)
    assert "--allow" in str(caught.value)
    assert host.asked == []


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1",
    "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:7f00:1::", "2001:db8::1", "100::1"])
def test_names_that_lead_to_addresses_not_asked(address: str) -> None:
    def lookup(_: str, port: int, **__: Any) -> list[Any]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 0, "", (address, port))]

    with pytest.raises(Undecidable, match="private network's"):
        WebFetch(lookup=lookup, timeout=2).fetch("https://issuer.example/x", MOST)


@pytest.mark.parametrize("address", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]",
                                     "[::ffff:127.0.0.1]"])
def test_addresses_as_hosts_are_looked_at_too(address: str) -> None:
    with pytest.raises(Undecidable):
        WebFetch(timeout=2).fetch(f"https://{address}:1/x", MOST)


def test_a_name_that_changes_between_look_and_connection(host: Host) -> None:
    """The second answer of a name server that rebinds is never asked for."""
    host.files["/x"] = b"secret"
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", host.port))],
                    host.lookup("issuer.example", host.port)])
    with pytest.raises(Undecidable, match="private network's"):
        WebFetch(lookup=lambda *_, **__: next(answers), timeout=2).fetch(at(host, "/x"), MOST)
    assert host.asked == []
    assert len(list(answers)) == 1


def test_the_certificate_has_to_be_for_the_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutsideFailed, match="does not prove its name"):
        fetcher(host, "stranger.example").fetch(at(host, "/x", "stranger.example"), MOST)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OutsideFailed, match="does not prove its name"):
        fetcher(host, "issuer.example").fetch(at(host, "/x"), MOST)
    assert host.asked == []


def sends(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
    return answer


@pytest.mark.parametrize(("answer", "error", "word"), [
    (sends(302, Location="https://issuer.example/y", Content_Length="0"), OutsideFailed, "redirects are not followed"),
    (sends(301, Location="http://169.254.169.254/", Content_Length="0"), OutsideFailed, "redirects are not followed"),
    (sends(500, Content_Length="0"), OutsideFailed, "HTTP 500"),
    (sends(204, Content_Length="0"), OutsideFailed, "HTTP 204"),
    (sends(404, Content_Length="0"), NotFound, "no such file"),
    (sends(410, Content_Length="0"), NotFound, "no such file"),
    (sends(200, b"xx", Content_Encoding="gzip", Content_Length="2"), OutsideFailed, "not packed"),
    (sends(200, b"x" * 2_000, Content_Length="2000"), OutsideFailed, "at most 1000"),
    (sends(200, b"x" * 2_000, Connection="close"), OutsideFailed, "at most 1000"),
    (sends(200, b"x", Content_Length="5", Connection="close"), OutsideFailed, "over HTTP"),
])
def test_answers_that_are_refused(host: Host, answer: Any, error: type[Exception], word: str) -> None:
    host.answers["/x"] = answer
    with pytest.raises(error, match=word):
        fetcher(host, "issuer.example", timeout=5).fetch(at(host, "/x"), 1_000)


def test_a_host_that_says_a_little_now_and_then_ends_in_time(host: Host) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            if released.wait(0.05):
                return

    released = threading.Event()
    host.answers["/x"] = slowly
    with pytest.raises(Undecidable, match="in time"):
        fetcher(host, "issuer.example", timeout=0.5).fetch(at(host, "/x"), MOST)
    released.set()


def test_hosts_that_are_not_there(host: Host) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Undecidable, match="cannot be reached"):
        WebFetch(lookup=nowhere).fetch("https://issuer.example/x", MOST)
    with pytest.raises(Undecidable, match="cannot be reached"):
        WebFetch(lookup=lambda *_, **__: []).fetch("https://issuer.example/x", MOST)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Undecidable, match="cannot be reached"):
        fetcher(host, "issuer.example").fetch(f"https://issuer.example:{port}/x", MOST)


class TestHosts(FetchSuite):
    """``WebFetch`` over TLS."""

    @pytest.fixture
    def fetch(self, host: Host) -> Fetch:
        host.files["/a/file"] = FILE
        return fetcher(host, "issuer.example")

    @pytest.fixture
    def base(self, host: Host) -> str:
        return at(host, "")


class TestHeldFiles(FetchSuite):
    """``HeldFiles``."""

    @pytest.fixture
    def fetch(self) -> Fetch:
        return HeldFiles({"https://issuer.example/a/file": FILE})

    @pytest.fixture
    def base(self) -> str:
        return "https://issuer.example"


# -- did:web over it


def document(did: str, **more: Any) -> bytes:
    return json.dumps({"@context": "https://www.w3.org/ns/did/v1", "id": did, **more}).encode()


def test_did_web(host: Host) -> None:
    method = WebMethod(fetcher(host, "issuer.example"))
    place = f"did:web:issuer.example%3A{host.port}"
    host.files["/.well-known/did.json"] = document(place, service=[])
    host.files["/units/one/did.json"] = document(f"{place}:units:one")
    found = method.resolve(place)
    assert found.document is not None
    assert (found.document["id"], found.metadata) == (place, {})
    assert method.resolve(f"{place}:units:one").document is not None
    with pytest.raises(NotFound):
        method.resolve(f"{place}:units:two")
    with pytest.raises(NotFound, match="no history"):
        method.resolve(place, When(time=1))


@pytest.mark.parametrize(("data", "error", "word"), [
    (document("did:web:other.example"), Refuted, "another identifier"),
    (document("did:web:issuer.example"), Refuted, "another identifier"),
    (b"[]", InvalidDocument, "JSON object"), (b"<html>", InvalidDocument, "JSON"), (b"", InvalidDocument, "JSON"),
    (b'{"id":"a","id":"b"}', InvalidDocument, "keys"), (b'{"a":' * 100 + b"1" + b"}" * 100, InvalidDocument, "deep"),
    (b"[" * 100_000, InvalidDocument, "JSON"), (b'{"id":"\\ud800"}', InvalidDocument, "JSON"),
    (b"x" * ((1 << 20) + 1), OutsideFailed, "at most")], ids=lambda value: str(value)[:12])
def test_did_web_documents_that_are_refused(host: Host, data: bytes, error: type[Exception], word: str) -> None:
    host.files["/.well-known/did.json"] = data
    with pytest.raises(error, match=word):
        WebMethod(fetcher(host, "issuer.example")).resolve(f"did:web:issuer.example%3A{host.port}")


@pytest.mark.parametrize(("did", "url"), [
    ("did:web:example.com", "https://example.com/.well-known/did.json"),
    ("did:web:example.com%3A3000:user:alice", "https://example.com:3000/user/alice/did.json"),
    ("did:web:localhost%3A8443", "https://localhost:8443/.well-known/did.json")])
def test_where_a_did_web_lies(did: str, url: str) -> None:
    assert web_url(did) == url


@pytest.mark.parametrize("did", [
    "did:web:127.0.0.1", "did:web:2130706433", "did:web:0x7f000001", "did:web:0177.0.0.1", "did:web:127.1",
    "did:web:%5B%3A%3A1%5D", "did:web:169.254.169.254", "did:web:example.com%2F..", "did:web:example.com:..",
    "did:web:user%40example.com", "did:web:example.com%3Aport", "did:web:example.com%3A443%3A443"])
def test_did_web_identifiers_that_are_refused(did: str) -> None:
    held = HeldFiles()
    with pytest.raises(BadInput):
        WebMethod(held).resolve(did)
    assert held.asked == []


def test_a_localhost_is_refused_unless_allowed(host: Host) -> None:
    did = f"did:web:localhost%3A{host.port}"
    host.files["/.well-known/did.json"] = document(did)
    with pytest.raises(Undecidable, match="private network's"):
        WebMethod(WebFetch()).resolve(did)
    assert WebMethod(WebFetch(["localhost"])).resolve(did).document is not None  # by the system's own look-up


def test_did_webvh_over_https(host: Host) -> None:
    pair = Ed25519KeyPair(bytes(32))
    did, data = webvh_write.create(f"issuer.example%3A{host.port}:org", lambda _: {}, pair, NOW)
    method = WebvhMethod(fetcher(host, "issuer.example"), ManualClock(NOW))
    with pytest.raises(NotFound):
        method.resolve(did)
    host.files["/org/did.jsonl"] = data
    assert method.resolve(did).metadata["versionId"].startswith("1-")
    host.files["/org/did.jsonl"] = webvh_write.update(data, pair, NOW, parameters={"ttl": 5})
    assert method.resolve(did).metadata["ttl"] == "5"
    host.files["/org/did.jsonl"] = data
    with pytest.raises(Refuted, match="older log"):
        method.resolve(did)
