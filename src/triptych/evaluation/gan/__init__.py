"""The numbers and pictures of a GAN, and their presentation on the page."""
