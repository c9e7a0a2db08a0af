"""Ctrl-C at a moment when it would lose work."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def delayed_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the block has ended.

    Only the main thread receives it, so other threads do nothing; nor does a Python that another program embeds.
    """
    in_python = signal.getsignal(signal.SIGINT) is not None
    if threading.current_thread() is not threading.main_thread() or not in_python:
        yield
        return
    pressed: list[int] = []
    earlier = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
        if pressed:
            signal.raise_signal(signal.SIGINT)
