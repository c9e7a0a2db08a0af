"""How good a VAE is."""
