"""The numbers and pictures of a normalizing flow, and their presentation on the page."""
