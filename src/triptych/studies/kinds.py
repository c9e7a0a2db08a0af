"""The registry of the kinds of studies, with one entry per kind.

To add a kind, write its modules and add one entry to `STUDIES`. A kind is a package
`triptych.studies.<name>` with four modules:

| module | provides |
| --- | --- |
| `settings` | `Settings`, which validates an entry under `studies:` |
| `training` | `build`, which returns the study in training |
| `measure` | `measure`, which returns the numbers, and `headline_numbers`, which returns the few of DVC's tables |
| `pictures` | `draw_pictures` |

Kinds and model families share one set of names in MLflow, so a kind must not have the name of a family.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from triptych.core.headline import Headline
from triptych.core.settings_types import shown
from triptych.studies.settings import StudySettings


@dataclass(frozen=True)
class StudyEntry:
    """The properties of a kind that records, page and baseline use."""

    title: str
    """The name in tables and headings."""
    headline: Headline
    """The metric of every configuration by which MLflow sorts runs. `measure` may name another one for the page, which
    has the same direction."""
    columns: dict[str, str]
    """Headings and keys of the columns in the baseline's table, which has one row per configuration."""
    note: str
    """The sentences before that table."""


STUDIES = {
    "planar": StudyEntry(
        title="Planar flows in the plane",
        headline=Headline(
            "kl",
            "KL divergence between flow and density in nats",
            higher_is_better=False,
            curves=("train_negative_log_likelihood", "train_kl"),
        ),
        columns={
            "negative log-likelihood, held out": "held_out.negative_log_likelihood",
            "± (standard error)": "held_out.negative_log_likelihood_standard_error",
            "on the training samples": "training.negative_log_likelihood",
            "entropy": "entropy",
            "KL": "kl",
            "± (of that)": "kl_standard_error",
            "left arc": "share_on_left_arc",
        },
        note="Planar flows, in nats. The entropy is of the density, by quadrature.",
    ),
    "dirac": StudyEntry(
        title="Dirac games",
        headline=Headline(
            "generator_distance",
            "distance of the measured generator from the equilibrium",
            higher_is_better=False,
            curves=("train_distance",),
        ),
        columns={
            "verdict": "verdict",
            "theory": "theory",
            "modulus of the eigenvalue": "eigenvalue.modulus",
            "distance at the start": "start",
            "at the end": "end",
            "of the judged generator": "generator_distance",
        },
        note="Dirac games. Distances from the equilibrium; the judged generator's is the largest of the last tenth.",
    ),
}
PARTS = ("training", "measure", "pictures")


def load_study_settings(kind: str) -> type[StudySettings]:
    """Return the class that validates a study of this kind. Imports no heavy package."""
    return import_module(f"triptych.studies.{kind}.settings").Settings


def load_study(kind: str) -> tuple[ModuleType, ...]:
    """Return the kind's modules `training`, `measure` and `pictures`."""
    return tuple(import_module(f"triptych.studies.{kind}.{part}") for part in PARTS)


def study_modules(kind: str) -> list[str]:
    """Return the names of all modules that are loaded for this kind."""
    return [f"triptych.studies.{kind}.{part}" for part in ("settings", *PARTS)]


def parse_study(data: Any) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the entry as its kind's settings. Data that is not a mapping is returned as it is, for pydantic to refuse.

    Raises ValueError, with the known kinds, if the kind is unknown.
    """
    if not isinstance(data, dict):
        return data
    kind = data.get("study")
    if kind not in tuple(STUDIES):  # the YAML value may be unhashable
        raise ValueError(f"study is {shown(kind)}; known studies: {', '.join(STUDIES)}")
    return load_study_settings(kind).model_validate(data)
