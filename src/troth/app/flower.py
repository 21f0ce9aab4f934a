"""Flower prepared: what a SuperLink and each site's SuperNode need, as files and one script each.

A private key is made on the machine that uses it. The link's side makes a certificate authority for itself alone; a
site gets its certificate (``ca.pem``), and gives the public half of its node key (``node.pub``). Scripts name files and
addresses, never a secret; files with secrets have mode 0600, in folders of mode 0700.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.engines import Answer, Engine, Tell
from troth.learn.engines.carried import CarriedEngine
from troth.learn.engines.courier import CourierEngine, couriered
from troth.learn.engines.door import Door, checked_path, door_of
from troth.learn.engines.flower import DOORS, ENGINE, NODES, OFF, read_nodes
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Troth

CERTIFICATE_DAYS = 90
LOOPBACK = "127.0.0.1"
_APP = """\
# A Flower app that carries Troth's calls. It has no settings: where things lie comes from whoever starts Flower.
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "troth-carrier"
version = "1.0.0"
description = "Carries calls to sites and their answers back"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.42.0"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "troth"
fab-format-version = 1
flwr-version-target = "1.42.0"

[tool.flwr.app.components]
serverapp = "troth_carrier:server"
clientapp = "troth_carrier:client"

[tool.flwr.app.config]
"""
_CARRIER = '''\
"""Carries calls to sites and their answers back. Everything is in ``troth.learn.engines.flower``."""

from troth.learn.engines.flower import client_app, server_app

client = client_app()
server = server_app()
'''


@dataclass(frozen=True, slots=True)
class Link:
    """The prepared folder of a SuperLink. Secret: the two keys, and what Flower's processes know each other by."""

    folder: Path

    @property
    def engine(self) -> Path:
        """The socket at which the process that asks listens."""
        return self.folder / "engine"

    @property
    def ca(self) -> Path:
        """The certificate that every SuperNode checks the link by: a site gets it, and it is no secret."""
        return self.folder / "ca.pem"


@dataclass(frozen=True, slots=True)
class Node:
    """The prepared folder of one site's SuperNode. Secret: the node key, and the executor's."""

    folder: Path
    site: str

    @property
    def door(self) -> Path:
        """The socket at which the site's own process answers."""
        return door_of(self.folder / "doors", self.site)

    @property
    def public(self) -> Path:
        """The public half of the node key, which the link's side registers."""
        return self.folder / "node.pub"


def prepare_link(folder: Path | str, sites: Mapping[str, bytes], *, host: str = LOOPBACK, port: int = 9092,
                 now: int) -> Link:
    """Make the folder of a SuperLink that serves ``host``:``port`` to these sites, by DID and public node key.

    What is there already is kept, so that a site can be added; a new address gets a new certificate of the same
    authority. Raises BadInput for keys or names that are none, OutsideFailed if the disk refuses.
    """
    folder = Path(folder)
    link = Link(_made(folder))
    checked_path(link.engine)
    _authority(link.folder, host, now)
    _once(link.folder / "executor.secret", secrets.token_hex(32).encode())
    _write(link.folder / "nodes.json", json.dumps({site: key.decode() for site, key in sorted(sites.items())},
                                                  indent=1).encode())
    read_nodes(str(link.folder / "nodes.json"))
    app = _made(link.folder / "app")
    _write(app / "pyproject.toml", _APP.encode())
    _write(app / "troth_carrier.py", _CARRIER.encode())
    _write(app / "LICENSE", b"As Troth's: Apache License, Version 2.0, https://www.apache.org/licenses/LICENSE-2.0\n")
    home = _made(link.folder / "home")
    address = f"{host}:{port}"
    _write(home / "config.toml", f"""[superlink]
default = "troth"

[superlink.troth]
address = {json.dumps(address)}
root-certificates = {json.dumps(str(link.ca))}
""".encode())
    tls = ["--ssl-ca-certfile", link.ca, "--ssl-certfile", link.folder / "link.pem", "--ssl-keyfile",
           link.folder / "link.key"]
    here = {"FLWR_HOME": str(home), ENGINE: str(link.engine), NODES: str(link.folder / "nodes.json")}
    _script(link.folder / "superlink.sh", here, [
        _program("flower-superlink", "--isolation", "process", "--enable-supernode-auth", "--host", host,
                 "--port", port, "--superexec-auth-secret-file", link.folder / "executor.secret",
                 "--disable-runtime-dependency-installation", *tls),
        _executor(address, link.folder, link.ca)])
    keys = [link.folder / f"node-{index}.pub" for index in range(len(sites))]
    for path, key in zip(keys, sites.values(), strict=True):
        _write(path, key)
    _script(link.folder / "register.sh", here, [_program("flwr", "supernode", "register", path, "troth")
                                                for path in keys], together=False)
    _script(link.folder / "run.sh", here, [_program("flwr", "run", app, "troth", "--format", "json")], together=False)
    return link


def prepare_node(folder: Path | str, site: str, *, link: str = f"{LOOPBACK}:9092", ca: bytes | None = None,
                 port: int = 9094) -> Node:
    """Make the folder of a site's SuperNode; without ``ca`` only its key, so that the public half can be given away.

    link: the SuperLink's address. port: where the node's own processes find it, on loopback. Raises BadInput for a
    certificate that is none, OutsideFailed if the disk refuses.
    """
    folder = Path(folder)
    node = Node(_made(folder), site)
    _made(node.folder / "doors")
    checked_path(node.door)
    _once(node.folder / "executor.secret", secrets.token_hex(32).encode())
    key = _key(node.folder / "node.key", form.PrivateFormat.OpenSSH)
    _write(node.public, key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH))
    if ca is None:
        return node
    try:
        x509.load_pem_x509_certificate(ca)
    except ValueError as error:
        raise BadInput("this is no certificate", expected="PEM", actual=error) from None
    _write(node.folder / "ca.pem", ca)
    here = {"FLWR_HOME": str(_made(node.folder / "home")), DOORS: str(node.folder / "doors")}
    _script(node.folder / "supernode.sh", here, [
        _program("flower-supernode", "--isolation", "process", "--superlink", link, "--host", LOOPBACK, "--port", port,
                 "--root-certificates", node.folder / "ca.pem", "--auth-supernode-private-key",
                 node.folder / "node.key", "--superexec-auth-secret-file", node.folder / "executor.secret"),
        _executor(f"{LOOPBACK}:{port}", node.folder, None)])
    return node


def _program(name: str, *arguments: object) -> str:
    """A command line of Flower's, from the environment that runs this."""
    return shlex.join([str(Path(sys.executable).parent / name), *map(str, arguments)])


def _executor(address: str, folder: Path, ca: Path | None) -> str:
    """Troth's executor for what Flower serves at ``address``."""
    trust: list[object] = ["--insecure"] if ca is None else ["--root-certificates", ca]
    return shlex.join(map(str, [sys.executable, "-m", "troth.learn.engines.flower_exec", "--runtime-api-address",
                                address, "--superexec-auth-secret-file", folder / "executor.secret", *trust]))


def _script(path: Path, environment: Mapping[str, str], commands: list[str], *, together: bool = True) -> None:
    """A script that runs these in this environment: all at once until one ends, which ends the others; or in turn."""
    lines = ["#!/bin/sh", "set -eu",
             *(f"export {name}={shlex.quote(value)}" for name, value in sorted((OFF | dict(environment)).items()))]
    if together:
        lines += ["started=", "finish() { trap - EXIT TERM INT; kill $started 2>/dev/null || true; wait; exit; }",
                  "trap finish EXIT TERM INT"]
        for command in commands:
            lines += [f"{command} &", 'started="$started $!"']
        lines += ["while :; do", "  for one in $started; do kill -0 $one 2>/dev/null || exit 1; done",
                  "  sleep 1 & wait $! || true", "done"]
    else:
        lines += commands
    _write(path, ("\n".join(lines) + "\n").encode(), mode=0o700)


def _authority(folder: Path, host: str, now: int) -> None:
    """A certificate authority of this link alone, and a certificate for its address."""
    key, path = _key(folder / "ca.key"), folder / "ca.pem"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Troth link {key_id(key)}")])
    begin = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)

    def made(subject: x509.Name, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(begin)
                .not_valid_after(begin + timedelta(days=days))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))

    if not path.exists():
        authority = (made(name, key.public_key(), 10 * CERTIFICATE_DAYS)
                     .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
                     .add_extension(_usage(sign=False), True))
        _write(path, authority.sign(key, hashes.SHA256()).public_bytes(form.Encoding.PEM))
    own = _key(folder / "link.key")
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    try:
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        try:
            names.append(x509.DNSName(host))
        except ValueError:
            raise BadInput("a certificate cannot name this host", actual=host) from None
    certificate = (made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]), own.public_key(),
                        CERTIFICATE_DAYS)
                   .add_extension(x509.SubjectAlternativeName(list(dict.fromkeys(names))), False)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
                   .add_extension(_usage(sign=True), True)
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
    _write(folder / "link.pem", certificate.sign(key, hashes.SHA256()).public_bytes(form.Encoding.PEM))


def key_id(key: ec.EllipticCurvePrivateKey) -> str:
    """A short name of a key, by its public half."""
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:12]


def _usage(*, sign: bool) -> x509.KeyUsage:
    """What a key may do: sign a handshake, or certificates."""
    return x509.KeyUsage(digital_signature=sign, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=not sign, crl_sign=not sign,
                         encipher_only=False, decipher_only=False)


def _key(path: Path, wanted: form.PrivateFormat = form.PrivateFormat.PKCS8) -> ec.EllipticCurvePrivateKey:
    """The key in a file, made there first: P-384, in the format that Flower wants of a node or of a server."""
    if not path.exists():
        made = ec.generate_private_key(ec.SECP384R1())
        _once(path, made.private_bytes(form.Encoding.PEM, wanted, form.NoEncryption()))
    load = form.load_pem_private_key if wanted is form.PrivateFormat.PKCS8 else form.load_ssh_private_key
    try:
        found = load(path.read_bytes(), None)
    except (ValueError, TypeError):
        raise BadInput(f"the key in {path} cannot be read", do="Delete it, and prepare again.") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise BadInput(f"the key in {path} is of another kind", expected="P-384", actual=type(found).__name__)
    return found


def _made(folder: Path) -> Path:
    """A folder for this user alone. Raises Misuse where others can enter one that is there."""
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise Misuse("others can enter this folder", expected="mode 0700", actual=folder,
                         do="Name a new folder, or chmod 700 this one.")
    except OSError as error:
        raise OutsideFailed(f"cannot make {folder}", actual=error.strerror) from None
    return folder


def _once(path: Path, data: bytes) -> None:
    """Write a secret, readable by this user alone, unless it is there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise OutsideFailed(f"cannot write {path}", actual=error.strerror) from None
    with open(handle, "wb") as out:
        out.write(data)


def _write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    with replacing(path, mode) as out:
        out.write(data)


def open_door(party: Troth, answer: Answer, node: Node, tell: Tell | None = None, *, courier: bool = False) -> Door:
    """A site's door: calls that come over Flower are answered by ``answer``, in the thread that calls its ``serve``.

    courier: parcels travel with the calls, for a site that reaches no post office; its exchange is then a folder of
    its own, and the caller's ``over_flower`` says the same. Raises Misuse where the node was prepared for another site,
    or another process answers at this door.
    """
    if party.did != node.site:
        raise Misuse("this node was prepared for another site", expected=node.site, actual=party.did)
    said = couriered(answer, party.exchange, party.did, party.keybook.dids) if courier else answer
    return Door(node.door, said, tell, apart=False)


@contextmanager
def over_flower(party: Troth, link: Link, tell: Tell | None = None, *, courier: bool = False) -> Iterator[Engine]:
    """The engine of whoever calls, over the run of a prepared link. courier: as the sites' doors have it."""
    with CarriedEngine(link.engine, tell=tell) as engine:
        yield CourierEngine(engine, party.exchange, tell) if courier else engine


def read_link(folder: Path | str) -> Link:
    """A link that was prepared. Raises Misuse where there is none."""
    folder = Path(folder)
    link = Link(folder.resolve())
    if not link.ca.exists():
        raise Misuse("no SuperLink was prepared here", actual=folder, do="Prepare one: troth flower link.")
    return link


def read_node(folder: Path | str, site: str) -> Node:
    """A site's node that was prepared. Raises Misuse where there is none."""
    folder = Path(folder)
    node = Node(folder.resolve(), site)
    if not node.public.exists():
        raise Misuse("no SuperNode was prepared here", actual=folder, do="Prepare one: troth flower node.")
    return node
