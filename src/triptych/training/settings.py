"""How a model is trained: the section `runtime`, and the training settings of every experiment."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from triptych.core.schema import Budget, Images, Interval, Rate, Section, Seed, Weight

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


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


class Player(Section):
    """An optimiser of its own for one of several players."""

    learning_rate: Rate
    weight_decay: Weight


class TrainingSettings(Section):
    """Budget, optimiser and seed of one training."""

    seed: Seed = Field(description="of initial weights, order, noise and evaluation")
    epochs: Budget
    epoch_updates: Interval | None = Field(default=None, description="of an epoch; else an epoch is one pass")
    snapshot_epochs: Interval | None = Field(default=None, description="between two snapshots that are judged")
    batch_size: Images = Field(description="images of an update")
    learning_rate: Rate = Field(description="of Adam")
    betas: list[Beta] = Field(default=[0.9, 0.999], min_length=2, max_length=2, description="of Adam")
    weight_decay: Weight = Field(default=0.0, description="of AdamW, decoupled from the gradient")
    players: dict[str, Player] = Field(default={}, description="rate and decay of single players, by name")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="of the learning rate; cosine: to 0 at the end"
    )
    ema: float | None = Field(default=None, gt=0.0, lt=1.0, description="decay per update of averaged weights")
    gradient_clip: PositiveFloat | None = Field(default=None, le=1e12, description="largest gradient norm")
    max_shift: NonNegativeInt = Field(default=0, le=4, description="pixels of random shift of each training batch")
