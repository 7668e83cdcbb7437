"""Sources: archives, patches, and the tree that a backend gets to see."""
