"""`params.yaml` as validated settings."""
