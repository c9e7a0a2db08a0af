"""The exceptions that users see."""


class TriptychError(Exception):
    """An error that the user can correct; its text is one sentence that names the file, key or value.

    The command line prints the sentence and exits with status 1. Any other exception is a bug in Triptych and keeps
    its stack trace.
    """


class DivergenceError(TriptychError):
    """A training diverges: a number is not finite or too large, or the networks no longer change."""
