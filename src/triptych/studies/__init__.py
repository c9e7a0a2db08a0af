"""Studies: many configurations of a small problem, trained side by side in one process."""
