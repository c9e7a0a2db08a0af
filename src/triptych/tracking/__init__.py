"""Records of runs: the journal on disk, and MLflow as a view of it."""
