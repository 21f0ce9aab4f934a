"""Sums under homomorphic encryption: CKKS (Cheon et al. 2017) by TenSEAL, behind the same port. Extra ``ckks``.

One site, the first on the roster, holds the key. It publishes the public part, signed; every site encrypts to it; the
server adds ciphertexts that it cannot read; the holder decrypts the sum and signs it. Three phases instead of six, no
shares and nothing to do about a site that drops out, at eight times the bytes or more (`Ckks.cost`).

**What it does not do.** The server and the holder together read every vector; so does a server whom the holder believes
that one site's ciphertext is the sum, since the holder cannot tell. Masking needs neither to be honest. Nor can anybody
sum again from a transcript without the holder's key: the sum is the holder's word. If the holder drops out, no sum.

CKKS is approximate: elements travel as reals at 2**16, and the decrypted sum is rounded. Measured, it is off by some
0.002 of a unit before rounding; off by a quarter and more is refused.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.ports import KeyHistory, Signer
from troth.fixed.numbers import ONE, IntArray
from troth.learn.masking.port import Cost, Random, Session, Summed
from troth.learn.masking.proceedings import Proceedings
from troth.learn.masking.wire import Message, Phase, Reader, block, bundle, sign, unbundle

SLOTS = 4096
"""Numbers in a ciphertext: half of the ring's degree, 8192."""
MODULUS, SCALE = (60, 60), 2.0**40
"""Bits of the two primes: one carries the data, as nothing is multiplied; 120 bits in all, where 218 are the bound of
128-bit security at this degree (homomorphicencryption.org, table 1)."""
MAX_SUM = 1 << 31
"""Largest bound of a sum: 2**15 in real terms, far below what the scale leaves of the modulus."""
CIPHERTEXT, CONTEXT, SECONDS = 131_300, 364_000, 0.005
"""Bytes of a ciphertext and of the public context; seconds to encrypt one. Measured."""


def _library() -> Any:
    try:
        # Imported here: an extra, and slow to load.
        import tenseal
    except ModuleNotFoundError:
        raise Misuse("sums under CKKS need TenSEAL", do="Run: pip install 'troth[ckks]'") from None
    return tenseal


def _check(session: Session) -> None:
    if len(session.sites) * session.bound >= MAX_SUM:
        raise BadInput("CKKS would not give this sum exactly", expected=f"sites times bound below {MAX_SUM}",
                       actual=len(session.sites) * session.bound, do="Clip closer, or use masking.")


def _pieces(session: Session) -> int:
    return -(-session.length // SLOTS)


def _read(session: Session, context: Any, data: bytes) -> list[Any]:
    """A vector's ciphertexts. Raises BadInput for anything else."""
    reader, found = Reader(data), []
    for _ in range(_pieces(session)):
        piece = reader.block("I")
        try:
            found.append(_library().ckks_vector_from(context, piece))
        except (ValueError, RuntimeError) as error:
            raise BadInput("not a ciphertext", actual=error) from None
    reader.end()
    sizes = [min(SLOTS, session.length - at) for at in range(0, session.length, SLOTS)]
    if [one.size() for one in found] != sizes:
        raise BadInput("ciphertexts of another length", expected=session.length)
    return found


def _write(ciphertexts: list[Any]) -> bytes:
    return b"".join(block("I", one.serialize()) for one in ciphertexts)


def _context(data: bytes) -> Any:
    try:
        found = _library().context_from(data)
    except (ValueError, RuntimeError) as error:
        raise BadInput("not a public context", actual=error) from None
    if found.is_private():
        raise BadInput("a context with its secret key", expected="the public part")
    return found


class CkksSite:
    """A site's end; the first site's also holds the key."""

    __slots__ = ("_context", "_index", "_keys", "_last", "_session", "_signer", "_vector")

    def __init__(self, session: Session, signer: Signer, keys: KeyHistory, vector: IntArray) -> None:
        _check(session)
        self._session, self._signer, self._keys = session, signer, keys
        self._index = session.index(signer.did)
        self._vector = session.check_vector(vector).copy()
        self._context: Any = None
        self._last: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        return f"CkksSite({self._signer.did})"

    def answer(self, call: bytes) -> bytes:
        """The answer to a call; the same call again gets the same answer. Raises as `port.SumSite` says."""
        name = hashlib.sha256(call).digest()
        if name not in self._last:
            reader = Reader(call)
            messages = unbundle(reader.block("I"), self._session.id)
            rest = reader.block("I")
            reader.end()
            if not messages and not rest:
                phase, head, part = Phase.KEYS, b"", self._publish()
            elif not rest:
                phase, head, part = Phase.MASKED, messages[0].digest, self._encrypt(messages)
            else:
                phase, head, part = Phase.UNMASK, b"", self._decrypt(messages, rest)
            answer = sign(self._signer, phase, self._session.id, self._index, head, [part])
            self._last[name] = answer.to_bytes()
        return self._last[name]

    def _publish(self) -> bytes:
        if self._index:
            raise Misuse("this site does not hold the key", expected=self._session.sites[0])
        if self._context is None:
            tenseal = _library()
            self._context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 2 * SLOTS, coeff_mod_bit_sizes=list(MODULUS))
            self._context.global_scale = SCALE
        return bytes(self._context.serialize(save_public_key=True, save_secret_key=False, save_galois_keys=False,
                                             save_relin_keys=False))

    def _encrypt(self, messages: tuple[Message, ...]) -> bytes:
        if len(self._last) > 1 or (self._index and self._last):
            raise Misuse("this site has encrypted its vector already")
        found = Proceedings(self._session, self._keys)
        if len(messages) != 1 or messages[0].sender or not found.genuine(Phase.KEYS, messages[0]):
            raise Refuted("a public key that the holder did not sign", expected=self._session.sites[0])
        context = _context(messages[0].parts.get(0, b""))
        reals = self._vector / ONE
        return _write([_library().ckks_vector(context, reals[at:at + SLOTS].tolist())
                       for at in range(0, len(reals), SLOTS)])

    def _decrypt(self, messages: tuple[Message, ...], data: bytes) -> bytes:
        if self._context is None or len(self._last) > 2:
            raise Misuse("this site does not hold the key, or has decrypted the sum already")
        found = Proceedings(self._session, self._keys)
        if not all(found.genuine(Phase.MASKED, one) for one in messages) or len(messages) < self._session.threshold:
            raise Undecidable("too few sites in a sum under CKKS", expected=self._session.threshold,
                              actual=len(messages))
        reals = np.concatenate([one.decrypt() for one in _read(self._session, self._context, data)]) * ONE
        total = np.rint(reals)
        if np.abs(reals - total).max() > 0.25 or np.abs(total).max() > self._session.bound * len(messages):
            raise Undecidable("this ciphertext is not a sum of vectors within the bound",
                              expected=f"at most {self._session.bound * len(messages)}",
                              do="Make new vectors and sum again.")
        numbers: IntArray = total.astype("<i8")
        return struct.pack("<I", len(messages)) + bytes(one.sender for one in messages) + numbers.tobytes()


class CkksServer:
    """The server's end: it adds what it cannot read."""

    __slots__ = ("_context", "_found", "_keys", "_result", "_sent", "_session")

    def __init__(self, session: Session, keys: KeyHistory) -> None:
        _check(session)
        self._session, self._keys = session, keys
        self._found: Message | None = None
        self._context: Any = None
        self._sent: dict[int, tuple[Message, list[Any]]] = {}
        self._result: Summed | None = None

    def calls(self) -> Mapping[str, bytes]:
        """First the holder, then every site, then the holder."""
        if self._result is not None:
            return {}
        holder, name = self._session.sites[0], self._session.id
        if self._found is None:
            return {holder: block("I", bundle(name, ())) + block("I", b"")}
        if not self._sent:
            call = block("I", bundle(name, [self._found])) + block("I", b"")
            return dict.fromkeys(self._session.sites, call)
        messages = [message.with_parts(()) for message, _ in self._sent.values()]
        rows = [row for _, row in self._sent.values()]
        whole = [sum(column[1:], start=column[0]) for column in zip(*rows, strict=True)]
        return {holder: block("I", bundle(name, messages)) + block("I", _write(whole))}

    def take(self, answers: Mapping[str, bytes]) -> None:
        """The answers by DID. Raises Undecidable where the holder or too many are silent, Misuse when all is said."""
        if self._result is not None:
            raise Misuse("this sum is there", expected="no further answers")
        found = Proceedings(self._session, self._keys)
        phase = Phase.KEYS if self._found is None else Phase.UNMASK if self._sent else Phase.MASKED
        messages = {}
        for site, answer in answers.items():
            try:
                message = Message.from_bytes(answer)
            except BadInput:
                continue
            if found.genuine(phase, message) and self._session.sites[message.sender] == site and 0 in message.parts:
                messages[message.sender] = message
        if phase is Phase.MASKED:
            self._add(messages)
        elif 0 not in messages:
            raise Undecidable("the holder of the key does not answer: this sum never comes out",
                              expected=self._session.sites[0], do="Sum again with another holder.")
        elif phase is Phase.KEYS:
            self._context, self._found = _context(messages[0].parts[0]), messages[0]
        else:
            self._result = self._summed(messages[0].parts[0])

    def _add(self, messages: Mapping[int, Message]) -> None:
        sent = {}
        for sender, message in sorted(messages.items()):
            try:
                sent[sender] = (message, _read(self._session, self._context, message.parts[0]))
            except BadInput:
                continue
        if len(sent) < self._session.threshold:
            raise Undecidable("too few sites in a sum under CKKS", expected=self._session.threshold, actual=len(sent))
        self._sent = sent

    def _summed(self, data: bytes) -> Summed:
        reader = Reader(data)
        senders = list(reader.take(reader.number("I")))
        vector = np.frombuffer(reader.take(8 * self._session.length), dtype="<i8").astype(np.int64)
        reader.end()
        if senders != list(self._sent):
            raise Refuted("the holder decrypted another sum", expected=list(self._sent), actual=senders)
        sites = self._session.sites
        return Summed(vector, tuple(sites[place] for place in senders),
                      tuple(site for place, site in enumerate(sites) if place not in senders))

    def result(self) -> Summed:
        """The sum. Raises Pending before it is there."""
        if self._result is None:
            raise Pending("this sum still waits for answers", do="Ask the sites in `calls`, and `take` their answers.")
        return self._result


class Ckks:
    """CKKS behind the port; the first site on the roster holds the key."""

    name = "ckks"

    def site(self, session: Session, signer: Signer, keys: KeyHistory, vector: IntArray,
             random: Random = os.urandom) -> CkksSite:
        """A site's end. random: not used; TenSEAL draws its own. Raises BadInput for a bound beyond MAX_SUM."""
        return CkksSite(session, signer, keys, vector)

    def server(self, session: Session, keys: KeyHistory) -> CkksServer:
        """The server's end. Raises BadInput as `site`."""
        return CkksServer(session, keys)

    def cost(self, sites: int, length: int) -> Cost:
        """For a site that does not hold the key. Needs no TenSEAL."""
        pieces = -(-length // SLOTS)
        sent = pieces * CIPHERTEXT + 4_000
        return Cost(sent, CONTEXT + 4_000, pieces * SECONDS, sites * pieces * SECONDS / 4, sent / (4 * length))
