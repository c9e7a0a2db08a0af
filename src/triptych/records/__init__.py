"""The journal, the run folders, and MLflow as a view of them."""
