"""Jobs as processes of their own, in bubblewrap: native code that its owner does not trust.

What a job finds: its code and its input, read-only; an empty ``/tmp`` of its own, bounded, which ends with it; the
interpreter, its standard library and the system's shared libraries, read-only. Nothing else: no other file, no network,
no other process, no device but null, zero and random, no rights, not even its owner's account. What it may use:

- the clock: killed with all that it started when the time is over;
- processor time, memory, file sizes, open files, processes: the kernel's limits, set inside, where they count this
  job's processes and no others;
- output: read up to its limit, and then it is killed;
- system calls: `seccomp` takes away what namespaces and limits do not cover.

Run by root, the job's processes belong to an account number that nobody has, drawn for each run: root is exempt from
limits. What it does not prove: that the kernel has no hole. For code from strangers choose WebAssembly where you can,
or a machine of its own. Native results are the same elsewhere only if the job takes care that they are.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, ClassVar

from troth.compute.runners import BINARY, PYTHON, Job, Limits, Ran, Runner, printable
from troth.compute.runners.seccomp import filter_for
from troth.core.errors import OutsideFailed

HINT = "apt-get install bubblewrap (Debian, Ubuntu) or your system's package of that name."
_MOST_ERRORS = 8192
_OWN = "/tmp"  # noqa: S108  (the job's own, in a namespace of its own)
_GRACE = 0.5
"""Seconds on the clock beyond the limit, so that the start of a sandbox is not the job's."""
_LAST = 10.0
"""Seconds that a namespace of processes which is being killed may take to end."""
_CHILD = re.compile(rb'"child-pid": (\d+)')
_OPEN_FILES = 64
_FIRST_ACCOUNT, _ACCOUNTS = 0x60000000, 0x10000000
"""Account numbers that no system gives to anybody."""
_START = """import os, resource as r, sys
if {account}:
    os.setgroups([])
    os.setresgid({account}, {account}, {account})
    os.setresuid({account}, {account}, {account})
for name, most in {limits!r}.items():
    r.setrlimit(getattr(r, name), (most, most))
sys.argv = ['main']
{then}
"""
_PYTHON = "import runpy; sys.path.insert(0, '/job'); runpy.run_path('/job/main', run_name='__main__')"
_BINARY = "os.execv('/job/main', ['main'])"


class Sandbox(Runner):
    """libraries: folders of Python packages that jobs may import, read-only, such as one that holds NumPy.

    Where bubblewrap is missing, or this kernel lets this account make no namespaces, ``run`` raises OutsideFailed.
    """

    name: ClassVar[str] = "sandbox"
    bounded: ClassVar[bool] = True
    forms = frozenset({PYTHON, BINARY})

    def __init__(self, libraries: Sequence[Path] = ()) -> None:
        self._libraries = tuple(path.resolve() for path in libraries)

    def _run(self, job: Job) -> Ran:
        begun = time.monotonic()
        deadline = begun + job.limits.seconds + _GRACE
        with _Run(job, self._libraries) as run:
            why = run.watch(deadline)
            status = run.end()
            if status and not why:
                run.refuse_where_it_never_began()
        milliseconds = round(1000 * (time.monotonic() - begun))
        if why:
            return Ran("stopped", run.output, why, 0, milliseconds)
        if status:
            return Ran("failed", run.output, run.why(status), 0, milliseconds)
        return Ran("done", run.output, "", 0, milliseconds)


class _Run:
    """One job's process, from its start until nothing of it is left."""

    def __init__(self, job: Job, libraries: Sequence[Path]) -> None:
        self._limits, self._output, self._errors = job.limits, bytearray(), bytearray()
        self._status = b""
        program, rules = _bwrap(), _rules()
        account = _FIRST_ACCOUNT + secrets.randbelow(_ACCOUNTS) if os.geteuid() == 0 else None
        self._held = [_sealed(data) for data in (job.code, job.input, _start(job, account).encode(), rules)]
        code, given, start, filtered = self._held
        self._told, told = os.pipe()
        os.set_blocking(self._told, False)
        command = [program, *_walls(job.limits, account), *_visible(libraries),
                   "--perms", "0555", "--ro-bind-data", str(code), "/job/main",
                   "--perms", "0444", "--ro-bind-data", str(start), "/job/start",
                   "--remount-ro", "/", "--json-status-fd", str(told),
                   "--seccomp", str(filtered), "--", str(_interpreter()), "-sSB", "/job/start"]
        try:
            self._process = subprocess.Popen(
                command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, cwd="/",
                pass_fds=(told, code, start, filtered), start_new_session=True)
        except OSError as error:
            self._let_go()
            raise OutsideFailed("a sandbox could not be started", actual=error.strerror, do=HINT) from None
        finally:
            os.close(told)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._let_go()

    @property
    def output(self) -> bytes:
        return bytes(self._output)

    def watch(self, deadline: float) -> str:
        """Read until both pipes end; which limit was passed first, or nothing."""
        with selectors.DefaultSelector() as waiting:
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            said = self._process.stdout.fileno()
            for number in (said, self._process.stderr.fileno()):
                waiting.register(number, selectors.EVENT_READ)
            while waiting.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return f"more than {self._limits.seconds} seconds"
                for key, _ in waiting.select(left):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        waiting.unregister(key.fd)
                    elif key.fd == said:
                        self._output += data
                    else:
                        self._errors = (self._errors + data)[-_MOST_ERRORS:]
                    if len(self._output) > self._limits.output:
                        del self._output[self._limits.output :]
                        return f"more than {self._limits.output} bytes of output"
            try:
                self._process.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:  # it closed its output and goes on
                return f"more than {self._limits.seconds} seconds"
        return ""

    def end(self) -> int:
        """Kill what is left; the job's exit status, negative for a signal."""
        self._kill()
        status = self._process.returncode
        # bubblewrap says 128 + n of a job that a signal ended.
        return status - 256 if status > 192 else 128 - status if 128 < status <= 192 else status

    def why(self, status: int) -> str:
        """What a job said last."""
        said = printable(self._errors.decode("utf-8", "replace"))
        if status == -signal.SIGXCPU or status == -signal.SIGKILL:
            return f"killed ({signal.Signals(-status).name}): a limit of processor time or memory, perhaps"
        return f"exit {status}" + (f": {said}" if said else "")

    def refuse_where_it_never_began(self) -> None:
        """Raises OutsideFailed where bubblewrap itself failed: the job has no part in that."""
        if b"exit-code" not in self._status:
            why = printable(self._errors.decode("utf-8", "replace"), 200)
            raise OutsideFailed("this machine makes no sandbox", actual=why,
                                do="Allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
                                   "kernel.apparmor_restrict_unprivileged_userns).")

    def _kill(self) -> None:
        if self._process.poll() is None:
            # The whole namespace of processes ends with its first, which dies with bubblewrap.
            self._process.kill()
        self._process.wait()
        self._wait_for_the_last()

    def _wait_for_the_last(self) -> None:
        """bubblewrap ends before the processes that it started have: wait for their first, which is the last to go."""
        with suppress(BlockingIOError):
            while part := os.read(self._told, 1 << 12):
                self._status += part
        found = _CHILD.search(self._status)
        if found is None:
            return
        with suppress(ProcessLookupError):
            held = os.pidfd_open(int(found[1]))
            with selectors.DefaultSelector() as waiting:
                waiting.register(held, selectors.EVENT_READ)
                waiting.select(_LAST)
            os.close(held)

    def _let_go(self) -> None:
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        pipes: list[IO[bytes] | None] = [process.stdout, process.stderr] if process else []
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        for held in (*self._held, self._told):
            os.close(held)


def _start(job: Job, account: int | None) -> str:
    limits = job.limits
    found = {"RLIMIT_AS": limits.memory, "RLIMIT_CPU": limits.seconds, "RLIMIT_FSIZE": limits.disk,
             # In a namespace of accounts the first process, which waits for the others, counts too.
             "RLIMIT_NPROC": limits.processes + (account is None), "RLIMIT_NOFILE": _OPEN_FILES, "RLIMIT_CORE": 0,
             "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0, "RLIMIT_SIGPENDING": 256}
    then = _PYTHON if job.form == PYTHON else _BINARY
    return _START.format(account=account or 0, limits=found, then=then)


def _walls(limits: Limits, account: int | None) -> list[str]:
    # Root keeps to itself what it needs to become another account, which `_START` does before anything else.
    apart = ["--unshare-user", "--uid", "1000", "--gid", "1000"] if account is None else []
    keeps = [] if account is None else ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    devices = ["--perms", "0755", "--dir", "/dev"]
    devices += [word for name in ("null", "zero", "urandom", "random")
               for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    return [*apart, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
            "--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/nowhere", "--setenv", "HOME",
            _OWN, "--setenv", "PYTHONHASHSEED", "0", "--setenv", "LC_ALL", "C.UTF-8", "--hostname", "job",
            "--cap-drop", "ALL", *keeps, *devices, "--perms", "1777", "--size", str(limits.disk), "--tmpfs", _OWN,
            "--chdir", _OWN]


def _visible(libraries: Sequence[Path]) -> list[str]:
    """The interpreter, its standard library and shared libraries, where they are; packages beside them."""
    words = list(_system())
    if libraries:
        words += ["--perms", "0755", "--dir", "/libraries"]
    for number, path in enumerate(libraries):
        words += ["--ro-bind", str(path), f"/libraries/{number}"]
    if libraries:
        words += ["--setenv", "PYTHONPATH", ":".join(f"/libraries/{number}" for number in range(len(libraries)))]
    return words


@cache
def _system() -> tuple[str, ...]:
    paths = [_interpreter(), Path(sysconfig.get_path("stdlib")).resolve()]
    folder, shared = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if folder and shared and ".so" in shared:
        paths.append(Path(folder) / shared)
    words = []
    for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64"):
        if Path(name).is_symlink():
            words += ["--symlink", os.readlink(name), name]
        else:
            paths.append(Path(name))
    found = [path for path in paths if path.exists()]
    above = {parent for path in found for parent in path.parents if parent != Path("/")}
    # bubblewrap would make the folders above for its own account alone.
    folders = [word for one in sorted(above) for word in ("--perms", "0755", "--dir", str(one))]
    return (*folders, *(word for path in found for word in ("--ro-bind", str(path), str(path))), *words)


@cache
def _interpreter() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@cache
def _rules() -> bytes:
    machine = os.uname().machine
    rules = filter_for(machine)
    if rules is None:
        raise OutsideFailed("no sandbox for this kind of machine", actual=machine, expected="x86_64 or aarch64",
                            do="Use the runner wasm.")
    return rules


@cache
def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise OutsideFailed("bubblewrap is not installed", do=HINT)
    return found


def _sealed(data: bytes) -> int:
    """Bytes as a file that has no name and that nobody can change or lengthen any more."""
    # Linux alone has these, as it alone has bubblewrap.
    import fcntl

    held = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(held, "wb", closefd=False) as out:
        out.write(data)
    os.lseek(held, 0, os.SEEK_SET)
    fcntl.fcntl(held, fcntl.F_ADD_SEALS,
                fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return held
