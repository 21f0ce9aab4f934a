"""Which chain was behind an address the first time, and refusing another one from then on.

A file of JSON: ``{url: {"genesis": 64 hex, "id": number}}``. The first answer is taken on trust; whoever has a trust
file compares it with that. What it stops is the slip and the swap afterwards: a node that was set up anew, another
network behind the same name, a proxy that leads elsewhere. It does not tell apart two forks of one chain.
"""

from __future__ import annotations

from pathlib import Path

from troth.core import encoding
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger.chains import Chain, open_chain
from troth.store.files import holding, replacing

FLEETING = frozenset({"embedded:", "anvil:"})
"""Addresses of chains that begin anew each time."""
TURN = 60.0
"""Seconds to wait for another process that remembers a chain."""


def open_pinned(url: str, file: Path, chain_id: int | None = None) -> Chain:
    """The chain at ``url``, which must be the one that ``file`` remembers; remembered there if it is the first time.

    chain_id: what it must be, and what a chain made here begins with. Raises Misuse for another chain, BadInput for a
    file that cannot be read, and as ``open_chain``.
    """
    pins = _read(file)
    known = pins.get(url)
    if url in FLEETING:
        return open_chain(url, chain_id=chain_id)
    if known is not None:
        try:
            return open_chain(url, chain_id=known[0], genesis_hash=known[1])
        except Misuse as error:
            raise Misuse(error.message, expected=error.expected, actual=error.actual,
                         do=f"Correct the address. If you meant to change the chain, remove it from {file}.") from error
    chain = open_chain(url, chain_id=chain_id)
    try:
        with holding(f"{file}.lock", TURN, "another process is remembering a chain"):
            pins = _read(file)  # another process may have remembered a chain meanwhile, perhaps this one
            found = chain.chain_id, chain.genesis_hash
            if pins.setdefault(url, found) != found:
                raise Misuse(f"two processes found different chains at {url}", expected=pins[url][1].hex(),
                             actual=found[1].hex(), do="Correct the address, or ask another node.")
            with replacing(file) as out:
                out.write(encoding.encode({name: {"genesis": genesis.hex(), "id": number}
                                           for name, (number, genesis) in sorted(pins.items())}))
    except BaseException:
        chain.close()
        raise
    return chain


def _read(file: Path) -> dict[str, tuple[int, bytes]]:
    try:
        entries = encoding.decode_object(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutsideFailed(f"cannot read {file}", actual=error.strerror) from None
    try:
        found = {}
        for url, entry in entries.items():
            genesis, chain_id = encoding.take(entry, genesis=str, id=int)
            found[url] = chain_id, encoding.from_hex(genesis, 32)
        return found
    except BadInput as error:
        message = f"{file} cannot be read: {error.message}"
        raise BadInput(message, do="Restore it, or remove it to begin anew.") from error
