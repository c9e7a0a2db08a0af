"""Planar flows fitted to samples of a density of the plane, or to the density itself."""
