"""The exceptions that users see."""


class TriptychError(Exception):
    """Something the user can mend: its text is one sentence that names the key, file or value at fault.

    The command line prints the sentence and exits with status 1. Any other exception is a bug of ours and keeps its
    stack trace.
    """


class DivergenceError(TriptychError):
    """A run whose numbers are no longer finite."""
