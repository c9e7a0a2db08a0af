"""The numbers and pictures of trained models: per family, and the fidelity of samples."""
