"""Images: where they come from, how they are prepared, how a stage reads them."""
