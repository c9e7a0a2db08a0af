"""The tags of an MLflow run: what was trained, and by which execution."""

from collections.abc import Mapping, Sequence

from triptych.records.run_folder import Json, stage_of

EXECUTION_FACTS = ("stage", "git_commit", "git_dirty", "dvc_exp", "machine", "started")


def identity_tags(name: str, inputs: Json, seed_groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the tags by which a run is found again."""
    return {
        "triptych_experiment": name,
        "entry": entry_of(name, seed_groups),
        "fingerprint": inputs["fingerprint"],
        "profile": inputs["profile"],
        "family": inputs["family"],
        "mlflow.source.name": f"triptych {stage_of(inputs['family'])} {name}",
    }


def entry_of(name: str, seed_groups: Mapping[str, Sequence[str]]) -> str:
    """Return the first experiment with the same settings, apart from the seed."""
    return next((first for first, names in seed_groups.items() if name in names), name)


def execution_tags(facts: Json) -> dict[str, str]:
    """Return the journal's facts of an execution as tags of its run."""
    tags = {key: str(facts[key]) for key in EXECUTION_FACTS if key in facts}
    if facts.get("git_commit", "none") != "none":
        tags["mlflow.source.git.commit"] = facts["git_commit"]
    return tags
