"""Bills of materials: what a closure consists of, and what it was made from and with."""
