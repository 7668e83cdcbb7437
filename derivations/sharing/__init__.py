"""Records that machines exchange: signed claims, caches, and what they prove."""
