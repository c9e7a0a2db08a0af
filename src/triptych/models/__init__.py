"""The networks of the model families, and the classifiers."""
