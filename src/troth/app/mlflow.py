"""MLflow runs attested as they end: a tracking store around the one in use, by entry point.

One line before the first run: ``troth.autolog()``; or no line, with ``MLFLOW_TRACKING_URI=troth+file:///…``. A URI is
any of MLflow's own behind ``troth+``. When a run ends, its parameters, last metrics, local artifacts, logged models and
local data sets become one claim of kind ``run``. What MLflow names by a digest of its own, or keeps elsewhere, is named
in the claim and not hashed. Source: https://mlflow.org/docs/latest/ml/plugins/.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from troth.app.running import artefact, attest_run, environment, open_workspace, source
from troth.core.errors import Misuse
from troth.formats.runs import FAILED, FINISHED, Artefact, Metric, Run, decimal_text

PREFIX = "troth+"
ENDED = {"FINISHED": FINISHED, "FAILED": FAILED, "KILLED": FAILED}


def autolog(workspace: Path | str | None = None) -> None:
    """Attest every MLflow run from now on, in this workspace or the nearest one.

    Raises Misuse without MLflow, without a workspace or without TROTH_PASSPHRASE: before the training, not after it.
    """
    try:
        # Imported here: an optional extra.
        import mlflow
    except ImportError:
        raise Misuse("this needs MLflow", do="Run: pip install 'troth[mlflow]'") from None
    open_workspace(workspace).close()
    _Attesting.workspace = workspace
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(PREFIX):
        mlflow.set_tracking_uri(PREFIX + uri)


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """MLflow's entry point for tracking stores ``troth+…``."""
    # Imported here, as above.
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    inner = store_uri.removeprefix(PREFIX)
    builder: Callable[..., Any] = _tracking_store_registry.get_store_builder(inner)
    return _Attesting(builder(store_uri=inner, artifact_uri=artifact_uri))


def registry_store(store_uri: str, **rest: Any) -> Any:
    """MLflow's entry point for model registries ``troth+…``: the one in use, as it is."""
    # Imported here, as above.
    from mlflow.tracking._model_registry.utils import _get_store_registry

    inner = store_uri.removeprefix(PREFIX)
    if rest.get("tracking_uri"):
        rest["tracking_uri"] = rest["tracking_uri"].removeprefix(PREFIX)
    return _get_store_registry().get_store_builder(inner)(store_uri=inner, **rest)


class _Attesting:
    """The store in use, and a claim when a run ends."""

    workspace: Path | str | None = None

    def __init__(self, store: Any) -> None:
        self._store = store
        self._said: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def update_run_info(self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None) -> Any:
        """As MLflow's; then attest, once for each run that ended."""
        found = self._store.update_run_info(run_id, run_status, end_time, run_name)
        if found.status in ENDED and run_id not in self._said:
            run = read_run(self._store, run_id)
            with open_workspace(self.workspace) as party:
                attest_run(party, run)
            self._said.add(run_id)
        return found


def read_run(store: Any, run_id: str) -> Run:
    """What MLflow's store says of a run that ended."""
    run = store.get_run(run_id)
    info, params = run.info, dict(run.data.params)
    started = info.start_time // 1000
    data = _datasets(run, params)
    models = _models(store, run, params)
    params["mlflow:run_id"] = run_id
    return Run(str(info.run_name or run_id), ENDED[info.status], started, max(started, (info.end_time or 0) // 1000),
               params, {one.key: Metric(decimal_text(float(one.value)), int(one.step)) for one in _metrics(store, run)},
               data, models, environment(), source())


def _metrics(store: Any, run: Any) -> list[Any]:
    """The last value of each metric with its step."""
    return [max(store.get_metric_history(run.info.run_id, name), key=lambda one: (one.step, one.timestamp))
            for name in run.data.metrics]


def _datasets(run: Any, params: dict[str, str]) -> tuple[Artefact, ...]:
    """Data sets whose source is a file here; the others are named among the parameters."""
    found: dict[str, Artefact] = {}
    for one in getattr(run.inputs, "dataset_inputs", None) or ():
        path = _path_of(_uri_of(one.dataset.source))
        if path is not None and path.exists():
            found.setdefault(one.dataset.name, artefact(path, one.dataset.name))
        else:
            params[f"mlflow:dataset:{one.dataset.name}"] = f"digest {one.dataset.digest} by MLflow; not hashed here"
    return tuple(found.values())


def _models(store: Any, run: Any, params: dict[str, str]) -> tuple[Artefact, ...]:
    """The run's artifacts and the models logged in it, each as one directory."""
    places = [("artifacts", run.info.artifact_uri)]
    for one in getattr(run.outputs, "model_outputs", None) or ():
        model = store.get_logged_model(one.model_id)
        places.append((f"model {model.name}", model.artifact_location))
    found: dict[str, Artefact] = {}
    for name, uri in places:
        path = _path_of(uri)
        if path is None:
            params[f"mlflow:{name}"] = "kept elsewhere; not hashed here"
        elif path.is_dir() and any(one.is_file() for one in path.rglob("*")):
            found.setdefault(name, artefact(path, name))
    return tuple(found.values())


def _uri_of(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return str(value.get("uri", "")) if isinstance(value, dict) else ""


def _path_of(uri: str) -> Path | None:
    """The local path of a URI, None for a place elsewhere."""
    parts = urlparse(uri)
    if parts.scheme not in ("", "file") or not parts.path:
        return None
    return Path(unquote(parts.path))
