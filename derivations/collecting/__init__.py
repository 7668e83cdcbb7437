"""Collections: wheels that were resolved together, as one thing to install from."""
