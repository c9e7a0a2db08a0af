"""Several processes that train one model: each takes its rows of every batch, and all make the same update.

Every process draws the numbers of the whole batch and makes the update from gradients averaged over all, so that what
comes out does not depend on how many they are, but for rounding. PyTorch's DistributedDataParallel averages what
`backward` leaves in `.grad`, and its documentation rules out `torch.autograd.grad`, by which penalties and players get
their gradients here; hence the averaging is a call of its own. Without a process group everything is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from triptych.core.errors import TriptychError

if TYPE_CHECKING:
    from triptych.training.settings import Runtime

PATIENCE = timedelta(days=365)  # for each other: a process that dies is the launcher's to notice, and it ends the rest
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


def size() -> int:
    """How many processes train this model."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this one among them, from 0, which speaks and writes for all."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def rows(batch: Tensor) -> Tensor:
    """This process's rows (n / size, ...) of a batch (n, ...); n is a multiple of the size."""
    return batch if size() == 1 else batch.chunk(size())[rank()]


def draw(sampler: Callable[..., Tensor], count: int, *shape: int, **options: Any) -> Tensor:  # noqa: ANN401 (torch's)
    """This process's rows (count, *shape) of what one process would draw for the whole batch."""
    return rows(sampler(count * size(), *shape, **options))


@torch.no_grad()
def averaged(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The mean over the processes of each tensor, the same bits in all of them; one message for all tensors."""
    if size() == 1:
        return tensors
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    parts = (flat / size()).split([tensor.numel() for tensor in tensors])
    # The memory format of each stays what it was: fused Adam goes through parameters and gradients side by side.
    return [torch.empty_like(each).copy_(part.view(each.shape)) for each, part in zip(tensors, parts, strict=True)]


def averaged_row(row: dict[str, float], device: torch.device) -> dict[str, float]:
    """The mean over the processes of each number; the device is one that they talk through."""
    if size() == 1:
        return row
    (means,) = averaged([torch.tensor(list(row.values()), dtype=torch.float64, device=device)])
    return dict(zip(row, means.tolist(), strict=True))


def gathered(tensor: Tensor) -> Tensor:
    """Each process's tensor (...), stacked (size, ...), differentiable once."""
    return _Gather.apply(tensor)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401 (autograd's)
        found = tensor.new_zeros(size(), *tensor.shape)
        found[rank()] = tensor
        distributed.all_reduce(found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed[rank()]


def meet() -> None:
    """Wait until all processes are here."""
    if size() > 1:
        distributed.barrier()


@contextmanager
def together(runtime: Runtime, processes: int) -> Iterator[None]:
    """Inside the block this process is one of so many that `torchrun` has started, each with a GPU of its own if any.

    With one process nothing happens. Raises TriptychError if there are fewer GPUs, or if `torchrun` has started another
    number.
    """
    started = int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1
    if started != processes:
        raise TriptychError(
            f"torchrun has started {started} processes, but by runtime.processes and its kind this model trains in "
            f"{processes}: run the stage without torchrun, and it starts them itself"
        )
    if processes == 1:
        yield
        return
    on_gpu = runtime.device == "cuda" or (runtime.device == "auto" and torch.cuda.is_available())
    if on_gpu:
        gpus = torch.cuda.device_count()
        if gpus < processes:
            raise TriptychError(
                f"runtime.processes is {processes}, each with a GPU of its own, but this machine has {gpus}: "
                f"write {max(gpus, 1)}"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(BACKENDS["cuda" if on_gpu else "cpu"], timeout=PATIENCE)
    yield
    meet()
    distributed.destroy_process_group()  # after a failure it might wait for a process that is gone
