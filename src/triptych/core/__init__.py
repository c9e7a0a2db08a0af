"""Shared foundations: errors, files, hashes, project paths and progress."""
