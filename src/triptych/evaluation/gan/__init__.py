"""How good a GAN is."""
