"""A view of each experiment for MLflow's menu *Views*: runs by headline, the columns that explain them, a few charts.

MLflow's interface keeps its saved views in tags of the experiment; their format is that of 3.17.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any

from triptych.records.headlines import FIDELITY, INCEPTION, headline_of
from triptych.records.run_folder import stage_of

KEY = "triptych"
SAVED_VIEW = f"mlflow.sharedViewState.{KEY}"
COLUMNS = (
    *("attributes.`Models`", "tags.`dvc_exp`", "tags.`profile`", "tags.`trained`"),
    *("params.`batch_size`", "params.`learning_rate`"),
)
SAMPLES, FINAL_SAMPLES = "samples", "samples_after_training"  # images, by epoch, and of runs of any length side by side
MOST_RUNS = 20  # of a chart
SECTION = "headline"


def address_of(experiment_id: str) -> str:
    """Where MLflow's interface shows this view, from wherever one is in it."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"


def saved_view(family: str) -> str:
    """The value of the tag `SAVED_VIEW`."""
    state = base64.b64encode(zlib.compress(json.dumps(_state(family)).encode())).decode()
    now = int(time.time() * 1000)
    return json.dumps({"name": "By headline", "createdAt": now, "updatedAt": now, "state": f"deflate;{state}"})


def _state(family: str) -> dict[str, Any]:
    headline, draws = headline_of(family), stage_of(family) == "train"
    metrics = dict.fromkeys([headline.metric, *([FIDELITY.metric, INCEPTION] if draws else [])])
    by_updates = {"xAxisKey": "metric", "selectedXAxisMetricKey": "updates", "useGlobalXaxisKey": False}
    charts: list[dict[str, Any]] = [{"type": "BAR", "metricKey": metric} for metric in metrics if metric != INCEPTION]
    charts += [_curve(metric) for metric in headline.curves]
    if draws:
        charts += [_curve(metric) | by_updates | {"displayName": f"{metric}, by update"} for metric in headline.curves]
        charts += [
            {"type": "IMAGE", "imageKeys": [images], "step": 0, "showRunParams": False}
            for images in (FINAL_SAMPLES, SAMPLES)
        ]
    return {
        "orderByKey": f"metrics.`{headline.metric}`",
        "orderByAsc": not headline.higher_is_better,
        "selectedColumns": [*COLUMNS, *(f"metrics.`{metric}`" for metric in metrics)],
        "compareRunSections": [
            {"uuid": SECTION, "name": "Headline", "display": True, "isReordered": False, "deleted": False}
        ],
        "compareRunCharts": [
            {
                "uuid": f"{SECTION}-{number}",
                "runsCountToCompare": MOST_RUNS,
                "metricSectionId": SECTION,
                "deleted": False,
                "isGenerated": False,
                **chart,
            }
            for number, chart in enumerate(charts)
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
