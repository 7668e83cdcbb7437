"""Locks: everything that a build takes, pinned by hash, as one file."""
