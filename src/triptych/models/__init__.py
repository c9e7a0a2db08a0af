"""The model families, and the classifier that judges their samples."""
