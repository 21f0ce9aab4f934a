"""Flower prepared: TLS that a client checks, keys that stay, secrets in files of their owner's alone."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from troth.app.flower import open_door, prepare_link, prepare_node, read_link, read_node
from troth.cli.main import app
from troth.core.errors import BadInput, Misuse
from troth.learn.engines.flower import GridEngine, read_nodes

SITES = ("did:troth:a", "did:troth:b")
NOW = int(time.time())
SECRET = {"ca.key", "link.key", "node.key", "executor.secret"}


def handshake(link: Path, ca: Path, host: str) -> None:
    """A TLS server with the link's certificate, and a client that trusts ``ca`` and asks for ``host``."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(link / "link.pem", link / "link.key")
    client = ssl.create_default_context(cafile=str(ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve() -> None:
            with listening.accept()[0] as link:
                try:
                    server.wrap_socket(link, server_side=True).close()
                except OSError:
                    return  # the client did not like it

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            with socket.create_connection(listening.getsockname()) as one, client.wrap_socket(
                    one, server_hostname=host):
                pass
        finally:
            thread.join(10)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: a socket's path is short, and the usual one is long where tests run side by side."""
    with tempfile.TemporaryDirectory(prefix="troth-") as folder:
        yield Path(folder)


def test_prepared_in_the_order_in_which_people_do_it(tmp_path: Path) -> None:
    nodes = [prepare_node(tmp_path / f"n{index}", site) for index, site in enumerate(SITES)]
    assert not (nodes[0].folder / "supernode.sh").exists()
    keys = {node.site: node.public.read_bytes() for node in nodes}
    link = prepare_link(tmp_path / "link", keys, port=9999, now=NOW)
    again = [prepare_node(node.folder, node.site, link="127.0.0.1:9999", ca=link.ca.read_bytes()) for node in nodes]
    assert [node.public.read_bytes() for node in again] == list(keys.values())
    assert read_nodes(str(link.folder / "nodes.json")) == keys
    GridEngine(None, keys)  # type: ignore[arg-type]  # the keys are keys
    assert read_link(link.folder) == link
    assert read_node(nodes[0].folder, SITES[0]) == nodes[0]
    for path in tmp_path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, path
        if path.suffix == ".sh":
            assert mode == 0o700
            script = path.read_text()
            subprocess.run(["sh", "-n", path], check=True)
            for name, value in (("FLWR_TELEMETRY_ENABLED", 0), ("FLWR_DISABLE_UPDATE_CHECK", 1),
                                ("RAY_USAGE_STATS_ENABLED", 0), ("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION", 1)):
                assert f"export {name}={value}\n" in script
            for secret in (one for one in tmp_path.rglob("*") if one.name in SECRET):
                assert secret.read_text().strip() not in script


def test_the_links_certificate_holds_for_its_address_and_no_other(tmp_path: Path) -> None:
    link = prepare_link(tmp_path / "link", {}, host="link.example", now=NOW)
    other = prepare_link(tmp_path / "other", {}, now=NOW)
    for host in ("link.example", "127.0.0.1", "localhost"):
        handshake(link.folder, link.ca, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(link.folder, link.ca, "elsewhere.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(link.folder, other.ca, "127.0.0.1")
    old = prepare_link(tmp_path / "old", {}, now=NOW - 400 * 86_400)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(old.folder, old.ca, "127.0.0.1")


def test_preparing_again_keeps_the_authority(tmp_path: Path) -> None:
    link = prepare_link(tmp_path / "link", {}, now=NOW)
    before = link.ca.read_bytes(), (link.folder / "ca.key").read_bytes()
    prepare_link(tmp_path / "link", {}, host="127.0.0.2", now=NOW)
    assert (link.ca.read_bytes(), (link.folder / "ca.key").read_bytes()) == before
    handshake(link.folder, link.ca, "127.0.0.2")
    constraint = x509.load_pem_x509_certificate(before[0]).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraint.value.ca
    assert constraint.value.path_length == 0


def test_refusals(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    with pytest.raises(Misuse, match="others can enter"):
        prepare_node(open_to_all, SITES[0])
    with pytest.raises(BadInput, match="too long"):
        prepare_node(tmp_path / ("x" * 90), SITES[0])
    with pytest.raises(BadInput, match="no certificate"):
        prepare_node(tmp_path / "n", SITES[0], ca=b"no")
    with pytest.raises(BadInput, match="cannot name this host"):
        prepare_link(tmp_path / "l", {}, host="ä", now=NOW)
    (tmp_path / "n" / "node.key").write_text("damaged")
    with pytest.raises(BadInput, match="cannot be read"):
        prepare_node(tmp_path / "n", SITES[0])
    for read in (lambda: read_link(tmp_path / "none"), lambda: read_node(tmp_path / "none", SITES[0])):
        with pytest.raises(Misuse, match="was prepared here"):
            read()


def test_a_door_is_its_sites(tmp_path: Path) -> None:
    class Party:
        did = SITES[1]

    node = prepare_node(tmp_path / "n", SITES[0])
    with pytest.raises(Misuse, match="another site"):
        open_door(Party(), lambda call: call, node)  # type: ignore[arg-type]


def test_from_the_command_line(tmp_path: Path) -> None:
    def run(*arguments: object) -> dict[str, object]:
        done = CliRunner().invoke(app, [*map(str, ("flower", *arguments)), "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, object] = json.loads(done.output)
        return found

    made = run("node", tmp_path / "n", "--site", SITES[0])
    assert made["start"] is None
    link = run("link", tmp_path / "l", "--site", f"{SITES[0]}={made['public_key']}", "--port", 9999)
    made = run("node", tmp_path / "n", "--site", SITES[0], "--link", "127.0.0.1:9999", "--ca", link["ca"])
    assert "--superlink 127.0.0.1:9999" in Path(str(made["start"])).read_text()
