"""Keys kept from one run to the next.

A key is named by the digest of its circuit (so of the program or architecture and of the modes), by its origin and by
the version of this layout. Files are written whole or not at all; of two that make one key at once, the first one's is
kept and both use it. Dev keys make room for newer ones when the folder passes its bound; keys of a ceremony are never
removed. Whoever relies on a dev key for long should keep a copy: no other setup makes the same key.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from troth.compute.circuits.builder import Circuit
from troth.compute.provers import zkey
from troth.compute.provers.port import DEV, Keys, Prover
from troth.core.encoding import sha256
from troth.core.errors import OutsideFailed

VERSION = 2
DEFAULT_LIMIT = 2 << 30
"""Bytes of dev keys."""


class KeyCache:
    """A folder of keys. limit: bytes of dev keys; the newest one stays, however large."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def keys(self, prover: Prover, circuit: Circuit) -> Keys:
        """The keys to use for a circuit: of a ceremony where one was imported, else dev keys, made now if need be."""
        found = self._find(circuit)
        if found is not None:
            return found
        made = prover.setup(circuit)
        return made if self._keep(self._path(circuit, DEV), zkey.write(made, circuit)) else self.keys(prover, circuit)

    def import_ceremony(self, data: bytes, circuit: Circuit) -> Keys:
        """Keep a ceremony's .zkey for a circuit, to be used from now on. Raises BadInput as `zkey.read` does, with
        nothing written."""
        found = zkey.read(data, circuit)
        self._keep(self._path(circuit, found.origin), data)
        return found

    def export(self, keys: Keys, circuit: Circuit) -> bytes:
        """Keys as a .zkey file."""
        return zkey.write(keys, circuit)

    # ---- parts ----

    def _path(self, circuit: Circuit, origin: str) -> Path:
        name = DEV if origin == DEV else "ceremony-" + sha256(origin.encode()).hex()[:16]
        return self.folder / f"{circuit.digest}.{name}.v{VERSION}.zkey"

    def _find(self, circuit: Circuit) -> Keys | None:
        ceremonies = sorted(self.folder.glob(f"{circuit.digest}.ceremony-*.v{VERSION}.zkey"), key=_age)
        for path in (*ceremonies[-1:], self._path(circuit, DEV)):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutsideFailed("a key could not be read", actual=error, do=f"Look at {path}.") from error
            with suppress(OSError):   # how lately it was used; not worth failing for
                os.utime(path)
            return zkey.read(data, circuit, ours=path not in ceremonies)
        return None

    def _keep(self, path: Path, data: bytes) -> bool:
        """Write a file, unless another run has: whether it was written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{secrets.token_hex(8)}.part")
            try:
                with partial.open("xb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                os.link(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise OutsideFailed("a key could not be kept", actual=error, do=f"Make room in {self.folder}.") from error
        self._make_room(path)
        return True

    def _make_room(self, newest: Path) -> None:
        held = sorted(self.folder.glob(f"*.{DEV}.v*.zkey"), key=_age)
        sizes = {path: path.stat().st_size for path in held if path.exists()}
        for path in held:
            if sum(sizes.values()) <= self.limit or path == newest:
                continue
            path.unlink(missing_ok=True)
            sizes.pop(path, None)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:   # removed by another run meanwhile
        return 0.0
