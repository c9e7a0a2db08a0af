"""What people read: the page, the status, offline plots, and the closing table."""
