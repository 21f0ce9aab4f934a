"""A Flower grid inside this process: real messages, the real ClientApp, threads for nodes, and an operator who lies."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from copy import deepcopy

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

Lie = Callable[[list[Message]], list[Message]]
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # what Flower sets in a task of its own


def node_key() -> bytes:
    """A node's public key as Flower shows it."""
    return ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class ThreadGrid(Grid):
    """Nodes by their public keys, each with a ClientApp. ``lie``: what the operator makes of the replies."""

    def __init__(self, nodes: dict[bytes, ClientApp], lie: Lie | None = None) -> None:
        self.nodes = {1000 + index: (key, app) for index, (key, app) in enumerate(nodes.items())}
        self.lie = lie
        self.came: list[Message] = []
        self._lock = threading.Lock()

    def set_run(self, run: Run) -> None:
        """There is one run."""

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str,
                       ttl: float | None = None) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=node, public_key=key) for node, (key, _) in self.nodes.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = uuid.uuid4().hex
            sent.append(message.metadata.message_id)
            threading.Thread(target=self._work, args=(deepcopy(message),), daemon=True).start()
        return sent

    def _work(self, message: Message) -> None:
        """As a SuperNode: an app that raises becomes an error in its reply."""
        node = message.metadata.dst_node_id
        context = Context(run_id=0, node_id=node, node_config={}, state=RecordDict(), run_config={}, series_id=0)
        try:
            reply = self.nodes[node][1](message, context)
        except Exception as error:
            reply = Message(Error(code=0, reason=str(error)), reply_to=message)
        with self._lock:
            self.came.append(reply)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        with self._lock:
            found = [reply for reply in self.came if reply.metadata.reply_to_message_id in wanted]
            self.came = [reply for reply in self.came if reply not in found]
        return self.lie(found) if self.lie else found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise NotImplementedError
