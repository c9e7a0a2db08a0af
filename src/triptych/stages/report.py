"""Stage `report`: all metrics to `metrics/summary.csv` and `metrics/seeds.csv`, and the comparison plots."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, atomic_folder, readable
from triptych.core.json_files import flatten, read_json
from triptych.core.json_schemas import Metrics, measured, read_document
from triptych.evaluation.fidelity.metric_names import ABSENT, MEASURES, SUFFIX, name_of
from triptych.evaluation.gan.snapshot_scores import panel
from triptych.evaluation.over_seeds import spreads
from triptych.figures.comparison import bars, bounds, values_per_seed
from triptych.figures.image_grids import image_panels
from triptych.figures.metric_and_fid import metric_and_fid
from triptych.figures.style import save, save_images, save_reduced
from triptych.models.common.registry import FAMILIES
from triptych.settings.seeds import grouped, is_repeat

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from matplotlib.figure import Figure

    from triptych.core.tracker import Tracker
    from triptych.evaluation.over_seeds import Spread

    Metrics = Mapping[str, Any]

SPREAD = ("kid", "is")  # measures that come with a standard deviation

SHOWN = {
    "fid_classifier": "FID on classifier features (lower is better)",
    "kid_classifier": "KID on classifier features (lower is better)",
    "is_classifier": "Inception score of the classifier (higher is better)",
    "fid": "FID on Inception features (lower is better)",
    "kid": "KID on Inception features (lower is better)",
    "is": "Inception score (higher is better)",
}


def summarise(name: str, family: str, metrics: Metrics, extractors: Sequence[str]) -> dict[str, object]:
    """One row of the comparison: every cell is a number, or says why there is none.

    It has the columns of all the extractors, `classifier` or `inception`, that judged any experiment.
    """
    test, absent = metrics["test"], metrics["not_defined"]
    row: dict[str, object] = {"experiment": name, "family": family, "dataset": metrics["data"]["dataset"]}
    for column in ("elbo", "log_likelihood", "bits_per_dimension"):
        row[f"test_{column}"] = f"{ABSENT}: {absent[column]}" if column in absent else test[column]
    row["test_log_likelihood_standard_error"] = test.get("log_likelihood_standard_error", row["test_log_likelihood"])
    row["likelihood_is"] = metrics.get("likelihood_is", row["test_log_likelihood"])
    protocol = metrics[name_of("fid", metrics)]
    for measure in (name + SUFFIX[extractor] for extractor in extractors for name in MEASURES):
        found = metrics.get(measure, {"value": f"{ABSENT}: judged by {protocol['extractor']}"})
        row[measure] = found["value"]
        if measure.startswith(SPREAD):
            row[f"{measure}_standard_deviation"] = found.get("standard_deviation", found["value"])
    row |= {"recognised": metrics["recognised"]["value"], "classes": metrics["classes"]["value"]}
    row |= {key: protocol[key] for key in ("samples", "reference", "reference_images", "extractor")}
    row |= {
        "parameters": metrics["parameters"],
        "epochs": metrics["epochs"],
        "profile": metrics["profile"],
        "data_sha256": metrics["data"]["sha256"],
    }
    return row


OVER_SEEDS = {
    "elbo": "ELBO on test images, nats per image (higher is better)",
    "bits_per_dimension": "Bits per dimension on test images (lower is better)",
}
SEEDS = ("experiment", "number", "mean", "standard_deviation", "n")
"""Columns of `metrics/seeds.csv`: the deviation is a sample's (n - 1), and empty where n is 1."""


def over_seeds(numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Spread]]:
    """By experiment or study, every number over all of its seeds; of metrics by the names of the trainings."""
    found = {name: measured(flatten(dict(metrics))) for name, metrics in numbers.items()}
    return {base: dict(spreads([found[name] for name in names])) for base, names in grouped(numbers).items()}


def seed_rows(numbers: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, float, float | None, int]]:
    """The rows of `metrics/seeds.csv`."""
    return [
        (base, key, spread.mean, spread.deviation, spread.n)
        for base, found in over_seeds(numbers).items()
        for key, spread in found.items()
    ]


def extractors_of(numbers: Collection[Metrics]) -> list[str]:
    """The extractors, `classifier` or `inception`, that judged any of the experiments."""
    return [kind for kind in SUFFIX if any(f"fid{SUFFIX[kind]}" in found for found in numbers)]


def _by_reference(numbers: Mapping[str, Metrics]) -> dict[str, dict[str, Metrics]]:
    """Experiments by the reference that judged them: only within one can they be compared."""
    groups: dict[str, dict[str, Metrics]] = {}
    for name, found in numbers.items():
        groups.setdefault(found["reference"]["name"], {})[name] = found
    return groups


def _bars(measure: str, judged: Mapping[str, Metrics], families: Mapping[str, str]) -> Figure:
    rows, words = [found[measure] for found in judged.values()], SHOWN[measure]
    protocol = next(found[name_of("fid", found)] for found in judged.values())
    return bars(
        names=list(judged),
        colours=[FAMILIES[families[name]].colour for name in judged],
        values=[row["value"] for row in rows],
        errors=[row.get("standard_deviation", 0.0) for row in rows],
        errors_are="standard deviation over parts" if measure.startswith("is") else "standard deviation over subsets",
        title=f"X2  {words.split(' (')[0]}, {protocol['samples']:,} samples, reference {protocol['reference']}",
        label=words,
        real=rows[0]["real_images"],
    )


def _over_seeds(repeated: Mapping[str, Sequence[Metrics]], families: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    """FID by reference, likelihoods by data set: what each seed of an experiment gave."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for base, numbers in repeated.items():
        first = numbers[0]
        fid, reference, dataset = name_of("fid", first), first["reference"]["name"], first["data"]["dataset"]
        found.setdefault(("fid", reference, SHOWN[fid]), {})[base] = [each[fid]["value"] for each in numbers]
        for column, words in OVER_SEEDS.items():
            if column in first["test"]:
                values = [each["test"][column] for each in numbers]
                found.setdefault((column.replace("_", "-"), dataset, words), {})[base] = values
    for (name, of, words), values in found.items():
        yield (
            f"{name}-{of}",
            values_per_seed(
                names=list(values),
                colours=[FAMILIES[families[base]].colour for base in values],
                values=list(values.values()),
                title=f"X2  {words.split(' (')[0].split(', ')[0]} over seeds, {of}",
                label=words,
            ),
        )


def _picture(path: Path) -> np.ndarray:
    import numpy as np
    from PIL import Image

    with readable(path, "run the evaluation that draws it again"):
        try:
            return np.asarray(Image.open(path))
        except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise TriptychError(f"{path} is no picture ({error}): run the evaluation that draws it again") from None


def report(
    *,
    families: Mapping[str, str],
    metrics: Mapping[str, Path],
    studies: Mapping[str, Path],
    samples: Mapping[str, Path],
    snapshots: Mapping[str, Path],
    summary: Path,
    seeds: Path,
    plots: Path,
    tracker: Tracker,
) -> None:
    """Write the table `summary` (CSV, one row a training), the table `seeds` (CSV, a row a number of an experiment or a
    study, over its seeds), and the plots X2 that compare all experiments, each with its own seed.

    `families` gives each experiment's family, `metrics` and `studies` the JSON files to read, `samples` the sheets of
    bare samples. Those of `snapshots`, files of scores over training, that exist make M2.7c, a panel each.
    """
    import pandas as pd

    numbers = {name: read_document(path, Metrics) for name, path in metrics.items()}
    extractors = extractors_of(numbers.values())
    table = pd.DataFrame([summarise(name, families[name], numbers[name], extractors) for name in numbers])
    with atomic_file(summary) as draft:
        table.to_csv(draft, index=False)
    of_studies = {name: read_json(path) for name, path in studies.items()}
    with atomic_file(seeds) as draft:
        pd.DataFrame(seed_rows(numbers | of_studies), columns=SEEDS).to_csv(draft, index=False)
    repeated = {base: [numbers[name] for name in names] for base, names in grouped(numbers).items() if names[1:]}
    numbers = {name: found for name, found in numbers.items() if not is_repeat(name)}
    with atomic_folder(plots) as folder:
        for name, figure in _over_seeds(repeated, families):
            save(figure, folder / f"X2-seeds-{name}.png")
        for reference, judged in _by_reference(numbers).items():
            for measure in ("fid", "kid", "is"):
                figure = _bars(name_of(measure, next(iter(judged.values()))), judged, families)
                save(figure, folder / f"X2-{measure}-{reference}.png")
            sheets_of = [(name, _picture(samples[name])) for name in judged]
            title = f"X2  Samples after training, profile {table['profile'].iloc[0]}"
            colour = any(sheet.ndim == 3 for _, sheet in sheets_of)
            save_images(image_panels(sheets_of, title), folder / f"X2-samples-{reference}.png", colour=colour)
        panels = [panel(name, path) for name, path in snapshots.items() if path.exists() and name in numbers]
        if panels:
            save_reduced(
                metric_and_fid(panels, "M2.7c  What each critic estimates, and FID"), folder / "M2.7c-progress.png"
            )
        columns = ["test_elbo", "test_log_likelihood", "test_log_likelihood_standard_error"]
        bounded = table.loc[table["experiment"].isin(list(numbers)), ["experiment", *columns]].copy()
        bounded[columns] = bounded[columns].apply(pd.to_numeric, errors="coerce")
        bounded = bounded.dropna()
        if len(bounded):
            figure = bounds(
                names=bounded["experiment"],
                elbos=bounded["test_elbo"],
                log_likelihoods=bounded["test_log_likelihood"],
                errors=bounded["test_log_likelihood_standard_error"],
                title="M3.10  What each posterior misses: ELBO and log-likelihood, test images",
            )
            save(figure, folder / "M3.10-bounds.png")
    tracker.say(f"compared {len(table)} experiments in {summary}")
