"""Weights and other tensors on disk, as safetensors files. Reading them runs no code, unlike unpickling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.files import atomic_file, readable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors atomically; equal tensors give equal bytes."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with atomic_file(path) as draft:
        draft.write_bytes(content)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, on the CPU. Raises TriptychError if the file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with readable(path, "run the stage that makes it, for example with `triptych repro`"):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise TriptychError(f"{path} is damaged ({error}): delete it and run its stage again") from None


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with the prefix, by the rest of their names.

    >>> with_prefix("ema/", {"ema/bias": 1, "networks/bias": 2})
    {'bias': 1}
    """
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def load_into(module: nn.Module, path: Path, device: torch.device) -> None:
    """Load a file of weights into a module, and move the module to the device.

    Raises TriptychError if the file is missing or damaged, or if its weights do not fit the module.
    """
    tensors = load_tensors(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise TriptychError(
            f"{path} does not fit the model that {MANIFEST} beside it describes ({reason}): train again"
        ) from None
    module.to(device)
