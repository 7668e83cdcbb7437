"""Doing recorded steps again, to see whether they give the same."""
