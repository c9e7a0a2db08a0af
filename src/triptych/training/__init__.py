"""The training loop, and its optimisers, schedules, checkpoints and processes."""
