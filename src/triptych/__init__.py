"""Triptych: VAEs, GANs and normalizing flows, trained, judged and compared in one reproducible pipeline."""
