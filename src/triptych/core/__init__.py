"""What all packages build on: errors, files, hashes, project paths, progress."""
