"""The training loop, and its optimisers, schedules, checkpoints and processes.

Evaluation and inference use `family`, `images`, `reproducible`, `machine` and `weights`, too.
"""
