"""Overrides in code: found, called in processes of their own, and never trusted."""
