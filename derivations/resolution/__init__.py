"""Resolution: from requirements to one consistent set of versions."""
