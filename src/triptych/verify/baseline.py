"""The baseline: results of a full run, kept in git with their settings, data and machine."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import is_number, read_json, write_json
from triptych.evaluation.fidelity.metric_names import MEASURES, name_of
from triptych.evaluation.over_seeds import Spread, group_by_settings
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from triptych.core.project import Project

    Result = dict[str, Any]
    Columns = Mapping[str, Sequence[str]]

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
}
"""Columns of one configuration, by kind of study."""
STUDY_NOTES = {
    "planar": "Planar flows, in nats. The entropy is of the density, by quadrature.",
    "dirac": "Dirac games. Distances from the equilibrium; the judged generator's is the largest of the last tenth.",
}
STUDY_RUN: dict[str, tuple[str, ...]] = {
    "iterations": ("iterations",),
    "training (s)": ("run", "train_seconds"),
    "machine": ("run", "machine"),
}
STUDIES_OVER_SEEDS = {
    kind: {key: columns[key] for key in columns if "±" not in key} for kind, columns in STUDY_COLUMNS.items()
}
LARGEST = 200_000  # bytes of one picture in git
HEAD = """# Baseline

Results of the full profile, written by `triptych baseline` from the files beside this one. The files hold all
metrics with their protocols, the settings, the data and their checksums, the commit and the machine.
Likelihoods are in nats per image. FID, KID, IS, precision and recall are on the features of the extractor in the same
row; compare only rows with the same extractor. Where it is our own classifier, the files call the measures
`fid_classifier` and so on. An empty cell is not defined for the family, or was not measured.
"""


def baseline_file(project: Project, name: str, profile: str) -> Path:
    """Return the file for the numbers of `name`. Those of profile `quick` have a folder of their own."""
    return (_folder(project) if profile == "full" else _folder(project) / profile) / f"{name}.json"


def keep_baseline(project: Project, name: str, kept_as: str, *, pictures: bool) -> None:
    """Write `metrics/baseline/<kept_as>.json` and, if `pictures`, `plots/baseline/<kept_as>/` from `name`'s results.

    The file holds the metrics, the settings and data that they depend on, and the journal's facts of the run.
    Under profile `quick` the file goes to `metrics/baseline/quick`, without pictures: only `triptych verify` reads it.
    Raises TriptychError if the experiment or study has not been evaluated.
    """
    metrics, manifest = read_json(project.metrics(name)), read_json(project.model(name) / MANIFEST)
    if metrics["weights_sha256"] != manifest["weights_sha256"]:
        raise TriptychError(f"metrics and model of {name} belong to different runs: run `dvc repro` first")
    kept = {**metrics, "settings": manifest["settings"], "runtime": manifest["runtime"]}
    if "data" in manifest:
        kept["splits"] = manifest["data"]["splits"]
    kept["run"] = _run_facts(project, name, metrics, manifest["family"])
    write_json(baseline_file(project, kept_as, metrics["profile"]), kept)
    if metrics["profile"] == "full" and pictures:
        _keep_pictures(project.plots(name), project.root / "plots" / "baseline" / kept_as)


def keep_comparison(project: Project) -> None:
    """Write `plots/baseline/comparison/`: the pictures of all experiments together."""
    _keep_pictures(project.comparison, project.root / "plots" / "baseline" / "comparison")


def _folder(project: Project) -> Path:
    return project.root / "metrics" / "baseline"


def _run_facts(project: Project, name: str, metrics: Result, family: str) -> Result:
    """Return machine and durations of a run, as far as the journal has them."""
    facts = look_up(project, stage_of(family), name, project.model(name) / MANIFEST)
    evaluated = look_up(project, "evaluate", name, project.metrics(name))
    found = {key: facts[key] for key in FACTS if key in facts}
    if "train_seconds" in facts and "epochs" in metrics:
        found["seconds_per_epoch"] = facts["train_seconds"] / metrics["epochs"]
    if "seconds_per_sample" in evaluated:
        found["seconds_per_sample"] = evaluated["seconds_per_sample"]
    return found


def _keep_pictures(source: Path, place: Path) -> None:
    pictures = sorted(source.glob("[A-Z][0-9]*.png"))
    for picture in pictures:
        size = picture.stat().st_size
        if size > LARGEST:
            raise TriptychError(f"{picture} has {size:,} bytes, more than {LARGEST:,}: draw it smaller")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for picture in pictures:
        shutil.copyfile(picture, place / picture.name)


def write_table(project: Project) -> None:
    """Write `metrics/baseline/README.md`: the headline numbers of the whole baseline."""
    (_folder(project) / "README.md").write_text(table(_folder(project)), encoding="utf-8")


def table(folder: Path) -> str:
    """Return Markdown tables of the baseline in a folder: experiments, studies, and both over their seeds."""
    names = sorted(path.stem for path in folder.glob("*.json"))
    kept = {name: _with_plain_names(read_json(folder / f"{name}.json")) for name in names}
    results = {name: result for name, result in kept.items() if "configurations" not in result}
    lines = [HEAD, *_heading(["experiment", *COLUMNS])]
    lines += [_row([f"`{name}`", *_cells(result, COLUMNS)]) for name, result in results.items()]
    for kind in STUDY_COLUMNS:
        lines += _study_table(kind, {name: kept[name] for name in kept if _kind_of(kept[name]) == kind})
    groups = group_by_settings({name: result["settings"] for name, result in kept.items()})
    several = {first: [kept[name] for name in names] for first, names in groups.items() if len(names) > 1}
    lines += _seed_table({first: several[first] for first in several if first in results})
    for kind in STUDY_COLUMNS:
        lines += _study_seed_table(kind, {first: several[first] for first in several if _kind_of(kept[first]) == kind})
    return "\n".join(lines) + "\n"


def _with_plain_names(result: Result) -> Result:
    """Return the result with its fidelity measures under plain names, such as `fid`, for any extractor."""
    plain = {}
    for measure in MEASURES:
        with suppress(KeyError):
            plain[measure] = result[name_of(measure, result)]
    return result | plain


def _kind_of(result: Result) -> str | None:
    """Return the kind of a study; None for an experiment."""
    return result["settings"]["study"] if "configurations" in result else None


def _study_table(kind: str, studies: Mapping[str, Result]) -> Iterator[str]:
    """Yield a table with one row per configuration."""
    if not studies:
        return
    yield f"\n{STUDY_NOTES[kind]} What each number is, and over how many samples, is in the files.\n"
    yield from _heading(["study", "configuration", *STUDY_COLUMNS[kind], *STUDY_RUN])
    for name, result in studies.items():
        for configuration in result["configurations"]:
            cells = [*_cells(result[configuration], STUDY_COLUMNS[kind]), *_cells(result, STUDY_RUN)]
            yield _row([f"`{name}`", f"`{configuration}`", *cells])


def _seed_table(several: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """Yield a table with one row per experiment that has several seeds."""
    columns = {key: COLUMNS[key] for key in OF_SEEDS}
    if several:
        yield from _seed_heading(["experiment", "seeds", *columns])
    for name, results in several.items():
        yield _row([f"`{name}`", str(len(results)), *_spread_cells(results, columns)])


def _study_seed_table(kind: str, several: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """Yield a table with one row per configuration of the studies that have several seeds."""
    columns = STUDIES_OVER_SEEDS[kind]
    if several:
        yield from _seed_heading(["study", "configuration", "seeds", *columns])
    for name, results in several.items():
        for configuration in results[0]["configurations"]:
            cells = _spread_cells([result[configuration] for result in results], columns)
            yield _row([f"`{name}`", f"`{configuration}`", str(len(results)), *cells])


def _seed_heading(columns: Sequence[str]) -> list[str]:
    return ["\nOver seeds: mean ± standard deviation.\n", *_heading(columns)]


def _heading(columns: Sequence[str]) -> list[str]:
    return [_row(columns), "|" + " --- |" * len(columns)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread_cells(results: Sequence[Result], columns: Columns) -> list[str]:
    return [_spread_cell([value_at(result, keys) for result in results]) for keys in columns.values()]


def _spread_cell(values: Sequence[Any]) -> str:
    if not all(map(is_number, values)):
        return ""
    spread = Spread.of(values)
    return f"{spread.mean:.5g} ± {spread.deviation:.2g}"


def _cells(result: Result, columns: Columns) -> list[str]:
    return [_cell(value_at(result, keys)) for keys in columns.values()]


def value_at(result: Result, keys: Sequence[str]) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the value under nested keys, or None if there is none."""
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _cell(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    if value is None:
        return ""
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"
