"""Jobs that are not executed: who deposits nothing gets no computing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from troth.app import jobs
from troth.compute.runners import WASM, Job, Ran, Runner
from troth.core.errors import Misuse, Refuted
from troth.flows import job as flow


class Never(Runner):
    name: ClassVar[str] = "never"
    bounded: ClassVar[bool] = True
    forms = frozenset({WASM})

    def _run(self, job: Job) -> Ran:
        raise AssertionError("it was executed")


def test_who_deposits_nothing_gets_no_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    standing: list[Any] = [None, SimpleNamespace(status="funding")]
    monkeypatch.setattr(flow, "order_of", lambda *_: SimpleNamespace(provider=None))
    monkeypatch.setattr(flow, "seat_of", lambda *_: None)
    monkeypatch.setattr(flow, "job_of", lambda *_: Job(WASM, b"", b""))
    monkeypatch.setattr(flow, "standing", lambda *_: standing.pop(0))

    def beyond(*_: object) -> None:
        raise Misuse("an order beyond what you offer")

    monkeypatch.setattr(jobs, "_offered", beyond)
    party: Any = None
    with pytest.raises(Refuted, match="not deposited"):
        jobs.do(party, bytes(32), by=Never())
    with pytest.raises(Misuse, match="beyond"):
        jobs.do(party, bytes(32), by=Never())
