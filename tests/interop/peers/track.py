"""Training code as others write it, tracked with MLflow: ``track.py FOLDER``. One line of it is ours.

The project's own environment comes last on the path, so that MLflow's libraries are MLflow's; its entry points are
announced from pyproject.toml, as an installation would.
"""

import json
import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
folder = Path(sys.argv[1])
plugin = folder / "announced" / "troth-0.dist-info"
plugin.mkdir(parents=True)
(plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: troth\nVersion: 0\n")
groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
(plugin / "entry_points.txt").write_text("".join(
    f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
    for group, points in groups.items()))
sys.path[:0] = [str(folder / "announced")]
sys.path += [str(ROOT / "src"), *os.environ["TROTH_SITE"].split(os.pathsep)]
os.chdir(folder)

import mlflow  # noqa: E402  (the path first, as above)
from mlflow.data.meta_dataset import MetaDataset  # noqa: E402
from mlflow.data.sources import LocalArtifactDatasetSource  # noqa: E402
from mlflow.entities import LoggedModelOutput  # noqa: E402

import troth  # noqa: E402

(folder / "rows.csv").write_text("age,score\n41,7\n")
(folder / "out").mkdir()
(folder / "out" / "weights.bin").write_bytes(b"weights")

troth.autolog(folder)  # ours

with mlflow.start_run(run_name="train") as run:
    mlflow.log_input(MetaDataset(LocalArtifactDatasetSource(str(folder / "rows.csv")), name="rows"), context="training")
    mlflow.log_params({"lr": 0.1, "layers": 2})
    for step, loss in enumerate((0.5, 0.25)):
        mlflow.log_metric("loss", loss, step=step)
    model = mlflow.initialize_logged_model(name="tiny")
    client = mlflow.MlflowClient()
    client.log_model_artifacts(model.model_id, str(folder / "out"))
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
try:
    with mlflow.start_run(run_name="fails"):
        raise RuntimeError("a training that fails")
except RuntimeError:
    pass
client.create_registered_model("registered")
print(json.dumps({"uri": mlflow.get_tracking_uri(), "run": run.info.run_id,
                  "params": client.get_run(run.info.run_id).data.params}))
