"""What every part is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.settings.params import Settings

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark."""

    settings: Settings
    rounds: int
    folder: Path
    """For whatever must stand on disk meanwhile."""
