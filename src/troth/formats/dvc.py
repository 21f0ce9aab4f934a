"""What DVC recorded of data and pipelines, checked against the files: ``.dvc`` files and ``dvc.lock``.

Source: https://dvc.org/doc/user-guide/project-structure. DVC names a file by its MD5 and a directory by the MD5 of a
JSON list of its files. MD5 can be made to collide: the claim keeps DVC's digest and adds SHA-256, which is what counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from troth.core.errors import BadInput, Refuted, Undecidable
from troth.formats.inventory import Held, Inventory
from troth.formats.oms import root_digest
from troth.formats.plain_yaml import MAX_RECORD, as_text, read_yaml
from troth.formats.tree import CHUNK, Hashed, digest, names, reading

LOCK = "dvc.lock"


def read_dvc(record: Path) -> tuple[Inventory, ...]:
    """One inventory for a ``.dvc`` file, one a stage for a ``dvc.lock``; every file checked.

    Raises Refuted where a file is not what DVC recorded, Undecidable where one is not here or the record names another
    hash, BadInput for another record or a path that leads out of its folder.
    """
    with reading(record), record.open("rb") as file:
        data = file.read(MAX_RECORD + 1)
    body, folder = read_yaml(data), record.parent
    found: list[tuple[str, list[Held], Mapping[str, str]]] = []
    if record.name == LOCK:
        stages = body.get("stages")
        if type(stages) is not dict or not stages or body.get("schema") != "2.0":
            raise BadInput("not a dvc.lock", expected="schema 2.0 and stages", actual=sorted(map(str, body)))
        for name, stage in stages.items():
            entry = _mapping(stage, "a stage")
            files = [*_held(entry.get("deps", []), folder, "input"), *_held(entry.get("outs", []), folder, "output")]
            found.append((as_text(name), files, _said(entry)))
    else:
        outs = body.get("outs")
        if type(outs) is not list or not outs:
            raise BadInput("not a .dvc file", expected="outs", actual=sorted(map(str, body)))
        files = [*_held(body.get("deps", []), folder, "input"), *_held(outs, folder, "output")]
        found.append((record.name.removesuffix(".dvc"), files, _said(body)))
    name, sha = record.name, hashlib.sha256(data).digest()
    inventories = tuple(Inventory("dvc", name, sha, stage, tuple(files), said) for stage, files, said in found)
    for one in inventories:
        one.check()
    return inventories


def _held(entries: Any, folder: Path, use: str) -> Iterator[Held]:
    if type(entries) is not list:
        raise BadInput("not DVC's list of files", expected="a list", actual=type(entries).__name__)
    for item in entries:
        entry = _mapping(item, "an entry")
        name, expected = entry.get("path"), entry.get("md5")
        if type(name) is not str or type(expected) is not str or entry.get("hash", "md5") != "md5":
            raise Undecidable("DVC recorded no MD5 of this", expected="path and md5", actual=sorted(map(str, entry)))
        yield _check(folder, _inner(name), expected, use, "hash" not in entry)


def _check(folder: Path, name: str, expected: str, use: str, old: bool) -> Held:
    """The file or directory, after its MD5 was found to be DVC's. old: recorded by a DVC that changed line ends."""
    path = folder / name
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise Refuted("a link where DVC recorded a file", actual=name, do="Check it out with copies.")
    if not path.exists():
        raise Undecidable("a file that DVC recorded is not here", actual=name, do="Run: dvc pull")
    if path.is_dir():
        files, listing = [], []
        for inner in names(path):
            one, md5 = _both(path / inner)
            files.append(one)
            listing.append({"md5": md5, "relpath": inner})
        found = f"{hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"
        held = Held(name, root_digest(one.digest for one in files), sum(one.size for one in files), len(files),
                    found.removesuffix(".dir"), use)
    else:
        single, found = _both(path)
        held = Held(name, single.digest, single.size, 0, found, use)
    if found != expected and old:
        raise Undecidable("not the bytes that DVC 2 recorded, or a text whose line ends it changed before hashing",
                          expected=expected, actual=f"{name} {found}", do="Record it again with DVC 3.")
    if found != expected:
        raise Refuted("a file is not what DVC recorded", expected=expected, actual=f"{name} {found}",
                      do="Run: dvc status")
    return held


def _both(path: Path) -> tuple[Hashed, str]:
    """SHA-256 and MD5. Two readings: what is signed must be hashed by the reader that refuses links and changes."""
    found = digest(path)
    md5 = hashlib.md5(usedforsecurity=False)
    with reading(path), path.open("rb") as file:
        while block := file.read(CHUNK):
            md5.update(block)
    if digest(path).digest != found.digest:
        raise Refuted("a file changed while it was read", actual=path.name)
    return found, md5.hexdigest()


def _said(entry: Mapping[str, Any]) -> dict[str, str]:
    """The command and the parameters of a stage, the description of a data file."""
    said = {key: as_text(entry[key]) for key in ("cmd", "desc") if key in entry}
    for file, params in _mapping(entry.get("params", {}), "params").items():
        for key, value in _mapping(params, "params").items():
            said[f"{file}:{key}"] = as_text(value)
    return said


def _inner(name: str) -> str:
    if not name or "\\" in name or "\0" in name or PurePosixPath(name).is_absolute() or any(
            part in ("", ".", "..") for part in name.split("/")):
        raise BadInput("a path that leads out of the record's folder", expected="a relative path", actual=name)
    return name


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadInput(f"{what} is no mapping", expected="a mapping", actual=type(value).__name__)
    return value
