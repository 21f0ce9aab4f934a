"""Low-communication training between real processes over gloo: the same bits, cheats named, workers killed."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_parts import DIDS, PATIENCE, START, Room, score, session
from torch.optim.sgd import sgd

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.fixed.numbers import LIMIT, ONE
from troth.identity.keybook import KeyBook
from troth.learn.adapters import to_state
from troth.learn.arrays import equal, unflatten
from troth.learn.slow.folder import Committed, Folder
from troth.learn.slow.link import Link, Meeting
from troth.learn.slow.local import ModuleSteps
from troth.learn.slow.outer import Point, Session, outer_step, pack, unpack
from troth.learn.slow.recheck import recheck


def _digest(path: Path, said: Session) -> bytes:
    return recheck(path, said, START, KeyBook()).digest


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Three workers, four syncs, nobody lost."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Room(session(3), folder) as room:
        for index in range(3):
            room.start(index)
        found = room.finish(3)
    assert {how for how, *_ in found.values()} == {"done"}, found
    assert len({what for _, what, *_ in found.values()}) == 1, "every worker holds the same bits"
    return folder, found[0][1]


def test_three_workers_hold_the_same_bits_and_anybody_computes_them_again(undisturbed: tuple[Path, bytes]) -> None:
    folder, digest = undisturbed
    for index in range(3):
        assert _digest(folder / str(index), session(3)) == digest
    point = recheck(folder / "0", session(3), START, KeyBook())
    assert score(unflatten(point.params, session(3).shapes)) > 0.85


def test_a_folder_that_was_changed_is_refuted_and_one_that_lacks_values_is_not(undisturbed: tuple[Path, bytes],
                                                                              tmp_path: Path) -> None:
    folder, _ = undisturbed
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(folder / "0"), str(copy)], check=True)
    value = next((copy / "values").iterdir())
    good = value.read_bytes()
    value.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(Refuted, match="changed on disk"):
        _digest(copy, session(3))
    value.unlink()
    with pytest.raises(Undecidable, match="not in this folder"):
        _digest(copy, session(3))
    value.write_bytes(good)
    record = copy / "00000002.json"
    text = record.read_text()
    for old, new in (('"expelled":[]', f'"expelled":["{DIDS[0]}"]'), ('"attempt":1', '"attempt":2'),
                     (text.split('"sig')[0][-90:-26], "0" * 64)):
        if old not in text:
            continue
        record.write_text(text.replace(old, new, 1))
        with pytest.raises((Refuted, BadInput)):
            _digest(copy, session(3))
    record.write_text(text)
    with pytest.raises(BadInput, match="another session"):
        _digest(copy, session(3, syncs=5))
    other = {"bias": START["bias"] + 1, "weights": START["weights"]}
    with pytest.raises(Refuted, match="starts from"):
        recheck(copy, session(3), other, KeyBook())


def test_values_that_were_not_committed_to_are_named_and_left_out_for_good(tmp_path: Path) -> None:
    with Room(session(3), tmp_path) as room:
        for index in range(3):
            room.start(index, "Cheat" if index == 1 else "Worker")
        found = room.finish(3)
    assert found[1][0] == "Refuted"
    for index in (0, 2):
        how, digest, seen, _ = found[index]
        assert how == "done", found
        assert seen[1] == (2, {DIDS[1]: "values"})
        point = recheck(tmp_path / str(index), session(3), START, KeyBook())
        assert point.expelled == (DIDS[1],)
        assert point.digest == digest
    assert found[0][1] == found[2][1]


def test_a_stranger_in_a_workers_place_counts_for_nothing_and_the_worker_is_not_expelled(tmp_path: Path) -> None:
    with Room(session(3, syncs=2), tmp_path) as room:
        for index in range(3):
            room.start(index, "Forged" if index == 1 else "Worker")
        found = room.finish(3)
    assert found[1][0] == "Refuted"
    assert found[0][:2] == found[2][:2]
    assert found[0][2][0] == (1, {DIDS[1]: "signature"})
    assert recheck(tmp_path / "0", session(3, syncs=2), START, KeyBook()).expelled == ()


def test_a_point_is_believed_with_its_seals_alone(undisturbed: tuple[Path, bytes]) -> None:
    folder, _ = undisturbed
    said = session(3)
    done = Folder(folder / "0", said).committed(2)
    done.check(said, KeyBook())
    assert Committed.from_bytes(done.to_bytes()) == done
    one, two, three = done.seals
    wrong = [replace(done, seals=(one, two)), replace(done, seals=(two, one, three)),
             replace(done, seals=(one, one, two)),
             replace(done, commitments=done.commitments[:2], seals=(one, two)),
             replace(done, commitments=done.commitments[:1], seals=(one,)), replace(done, attempt=9),
             replace(done, point={**done.point, "sync": 3}), replace(done, point={**done.point, "numbers": "0" * 64}),
             replace(done, left_out={DIDS[0]: "values"}), replace(done, before=bytes(32)),
             replace(done, seals=(one, two, replace(three, signatures=two.signatures)))]
    for other in wrong:
        with pytest.raises(Refuted):
            other.check(said, KeyBook())
    with pytest.raises(Refuted):
        done.check(session(3, syncs=5), KeyBook())


class Momentum:
    """An optimiser whose memory is tensors, as those of torch.optim are."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.speed = [torch.zeros_like(parameter) for parameter in module.parameters()]

    def state_dict(self) -> dict[str, list[torch.Tensor]]:
        return {"speed": self.speed}

    def load_state_dict(self, state: dict[str, list[torch.Tensor]]) -> None:
        self.speed = [tensor.clone() for tensor in state["speed"]]


def _steps() -> tuple[torch.nn.Module, ModuleSteps]:
    torch.manual_seed(0)
    module = torch.nn.Linear(2, 1)
    optimiser = Momentum(module)

    def step(module: torch.nn.Module, number: int) -> None:
        module.zero_grad()
        (module(torch.tensor([[1.0, number % 3]])) - number % 2).square().sum().backward()
        with torch.no_grad():
            for speed, parameter in zip(optimiser.speed, module.parameters(), strict=True):
                speed.mul_(0.9).add_(parameter.grad)
                parameter.sub_(0.01 * speed)

    return module, ModuleSteps(module, 3, step, optimiser)


def test_local_steps_go_on_after_a_crash_as_if_there_had_been_none() -> None:
    module, steps = _steps()
    start = to_state(module)
    middle = steps.train(start, 1)
    kept = steps.memory()
    end = steps.train(middle, 2)
    _, other = _steps()
    other.recall(kept)
    assert equal(other.train(middle, 2), end)
    other.recall(b"")
    assert not equal(other.train(middle, 2), end)
    assert equal(other.train(start, 1), middle) is False
    other.recall(b"")
    assert equal(other.train(start, 1), middle)
    with pytest.raises(BadInput, match="no optimiser"):
        ModuleSteps(module, 1, lambda *_: None).recall(kept)


def test_who_shows_different_values_to_different_workers_stops_the_sync(tmp_path: Path) -> None:
    with Room(session(3, syncs=1), tmp_path) as room:
        for index in range(3):
            room.start(index, "TwoFaced" if index == 2 else "Worker")
        found = room.finish(3)
    assert found[0][0] == found[1][0] == "Refuted"
    assert "sealed another result" in found[0][1]
    assert room.syncs(0) == room.syncs(1) == 0


@pytest.mark.parametrize("kind", ["Dies", "Sealless"])
def test_killed_in_the_middle_of_a_sync_the_others_go_on_and_it_returns(kind: str, tmp_path: Path) -> None:
    said = session(3, syncs=6)
    with Room(said, tmp_path) as room:
        for index in range(3):
            room.start(index, kind if index == 1 else "Waits")
        room.processes[1].join(30)
        assert room.processes[1].exitcode == -signal.SIGKILL
        room.wait_for(0, 4)
        room.start(1)
        found = room.finish(3)
    assert {how for how, *_ in found.values()} == {"done"}, found
    assert found[0][2][2] == (3, {}), "the lost one is not left out: it was not there"
    assert len({what for _, what, *_ in found.values()}) == 1
    assert _digest(tmp_path / "0", said) == found[0][1]


def test_everybody_killed_and_started_again_ends_where_an_undisturbed_run_ends(undisturbed: tuple[Path, bytes],
                                                                              tmp_path: Path) -> None:
    _, digest = undisturbed
    with Room(session(3), tmp_path) as room:
        for index in range(3):
            room.start(index, nap=0.1)
        room.wait_for(0, 2)
        for process in room.processes.values():
            process.kill()
            process.join()
    assert 2 <= room.syncs(0) < 4
    with Room(session(3), tmp_path) as room:
        for index in range(3):
            room.start(index)
        found = room.finish(3)
    assert {what for _, what, *_ in found.values()} == {digest}


def test_a_worker_that_is_suspended_does_not_hang_the_others(tmp_path: Path) -> None:
    patience = PATIENCE.__class__(grace=0.5, wait=1.5, meet=20.0)
    with Room(session(3), tmp_path) as room:
        for index in range(3):
            room.start(index, "Sleeps" if index == 2 else "Worker", patience=patience)
        found = room.finish(2)
        assert [found[index][0] for index in (0, 1)] == ["done", "done"]
        assert found[0][1] == found[1][1]
        os.kill(room.processes[2].pid, signal.SIGKILL)


def test_who_boasts_of_a_terabyte_to_come_stops_nobody(tmp_path: Path) -> None:
    """The room for it would have to be made before it is seen to be nonsense."""
    with Room(session(3, syncs=2), tmp_path) as room:
        for index in range(3):
            room.start(index, "Boasts" if index == 1 else "Worker")
        found = room.finish(3)
    assert [found[index][0] for index in range(3)] == ["done", "Refuted", "done"], found
    assert found[0][1] == found[2][1]


def test_half_of_the_workers_do_not_go_on(tmp_path: Path) -> None:
    with Room(session(2), tmp_path) as room:
        room.start(0, patience=PATIENCE.__class__(grace=0.2, wait=2.0, meet=0.6))
        assert room.finish(1)[0][:1] == ("OutsideFailed",)


def test_nothing_listens_beyond_this_machine_unasked() -> None:
    with pytest.raises(Misuse, match="plain TCP"):
        Meeting("0.0.0.0")
    meeting = Meeting()
    listening = subprocess.run(["ss", "-ltn"], check=True, capture_output=True, text=True).stdout
    assert f"127.0.0.1:{meeting.port} " in listening
    assert f"0.0.0.0:{meeting.port} " not in listening
    assert f"*:{meeting.port} " not in listening
    with pytest.raises(Misuse, match="plain TCP"):
        Link((meeting.address, meeting.port), 0, 1, address="192.0.2.1")
    meeting.close()


VECTORS = st.lists(st.integers(-2000, 2000), min_size=3, max_size=3).map(lambda row: np.array(row, np.int64))


@settings(max_examples=60, deadline=None)
@given(st.lists(VECTORS, min_size=1, max_size=4), VECTORS, VECTORS)
def test_the_outer_step_is_nesterovs_and_the_order_of_workers_is_nothing(deltas, params, speed) -> None:
    start = {"p": params}
    said = Session.of(DIDS[:len(deltas)], start, 1, 1)
    point = Point(0, params, speed, (), said.id)
    named = dict(zip(said.workers, deltas, strict=True))
    found = outer_step(said, point, named)
    again = outer_step(said, point, dict(reversed(named.items())))
    assert found.digest == again.digest
    mean = np.mean(deltas, axis=0)
    moving = 0.9 * speed + mean
    assert np.abs(found.momentum - moving).max() <= 1.1
    assert np.abs(found.params - (params + 0.7 * (mean + 0.9 * moving))).max() <= 3


def test_the_outer_step_equals_torchs_optimiser() -> None:
    generator = np.random.default_rng(1)
    start = {"p": generator.integers(-ONE, ONE, 50)}
    said = Session.of(DIDS[:2], start, 1, 1)
    point = Point.first(said, start)
    theirs = torch.nn.Parameter(torch.tensor(start["p"] / ONE))
    speed: list[torch.Tensor | None] = [None]
    for _ in range(8):
        deltas = {worker: generator.integers(-ONE // 8, ONE // 8, 50) for worker in said.workers}
        point = outer_step(said, point, deltas)
        gradient = torch.tensor(-sum(deltas.values()) / 2 / ONE)
        # the optimiser itself would load a compiler first; this is the function that it calls
        sgd([theirs.data], [gradient], speed, weight_decay=0.0, lr=said.rate / ONE, momentum=said.momentum / ONE,
            dampening=0.0, nesterov=True, maximize=False)
    assert np.abs(point.params / ONE - theirs.detach().numpy()).max() < 1e-3


@given(st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=9))
def test_packed_integers_come_back_and_nothing_else_packs_so(row: list[int]) -> None:
    delta = np.array(row, np.int64)
    data = pack(delta)
    assert (unpack(data, len(row)) == delta).all()
    for other in (b"", data[:-1], data + b"\0", bytes([8]) + data[1:], bytes([0])):
        with pytest.raises(BadInput):
            unpack(other, len(row))
    if data[0] < 4:
        with pytest.raises(BadInput, match="wider"):
            unpack(bytes([2 * data[0]]) + delta.astype(f"<i{2 * data[0]}").tobytes(), len(row))


def test_a_session_out_of_range_is_refused() -> None:
    for more in ({"rule": "nonsense"}, {"rate": 0}, {"momentum": ONE + 1}, {"clip": 0}, {"syncs": 0}):
        with pytest.raises(BadInput):
            session(2, **more)
    with pytest.raises(BadInput, match="norm"):
        outer_step(session(1), Point.first(session(1), START), {DIDS[0]: np.full(650, ONE * 16, np.int64)})
