"""The Dirac game under two losses and several penalties."""
