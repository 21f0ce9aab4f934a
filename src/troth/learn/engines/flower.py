"""The engine over Flower (extra ``flower``): calls travel in Flower's messages, from its ServerApp to its ClientApps.

Flower is a carrier and no more. Its server is told which node belongs to which site, and uses that to deliver; what an
answer is worth is decided by what the site signed inside it. The keys and workspaces are in processes of their own,
behind doors: neither end of Flower holds a secret.

Where things lie comes from the environment of whoever starts Flower, never from a run's configuration: anybody who
reaches a SuperLink may submit a run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Tell, asked, sorted_out
from troth.learn.engines.carried import carry
from troth.learn.engines.door import door_of, knock

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp

HINT = "pip install 'troth[flower]'"
DOORS = "TROTH_FLOWER_DOORS"
"""At a site: the folder that the door of this site lies in."""
ENGINE = "TROTH_FLOWER_ENGINE"
"""At the server: the socket of the process that asks."""
NODES = "TROTH_FLOWER_NODES"
"""At the server: a JSON file, each site's node key by its DID. Without it any node serves any site."""
OFF = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0",
       "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1"}
"""The environment in which Flower tells its makers nothing and installs nothing."""
WAIT = 600.0
"""Seconds that a run waits for whoever calls."""
_RECORD, _SITE, _CALL, _ANSWER = "troth", "site", "call", "answer"


class GridEngine:
    """Asks over a Flower ``Grid``, as a ServerApp has one.

    keys: each site's node key (OpenSSH, or PEM as Flower shows it), by DID. A node that shows another key is not
    asked: Flower hands its keys on, but does not compare them. Two nodes with one key are none. None instead of keys:
    any node serves any site, which is for
    simulations.
    """

    def __init__(self, grid: Grid, keys: Mapping[str, bytes] | None, *, most: int = MAX_ANSWER,
                 tell: Tell | None = None, pause: float = 0.2) -> None:
        self._grid, self._most, self._pause = grid, most, pause
        self._tell = tell or (lambda site, why: None)
        self._keys = None if keys is None else {site: _canonical(key) for site, key in keys.items()}

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """As ``Engine.ask``: a site whose node is not there yet is asked when it comes. OutsideFailed: no grid."""
        names = asked(call, sites, patience, MAX_CALL)
        end = time.monotonic() + patience
        unasked, waiting = list(names), dict[str, tuple[str, int]]()
        come: list[tuple[str, object]] = []
        while names:
            for site, node in self._nodes(unasked).items():
                sent = self._push(site, node, call, end - time.monotonic())
                if sent:
                    unasked.remove(site)
                    waiting[sent] = site, node
            for reply in self._pull(list(waiting)):
                site, node = waiting.get(reply.metadata.reply_to_message_id, ("", 0))
                if site and reply.metadata.src_node_id == node:
                    del waiting[reply.metadata.reply_to_message_id]
                    come.append((site, self._read(site, reply)))
                elif site:
                    self._tell(site, "was answered for by another node")
            if not (unasked or waiting) or time.monotonic() >= end:
                break
            time.sleep(min(self._pause, max(end - time.monotonic(), 0)))
        for site in (*unasked, *(site for site, _ in waiting.values())):
            self._tell(site, "has no node here" if site in unasked else "did not answer in time")
        return sorted_out(names, ((site, answer) for site, answer in come if answer is not None), self._most,
                          self._tell)

    def _nodes(self, sites: Sequence[str]) -> dict[str, int]:
        """The node of each of these sites that has one now."""
        if not sites:
            return {}
        try:
            nodes = list(self._grid.get_nodes())
        except Exception as error:  # Flower's own, httpx's and grpc's have no root in common
            raise OutsideFailed("Flower's grid does not answer", actual=error) from error
        if self._keys is None:
            ids = sorted(node.node_id for node in nodes)
            return {site: ids[index % len(ids)] for index, site in enumerate(sites)} if ids else {}
        found: dict[bytes, int | None] = {}
        for node in nodes:
            key = _canonical_or_none(node.public_key)
            if key is not None:
                found[key] = None if key in found else node.node_id
        owned = {site: found.get(self._keys.get(site, b"")) for site in sites}
        return {site: node for site, node in owned.items() if node is not None}

    def _push(self, site: str, node: int, call: bytes, left: float) -> str | None:
        from flwr.app import ConfigRecord, Message, MessageType, RecordDict  # Flower is an extra, and slow to load

        record = RecordDict({_RECORD: ConfigRecord({_SITE: site, _CALL: call})})
        message = Message(record, node, MessageType.QUERY, ttl=max(left, 1.0), group_id="")
        try:
            return next(iter(self._grid.push_messages([message])), None)
        except Exception as error:  # a node that has just gone is that site's affair
            self._tell(site, f"could not be asked: {error}")
            return None

    def _pull(self, ids: Sequence[str]) -> Iterable[Message]:
        """What has come. One reply that cannot be read must not keep the others: then each is pulled alone."""
        for some in (ids, *([one] for one in ids)) if len(ids) > 1 else (ids,):
            if not some:
                return
            try:
                found = list(self._grid.pull_messages(some))
            except Exception as error:  # whatever Flower makes of a reply that is no message
                if len(some) == 1:
                    self._tell(some[0], f"said what Flower cannot read: {error}")
                continue
            yield from found
            if some is ids:
                return

    def _read(self, site: str, reply: Message) -> object:
        if reply.has_error():
            self._tell(site, f"failed: {reply.error.reason}")
            return None
        record = reply.content.get(_RECORD)
        answer = record.get(_ANSWER) if hasattr(record, "get") else None
        if type(answer) is not bytes:
            self._tell(site, "answered something else than an answer")
        return answer


def answer_message(message: Message, context: Context | None = None) -> Message:
    """What a ClientApp does with a message: hand the call in at the site's door. Raises what ``knock`` raises."""
    from flwr.app import ConfigRecord, Message, RecordDict  # Flower is an extra, and slow to load

    record = message.content[_RECORD]
    assert isinstance(record, ConfigRecord)
    site, call = record[_SITE], record[_CALL]
    if not isinstance(site, str) or not isinstance(call, bytes):
        raise BadInput("this message carries no call")
    folder = os.environ.get(DOORS)
    if not folder:
        raise Misuse("no doors are known here", do=f"Set {DOORS} to the folder of this site's door.")
    answer = knock(door_of(Path(folder), site), call, message.metadata.ttl)
    return Message(RecordDict({_RECORD: ConfigRecord({_ANSWER: answer})}), reply_to=message)


def serve_grid(grid: Grid, context: Context | None = None) -> None:
    """What a ServerApp does: carry the calls of the process that asks, until it closes."""
    socket = os.environ.get(ENGINE)
    if not socket:
        raise Misuse("who asks is not known here", do=f"Set {ENGINE} to its socket.")
    carry(Path(socket), GridEngine(grid, read_nodes(os.environ.get(NODES))), WAIT)


def read_nodes(path: str | None) -> dict[str, bytes] | None:
    """The node keys by site from a JSON file; None without one. Raises BadInput."""
    if not path:
        return None
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(site): str(key).encode() for site, key in given.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"the nodes in {path} cannot be read", actual=error) from None


def client_app() -> ClientApp:
    """The ClientApp of a Flower app."""
    from flwr.clientapp import ClientApp  # Flower is an extra, and slow to load

    app = ClientApp()
    app.query()(answer_message)
    return app


def server_app() -> ServerApp:
    """The ServerApp of a Flower app."""
    from flwr.serverapp import ServerApp  # Flower is an extra, and slow to load

    app = ServerApp()
    app.main()(serve_grid)
    return app


def _canonical(key: bytes) -> bytes:
    """A public key as DER. Raises BadInput."""
    # Imported here: what does not use Flower does not load it.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    try:
        load = form.load_pem_public_key if key.startswith(b"-----") else form.load_ssh_public_key
        return load(key).public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput("this is no public key", expected="PEM or OpenSSH", actual=error) from None


def _canonical_or_none(key: bytes) -> bytes | None:
    try:
        return _canonical(key)
    except BadInput:
        return None
