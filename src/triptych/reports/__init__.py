"""Output for people: the page, the status, offline plots and the closing table."""
