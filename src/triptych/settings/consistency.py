"""Checks that involve several sections of `params.yaml`. Each raises SettingsError at the first error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.settings_types import Profile
from triptych.data.image_shapes import IMAGE_SHAPES, Shape, colours, in_words
from triptych.data.settings import Dataset
from triptych.data.splits import default_sizes
from triptych.models.classifier.settings import IMAGES, SHIPPED
from triptych.models.common.registry import load_settings_model
from triptych.settings.experiment import Experiment
from triptych.settings.recipes import SettingsError
from triptych.settings.sections import Settings
from triptych.sources.embedded_images import COLOURED

RESERVED = ("baseline", "comparison", "summary")  # files and folders beside those of the experiments
RESERVED_STARTS = ("classifier-", "evaluate-")


@dataclass(frozen=True)
class Facts:
    """What is known about the images of a data set before they are fetched; None where it is not."""

    shape: Shape | None
    train: int | None
    """The number of training images."""
    unlabelled: bool
    """Whether it is known that there are no labels."""

    @classmethod
    def of(cls, dataset: Dataset, profile: Profile, data: Path | None) -> Facts:
        """Return the facts about a data set; the file of own images is in the folder `data`."""
        sizes, described = dataset.sizes(profile), dataset.described(data)
        shape = described.shape if described else IMAGE_SHAPES.get(dataset.images)
        if described and not sizes:
            sizes = default_sizes(described.counts)
        unlabelled = described is not None and not described.labelled
        return cls(shape[-2:] if shape and dataset.grey else shape, sizes and sizes.train, unlabelled)


def check_consistency(settings: Settings, data: Path | None = None) -> None:
    """Check that all sections fit together. Raises SettingsError at the first key that does not.

    The shape of own images is known if their file is in the folder `data`. Without it, stages check the shape.
    """
    if settings.profile not in settings.profiles:
        words = f" is {settings.profile}, but profiles has only {', '.join(settings.profiles)}; choose one of them"
        raise SettingsError(["profile"], words)
    facts = {name: Facts.of(dataset, settings.profile, data) for name, dataset in settings.datasets.items()}
    for name, dataset in settings.datasets.items():
        if dataset.binarization != "none" and facts[name].shape and colours(facts[name].shape) != "grey":
            words = f" is {dataset.binarization}, but it is for grey images; add `grey: true`"
            raise SettingsError(["datasets", name, "binarization"], words)
    for name in settings.classifiers:
        _check_classifier(settings, name, facts)
    for name in settings.references:
        _check_reference(settings, name, facts)
    for name, experiment in settings.experiments.items():
        place = ["experiments", name]
        _check_name(place)
        _check_data(settings, place, experiment)
        _check_shape(settings, place, experiment, facts)
        check_training(place, experiment, settings.profile, facts[experiment.dataset].train)
        _check_processes(settings, place, experiment)
    for name in settings.studies:
        _check_name(["studies", name])
        if name in settings.experiments:
            raise SettingsError(["studies", name], ": an experiment has this name; choose another")


def _check_known(place: list[str], name: str, entries: Iterable[str], problem: str) -> None:
    if name not in entries:
        raise SettingsError(place, f": {problem} {name!r}; known: {', '.join(entries)}")


def _check_classifier(settings: Settings, name: str, facts: Mapping[str, Facts]) -> None:
    place, architecture = ["classifiers", name], settings.classifiers[name].model.architecture
    if name not in settings.datasets:
        known = ", ".join(each for each, dataset in settings.datasets.items() if dataset.binarization == "none")
        raise SettingsError(place, f": a classifier has the name of its data set; rename it to one of {known}")
    dataset = settings.datasets[name]
    if dataset.binarization != "none":
        raise SettingsError(place, ": binarised images have no labels; classify the 8-bit images")
    if facts[name].unlabelled:
        raise SettingsError(place, f": {dataset.images} has no labels; use an entry of references instead")
    shape, images = facts[name].shape, IMAGES[architecture]
    if shape and (kind := colours(shape)) != images:
        words = f": {architecture} is for {images} images, but {name} has {kind} images; use {_fitting(IMAGES, kind)}"
        raise SettingsError([*place, "model", "architecture"], words)
    if train := facts[name].train:
        _check_batch(place, settings.classifiers[name].batch_size, train, settings.profile)


def _fitting(kinds: Mapping[str, str], kind: str) -> str:
    """Return the first name that is for images of this kind."""
    return next(name for name, of_kind in kinds.items() if of_kind == kind)


def _check_reference(settings: Settings, name: str, facts: Mapping[str, Facts]) -> None:
    place, reference = ["references", name], settings.references[name]
    if name in settings.classifiers:
        raise SettingsError(place, ": classifiers has an entry of this name, which is also a reference; delete this")
    _check_known([*place, "dataset"], reference.dataset, settings.datasets, "unknown data set")
    if settings.datasets[reference.dataset].binarization != "none":
        words = f": {reference.dataset} is binarised, and an extractor is for 8-bit images; name a data set that is not"
        raise SettingsError([*place, "dataset"], words)
    images = settings.datasets[reference.dataset].images
    for profile, values in settings.profiles.items():
        if values.source == "embedded" and images == COLOURED and reference.names_classes_at(profile, images):
            words = f": the embedded images for {images} are digits, which have other classes; use none for {profile}"
            raise SettingsError([*place, "classes"], words)
        count, subset = reference.published_at(profile), values.fidelity.kid_subset_size
        if 0 < count < subset:
            words = f" is {count}, fewer than the {subset} of profiles.{profile}.fidelity.kid_subset_size; raise it"
            raise SettingsError([*place, "published_samples"], words)
    if not (shape := facts[reference.dataset].shape):
        return
    kind = colours(shape)
    for profile in settings.profiles:
        used = {"extractor": reference.extractor_at(profile), "classes": reference.classifier_at(profile)}
        for key, extractor in used.items():
            if kind != (images := SHIPPED.get(extractor, kind)):
                words = f": {extractor} is for {images} images, but {reference.dataset} has {kind} images; use "
                raise SettingsError([*place, key], words + _fitting(SHIPPED, kind))


def _check_name(place: list[str]) -> None:
    if place[1] in RESERVED or place[1].startswith(RESERVED_STARTS):
        raise SettingsError(place, ": the pipeline has files of this name; choose another")


def _check_data(settings: Settings, place: list[str], experiment: Experiment) -> None:
    _check_known([*place, "dataset"], experiment.dataset, settings.datasets, "unknown data set")
    references = [*settings.references, *settings.classifiers]
    _check_known([*place, "reference"], experiment.reference, references, "unknown reference")
    dataset = settings.datasets[experiment.dataset]
    pixels = load_settings_model(experiment.family).pixels
    binary = dataset.binarization != "none"
    if binary != (pixels == "binary"):
        found = "binary" if binary else "8-bit"
        remedy = f"name a data set {'without' if binary else 'with'} binarization"
        words = f": {experiment.family} models {pixels} pixels, but {experiment.dataset} has {found} pixels; {remedy}"
        raise SettingsError([*place, "dataset"], words)
    if pixels == "dequantized" and dataset.dequantization == "none":
        words = f" is {experiment.dataset}, but {experiment.family} models need noise; set "
        raise SettingsError([*place, "dataset"], f"{words}datasets.{experiment.dataset}.dequantization to uniform")


def _check_shape(settings: Settings, place: list[str], experiment: Experiment, facts: Mapping[str, Facts]) -> None:
    if not (shape := facts[experiment.dataset].shape):
        return
    if reason := experiment.model.misfit(shape):
        raise SettingsError([*place, "dataset"], f": {experiment.dataset} has {in_words(shape)}, but {reason}")
    compared = facts[settings.compared_data(experiment.reference)].shape
    if compared not in (shape, None):
        words = (
            f" is {experiment.reference}, {in_words(compared)}; name one with images like those of "
            f"{experiment.dataset}, {in_words(shape)}"
        )
        raise SettingsError([*place, "reference"], words)


def check_training(place: list[str], experiment: Experiment, profile: Profile, train_images: int | None) -> None:
    """Check the optimiser of an experiment and its batches, of so many training images if their number is known."""
    model, batch_size = experiment.model, experiment.at(profile).batch_size
    for player in experiment.players:
        if player not in model.players:
            raise SettingsError([*place, "players", player], f": the players are {' and '.join(model.players)}")
    if batch_size < model.least_batch:
        raise SettingsError([*place, "batch_size"], f" is {batch_size}; this model needs {model.least_batch} or more")
    if train_images is not None:
        _check_batch(place, batch_size, train_images, profile, model.batches_per_step)


def _check_processes(settings: Settings, place: list[str], experiment: Experiment) -> None:
    batch_size = experiment.at(settings.profile).batch_size
    if batch_size % (processes := settings.runtime.processes_for(experiment.model)):
        raise SettingsError(
            [*place, "batch_size"],
            f" is {batch_size}, which the {processes} of runtime.processes cannot share evenly; use a multiple",
        )


def _check_batch(place: list[str], batch_size: int, train: int, profile: Profile, batches: int = 1) -> None:
    if batch_size * batches > train:
        times = f" times {batches} critic_steps" if batches > 1 else ""
        raise SettingsError(
            [*place, "batch_size"],
            f" is {batch_size}{times}, more than the {train} training images of profile {profile}; lower it",
        )
