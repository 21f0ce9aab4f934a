"""Signing and checking a model's directory against SHA-256 alone over the same files, in the same run; and memory.

The files are sparse, so that reading them costs what the page cache costs and no disk. ``signing`` and ``checking`` are
whole: walking, hashing, manifest, ECDSA, bundle, comparison. Exports are of a lineage as a round of training leaves it.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.store import gigabytes, ratio, seconds
from troth.app import Settings, Troth
from troth.app import formats as exporting
from troth.core.claims import Ref, Subject
from troth.formats import oms
from troth.formats.foreign import ForeignKey
from troth.identity.keystore import MIN_COST

MIB = 1 << 20
FILES = 4
CLAIMS = 60
"""About as many as the lineage of eight rounds holds."""


def make(folder: Path, size: int) -> None:
    """``FILES`` sparse files, ``size`` bytes in all, each with its number in front."""
    folder.mkdir()
    for number in range(FILES):
        with open(folder / f"shard-{number}.bin", "wb") as file:
            file.write(bytes([number]))
            file.truncate(size // FILES)


def sha256_alone(folder: Path) -> None:
    """The least that naming these files can cost: read into one buffer and hash."""
    view = memoryview(bytearray(MIB))
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while taken := file.readinto(view):
                digest.update(view[:taken])
        digest.digest()


def sign(folder: Path, private: ec.EllipticCurvePrivateKey) -> bytes:
    """A bundle over the folder."""
    files, ignored = oms.manifest(folder)
    return oms.sign(oms.statement(folder.name, files, ignored, {}), private)


def peak_memory(size: int) -> dict[str, float]:
    """Peak resident memory in MiB of a fresh process before and after it signs ``size`` bytes."""
    program = (
        "import json, sys, tempfile; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "from benchmarks import formats as bench\n"
        "from pathlib import Path\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "key = ec.generate_private_key(ec.SECP256R1())\n"
        # not ru_maxrss, which a child inherits from its parent's peak
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    small, large = Path(folder, 'small'), Path(folder, 'large')\n"
        "    bench.make(small, bench.MIB); bench.make(large, int(sys.argv[3]))\n"
        "    bench.sign(small, key); before = peak(); bench.sign(large, key)\n"
        "print(json.dumps({'after_1_mib': round(before, 1), 'peak_mib': round(peak(), 1)}))\n"
    )
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", program, str(root), str(root / "src"), str(size)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


def exports(folder: Path, repeats: int) -> dict[str, float]:
    """Documents a second, by format, of one claim that rests on ``CLAIMS`` others."""
    settings = Settings("bench", "", "")
    with Troth.init(folder, "bench", settings, cost=MIN_COST) as party:
        subject = [Subject("data", {"sha256": "ab" * 32})]
        claim = party.attest("dataset", subject, {"n": 0})
        for number in range(CLAIMS):
            claim = party.attest("dataset", subject, {"n": number + 1}, refs=[Ref("after", claim)])
        found = {}
        for format_ in ("cyclonedx", "spdx", "prov"):
            (times,) = seconds(repeats, lambda format_=format_: exporting.export(party, claim, format_))  # type: ignore[misc]
            found[format_] = round(1 / statistics.median(times), 1)
    return found


def run(quick: bool = False) -> dict[str, object]:
    """All figures. quick: 128 MB and three rounds; else 1 GB and seven."""
    size, repeats = (128 * 10**6, 3) if quick else (10**9, 7)
    private = ec.generate_private_key(ec.SECP256R1())
    key = ForeignKey.checked(private.public_key())
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "model"
        make(folder, size)
        bundle = sign(folder, private)
        sha, signing, checking = seconds(repeats, lambda: sha256_alone(folder), lambda: sign(folder, private),
                                         lambda: oms.verify(bundle, folder, key=key))
        documents = exports(Path(directory) / "workspace", repeats)
    return {
        "bytes": size, "files": FILES,
        "sha256_alone_gb_s": gigabytes(size, sha),
        "signing_over_sha256": {"ratio": ratio(sha, signing), "seconds": round(statistics.median(signing), 3)},
        "checking_over_sha256": {"ratio": ratio(sha, checking), "seconds": round(statistics.median(checking), 3)},
        "peak_memory": {"bytes": size, **peak_memory(size)},
        "documents_per_second": documents,
    }


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv[1:]), indent=2))
