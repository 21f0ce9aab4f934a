"""Hostile jobs in the sandbox, as whoever runs the tests and, where that is root, as nobody too."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hostile_jobs
import namespaces
import orjson
import pytest

import troth
from troth.compute.runners.sandbox import Sandbox

HERE = Path(__file__).resolve()


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> None:
    namespaces.needed()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Something that listens on loopback, which no job may reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def left(port: int) -> list[str]:
    """Processes of this test's jobs that are still there, by the name that each gives itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == f"hostile{port}":
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_what_is_left_behind_would_be_seen(port: int) -> None:
    name = f"hostile{port}"
    code = f"import ctypes, time; ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert left(port) == [str(process.pid)]
        process.kill()


@pytest.mark.parametrize("name", hostile_jobs.JOBS)
def test_a_hostile_job_gets_nothing(name: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hostile_jobs.SECRET, "a secret of whoever runs the job")
    begun = time.monotonic()
    ran = Sandbox().run(hostile_jobs.code(name, port))
    assert hostile_jobs.verdict(name, ran) == []
    assert not left(port), "something outlived the run"
    assert time.monotonic() - begun < 60


def as_nobody() -> list[str]:
    """A Python of this version that nobody may run."""
    for path in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
        done = subprocess.run([path, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True,
                              user=65534, group=65534, extra_groups=[], check=False, cwd="/") if all(
            os.stat(one).st_mode & 0o001 for one in Path(path).resolve().parents) else None
        if done is not None and done.stdout.strip() == str(sys.version_info[:2]):
            return [path]
    return []


@pytest.mark.skipif(os.geteuid() != 0, reason="the other test is run by an account without rights")
def test_as_nobody_it_gets_nothing_either(port: int) -> None:
    python = as_nobody()
    if not python:
        pytest.skip("no Python of this version that nobody may run")
    ours = [str(Path(module.__file__).parents[1]) for module in (troth, orjson)]
    path = os.pathsep.join(ours)
    done = subprocess.run([*python, str(HERE.with_name("hostile_jobs.py")), str(port)], user=65534, group=65534,
                          extra_groups=[], cwd="/", check=False, capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in hostile_jobs.JOBS}
