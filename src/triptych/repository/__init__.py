"""The project folder under git and DVC: its paths, its lock file, its cache and the hash of its code."""
