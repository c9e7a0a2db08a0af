"""A trained model in MLflow's own format."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.json_files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

KEPT = (WEIGHTS, MANIFEST)
EXAMPLE = "input_example.json"
ASKED = {"count": 64, "seed": 0}  # what `predict` is asked for, as in `triptych sample`


def write_mlflow_model(folder: Path, output: Path, run_id: str, model_id: str) -> None:
    """Write the model folder as an MLflow model whose `predict` draws samples; no pickle is involved."""
    import mlflow
    from ruamel.yaml import YAML

    data = output / "data"
    data.mkdir(parents=True)
    for name in KEPT:
        shutil.copyfile(folder / name, data / name)
    description = {
        "run_id": run_id,
        "model_id": model_id,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "mlflow_version": mlflow.__version__,
        "flavors": {
            "python_function": {
                "loader_module": "triptych.records.mlflow.pyfunc_model",
                "data": "data",
                "python_version": platform.python_version(),
                "env": {"virtualenv": "python_env.yaml"},
            }
        },
        "signature": _signature(read_json(folder / MANIFEST)["data"]["image_shape"]),
        "saved_input_example_info": {"artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"},
    }
    write_json(output / EXAMPLE, {"columns": list(ASKED), "data": [list(ASKED.values())]})
    yaml = YAML(typ="safe", pure=True)
    yaml.dump(description, output / "MLmodel")
    yaml.dump({"python": platform.python_version(), "dependencies": ["triptych"]}, output / "python_env.yaml")


def _signature(image_shape: Sequence[int]) -> dict[str, str | None]:
    """What `predict` takes and gives, as MLflow writes it down."""
    inputs = [{"type": "long", "name": name, "required": True} for name in ASKED]
    images = {"dtype": "uint8", "shape": [-1, *image_shape]}
    return {
        "inputs": json.dumps(inputs),
        "outputs": json.dumps([{"type": "tensor", "tensor-spec": images}]),
        "params": None,
    }


class Sampler:
    """What `mlflow.pyfunc.load_model` returns for a model of ours, inside MLflow's wrapper."""

    def __init__(self, folder: Path) -> None:
        import torch

        from triptych.models.common.load import load_family

        self.family = load_family(folder, torch.device("cpu"))

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:  # noqa: ANN401
        """uint8 images (count, h, w) or (count, 3, h, w) for the first row's `count` and `seed`."""
        from triptych.evaluation.sampling import draw

        count, seed = (int(next(iter(model_input[key]))) for key in ASKED)
        return draw(self.family, count, seed)


def _load_pyfunc(path: str) -> Sampler:
    """MLflow calls this with the model's `data` folder."""
    return Sampler(Path(path))
