"""`params.yaml` as validated, typed settings.

The file is the only place that holds a number: the models below have no defaults but "this feature is off". Whatever
is unknown, of the wrong type or impossible is refused in one sentence that names the key, before any work begins.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from triptych.core.errors import TriptychError
from triptych.core.files import read_bytes
from triptych.core.schema import (
    MOST_SEEDS,
    Profile,
    Repeats,
    Section,
    first_problem,
    shown,
)
from triptych.data.settings import Dataset, Embedded
from triptych.evaluation.settings import Fidelity, Likelihood, Reference
from triptych.models.classifier.settings import IMAGES, Classifier
from triptych.models.common.registry import load_settings_model
from triptych.settings.experiment import Experiment
from triptych.settings.seeds import further_seeds, is_repeat, repeat_name
from triptych.studies.kinds import parse_study
from triptych.studies.settings import StudySettings
from triptych.training.settings import Runtime

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]  # a folder's name, too
LARGEST = 1 << 20  # bytes of a settings file
RESERVED = ("baseline", "comparison", "summary")  # files and folders beside those of the experiments


class ProfileSettings(Section):
    """What a profile decides for all: where images come from, and how many samples an evaluation draws."""

    source: Literal["embedded", "folder", "public", "auto"] = Field(
        description="embedded: scikit-learn's digits; folder: yours, in `TRIPTYCH_DATA`; public: downloaded; auto: "
        "folder if you name one, else public"
    )
    likelihood: Likelihood
    fidelity: Fidelity


def _study_of_the_kind(data: Any) -> Any:  # noqa: ANN401 (whatever the YAML holds)
    try:
        return parse_study(data)
    except ValidationError as error:
        place, reason = first_problem(error)
        raise ValueError(": ".join(filter(None, [".".join(place), reason]))) from None


Study = Annotated[SerializeAsAny[StudySettings], BeforeValidator(_study_of_the_kind)]


def _seeds_in_words(data: Any) -> Any:  # noqa: ANN401 (whatever the YAML holds)
    """Let pydantic find nothing wrong: of a union it tells more than anybody would read."""
    if not isinstance(data, dict):
        _refuse_other_seeds(data)
    for name, wanted in data.items() if isinstance(data, dict) else ():
        if not re.fullmatch(NAME, str(name)):
            raise ValueError(f"{shown(name)} is no name of an experiment or a study")
        _refuse_other_seeds(wanted, f"{name}: ")
    return data


def _refuse_other_seeds(wanted: Any, place: str = "") -> None:  # noqa: ANN401
    numbers, least, most = (wanted, 0, 2**63 - 1) if isinstance(wanted, list) else ([wanted], 1, MOST_SEEDS)
    if len(numbers) > MOST_SEEDS or not all(type(number) is int and least <= number <= most for number in numbers):
        raise ValueError(
            f"{place}write a number of trainings, 1 to {MOST_SEEDS:,}, or a list of seeds, not {shown(wanted)}"
        )


class Settings(Section):
    """The whole of `params.yaml`."""

    profile: Profile = Field(description="quick: minutes, offline; full: the documents' budgets on the real data")
    seeds: Annotated[Repeats | dict[Name, Repeats], BeforeValidator(_seeds_in_words)] = Field(
        description="trainings of every experiment and study, or of each by its name: a number (its own seed and those "
        "that follow it), or the further seeds"
    )
    profiles: dict[Profile, ProfileSettings] = Field(description="what each decides for all")
    embedded: Embedded = Field(description="of the digits that need no network")
    runtime: Runtime
    datasets: dict[Name, Dataset] = Field(min_length=1)
    classifiers: dict[Name, Classifier] = Field(min_length=1, description="each of the data set of its name")
    references: dict[Name, Reference] = Field(min_length=1)
    experiments: dict[Name, Experiment] = Field(min_length=1, description="a model each: add one, and run the pipeline")
    studies: dict[Name, Study] = Field(description="several small models trained side by side, each")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.profile not in self.profiles:
            raise ValueError(f"profile is {self.profile}, but profiles has no entry of that name")
        for name, classifier in self.classifiers.items():
            if name not in self.datasets:
                raise ValueError(f"classifiers.{name}: there is no data set of that name under datasets")
            if self.datasets[name].binarization != "none":
                raise ValueError(f"classifiers.{name}: binarised images carry no labels; classify the 8-bit images")
            kind, wanted = self.datasets[name].kind, IMAGES[classifier.model.architecture]
            if kind != wanted:
                raise ValueError(
                    f"classifiers.{name}.model.architecture: {classifier.model.architecture} is for {wanted} images, "
                    f"and those of {name} are {kind}"
                )
            self._batch_fits(f"classifiers.{name}", name, classifier.batch_size)
        for name, reference in self.references.items():
            if reference.dataset not in self.classifiers:
                raise ValueError(
                    f"references.{name}.dataset: no classifier for {reference.dataset!r}; "
                    f"known: {', '.join(self.classifiers)}"
                )
            self._reference_is_large_enough(reference.dataset)
        for name, experiment in self.experiments.items():
            self._experiment_fits(f"experiments.{name}", name, experiment)
        for name in self.studies:
            _refuse_taken_name(f"studies.{name}", name)
            if name in self.experiments:
                raise ValueError(f"studies.{name}: an experiment has this name; choose another")
        for name in self.seeds if isinstance(self.seeds, dict) else ():
            if name not in self.experiments and name not in self.studies:
                raise ValueError(f"seeds.{name}: there is no experiment or study of that name")
        return self

    def _experiment_fits(self, key: str, name: str, experiment: Experiment) -> None:
        _refuse_taken_name(key, name)
        if experiment.dataset not in self.datasets:
            raise ValueError(
                f"{key}.dataset: unknown data set {experiment.dataset!r}; known: {', '.join(self.datasets)}"
            )
        if experiment.reference not in self.references:
            raise ValueError(
                f"{key}.reference: unknown reference {experiment.reference!r}; known: {', '.join(self.references)}"
            )
        binary = self.datasets[experiment.dataset].binarization != "none"
        wanted = load_settings_model(experiment.family).pixels
        if binary != (wanted == "binary"):
            raise ValueError(
                f"{key}.dataset: the family {experiment.family} models {wanted} pixels, "
                f"and {experiment.dataset} holds {'binary' if binary else '8-bit'} ones"
            )
        if wanted == "dequantized" and self.datasets[experiment.dataset].dequantization == "none":
            raise ValueError(
                f"{key}.dataset: {experiment.dataset} has dequantization: none, which a density cannot use"
            )
        self._images_fit(key, experiment)
        self._batch_fits(key, experiment.dataset, experiment.batch_size, experiment.model.batches_a_step)
        processes = self.runtime.processes_for(experiment.model)
        if experiment.batch_size % processes:
            raise ValueError(
                f"{key}.batch_size is {experiment.batch_size}, which the {processes} of runtime.processes cannot share "
                "evenly: write a multiple"
            )
        for profile, settings in self.profiles.items():
            train, wanted = self.datasets[experiment.dataset].sizes(profile).train, settings.likelihood.train_images
            if wanted > train:
                raise ValueError(
                    f"profiles.{profile}.likelihood.train_images is {wanted}, more than the {train} training images of "
                    f"{experiment.dataset}"
                )

    def _images_fit(self, key: str, experiment: Experiment) -> None:
        kind, model = self.datasets[experiment.dataset].kind, experiment.model
        if kind not in model.images:
            raise ValueError(
                f"{key}.dataset: {experiment.dataset} holds {kind} images, and this model is for "
                f"{' or '.join(model.images)} ones"
            )
        real = self.references[experiment.reference].dataset
        if self.datasets[real].kind != kind:
            raise ValueError(
                f"{key}.reference: {experiment.reference} is of {self.datasets[real].kind} images, with which {kind} "
                "ones cannot be compared"
            )
        if experiment.batch_size < model.least_batch:
            raise ValueError(f"{key}.batch_size is {experiment.batch_size}, but this model needs {model.least_batch}")

    def _batch_fits(self, key: str, dataset: str, batch_size: int, batches: int = 1) -> None:
        train = self.datasets[dataset].sizes(self.profile).train
        if batch_size * batches > train:
            times = f" times {batches} critic_steps" if batches > 1 else ""
            raise ValueError(
                f"{key}.batch_size is {batch_size}{times}, larger than the {train} training images of profile "
                f"{self.profile}"
            )

    def _reference_is_large_enough(self, dataset: str) -> None:
        for profile, settings in self.profiles.items():
            sizes, wanted = self.datasets[dataset].sizes(profile), settings.fidelity.kid_subset_size
            if wanted > min(sizes.valid, sizes.test):
                raise ValueError(
                    f"profiles.{profile}.fidelity.kid_subset_size is {wanted}, more than the "
                    f"{min(sizes.valid, sizes.test)} real images of {dataset} that it is compared with"
                )

    @property
    def active(self) -> ProfileSettings:
        """The settings of the profile in force."""
        return self.profiles[self.profile]

    @property
    def all_experiments(self) -> dict[str, Experiment]:
        """The experiments, each followed by its repeats."""
        return dict(self._with_repeats(self.experiments))

    @property
    def all_studies(self) -> dict[str, StudySettings]:
        """The studies, each followed by its repeats."""
        return dict(self._with_repeats(self.studies))

    def _with_repeats(self, entries: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, entry in entries.items():
            yield name, entry
            wanted = self.seeds.get(name, 1) if isinstance(self.seeds, dict) else self.seeds
            for seed in further_seeds(wanted, entry.seed):
                yield repeat_name(name, seed), entry.model_copy(update={"seed": seed})

    @property
    def measured(self) -> tuple[str, ...]:
        """Everything that has a model and metrics, by the names of their folders and files."""
        return (*self.all_experiments, *self.all_studies, *(f"classifier-{name}" for name in self.classifiers))

    def dataset(self, name: str) -> Dataset:
        """The data set of that name; an unknown name is refused."""
        return _entry(self.datasets, name, "datasets")

    def classifier(self, name: str) -> Classifier:
        """The classifier of the data set of that name; an unknown name is refused."""
        return _entry(self.classifiers, name, "classifiers")

    def reference(self, name: str) -> Reference:
        """The reference of that name; an unknown name is refused."""
        return _entry(self.references, name, "references")

    def experiment(self, name: str) -> Experiment:
        """The experiment, or the repeat, of that name; an unknown name is refused."""
        return _entry(self.all_experiments, name, "experiments")

    def entry(self, name: str) -> Experiment | StudySettings:
        """The experiment or study of that name, repeats left out; an unknown name is refused."""
        return _entry({**self.experiments, **self.studies}, name, "experiments or studies")

    def study(self, name: str) -> StudySettings:
        """The study, or the repeat, of that name; an unknown name is refused."""
        return _entry(self.all_studies, name, "studies")


def _refuse_taken_name(key: str, name: str) -> None:
    if is_repeat(name):
        raise ValueError(f"{key}: a name that ends so is that of a repeat, which seeds makes; choose another")
    if name in RESERVED or name.startswith(("classifier-", "evaluate-")):
        raise ValueError(f"{key}: this name is taken by files of the pipeline's own; choose another")


def _entry(entries: dict[str, Any], name: str, section: str) -> Any:  # noqa: ANN401
    if name not in entries:
        raise TriptychError(f"params.yaml has no {section}.{name}; it knows {', '.join(entries) or 'none'}")
    return entries[name]


def parse(data: object, origin: str = "params.yaml") -> Settings:
    """Validate what a YAML file held. Raises TriptychError, one sentence, at the first thing that is wrong."""
    if not isinstance(data, dict):
        raise TriptychError(f"{origin} must hold a mapping of settings, but it holds {type(data).__name__}")
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        place, reason = first_problem(error)
        sentence = ": ".join(filter(None, [origin, ".".join(place), reason]))
        raise TriptychError(" ".join(sentence.split())) from None


def load(path: Path) -> Settings:
    """Read and validate a settings file, YAML 1.2 as DVC reads it (so `1e-3` is a number).

    In pure Python: a file of nothing but brackets overflows the stack of the parser in C.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = read_bytes(path, LARGEST, "run this in the project's folder")
    try:
        data = YAML(typ="safe", pure=True).load(text.decode())
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:  # ValueError: no UTF-8, no such day
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TriptychError(f"{path.name} is not valid YAML: {reason}") from None
    return parse(data, path.name)
