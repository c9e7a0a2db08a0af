"""`triptych verify`: compare results with the lock file, with the records and with the baseline; keep a baseline."""
