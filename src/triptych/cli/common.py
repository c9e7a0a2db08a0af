"""What several commands share. Like them, it imports heavy modules only when it needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.repository.project import Project
    from triptych.settings.params import Settings

MOST_SEEDS = 1000  # of one experiment


def open_project() -> tuple[Project, Settings]:
    """Return the project around the working directory, and its settings. Raises TriptychError if one is invalid."""
    from triptych.api import projects

    return projects.open_project()


def sync_records(project: Project, settings: Settings) -> str:
    """Bring MLflow up to date; return in a sentence how many runs it shows."""
    from triptych.core.progress import heartbeat
    from triptych.records.mlflow.sync import sync

    with heartbeat("comparing MLflow with the results") as show:
        total, rebuilt = sync(project, settings, show)
    return f"MLflow shows {total} runs, {rebuilt} of them rebuilt just now"
