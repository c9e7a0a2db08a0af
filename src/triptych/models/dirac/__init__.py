"""The Dirac GAN (Mescheder et al. 2018): a point against a line."""
