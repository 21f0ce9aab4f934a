"""Jobs on the machines of a Ray cluster: each runs there under the runner of its form, with that runner's limits.

Ray finds a machine and carries job and result; it judges and bounds nothing. Whoever can reach a cluster's ports can
run anything on it, so a cluster is one owner's own, and what strangers bring goes into the sandbox or WebAssembly
there as here. Without an address a cluster of this machine alone is started, and ended with this process.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from troth.compute.runners import BINARY, PROGRAM, PYTHON, WASM, Job, Ran, Runner, runner_for
from troth.core.errors import OutsideFailed, TrothError

HINT = "pip install 'troth[ray]', into an environment of its own: it is large."


class OnRay(Runner):
    """address: of a cluster (``RAY_ADDRESS`` else, else this machine). processors: that a job takes of its machine.
    gpu: the name of the graphics card that its machine must have, as Ray calls it (``H100``); one is then its own.

    ``run`` raises OutsideFailed where Ray is not installed or the cluster fails.
    """

    name: ClassVar[str] = "ray"
    bounded: ClassVar[bool] = True
    forms = frozenset({PROGRAM, WASM, PYTHON, BINARY})

    def __init__(self, address: str | None = None, *, processors: int = 1, gpu: str | None = None) -> None:
        self._address, self._processors, self._gpu = address or os.environ.get("RAY_ADDRESS"), processors, gpu

    def _run(self, job: Job) -> Ran:
        return self.run_all([job])[0]

    def run_all(self, jobs: list[Job]) -> list[Ran]:
        """Many at a time, as many as the cluster has room for; in the order given. Raises as ``run`` does."""
        ray = self._ray()
        wanted: dict[str, Any] = {"num_cpus": self._processors, "max_retries": 0}
        if self._gpu is not None:
            wanted |= {"num_gpus": 1, "accelerator_type": self._gpu}
            # Ray itself would wait until such a machine joins.
            if not ray.cluster_resources().get(f"accelerator_type:{self._gpu}"):
                raise OutsideFailed("no machine of the cluster has this card", expected=self._gpu,
                                    actual=sorted(ray.cluster_resources()))
        there = ray.remote(_there).options(**wanted)
        try:
            found: list[Ran] = ray.get([there.remote(job) for job in jobs])
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TrothError):
                raise error.cause from None
            raise OutsideFailed("the cluster failed", actual=error.cause) from None
        except ray.exceptions.RayError as error:
            raise OutsideFailed("the cluster failed", actual=str(error)[:200]) from None
        return found

    def _ray(self) -> Any:
        try:
            # Imported here: an extra, and large.
            import ray
        except ImportError:
            raise OutsideFailed("Ray is not installed", do=HINT) from None
        if not ray.is_initialized():
            ray.init(self._address, include_dashboard=False, log_to_driver=False, configure_logging=False)
        return ray


def _there(job: Job) -> Ran:
    """On the cluster's machine."""
    return runner_for(job.form).run(job)
