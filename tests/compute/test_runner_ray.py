"""Ray: the port's suite on a cluster of this machine. Whole under `make ray`, which installs Ray."""

from __future__ import annotations

import importlib.util

import pytest

from ports.runner_suite import GIVEN, SMALL, BoundedSuite
from ports.wat_modules import command
from troth.compute.runners import Job, Runner, runner
from troth.compute.runners.ray import OnRay
from troth.core.errors import OutsideFailed

THERE = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not THERE, reason="needs Ray: make ray")


@needs_ray
class TestOnRay(BoundedSuite):
    form = "wasm"
    jobs = {name: command(name)  # noqa: RUF012
            for name in ("reverse", "fail", "forever", "swell", "flood", "remember")}

    @pytest.fixture
    def runner(self) -> Runner:
        return OnRay()

    def test_many_at_a_time_come_back_in_order(self, runner: Runner) -> None:
        assert isinstance(runner, OnRay)
        jobs = [self.job("reverse", bytes([number]) * 3 + b"!") for number in range(50)]
        assert [ran.output for ran in runner.run_all(jobs)] == [job.input[::-1] for job in jobs]

    def test_a_sandbox_on_the_cluster(self, runner: Runner) -> None:
        found = runner.run(Job("python", b"print(open('/etc/passwd').read())", b"", SMALL))
        assert found.ending == "failed"
        assert "No such file" in found.why

    def test_a_card_that_no_machine_has(self) -> None:
        """Ray would wait for ever for such a machine to join: the cluster is asked first."""
        with pytest.raises(OutsideFailed, match="no machine"):
            OnRay(gpu="No Such Card").run(Job("wasm", command("reverse"), GIVEN, SMALL))


@pytest.mark.skipif(THERE, reason="Ray is there")
def test_without_ray_a_hint() -> None:
    with pytest.raises(OutsideFailed, match=r"troth\[ray\]"):
        runner("ray").run(Job("wasm", b"", b""))
