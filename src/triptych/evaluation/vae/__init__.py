"""The numbers and pictures of a VAE, and their presentation on the page."""
