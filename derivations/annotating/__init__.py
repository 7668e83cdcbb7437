"""Wheels that are finished once they are built: tagged, and told what they are."""
