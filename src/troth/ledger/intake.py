"""What is checked of a parcel before anything of it is kept.

1. Every block is what its CID names, every wrapped key names a CID.
2. First documents are learned in a copy of the key book.
3. Claims in their order: the payload is its own canonical form; the signatures are exactly those that the issuer's
   document in force *here and now* asks for. A rotation is in force for what comes after it; a claim signed under keys
   that were rotated away before is refused, since whoever stole them could make it today. One that is here already was
   checked when it came, and nothing of this copy is kept. A document that guardians made, it says, is looked up in
   the registry.
4. What every reader relies on by kind: a batch is well-formed, a binding has the account's consent, evidence is named
   by CIDs.

One failure refuses the parcel. The caller keeps what ``check`` returns, all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from troth.core.claims import BATCH, Batch, Envelope, Statement
from troth.core.terms import Account
from troth.identity.binding import BINDING, read_binding
from troth.identity.devices import READING, read_reading
from troth.identity.documents import IDENTITY, Document, DocumentHistory, signature_pairs
from troth.identity.keybook import KeyBook
from troth.ledger.exchange import Parcel
from troth.store.cid import Cid


@dataclass(frozen=True, slots=True)
class Checked:
    """keys: the key book with what the parcel taught. met: new first documents and whose they are.

    fresh: the claims that are new, each once, in order.
    """

    keys: KeyBook
    met: dict[bytes, str]
    fresh: tuple[Envelope, ...]


Asking = Callable[[DocumentHistory, Document, Sequence[Account]], None]
"""Asked whether guardians made a document, as it says: the history up to it, and the accounts that the identity bound
itself to in the parcel, newest first. Raises Refuted or Undecidable.
"""


def check(parcel: Parcel, keys: KeyBook, met: Container[bytes], known: Callable[[bytes], bool],
          asking: Asking) -> Checked:
    """Check a parcel; ``keys`` stays as it is. met: documents learned already. known(id): is a claim here already.

    Raises BadInput, Refuted, or Undecidable for an issuer whose document is neither known nor in the parcel.
    """
    parcel.check()
    book = KeyBook(keys.history(did) for did in keys.dids())
    learned = {document: book.learn(document) for document in parcel.documents if document not in met}
    fresh: dict[bytes, Envelope] = {}
    bound: dict[str, list[Account]] = {}
    for envelope in parcel.claims:
        statement = envelope.statement()
        here = known(envelope.id)
        if statement.kind == IDENTITY:
            book.learn_rotation(envelope, lambda did, document: asking(book.history(did), document,
                                                                       bound.get(did, ())[::-1]))
        elif not here:
            book.verify(statement.issuer, envelope.signed_bytes(), signature_pairs(envelope))
        check_kind(statement)
        if statement.kind == BINDING:
            bound.setdefault(statement.issuer, []).append(read_binding(statement).account)
        if not here:
            # Signatures by the same keys over the same statement can differ; the first ones stay.
            fresh.setdefault(envelope.id, envelope)
    return Checked(book, learned, tuple(fresh.values()))


def check_kind(statement: Statement) -> None:
    """Step 4 above: for claims that are about to enter a log. Raises BadInput or Refuted."""
    for item in statement.evidence:
        Cid.parse(item.cid)
    if statement.kind == BATCH:
        Batch.of(statement)
    elif statement.kind == BINDING:
        read_binding(statement)
    elif statement.kind == READING:
        read_reading(statement)
