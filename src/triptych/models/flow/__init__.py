"""Normalizing flows (Rezende and Mohamed 2015)."""
