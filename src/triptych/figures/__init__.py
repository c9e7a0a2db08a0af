"""Matplotlib figures, in one style."""
