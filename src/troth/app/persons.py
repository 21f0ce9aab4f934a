"""Persons in a workspace: a secret that acts, an admitter that names a group, a box that takes one act a person."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.ports import Personhood
from troth.identity import keystore
from troth.identity.personhood import ADMISSION, ROSTER, Act, Admission, Roster, act, check_acts, count, roster_of
from troth.identity.semaphore import PRIME, Semaphore
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Troth

_FORMAT = "troth-box-1"
MAX_ACT = 1 << 14


def backend(party: Troth) -> Personhood:
    """The backend that this workspace names. Raises Misuse where none is set, OutsideFailed where it is not there."""
    if not party.settings.packages:
        raise Misuse("no backend for personhood is set", expected="[personhood] packages in troth.toml",
                     do="Install Semaphore's npm packages in a folder and name it there, or in "
                        "TROTH_PERSONHOOD_PACKAGES.")
    return Semaphore(Path(party.settings.packages))


def new_person(party: Troth, passphrase: str, *, cost: int = keystore.DEFAULT_COST) -> int:
    """Make this party's secret as a person, encrypted; its commitment. Raises Misuse if there is one already."""
    path = party.root / "person.json"
    if path.exists():
        raise Misuse("this workspace holds a person already", do="Use it: a second one would act twice.")
    secret = secrets.token_bytes(32)
    found = backend(party).commitment(secret)
    keystore.save(path, encode({"person": secret.hex()}), passphrase, cost=cost)
    return found


def person(party: Troth, passphrase: str) -> bytes:
    """This party's secret as a person. Raises Undecidable if there is none, Misuse for a wrong passphrase."""
    path = party.root / "person.json"
    if not path.exists():
        raise Undecidable("this workspace holds no person", do="Make one: troth person new.")
    return from_hex(take(decode_object(keystore.load(path, passphrase)), person=str)[0], 32)


def admit(party: Troth, commitment: int, group: str) -> bytes:
    """Say that one more person is behind a commitment; the claim's id. Raises Misuse for one admitted before,
    or for a number that is no commitment: a group with it would have no roster, ever.
    """
    if not 0 < commitment < PRIME:
        raise Misuse("not a commitment", expected="a number above 0 and below the field's prime", actual=commitment,
                     do="Ask the person for what troth person new shows.")
    found = Admission(group, commitment)
    if commitment in admitted(party, group):
        raise Misuse("admitted before", actual=commitment, do="One person is admitted once.")
    return party.attest(ADMISSION, [found.subject()], found.body())


def admitted(party: Troth, group: str) -> tuple[int, ...]:
    """The commitments that this party admitted to a group, in order."""
    found = dict[int, None]()
    for _, said in party.claims(ADMISSION):
        if said.issuer == party.did:
            try:
                one = Admission.of(said)
            except BadInput:
                continue  # one that was attested by hand and admits nobody
            if one.group == group:
                found[one.commitment] = None
    return tuple(found)


def name_group(party: Troth, group: str) -> bytes:
    """Say who is in a group now: the roster's claim. Raises Misuse for an empty group."""
    members = admitted(party, group)
    if not members:
        raise Misuse("nobody was admitted to this group", actual=group)
    found = Roster(group, members, backend(party).root(members))
    return party.attest(ROSTER, [found.subject()], found.body())


def act_once(party: Troth, passphrase: str, roster: bytes, scope: str, message: str) -> Act:
    """Act as this party's person; the act holds nothing of the party. Raises Misuse for no member of the roster."""
    return act(backend(party), person(party, passphrase), party.statement(roster), roster, scope, message)


class Box:
    """Takes acts of one scope by the persons of one roster, one each, in a folder; several processes may.

    ::

        box.json           the roster's claim and the scope
        acts/<nullifier>   what was taken, as it came
    """

    def __init__(self, directory: Path, party: Troth) -> None:
        """Open a box. The roster has to be in the party's log. Raises Undecidable without either, BadInput."""
        try:
            data = (directory / "box.json").read_bytes()
        except FileNotFoundError:
            raise Undecidable("there is no box here", actual=directory, do="Make one: troth person open.") from None
        except OSError as error:
            raise OutsideFailed("the box cannot be read", actual=error.strerror) from None
        format_, roster, self.scope = take(decode_object(data), format=str, roster=str, scope=str)
        if format_ != _FORMAT:
            raise BadInput("not a box", expected=_FORMAT, actual=format_)
        self.directory, self.roster = directory, from_hex(roster, 32)
        self._statement, self._backend = party.statement(self.roster), backend(party)
        self._rooted = False

    @classmethod
    def create(cls, directory: Path | str, party: Troth, roster: bytes, scope: str) -> Box:
        """Make an empty box. Raises Misuse if there is one, BadInput for a claim that is no roster."""
        directory = Path(directory)
        Roster.of(party.statement(roster))
        if (directory / "box.json").exists():
            raise Misuse("there is a box here already", actual=directory)
        try:
            (directory / "acts").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutsideFailed("the box cannot be made", actual=error.strerror) from None
        with replacing(directory / "box.json") as out:
            out.write(encode({"format": _FORMAT, "roster": roster.hex(), "scope": scope}))
        return cls(directory, party)

    def take(self, data: bytes) -> Act:
        """Check an act and keep it. The same bytes again change nothing.

        Raises Refuted for a second act of a person, another roster or scope, or a proof that does not hold; BadInput.
        """
        if len(data) > MAX_ACT:
            raise BadInput("act too long", expected=f"at most {MAX_ACT} bytes", actual=len(data))
        found = self._read(data)
        path = self.directory / "acts" / str(found.proof.nullifier)
        if self._taken(path, data):
            return found
        self._check([data])
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with replacing(temporary) as out:
                out.write(data)
            os.link(temporary, path)  # whole or not at all, and never over another
        except FileExistsError:
            self._taken(path, data)
        except OSError as error:
            raise OutsideFailed("the act cannot be kept", actual=error.strerror) from None
        finally:
            temporary.unlink(missing_ok=True)
        return found

    def count(self) -> Mapping[str, int]:
        """How many persons said what, every proof checked again. Raises Refuted for a file that is no right act."""
        try:
            files = [path.read_bytes() for path in sorted((self.directory / "acts").iterdir())
                     if path.name.isdigit()]
        except OSError as error:
            raise OutsideFailed("the box cannot be read", actual=error.strerror) from None
        found = [self._read(data) for data in files]
        self._check(files)
        return count(found)

    def _taken(self, path: Path, data: bytes) -> bool:
        """Whether these bytes are here already. Raises Refuted where this person's act is, and another one."""
        try:
            if path.read_bytes() == data:
                return True
        except FileNotFoundError:
            return False
        raise Refuted("this person has acted in this scope already", actual=path.name, do="The first act stands.")

    def _read(self, data: bytes) -> Act:
        """An act for this roster and this scope; its proof is not checked."""
        if roster_of(data) != self.roster:
            raise Refuted("an act for another roster", expected=self.roster.hex(), actual=roster_of(data).hex())
        found = Act.from_bytes(data, self._statement.issuer, Roster.of(self._statement).group)
        if found.scope != self.scope:
            raise Refuted("an act of another scope", expected=self.scope, actual=found.scope)
        return found

    def _check(self, files: list[bytes]) -> None:
        """Every proof, and once the roster's root. Raises Refuted for the first that is wrong."""
        if not self._rooted:
            Roster.of(self._statement).check(self._backend)
            self._rooted = True
        for one in check_acts(self._backend, self._statement, files):
            if not isinstance(one, Act):
                raise one
