"""A web server on this machine with certificates of a CA of its own, for the tests of what is fetched from hosts."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "issuer.example", "wild.example")


@dataclass
class Host:
    """Files by path, answers by path, and what was asked."""

    port: int
    authority: Path
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    def lookup(self, host: str, port: int, **_: Any) -> list[Any]:
        """Every name leads to this machine, whatever name servers say."""
        self.looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


def certificates(folder: Path) -> tuple[Path, Path]:
    """(the CA's certificate, a chain with its key for ``NAMES``), as PEM files."""
    now = datetime.datetime.now(datetime.UTC)
    ca, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ours = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])

    def signed(subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: Any) -> bytes:
        made = x509.CertificateBuilder(ours, subject, key, x509.random_serial_number(),
                                       now - datetime.timedelta(days=1), now + datetime.timedelta(days=1))
        for extension, critical in extensions:
            made = made.add_extension(extension, critical)
        return made.sign(ca, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority, chain = folder / "ca.pem", folder / "host.pem"
    authority.write_bytes(signed(ours, ca.public_key(), (x509.BasicConstraints(True, None), True), (usage, True),
                                 (x509.SubjectKeyIdentifier.from_public_key(ca.public_key()), False)))
    leaf_pem = signed(x509.Name([]), leaf.public_key(), (identifier, False),
                      (x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), True))
    chain.write_bytes(leaf_pem + leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))
    return authority, chain


@contextmanager
def running(folder: Path) -> Iterator[Host]:
    """The server, on a port of its own."""
    authority, chain = certificates(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host.asked.append((self.headers["Host"], self.path))
            if self.path in host.answers:
                host.answers[self.path](self)
                return
            data = host.files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    host = Host(server.server_address[1], authority)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
