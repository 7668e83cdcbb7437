"""Building: environments, the sandbox, and what comes out of it."""
