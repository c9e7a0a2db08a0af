"""The comparison of all experiments as a pandas table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.api.projects import open_project
from triptych.core.errors import TriptychError
from triptych.core.json_schemas import read_document
from triptych.evaluation.intervals import ERROR
from triptych.evaluation.results_file import Results
from triptych.stages.summary import extractors_of, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

WORDS = ("family", "dataset", "likelihood_is", "reference", "extractor", "profile", "data_sha256")
"""The columns of the summary without numbers."""
HEADLINES = ("test_elbo", "test_log_likelihood", "test_bits_per_dimension", "fid_classifier", "fid")
OF_ONE_RUN = (ERROR, "_low", "_high")  # ends of columns that have no mean over seeds
DEVIATION = "_standard_deviation"


def results(
    *, average_seeds: bool = False, all_columns: bool = False, project: str | Path | None = None
) -> pd.DataFrame:
    """Return one row per evaluated experiment, with its family, data set and headline numbers.

    With `all_columns`, the columns are those of `metrics/summary.csv`. A number that is not defined for a family is
    NaN. With `average_seeds`, experiments that differ only in their seeds are one row, under the name of the first:
    each number is the mean, and the columns `<number>_standard_deviation` (n - 1) and `seeds` say how far it spreads
    and over how many. `project` is the folder of the project, by default that of the working directory.

    >>> table = triptych.results()
    >>> table.loc["realnvp-mnist", ["family", "dataset"]].tolist()
    ['flow', 'mnist']
    >>> bool(table["test_bits_per_dimension"].isna()["gan-mnist"])
    True
    >>> triptych.results(all_columns=True).loc["realnvp-mnist", "profile"]
    'quick'
    >>> int(triptych.results(average_seeds=True).loc["gan-mnist", "seeds"])
    1
    """
    import pandas as pd

    found, settings = open_project(project)
    documents = {
        name: read_document(found.results(name), Results)
        for name in settings.experiments
        if found.results(name).exists()
    }
    if not documents:
        raise TriptychError(f"no experiment in {found.root} is evaluated: run `triptych repro` first")
    extractors = extractors_of(documents.values())
    families = {name: settings.experiment(name).family for name in documents}
    rows = [summarise(name, families[name], document, extractors) for name, document in documents.items()]
    table = pd.DataFrame(rows).set_index("experiment")
    numbers = table.columns.difference(WORDS)
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    if average_seeds:
        table = _averaged(table, settings.seed_groups(documents))
    return table if all_columns else _headlines(table)


def _headlines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns for a first look, with the standard deviation of each number beside it."""
    chosen = ["family", "dataset", "seeds", *(f"{name}{end}" for name in HEADLINES for end in ("", DEVIATION))]
    return table[[column for column in chosen if column in table]]


def _averaged(table: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    import pandas as pd

    numbers = [column for column in table.columns.drop(list(WORDS)) if not column.endswith(OF_ONE_RUN)]
    group = pd.Series({name: first for first, names in groups.items() for name in names})[table.index]
    of_groups = table[numbers].groupby(group.to_numpy(), sort=False)
    spread = of_groups.std().add_suffix(DEVIATION)
    averaged = table.loc[list(groups), list(WORDS)].assign(seeds=of_groups.size())
    return averaged.join(of_groups.mean()).join(spread).rename_axis("experiment")
