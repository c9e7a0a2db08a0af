"""Reference results: what a full run gave, kept in git with all that is needed to judge it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import is_number, read_json, write_json
from triptych.evaluation.fidelity.metric_names import MEASURES, name_of
from triptych.evaluation.over_seeds import Spread
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.settings.seeds import grouped, is_repeat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from triptych.core.project import Project

FACTS = (
    "git_commit",
    "git_dirty",
    "machine",
    "device",
    "instruction_set",
    "threads",
    "torch",
    "started",
    "train_seconds",
    "images_per_second",
    "seconds_per_update",
    "iterations_per_second",
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "epochs": ("epochs",),
    "width": ("settings", "model", "width"),
    "updates": ("over_training", "last", "update"),
    "ELBO, validation": ("valid", "elbo"),
    "ELBO, test": ("test", "elbo"),
    "log p, test": ("test", "log_likelihood"),
    "± (standard error)": ("test", "log_likelihood_standard_error"),
    "draws K": ("importance_sampling", "samples"),
    "log p - ELBO": ("test", "gap"),
    "± (of that)": ("test", "gap_standard_error"),
    "active units": ("active_units", "value"),
    "bits per dimension, test": ("test", "bits_per_dimension"),
    "FID": ("fid", "value"),
    "KID": ("kid", "value"),
    "IS": ("is", "value"),
    "precision": ("precision", "value"),
    "recall": ("recall", "value"),
    "recognised": ("recognised", "value"),
    "classes": ("classes", "value"),
    "their entropy": ("classes", "entropy"),
    "extractor": ("fid", "extractor"),
    "rank correlation of FID with the critic's estimate": ("over_training", "correlation", "value"),
    "training (s)": ("run", "train_seconds"),
    "s per epoch": ("run", "seconds_per_epoch"),
    "s per update": ("run", "seconds_per_update"),
    "device": ("run", "device"),
    "machine": ("run", "machine"),
}
OF_SEEDS = (
    "ELBO, test", "log p, test", "bits per dimension, test", "FID", "KID", "IS", "precision", "recall", "recognised",
    "training (s)",
)  # fmt: skip
STUDY_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "planar": {
        "negative log-likelihood, held out": ("held_out", "negative_log_likelihood"),
        "± (standard error)": ("held_out", "negative_log_likelihood_standard_error"),
        "on the training samples": ("training", "negative_log_likelihood"),
        "entropy": ("entropy",),
        "KL": ("kl",),
        "± (of that)": ("kl_standard_error",),
        "left arc": ("share_on_left_arc",),
    },
    "dirac": {
        "verdict": ("verdict",),
        "theory": ("theory",),
        "modulus of the eigenvalue": ("eigenvalue", "modulus"),
        "distance at the start": ("start",),
        "at the end": ("end",),
        "of the judged generator": ("generator_distance",),
    },
}  # of a configuration, by kind; the columns below are of the whole study
STUDY_NOTES = {
    "planar": "Planar flows, in nats. The entropy is of the density, by quadrature.",
    "dirac": "Dirac games. Distances from the equilibrium; the judged generator's is the largest of the last tenth.",
}
STUDY_RUN: dict[str, tuple[str, ...]] = {
    "iterations": ("iterations",),
    "training (s)": ("run", "train_seconds"),
    "machine": ("run", "machine"),
}
OVER_SEEDS = {key: COLUMNS[key] for key in OF_SEEDS}
STUDIES_OVER_SEEDS = {
    kind: {key: columns[key] for key in columns if "±" not in key} for kind, columns in STUDY_COLUMNS.items()
}
LARGEST = 200_000  # bytes of one picture in git


def baseline_file(project: Project, name: str, profile: str) -> Path:
    """Where the numbers of `name` are kept: those of profile `quick` in a folder of their own."""
    return (_folder(project) if profile == "full" else _folder(project) / profile) / f"{name}.json"


def keep_baseline(project: Project, name: str, kept_as: str) -> None:
    """Write `metrics/baseline/<kept_as>.json` and `plots/baseline/<kept_as>/` from the results of `name`.

    The file holds the metrics, the settings and data they are a function of, and the journal's facts of the run.
    Of a repeat there are no pictures. Under profile `quick` the file goes to `metrics/baseline/quick`, without
    pictures: for `triptych verify` alone.
    Raises TriptychError if the experiment or study has not been evaluated.
    """
    metrics, manifest = read_json(project.metrics(name)), read_json(project.model(name) / MANIFEST)
    if metrics["weights_sha256"] != manifest["weights_sha256"]:
        raise TriptychError(f"metrics and model of {name} belong to different runs: run `dvc repro` first")
    facts = look_up(project, stage_of(manifest["family"]), name, project.model(name) / MANIFEST)
    evaluated = look_up(project, "evaluate", name, project.metrics(name))
    reference = {
        **metrics,
        "settings": manifest["settings"],
        "runtime": manifest["runtime"],
        **({"splits": manifest["data"]["splits"]} if "data" in manifest else {}),
        "run": {key: facts[key] for key in FACTS if key in facts}
        | (
            {"seconds_per_epoch": facts["train_seconds"] / metrics["epochs"]}
            if "train_seconds" in facts and "epochs" in metrics
            else {}
        )
        | {key: evaluated[key] for key in ("seconds_per_sample",) if key in evaluated},
    }
    write_json(baseline_file(project, kept_as, metrics["profile"]), reference)
    if metrics["profile"] == "full" and not is_repeat(kept_as):
        _keep_pictures(project.plots(name), project.root / "plots" / "baseline" / kept_as)


def keep_comparison(project: Project) -> None:
    """Write `plots/baseline/comparison/`: the pictures that show all experiments together."""
    _keep_pictures(project.comparison, project.root / "plots" / "baseline" / "comparison")


def _folder(project: Project) -> Path:
    return project.root / "metrics" / "baseline"


def write_table(project: Project) -> None:
    """Write `metrics/baseline/README.md`: the headline numbers of all reference results, one row each."""
    (_folder(project) / "README.md").write_text(table(_folder(project)), encoding="utf-8")


def table(folder: Path) -> str:
    """The Markdown tables of the reference results in a folder: experiments, then studies."""
    kept = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    results = {name: result for name, result in kept.items() if "configurations" not in result}
    studies = {name: result for name, result in kept.items() if "configurations" in result}
    lines = [
        "# Reference results",
        "",
        "What the full profile gave: made by `triptych baseline` from the files beside this one, which hold all",
        "metrics with their protocols, the settings, the data and their checksums, the commit and the machine.",
        "Likelihoods in nats per image; FID, KID, IS, precision and recall on the features of the extractor that the",
        "row names, to be compared between rows of the same extractor alone: where it is our own classifier, the files",
        "call them `fid_classifier` and so on. Empty cells are not defined for the family, or were not measured.",
        "",
        "| experiment | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " --- |" * len(COLUMNS),
    ]
    for name, result in results.items():
        lines.append(f"| `{name}` | " + " | ".join(_cell(_plainly(result), keys) for keys in COLUMNS.values()) + " |")
    return "\n".join([*lines, *_study_tables(studies), *_over_seeds(results, studies)]) + "\n"


def _plainly(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its fidelity under plain names, whoever the extractor is."""
    plain = {}
    for measure in MEASURES:
        with suppress(KeyError):
            plain[measure] = result[name_of(measure, result)]
    return result | plain


def _study_tables(studies: dict[str, dict[str, Any]]) -> list[str]:
    """A table a kind, a row a configuration."""
    lines = []
    for kind, shown in STUDY_COLUMNS.items():
        chosen = {name: result for name, result in studies.items() if result["settings"]["study"] == kind}
        if not chosen:
            continue
        columns = ["study", "configuration", *shown, *STUDY_RUN]
        note = f"{STUDY_NOTES[kind]} What each number is, and over how many samples, is in the files."
        lines += ["", note, "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        for name, result in chosen.items():
            run = [_cell(result, keys) for keys in STUDY_RUN.values()]
            for configuration in result["configurations"]:
                cells = [_cell(result[configuration], keys) for keys in shown.values()]
                lines.append("| " + " | ".join([f"`{name}`", f"`{configuration}`", *cells, *run]) + " |")
    return lines


def _over_seeds(results: dict[str, dict[str, Any]], studies: dict[str, dict[str, Any]]) -> list[str]:
    """A table of the experiments, and one of the studies, of which there are several seeds."""
    lines = []
    repeated = {base: names for base, names in grouped(results).items() if names[1:]}
    if repeated:
        lines += _seed_table(["experiment"], OVER_SEEDS)
        for base, names in repeated.items():
            cells = _spread_cells([_plainly(results[name]) for name in names], OVER_SEEDS)
            lines.append("| " + " | ".join([f"`{base}`", str(len(names)), *cells]) + " |")
    for kind, columns in STUDIES_OVER_SEEDS.items():
        chosen = [name for name, result in studies.items() if result["settings"]["study"] == kind]
        repeated = {base: names for base, names in grouped(chosen).items() if names[1:]}
        if repeated:
            lines += _seed_table(["study", "configuration"], columns)
        for base, names in repeated.items():
            for configuration in studies[base]["configurations"]:
                cells = _spread_cells([studies[name][configuration] for name in names], columns)
                lines.append("| " + " | ".join([f"`{base}`", f"`{configuration}`", str(len(names)), *cells]) + " |")
    return lines


def _seed_table(first: list[str], columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    heads = [*first, "seeds", *columns]
    return ["", "Over seeds: mean ± standard deviation.", "", f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]


def _spread_cells(results: list[dict[str, Any]], columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [_spread_cell([value_at(result, keys) for result in results]) for keys in columns.values()]


def _spread_cell(values: list[Any]) -> str:
    if not all(map(is_number, values)):
        return ""
    spread = Spread.of(values)
    return f"{spread.mean:.5g} ± {spread.deviation:.2g}"


def value_at(result: dict[str, Any], keys: tuple[str, ...]) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """What stands there, one key after another; None where there is nothing."""
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _cell(result: dict[str, Any], keys: tuple[str, ...]) -> str:
    value = value_at(result, keys)
    if value is None:
        return ""
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"


def _keep_pictures(source: Path, place: Path) -> None:
    pictures = sorted(source.glob("[A-Z][0-9]*.png"))
    for picture in pictures:
        if picture.stat().st_size > LARGEST:
            raise TriptychError(
                f"{picture} has {picture.stat().st_size:,} bytes, more than {LARGEST:,}: draw it smaller"
            )
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for picture in pictures:
        shutil.copyfile(picture, place / picture.name)
