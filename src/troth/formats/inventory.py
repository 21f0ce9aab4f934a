"""Files that another tool's record describes: kind ``inventory``, written and read strictly.

One page under docs/kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Statement, Subject
from troth.core.encoding import from_hex, take
from troth.core.errors import BadInput

INVENTORY = "inventory"
FORMATS = ("dvc", "hugging-face")
USES = ("input", "output", "file")
MAX_FILES = 10_000
MAX_SAID = 1_000
MAX_TEXT = 8_000


@dataclass(frozen=True, slots=True)
class Held:
    """A file or directory that is here. ``md5``: the record's own digest of it, checked; empty where it has none.

    digest, size, files: as ``runs.Artefact``. use: how the record speaks of it.
    """

    name: str
    digest: bytes
    size: int
    files: int = 0
    md5: str = ""
    use: str = "file"

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return {"bytes": self.size, "files": self.files, "md5": self.md5, "name": self.name,
                "sha256": self.digest.hex(), "use": self.use}

    @classmethod
    def read(cls, value: Any) -> Self:
        """From JSON, strictly. Raises BadInput."""
        size, files, md5, name, digest, use = take(value, bytes=int, files=int, md5=str, name=str, sha256=str, use=str)
        if size < 0 or files < 0 or use not in USES or len(md5) not in (0, 32):
            raise BadInput("not a file of an inventory", expected=f"sizes from 0, a use of {', '.join(USES)}",
                           actual=value)
        return cls(name, from_hex(digest, 32), size, files, from_hex(md5).hex(), use)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one record describes. record: its name and SHA-256. said: what it says beyond files, by its word alone."""

    format: str
    record: str
    record_digest: bytes
    name: str
    files: tuple[Held, ...]
    said: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"files": [one.json() for one in self.files], "format": self.format, "name": self.name,
                "record": {"name": self.record, "sha256": self.record_digest.hex()}, "said": dict(self.said)}

    def subjects(self) -> tuple[Subject, ...]:
        """What the claim is about: what the record made or holds; its inputs where it made nothing."""
        made = [one for one in self.files if one.use != "input"] or list(self.files)
        return tuple(Subject(one.name, {"sha256": one.digest.hex()}) for one in made)

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a claim strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (INVENTORY, 1):
            raise BadInput("not an inventory", expected="inventory v1", actual=f"{statement.kind} v{statement.version}")
        files, format_, name, record, said = take(dict(statement.body), files=list, format=str, name=str, record=dict,
                                                  said=dict)
        record_name, digest = take(record, name=str, sha256=str)
        if any(type(value) is not str for value in said.values()):
            raise BadInput("not texts by name", expected="text", actual=said)
        found = cls(format_, record_name, from_hex(digest, 32), name, tuple(map(Held.read, files)), said)
        found.check()
        if statement.subjects != found.subjects():
            raise BadInput("inventory: the subjects are not what the body says", expected=found.subjects(),
                           actual=statement.subjects)
        return found

    def check(self) -> None:
        """Raises BadInput for no file, a file twice, an unknown format, or more than a claim of this kind holds."""
        names = [(one.use, one.name) for one in self.files]
        texts = [self.name, self.record, *(one.name for one in self.files), *self.said, *self.said.values()]
        if not names or len(set(names)) != len(names) or self.format not in FORMATS:
            raise BadInput("not an inventory", expected=f"files, each once; a format of {', '.join(FORMATS)}")
        if len(names) > MAX_FILES or len(self.said) > MAX_SAID or any(len(text) > MAX_TEXT for text in texts):
            raise BadInput("an inventory that says too much", expected=f"{MAX_FILES} files, {MAX_SAID} sentences of "
                           f"{MAX_TEXT} characters")
