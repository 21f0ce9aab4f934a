"""A local issuer of identity tokens: its keys, its tokens in GitHub's shape, and its endpoint on the loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ISSUER = "https://token.actions.example"
SECRET = "job-secret-that-nobody-prints"
NOW = 1_790_000_000


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, signature: bytes = b"") -> bytes:
    parts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, claims)]
    return ".".join([*map(base64url, parts), base64url(signature)]).encode()


@dataclass
class Issuer:
    """RS256 under ``rsa-1`` and ES256 under ``ec-1``."""

    rsa_key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65_537, 2_048))
    ec_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwks(self) -> list[dict[str, Any]]:
        public, point = self.rsa_key.public_key().public_numbers(), self.ec_key.public_key().public_numbers()
        return [{"kty": "RSA", "kid": "rsa-1", "alg": "RS256", "use": "sig", "n": base64url(public.n.to_bytes(256)),
                 "e": base64url(public.e.to_bytes(3))},
                {"kty": "EC", "kid": "ec-1", "crv": "P-256", "x": base64url(point.x.to_bytes(32)),
                 "y": base64url(point.y.to_bytes(32))}]

    def pinned(self, **changed: Any) -> dict[str, Any]:
        """What a trust file says of it."""
        return {"issuer": ISSUER, "audience": None, "keys": self.jwks(),
                "require": {"repository": "org/model", "ref": "refs/heads/main"}} | changed

    def token(self, audience: Any, *, key: str = "rsa-1", header: dict[str, Any] | None = None,
              **changed: Any) -> bytes:
        """A signed token in GitHub's shape; a claim given as None is left out."""
        claims = {"iss": ISSUER, "aud": audience, "sub": "repo:org/model:ref:refs/heads/main", "iat": NOW,
                  "nbf": NOW - 5, "exp": NOW + 300, "repository": "org/model", "ref": "refs/heads/main",
                  "workflow": "train", "actor": "someone", "run_id": "1"} | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        head = {"alg": "RS256" if key == "rsa-1" else "ES256", "kid": key, "typ": "JWT"} | (header or {})
        message = compact(head, claims).rpartition(b".")[0]
        return message + b"." + base64url(self.sign(key, message)).encode()

    def sign(self, key: str, message: bytes) -> bytes:
        if key == "rsa-1":
            return self.rsa_key.sign(message, padding.PKCS1v15(), SHA256())
        r, s = decode_dss_signature(self.ec_key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    @contextmanager
    def endpoint(self, **changed: Any) -> Iterator[dict[str, str]]:
        """GitHub's endpoint for a job's token: the environment that a job finds."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers["Authorization"] != f"Bearer {SECRET}":
                    self.send_error(401)
                    return
                (audience,) = parse_qs(urlparse(self.path).query)["audience"]
                body = json.dumps({"count": 1, "value": issuer.token(audience, **changed).decode()}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield {"ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?api-version=2.0",
                   "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET}
            server.shutdown()
            thread.join()
