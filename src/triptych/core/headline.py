"""The headline metric of a model family, of a kind of study or of classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Headline:
    """The metric by which runs of one kind are sorted and compared."""

    metric: str
    meaning: str
    higher_is_better: bool
    curves: tuple[str, ...]
    """Metrics logged during training that show its course, or the course of a related number."""

    @property
    def direction(self) -> str:
        """Return "higher is better" or "lower is better"."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def extreme(self) -> str:
        """Return "highest" or "lowest", whichever the best value is."""
        return "highest" if self.higher_is_better else "lowest"

    def best(self, values: Mapping[str, float]) -> str:
        """Return the name of the best value."""
        return (max if self.higher_is_better else min)(values, key=values.__getitem__)
