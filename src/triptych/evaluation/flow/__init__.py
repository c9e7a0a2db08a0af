"""How good a normalizing flow is."""
