"""Runs as claims: ``with troth.run() as run: …`` attests data, parameters, metrics and models when the block ends.

Nothing is attested before the end: a run is one claim. What is said about the machine names no person and no host.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from troth.core.claims import Ref
from troth.core.errors import BadInput, Misuse
from troth.formats.oms import root_digest
from troth.formats.runs import FAILED, FINISHED, RUN, Artefact, Metric, Run, decimal_text
from troth.formats.tree import digest, hash_all

if TYPE_CHECKING:
    from troth.app import Troth

PACKAGES = "packages"
GIT_PATIENCE = 10.0


class Recorder:
    """Collects what a run says; a context manager that attests it at the end.

    A block that raises is attested as failed, and the exception goes on. ``claim`` is the id afterwards.
    """

    def __init__(self, lend: Callable[[], AbstractContextManager[Troth]], name: str, refs: Iterable[Ref] = ()) -> None:
        self._lend, self._name, self._refs = lend, name, list(refs)
        self._params: dict[str, str] = {}
        self._metrics: dict[str, Metric] = {}
        self._data: dict[str, Artefact] = {}
        self._models: dict[str, Artefact] = {}
        self._started: int | None = None
        self.claim: bytes | None = None

    def __enter__(self) -> Self:
        if self._started is not None:
            raise Misuse("a run is recorded once", do="Call troth.run() again.")
        with self._lend() as party:  # now, so that a missing workspace is known before hours of training
            self._started = party.clock.now()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._started is not None:
            with self._lend() as party:
                self.claim = self._attest(party, self._started, FINISHED if kind is None else FAILED)

    def param(self, name: str, value: str | int | float | bool) -> None:
        """A parameter. Raises Misuse for another value than before, BadInput for a float that is no number."""
        text = _text(value)
        if self._params.setdefault(name, text) != text:
            raise Misuse("a parameter has one value in a run", expected=self._params[name], actual=text)

    def params(self, values: dict[str, str | int | float | bool]) -> None:
        """Several parameters."""
        for name, value in values.items():
            self.param(name, value)

    def metric(self, name: str, value: float | int | str, step: int = 0) -> None:
        """A measured number at a step; the last one said stays. Raises BadInput for what is no number."""
        self._metrics[name] = Metric(decimal_text(value), step)

    def data(self, path: Path | str, name: str | None = None, claim: bytes | None = None) -> Artefact:
        """A file or directory that the run reads. claim: a claim about it, which the run then refers to."""
        found = artefact(Path(path), name)
        self._keep(self._data, found)
        if claim is not None:
            self._refs.append(Ref("data", claim))
        return found

    def model(self, path: Path | str, name: str | None = None) -> Artefact:
        """A file or directory that the run made."""
        found = artefact(Path(path), name)
        self._keep(self._models, found)
        return found

    @staticmethod
    def _keep(kept: dict[str, Artefact], found: Artefact) -> None:
        if kept.setdefault(found.name, found) != found:
            raise Misuse("two things of one name in a run", actual=found.name, do="Give the second another name.")

    def _attest(self, party: Troth, started: int, status: str) -> bytes:
        ended = max(started, party.clock.now())
        run = Run(self._name, status, started, ended, self._params, self._metrics, tuple(self._data.values()),
                  tuple(self._models.values()), environment(), source())
        return attest_run(party, run, self._refs)


def attest_run(party: Troth, run: Run, refs: Iterable[Ref] = ()) -> bytes:
    """Attest a run, with the list of installed packages as public evidence; the claim's id. Raises BadInput."""
    run.check()
    listed = packages()
    said = replace(run, environment={**run.environment, PACKAGES: hashlib.sha256(listed).hexdigest()})
    return party.attest(RUN, said.subjects(), said.body(), refs=refs, evidence=[party.add(PACKAGES, listed)])


def run(name: str = "run", *, workspace: Troth | Path | str | None = None, refs: Iterable[Ref] = ()) -> Recorder:
    """Record a run: ``with troth.run("train") as run: run.data(…); run.param(…); run.metric(…); run.model(…)``.

    workspace: a folder in or below it; the current one by default. It is opened when the block begins and again when it
    ends, not in between; the passphrase comes from TROTH_PASSPHRASE. An open ``Troth`` stays open.
    """
    def lend() -> AbstractContextManager[Troth]:
        if workspace is None or isinstance(workspace, str | Path):
            return open_workspace(workspace)
        return nullcontext(workspace)

    return Recorder(lend, name, refs)


def open_workspace(workspace: Path | str | None) -> Troth:
    """The workspace at or above a folder, the current one by default. Raises Misuse without TROTH_PASSPHRASE."""
    # Imported here: the workspace's module takes part in this one's wiring, and loads stores and keys.
    from troth.app import Troth

    passphrase = os.environ.get("TROTH_PASSPHRASE")
    if not passphrase:
        raise Misuse("no passphrase", do="Set TROTH_PASSPHRASE, or pass an open workspace.")
    return Troth.open(Path.cwd() if workspace is None else Path(workspace), passphrase)


def artefact(path: Path | str, name: str | None = None) -> Artefact:
    """A file by its SHA-256, or a directory by the root of its manifest. Raises as ``formats.tree`` does."""
    path = Path(path)
    shown = name or path.resolve().name
    if not path.is_dir():
        found = digest(path)
        return Artefact(shown, found.digest, found.size)
    files = list(hash_all(path))
    if not files:
        raise BadInput("a directory without files", actual=path)
    return Artefact(shown, root_digest(one.digest for one in files), sum(one.size for one in files), len(files))


def environment() -> dict[str, str]:
    """What ran it, without a host's, a user's or a folder's name."""
    return {"cores": str(os.cpu_count() or 0), "implementation": platform.python_implementation(),
            "machine": platform.machine(), "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}"}


def packages() -> bytes:
    """The installed distributions, one ``name==version`` a line, sorted."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions() if one.metadata["Name"]}
    return "".join(f"{line}\n" for line in sorted(found, key=str.lower)).encode()


def source() -> dict[str, str]:
    """The commit of the current folder's git repository and whether files differ from it; nothing without git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "changed": "yes" if _git("status", "--porcelain", "--untracked-files=no") else "no"}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=GIT_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else decimal_text(value)
