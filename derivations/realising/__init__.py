"""Realising: from requirements to wheels in the store."""
