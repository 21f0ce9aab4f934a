"""Hostile jobs for the sandbox, and what came of each: executed by tests in their own process, and as nobody.

Each tries what it can, and says "got <what>" for everything it should not have got. So one that ends well says nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from troth.compute.runners import Job, Limits, Ran
from troth.compute.runners.sandbox import Sandbox

SECRET = "TROTH_TEST_SECRET"
_TRY = """
import os, sys, ctypes, errno
ctypes.CDLL(None).prctl(15, b'hostile%(port)d', 0, 0, 0)  # the name of this process and its children
def tried(what, act):
    try:
        found = act()
    except (OSError, MemoryError, ImportError, ValueError, AttributeError):
        return
    print('got', what, repr(found)[:80], flush=True)
"""
JOBS: Mapping[str, tuple[str, Limits]] = {
    "reads outside its inputs": ("""
for path in ('/etc/passwd', '/etc/shadow', '/etc/hostname', '/root', '/home', '/proc/1/environ', '/proc/self/mountinfo',
             '/proc/self/fd/0', '/sys', '/dev/mem', '/dev/sda', '/dev/vda', '/dev/kmsg', '/dev/shm', '/dev/fuse',
             '/dev/net/tun', '/dev/kvm', '/run', '/var', '/tmp/../work', '/usr/bin', '/usr/local', '/opt', '/srv',
             %(here)r, %(file)r):
    tried(path, lambda: open(path, 'rb').read(10))
    tried(path, lambda: [x for x in os.listdir(path) if path != '/root' or x != '.pyenv'] or 1 / 0
          if not %(python)r.startswith(path) else open('/none'))
tried('the environment', lambda: {k for k in os.environ if k not in
      ('PATH', 'HOME', 'PYTHONHASHSEED', 'LC_ALL', 'PWD', 'LC_CTYPE')} or open('/none'))
for fd in range(3, 256):
    tried('an open file', lambda: os.fstat(fd))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(number, *words) < 0: raise OSError(ctypes.get_errno(), 'no')
    return number
tried('ptrace', lambda: call(101, 16, 1, 0, 0))
tried('another process', lambda: os.kill(2, 0) if os.getpid() != 2 else open('/none'))
""", Limits(seconds=10)),
    "reaches a network": ("""
import socket
for family in range(46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        tried(f'a socket of family {family}', lambda: socket.socket(family, kind))
tried('an address', lambda: socket.create_connection(('127.0.0.1', %(port)d), 1))
tried('a name', lambda: socket.getaddrinfo('localhost', 80))
""", Limits(seconds=10)),
    "changes what it was given": ("""
for path in ('/job/main', '/job/start', '/job/new', '/new', '/usr/lib/new', '/dev/new',
             os.path.dirname(os.__file__) + '/os.py', os.path.dirname(os.__file__) + '/new',
             os.path.realpath(sys.executable)):
    tried(path, lambda: open(path, 'ab'))
    tried(path, lambda: os.chmod(path, 0o777))
    tried(path, lambda: os.unlink(path))
tried('its input', lambda: os.write(0, b'x'))
tried('its input, longer', lambda: os.ftruncate(0, 1 << 20))
tried('root', lambda: os.setuid(0))
tried('root', lambda: os.setgid(0))
tried('a device', lambda: os.mknod('/tmp/x', 0o600 | 0o060000, os.makedev(8, 0)))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(number, *words) < 0: raise OSError(ctypes.get_errno(), 'no')
    return number
for name, number, words in (('mount', 165, (b'none', b'/tmp', b'tmpfs', 0, None)), ('umount', 166, (b'/job', 2)),
                            ('unshare', 272, (0x10000000,)), ('chroot', 161, (b'/tmp',)),
                            ('clone into a namespace', 56, (0x10000000 | 17, 0, 0, 0, 0)),
                            ('clone3', 435, (0, 0)), ('keyctl', 250, (0, -3, 1)), ('bpf', 321, (0, 0, 0)),
                            ('io_uring', 425, (1, 0)), ('perf', 298, (0, 0, -1, -1, 0)),
                            ('a name', 170, (b'x', 1)), ('userfaultfd', 323, (0,)), ('kexec', 246, (0, 0, 0, 0))):
    if os.uname().machine == 'x86_64':
        tried(name, lambda: call(number, *words))
""", Limits(seconds=10)),
    "raises its own limits": ("""
import resource
for name in ('AS', 'CPU', 'NPROC', 'FSIZE', 'NOFILE', 'CORE', 'MEMLOCK'):
    limit = getattr(resource, 'RLIMIT_' + name)
    tried(name, lambda: resource.setrlimit(limit, (1 << 40, 1 << 40)))
    soft, hard = resource.getrlimit(limit)
    if soft < 0 or hard < 0: print('got no limit of', name)
""", Limits(seconds=10)),
    "fills the disk": ("""
made = 0
for place in ('/tmp', '/', '/dev', '/job', '/usr/lib', '/dev/shm', '/var/tmp'):
    for number in range(64):
        try:
            with open(f'{place}/{number}', 'wb') as out:
                while True: made += out.write(bytes(1 << 16))
        except (OSError, ValueError): pass
if made > %(disk)d: print('got', made)
""", Limits(seconds=10, disk=1 << 20)),
    "takes memory that is no process's": ("""
tried('an anonymous file', lambda: os.memfd_create('x'))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(number, *words) < 0: raise OSError(ctypes.get_errno(), 'no')
    return number
if os.uname().machine == 'x86_64':
    tried('a segment', lambda: call(29, 0, 1 << 20, 0o1600))
    tried('a hidden file', lambda: call(447, 0))
tried('memory', lambda: bytearray(200 << 20))
import mmap
tried('shared memory', lambda: mmap.mmap(-1, 200 << 20))
""", Limits(seconds=10, memory=128 << 20)),
    "forks without bound": ("""
import time
children = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            while True:
                try: os.fork()
                except OSError: time.sleep(60)
        children += 1
    except OSError: break
if children > 4: print('got', children)
""", Limits(seconds=10, processes=4)),
    "outlives its time": ("""
import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(0); os.close(1); os.close(2)
        while True: time.sleep(1)
    os._exit(0)
os.close(1); os.close(2)
while True: time.sleep(1)
""", Limits(seconds=1, processes=8)),
    "leaves a child behind": ("""
import time
if os.fork() == 0:
    os.setsid()
    os.close(0); os.close(1); os.close(2)
    time.sleep(1000)
""", Limits(seconds=10, processes=4)),
}


def code(name: str, port: int) -> Job:
    """The job of this name. port: where something listens outside."""
    text, limits = JOBS[name]
    text = _TRY + text
    values = {"here": os.getcwd(), "file": str(Path(__file__).resolve()), "port": port, "disk": limits.disk,
              "python": os.path.realpath(sys.executable)}
    for key, value in values.items():
        text = text.replace(f"%({key})r", repr(value)).replace(f"%({key})d", str(value))
    return Job("python", text.encode(), b"input", limits)


def verdict(name: str, ran: Ran) -> list[str]:
    """What this job should not have got."""
    found = [line for line in ran.output.decode().splitlines() if line.startswith("got")]
    wanted = "stopped" if name == "outlives its time" else "done"
    return found + ([] if ran.ending == wanted else [f"it {ran.ending}: {ran.why}"])


def main() -> None:
    """Execute all, and print what was got as JSON."""
    print(json.dumps({name: verdict(name, Sandbox().run(code(name, int(sys.argv[1])))) for name in JOBS}))


if __name__ == "__main__":
    main()
