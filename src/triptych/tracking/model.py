"""A trained model in MLflow's own format."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

KEPT = ("weights.safetensors", "manifest.json")


def write_mlflow_model(folder: Path, output: Path, run_id: str) -> None:
    """Write the model folder as an MLflow model whose `predict` draws samples; no pickle is involved."""
    import mlflow
    from ruamel.yaml import YAML

    data = output / "data"
    data.mkdir(parents=True)
    for name in KEPT:
        shutil.copyfile(folder / name, data / name)
    description = {
        "run_id": run_id,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "mlflow_version": mlflow.__version__,
        "flavors": {
            "python_function": {
                "loader_module": "triptych.tracking.model",
                "data": "data",
                "python_version": platform.python_version(),
                "env": {"virtualenv": "python_env.yaml"},
            }
        },
    }
    yaml = YAML(typ="safe", pure=True)
    yaml.dump(description, output / "MLmodel")
    yaml.dump({"python": platform.python_version(), "dependencies": ["triptych"]}, output / "python_env.yaml")


class Sampler:
    """What `mlflow.pyfunc.load_model` returns for a model of ours, inside MLflow's wrapper."""

    def __init__(self, folder: Path) -> None:
        import torch

        from triptych.models.load import load_family

        self.family = load_family(folder, torch.device("cpu"))

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:  # noqa: ANN401
        """uint8 images (count, 28, 28) from a frame or mapping with `count` and `seed` in its first row."""
        from triptych.sampling import draw

        count, seed = (int(next(iter(model_input[key]))) for key in ("count", "seed"))
        return draw(self.family, count, seed)


def _load_pyfunc(path: str) -> Sampler:
    """MLflow calls this with the model's `data` folder."""
    return Sampler(Path(path))
