"""How far generated images are from real ones, by torch-fidelity."""
