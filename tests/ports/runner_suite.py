"""What every runner must do: the abstract suite of ``troth.compute.runners.Runner``.

A backend says how it is told to behave: ``jobs`` gives, by name, code of one of its forms that does that. All know
``reverse`` (its input backwards; of numbers, negated) and ``fail``; bounded ones also ``forever``, ``swell`` (takes
memory without end), ``flood`` (writes without end) and ``remember`` (says whether it finds what an earlier run left).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import pytest

from troth.compute.runners import FORMS, Job, Limits, Runner
from troth.core.errors import Misuse

SMALL = Limits(seconds=2, memory=192 << 20, disk=1 << 20, processes=1, output=1 << 16, fuel=20_000_000)
GIVEN = (-3).to_bytes(8, "little", signed=True) + (5).to_bytes(8, "little", signed=True)


class RunnerSuite(ABC):
    """Inherit it and give ``runner``, ``form`` and ``jobs``."""

    form: str
    jobs: Mapping[str, bytes]
    turned = GIVEN[::-1]
    """What ``reverse`` makes of GIVEN."""

    @pytest.fixture
    @abstractmethod
    def runner(self) -> Runner: ...

    def job(self, name: str, given: bytes = GIVEN, limits: Limits = SMALL) -> Job:
        return Job(self.form, self.jobs[name], given, limits)

    def test_what_goes_in_comes_out_changed(self, runner: Runner) -> None:
        found = runner.run(self.job("reverse"))
        assert (found.ending, found.output, found.why) == ("done", self.turned, "")
        assert runner.run(self.job("reverse")).output == self.turned

    def test_its_own_fault_is_found_and_not_raised(self, runner: Runner) -> None:
        found = runner.run(self.job("fail"))
        assert found.ending == "failed"
        assert found.why
        assert found.why.isprintable() or "\n" in found.why
        assert "\x1b" not in found.why

    def test_rubbish_for_code_has_failed(self, runner: Runner) -> None:
        for rubbish in (b"\0" * 64, bytes(range(256))):
            assert runner.run(Job(self.form, rubbish, GIVEN, SMALL)).ending == "failed"

    def test_output_beyond_its_limit_is_cut_and_said(self, runner: Runner) -> None:
        found = runner.run(self.job("reverse", limits=Limits(seconds=5, output=8)))
        assert (found.ending, found.output) == ("stopped", self.turned[:8])
        assert "8 bytes" in found.why

    def test_another_form_is_refused(self, runner: Runner) -> None:
        for form in set(FORMS) - runner.forms:
            with pytest.raises(Misuse, match="does not execute"):
                runner.run(Job(form, b"", b""))


class BoundedSuite(RunnerSuite):
    """Of runners that hold hostile code to its limits."""

    @pytest.mark.parametrize("name", ["forever", "swell", "flood"])
    def test_nothing_outlives_its_limits(self, runner: Runner, name: str) -> None:
        found = runner.run(self.job(name, limits=Limits(seconds=1, memory=96 << 20, output=1 << 16, fuel=20_000_000)))
        assert found.ending in ("stopped", "failed")
        assert len(found.output) <= 1 << 16
        assert runner.run(self.job("reverse")).output == self.turned

    def test_no_run_finds_what_another_left(self, runner: Runner) -> None:
        assert [runner.run(self.job("remember")).output for _ in range(2)] == [b"new", b"new"]
