"""A trained model in MLflow's own format (`mlflow.pyfunc`): its `predict` draws images."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import HISTORY, MANIFEST, WEIGHTS
from triptych.core.json_files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import ModelSignature

EXAMPLE = {"count": 64, "seed": 0}  # the columns that `predict` reads, with the defaults of `triptych sample`
EXAMPLE_FILE = "input_example.json"
ENVIRONMENT_FILE = "python_env.yaml"
MODEL_DATA = "data"  # the model folder inside MLflow's


def write_mlflow_model(folder: Path, output: Path, run_id: str, model_id: str) -> None:
    """Write the model in `folder` as an MLflow model into the folder `output`, without any pickle file."""
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    data = output / MODEL_DATA
    data.mkdir(parents=True)
    for name in (WEIGHTS, MANIFEST, HISTORY):
        shutil.copyfile(folder / name, data / name)
    write_json(output / EXAMPLE_FILE, {"columns": list(EXAMPLE), "data": [list(EXAMPLE.values())]})
    python = platform.python_version()
    (output / ENVIRONMENT_FILE).write_text(f"python: {python}\ndependencies: [triptych]\n", encoding="utf-8")
    model = Model(
        run_id=run_id,
        model_id=model_id,
        signature=_signature(read_json(folder / MANIFEST)["data"]["image_shape"]),
        saved_input_example_info={"artifact_path": EXAMPLE_FILE, "type": "dataframe", "pandas_orient": "split"},
    )
    add_to_model(model, loader_module=__name__, data=data.name, python_env=ENVIRONMENT_FILE)
    model.save(str(output / "MLmodel"))


def _signature(image_shape: list[int]) -> ModelSignature:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    images = TensorSpec(np.dtype("uint8"), (-1, *image_shape))
    return ModelSignature(Schema([ColSpec("long", name) for name in EXAMPLE]), Schema([images]))


def _load_pyfunc(path: str) -> Sampler:
    """Return the model in the folder `path`. `mlflow.pyfunc.load_model` looks for a function of this name."""
    return Sampler(Path(path))


class Sampler:
    """The model inside the wrapper that `mlflow.pyfunc.load_model` returns."""

    def __init__(self, folder: Path) -> None:
        from triptych.inference.trained_model import TrainedModel

        self.model = TrainedModel.read(folder, "cpu", folder.name)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:  # noqa: ANN401
        """Return uint8 images, (count, h, w) or (count, 3, h, w), for `count` and `seed` in the first row."""
        count, seed = (int(next(iter(model_input[key]))) for key in EXAMPLE)
        return self.model.sample(count, seed)
