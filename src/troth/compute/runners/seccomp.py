"""A filter of system calls for sandboxed jobs, as the kernel takes it (seccomp, mode 2: classic BPF).

Namespaces already keep a job from files, processes and networks. The filter takes away what they do not cover: memory
that no limit counts (anonymous files, System V segments), sockets of every family (some, such as vsock, know no
namespaces), new namespaces, and corners of the kernel that a job has no use for. A call that is taken away answers
EPERM; a call in another machine's numbering ends the process.
"""

from __future__ import annotations

import struct

# From the kernel's <asm/unistd.h>: (x86-64, AArch64, where it has one).
_DENIED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432), "mount_setattr": (442, 442),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60),
    "personality": (135, 92), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "vmsplice": (278, 75),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column above, and AUDIT_ARCH_*."""
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_X32 = 0x40000000


def filter_for(machine: str) -> bytes | None:
    """The filter's instructions for this machine (``os.uname().machine``), or None for one without a list here."""
    if machine not in _MACHINES:
        return None
    column, arch = _MACHINES[machine]
    denied = [number for numbers in _DENIED.values() if (number := numbers[column]) is not None]
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, arch), (_ANSWER, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_ANSWER, 0, 0, _KILL)]
    # clone3's flags lie in memory, out of a filter's sight; a C library that is told it is not there uses clone.
    code += [(_EQUAL, 0, 1, _CLONE3), (_ANSWER, 0, 0, _ENOSYS)]
    for number in denied:
        code += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, _EPERM)]
    code += [(_EQUAL, 0, 3, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
             (_ANSWER, 0, 0, _EPERM), (_ANSWER, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *one) for one in code)
