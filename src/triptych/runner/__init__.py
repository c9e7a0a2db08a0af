"""Start stages: one by one or in parallel, through DVC, the fork server or torchrun."""
