"""The report's verifier under Node, asked question by question."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from troth.web.report import VERIFIER

HERE = Path(__file__).parent


class Second:
    """The second verifier, in one Node process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **asked: Any) -> Any:
        """One question, one answer; bytes travel as base64."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked, default=lambda data: base64.b64encode(data).decode()) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the verifier died; its message stands above"
        return json.loads(line)

    def verify(self, bundle: bytes, trust: bytes | None, says: Mapping[str, Any] | None = None,
               without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Its report. without: suites that its engine shall not have."""
        found = self.ask(bundle=bundle, trust=trust, says=says, without=without)
        assert set(found) == {"outcome", "as_of", "steps"}
        assert all(set(step) == {"n", "name", "outcome", "detail"} for step in found["steps"])
        return dict(found)


@contextmanager
def node() -> Iterator[Second]:
    """A Node process that has loaded the verifier's scripts, in the page's order."""
    source = Path(sys.modules["troth.web"].__file__ or "").parent
    with subprocess.Popen(["node", str(HERE / "verify.js"), str(source), *VERIFIER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield Second(process)
        assert process.stdin is not None
        process.stdin.close()
