"""FID, KID, IS, precision and recall of generated images, computed by torch-fidelity."""
