"""Blocks by CID over any store: the one place where bytes are compared with their name."""

from __future__ import annotations

import hashlib

from troth.core.errors import Refuted
from troth.core.ports import Blobs
from troth.store.cid import Cid


def get_block(blobs: Blobs, cid: Cid) -> bytes:
    """The block named ``cid``, checked against it.

    Raises Refuted if the store answers with other bytes, Undecidable if it does not have the block.
    """
    data = blobs.get(str(cid))
    digest = hashlib.sha256(data).digest()
    if digest != cid.digest:
        raise Refuted(f"the store's bytes are not those of block {cid}", expected=f"sha256 {cid.digest.hex()}",
                      actual=digest.hex(), do="Delete the block from this store and fetch it elsewhere.")
    return data


def put_block(blobs: Blobs, cid: Cid, data: bytes) -> None:
    """Keep a block that came from outside, after checking it against ``cid``.

    A block put under a wrong name would stay there, since putting a name twice is a no-op. Raises Refuted if the
    bytes are not the name's.
    """
    digest = hashlib.sha256(data).digest()
    if digest != cid.digest:
        raise Refuted(f"these bytes are not those of block {cid}", expected=f"sha256 {cid.digest.hex()}",
                      actual=digest.hex(), do="Refuse the source that sent them.")
    blobs.put(str(cid), data)
