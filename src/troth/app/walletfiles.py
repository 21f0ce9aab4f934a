"""A wallet's files: JSON, each encrypted (AES-256-GCM) under one key that lies in the wallet's keystore.

A file's name is associated data, so one cannot be put in another's place; an older version of the same file can be put
back by whoever writes to the disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from troth.core.errors import BadInput, OutsideFailed
from troth.identity.jsondoc import canonical, read_json
from troth.store.files import replacing

MOST = 64 << 20
_NONCE = 12


class SealedFolder:
    """JSON objects by name under ``root``; names may have one folder in front. key: 32 bytes."""

    __slots__ = ("_key", "_root")

    def __init__(self, root: Path, key: bytes) -> None:
        self._root, self._key = root, key

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Put an object there, whole or not at all."""
        # Imported here: OpenSSL's bindings are needed only once a wallet is opened.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        with replacing(self._root / name, 0o600) as out:
            out.write(nonce + AESGCM(self._key).encrypt(nonce, canonical(value), _place(name)))

    def read(self, name: str) -> dict[str, Any] | None:
        """The object, None if there is none. Raises BadInput for a damaged or foreign file."""
        # Imported here for the same reason.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutsideFailed(f"cannot read {self._root / name}", actual=error.strerror) from None
        try:
            return read_json(AESGCM(self._key).decrypt(data[:_NONCE], data[_NONCE:], _place(name)), MOST)
        except (InvalidTag, ValueError):
            raise BadInput(f"{self._root / name} is damaged, or not this wallet's",
                           do="Restore it from a backup.") from None

    def delete(self, name: str) -> None:
        """Delete it, if it is there."""
        (self._root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """The objects in a folder, sorted. What a killed writer left has another name."""
        return sorted(path.name for path in (self._root / folder).iterdir() if path.name.isalnum())

    def __repr__(self) -> str:
        return f"SealedFolder({self._root})"


def _place(name: str) -> bytes:
    return b"troth/wallet/v1\n" + name.encode()
