"""Short messages for the user on the terminal."""

from __future__ import annotations

import re
import sys

LONGEST = 200  # characters


def warn(text: str) -> None:
    """Print one line of warning to stderr."""
    clear = "\r\033[K" if sys.stderr.isatty() else ""  # a line of progress may stand there
    print(f"{clear}warning: {text}", file=sys.stderr, flush=True)


def one_line(error: Exception) -> str:
    """Return an error's message in one line, or the name of its type if it has no message.

    A long message ends after a word, with an ellipsis. Addresses lose their user and password.
    """
    words = without_password(" ".join(str(error).split()))
    if len(words) > LONGEST:
        words = words[:LONGEST].rsplit(" ", 1)[0] + " ..."
    return words or type(error).__name__


def without_password(text: str) -> str:
    """Return the text without user and password in addresses.

    >>> without_password("https://ada:secret@runs.example/a@b does not answer")
    'https://runs.example/a@b does not answer'
    """
    return re.sub(r"(?<=://)[^/@\s]*@", "", text)
