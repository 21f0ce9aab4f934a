"""Flower's executor, as Troth starts it: it runs Troth's apps and nothing that came over the network.

Flower's own ``flower-superexec`` starts a process for each task. That process unpacks the app that the SuperLink sent
and runs it, at every site; and its token is on its command line, where every user of the machine sees it. Started with
``python -m troth.learn.engines.flower_exec`` instead, the process hands the token over through a pipe, unpacks nothing
and runs the apps of ``troth.learn.engines.flower`` from this installation.

Written against Flower 1.42, whose functions it replaces by name: another version is refused.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata
from typing import Any

from troth.core.errors import OutsideFailed
from troth.learn.engines import flower

VERSIONS = ("1.42.0",)
_TASKS = ("flwr-clientapp", "flwr-serverapp")


def main(arguments: list[str]) -> None:
    """``flower_exec TASK …`` runs one task, anything else is Flower's executor with its own options."""
    check_version()
    task = arguments[0] if arguments and arguments[0] in _TASKS else None
    sys.argv = [task or "flower-superexec", *(arguments[1:] if task else arguments)]
    if task:
        # Not shown by ps, which reads what the process was started with.
        sys.argv += ["--token", sys.stdin.readline().strip()]
    if task == "flwr-clientapp":
        _client()
    elif task == "flwr-serverapp":
        _server()
    else:
        _executor()


def check_version() -> None:
    """Raises OutsideFailed where Flower is missing or one that this was not written for."""
    try:
        found = metadata.version("flwr")
    except metadata.PackageNotFoundError:
        raise OutsideFailed("Flower is not installed", do=flower.HINT) from None
    if found not in VERSIONS:
        raise OutsideFailed("this Flower is not known", expected=" or ".join(VERSIONS), actual=found, do=flower.HINT)


def _replace(module: Any, **functions: Any) -> None:
    """Put functions in the place of a module's own; each must be there, or Flower is not what it was."""
    for name, function in functions.items():
        if not hasattr(module, name):
            raise OutsideFailed(f"Flower has no {module.__name__}.{name} any more", do=flower.HINT)
        setattr(module, name, function)


def _nothing(*_: object, **__: object) -> str:
    return "."


def _executor() -> None:
    from flwr.supercore.cli.flower_superexec import flower_superexec  # each is slow to load, and only one is needed
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND
    from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
    from flwr.supercore.superexec.executor.types import LaunchResult

    def launch(self: object, spec: Any) -> Any:
        """Start one task of these two kinds; its token goes through its standard input."""
        command = TASK_TYPE_TO_COMMAND[spec.task_type]
        if command not in _TASKS:
            return LaunchResult.failed(f"{command} is not run here")
        flags = ["--insecure"] if spec.insecure else (
            ["--root-certificates", spec.root_certificates_path] if spec.root_certificates_path else [])
        flags += ["--parent-pid", str(spec.parent_pid)] if spec.parent_pid is not None else []
        process = subprocess.Popen([sys.executable, "-m", "troth.learn.engines.flower_exec", command,
                                    "--runtime-api-address", spec.runtime_api_address, *flags],
                                   stdin=subprocess.PIPE)
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(f"{spec.token}\n".encode())
        return LaunchResult.accepted()

    _replace(SubprocessExecutor, launch=launch)
    flower_superexec()


def _client() -> None:
    module = import_module("flwr.supernode.runtime.run_clientapp")
    app = flower.client_app()
    _replace(module, install_from_fab=_nothing, get_project_dir=_nothing,
             get_load_client_app_fn=lambda **_: lambda *_: app)
    import_module("flwr.supernode.cli.flwr_clientapp").flwr_clientapp()


def _server() -> None:
    module = import_module("flwr.superlink.runtime.run_serverapp")

    def run(grid: Any, context: Any, **_: object) -> Any:
        flower.serve_grid(grid, context)
        return context

    _replace(module, install_from_fab=_nothing, get_project_dir=_nothing, run_=run,
             get_project_config=lambda *_: {"tool": {"flwr": {"app": {"components": {"serverapp": "troth"}}}}},
             get_fused_config_from_dir=lambda *_: {})
    import_module("flwr.superlink.cli.flwr_serverapp").flwr_serverapp()


if __name__ == "__main__":
    main(sys.argv[1:])
