"""The registry of the model families, and the code that they share."""
