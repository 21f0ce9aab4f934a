"""Runners: the port's suite for each, and what is each one's own."""

from __future__ import annotations

import namespaces
import numpy as np
import pytest

from ports.runner_suite import GIVEN, SMALL, BoundedSuite, RunnerSuite
from ports.wat_modules import command, endless, stepped, summed
from troth.compute.runners import NAMES, Job, Limits, Runner, runner, runner_for
from troth.compute.runners.process import InProcess
from troth.compute.runners.sandbox import Sandbox
from troth.compute.runners.wasm import Wasm
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.fixed.program import Affine, Program


def negating() -> bytes:
    bound = np.full(1, 1000)
    return Program(-bound, bound, (Affine(0, np.array([[-1]]), np.zeros(1, dtype=np.int64)),), "number").to_bytes()


def failing(data: bytes) -> bytes:
    raise ValueError("\x1b[2J no")


class TestFunctions(RunnerSuite):
    form, jobs = "function", {"reverse": b"reverse", "fail": b"fail"}

    @pytest.fixture
    def runner(self) -> Runner:
        return InProcess({"reverse": lambda data: data[::-1], "fail": failing})

    def test_a_job_can_name_a_function_and_bring_none(self, runner: Runner) -> None:
        found = runner.run(Job("function", b"os.system", b"rm"))
        assert (found.ending, found.output) == ("failed", b"")
        assert "no such function" in found.why


class Programs(RunnerSuite):
    form = "program"
    turned = b"".join((-int.from_bytes(GIVEN[at : at + 8], "little", signed=True)).to_bytes(8, "little", signed=True)
                      for at in (0, 8))
    jobs = {"reverse": negating(), "fail": negating()[:-1]}  # noqa: RUF012

    def test_an_input_beyond_its_range_has_failed_everywhere(self, runner: Runner) -> None:
        found = runner.run(self.job("reverse", (1001).to_bytes(8, "little")))
        assert (found.ending, found.same) == ("failed", True)
        assert runner.run(self.job("reverse", b"1234567")).ending == "failed"


class TestProgramsHere(Programs):
    @pytest.fixture
    def runner(self) -> Runner:
        return InProcess()


class TestProgramsAsWebAssembly(Programs):
    @pytest.fixture
    def runner(self) -> Runner:
        return Wasm()

    def test_the_same_as_in_this_process(self, runner: Runner) -> None:
        given = np.arange(-500, 500, dtype="<i8").tobytes()
        ran = [one.run(self.job("reverse", given)) for one in (runner, InProcess())]
        assert ran[0].output == ran[1].output
        assert ran[0].fuel > 0


class TestWebAssembly(BoundedSuite):
    form = "wasm"
    jobs = {name: command(name)  # noqa: RUF012
            for name in ("reverse", "fail", "forever", "swell", "flood", "remember")}

    @pytest.fixture
    def runner(self) -> Runner:
        return Wasm()

    def test_the_same_everywhere(self, runner: Runner) -> None:
        """Time, chance and what is no number are the job's own: they change with its digest and with nothing else."""
        one, two = (Wasm().run(Job("wasm", command("chance"), given, SMALL)) for given in (b"a", b"b"))
        assert one.output[40:] == bytes(8)
        assert one.output[:40] != two.output[:40]
        again = runner.run(Job("wasm", command("chance"), b"a", SMALL))
        assert (again.output, again.fuel, again.same) == (one.output, one.fuel, True)
        numbers = runner.run(Job("wasm", command("nan"), b"", SMALL)).output
        assert numbers == bytes.fromhex("000000000000f87f0000c07f")

    def test_fuel_is_counted_and_ends_it_at_the_same_place(self, runner: Runner) -> None:
        whole = runner.run(self.job("reverse"))
        assert 0 < whole.fuel < SMALL.fuel
        short = runner.run(self.job("reverse", limits=Limits(fuel=whole.fuel - 1)))
        assert (short.ending, short.why, short.same) == ("stopped", "out of fuel", True)

    def test_there_is_nothing_to_reach(self, runner: Runner) -> None:
        assert runner.run(Job("wasm", command("open"), b"", SMALL)).output == (44).to_bytes(4, "little")
        assert runner.run(Job("wasm", command("connect"), b"", SMALL)).ending == "failed"

    def test_addresses_beyond_its_memory_end_it(self, runner: Runner) -> None:
        found = runner.run(Job("wasm", command("deep"), b"", SMALL))
        assert (found.ending, found.why) == ("failed", "an address beyond the memory")

    def test_the_systems_work_is_charged(self, runner: Runner) -> None:
        found = runner.run(Job("wasm", command("greedy"), b"", Limits(fuel=1_000_000)))
        assert (found.ending, found.why) == ("stopped", "out of fuel")

    @pytest.mark.parametrize("text", [
        '(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32))) '
        '(global (export "memory") i32 (i32.const 0)) '
        '(func (export "_start") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))))',
        '(module (memory (export "memory") 1) (global (export "_start") i32 (i32.const 0)))',
        '(module (func (export "memory")) (func (export "input") (param i32) (result i32) (i32.const 0)) '
        '(func (export "step") (result i32) (i32.const 0)) (func (export "output") (result i64) (i64.const 0)))'])
    def test_what_is_called_like_a_memory_and_is_none(self, runner: Runner, text: str) -> None:
        wasmtime = pytest.importorskip("wasmtime")
        assert runner.run(Job("wasm", bytes(wasmtime.wat2wasm(text)), b"", SMALL)).ending == "failed"

    def test_an_exit_with_a_number_has_failed(self, runner: Runner) -> None:
        assert runner.run(Job("wasm", command("exit"), b"", SMALL)).why == "exit 7"

    def test_a_stack_that_is_too_deep_is_the_machines(self, runner: Runner) -> None:
        found = runner.run(Job("wasm", command("recurse"), b"", Limits(fuel=1 << 40)))
        assert (found.ending, found.same) == ("failed", False)

    @pytest.mark.parametrize("code", [pytest.param(command("forever"), id="a command", marks=pytest.mark.slow),
                                      pytest.param(endless(), id="a stepped module")])
    def test_time_ends_what_fuel_does_not(self, runner: Runner, code: bytes) -> None:
        found = runner.run(Job("wasm", code, b"", Limits(seconds=1, fuel=1 << 50)))
        assert (found.ending, found.why, found.same) == ("stopped", "more than 1 seconds", False)
        assert runner.run(Job("wasm", code, b"", Limits(fuel=1_000_000))).why == "out of fuel"

    def test_a_stepped_module(self, runner: Runner) -> None:
        found = runner.run(Job("wasm", stepped(), b"some bytes", SMALL))
        assert (found.ending, found.output) == ("done", summed(b"some bytes"))
        assert runner.run(Job("wasm", stepped(), bytes(5000), SMALL)).why == "out of fuel"


PYTHON = {
    "reverse": b"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])",
    "fail": b"raise SystemExit('\x1b[2J no')",
    "forever": b"while True: pass",
    "swell": b"held = []\nwhile True: held.append(bytearray(1 << 20))",
    "flood": b"import sys\nwhile True: sys.stdout.write('x' * 4096)",
    "remember": b"import os\nprint('old' if os.listdir('/tmp') else 'new', end='')\nopen('/tmp/mine', 'w').write('x')",
}


class TestSandbox(BoundedSuite):
    form, jobs = "python", PYTHON

    @pytest.fixture
    def runner(self) -> Runner:
        namespaces.needed()
        return Sandbox()

    def test_native_code(self, runner: Runner) -> None:
        with open("/bin/cat", "rb") as file:
            cat = file.read()
        assert runner.run(Job("binary", cat, GIVEN, SMALL)).output == GIVEN

    def test_packages_that_its_owner_shows(self, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("packages")
        (folder / "shown.py").write_text("said = 'hello'")
        job = Job("python", b"import shown; print(shown.said, end='')", b"")
        for path in (folder, *folder.parents[:-1]):
            path.chmod(path.stat().st_mode | 0o555)
        assert Sandbox([folder]).run(job).output == b"hello"
        assert Sandbox().run(job).ending == "failed"

    def test_without_bubblewrap_a_hint(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        from troth.compute.runners import sandbox

        sandbox._bwrap.cache_clear()
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(OutsideFailed, match="apt-get install bubblewrap"):
            runner.run(self.job("reverse"))
        sandbox._bwrap.cache_clear()


def test_a_runner_by_its_name() -> None:
    assert NAMES == ("process", "wasm", "sandbox", "ray")
    assert runner("wasm").name == "wasm"
    assert runner_for("python").name == "sandbox"
    with pytest.raises(Misuse):
        runner("none")
    with pytest.raises(BadInput):
        runner_for("none")


def test_a_job_is_named_by_all_that_it_is() -> None:
    job = Job("wasm", b"code", b"input")
    others = [Job("binary", b"code", b"input"), Job("wasm", b"codf", b"input"), Job("wasm", b"code", b"inpuu"),
              Job("wasm", b"code", b"input", Limits(fuel=1))]
    assert len({one.digest for one in (job, *others)}) == 5
    assert Limits.of(SMALL.json()) == SMALL
    with pytest.raises(BadInput):
        Limits(seconds=0)
    with pytest.raises(BadInput):
        Job("shell", b"", b"")
