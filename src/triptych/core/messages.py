"""Short messages for the user on the terminal."""

from __future__ import annotations

import sys

LONGEST = 200  # characters


def warn(text: str) -> None:
    """Print one line of warning to stderr."""
    clear = "\r\033[K" if sys.stderr.isatty() else ""  # a line of progress may stand there
    print(f"{clear}warning: {text}", file=sys.stderr, flush=True)


def one_line(error: Exception) -> str:
    """Return the start of an error's message in one line, or the name of its type if it has no message."""
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
