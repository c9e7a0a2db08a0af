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
)

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class Runtime(Section):
    """Where and how the computation runs. The thread count is fixed, since it changes the last digits of results."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(description="auto: a GPU if there is one")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        description="threads of one stage; several stages run in parallel"
    )
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        description="processes that share one training of a GAN with `architecture: resnet`, each with its own GPU, or "
        "without a GPU with `threads` threads; all other models train in one process"
    )
    precision: Literal["float32", "bf16"] = Field(description="bf16: mixed precision, for the networks only")
    channels_last: bool = Field(description="the memory format of convolutions")
    compile: bool = Field(
        description="torch.compile of the networks of convolutional GANs; takes 30 seconds or more at the start; not "
        "with several processes"
    )
    data_on_device: bool = Field(default=True, description="keep the training images in the memory of the device")
    cuda_graphs: bool = Field(
        default=True, description="record a training step once and replay it on a CUDA GPU; not with several processes"
    )
    checkpoint_seconds: NonNegativeFloat = Field(le=1e9, description="shortest time between two checkpoints")

    @model_validator(mode="after")
    def _device_supports_processes(self) -> Self:
        if self.processes > 1 and self.device == "mps":
            raise ValueError(f"processes is {self.processes}, but only cpu and cuda support several processes: write 1")
        return self

    def processes_for(self, model: Section) -> int:
        """Return the number of processes that train a model with this section `model`."""
        return self.processes if model.parallel else 1


class Player(Section):
    """The optimiser of one player, if it differs from the others."""

    learning_rate: Rate
    weight_decay: Weight


class TrainingSettings(Section):
    """Budget, optimiser and seed of one training run."""

    seed: Seed = Field(description="of the initial weights, the order of images, the noise and the evaluation")
    epochs: ByProfile[Epochs]
    epoch_updates: ByProfile[Steps] | None = Field(
        default=None, description="updates per epoch; without it an epoch is one pass through the data"
    )
    snapshot_epochs: ByProfile[Steps] | None = Field(
        default=None, description="epochs between two snapshots that are measured"
    )
    batch_size: PerProfile[Images] = Field(description="images per update")
    learning_rate: PerProfile[Rate] = Field(description="of Adam")
    betas: list[Beta] = Field(default=[0.9, 0.999], min_length=2, max_length=2, description="of Adam")
    weight_decay: Weight = Field(default=0.0, description="of AdamW, decoupled from the gradient")
    players: dict[str, Player] = Field(
        default={}, description="learning rate and weight decay of single players, by name"
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="of the learning rate; cosine: falls to 0 at the end"
    )
    ema: float | None = Field(default=None, gt=0.0, lt=1.0, description="decay of the averaged weights per update")
    gradient_clip: PositiveFloat | None = Field(default=None, le=1e12, description="largest gradient norm")
    max_shift: NonNegativeInt = Field(
        default=0, le=4, description="largest random shift of each training batch, in pixels"
    )

    def at(self, profile: Profile) -> Self:
        """Return these settings with the batch size and the learning rate of a profile."""
        several = {
            key: value for key in ("batch_size", "learning_rate") if isinstance(value := getattr(self, key), ByProfile)
        }
        return self.model_copy(update={key: getattr(value, profile) for key, value in several.items()})
