"""Shared foundations: errors, files, hashes, locks and progress."""
