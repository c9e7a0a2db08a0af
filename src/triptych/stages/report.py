"""Stage `report`: write all results to `metrics/summary.csv` and `metrics/seeds.csv`, and draw the comparison plots."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.files import atomic_file, atomic_folder
from triptych.core.json_files import flatten, read_json
from triptych.core.json_schemas import read_document
from triptych.core.tracker import Tracker
from triptych.data.raw_images import USER_FOLDER, without_checksum
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.over_seeds import spreads
from triptych.evaluation.results_file import Results, measured
from triptych.evaluation.snapshot_scores import panel
from triptych.figures.comparison import Bounds, bars, bounds, values_per_seed
from triptych.figures.curves import metric_and_fid
from triptych.figures.image_grids import image_panels, read_sheet
from triptych.figures.style import save, save_images
from triptych.models.common.registry import FAMILIES
from triptych.stages.summary import INTERVALS, Numbers, extractors_of, summarise

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = {
    "fid_classifier": "FID on classifier features (lower is better)",
    "kid_classifier": "KID on classifier features (lower is better)",
    "is_classifier": "Inception score of the classifier (higher is better)",
    "fid": "FID on Inception features (lower is better)",
    "kid": "KID on Inception features (lower is better)",
    "is": "Inception score (higher is better)",
}
OVER_SEEDS = {
    "elbo": "ELBO on test images, nats per image (higher is better)",
    "bits_per_dimension": "Bits per dimension on test images (lower is better)",
}
SEEDS = ("experiment", "number", "mean", "standard_deviation", "n")
"""Columns of `metrics/seeds.csv`. The deviation is that of a sample (n - 1), and empty for one seed."""


def report(
    *,
    families: Mapping[str, str],
    groups: Mapping[str, Sequence[str]],
    experiments: Mapping[str, Path],
    studies: Mapping[str, Path],
    samples: Mapping[str, Path],
    snapshots: Mapping[str, Path],
    summary: Path,
    seeds: Path,
    plots: Path,
    tracker: Tracker,
) -> None:
    """Write the tables `summary` and `seeds` (CSV) and the comparison plots.

    `summary` has one row per experiment. `seeds` has one row per number and group, over the seeds of the group.
    `groups` gives the experiments and studies of each group by the name of its first; the plots X2 show the first.
    `families` gives the family of each experiment, `experiments` and `studies` the JSON files to read, `samples` the
    sheets of samples. `snapshots` are files of scores over training; those that exist are drawn as M2.7c.
    """
    import pandas as pd

    numbers = {name: read_document(path, Results) for name, path in experiments.items()}
    extractors = extractors_of(numbers.values())
    table = pd.DataFrame([summarise(name, families[name], numbers[name], extractors) for name in numbers])
    with atomic_file(summary) as draft:
        table.to_csv(draft, index=False)
    of_studies = {name: read_json(path) for name, path in studies.items()}
    with atomic_file(seeds) as draft:
        pd.DataFrame(seed_rows(numbers | of_studies, groups), columns=SEEDS).to_csv(draft, index=False)
    first = {name: numbers[name] for name in groups if name in numbers}
    repeated = {name: [numbers[each] for each in groups[name]] for name in first if len(groups[name]) > 1}
    note = ", first seed" if repeated else ""
    with atomic_folder(plots) as folder:
        for name, figure in _seed_figures(repeated, families):
            save(figure, folder / f"X2-seeds-{name}.png")
        for reference in dict.fromkeys(found["reference"]["name"] for found in first.values()):
            compared = {name: found for name, found in first.items() if found["reference"]["name"] == reference}
            for measure in INTERVALS:
                figure = _bars(name_of(measure, next(iter(compared.values()))), compared, families, note)
                save(figure, folder / f"X2-{measure}-{reference}.png")
            sheets = {_with_updates(name, compared[name]): samples[name] for name in compared}
            _save_samples(folder / f"X2-samples-{reference}.png", sheets, list(compared.values()))
        if panels := [panel(name, path) for name, path in snapshots.items() if path.exists() and name in first]:
            figure = metric_and_fid(panels, "What each critic estimates, and FID")
            save(figure, folder / "M2.7c-progress.png")
        _save_bounds(folder / "M3.10-bounds.png", table[table["experiment"].isin(list(first))])
    tracker.say(f"compared {len(table)} experiments in {summary}")


def seed_rows(
    numbers: Mapping[str, Numbers], groups: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, float, float | None, int]]:
    """Return the rows of `metrics/seeds.csv` from the metrics of each experiment and study."""
    found = {name: measured(flatten(dict(metrics))) for name, metrics in numbers.items()}
    return [
        (first, key, spread.mean, spread.deviation, spread.n)
        for first, names in groups.items()
        for key, spread in spreads([found[name] for name in names])
    ]


def _seed_figures(
    repeated: Mapping[str, Sequence[Numbers]], families: Mapping[str, str]
) -> Iterator[tuple[str, Figure]]:
    """Yield FID by reference and likelihoods by data set, with one point per seed."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for name, numbers in repeated.items():
        first = numbers[0]
        fid, reference, dataset = name_of("fid", first), first["reference"]["name"], first["data"]["dataset"]
        found.setdefault(("fid", reference, SHOWN[fid]), {})[name] = [each[fid]["value"] for each in numbers]
        for column, words in OVER_SEEDS.items():
            if column in first["test"]:
                values = [each["test"][column] for each in numbers]
                found.setdefault((column.replace("_", "-"), dataset, words), {})[name] = values
    for (measure, of, words), values in found.items():
        figure = values_per_seed(
            names=list(values),
            **_colours(values, families),
            values=list(values.values()),
            title=f"{words.split(' (')[0].split(', ')[0]} over seeds, {of}",
            label=words,
        )
        yield f"{measure}-{of}", figure


def _colours(names: Collection[str], families: Mapping[str, str]) -> dict[str, Any]:
    """Return the colour of each experiment, and the colours of their families by title."""
    entries = [FAMILIES[families[name]] for name in names]
    return {
        "colours": [entry.colour for entry in entries],
        "families": {entry.title: entry.colour for entry in entries},
    }


def _bars(measure: str, compared: Mapping[str, Numbers], families: Mapping[str, str], note: str) -> Figure:
    """Return one bar per experiment, the best at the top; the title ends with `note`."""
    highest_first = measure.startswith("is")
    compared = dict(sorted(compared.items(), key=lambda item: item[1][measure]["value"], reverse=highest_first))
    rows, words = [found[measure] for found in compared.values()], SHOWN[measure]
    reference = rows[0]["reference"]  # "none" for the inception score
    against = "" if reference == "none" else f", reference {reference}"
    return bars(
        names=list(compared),
        **_colours(compared, families),
        values=[row["value"] for row in rows],
        errors=[row.get("standard_error", 0.0) for row in rows],
        title=f"{words.split(' (')[0]}, {rows[0]['samples']:,} samples{against}{note}",
        label=words,
        real=rows[0]["real_images"],
    )


def _save_samples(path: Path, samples: Mapping[str, Path], metrics: Sequence[Numbers]) -> None:
    found = [(name, read_sheet(sheet)) for name, sheet in samples.items()]
    sources = [without_checksum(each["data"]["source"]).removeprefix(USER_FOLDER) for each in metrics]
    title = f"Samples after training, profile {metrics[0]['profile']}, from {' and '.join(dict.fromkeys(sources))}"
    save_images(image_panels(found, title), path, colour=any(sheet.ndim == 3 for _, sheet in found))


def _with_updates(name: str, metrics: Numbers) -> str:
    """Return the name, and for a GAN with a critic also its number of updates."""
    if "over_training" not in metrics:
        return name
    return f"{name}\n{metrics['over_training']['last']['update']:,} updates"


def _save_bounds(path: Path, table: pd.DataFrame) -> None:
    """Draw the ELBO and the log-likelihood, by data set, of all experiments that have both; without any, no file."""
    import pandas as pd

    columns = ["test_elbo", "test_log_likelihood", "test_log_likelihood_standard_error"]
    bounded = table[["dataset", "experiment", *columns]].copy()
    bounded[columns] = bounded[columns].apply(pd.to_numeric, errors="coerce")
    found: dict[str, list[Bounds]] = {}
    for dataset, *row in bounded.dropna().itertuples(index=False):
        found.setdefault(dataset, []).append(Bounds(*row))
    if found:
        best_first = {key: sorted(rows, key=lambda row: -row.log_likelihood) for key, rows in found.items()}
        save(bounds(best_first, "ELBO and log-likelihood of test images"), path)
