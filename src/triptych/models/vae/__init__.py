"""Variational autoencoders (Kingma and Welling 2014)."""
