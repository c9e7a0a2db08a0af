"""The registry of model families, with one entry per family.

To add a family, write its modules and add one entry to `FAMILIES`. The modules are given by dotted path, so they may
also lie outside the package `triptych`. Apart from descriptions and help texts, only `settings/own_data.py` names
families: those of which `triptych add-data` writes experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.headline import Headline
from triptych.data.image_shapes import in_words

if TYPE_CHECKING:
    from triptych.models.common.settings import FamilySettings
    from triptych.training.family import Family


FIDELITY = Headline(
    "fid_classifier",
    "FID on classifier features (`fid`, if the extractor is Inception)",
    higher_is_better=False,
    curves=("snapshot_fid_classifier", "snapshot_fid"),
)


@dataclass(frozen=True)
class FamilyEntry:
    """A family's modules and the properties that stages, records, page and `triptych verify` use."""

    title: str
    """The name in tables and headings."""
    colour: str
    """The colour in comparison plots, as #rrggbb."""
    curve: str
    """The label in `dvc plots`, with unit, of the first metric that `Family.validate` returns."""
    settings: str
    """Module with `Model`, a `FamilySettings` that validates the `model:` section. It imports nothing heavy."""
    family: str
    """Module with `build(model, image_shape)`, which returns a `Family`."""
    measures: str
    """Module with `measure(evaluation)`, `SAMPLES_ARE` and `NOT_DEFINED`."""
    pictures: str
    """Module with `draw_pictures(evaluation)`."""
    presentation: str
    """Module with `PRESENTATION`, a `triptych.evaluation.presentation.Presentation`. It imports nothing heavy."""
    inference: str | None = None
    """Module with `encode(family, pixels)` and `log_likelihood(family, pixels, seed, draws)`, or None."""
    headline: Headline = FIDELITY
    """The number that all runs of the family have in common."""
    unsettled: Callable[[Mapping[str, Any]], bool] = lambda model: False
    """Whether rounding can change all digits of the metrics after few updates, given the `model:` section."""

    @property
    def training_modules(self) -> list[str]:
        """The modules that training loads by name."""
        return [self.settings, self.family]

    @property
    def evaluation_modules(self) -> list[str]:
        """The modules that evaluation loads by name."""
        return [*self.training_modules, self.measures, self.pictures]


def _modules(family: str) -> dict[str, str]:
    """Return the modules of a family of this package, which follow one naming scheme."""
    models, evaluation = f"triptych.models.{family}", f"triptych.evaluation.{family}"
    return {
        "settings": f"{models}.settings",
        "family": f"{models}.family",
        "measures": f"{evaluation}.measure",
        "pictures": f"{evaluation}.pictures",
        "presentation": f"{evaluation}.presentation",
    }


FAMILIES = {
    "vae": FamilyEntry(
        title="Variational autoencoder",
        colour="#56B4E9",
        curve="negative ELBO (nats per image)",
        **_modules("vae"),
        inference="triptych.evaluation.vae.inference",
        headline=Headline(
            "test.log_likelihood",
            "mean log-likelihood of a test image, a lower bound in nats",
            higher_is_better=True,
            curves=("valid_negative_elbo",),
        ),
        # Importance weights are exponentials of hundreds of nats in float32.
        unsettled=lambda model: model.get("importance_samples", 1) > 1,
    ),
    "gan": FamilyEntry(
        title="Generative adversarial network",
        colour="#009E73",
        curve="loss of the discriminator, or the critic's estimate",
        **_modules("gan"),
        unsettled=lambda model: True,
    ),
    "flow": FamilyEntry(
        title="Normalizing flow",
        colour="#E69F00",
        curve="bits per dimension",
        **_modules("flow"),
        inference="triptych.evaluation.flow.inference",
        headline=Headline(
            "test.bits_per_dimension",
            "mean bits per dimension of the test images",
            higher_is_better=False,
            curves=("valid_bits_per_dimension",),
        ),
        unsettled=lambda model: True,
    ),
}


def load_settings_model(family: str) -> type[FamilySettings]:
    """Return the class that validates the `model:` section of a family."""
    return import_module(FAMILIES[family].settings).Model


def build(family: str, model: Any, image_shape: tuple[int, ...]) -> Family:  # noqa: ANN401 (the family's `Model`)
    """Return a family with new networks, initialised from torch's global generator.

    Raises TriptychError if the networks cannot model images of this shape.
    """
    if reason := model.misfit(image_shape):
        raise TriptychError(f"the data set has {in_words(image_shape)}, but {reason}")
    return import_module(FAMILIES[family].family).build(model, image_shape)


def load_evaluation(family: str) -> tuple[ModuleType, ModuleType]:
    """Return the modules `measures` and `pictures` of a family."""
    entry = FAMILIES[family]
    return import_module(entry.measures), import_module(entry.pictures)
