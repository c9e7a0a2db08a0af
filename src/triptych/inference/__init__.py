"""Trained models outside the pipeline: images, latents and likelihoods on request."""
