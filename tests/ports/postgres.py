"""A Postgres server of the tests' own: a new data folder, a private Unix socket, no network, gone at the end."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

NUMBERS = count()
USER = "postgres"


def binaries() -> Path:
    """Where Debian puts the server's programs: not on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "no Postgres here; `make test` installs Debian's"
    return found[-1].parent


@cache
def server() -> str:
    """Start one for this process; the connection parameters, but for the schema.

    Postgres refuses to run as root, so root starts it as the user that Debian's package makes.
    """
    folder = Path(tempfile.mkdtemp(prefix="troth-postgres-"))
    data = folder / "data"
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    run = [*as_user, "env", "-i", "LC_ALL=C", "PATH=/usr/bin:/bin"]

    def program(name: str, *words: str) -> None:
        done = subprocess.run([*run, str(binaries() / name), *words], cwd=folder, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def stop() -> None:
        program("pg_ctl", "stop", "-D", str(data), "-m", "immediate")
        shutil.rmtree(folder)

    program("initdb", "-D", str(data), "-U", "troth", "--auth=trust", "--encoding=UTF8", "--no-sync")
    program("pg_ctl", "start", "-w", "-D", str(data), "-l", str(folder / "log"), "-o",
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c unix_socket_permissions=0700 -c fsync=off")
    atexit.register(stop)
    return f"postgresql:///postgres?host={folder}&user=troth"


def new_schema() -> str:
    """The address of an empty schema."""
    import psycopg  # an extra of the package; only these tests need it

    name = f"index_{next(NUMBERS)}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{server()}&options=-csearch_path%3D{name}"
