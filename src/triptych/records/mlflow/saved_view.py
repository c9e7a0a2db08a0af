"""Tags that MLflow's web interface reads, though MLflow's public API does not document them.

The most important one is the saved view "By headline" in the menu *Views* of each experiment: runs sorted by their
headline metric, columns that explain them, and a few charts. The interface keeps such a view in a tag of the
experiment. The format of all these tags is that of the MLflow versions in `KNOWN_VERSIONS`. Under other versions,
Triptych sets none of them.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from importlib.metadata import version
from typing import Any

from triptych.records.headlines import FIDELITY, INCEPTION, headline_of
from triptych.records.run_folder import stage_of

KNOWN_VERSIONS = ("3.17",)
"""The MLflow versions (major and minor number) whose interface this module knows."""

KEY = "triptych"
SAVED_VIEW = f"mlflow.sharedViewState.{KEY}"
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_VERSIONS = "mlflow.modelVersions"
COLUMNS = (
    *("attributes.`Models`", "tags.`dvc_exp`", "tags.`profile`", "tags.`trained`"),
    *("params.`batch_size`", "params.`learning_rate`"),
)
SAMPLES = "samples"  # images by epoch
FINAL_SAMPLES = "samples_after_training"  # at step 0 in every run, to compare runs of any length
SECTION = "headline"
IN_SECTION = {"runsCountToCompare": 20, "metricSectionId": SECTION, "deleted": False, "isGenerated": False}
BY_UPDATES = {"xAxisKey": "metric", "selectedXAxisMetricKey": "updates", "useGlobalXaxisKey": False}


def interface_is_known() -> bool:
    """Return whether the installed MLflow is one of `KNOWN_VERSIONS`."""
    return version("mlflow").rsplit(".", maxsplit=1)[0] in KNOWN_VERSIONS


def interface_tags(family: str) -> dict[str, str]:
    """Return the tags for the experiment of a family: the saved view, and the interface for model training.

    Return an empty dictionary if the interface is not known.
    """
    if not interface_is_known():
        return {}
    return {EXPERIMENT_KIND: "custom_model_development", SAVED_VIEW: saved_view(family)}


def refreshed_tag(key: str, shown: str | None, tag: str) -> str:
    """Return the value of a tag of `interface_tags`: `tag` if the saved view is out of date, else what is shown.

    The interface sets `updatedAt` when the user edits the view; an edited view is never out of date.
    """
    if shown is None:
        return tag
    if key != SAVED_VIEW:
        return shown
    ours, theirs = json.loads(tag), json.loads(shown)
    is_edited = theirs.get("updatedAt") != theirs["createdAt"]
    return shown if is_edited or theirs["state"] == ours["state"] else tag


def model_version_tags(name: str, number: int) -> dict[str, str]:
    """Return the tag by which the interface links a model with its version; empty if the interface is not known."""
    return {MODEL_VERSIONS: json.dumps([{"name": name, "version": number}])} if interface_is_known() else {}


def address_of(experiment_id: str) -> str:
    """Return the address of an experiment's runs within the interface, with the saved view if it exists."""
    address = f"#/experiments/{experiment_id}/runs"
    return f"{address}?workflowType=machine_learning&viewStateShareKey={KEY}" if interface_is_known() else address


def saved_view(family: str) -> str:
    """Return the value of the tag `SAVED_VIEW`."""
    state = base64.b64encode(zlib.compress(json.dumps(_state(family)).encode())).decode()
    now = int(time.time() * 1000)
    return json.dumps({"name": "By headline", "createdAt": now, "updatedAt": now, "state": f"deflate;{state}"})


def _state(family: str) -> dict[str, Any]:
    headline, has_samples = headline_of(family), stage_of(family) == "train"
    metrics = dict.fromkeys([headline.metric, *([FIDELITY.metric, INCEPTION] if has_samples else [])])
    charts: list[dict[str, Any]] = [{"type": "BAR", "metricKey": metric} for metric in metrics if metric != INCEPTION]
    charts += [_curve(metric) for metric in headline.curves]
    if has_samples:
        charts += [_curve(metric) | BY_UPDATES | {"displayName": f"{metric}, by update"} for metric in headline.curves]
        charts += [_images(key) for key in (FINAL_SAMPLES, SAMPLES)]
    return {
        "orderByKey": f"metrics.`{headline.metric}`",
        "orderByAsc": not headline.higher_is_better,
        "selectedColumns": [*COLUMNS, *(f"metrics.`{metric}`" for metric in metrics)],
        "compareRunSections": [
            {"uuid": SECTION, "name": "Headline", "display": True, "isReordered": False, "deleted": False}
        ],
        "compareRunCharts": [
            {**IN_SECTION, "uuid": f"{SECTION}-{number}", **chart} for number, chart in enumerate(charts)
        ],
    }


def _curve(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "displayName": metric,
    }


def _images(key: str) -> dict[str, Any]:
    return {"type": "IMAGE", "imageKeys": [key], "step": 0, "showRunParams": False}
