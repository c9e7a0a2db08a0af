"""The sections of `params.yaml` as one validated model.

The models have defaults only for options that are off and for conventions of the field or of this tool.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from triptych.core.errors import TriptychError
from triptych.core.settings_types import Profile, Section
from triptych.data.settings import Dataset
from triptych.evaluation.over_seeds import group_by_settings
from triptych.evaluation.settings import Fidelity, Likelihood, Reference
from triptych.models.classifier.settings import Classifier
from triptych.settings.experiment import Experiment
from triptych.studies.kinds import parse_study
from triptych.studies.settings import StudySettings
from triptych.training.settings import Runtime

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]  # also the name of a folder
STAGE_SECTIONS = {
    "fetch": "datasets",
    "prepare": "datasets",
    "classifier": "classifiers",
    "classifier_reference": "classifiers",
    "reference": "references",
    "train": "experiments",
    "evaluate": "experiments",
    "study": "studies",
}
"""The section of `params.yaml` whose entries a stage of `dvc.yaml` runs for."""
Study = Annotated[SerializeAsAny[StudySettings], BeforeValidator(parse_study)]


class ProfileSettings(Section):
    """The settings that a profile fixes for all experiments.

    profiles:
      full:
        source: folder
    """

    source: Literal["embedded", "folder", "public", "auto"] = Field(
        description="`folder`: your folder `TRIPTYCH_DATA`; `public`: a download; `auto`: the folder if "
        "`TRIPTYCH_DATA` is set, else the download; `embedded`: the digits that ship with the package, which in colour "
        "also replace `cifar10`; for images of other names, the same as `auto`"
    )
    likelihood: Likelihood = Field(description="how likelihoods are estimated")
    fidelity: Fidelity = Field(description="the protocol of FID, KID and IS")


class Settings(Section):
    """The sections of `params.yaml`.

    profile: full
    """

    profile: Profile = Field(
        description="the active profile; `quick`: minutes, offline; `full`: the budgets of the course documents, or "
        "similar"
    )
    profiles: dict[Profile, ProfileSettings] = Field(description="the settings that a profile fixes")
    runtime: Runtime = Field(description="where and how the computation runs")
    datasets: dict[Name, Dataset] = Field(min_length=1, description="sets of images")
    classifiers: dict[Name, Classifier] = Field(
        description="classifiers to train; the name is that of a data set, and experiments can use it as `reference`"
    )
    references: dict[Name, Reference] = Field(
        description="sets of real images with which samples are compared, by a shipped extractor or by Inception"
    )
    recipes: dict[Name, dict[str, Any]] = Field(description="settings that experiments and studies share")
    experiments: dict[Name, Experiment] = Field(min_length=1, description="the models: one per entry")
    studies: dict[Name, Study] = Field(description="small problems: several models per entry, trained together")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle plain data, because a type such as `ByProfile[int]` has no name that another process can import."""
        return type(self).model_validate, (self.model_dump(),)

    @property
    def active(self) -> ProfileSettings:
        """The settings of the chosen profile."""
        return self.profiles[self.profile]

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of all models that have metrics: experiments, studies and classifiers."""
        return (*self.experiments, *self.studies, *(f"classifier-{name}" for name in self.classifiers))

    def seed_groups(self, among: Container[str] | None = None) -> dict[str, list[str]]:
        """Group the experiments and studies, or those `among` some names, that differ only in their seeds.

        Return the names of each group under the name of its first member.
        """
        entries = {**self.experiments, **self.studies}
        chosen = {name: item for name, item in entries.items() if among is None or name in among}
        return group_by_settings({name: item.model_dump(mode="json") for name, item in chosen.items()})

    def datasets_of(self, targets: Sequence[str]) -> list[str]:
        """Return the data sets that stages such as `train@vae-20d` use, with the stages before them.

        Return all for the whole pipeline, and if a target is something else, such as an option of DVC.
        """
        needed = [self._datasets_before(*target.partition("@")[::2]) for target in targets]
        if not targets or None in needed:
            return list(self.datasets)
        return [name for name in self.datasets if any(name in found for found in needed)]

    def _datasets_before(self, stage: str, name: str) -> list[str] | None:
        section = STAGE_SECTIONS.get(stage)
        if not section or name not in getattr(self, section):
            return None
        if section == "experiments":
            experiment = self.experiments[name]
            return [experiment.dataset, self.compared_data(experiment.reference)]
        if section == "references":
            return [self.references[name].dataset]
        return [] if section == "studies" else [name]

    def dataset(self, name: str) -> Dataset:
        """Return the data set of this name. Raises TriptychError if the name is unknown."""
        return _entry(self.datasets, name, f"datasets.{name}")

    def classifier(self, name: str) -> Classifier:
        """Return the classifier of this data set. Raises TriptychError if the name is unknown."""
        return _entry(self.classifiers, name, f"classifiers.{name}")

    def reference(self, name: str) -> Reference | Classifier:
        """Return the reference or the classifier of this name. Raises TriptychError if the name is unknown."""
        return _entry({**self.references, **self.classifiers}, name, f"references.{name} or classifiers.{name}")

    def compared_data(self, reference: str) -> str:
        """Return the name of the data set whose images a reference holds. Raises TriptychError for unknown names."""
        found = self.reference(reference)
        return found.dataset if isinstance(found, Reference) else reference

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of this name. Raises TriptychError if the name is unknown."""
        return _entry(self.experiments, name, f"experiments.{name}")

    def study(self, name: str) -> StudySettings:
        """Return the study of this name. Raises TriptychError if the name is unknown."""
        return _entry(self.studies, name, f"studies.{name}")

    def entry(self, name: str) -> Experiment | StudySettings:
        """Return the experiment or study of this name. Raises TriptychError if the name is unknown."""
        return _entry({**self.experiments, **self.studies}, name, f"experiments.{name} or studies.{name}")


def _entry(entries: dict[str, Any], name: str, keys: str) -> Any:  # noqa: ANN401
    if name not in entries:
        known = dict.fromkeys([*get_close_matches(name, entries), *entries])  # the closest first
        raise TriptychError(f"params.yaml has no {keys}; known names: {', '.join(known) or 'none'}")
    return entries[name]
