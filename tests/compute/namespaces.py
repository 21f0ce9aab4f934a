"""Whether this machine's kernel lets anybody make a sandbox at all."""

from __future__ import annotations

from functools import cache

import pytest

from troth.compute.runners import Job
from troth.compute.runners.sandbox import Sandbox
from troth.core.errors import OutsideFailed


@cache
def refused() -> str:
    """Why the kernel makes none; empty where it does. A missing bubblewrap is no reason: ``make test`` installs it."""
    try:
        Sandbox().run(Job("python", b"pass", b""))
    except OutsideFailed as error:
        if error.message != "this machine makes no sandbox":
            raise
        return error.diagnostics()
    return ""


def needed() -> None:
    """Skip a test that needs a sandbox where the kernel makes none."""
    if refused():
        pytest.skip(refused())
