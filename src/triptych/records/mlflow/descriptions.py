"""The descriptions that MLflow shows of experiments, runs and models, in Markdown."""

from __future__ import annotations

import re

from triptych.core.errors import TriptychError
from triptych.core.number_formats import FID
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.intervals import plus_minus
from triptych.evaluation.results_file import measured
from triptych.records.headlines import headline_of, likelihoods, title_of
from triptych.records.mlflow.saved_view import address_of
from triptych.records.run_folder import Json, RunFolder, stage_of
from triptych.studies.kinds import STUDIES

NOTE = "mlflow.note.content"
ADDRESS = re.compile(r"\(#/[^)]*\)")  # of a link within MLflow's interface
COMMIT_LENGTH = 7  # characters


def experiment_note(family: str, experiment_id: str) -> str:
    """Return the description of the MLflow experiment for a family or a kind of study."""
    headline = headline_of(family)
    children = " The configurations of a study are child runs." if family in STUDIES else ""
    return (
        f"{title_of(family)}. Each run is one training run, named as in `params.yaml`.{children}\n\n"
        f"The headline metric is `{headline.metric}`: the {headline.meaning}; {headline.direction}. "
        f"[Open the list of runs]({address_of(experiment_id)}). Compare only runs of the same data set and profile. "
        "The project's `docs/mlflow.md` explains how to compare runs, and how to sample from their models."
    )


def refreshed_note(shown: str | None, note: str) -> str:
    """Return the description of an experiment: `note`, or the one that is shown if the user has edited it.

    A description whose addresses alone differ is not edited: it is of another database, or another version of MLflow.
    """
    is_edited = shown is not None and ADDRESS.sub("", shown) != ADDRESS.sub("", note)
    return shown if is_edited else note


def run_note(run: RunFolder, facts: Json) -> str:
    """Return the description of a run: what was trained, the headline results, and how to reproduce the run."""
    return f"{_training(run)}\n\n{_results(run)}\n\n{_reproduction(run, facts)}"


def model_note(run: RunFolder) -> str:
    """Return the description of a registered model, with an example of how to sample from it."""
    return (
        f"{title_of(run.inputs['family'])}: `{run.name}`. Each version holds the weights of one training run. "
        "`predict` draws images; the same seed gives the same images:\n\n"
        "```python\n"
        f'model = mlflow.pyfunc.load_model("models:/{run.name}/latest")\n'
        'images = model.predict({"count": [64], "seed": [0]})  # uint8\n'
        "```"
    )


def training_length_of(run: RunFolder) -> str:
    """Return the length of the training, such as "20 epochs, 1,560 updates"."""
    (step, last), updates = run.last_step, run.updates
    return f"{last:,} {step}s" + (f", {updates[-1]['updates']:,} updates" if updates else "")


def result_of(run: RunFolder) -> str:
    """Return the headline results in one line; empty before the evaluation.

    Raises TriptychError if the metrics lack a headline result.
    """
    metrics = run.evaluation
    if not metrics:
        return ""
    if run.configurations:
        return _result_of_study(run)
    if "accuracy" in metrics:
        return f"accuracy {metrics['accuracy']['test']:.2%} on test images"
    try:
        test, fidelity = metrics["test"], metrics[name_of("fid", metrics)]
    except KeyError as missing:
        raise TriptychError(f"the metrics of {run.name} have no {missing}: evaluate it again") from None
    error = f"{plus_minus(fidelity['standard_error'])} (standard error)" if "standard_error" in fidelity else ""
    return ", ".join(filter(None, [likelihoods(test), f"FID {FID.format(fidelity['value'])}{error}"]))


def _result_of_study(run: RunFolder) -> str:
    headline = headline_of(run.inputs["family"])
    metrics = {name: measured(results) for name, results in run.configurations.items()}
    found = {name: numbers[headline.metric] for name, numbers in metrics.items() if headline.metric in numbers}
    count = f"{len(metrics)} configurations"
    if not found:
        return count
    best = headline.best(found)
    return f"{count}, {headline.extreme} {headline.metric} {found[best]:.3g} ({best})"


def _training(run: RunFolder) -> str:
    inputs, batch_size = run.inputs, run.inputs["settings"].get("batch_size")
    parameters = f" with {inputs['parameters']:,} parameters" if "parameters" in inputs else ""
    batches = f" of {batch_size} examples" if batch_size else ""
    images = ""
    if data := inputs.get("data"):
        images = f" on {data['splits']['train']:,} images of `{data['dataset']}` ({data['source']})"
    return (
        f"{title_of(inputs['family'])}{parameters}, trained for {training_length_of(run)}{batches}{images}. "
        f"Profile `{inputs['profile']}`, seed {inputs['settings'].get('seed', 0)}."
    )


def _results(run: RunFolder) -> str:
    result, protocol = result_of(run), run.fidelity_protocol
    if not result:
        return "Not evaluated yet."
    if run.configurations:
        return f"**{result}**."
    return f"On the test set: **{result}**." + (f" Fidelity: {protocol}." if protocol else "")


def _reproduction(run: RunFolder, facts: Json) -> str:
    stage = stage_of(run.inputs["family"])
    item = f"{'evaluate' if stage == 'train' else stage}@{run.name.removeprefix('classifier-')}"
    commit = facts.get("git_commit", "none")
    if commit == "none":
        return f"To reproduce this run: `dvc repro {item}` with these parameters. The git commit is not recorded."
    steps = [f"`git checkout {commit[:COMMIT_LENGTH]}`", f"`dvc repro {item}`"]
    if facts.get("git_dirty"):
        steps.insert(1, "set this run's parameters (there were uncommitted changes, perhaps also in the code)")
    kept = f"`dvc exp apply {facts['dvc_exp']}` restores its settings and results. " if "dvc_exp" in facts else ""
    return f"{kept}To reproduce this run: {', then '.join(steps)}."
