"""Stage `report`: all metrics to `metrics/summary.csv` and the comparison plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triptych.figures.comparison import bars, bounds
from triptych.figures.grids import sheets
from triptych.figures.style import FAMILY_COLOURS, save, save_grey
from triptych.files import atomic_file, atomic_folder, read_json
from triptych.models.registry import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.tracker import Tracker

FIDELITY = {
    "fid_classifier": ("FID on classifier features (lower is better)", "X2-fid.png"),
    "kid_classifier": ("KID on classifier features (lower is better)", "X2-kid.png"),
    "is_classifier": ("Inception score of the classifier (higher is better)", "X2-is.png"),
}


def summarise(name: str, family: str, metrics: Mapping[str, Any]) -> dict[str, object]:
    """One row of the comparison: every cell is a number, or says why there is none."""
    test, absent = metrics["test"], metrics["not_defined"]
    row: dict[str, object] = {"experiment": name, "family": family, "dataset": metrics["data"]["dataset"]}
    for column in ("elbo", "log_likelihood", "bits_per_dimension"):
        row[f"test_{column}"] = f"not defined: {absent[column]}" if column in absent else test[column]
    row["test_log_likelihood_standard_error"] = test.get("log_likelihood_standard_error", row["test_log_likelihood"])
    row["likelihood_is"] = metrics.get("likelihood_is", row["test_log_likelihood"])
    for measure in FIDELITY:
        row[measure] = metrics[measure]["value"]
        if "standard_deviation" in metrics[measure]:
            row[f"{measure}_standard_deviation"] = metrics[measure]["standard_deviation"]
    row |= {"recognised": metrics["recognised"]["value"], "classes": metrics["classes"]["value"]}
    protocol = metrics["fid_classifier"]
    row |= {key: protocol[key] for key in ("samples", "reference", "reference_images", "extractor")}
    row |= {
        "parameters": metrics["parameters"],
        "epochs": metrics["epochs"],
        "profile": metrics["profile"],
        "data_sha256": metrics["data"]["sha256"],
    }
    return row


def report(
    *,
    families: Mapping[str, str],
    metrics: Mapping[str, Path],
    samples: Mapping[str, Path],
    summary: Path,
    plots: Path,
    tracker: Tracker,
) -> None:
    """Write the table `summary` (CSV, one row an experiment) and the plots X2 that compare all experiments.

    `families` gives each experiment's family, `metrics` the JSON files to read, `samples` the sheets of bare samples.
    """
    import numpy as np
    import pandas as pd
    from PIL import Image

    numbers = {name: read_json(path) for name, path in metrics.items()}
    table = pd.DataFrame([summarise(name, families[name], numbers[name]) for name in numbers])
    with atomic_file(summary) as draft:
        table.to_csv(draft, index=False)
    with atomic_folder(plots) as folder:
        for measure, (words, file_name) in FIDELITY.items():
            reference = table["reference"].iloc[0]
            best = numbers[table["experiment"].iloc[0]][measure]["real_images"]
            errors = table.get(f"{measure}_standard_deviation", pd.Series(0.0, index=table.index))
            title = f"X2  {words.split(' (')[0]}, {table['samples'].iloc[0]:,} samples, reference {reference}"
            figure = bars(
                names=table["experiment"],
                colours=[FAMILY_COLOURS[list(FAMILIES).index(family)] for family in table["family"]],
                values=table[measure],
                errors=errors,
                title=title,
                label=words,
                real=best,
            )
            save(figure, folder / file_name)
        columns = ["test_elbo", "test_log_likelihood", "test_log_likelihood_standard_error"]
        bounded = table[["experiment", *columns]].copy()
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
        sheets_of = [(name, np.asarray(Image.open(path))) for name, path in samples.items()]
        title = f"X2  Samples after training, profile {table['profile'].iloc[0]}"
        save_grey(sheets(sheets_of, title), folder / "X2-samples.png")
    tracker.say(f"compared {len(table)} experiments in {summary}")
