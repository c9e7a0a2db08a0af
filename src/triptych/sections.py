"""The parts of `params.yaml` that are alike for every model. Each has no defaults but "this feature is off"."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from triptych.models.classifier.settings import Model as ClassifierModel
from triptych.schema import Draws, Epochs, Images, Rate, Section, Seed, Steps, Weight, resolve

Profile = Literal["quick", "full"]


class Budget(Section):
    """How long to train, in epochs, under each profile."""

    quick: Epochs
    full: Epochs


Several = Annotated[int, Field(ge=2, le=2_000_000)]  # a standard error takes two


class Splits(Section):
    """How many images each split holds."""

    train: Images
    valid: Several
    test: Several


class SplitsByProfile(Section):
    """The same under each profile."""

    quick: Splits
    full: Splits


class Fidelity(Section):
    """The protocol of FID, KID and IS."""

    samples: PositiveInt = Field(ge=10, le=1_000_000, description="generated images; IS splits them in ten")
    kid_subsets: PositiveInt = Field(le=10_000, description="random subsets that KID averages over")
    kid_subset_size: PositiveInt = Field(ge=2, le=10_000, description="images in each of these subsets")
    confidence: float = Field(gt=0.0, lt=1.0, description="of the classifier, from which a sample counts as recognised")

    @model_validator(mode="after")
    def _subsets_fit(self) -> Self:
        if self.kid_subset_size > self.samples:
            raise ValueError(
                f"kid_subset_size is {self.kid_subset_size}, more than the {self.samples} samples it draws from"
            )
        return self


class Likelihood(Section):
    """How likelihoods are estimated where a model has none in closed form."""

    importance_samples: Draws = Field(description="draws an image, for the log-likelihood of a VAE")
    train_images: PositiveInt = Field(ge=2, le=2_000_000, description="the first training images, standing for all")


class ProfileSettings(Section):
    """What a profile decides for all: where images come from, and how many samples an evaluation draws."""

    source: Literal["embedded", "folder", "public", "auto"] = Field(
        description="embedded: scikit-learn's digits; folder: yours, in `TRIPTYCH_DATA`; public: downloaded; auto: "
        "folder if you name one, else public"
    )
    likelihood: Likelihood
    fidelity: Fidelity


class Embedded(Section):
    """How scikit-learn's digits become a training set: each image is a small random rotation and shift."""

    max_shift: NonNegativeInt = Field(le=4, description="pixels")
    max_rotation: NonNegativeFloat = Field(le=45.0, description="degrees")
    contrast: PositiveFloat = Field(ge=1.0, le=100.0, description="factor about mid-grey, against blur")
    seed: Seed


class Dataset(Section):
    """What the prepare stage makes of one set of images."""

    images: Literal["mnist", "binarized_mnist", "cifar10"] = Field(description="what is fetched")
    binarization: Literal["none", "static", "threshold", "stochastic"] = Field(
        description="static: drawn once, and published; threshold: at a share of full intensity; stochastic: drawn "
        "anew at every visit in training, once for evaluation"
    )
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0, description="share of full intensity")
    dequantization: Literal["none", "uniform"] = Field(description="uniform: noise of one level, for densities")
    splits: SplitsByProfile
    seed: Seed

    @property
    def kind(self) -> str:
        """Of the images: `grey` (28, 28), or `colour` (3, 32, 32)."""
        return "colour" if self.images == "cifar10" else "grey"

    def sizes(self, profile: Profile) -> Splits:
        """The number of images in each split under a profile."""
        return getattr(self.splits, profile)

    @model_validator(mode="after")
    def _preparation_is_possible(self) -> Self:
        if self.images == "binarized_mnist" and self.binarization != "static":
            raise ValueError(
                f"binarization is {self.binarization}, but binarized_mnist is published with its draws fixed: "
                "write static here, or take images: mnist"
            )
        if (self.binarization == "threshold") != (self.threshold is not None):
            raise ValueError("threshold belongs to binarization: threshold, and only there")
        if self.binarization != "none" and self.dequantization != "none":
            raise ValueError(
                "dequantization is for 8-bit images, not for binarised ones: write none for one of the two"
            )
        return self


class Classifier(Section):
    """What names the classes of images, and may be the feature extractor behind FID, KID and IS."""

    epochs: Budget
    batch_size: Images = Field(description="images of an update")
    optimizer: Literal["adam", "sgd"]
    learning_rate: Rate = Field(description="the largest, of one cycle")
    weight_decay: Weight
    augmentation: Literal["shift", "shift_and_mirror"] = Field(description="of a batch, or of each image by itself")
    max_shift: NonNegativeInt = Field(le=4, description="pixels")
    seed: Seed
    model: ClassifierModel

    def model_at(self, profile: Profile) -> ClassifierModel:
        """The `model:` section under a profile."""
        return ClassifierModel.model_validate(resolve(self.model.model_dump(mode="json"), profile))


Extractor = Literal["classifier", "inception"]


class ExtractorByProfile(Section):
    """Inception takes a download and a GPU: not for every profile."""

    quick: Extractor
    full: Extractor


class Reference(Section):
    """Real images that generated ones are compared with, and whose features tell them apart."""

    dataset: str = Field(description="an entry of `datasets` that has a classifier")
    split: Literal["train", "test"] = Field(description="whose images are compared with")
    extractor: Extractor | ExtractorByProfile = Field(description="whose features tell images apart")

    def extractor_at(self, profile: Profile) -> Extractor:
        """The extractor under a profile."""
        return resolve(self.model_dump(mode="json"), profile)["extractor"]


class Runtime(Section):
    """Where and how the arithmetic runs. The thread count is fixed, since results differ in their last digits."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(description="auto: a GPU if there is one")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(description="of a stage; stages run side by side on the cores")
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        description="that share a training on one machine, each with a GPU of its own, or without a GPU with `threads` "
        "threads of its own; of GANs with `architecture: resnet`, all others train in one"
    )
    precision: Literal["float32", "bf16"] = Field(description="bf16: mixed, for the networks alone")
    channels_last: bool = Field(description="the memory format of convolutions")
    compile: bool = Field(
        description="torch.compile of what a family has worth it; half a minute or more at the start; not with several "
        "processes"
    )
    data_on_device: bool = Field(description="training images in the device's memory, not in the host's")
    cuda_graphs: bool = Field(
        description="on a CUDA GPU a step is recorded once, and then started whole; not with several processes"
    )
    checkpoint_seconds: NonNegativeFloat = Field(le=1e9, description="least time between two checkpoints")

    @model_validator(mode="after")
    def _processes_can_talk(self) -> Self:
        if self.processes > 1 and self.device == "mps":
            raise ValueError(
                f"processes is {self.processes}, but they can share the work on cpu and cuda alone: write 1"
            )
        return self

    def processes_for(self, model: Section) -> int:
        """How many train a model with this `model:` section."""
        return self.processes if model.parallel else 1


class Interval(Section):
    """A number, at least one, under each profile."""

    quick: Steps
    full: Steps


class Player(Section):
    """An optimiser of its own for one of several players."""

    learning_rate: Rate
    weight_decay: Weight
