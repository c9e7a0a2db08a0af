"""The baseline: results of a full run, kept in git with their settings, data and machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json, write_json
from triptych.evaluation.fidelity.metric_names import MEASURES, name_of
from triptych.evaluation.over_seeds import Spread, group_by_settings
from triptych.records.journal import look_up
from triptych.records.run_folder import PICTURES, copy_pictures, has_weights, stage_of
from triptych.repository.project import Project
from triptych.studies.kinds import STUDIES

Result = dict[str, Any]

FACTS = (
    "git_commit",
    "git_dirty",
    "machine",
    "processor",
    "device",
    "instruction_set",
    "blas",
    "threads",
    "torch",
    "started",
    "train_seconds",
    "images_per_second",
    "seconds_per_update",
    "iterations_per_second",
)
ADDED = ("settings", "runtime", "splits", "run")
"""The keys that a file of the baseline has besides those of the results."""
STUDY_RUN = {
    "iterations": "iterations",
    "training (s)": "run.train_seconds",
    "machine": "run.machine",
    "processor": "run.processor",
}
COLUMNS: dict[str, dict[str, str]] = {
    "experiment": {
        "epochs": "epochs",
        "width": "settings.model.width",
        "updates": "over_training.last.update",
        "ELBO, validation": "valid.elbo",
        "ELBO, test": "test.elbo",
        "log p, test": "test.log_likelihood",
        "± (standard error)": "test.log_likelihood_standard_error",
        "draws K": "importance_sampling.samples",
        "log p - ELBO": "test.gap",
        "± (of that)": "test.gap_standard_error",
        "active units": "active_units.value",
        "bits per dimension, test": "test.bits_per_dimension",
        "FID": "fid.value",
        "± (of FID)": "fid.standard_error",
        "KID": "kid.value",
        "± (of KID)": "kid.standard_error",
        "IS": "is.value",
        "± (of IS)": "is.standard_error",
        "FID, published protocol": "published_protocol.fid.value",
        "IS, published protocol": "published_protocol.is.value",
        "precision": "precision.value",
        "recall": "recall.value",
        "recognised": "recognised.value",
        "classes": "classes.value",
        "their entropy": "classes.entropy",
        "extractor": "fid.extractor",
        "rank correlation of FID with the critic's estimate": "over_training.correlation.value",
        "parameters": "parameters",
        "training (s)": "run.train_seconds",
        "s per epoch": "run.seconds_per_epoch",
        "s per update": "run.seconds_per_update",
        "s per sample": "run.seconds_per_sample",
        "device": "run.device",
        "machine": "run.machine",
        "processor": "run.processor",
    },
    **{kind: {**entry.columns, **STUDY_RUN} for kind, entry in STUDIES.items()},
}
"""The headings and the keys of the columns, for experiments and for the configurations of each kind of study."""
OF_EXTRACTOR = ("FID", "KID", "IS", "precision", "recall", "recognised")
OF_SEEDS = ("ELBO, test", "log p, test", "bits per dimension, test", *OF_EXTRACTOR, "training (s)")
LARGEST = 200_000  # bytes of one picture in git
HEAD = """# Baseline

Results of the full profile, written by `triptych baseline` from the files beside this one. The files hold all
metrics with their protocols, the settings, the data and their checksums, the commit and the machine.
Likelihoods are in nats per image; ± is a standard error over images. FID, KID, IS, precision and recall are on the
features of the extractor in the same row; compare only rows with the same extractor. Where it is our own classifier,
the files call the measures `fid_classifier` and so on. An empty cell is not defined for the family, or was not
measured. There is no mean of such a measure over seeds that have different extractors.
"""


def baseline_file(project: Project, name: str, profile: str) -> Path:
    """Return the file for the numbers of `name`. Those of profile `quick` have a folder of their own."""
    folder = project.root / "metrics" / "baseline"
    return (folder if profile == "full" else folder / profile) / f"{name}.json"


def keep_baseline(project: Project, name: str, kept_as: str, *, pictures: bool) -> None:
    """Write `metrics/baseline/<kept_as>.json` and, if `pictures`, `plots/baseline/<kept_as>/` from `name`'s results.

    The file holds the results, the settings and data that they depend on, and the journal's facts of the run.
    Under profile `quick` the file goes to `metrics/baseline/quick`, without pictures: only `triptych verify` reads it.
    Raises TriptychError if the experiment or study has not been evaluated.
    """
    results, manifest = read_json(project.results(name)), read_json(project.model(name) / MANIFEST)
    if not has_weights(project.model(name), results["weights_sha256"]):
        raise TriptychError(f"results and model of {name} belong to different runs: run `dvc repro` first")
    kept = {**results, "settings": manifest["settings"], "runtime": manifest["runtime"]}
    if "data" in manifest:
        kept["splits"] = manifest["data"]["splits"]
    kept["run"] = _run_facts(project, name, results, manifest["family"])
    if results["profile"] == "full" and pictures:
        keep_pictures(project, project.plots(name), kept_as)
    write_json(baseline_file(project, kept_as, results["profile"]), kept)


def _run_facts(project: Project, name: str, results: Result, family: str) -> Result:
    facts = look_up(project, stage_of(family), name, project.model(name) / MANIFEST)
    evaluated = look_up(project, "evaluate", name, project.results(name))
    found = {key: facts[key] for key in FACTS if key in facts}
    if "train_seconds" in facts and results.get("epochs"):  # a study has no epochs
        found["seconds_per_epoch"] = facts["train_seconds"] / results["epochs"]
    if "seconds_per_sample" in evaluated:
        found["seconds_per_sample"] = evaluated["seconds_per_sample"]
    return found


def keep_pictures(project: Project, source: Path, item: str) -> None:
    """Copy the pictures in `source` to `plots/baseline/<item>/`. Raises TriptychError if one is too large for git."""
    for picture in sorted(source.glob(PICTURES)):
        size = picture.stat().st_size
        if size > LARGEST:
            raise TriptychError(f"{picture} has {size:,} bytes, more than {LARGEST:,}: draw it smaller")
    copy_pictures(source, project.root / "plots" / "baseline" / item)


def write_table(project: Project) -> None:
    """Write `metrics/baseline/README.md`: the headline numbers of the whole baseline."""
    folder = project.root / "metrics" / "baseline"
    (folder / "README.md").write_text(table(folder), encoding="utf-8")


def table(folder: Path) -> str:
    """Return Markdown tables of the baseline in a folder: experiments, studies, and both over their seeds."""
    paths = sorted(folder.glob("*.json"), key=lambda path: path.stem)
    kept = {path.stem: _with_plain_names(read_json(path)) for path in paths}
    groups = group_by_settings({name: result["settings"] for name, result in kept.items()})
    several = {first: [kept[name] for name in names] for first, names in groups.items() if len(names) > 1}
    lines = [HEAD]
    for kind in COLUMNS:
        lines += _table(kind, {name: result for name, result in kept.items() if _kind_of(result) == kind})
    for kind in COLUMNS:
        lines += _seed_table(kind, {name: results for name, results in several.items() if _kind_of(kept[name]) == kind})
    return "\n".join(lines) + "\n"


def _with_plain_names(result: Result) -> Result:
    """Return the result with its fidelity measures under plain names, such as `fid`, for any extractor."""
    plain = {}
    for measure in MEASURES:
        with suppress(KeyError):
            plain[measure] = result[name_of(measure, result)]
    return result | plain


def _kind_of(result: Result) -> str:
    return result["settings"]["study"] if "configurations" in result else "experiment"


def _table(kind: str, results: Mapping[str, Result]) -> Iterator[str]:
    """Yield a table with one row per experiment, or per configuration of a study."""
    columns = COLUMNS[kind]
    if kind in STUDIES:
        if not results:
            return
        yield f"\n{STUDIES[kind].note} What each number is, and over how many samples, is in the files.\n"
    yield from _heading([*_labels(kind), *columns])
    for name, result in results.items():
        for label, found in _parts(name, result).items():
            yield _row([*label, *(_cell(found.get(key)) for key in columns.values())])


def _seed_table(kind: str, results: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """Yield a table with means and deviations; `results` are those of all seeds, by the name of the first one."""
    if not results:
        return
    is_shown = OF_SEEDS.__contains__ if kind == "experiment" else _is_of_study
    columns = {heading: key for heading, key in COLUMNS[kind].items() if is_shown(heading)}
    yield "\nOver seeds: mean ± standard deviation.\n"
    yield from _heading([*_labels(kind), "seeds", *columns])
    for name, seeds in results.items():
        parts = [_parts(name, result) for result in seeds]
        mixed = len({str(result.get("fid", {}).get("extractor")) for result in seeds}) > 1
        for label in parts[0]:
            cells = [
                "" if mixed and heading in OF_EXTRACTOR else _spread_cell([part[label].get(key) for part in parts])
                for heading, key in columns.items()
            ]
            yield _row([*label, str(len(seeds)), *cells])


def _is_of_study(heading: str) -> bool:
    return "±" not in heading and heading not in STUDY_RUN


def _labels(kind: str) -> list[str]:
    return ["experiment"] if kind == "experiment" else ["study", "configuration"]


def _parts(name: str, result: Result) -> dict[tuple[str, ...], Result]:
    """Return the flattened numbers of each row, by the first cells of the row."""
    if "configurations" not in result:
        return {(f"`{name}`",): flatten(result)}
    run = {"iterations": result["iterations"], "run": result["run"]}
    return {(f"`{name}`", f"`{item}`"): flatten(result[item] | run) for item in result["configurations"]}


def _heading(columns: Sequence[str]) -> list[str]:
    return [_row(columns), "|" + " --- |" * len(columns)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread_cell(values: Sequence[Any]) -> str:
    if not all(map(is_number, values)):
        return ""
    spread = Spread.of(values)
    return f"{spread.mean:.5g} ± {spread.deviation:.2g}"


def _cell(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"
