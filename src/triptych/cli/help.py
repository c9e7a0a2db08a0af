"""The page of `triptych --help`: all commands, in sections."""

from __future__ import annotations

import sys

import click

SECTIONS = {
    "Run": ("repro", "check", "settings", "seeds", "add-data"),
    "Look at the results": ("status", "page", "ui", "sample", "sync"),
    "Compare and check": ("compare", "plots", "score", "verify", "baseline"),
    "Train on a SLURM cluster": ("submit", "collect"),
    "Stages, which DVC runs": ("fetch", "prepare", "classifier", "reference", "train", "evaluate", "study", "report"),
}
"""The commands in the order of `triptych --help`."""


class Commands(click.Group):
    """List the commands in sections, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in SECTIONS.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, names in SECTIONS.items():
            with formatter.section(section):
                width = max(map(len, self.commands))
                lines = [(name.ljust(width), self.commands[name].get_short_help_str(sys.maxsize)) for name in names]
                formatter.write_dl(lines)
