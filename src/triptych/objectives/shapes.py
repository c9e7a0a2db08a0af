"""The check of shapes in all objectives. Without it, PyTorch broadcasts wrong shapes to wrong numbers."""

from torch import Tensor


def require_shapes(fits: bool, wanted: str, **tensors: Tensor) -> None:
    """Raise ValueError unless the shapes fit. The message has the shape of each tensor, and the shapes to use.

    >>> import torch
    >>> x, y = torch.zeros(5, 2), torch.zeros(5, 1)
    >>> require_shapes(x.shape == y.shape, "equal shapes", x=x, y=y)
    Traceback (most recent call last):
    ValueError: x has shape (5, 2), y has shape (5, 1); use equal shapes
    """
    if not fits:
        found = ", ".join(f"{name} has shape {(*tensor.shape,)}" for name, tensor in tensors.items())
        raise ValueError(f"{found}; use {wanted}")
