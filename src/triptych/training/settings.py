"""How a model is trained: the section `runtime`, and the training settings of every experiment."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from triptych.core.schema import Budget, Images, Interval, Rate, Section, Seed, Weight

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class Runtime(Section):
    """Where and how the arithmetic runs. The thread count is fixed, since results differ in their last digits."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(description="auto: a GPU if there is one")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(description="of one stage; several stages can run in parallel")
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        description="that train one model on one machine, each with its own GPU, or on the CPU with `threads` threads; "
        "only GANs with `architecture: resnet` use more than one"
    )
    precision: Literal["float32", "bf16"] = Field(description="bf16: mixed precision in the networks")
    channels_last: bool = Field(description="the memory format of convolutions")
    compile: bool = Field(
        description="torch.compile the networks that become faster; takes half a minute or more at the start; not with "
        "several processes"
    )
    data_on_device: bool = Field(description="keep the training images in the device's memory, not in the host's")
    cuda_graphs: bool = Field(
        description="on a CUDA GPU, capture a step as a CUDA graph and replay it; not with several processes"
    )
    checkpoint_seconds: NonNegativeFloat = Field(le=1e9, description="shortest time between two checkpoints")

    @model_validator(mode="after")
    def _device_supports_processes(self) -> Self:
        if self.processes > 1 and self.device == "mps":
            raise ValueError(f"processes is {self.processes}, but only cpu and cuda support more than one: write 1")
        return self

    def processes_for(self, model: Section) -> int:
        """Return the number of processes that train a model with this `model:` section."""
        return self.processes if model.parallel else 1


class Player(Section):
    """The optimiser settings of one player, in place of the experiment's."""

    learning_rate: Rate
    weight_decay: Weight


class TrainingSettings(Section):
    """Budget, optimiser and seed of one training."""

    seed: Seed = Field(description="of the initial weights, the order of images, the noise and the evaluation")
    epochs: Budget
    epoch_updates: Interval | None = Field(
        default=None, description="updates per epoch; without it, an epoch is one pass over the images"
    )
    snapshot_epochs: Interval | None = Field(default=None, description="epochs between two evaluated snapshots")
    batch_size: Images = Field(description="images per update")
    learning_rate: Rate = Field(description="of Adam")
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
        default=0, le=4, description="largest random shift of a training batch, in pixels"
    )
