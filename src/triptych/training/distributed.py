"""Training of one model in several processes: each takes its shard of every batch, and all make the same update.

Every process draws the random numbers of the whole batch, and updates from gradients averaged over all processes. So
the number of processes changes the result by rounding only. PyTorch's DistributedDataParallel averages the gradients
that `backward` leaves in `.grad`, and its documentation excludes `torch.autograd.grad`, which gradient penalties and
GANs need. So the average is a call of its own here. Without a process group every function does the single-process
work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from triptych.core.errors import TriptychError
from triptych.training.settings import Runtime

TIMEOUT = timedelta(days=365)  # torchrun notices a process that dies, and ends the others


@contextmanager
def process_group(runtime: Runtime, processes: int) -> Iterator[None]:
    """Join the process group of the `processes` that `torchrun` has started, inside the block.

    With GPUs, each process uses its own. With one process, nothing happens. Raises TriptychError if there are fewer
    GPUs than processes, or if `torchrun` has started another number of processes.
    """
    started = int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1
    if started != processes:
        raise TriptychError(
            f"torchrun has started {started} processes, but with this runtime.processes the model trains in "
            f"{processes}: run the stage without torchrun, which then starts them itself"
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
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
    yield
    barrier()
    distributed.destroy_process_group()  # not after an error: it might wait for a process that is gone


def world_size() -> int:
    """Return the number of processes that train this model."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0. Rank 0 writes the files and the messages of all."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def barrier() -> None:
    """Wait until all processes have reached this call."""
    if world_size() > 1:
        distributed.barrier()


def shard(batch: Tensor) -> Tensor:
    """Return this process's rows (n / world size, ...) of a batch (n, ...); n is a multiple of the world size."""
    return batch if world_size() == 1 else batch.chunk(world_size())[rank()]


def draw_shard(sampler: Callable[..., Tensor], count: int, *shape: int, **options: Any) -> Tensor:  # noqa: ANN401 (torch's)
    """Return this process's rows (count, *shape) of the random numbers that one process draws for the whole batch."""
    return shard(sampler(count * world_size(), *shape, **options))


@torch.no_grad()
def averaged(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the mean over the processes of each tensor, with the same bits in all of them, by one all-reduce."""
    if world_size() == 1:
        return tensors
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    parts = (flat / world_size()).split([tensor.numel() for tensor in tensors])
    # Each mean keeps the memory format of its tensor: fused Adam walks parameters and gradients side by side.
    return [torch.empty_like(each).copy_(part.view(each.shape)) for each, part in zip(tensors, parts, strict=True)]


def averaged_row(row: dict[str, float], device: torch.device) -> dict[str, float]:
    """Return the mean over the processes of each number. The processes communicate through `device`."""
    if world_size() == 1:
        return row
    (means,) = averaged([torch.tensor(list(row.values()), dtype=torch.float64, device=device)])
    return dict(zip(row, means.tolist(), strict=True))


def all_gather(tensor: Tensor) -> Tensor:
    """Return the tensors (...) of all processes, stacked to (world size, ...). Differentiable once."""
    return _AllGather.apply(tensor)


class _AllGather(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401 (autograd's)
        stacked = tensor.new_zeros(world_size(), *tensor.shape)
        stacked[rank()] = tensor
        distributed.all_reduce(stacked)
        return stacked

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed[rank()]
