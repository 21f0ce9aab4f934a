"""Where a workspace lies: its settings, finding it, and making it whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from troth.core.errors import BadInput, Misuse, OutsideFailed, Undecidable

FOLDER = ".troth"
SETTINGS = "troth.toml"
_UNFINISHED = ".troth.new-"


KNOWN = {
    ("workspace", "name"): "name",
    ("chain", "url"): "chain",
    ("chain", "id"): "id",
    ("chain", "max_fee"): "max_fee",
    ("chain", "finality"): "finality",
    ("chain", "outage"): "outage",
    ("chain", "other"): "other",
    ("exchange", "path"): "exchange",
    ("index", "url"): "index",
    ("did", "allow"): "did_allow",
    ("did", "ethr"): "did_ethr",
    ("relay", "gas"): "relay_gas",
    ("personhood", "packages"): "packages",
}
"""(section, name) in the file -> the attribute of ``Settings`` that holds it."""
_ALWAYS = ("name", "chain", "exchange")


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``troth.toml`` says; an environment variable ``TROTH_<SECTION>_<NAME>`` overrides each.

    - name: how this party is shown.
    - chain: URL of the chain. id: its id, where it must be a certain one or a chain made here shall have it.
    - exchange: what parcels pass through: a folder, or a post office's ``http(s)://…``.
    - max_fee: the most wei per gas to sign for.
    - finality: how many blocks make a block final; empty takes the node's word.
    - outage: seconds that every period of a deal must outlast; empty takes what is known of the chain.
    - other: URL of a second chain, for swaps.
    - index: where the index of deals lies, a path or ``postgresql://…``; empty for a file in the workspace.
    - did_allow: hosts, by spaces, that identifiers may lead to although they are here or in a private network.
    - did_ethr: the chains that ``did:ethr`` is read from, ``ID=URL`` or ``ID=URL@0xREGISTRY``, by spaces.
    - relay_gas: the most gas to pay for one request of another's; empty takes what fits a transaction.
    - packages: the folder whose ``node_modules`` hold Semaphore.
    """

    name: str = "me"
    chain: str = ""
    exchange: str = ""
    id: str = ""
    max_fee: str = ""
    finality: str = ""
    outage: str = ""
    other: str = ""
    index: str = ""
    did_allow: str = ""
    did_ethr: str = ""
    relay_gas: str = ""
    packages: str = ""

    @classmethod
    def load(cls, path: Path | str, environment: Mapping[str, str]) -> Self:
        """Read settings strictly.

        Raises BadInput for unreadable or unknown ones, Misuse without a file, OutsideFailed if the disk fails.
        """
        path = Path(path)
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Misuse("no workspace here", expected=path, do="Make one first: troth init.") from None
        except OSError as error:
            raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(f"{path} cannot be read", actual=error, do="Correct it; README shows one.") from None
        found: dict[str, str] = {}
        for section, values in given.items():
            for name, value in values.items() if isinstance(values, dict) else (("", values),):
                if (section, name) not in KNOWN or type(value) is not str:
                    raise BadInput(f"unknown setting in {path}", actual=f"[{section}] {name}",
                                   expected=", ".join(f"[{s}] {n}" for s, n in KNOWN))
                found[KNOWN[section, name]] = value
        for (section, name), attribute in KNOWN.items():
            override = environment.get(f"TROTH_{section}_{name}".upper())
            if override is not None:
                found[attribute] = override
        return cls(**found)

    def text(self) -> str:
        """The file's content, which ``load`` reads back; what is not set is left out but for the first three.

        Raises BadInput for text that is not well-formed.
        """
        sections: dict[str, list[str]] = {}
        for (section, name), attribute in KNOWN.items():
            value = str(getattr(self, attribute))
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise BadInput("a setting that is not well-formed text", actual=error) from None
            if value or attribute in _ALWAYS:
                sections.setdefault(section, []).append(f"{name} = {_quoted(value)}\n")
        return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())

    def number(self, name: str) -> int | None:
        """A setting that is a number, or None where it is not set. Raises BadInput."""
        text = str(getattr(self, name))
        if not text:
            return None
        if not (text.isascii() and text.isdigit()):
            section, setting = next(place for place, attribute in KNOWN.items() if attribute == name)
            raise BadInput(f"[{section}] {setting} is no number", expected="digits", actual=text)
        return int(text)


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def find(directory: Path | str) -> Path:
    """The workspace folder at or above ``directory``, or ``TROTH_HOME``.

    Raises Misuse where there is none, Undecidable where one has lost its settings, OutsideFailed where one may not be
    read.
    """
    directory = Path(directory)
    home = os.environ.get("TROTH_HOME")
    try:
        for place in ([Path(home)] if home else [directory, *directory.resolve().parents]):
            for root in (place / FOLDER, place):
                if (root / SETTINGS).is_file():
                    return root
            if (place / FOLDER / "keys.json").exists():
                raise Undecidable(f"the workspace in {place / FOLDER} has lost its settings",
                                  expected=place / FOLDER / SETTINGS, do="Restore that file from a backup.")
    except OSError as error:
        raise OutsideFailed(f"cannot look for a workspace in {home or directory}", actual=error.strerror) from None
    raise Misuse("no workspace here or above", expected=f"a folder {FOLDER}", actual=home or directory,
                      do="Make one: troth init. Or set TROTH_HOME.")


@contextmanager
def making(directory: Path | str) -> Iterator[Path]:
    """An empty folder that becomes ``directory``/.troth when the block ends without an error, whole or not at all.

    What an earlier attempt left that was killed is taken away: no claim was ever signed with its keys. Raises Misuse
    if there is a workspace already, OutsideFailed if the disk refuses.
    """
    directory = Path(directory)
    root = directory / FOLDER
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutsideFailed(f"cannot make a workspace in {directory}", actual=error.strerror) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # so that nobody's unfinished folder is swept away while it is being made
        if root.exists():
            raise Misuse(f"there is a workspace already: {root}", do="Use it, or choose another directory.")
        for left in directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))  # mode 0700
        try:
            yield unfinished
            os.rename(unfinished, root)
            os.fsync(handle)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise OutsideFailed(f"cannot make a workspace in {directory}", actual=error.strerror,
                            do="Nothing was made. Free some space or check the permissions.") from None
    finally:
        os.close(handle)
