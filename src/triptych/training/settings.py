"""The section `runtime`, and the training settings of every experiment."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from triptych.core.settings_types import (
    ByProfile,
    Epochs,
    Images,
    PerProfile,
    Profile,
    Rate,
    Section,
    Seed,
    Steps,
    Weight,
    value_at,
)

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class Runtime(Section):
    """Where and how the computation runs. Results depend on these keys, except on `data_on_device`, `cuda_graphs` and
    `checkpoint_seconds`.

    runtime:
      device: cuda
      precision: bf16
      threads: 4
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        description="`auto`: a CUDA GPU if there is one, else the CPU"
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        description="CPU threads of one stage; `triptych repro` runs several stages in parallel"
    )
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        description="processes that share one training of a GAN with `architecture: resnet`, each with its own GPU or, "
        "on the CPU, with `threads` threads; other models train in one process"
    )
    precision: Literal["float32", "bf16"] = Field(
        description="`bf16`: mixed precision in the networks, on hardware that has it"
    )
    channels_last: bool = Field(description="use the memory format NHWC for convolutions, which is faster")
    compile: bool = Field(
        description="use `torch.compile` for convolutional GANs; it takes 30 seconds or more at the start; not used "
        "with several processes"
    )
    data_on_device: bool = Field(default=True, description="keep the training images in the memory of the GPU")
    cuda_graphs: bool = Field(
        default=True,
        description="on a CUDA GPU, record a training step once and replay it; not used with several processes",
    )
    checkpoint_seconds: NonNegativeFloat = Field(
        le=1e9, description="shortest time between two checkpoints, in seconds"
    )

    @model_validator(mode="after")
    def _device_supports_processes(self) -> Self:
        if self.processes > 1 and self.device == "mps":
            raise ValueError(f"processes is {self.processes}, but only cpu and cuda support several processes: write 1")
        return self

    def processes_for(self, model: Section) -> int:
        """Return the number of processes that train a model with this section `model`."""
        return self.processes if model.parallel else 1


class Player(Section):
    """The optimiser settings of one network of a GAN: `generator`, `discriminator` or `critic`.

    recipes:
      sngan:
        players: {critic: {learning_rate: 2.0e-4, weight_decay: 0.0}}
    """

    learning_rate: Rate = Field(description="the learning rate of this network")
    weight_decay: Weight = Field(description="the weight decay of this network")


class LearningRateDecay(Section):
    """Multiplies the learning rates of all networks by a factor after some epochs, or after each epoch.

    recipes:
      vae-20d:
        learning_rate_decay: {factor: 0.5, epochs: [20, 30]}
    """

    factor: float = Field(gt=0.0, lt=1.0, description="the factor of each decay")
    epochs: list[Steps] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="the epochs after which the rate decays; off: each epoch",
    )


class TrainingSettings(Section):
    """Budget, optimiser and seed of one training run."""

    seed: Seed = Field(description="the seed of the initial weights, the order of images, the noise and the evaluation")
    epochs: ByProfile[Epochs] = Field(description="number of epochs")
    epoch_updates: ByProfile[Steps] | None = Field(
        default=None, description="updates per epoch; off: an epoch is one pass through the data"
    )
    snapshot_epochs: ByProfile[Steps] | None = Field(
        default=None,
        description="epochs between two snapshots; off: one after half of the epochs, and one before the training "
        "(flows: after epoch 1)",
    )
    batch_size: PerProfile[Images] = Field(description="images per update")
    learning_rate: PerProfile[Rate] = Field(description="learning rate of Adam")
    betas: list[Beta] = Field(default=[0.9, 0.999], min_length=2, max_length=2, description="betas of Adam")
    weight_decay: Weight = Field(default=0.0, description="weight decay of Adam: an L2 penalty, added to the gradient")
    players: dict[str, Player] = Field(default={}, description="other optimiser settings for single networks")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="schedule of the learning rate; `cosine`: it falls to 0 at the end"
    )
    learning_rate_decay: LearningRateDecay | None = Field(
        default=None, description="multiply the learning rate of the schedule by a factor after some epochs"
    )
    ema: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="decay of the moving average of the weights, per update; in the first updates it is smaller: "
        "(1 + n) / (10 + n) at update n",
    )
    gradient_clip: PositiveFloat | None = Field(
        default=None, le=1e12, description="largest norm of the gradient; larger gradients are scaled down"
    )
    max_shift: NonNegativeInt = Field(
        default=0, le=4, description="largest random shift of a training batch, in pixels"
    )

    def at(self, profile: Profile) -> Self:
        """Return these settings with the values of a profile, except those in the section `model`."""
        return self.model_copy(update={key: value_at(value, profile) for key, value in self})
