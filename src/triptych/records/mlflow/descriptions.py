"""The descriptions that MLflow shows of experiments, runs and models, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.records.headlines import headline_of, likelihood, title_of
from triptych.records.mlflow.saved_view import address_of
from triptych.records.run_folder import stage_of
from triptych.studies.kinds import STUDIES
from triptych.training.checkpoint import step_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triptych.records.run_folder import Json, Record

NOTE = "mlflow.note.content"
SHORT = 7  # characters of a commit


def experiment_note(family: str, experiment_id: str) -> str:
    """What the experiment of a family, or of a kind of study, holds, and what to sort it by."""
    headline = headline_of(family)
    children = "; its configurations are the runs below it" if family in STUDIES else ""
    return (
        f"{title_of(family)}: a run a training, named as in `params.yaml`{children}. "
        f"[Sort by the headline]({address_of(experiment_id)}), `{headline.metric}`: {headline.direction}.\n\n"
        f"The headline is the {headline.words}. Compare runs of the same data set and profile alone. How to compare "
        "runs, and to sample from their models, is in the project's `docs/mlflow.md`."
    )


def run_note(record: Record, facts: Json) -> str:
    """What was trained on what, how good it came out, and how to make it again."""
    return f"{_training(record)}\n\n{_results(record)}\n\n{_again(record, facts)}"


def model_note(record: Record) -> str:
    """What a registered model is, and how to sample from it."""
    name = record.name
    return (
        f"{title_of(record.inputs['family'])} `{name}`. A version holds the weights of one training; "
        "`predict` draws images, the same from the same seed:\n\n"
        "```python\n"
        f'model = mlflow.pyfunc.load_model("models:/{name}/latest")\n'
        'images = model.predict({"count": [64], "seed": [0]})  # uint8\n'
        "```"
    )


def length_of(record: Record) -> str:
    """How long it was trained."""
    last = record.history[-1]
    step = step_name(last)
    updates = record.updates
    in_updates = f", {updates[-1]['updates']:,} updates" if updates else ""
    return f"{int(last[step]):,} {step}s{in_updates}"


def results_of(record: Record) -> str:
    """The headline numbers in one line; empty before the evaluation."""

    metrics = record.evaluation
    if not metrics:
        return ""
    if record.configurations:
        return _of_configurations(record)
    if "accuracy" in metrics:
        return f"accuracy {metrics['accuracy']['test']:.2%} on test images"
    try:
        test, fidelity = metrics["test"], metrics[name_of("fid", metrics)]["value"]
    except KeyError as missing:
        raise TriptychError(f"its metrics have no {missing}: evaluate it again") from None
    row = {f"test_{key}": test.get(key, "") for key in ("elbo", "log_likelihood", "bits_per_dimension")}
    return ", ".join(filter(None, [likelihood(row), f"FID {fidelity:.2f}"]))


def _of_configurations(record: Record) -> str:
    metric = headline_of(record.inputs["family"]).metric
    found = {child.name: child.metrics[metric] for child in record.configurations if metric in child.metrics}
    if not found:
        return f"{len(record.configurations)} configurations"
    best = min(found, key=found.__getitem__)
    return f"{len(record.configurations)} configurations, lowest {metric} {found[best]:.3g} ({best})"


def _training(record: Record) -> str:
    inputs = record.inputs
    parameters = f" with {inputs['parameters']:,} parameters" if "parameters" in inputs else ""
    batch = inputs["settings"].get("batch_size")
    trained = f"trained for {length_of(record)}{f' of {batch} examples' if batch else ''}"
    return (
        f"{title_of(inputs['family'])}{parameters}, {trained}{_data(inputs.get('data'))}; profile "
        f"`{inputs['profile']}`, seed {inputs['settings'].get('seed', 0)}."
    )


def _data(data: Mapping[str, object] | None) -> str:
    if not data:
        return ""
    return f" on {data['splits']['train']:,} images of `{data['dataset']}` ({data['source']})"


def _results(record: Record) -> str:
    results = results_of(record)
    if not results:
        return "Not evaluated yet."
    protocol = f" Fidelity: {record.protocol}." if record.protocol else ""
    return f"On the test set: **{results}**.{protocol}" if not record.configurations else f"**{results}**."


def _again(record: Record, facts: Json) -> str:
    stage = stage_of(record.inputs["family"])
    item = f"{'evaluate' if stage == 'train' else stage}@{record.name.removeprefix('classifier-')}"
    commit = facts.get("git_commit", "none")
    if commit == "none":
        return f"To make it again: `dvc repro {item}` with these parameters; the git commit is not recorded."
    dirty = (
        " There were uncommitted changes: compare the parameters of this run with those of the commit."
        if facts.get("git_dirty")
        else ""
    )
    kept = f"`dvc exp apply {facts['dvc_exp']}` brings it back as DVC kept it. " if "dvc_exp" in facts else ""
    return f"{kept}To make it again: `git checkout {commit[:SHORT]}`, then `dvc repro {item}`.{dirty}"
